#include "ctl/door_edit.h"
#include "ctl/door_list_text.h"
#include "ctl/trial_facts.h"
#include "ipc/binary.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define NOW 1795331231u /* 2026-11-22 07:07:11 UTC */

static void test_expiry(void **state)
{
    static const struct {
        const char *text;
        uint64_t at; /* 0: it is none */
    } rows[] = {
        {"90d", NOW + 90 * 86400u},
        {"12h", NOW + 12 * 3600u},
        {"2026-11-22", 1795391999},
        {"2027-01-31", 1801439999},
        {"2026-11-21", 0},
        {"2027-02-30", 0},
        {"2027-13-01", 0},
        {"2027-1-1", 0},
        {"", 0},
        {"0d", 0},
        {"soon", 0},
        {"-5d", 0},
        {"99999999999999999999d", 0},
        {"2027-01-31 ", 0},
        {"1970-01-01", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        uint64_t at = 0;
        bool good = door_expiry_parse(span_text(rows[i].text), NOW, &at);
        if (good != (rows[i].at != 0) || (good && at != rows[i].at))
            fail_msg("'%s': %llu", rows[i].text, (unsigned long long)at);
    }
}

static void test_lines(void **state)
{
    static const struct {
        const char *line, *entry, *remark;
        bool good, expires;
    } rows[] = {
        {"a@b.example", "a@b.example", "", true, false},
        {"  @b.example # why not ", "@b.example", "why not", true, false},
        {"a@b.example until 2027-01-31 # x # y", "a@b.example", "x # y", true, true},
        {"a@b.example\tuntil 90d", "a@b.example", "", true, true},
        {"a@b.example\r", "a@b.example", "", true, false},
        {"a@b.example # why\r", "a@b.example", "why", true, false},
        {"\r", "", "", true, false},
        {"# a remark", "", "a remark", true, false},
        {"", "", "", true, false},
        {"a@b.example from 192.0.2.7 # work", "a@b.example from 192.0.2.7", "work", true, false},
        {"a@b.example from", "", "", false, false},
        {"a@b.example\r\rfrom\r\r", "", "", false, false},
        {"a@b.example until", "", "", false, false},
        {"a@b.example until 2020-01-01", "", "", false, false},
        {"a@b.example until 90d 91d", "", "", false, false},
        {"a@b.example c@d.example", "", "", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct door_list_line line;
        assert_int_equal(door_list_parse_line(span_text(rows[i].line), NOW, &line), rows[i].good);
        if (!rows[i].good)
            continue;
        assert_true(span_is(line.entry, rows[i].entry));
        assert_true(span_is(line.remark, rows[i].remark));
        assert_int_equal(line.expires_at != 0, rows[i].expires);
    }
}

/* What is written is read again. */
static void test_round_trip(void **state)
{
    StoreWrite__DoorItem item = STORE_WRITE__DOOR_ITEM__INIT;
    struct door_list_line line;
    struct buf out;
    buf_init(&out, 1000);
    item.name = binary_from_span((struct span)SPAN("@b.example"));
    item.value = binary_from_span((struct span)SPAN("met in May"));
    item.expires_at = 1801439999;
    door_list_write_line(&item, &out);
    assert_true(span_is(buf_span(&out), "@b.example until 2027-01-31 # met in May\n"));
    assert_true(door_list_parse_line(span_head(buf_span(&out), out.size - 1), NOW, &line));
    assert_int_equal(line.expires_at, item.expires_at);
    assert_true(span_is(line.remark, "met in May"));
    buf_release(&out);
}

/* ---- rules test ---- */

static StoreWrite__DoorItem item_of(enum door_kind kind, unsigned level, const char *name, const char *value,
                                    uint64_t expires_at)
{
    StoreWrite__DoorItem item = STORE_WRITE__DOOR_ITEM__INIT;
    item.kind = kind;
    item.level = level;
    item.name = binary_from_span(span_text(name));
    item.value = binary_from_span(span_text(value));
    item.expires_at = expires_at;
    return item;
}

static bool has_hit(const struct trial *t, enum list_kind kind, const char *entry)
{
    for (size_t i = 0; i < t->r.hit_count; i++)
        if (t->r.hits[i].kind == kind && span_is(t->r.hits[i].entry, entry))
            return true;
    return false;
}

static void test_items_become_facts(void **state)
{
    StoreWrite__DoorItem items[] = {
        item_of(DOOR_WHITE, LEVEL_ACCOUNT, "@b.example", "", 0),
        item_of(DOOR_WHITE, LEVEL_ACCOUNT, "a@b.example", "", NOW - 1), /* over */
        item_of(DOOR_BLACK, LEVEL_SITE, "*.b.example", "", 0),          /* of what is below it only */
        item_of(DOOR_DENIED, LEVEL_SITE, "192.0.2.0/24", "", 0),
        item_of(DOOR_DENIED, LEVEL_SITE, "198.51.100.0/24", "", 0),
        item_of(DOOR_APPROVED, LEVEL_SITE, "*.far.example", "", 0),
        item_of(DOOR_DENIED_NAME, LEVEL_SITE, "dsl*.far", "", 0),
        item_of(DOOR_PASSCODE, LEVEL_ACCOUNT, "Aunt May", "1234", 0),
        item_of(DOOR_PASSCODE, LEVEL_ACCOUNT, "Bob", "5678", NOW - 1),
        item_of(DOOR_ADDRESS, LEVEL_ACCOUNT, "shop", "@shop.example", 0),
    };
    const struct door_items list = {items, sizeof items / sizeof *items, 0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct trial t = {.now = NOW, .passcode = SPAN("1234"), .detail = SPAN("Shop")};
    t.facts.reverse_path = (struct span)SPAN("a@b.example");
    t.facts.ptr.name = (struct span)SPAN("dsl7.far.example");
    assert_true(ip_address_parse(span_text("192.0.2.7"), &t.facts.ip));
    assert_true(trial_take_items(&t, &list, &arena));
    assert_true(has_hit(&t, LIST_KIND_WHITE, "@b.example"));
    assert_false(has_hit(&t, LIST_KIND_WHITE, "a@b.example"));
    assert_false(has_hit(&t, LIST_KIND_BLACK, "*.b.example"));
    assert_true(has_hit(&t, LIST_KIND_DENIED, "192.0.2.0/24"));
    assert_false(has_hit(&t, LIST_KIND_DENIED, "198.51.100.0/24"));
    assert_int_equal(t.facts.ptr.hit_count, 2);
    assert_int_equal(t.r.passcode, PASSCODE_RIGHT);
    assert_true(span_is(t.r.passcode_name, "Aunt May"));
    assert_true(t.r.limited.exists && !t.r.limited.expired && !t.r.limited.sender_fits);
    t.passcode = (struct span)SPAN("5678");
    assert_true(trial_take_items(&t, &list, &arena));
    assert_int_equal(t.r.passcode, PASSCODE_EXPIRED);
    t.passcode = (struct span)SPAN("9999");
    assert_true(trial_take_items(&t, &list, &arena));
    assert_int_equal(t.r.passcode, PASSCODE_WRONG);
    arena_release(&arena);
}

/* Whatever a rule may want, what is assumed of it keeps nobody out, and has words. */
static void test_assumptions(void **state)
{
    for (unsigned fact = 0; fact < FACT_COUNT; fact++) {
        struct trial t = {.now = NOW};
        trial_assume(&t, FACT_BIT(fact));
        assert_int_not_equal(fact_state_get(&t.facts, &t.r, (enum fact)fact), FACT_NOT_ASKED);
        assert_int_equal(t.assumed, FACT_BIT(fact));
        assert_non_null(trial_assumption((enum fact)fact));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_expiry), cmocka_unit_test(test_lines),
                                       cmocka_unit_test(test_round_trip), cmocka_unit_test(test_items_become_facts),
                                       cmocka_unit_test(test_assumptions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
