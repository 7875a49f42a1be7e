/* Recipients gathered, each target once; and what the store's outcomes mean. */
#include "intake/deliver.h"
#include "intake/envelope.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))

static struct mail_path path_of(struct arena *arena, const char *text)
{
    struct mail_path path;
    struct span input = span_text(text);
    assert_null(mail_path_parse(&input, FORWARD_PATH, true, arena, &path));
    return path;
}

static void add(struct envelope *e, struct arena *arena, const char *path_text, const struct intake_target *targets,
                size_t count)
{
    struct mail_path path = path_of(arena, path_text);
    const struct intake_naming naming = {.path = &path, .notify = 2};
    const struct intake_route route = {INTAKE_ROUTE_LOCAL, targets, count};
    assert_true(envelope_has_room(e, &naming, &route));
    assert_int_equal(envelope_add(e, arena, &naming, &route), 0);
}

static void test_once_each(void **state)
{
    (void)state;
    static const struct intake_target a[] = {
        {.kind = INTAKE_TARGET_MAILBOX, .account_id = 1, .mailbox_id = 11},
        {.kind = INTAKE_TARGET_REMOTE, .address = SPAN("x@other.test")},
        {.kind = INTAKE_TARGET_MAILBOX, .account_id = 1, .mailbox_id = 11},
        {.kind = INTAKE_TARGET_LIST, .list_id = 3},
        {.kind = INTAKE_TARGET_LIST_BOUNCE, .list_id = 3, .list_member = 1},
    };
    static const struct intake_target b[] = {
        {.kind = INTAKE_TARGET_REMOTE, .address = SPAN("x@other.test"), .forwarder = SPAN("example.test")},
        {.kind = INTAKE_TARGET_REMOTE, .address = SPAN("X@other.test")},
        {.kind = INTAKE_TARGET_LIST, .list_id = 4},
        {.kind = INTAKE_TARGET_LIST_BOUNCE, .list_id = 3, .list_member = 2},
        {.kind = INTAKE_TARGET_MAILBOX, .account_id = 3, .mailbox_id = 3},
    };
    struct arena arena;
    struct envelope e;
    arena_init(&arena, 1u << 20);
    envelope_init(&e);
    add(&e, &arena, "<@r.test:alice@example.test>", a, ROWS(a));
    assert_int_equal(e.target_count, 4);
    add(&e, &arena, "<bob@example.test>", b, ROWS(b));
    add(&e, &arena, "<bob@example.test>", b, ROWS(b));
    assert_int_equal(e.target_count, 8);
    assert_int_equal(e.remote_count, 2);
    assert_int_equal(e.accepted, 3);
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    e.reverse_path = span_text("s@b.test");
    e.smtputf8 = true;
    assert_int_equal(intake_fill_request(&e, &arena, &request), 0);
    assert_int_equal(request.n_recipients, 8);
    assert_true(request.smtputf8);
    assert_memory_equal(request.recipients[0]->address.data, "alice@example.test", 18);
    assert_int_equal(request.recipients[0]->address.len, 18);
    assert_int_equal(request.recipients[0]->mailbox_id, 11);
    assert_int_equal(request.recipients[1]->kind, STORE_WRITE__RECIPIENT_KIND__RECIPIENT_REMOTE);
    assert_memory_equal(request.recipients[1]->target.data, "x@other.test", 12);
    assert_int_equal(request.recipients[6]->list_member, 2);
    assert_int_equal(request.recipients[7]->notify, 2);
    arena_release(&arena);
}

/* Ten thousand targets are what the store takes in one call; a lone recipient always fits. */
static void test_room(void **state)
{
    (void)state;
    enum { MANY = 10001 };
    struct arena arena;
    struct envelope e;
    arena_init(&arena, 64u << 20);
    envelope_init(&e);
    struct intake_target *targets = calloc(MANY, sizeof *targets);
    assert_non_null(targets);
    for (size_t i = 0; i < MANY; i++)
        targets[i] = (struct intake_target){.kind = INTAKE_TARGET_MAILBOX, .account_id = 1, .mailbox_id = i + 1};
    struct mail_path path = path_of(&arena, "<a@example.test>");
    const struct intake_naming naming = {.path = &path};
    struct intake_route route = {INTAKE_ROUTE_LOCAL, targets, MANY};
    assert_true(envelope_has_room(&e, &naming, &route));
    route.count = MANY - 2;
    assert_int_equal(envelope_add(&e, &arena, &naming, &route), 0);
    route = (struct intake_route){.kind = INTAKE_ROUTE_LOCAL, .targets = targets + MANY - 2, .count = 1};
    assert_true(envelope_has_room(&e, &naming, &route));
    assert_int_equal(envelope_add(&e, &arena, &naming, &route), 0);
    route.targets++;
    assert_false(envelope_has_room(&e, &naming, &route));
    assert_int_equal(e.target_count, 10000);
    free(targets);
    arena_release(&arena);
}

/* Long names fill the frame before there are ten thousand. */
static void test_bytes(void **state)
{
    (void)state;
    char text[300];
    memset(text, 'd', sizeof text);
    struct arena arena;
    struct envelope e;
    arena_init(&arena, 64u << 20);
    envelope_init(&e);
    struct mail_path path = path_of(&arena, "<a@example.test>");
    const struct intake_naming naming = {.path = &path, .orcpt = span_from(text, sizeof text)};
    unsigned taken = 0;
    for (;; taken++) {
        char address[400];
        int size = snprintf(address, sizeof address, "a%u@%.290s", taken, text);
        struct intake_target *target = arena_alloc(&arena, sizeof *target);
        assert_non_null(target);
        *target = (struct intake_target){.kind = INTAKE_TARGET_REMOTE,
                                         .address = arena_copy(&arena, span_from(address, (size_t)size))};
        const struct intake_route route = {INTAKE_ROUTE_LOCAL, target, 1};
        if (!envelope_has_room(&e, &naming, &route))
            break;
        assert_int_equal(envelope_add(&e, &arena, &naming, &route), 0);
    }
    assert_true(taken > 500 && taken < 1600);
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    assert_int_equal(intake_fill_request(&e, &arena, &request), 0);
    assert_true(protobuf_c_message_get_packed_size(&request.base) < CHANNEL_MESSAGE_MAX);
    arena_release(&arena);
}

static void test_no_memory(void **state)
{
    (void)state;
    static const struct intake_target target = {.kind = INTAKE_TARGET_LIST, .list_id = 1};
    struct arena arena, tight;
    struct envelope e;
    arena_init(&arena, 1u << 20);
    envelope_init(&e);
    struct mail_path path = path_of(&arena, "<a@example.test>");
    const struct intake_naming naming = {.path = &path};
    const struct intake_route route = {INTAKE_ROUTE_LOCAL, &target, 1};
    for (size_t limit = 0; limit < 100; limit += 10) {
        arena_init(&tight, limit);
        assert_int_equal(envelope_add(&e, &tight, &naming, &route), -ENOMEM);
        assert_int_equal(e.accepted + e.target_count, 0);
        assert_null(e.recipients);
        arena_release(&tight);
    }
    arena_release(&arena);
}

#define S STORE_WRITE__OUTCOME__OUTCOME_STORED
#define Q STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA
#define G STORE_WRITE__OUTCOME__OUTCOME_GONE
#define D STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA
#define U STORE_WRITE__OUTCOME__OUTCOME_UNSET

static void test_outcomes(void **state)
{
    (void)state;
    static const struct {
        size_t asked, count;
        StoreWrite__Outcome outcomes[4];
        int error;
        enum intake_verdict verdict;
        size_t gone;
    } rows[] = {
        {1, 1, {S}, 0, INTAKE_STORED, 0},
        {3, 3, {S, G, S}, 0, INTAKE_STORED, 1},
        {2, 2, {Q, Q}, 0, INTAKE_OVER_QUOTA, 0},
        {2, 2, {Q, G}, 0, INTAKE_OVER_QUOTA, 0},
        {2, 2, {G, G}, 0, INTAKE_GONE, 0},
        {2, 2, {D, D}, 0, INTAKE_OVER_SENDING_QUOTA, 0},
        {2, 2, {D, S}, -EPROTO, 0, 0},
        {2, 2, {D, G}, -EPROTO, 0, 0},
        {2, 2, {S, Q}, -EPROTO, 0, 0},
        {2, 2, {S, U}, -EPROTO, 0, 0},
        {1, 1, {(StoreWrite__Outcome)77}, -EPROTO, 0, 0},
        {2, 1, {S}, -EPROTO, 0, 0},
        {1, 2, {S, S}, -EPROTO, 0, 0},
        {0, 0, {U}, -EPROTO, 0, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        StoreWrite__Outcome outcomes[4];
        memcpy(outcomes, rows[i].outcomes, sizeof outcomes);
        StoreWrite__DeliverReply reply = STORE_WRITE__DELIVER_REPLY__INIT;
        reply.outcomes = outcomes;
        reply.n_outcomes = rows[i].count;
        reply.message_id = 9;
        struct intake_outcome outcome = {0};
        size_t gone = 0;
        int error = intake_read_outcomes(&reply, rows[i].asked, &outcome, &gone);
        if (error != rows[i].error || (!error && (outcome.verdict != rows[i].verdict || gone != rows[i].gone ||
                                                  (outcome.message_id != 0) != (outcome.verdict == INTAKE_STORED))))
            fail_msg("row %zu: error %d verdict %d gone %zu", i, error, (int)outcome.verdict, gone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_each), cmocka_unit_test(test_room),     cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_outcomes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
