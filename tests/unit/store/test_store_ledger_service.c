/* The ledger over the channels: notes that keep nobody waiting, pages, counts, and who may see what. */
#include "services.h"

#include "policy/decide.h"

#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define FLOOD_CALLS 400
#define FLOOD_ROWS 500

struct house {
    struct fixture fixture;
    struct services services;
    struct channel *gate, *desk, *admin;
    unsigned char grant[GRANT_SIZE];
    uint64_t alice, mailbox;
    int answered;
};

static void house_start(struct house *h)
{
    memset(h, 0, sizeof(*h));
    fixture_start(&h->fixture);
    struct delivery_recipient alice = fixture_recipient(&h->fixture, "alice@example.test");
    h->alice = alice.account_id;
    h->mailbox = alice.mailbox_id;
    grant_make(services_key, h->alice, 4000000000u, h->grant);
    h->fixture.settings.ledger.days = 30;
    h->fixture.settings.ledger.rows = 1000;
    services_start(&h->services, &h->fixture);
    h->gate = services_attach(&h->services, ROLE_GATE, true);
    h->desk = services_attach(&h->services, ROLE_DESK, true);
    h->admin = services_attach(&h->services, ROLE_ADMIN, true);
}

static void house_stop(struct house *h)
{
    services_stop(&h->services);
    fixture_stop(&h->fixture);
}

static void fill_row(StoreWrite__LedgerRow *row, uint64_t reference, uint64_t account_id)
{
    store_write__ledger_row__init(row);
    row->reference = reference;
    row->at = clock_wall();
    row->attempts = 1;
    row->account_id = account_id;
    row->verdict = VERDICT_REFUSE;
    row->rule = binary("sender-tld");
    row->recipient = binary("alice@example.test");
    row->reverse_path = binary("x@b.example");
    row->reply = binary("550 5.7.1 no");
}

static int note(struct fiber *self, struct channel *c, uint64_t first, size_t count, uint64_t account_id)
{
    StoreWrite__LedgerNoteRequest q = STORE_WRITE__LEDGER_NOTE_REQUEST__INIT;
    StoreWrite__LedgerRow *rows = calloc(count, sizeof(*rows)), **list = calloc(count, sizeof(StoreWrite__LedgerRow *));
    struct answer answer;
    assert_true(rows && list);
    for (size_t i = 0; i < count; i++) {
        fill_row(&rows[i], first + i, account_id);
        list[i] = &rows[i];
    }
    q.rows = list;
    q.n_rows = count;
    int rc = ask(self, c, STORE_WRITE_LEDGER_NOTE, &q.base, &answer);
    answer_release(&answer);
    free(rows);
    free(list);
    return rc;
}

static size_t count_rows(struct fiber *self, struct channel *c, StoreWrite__LedgerListRequest q, uint64_t *total)
{
    size_t count = 0;
    for (bool more = true; more;) {
        struct answer answer;
        assert_int_equal(ask(self, c, STORE_WRITE_LEDGER_LIST, &q.base, &answer), 0);
        const StoreWrite__LedgerListReply *r = (const StoreWrite__LedgerListReply *)answer.message;
        count += r->n_entries;
        more = r->more;
        q.before_id = r->last_id;
        *total = r->total;
        answer_release(&answer);
    }
    return count;
}

/* ---- Who sees what ---- */

static void check_sight(struct fiber *self, struct house *h)
{
    StoreWrite__LedgerListRequest q = STORE_WRITE__LEDGER_LIST_REQUEST__INIT;
    struct answer answer;
    uint64_t total;
    /* A desk sees nothing without a grant, and with one that account's rows only, whatever it asks for. */
    assert_int_equal(ask(self, h->desk, STORE_WRITE_LEDGER_LIST, &q.base, &answer), -EACCES);
    q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    assert_int_equal(count_rows(self, h->desk, q, &total), 2);
    assert_int_equal(total, 0);
    q.account = binary("bob@example.test");
    assert_int_equal(count_rows(self, h->desk, q, &total), 2);
    q.reference = 100; /* somebody else's */
    assert_int_equal(count_rows(self, h->desk, q, &total), 0);
    q.reference = 1;
    assert_int_equal(count_rows(self, h->desk, q, &total), 1);
    /* The administrator needs none. */
    store_write__ledger_list_request__init(&q);
    assert_int_equal(count_rows(self, h->admin, q, &total), 5);
    assert_int_equal(total, 5);
    q.account = binary("Alice@Example.test");
    assert_int_equal(count_rows(self, h->admin, q, &total), 2);
    q.limit = 1;
    assert_int_equal(count_rows(self, h->admin, q, &total), 2);
}

static void check_counts(struct fiber *self, struct house *h)
{
    StoreWrite__RejectCountsRequest q = STORE_WRITE__REJECT_COUNTS_REQUEST__INIT;
    struct answer answer;
    q.period = 24ull * 3600 * NANOSECONDS;
    q.since = clock_wall() - clock_wall() % q.period - q.period;
    q.by_rule = true;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_REJECT_COUNTS, &q.base, &answer), 0);
    const StoreWrite__RejectCountsReply *r = (const StoreWrite__RejectCountsReply *)answer.message;
    uint64_t direct = 0;
    for (size_t i = 0; i < r->n_counts; i++) {
        direct += r->counts[i]->direct;
        assert_true(is(r->counts[i]->rule, "sender-tld"));
        assert_true(r->counts[i]->from >= q.since && (r->counts[i]->from - q.since) % q.period == 0);
        assert_int_equal(r->counts[i]->fetched, 0);
    }
    assert_int_equal(direct, 5);
    assert_false(r->more);
    answer_release(&answer);
    q.period = 0;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_REJECT_COUNTS, &q.base, &answer), -EINVAL);
}

static void look_around(struct fiber *self, void *argument)
{
    struct house *h = argument;
    assert_int_equal(note(self, h->gate, 1, 2, h->alice), 0);
    assert_int_equal(note(self, h->desk, 100, 3, 0), 0);
    check_sight(self, h);
    check_counts(self, h);
    loop_stop(h->services.loop);
}

static void test_who_sees_what(void **state)
{
    (void)state;
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "client", look_around, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- A flood ---- */

static void flood(struct fiber *self, void *argument)
{
    struct house *h = argument;
    assert_int_equal(note(self, h->gate, 1000 + (uint64_t)h->answered * FLOOD_ROWS, FLOOD_ROWS, 0), 0);
    if (++h->answered == FLOOD_CALLS)
        loop_stop(h->services.loop);
}

static void deliver_meanwhile(struct fiber *self, void *argument)
{
    struct house *h = argument;
    StoreWrite__DeliverRequest q = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__Recipient r = STORE_WRITE__RECIPIENT__INIT, *list[] = {&r};
    StoreWrite__LedgerRow row;
    struct answer answer;
    fill_row(&row, 0, h->alice);
    row.verdict = VERDICT_ACCEPT;
    r.account_id = h->alice;
    r.mailbox_id = h->mailbox;
    r.address = binary("alice@example.test");
    r.ledger = &row;
    q.recipients = list;
    q.n_recipients = 1;
    q.received_at = clock_wall();
    assert_int_equal(channel_call(self, h->gate, STORE_WRITE_DELIVER, &q.base, span_text("Subject: x\r\n\r\nx\r\n"), -1,
                                  clock_in_seconds(60), &answer),
                     0);
    answer_release(&answer);
    /* Mail was not kept waiting until all those rows were in. */
    assert_true(h->answered < FLOOD_CALLS);
    row.verdict = 1000;
    assert_int_equal(channel_call(self, h->gate, STORE_WRITE_DELIVER, &q.base, span_text("x\r\n"), -1,
                                  clock_in_seconds(60), &answer),
                     -EINVAL);
}

/* 200,000 rows at one time: what does not fit is dropped, all are answered, mail goes through, and the ledger stays
 * within its bounds. */
static void test_a_flood_is_bounded(void **state)
{
    (void)state;
    struct house h;
    house_start(&h);
    for (int i = 0; i < FLOOD_CALLS; i++)
        assert_non_null(fiber_start(h.services.loop, "flood", flood, &h));
    assert_non_null(fiber_start(h.services.loop, "mail", deliver_meanwhile, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    assert_int_equal(h.answered, FLOOD_CALLS);
    house_stop(&h);
}

/* ---- Hostile peers ---- */

static void be_hostile(struct fiber *self, void *argument)
{
    struct house *h = argument;
    StoreWrite__LedgerNoteRequest q = STORE_WRITE__LEDGER_NOTE_REQUEST__INIT;
    StoreWrite__LedgerListRequest l = STORE_WRITE__LEDGER_LIST_REQUEST__INIT;
    StoreWrite__LedgerRow rows[3], *list[] = {&rows[0], &rows[1], &rows[2]};
    struct answer answer;
    uint64_t total;
    assert_int_equal(note(self, h->gate, 1, 1001, 0), -EINVAL);
    assert_int_equal(ask(self, h->gate, STORE_WRITE_LEDGER_NOTE, &q.base, &answer), 0);
    answer_release(&answer);
    for (int i = 0; i < 3; i++)
        fill_row(&rows[i], UINT64_MAX, UINT64_MAX);
    rows[1].reference = 5;
    rows[1].at = rows[1].last_at = rows[1].attempts = rows[1].message_id = rows[1].asked = UINT64_MAX;
    rows[1].level = LEVEL_DEFAULT;
    rows[2].reference = 6;
    rows[2].level = 1000;
    q.rows = list;
    q.n_rows = 3;
    assert_int_equal(ask(self, h->gate, STORE_WRITE_LEDGER_NOTE, &q.base, &answer), 0);
    answer_release(&answer);
    assert_int_equal(count_rows(self, h->admin, l, &total), 1);
    l.since = UINT64_MAX;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_LEDGER_LIST, &l.base, &answer), -EINVAL);
    l.since = 0;
    l.reference = UINT64_MAX;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_LEDGER_LIST, &l.base, &answer), -EINVAL);
    /* A gate may note and not look. */
    l.reference = 0;
    assert_int_equal(ask(self, h->gate, STORE_WRITE_LEDGER_LIST, &l.base, &answer), -EPIPE);
    loop_stop(h->services.loop);
}

static void test_hostile_peers(void **state)
{
    (void)state;
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "client", be_hostile, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- The end ---- */

static void note_late(struct fiber *self, void *argument)
{
    struct house *h = argument;
    int rc = note(self, h->gate, 1, 10, 0);
    h->answered = rc == 0;
}

static void stop_at_once(struct fiber *self, void *argument)
{
    struct house *h = argument;
    /* The note is with the writer, and waits for its time. */
    for (int i = 0; i < 10; i++)
        assert_int_equal(fiber_yield(self), 0);
    store_writer_stop(h->services.writer);
    while (!h->answered)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(h->services.loop);
}

static void test_what_waits_is_written_at_the_end(void **state)
{
    (void)state;
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "note", note_late, &h));
    assert_non_null(fiber_start(h.services.loop, "end", stop_at_once, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    services_stop(&h.services);
    fixture_open(&h.fixture);
    assert_int_equal(fixture_count(&h.fixture, "SELECT COUNT(*) FROM ledger"), 10);
    fixture_stop(&h.fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_sees_what),
        cmocka_unit_test(test_a_flood_is_bounded),
        cmocka_unit_test(test_hostile_peers),
        cmocka_unit_test(test_what_waits_is_written_at_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
