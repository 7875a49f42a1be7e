#include "facts/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "ipc/services.h"
#include "policy/decide.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#define COUNTERS_MAX 4096
#define COUNTING_MAX 1000 /* counters that are to become rows: their rows are bounded, too */
#define MINUTE (60 * NANOSECONDS)
#define CALL_SECONDS 30
#define RETRY_SECONDS 1
#define COMPLAIN_SECONDS 60
#define KEY_MAX 700
#define ROW_MAX (64u << 10)
#define REQUEST_MAX (512u << 10) /* bytes of a call's rows */

/* A row, packed. */
struct packed {
    uint8_t *bytes;
    size_t size;
};

/* How often one (rule, network, recipient), or one (rule, network), or one rule, was refused. */
struct ledger_counter {
    uint64_t minute_ends; /* monotonic */
    unsigned in_minute;
    bool counts;                                     /* there is a row with this reference, */
    uint64_t reference, attempts, began_at, last_at; /* and so many attempts to be added to it */
    struct packed row;
};

struct ledger {
    struct loop *loop;
    struct peers *peers;
    struct fiber *fiber;
    struct condition changed, ended;
    bool stops;
    struct packed waiting[LEDGER_WAITING_MAX]; /* a ring */
    size_t first, count;
    struct map map;
    struct ledger_counter counters[COUNTERS_MAX];
    size_t counting;
    struct ledger_counter all; /* when there is no room for another */
    uint64_t second_ends;
    unsigned in_second;
    uint64_t lost, quiet_until;
};

/* ---- Rows that wait ---- */

static void complain(struct ledger *l, uint64_t lost)
{
    uint64_t now = clock_monotonic();
    l->lost += lost;
    if (l->lost == 0 || now < l->quiet_until)
        return;
    l->quiet_until = now + COMPLAIN_SECONDS * NANOSECONDS;
    log_write(LOG_PROBLEM, "ledger", NULL,
              "refused attempts are missing in the ledger: the store does not take them "
              "rows=%llu",
              (unsigned long long)l->lost);
    l->lost = 0;
}

static struct packed pack(const StoreWrite__LedgerRow *row)
{
    struct packed packed = {.size = store_write__ledger_row__get_packed_size(row)};
    packed.bytes = packed.size <= ROW_MAX ? malloc(packed.size + 1) : NULL;
    if (packed.bytes)
        store_write__ledger_row__pack(row, packed.bytes);
    return packed;
}

static void put(struct ledger *l, struct packed row)
{
    if (!row.bytes || l->count == LEDGER_WAITING_MAX) {
        free(row.bytes);
        complain(l, 1);
        return;
    }
    l->waiting[(l->first + l->count++) % LEDGER_WAITING_MAX] = row;
    if (l->count == 1 || l->count == LEDGER_BATCH_MAX)
        condition_wake_all(&l->changed);
}

/* Adds to the row that was sent when the counting began: one with the same reference, rule and account. */
static void put_counter(struct ledger *l, struct ledger_counter *c)
{
    char reference[10];
    reference_write(c->reference, reference);
    if (c->attempts)
        log_write(LOG_FAILURE, "ledger", NULL,
                  "attempts refused, not listed one by one: like reference=%s attempts=%llu", reference,
                  (unsigned long long)c->attempts);
    StoreWrite__LedgerRow *row =
        c->row.bytes && c->attempts ? store_write__ledger_row__unpack(NULL, c->row.size, c->row.bytes) : NULL;
    if (row) {
        row->attempts = c->attempts;
        row->last_at = c->last_at;
        put(l, pack(row));
        store_write__ledger_row__free_unpacked(row, NULL);
    } else {
        complain(l, c->attempts);
    }
    free(c->row.bytes);
    c->row = (struct packed){0};
    c->counts = false;
    l->counting--;
}

/* The counted rows whose time has come; all of them when the process ends. */
static void put_counters(struct ledger *l)
{
    uint64_t now = clock_monotonic();
    for (size_t i = 0; i <= l->map.count && l->counting; i++) {
        struct ledger_counter *c = i < l->map.count ? &l->counters[i] : &l->all;
        if (c->counts && (l->stops || now >= c->began_at + LEDGER_COUNT_SECONDS * NANOSECONDS))
            put_counter(l, c);
    }
}

/* ---- Sending ---- */

static size_t unpack_batch(const struct ledger *l, StoreWrite__LedgerRow **rows)
{
    size_t count = 0, bytes = 0;
    while (count < l->count && count < LEDGER_BATCH_MAX) {
        const struct packed *packed = &l->waiting[(l->first + count) % LEDGER_WAITING_MAX];
        bytes += packed->size;
        rows[count] = bytes > REQUEST_MAX ? NULL : store_write__ledger_row__unpack(NULL, packed->size, packed->bytes);
        if (!rows[count])
            break;
        count++;
    }
    return count;
}

/* 0 when the store has them. Rows that come meanwhile stand behind these. */
static int send_batch(struct fiber *self, struct ledger *l)
{
    StoreWrite__LedgerNoteRequest request = STORE_WRITE__LEDGER_NOTE_REQUEST__INIT;
    StoreWrite__LedgerRow *rows[LEDGER_BATCH_MAX];
    struct answer answer;
    request.rows = rows;
    request.n_rows = unpack_batch(l, rows);
    int error = request.n_rows
                    ? channel_call(self, peers_get(l->peers, ROLE_WRITER), STORE_WRITE_LEDGER_NOTE, &request.base,
                                   (struct span){0}, -1, clock_in_seconds(CALL_SECONDS), &answer)
                    : -ENOMEM;
    if (!error)
        answer_release(&answer);
    for (size_t i = 0; i < request.n_rows; i++)
        store_write__ledger_row__free_unpacked(rows[i], NULL);
    for (size_t i = 0; i < request.n_rows && !error; i++) {
        free(l->waiting[l->first].bytes);
        l->first = (l->first + 1) % LEDGER_WAITING_MAX;
        l->count--;
    }
    return error;
}

static int wait_for_rows(struct fiber *self, struct ledger *l)
{
    while (!l->stops && l->count == 0) {
        int error = condition_wait(self, &l->changed, l->counting ? clock_in_seconds(1) : CLOCK_NEVER);
        if (error && error != -ETIMEDOUT)
            return error;
        put_counters(l);
    }
    uint64_t until = clock_monotonic() + LEDGER_GATHER_MS * (NANOSECONDS / 1000);
    while (!l->stops && l->count < LEDGER_BATCH_MAX) {
        int error = condition_wait(self, &l->changed, until);
        if (error == -ETIMEDOUT)
            return 0;
        if (error)
            return error;
    }
    return 0;
}

static void run(struct fiber *self, void *argument)
{
    struct ledger *l = argument;
    int error = 0;
    while (!error && !(l->stops && l->count == 0 && l->counting == 0)) {
        error = wait_for_rows(self, l);
        put_counters(l);
        if (!error && l->count && send_batch(self, l)) {
            complain(l, 0);
            error = fiber_sleep(self, clock_in_seconds(RETRY_SECONDS));
        }
    }
    l->fiber = NULL;
    condition_wake_all(&l->ended);
}

struct ledger *ledger_new(struct loop *loop, struct peers *peers)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->loop = loop;
    l->peers = peers;
    map_init(&l->map);
    condition_init(&l->changed);
    condition_init(&l->ended);
    l->fiber = fiber_start(loop, "ledger", run, l);
    if (l->fiber)
        return l;
    free(l);
    return NULL;
}

void ledger_stop(struct fiber *self, struct ledger *l, uint64_t deadline)
{
    int error = 0;
    l->stops = true;
    condition_wake_all(&l->changed);
    while (l->fiber && !error)
        error = condition_wait(self, &l->ended, deadline);
    if (l->fiber)
        fiber_cancel(l->fiber);
    while (l->fiber && !fiber_is_canceled(self))
        if (condition_wait(self, &l->ended, CLOCK_NEVER))
            break;
    complain(l, l->count);
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->count; i++)
        free(l->waiting[(l->first + i) % LEDGER_WAITING_MAX].bytes);
    for (size_t i = 0; i < l->map.count; i++)
        free(l->counters[i].row.bytes);
    free(l->all.row.bytes);
    map_release(&l->map);
    free(l);
}

/* ---- Listed or counted ---- */

uint64_t ledger_new_reference(void)
{
    uint64_t reference = 0;
    while (reference == 0) {
        if (getrandom(&reference, sizeof reference, 0) != sizeof reference)
            abort();
        reference &= (1ull << 40) - 1;
    }
    return reference;
}

static struct span write_key(struct buf *key, struct span rule, const struct ip_address *ip, struct span recipient)
{
    bool v4 = ip_address_is_ipv4(ip);
    buf_reset(key);
    buf_add_span(key, rule);
    buf_add_char(key, 0);
    buf_add(key, ip->bytes + (v4 ? 12 : 0), v4 ? 3 : 8);
    buf_add_char(key, v4 ? 4 : 6);
    buf_add_span(key, span_head(recipient, 512));
    return buf_span(key);
}

/* Full of counters that are over: they are forgotten. Those that become rows become them now. */
static void forget_counters(struct ledger *l)
{
    for (size_t i = 0; i < l->map.count; i++) {
        if (l->counters[i].counts)
            put_counter(l, &l->counters[i]);
        l->counters[i] = (struct ledger_counter){0};
    }
    map_release(&l->map);
    map_init(&l->map);
}

/* NULL where there is no room for another. */
static struct ledger_counter *find_counter(struct ledger *l, struct span key)
{
    uint64_t now = clock_monotonic();
    struct ledger_counter *c = map_get(&l->map, key);
    if (!c && l->map.count == COUNTERS_MAX && l->counting < COUNTING_MAX)
        forget_counters(l);
    if (!c && l->map.count < COUNTERS_MAX) {
        c = &l->counters[l->map.count];
        if (map_put(&l->map, key, c))
            return NULL;
    }
    if (c && now >= c->minute_ends) {
        c->minute_ends = now + MINUTE;
        c->in_minute = 0;
    }
    return c;
}

static struct ledger_place count(struct ledger *l, struct ledger_counter *c)
{
    struct ledger_place place = {.counter = c};
    if (!c->counts) {
        c->counts = true;
        c->reference = ledger_new_reference();
        c->attempts = 0;
        c->began_at = clock_monotonic();
        place.wants_row = true;
        if (l->counting++ == 0)
            condition_wake_all(&l->changed); /* it waits with a deadline from now on */
    }
    if (!place.wants_row)
        c->attempts++;
    c->last_at = clock_steady();
    place.reference = c->reference;
    return place;
}

static bool is_fast_second(struct ledger *l)
{
    uint64_t now = clock_monotonic();
    if (now >= l->second_ends) {
        l->second_ends = now + NANOSECONDS;
        l->in_second = 0;
    }
    return l->in_second++ >= LEDGER_ROWS_A_SECOND;
}

bool ledger_lists_more(struct ledger *l)
{
    return l && !is_fast_second(l);
}

struct ledger_place ledger_find_place(struct ledger *l, struct span rule, const struct ip_address *ip,
                                      struct span recipient)
{
    struct buf key;
    if (!l)
        return (struct ledger_place){.reference = ledger_new_reference()};
    buf_init(&key, KEY_MAX);
    struct ledger_counter *c = find_counter(l, write_key(&key, rule, ip, recipient));
    bool is_flood = c && c->in_minute++ >= LEDGER_ROWS_A_MINUTE;
    if (!is_flood && is_fast_second(l)) {
        is_flood = true;
        c = find_counter(l, write_key(&key, rule, ip, (struct span){0}));
    }
    buf_release(&key);
    if (is_flood && (!c || (!c->counts && l->counting >= COUNTING_MAX)))
        c = &l->all;
    return is_flood ? count(l, c) : (struct ledger_place){.reference = ledger_new_reference(), .wants_row = true};
}

void ledger_note(struct ledger *l, const struct ledger_place *place, StoreWrite__LedgerRow *row)
{
    if (!l || !place->wants_row)
        return;
    row->reference = place->reference;
    row->attempts = 1;
    row->last_at = row->at;
    put(l, pack(row));
    if (!place->counter)
        return;
    /* What is added to it later needs little of it. */
    row->facts = row->reply = row->sentence = row->evidence = (ProtobufCBinaryData){0};
    free(place->counter->row.bytes);
    place->counter->row = pack(row);
}
