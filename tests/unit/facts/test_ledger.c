/* Refused attempts on their way to the store: listed, counted under a flood, kept while the writer is away. */
#include "base/clock.h"
#include "facts/ledger.h"
#include "ipc/services.h"
#include "run/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TURNS 50 /* of the loop: more than a call and its answer take */
#define ROWS_MAX 4000

struct house {
    struct loop *loop;
    struct peers peers;
    struct channel *server;
    struct ledger *ledger;
    bool is_refusing; /* the writer */
    unsigned calls;
    size_t count;
    struct {
        uint64_t reference, attempts;
        char rule[20], recipient[40];
    } rows[ROWS_MAX];
};

static void keep(char *to, size_t room, ProtobufCBinaryData from)
{
    snprintf(to, room, "%.*s", (int)from.len, (const char *)from.data);
}

static void called(void *context, struct call *call)
{
    struct house *h = context;
    const StoreWrite__LedgerNoteRequest *request = (const StoreWrite__LedgerNoteRequest *)call->request;
    StoreWrite__LedgerNoteReply reply = STORE_WRITE__LEDGER_NOTE_REPLY__INIT;
    assert_int_equal(call->method, STORE_WRITE_LEDGER_NOTE);
    assert_true(request->n_rows > 0 && request->n_rows <= LEDGER_BATCH_MAX);
    h->calls++;
    if (h->is_refusing) {
        call_fail(call, -EIO);
        return;
    }
    for (size_t i = 0; i < request->n_rows; i++) {
        const StoreWrite__LedgerRow *row = request->rows[i];
        assert_true(h->count < ROWS_MAX);
        h->rows[h->count].reference = row->reference;
        h->rows[h->count].attempts = row->attempts;
        keep(h->rows[h->count].rule, sizeof h->rows->rule, row->rule);
        keep(h->rows[h->count++].recipient, sizeof h->rows->recipient, row->recipient);
    }
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

static void settle(struct fiber *self)
{
    for (int i = 0; i < TURNS; i++)
        assert_int_equal(fiber_yield(self), 0);
}

static void pass_ms(struct fiber *self, uint64_t ms)
{
    settle(self);
    for (uint64_t i = 0; i < ms; i += LEDGER_GATHER_MS) {
        clock_fake_advance(LEDGER_GATHER_MS * (NANOSECONDS / 1000));
        settle(self);
    }
}

static uint64_t refuse(struct house *h, const char *rule, unsigned network, const char *recipient)
{
    const struct ip_address ip = {
        .bytes = {[10] = 255, 255, 192, (unsigned char)(network >> 8), (unsigned char)network, 1}};
    const struct ledger_place place = ledger_find_place(h->ledger, span_text(rule), &ip, span_text(recipient));
    StoreWrite__LedgerRow row = STORE_WRITE__LEDGER_ROW__INIT;
    row.rule = (ProtobufCBinaryData){strlen(rule), (uint8_t *)(uintptr_t)rule};
    row.recipient = (ProtobufCBinaryData){strlen(recipient), (uint8_t *)(uintptr_t)recipient};
    assert_true(place.reference > 0 && place.reference < 1ull << 40);
    if (place.wants_row)
        ledger_note(h->ledger, &place, &row);
    return place.reference;
}

static uint64_t attempts_of(const struct house *h, uint64_t reference)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->count; i++)
        sum += h->rows[i].reference == reference ? h->rows[i].attempts : 0;
    return sum;
}

static uint64_t attempts(const struct house *h)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->count; i++)
        sum += h->rows[i].attempts;
    return sum;
}

/* Rows of a moment go together, and nothing goes when there is nothing. */
static void gathered(struct fiber *self, struct house *h)
{
    pass_ms(self, 1000);
    assert_int_equal(h->calls, 0);
    uint64_t first = refuse(h, "relay", 1, "x@a.test"), second = refuse(h, "quota", 2, "y@a.test");
    settle(self);
    assert_int_equal(h->calls, 0);
    pass_ms(self, LEDGER_GATHER_MS);
    assert_int_equal(h->calls, 1);
    assert_int_equal(h->count, 2);
    assert_true(first != second && h->rows[0].reference == first && h->rows[1].reference == second);
    assert_string_equal(h->rows[1].rule, "quota");
    assert_string_equal(h->rows[1].recipient, "y@a.test");
}

/* Beyond so many a minute of one rule, network and recipient: one row, whose reference all the others bear. */
static void counted(struct fiber *self, struct house *h)
{
    uint64_t listed = 0, reference = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t given = refuse(h, "relay", 1, "x@a.test");
        if (i < LEDGER_ROWS_A_MINUTE)
            assert_true(given != listed);
        else if (i > LEDGER_ROWS_A_MINUTE)
            assert_true(given == reference);
        listed = reference = given;
    }
    assert_true(refuse(h, "relay", 2, "x@a.test") != reference);
    assert_true(refuse(h, "relay", 1, "y@a.test") != reference);
    assert_true(refuse(h, "quota", 1, "x@a.test") != reference);
    /* Its row is there at once, so that whoever is told the reference can look it up. */
    pass_ms(self, LEDGER_GATHER_MS);
    assert_int_equal(h->count, LEDGER_ROWS_A_MINUTE + 4);
    assert_int_equal(attempts_of(h, reference), 1);
    pass_ms(self, (LEDGER_COUNT_SECONDS + 2) * 1000);
    assert_int_equal(attempts_of(h, reference), 100 - LEDGER_ROWS_A_MINUTE);
    assert_int_equal(attempts(h), 103);
    /* A minute later it is listed again. */
    pass_ms(self, 61000);
    assert_true(refuse(h, "relay", 1, "x@a.test") != reference);
}

/* Ten thousand in a second, each for another name: rows stay few, the sum stays true. */
static void harvested(struct fiber *self, struct house *h)
{
    char name[40];
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "u%u@a.test", i);
        (void)refuse(h, "no-such-user", i % 7, name);
    }
    pass_ms(self, (LEDGER_COUNT_SECONDS + 2) * 1000);
    assert_int_equal(attempts(h), 10000);
    assert_true(h->count < LEDGER_ROWS_A_SECOND + 50);
}

/* And from everywhere: no network has a counter of its own then. */
static void besieged(struct fiber *self, struct house *h)
{
    for (unsigned i = 0; i < 20000; i++)
        (void)refuse(h, "dnsbl", i, "x@a.test");
    pass_ms(self, (LEDGER_COUNT_SECONDS + 2) * 1000);
    assert_int_equal(attempts(h), 20000);
    assert_true(h->count < 3000);
}

/* What the writer does not take is sent again; what does not fit is lost, and nothing else is. */
static void away(struct fiber *self, struct house *h)
{
    h->is_refusing = true;
    uint64_t reference = refuse(h, "relay", 1, "x@a.test");
    pass_ms(self, 5000);
    assert_true(h->calls >= 3);
    for (unsigned i = 0; i < LEDGER_WAITING_MAX + 500; i++) {
        char name[40];
        snprintf(name, sizeof name, "u%u@a.test", i);
        (void)refuse(h, "relay", i, name);
        clock_fake_advance(NANOSECONDS / 100);
    }
    h->is_refusing = false;
    pass_ms(self, 15000);
    assert_int_equal(attempts_of(h, reference), 1);
    assert_int_equal(h->count, LEDGER_WAITING_MAX);
}

/* The end of the process sends what waits and what is being counted. */
static void stopped(struct fiber *self, struct house *h)
{
    for (unsigned i = 0; i < 30; i++)
        (void)refuse(h, "relay", 1, "x@a.test");
    ledger_stop(self, h->ledger, clock_in_seconds(30));
    assert_int_equal(attempts(h), 30);
}

struct job {
    struct house *house;
    void (*test)(struct fiber *self, struct house *h);
};

static void run_job(struct fiber *self, void *argument)
{
    struct job *job = argument;
    struct house *h = job->house;
    job->test(self, h);
    if (job->test != stopped)
        ledger_stop(self, h->ledger, clock_in_seconds(30));
    ledger_free(h->ledger);
    peers_release(&h->peers);
    channel_free(h->server);
    settle(self);
    loop_stop(h->loop);
}

static void run(void **state)
{
    static const struct channel_events events = {.called = called};
    struct house *h = calloc(1, sizeof *h);
    struct job job = {h, *(void (*const *)(struct fiber *, struct house *)) * state};
    int fds[2];
    assert_non_null(h);
    clock_fake_start(1780000000 * NANOSECONDS);
    h->loop = loop_new();
    assert_non_null(h->loop);
    assert_int_equal(channel_pair(fds), 0);
    h->server = channel_new(h->loop, fds[0], &store_write_service, ROLE_GATE, &events, h);
    struct channel *client = channel_new(h->loop, fds[1], &store_write_service, ROLE_WRITER, NULL, NULL);
    assert_true(h->server && client);
    peers_set(&h->peers, ROLE_WRITER, 0, client);
    h->ledger = ledger_new(h->loop, &h->peers);
    assert_non_null(h->ledger);
    assert_non_null(fiber_start(h->loop, "test", run_job, &job));
    assert_int_equal(loop_run(h->loop), 0);
    loop_free(h->loop);
    free(h);
}

int main(void)
{
    static void (*const tests[])(struct fiber *, struct house *) = {gathered, counted, harvested,
                                                                    besieged, away,    stopped};
    static const char *const names[] = {"gathered", "counted", "harvested", "besieged", "away", "stopped"};
    struct CMUnitTest rows[sizeof tests / sizeof *tests];
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        rows[i] = (struct CMUnitTest){names[i], run, NULL, NULL, (void *)(uintptr_t)&tests[i]};
    return cmocka_run_group_tests(rows, NULL, NULL);
}
