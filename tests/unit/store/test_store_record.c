#include "fixture.h"

#include "store/crc32c.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void checksums(void **state)
{
    /* RFC 3720 appendix B.4 */
    char zeros[32] = {0}, rising[32], text[256];
    for (int i = 0; i < 32; i++)
        rising[i] = (char)i;
    assert_int_equal(crc32c(0, span_from(zeros, 32)), 0x8a9136aa);
    assert_int_equal(crc32c(0, span_from(rising, 32)), 0x46dd794e);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 37);
    for (size_t n = 0; n < sizeof(text); n++) {
        struct span s = span_from(text, n);
        assert_int_equal(crc32c(7, s), crc32c_by_table(7, s));
        assert_int_equal(crc32c(crc32c(0, span_head(s, n / 3)), span_skip(s, n / 3)), crc32c(0, s));
    }
}

/* A volume with one message, and where that message stands. */
static int one_message(struct fixture *f, struct record *record, uint64_t *id, struct buf *memory, char **bytes)
{
    char path[256];
    fixture_start(f);
    uint64_t start = f->store->volumes.position;
    *id = fixture_mail(f, "alice@example.test", "Subject: x\r\n\r\nThe body.\r\n");
    fixture_path(f, "volumes", path);
    int fd = volume_open(f->store->volumes.directory, 1);
    assert_true(fd >= 0);
    assert_int_equal(record_read(fd, 1, f->store->volumes.mark, start, f->store->volumes.position, memory, record), 0);
    size_t size = record_size(&record->header);
    *bytes = malloc(size);
    assert_non_null(*bytes);
    assert_int_equal(pread(fd, *bytes, size, (off_t)start), size);
    return fd;
}

/* What a reader makes of a record in memory: true when it takes it for whole. */
static bool is_whole(struct span bytes, uint64_t mark, uint64_t id)
{
    struct record_header h;
    struct buf out;
    if (!record_header_parse(bytes, &h) || h.mark != mark || h.volume != 1 || record_size(&h) != bytes.size)
        return false;
    if (!record_facts_match(&h, span_head(span_skip(bytes, RECORD_HEADER_SIZE), h.facts_size)))
        return false;
    buf_init(&out, 1 << 20);
    int rc = body_read_memory(span_skip(bytes, RECORD_HEADER_SIZE + h.facts_size), &h, id, 0, h.body_size, &out);
    buf_release(&out);
    return rc == 0;
}

static void every_flip_and_truncation(void **state)
{
    struct fixture f;
    struct record record;
    struct buf memory;
    uint64_t id;
    char *bytes;
    buf_init(&memory, 1 << 20);
    int fd = one_message(&f, &record, &id, &memory, &bytes);
    size_t size = record_size(&record.header);
    uint64_t mark = f.store->volumes.mark;
    assert_true(is_whole(span_from(bytes, size), mark, id));
    assert_false(is_whole(span_from(bytes, size), mark, id + 1));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (is_whole(span_from(bytes, size), mark, id))
            fail_msg("bit %zu of %zu flipped was not seen", bit, size * 8);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (size_t n = 0; n < size; n++) {
        char *exact = malloc(n + 1); /* so that a read past the end is seen */
        assert_non_null(exact);
        memcpy(exact, bytes, n);
        assert_false(is_whole(span_from(exact, n), mark, id));
        free(exact);
    }
    free(bytes);
    close(fd);
    buf_release(&memory);
    fixture_stop(&f);
}

static void facts_come_back(void **state)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 20);
    struct message_entry entries[2] = {
        {1, 2, 3, 4, 5, 6, span_text("a@b"), span_text("INBOX"), span_text("A@b"), span_text("rfc822;A@b"), 5},
        {.uid = 9}};
    struct message_facts f = {.message_id = 7,
                              .received_at = 8,
                              .ret = 2,
                              .eight_bit = true,
                              .helo = span_text("h"),
                              .envid = span_text("e"),
                              .entries = entries,
                              .entry_count = 2};
    struct message_facts g;
    message_facts_write(&out, &f);
    assert_true(message_facts_parse(buf_span(&out), &arena, &g));
    assert_true(g.message_id == 7 && g.received_at == 8 && g.ret == 2 && g.eight_bit && !g.smtputf8 &&
                g.entry_count == 2);
    assert_true(span_is(g.helo, "h") && span_is(g.envid, "e") && span_is(g.entries[0].orcpt, "rfc822;A@b"));
    assert_true(g.entries[0].flags == 6 && g.entries[0].notify == 5 && g.entries[1].uid == 9);
    /* Where the queue's fields begin, a record of a store without a queue ends. */
    size_t old = out.size - 12;
    for (size_t n = 0; n < out.size; n++)
        assert_int_equal(message_facts_parse(span_head(buf_span(&out), n), &arena, &g), n == old);
    assert_true(message_facts_parse(span_head(buf_span(&out), old), &arena, &g));
    assert_true(g.queued_count == 0 && g.queued_at == 0 && g.entry_count == 2 && span_is(g.envid, "e"));
    buf_add_char(&out, 0);
    assert_false(message_facts_parse(buf_span(&out), &arena, &g));
    /* A count that the bytes cannot hold costs no memory. */
    struct expunge_facts x;
    static const char lie[] = "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff\xff\xff\xff";
    size_t before = arena.used;
    assert_false(expunge_facts_parse(span_from(lie, sizeof(lie) - 1), &arena, &x));
    assert_true(arena.used - before < 64);
    buf_release(&out);
    arena_release(&arena);
}

static void queue_facts_come_back(void **state)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 20);
    struct message_queued queued[2] = {
        {1, QUEUE_KIND_REMOTE, QUEUE_STATE_HELD, span_text("a@b"), span_text("c@d"), span_text("rfc822;c@d"),
         span_text("host:25"), span_text("d"), 0, 6},
        {.number = 2, .kind = QUEUE_KIND_LIST, .list_id = 77, .destination = span_text(QUEUE_DESTINATION_LOCAL)}};
    struct message_facts f = {.message_id = 7, .queued_at = 99, .queued = queued, .queued_count = 2}, g;
    message_facts_write(&out, &f);
    assert_true(message_facts_parse(buf_span(&out), &arena, &g));
    assert_true(g.queued_at == 99 && g.queued_count == 2 && g.entry_count == 0);
    assert_true(g.queued[0].number == 1 && g.queued[0].kind == QUEUE_KIND_REMOTE &&
                g.queued[0].state == QUEUE_STATE_HELD && g.queued[0].notify == 6);
    assert_true(span_is(g.queued[0].address, "a@b") && span_is(g.queued[0].original, "c@d") &&
                span_is(g.queued[0].orcpt, "rfc822;c@d") && span_is(g.queued[0].destination, "host:25") &&
                span_is(g.queued[0].forwarder, "d"));
    assert_true(g.queued[1].list_id == 77 && span_is(g.queued[1].destination, "*local"));
    size_t whole = out.size, accepted = 0;
    for (size_t n = 0; n < whole; n++)
        accepted += message_facts_parse(span_head(buf_span(&out), n), &arena, &g);
    assert_int_equal(accepted, 1); /* as a record of a store without a queue */
    queued[1].kind = 4;
    buf_reset(&out);
    message_facts_write(&out, &f);
    assert_false(message_facts_parse(buf_span(&out), &arena, &g));

    struct queue_item items[2] = {{5, 1}, {6, 4000000000u}};
    struct queue_facts q = {QUEUE_CHANGE_HELD, items, 2}, r;
    buf_reset(&out);
    queue_facts_write(&out, &q);
    assert_true(queue_facts_parse(buf_span(&out), &arena, &r));
    assert_true(r.change == QUEUE_CHANGE_HELD && r.count == 2 && r.items[0].message_id == 5 &&
                r.items[1].number == 4000000000u);
    for (size_t n = 0; n < out.size; n++)
        assert_false(queue_facts_parse(span_head(buf_span(&out), n), &arena, &r));
    q.change = 4;
    buf_reset(&out);
    queue_facts_write(&out, &q);
    assert_false(queue_facts_parse(buf_span(&out), &arena, &r));
    buf_release(&out);
    arena_release(&arena);
}

static void directory_facts_come_back(void **state)
{
    struct arena arena;
    struct buf out;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 1 << 20);
    struct domain_facts d = {3, span_text("b.test"), 1, 2, span_text("old:25")}, e;
    domain_facts_write(&out, &d);
    assert_true(domain_facts_parse(buf_span(&out), &e));
    assert_true(e.id == 3 && e.kind == 1 && e.alias_of == 2 && span_is(e.next_hop, "old:25"));
    size_t old = 8 + 4 + 6;
    for (size_t n = 0; n < out.size; n++)
        assert_int_equal(domain_facts_parse(span_head(buf_span(&out), n), &e), n == old);
    assert_true(domain_facts_parse(span_head(buf_span(&out), old), &e));
    assert_true(e.id == 3 && span_is(e.name, "b.test") && e.kind == 0 && e.alias_of == 0 && e.next_hop.size == 0);

    struct mailing_list_member members[2] = {{1, span_text("m@x"), 4, true}, {9, span_text("n@x"), 0, false}};
    struct mailing_list_facts l = {
        5, 3, span_text("news"), span_text("b.test"), span_text("News"), span_text("o@x"), 2, members, 2};
    struct mailing_list_facts k;
    buf_reset(&out);
    mailing_list_facts_write(&out, &l);
    assert_true(mailing_list_facts_parse(buf_span(&out), &arena, &k));
    assert_true(k.id == 5 && k.domain_id == 3 && span_is(k.local_part, "news") && span_is(k.name, "News") &&
                span_is(k.owner, "o@x") && k.posting == 2 && k.member_count == 2);
    assert_true(k.members[0].number == 1 && k.members[0].bounces == 4 && k.members[0].suspended);
    assert_true(k.members[1].number == 9 && span_is(k.members[1].address, "n@x") && !k.members[1].suspended);
    for (size_t n = 0; n < out.size; n++)
        assert_false(mailing_list_facts_parse(span_head(buf_span(&out), n), &arena, &k));
    buf_release(&out);
    arena_release(&arena);
}

static void door_facts_come_back(void **state)
{
    struct arena arena;
    struct buf out;
    buf_init(&out, 4096);
    arena_init(&arena, 1 << 20);
    struct door_item d = {9,
                          2,
                          3,
                          7,
                          span_text("shop"),
                          span_text("a@b.test"),
                          span_text("a remark"),
                          77,
                          true,
                          88,
                          span_text("alice@example.test")};
    struct door_item e;
    door_facts_write(&out, &d);
    assert_true(door_facts_parse(buf_span(&out), &e));
    assert_true(e.id == 9 && e.kind == 2 && e.level == 3 && e.owner_id == 7 && span_is(e.detail, "shop") &&
                span_is(e.name, "a@b.test") && span_is(e.value, "a remark") && e.expires_at == 77 && e.locked &&
                e.set_at == 88 && span_is(e.set_by, "alice@example.test"));
    for (size_t n = 0; n < out.size; n++)
        assert_false(door_facts_parse(span_head(buf_span(&out), n), &e));
    /* A level that there is not. */
    out.data[12] = 4;
    assert_false(door_facts_parse(buf_span(&out), &e));
    buf_reset(&out);
    struct remote_seen items[] = {{span_text("u1"), 5}, {span_text("u2"), 6}};
    struct remote_seen_facts f = {.remote_id = 9, .forget = true, .items = items, .count = 2}, g;
    remote_seen_facts_write(&out, &f);
    assert_true(remote_seen_facts_parse(buf_span(&out), &arena, &g));
    assert_true(g.remote_id == 9 && g.forget && g.count == 2 && span_is(g.items[1].uidl, "u2") &&
                g.items[1].seen_at == 6);
    for (size_t n = 0; n < out.size; n++)
        assert_false(remote_seen_facts_parse(span_head(buf_span(&out), n), &arena, &g));
    buf_reset(&out);
    /* A message that was fetched, and one that was not. */
    struct message_facts m = {.message_id = 7, .remote_id = 9, .uidl = span_text("u1")}, n;
    message_facts_write(&out, &m);
    assert_true(message_facts_parse(buf_span(&out), &arena, &n));
    assert_true(n.remote_id == 9 && span_is(n.uidl, "u1"));
    assert_false(message_facts_parse(span_head(buf_span(&out), out.size - 1), &arena, &n));
    assert_true(message_facts_parse(span_head(buf_span(&out), out.size - 8 - 4 - 2), &arena, &n) && n.remote_id == 0);
    m.uidl = (struct span){"", 0};
    buf_reset(&out);
    message_facts_write(&out, &m);
    assert_false(message_facts_parse(buf_span(&out), &arena, &n));
    buf_release(&out);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),
        cmocka_unit_test(every_flip_and_truncation),
        cmocka_unit_test(facts_come_back),
        cmocka_unit_test(queue_facts_come_back),
        cmocka_unit_test(directory_facts_come_back),
        cmocka_unit_test(door_facts_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
