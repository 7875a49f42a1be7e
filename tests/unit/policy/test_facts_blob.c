/* The compact form of facts: what is written is read again; nothing else is. */
#include "attempt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const char everything[] =
    "ip=2001:db8::7|own-ip=192.0.2.25|own-name=mx.example.org|helo=mx.b.example|from=a@b.example|standing=window|"
    "as=c@example.org|declares=18446744073709551615|early|ptr=mx.b.example|claimed=x.b.example|"
    "ptr-hit=approved:site:*.b.example|own-list=name:why|dns=listed:zen.example:reason|dns-white=unknown:w.example:|"
    "return-path=null-mx|grey=250|whois=DE RIPE EXAMPLE-NET AS64496|call-back=refuses:550 no|reverse=takes:250 yes|"
    "script=file:Folder|script-content=refuse:no|bytes=7777|agent=Mutt/2|attached=application/zip a b.zip|"
    "attached=text/plain |to=bob+x@example.org|account=bob@example.org|postmaster|passcode=right:May|"
    "hit=white:account:@b.example|hit=black:site:*.example|protected=domain:a@b.example|limited=expired|"
    "approved-names|denied-names";

struct fixture {
    struct attempt a;
    struct arena arena;
    struct facts facts;
    struct recipient_facts r;
    struct buf blob, again;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    arena_init(&f->arena, 1 << 20);
    buf_init(&f->blob, FACTS_SIZE_MAX);
    buf_init(&f->again, FACTS_SIZE_MAX);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    attempt_release(&f->a);
    arena_release(&f->arena);
    buf_release(&f->blob);
    buf_release(&f->again);
    free(f);
    return 0;
}

static void read_again(struct fixture *f)
{
    assert_false(buf_failed(&f->blob));
    assert_true(facts_parse(buf_span(&f->blob), &f->arena, &f->facts, &f->r));
}

static void test_everything(void **state)
{
    struct fixture *f = *state;
    attempt_init(&f->a, "", everything);
    f->a.facts.content.header = (struct span)SPAN("Subject: x\r\n");
    f->a.facts.content.subject = (struct span)SPAN("x");
    f->a.facts.whois.text = (struct span)SPAN("country: DE\n");
    f->a.facts.is_tls = f->a.facts.content.is_automatic = true;
    for (int full = 0; full < 2; full++) {
        buf_reset(&f->blob);
        facts_write(&f->a.facts, &f->a.r, full, &f->blob);
        read_again(f);
        assert_int_equal(f->facts.content.header.size, full ? 12 : 0);
        assert_int_equal(f->facts.whois.text.size, full ? 12 : 0);
        assert_int_equal(f->facts.standing, STANDING_WINDOW);
        assert_true(f->facts.declared_size == UINT64_MAX);
        assert_true(ip_address_equal(&f->facts.ip, &f->a.facts.ip));
        assert_true(f->facts.is_tls && f->facts.spoke_early && f->facts.content.is_automatic && !f->facts.is_fetched);
        assert_true(span_is(f->facts.ptr.hits[0].entry, "*.b.example") && f->facts.ptr.hit_count == 1);
        assert_true(span_is(f->facts.dns_lists[0].reason, "reason") && f->facts.dns_lists[1].is_white);
        assert_int_equal(f->facts.return_path, RETURN_PATH_NULL_MX);
        assert_true(span_is(f->facts.whois.as_, "AS64496"));
        assert_true(span_is(f->facts.content.attachments[0].name, "a b.zip"));
        assert_int_equal(f->r.passcode, PASSCODE_RIGHT);
        assert_int_equal(f->r.hits[1].kind, LIST_KIND_BLACK);
        assert_int_equal(f->r.greylist_wait, 250);
        assert_true(span_is(f->r.script.text, "Folder"));
        for (unsigned fact = 0; fact < FACT_COUNT; fact++)
            assert_int_equal(fact_state_get(&f->facts, &f->r, (enum fact)fact), FACT_KNOWN);
        /* Every field, then: what was read is written the same. */
        buf_reset(&f->again);
        facts_write(&f->facts, &f->r, full, &f->again);
        assert_true(span_equal(buf_span(&f->blob), buf_span(&f->again)));
    }
}

static void test_nothing_and_fetched(void **state)
{
    struct fixture *f = *state;
    static const struct facts no_facts;
    static const struct recipient_facts no_recipient;
    facts_write(&no_facts, &no_recipient, false, &f->blob);
    assert_in_range(f->blob.size, 10, 120);
    read_again(f);
    assert_memory_equal(&f->facts.ip, &no_facts.ip, sizeof no_facts.ip);
    assert_int_equal(f->facts.state[FACT_PTR], FACT_NOT_ASKED);

    attempt_init(&f->a, "", "fetched|provider-local|hop-listed=198.51.100.9 old");
    ip_address_parse((struct span)SPAN("203.0.113.1"), &f->a.hops[0]) ? (void)0 : abort();
    f->a.facts.hops = f->a.hops;
    f->a.facts.hop_count = 2;
    buf_reset(&f->blob);
    facts_write(&f->a.facts, &f->a.r, false, &f->blob);
    read_again(f);
    assert_true(f->facts.is_local_to_provider && f->facts.is_fetched && f->facts.hop_count == 2);
    assert_true(ip_address_equal(&f->facts.hops[0], &f->a.hops[0]));
    assert_int_equal(f->facts.hop_list.result, OWN_LIST_LISTED);
}

/* The same verdict from the stored facts: what replay rests on. */
static void test_same_verdict(void **state)
{
    struct fixture *f = *state;
    struct decision before, after;
    attempt_init(&f->a, "2 whois=on|2 whois.countries=de|2 dnsbl=off", "whois=DE RIPE X AS1|dns=listed:zen.example:x");
    facts_write(&f->a.facts, &f->a.r, false, &f->blob);
    read_again(f);
    assert_int_equal(decide_recipient(&f->a.facts, &f->a.r, &f->a.set, DECIDE_RCPT, NULL, &before), DECIDE_DONE);
    assert_int_equal(decide_recipient(&f->facts, &f->r, &f->a.set, DECIDE_RCPT, NULL, &after), DECIDE_DONE);
    assert_int_equal(before.verdict.kind, VERDICT_REFUSE);
    assert_string_equal(before.verdict.sentence, after.verdict.sentence);
    assert_int_equal(before.asked, after.asked);
}

/* Cut anywhere between sections it is an older writer's; anywhere else it is damaged. None reads beyond its end. */
static void test_cuts(void **state)
{
    struct fixture *f = *state;
    unsigned whole = 0;
    attempt_init(&f->a, "", everything);
    facts_write(&f->a.facts, &f->a.r, true, &f->blob);
    for (size_t size = 0; size < f->blob.size; size++) {
        char *copy = malloc(size ? size : 1);
        assert_non_null(copy);
        memcpy(copy, f->blob.data, size);
        arena_reset(&f->arena);
        whole += facts_parse(span_from(copy, size), &f->arena, &f->facts, &f->r);
        free(copy);
    }
    assert_int_equal(whole, 10); /* ten sections are written, the first cut is before all of them */
}

static void test_newer_writer(void **state)
{
    struct fixture *f = *state;
    static const struct facts no_facts;
    static const struct recipient_facts no_recipient;
    facts_write(&no_facts, &no_recipient, false, &f->blob);
    buf_add(&f->blob, "\x70\x03xyz", 5); /* a section that is not known here */
    assert_true(facts_parse(buf_span(&f->blob), &f->arena, &f->facts, &f->r));
    buf_add(&f->blob, "\x02\x01\x09", 3); /* one that stood there before */
    assert_false(facts_parse(buf_span(&f->blob), &f->arena, &f->facts, &f->r));
    static const char more_facts[] = "\x01\x02\x0e\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01\x03\x03\x03";
    assert_true(facts_parse(span_from(more_facts, sizeof more_facts - 1), &f->arena, &f->facts, &f->r));
    assert_int_equal(f->facts.state[FACT_PTR], FACT_ABSENT);
}

static void test_bad(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *bytes;
        size_t size;
    } rows[] = {
        {"", 0},                                                              /* nothing */
        {"\x02", 1},                                                          /* another version */
        {"\x01\x02\x01\x07", 4},                                              /* a state that there is not */
        {"\x01\x01\x02\x00\x09", 5},                                          /* a standing that there is not */
        {"\x01\x03\xff\xff\x7f", 5},                                          /* a section longer than all */
        {"\x01\x04\x03\x00\x00\x41", 6},                                      /* 65 DNS lists */
        {"\x01\x04\x03\x00\x00\x40", 6},                                      /* 64 of them in no bytes */
        {"\x01\x0a\x04\x01\x00\x05\x00", 7},                                  /* a level that there is not */
        {"\x01\x0a\x04\x01\x06\x00\x00", 7},                                  /* a list that there is not */
        {"\x01\x0a\x01\x11", 4},                                              /* 17 hits */
        {"\x01\x0b\x0c\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00", 14}, /* a number of more than 64 bits */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(facts_parse(span_from(rows[i].bytes, rows[i].size), &f->arena, &f->facts, &f->r));
}

/* However much strangers give, the ledger's rows stay small and what the script gets fits its frame. */
static void test_caps(void **state)
{
    struct fixture *f = *state;
    size_t size = 1 << 20;
    char *much = malloc(size);
    assert_non_null(much);
    memset(much, 'x', size);
    attempt_init(&f->a, "", everything);
    f->a.facts.content.header = f->a.facts.whois.text = f->a.facts.content.subject = span_from(much, size);
    f->a.facts.helo = f->a.facts.content.from = f->a.facts.content.user_agent = span_from(much, size);
    for (size_t i = 0; i < ATTACHMENT_FACTS_MAX; i++)
        f->a.attachments[i].name = f->a.attachments[i].type = span_from(much, size);
    for (size_t i = 0; i < DNS_LIST_FACTS_MAX; i++)
        f->a.dns_lists[i].zone = f->a.dns_lists[i].reason = span_from(much, size);
    for (size_t i = 0; i < LIST_HITS_MAX; i++)
        f->a.r.hits[i].entry = span_from(much, size);
    memcpy(much + size - 4, ".exe", 4);
    f->a.r.hit_count = LIST_HITS_MAX;
    f->a.facts.dns_list_count = DNS_LIST_FACTS_MAX;
    f->a.facts.content.attachment_count = ATTACHMENT_FACTS_MAX;
    facts_write(&f->a.facts, &f->a.r, true, &f->blob);
    read_again(f);
    assert_int_equal(f->facts.content.header.size, 64 << 10);
    assert_int_equal(f->facts.dns_list_count, DNS_LIST_FACTS_MAX);
    assert_int_equal(f->facts.content.attachment_count, ATTACHMENT_FACTS_MAX);
    assert_true(span_ends_nocase(f->facts.content.attachments[0].name, (struct span)SPAN(".exe")));
    assert_false(facts_parse(span_from(much, FACTS_SIZE_MAX + 1), &f->arena, &f->facts, &f->r));
    much[0] = 1; /* the version, then a section that is not known and has the rest */
    memcpy(much + 1, "\x70\xfb\xff\x0f", 4);
    assert_true(facts_parse(span_from(much, FACTS_SIZE_MAX), &f->arena, &f->facts, &f->r));
    memcpy(much + 1, "\x70\xfc\xff\x0f", 4);
    assert_false(facts_parse(span_from(much, FACTS_SIZE_MAX + 1), &f->arena, &f->facts, &f->r));
    buf_reset(&f->blob);
    f->a.facts.content.attachment_count = f->a.r.hit_count = f->a.facts.dns_list_count = 2;
    facts_write(&f->a.facts, &f->a.r, false, &f->blob);
    read_again(f);
    assert_in_range(f->blob.size, 4000, 10000);
    assert_int_equal(f->facts.helo.size, 1000);
    free(much);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_and_fetched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_verdict, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cuts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_newer_writer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_caps, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
