#include "store/writer_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/binary.h"
#include "store/ledger_list.h"

#include <errno.h>

/* Rows go in a few hundred at a time, and the pace bounds what a flood of them costs those who deliver: some
 * milliseconds in each tenth of a second. What does not fit is dropped, and the log counts it: the sessions count
 * floods themselves, long before. */
#define NOTE_CALLS_MAX 256
#define NOTE_BYTES_MAX (8u << 20)
#define NOTE_ROWS_MAX 1000 /* of one call */
#define NOTE_SLICE 300
#define NOTE_PAUSE (NANOSECONDS / 10)
#define PRUNE_SLICE 1000
#define SAY_PAUSE (60ull * NANOSECONDS)

struct ledger_row writer_ledger_row(const StoreWrite__LedgerRow *from)
{
    return (struct ledger_row){.reference = from->reference,
                               .at = from->at,
                               .last_at = from->last_at,
                               .attempts = from->attempts,
                               .account_id = from->account_id,
                               .fetched = from->fetched,
                               .stage = from->stage,
                               .verdict = from->verdict,
                               .level = from->level,
                               .rule = binary_span(from->rule),
                               .ip = binary_span(from->ip),
                               .ptr = binary_span(from->ptr),
                               .helo = binary_span(from->helo),
                               .reverse_path = binary_span(from->reverse_path),
                               .recipient = binary_span(from->recipient),
                               .subject = binary_span(from->subject),
                               .header_message_id = binary_span(from->header_message_id),
                               .evidence = binary_span(from->evidence),
                               .sentence = binary_span(from->sentence),
                               .reply = binary_span(from->reply),
                               .facts = binary_span(from->facts),
                               .asked = from->asked};
}

/* ---- Notes ---- */

static void plan(struct store_writer *w, uint64_t pause)
{
    if (w->notes.timer.place == 0 && timer_start(w->loop, &w->notes.timer, clock_monotonic() + pause) != 0)
        log_write(LOG_PROBLEM, "store", NULL, "no memory to plan the ledger's next rows; they wait for the next call");
}

static void say_dropped(struct store_writer *w)
{
    uint64_t now = clock_monotonic();
    if (w->notes.dropped == 0 || (w->notes.said_at && now - w->notes.said_at < SAY_PAUSE && !w->stopped))
        return;
    log_write(LOG_PROBLEM, "store", NULL, "attempts are missing in the ledger: more came than it takes in rows=%llu",
              (unsigned long long)w->notes.dropped);
    w->notes.dropped = 0;
    w->notes.said_at = now;
}

static void answer_note(struct call *call, int error)
{
    StoreWrite__LedgerNoteReply reply = STORE_WRITE__LEDGER_NOTE_REPLY__INIT;
    if (error)
        call_fail(call, error);
    else
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

void writer_ledger_note(struct store_writer *w, struct call *call)
{
    const StoreWrite__LedgerNoteRequest *q = (const StoreWrite__LedgerNoteRequest *)call->request;
    bool fits = w->notes.count < NOTE_CALLS_MAX && w->notes.bytes + call->size <= NOTE_BYTES_MAX;
    if (q->n_rows > NOTE_ROWS_MAX) {
        answer_note(call, -EINVAL);
        return;
    }
    if (!fits) {
        w->notes.dropped += q->n_rows;
        answer_note(call, 0);
    } else {
        list_append(&w->notes.calls, &call->node);
        w->notes.count++;
        w->notes.bytes += call->size;
    }
    plan(w, NOTE_PAUSE);
}

/* The first call is done with: it is answered after the commit. */
static void move_first(struct store_writer *w, struct list_node *answered)
{
    struct list_node *node = list_take_first(&w->notes.calls);
    struct call *call = container_of(node, struct call, node);
    w->notes.count--;
    w->notes.bytes -= call->size;
    w->notes.done = 0;
    list_append(answered, node);
}

/* Up to `most` rows in the running transaction. 0 or a negative errno: then it is lost. */
static int insert_some(struct store_writer *w, size_t most, struct list_node *answered)
{
    int rc = 0;
    while (rc == 0 && most > 0 && !list_is_empty(&w->notes.calls)) {
        struct call *call = container_of(w->notes.calls.next, struct call, node);
        const StoreWrite__LedgerNoteRequest *q = (const StoreWrite__LedgerNoteRequest *)call->request;
        while (rc == 0 && most > 0 && w->notes.done < q->n_rows) {
            struct ledger_row row = writer_ledger_row(q->rows[w->notes.done++]);
            most--;
            /* What cannot be a row is passed over: nobody waits for the answer. */
            rc = ledger_row_is_possible(&row) ? ledger_insert(w->store, &row) : 0;
        }
        if (w->notes.done >= q->n_rows)
            move_first(w, answered);
    }
    return rc;
}

static bool failed_lately(const struct store_writer *w)
{
    return w->notes.failed_at && clock_monotonic() - w->notes.failed_at < SAY_PAUSE;
}

static void say_failed(struct store_writer *w, int rc)
{
    if (rc == 0 && w->notes.failed_at)
        log_write(LOG_PROBLEM, "store", NULL, "the ledger is written again");
    if (rc == 0) {
        w->notes.failed_at = 0;
    } else if (!failed_lately(w)) {
        log_write(LOG_PROBLEM, "store", NULL, "the ledger cannot be written; mail goes on error=%s", strerror(-rc));
        w->notes.failed_at = clock_monotonic();
    }
}

/* One small transaction. */
static void note_some(struct store_writer *w)
{
    struct list_node answered;
    list_init(&answered);
    uint64_t now = clock_steady();
    int rc = ledger_begin(w->store);
    if (rc == 0) {
        rc = insert_some(w, NOTE_SLICE, &answered);
        if (rc == 0 && ledger_is_prunable(&w->store->ledger, now))
            rc = ledger_prune(w->store, now, PRUNE_SLICE);
        if (rc == 0)
            rc = ledger_commit(w->store);
        else
            ledger_abort(w->store);
    }
    say_failed(w, rc);
    if (rc != 0) {
        while (!list_is_empty(&w->notes.calls))
            move_first(w, &answered);
    }
    struct list_node *node;
    while ((node = list_take_first(&answered)) != NULL)
        answer_note(container_of(node, struct call, node), rc);
    reject_log_flush(&w->store->ledger.reject_log);
    say_dropped(w);
}

static void notes_due(struct timer *timer)
{
    struct store_writer *w = container_of(timer, struct store_writer, notes.timer);
    note_some(w);
    if (!list_is_empty(&w->notes.calls) || w->notes.dropped)
        plan(w, NOTE_PAUSE);
    else
        writer_ledger_look(w);
}

void writer_ledger_init(struct store_writer *w)
{
    list_init(&w->notes.calls);
    w->notes.timer.fire = notes_due;
}

void writer_ledger_look(struct store_writer *w)
{
    if (!w->store->broken && !failed_lately(w) && ledger_is_prunable(&w->store->ledger, clock_steady()))
        plan(w, NOTE_PAUSE / 5);
}

void writer_ledger_finish(struct store_writer *w)
{
    timer_stop(w->loop, &w->notes.timer);
    while (!list_is_empty(&w->notes.calls))
        note_some(w);
    say_dropped(w);
}

/* ---- LedgerList ---- */

static void put_row(StoreWrite__LedgerRow *to, const struct ledger_row *r)
{
    store_write__ledger_row__init(to);
    to->reference = r->reference;
    to->at = r->at;
    to->attempts = r->attempts;
    to->last_at = r->last_at;
    to->account_id = r->account_id;
    to->fetched = r->fetched;
    to->stage = (uint32_t)r->stage;
    to->verdict = (uint32_t)r->verdict;
    to->level = (uint32_t)r->level;
    to->rule = binary_from_span(r->rule);
    to->ip = binary_from_span(r->ip);
    to->ptr = binary_from_span(r->ptr);
    to->helo = binary_from_span(r->helo);
    to->reverse_path = binary_from_span(r->reverse_path);
    to->recipient = binary_from_span(r->recipient);
    to->subject = binary_from_span(r->subject);
    to->header_message_id = binary_from_span(r->header_message_id);
    to->evidence = binary_from_span(r->evidence);
    to->reply = binary_from_span(r->reply);
    to->sentence = binary_from_span(r->sentence);
    to->message_id = r->message_id;
    to->facts = binary_from_span(r->facts);
    to->asked = r->asked;
}

/* Whose rows: an administrator's choice, or those of the account that logged in. */
static int choose(struct store_writer *w, const struct call *call, ProtobufCBinaryData grant,
                  ProtobufCBinaryData account, struct ledger_choice *choice)
{
    if (call->caller == ROLE_ADMIN)
        return ledger_choose(w->store->db, binary_span(account), &w->arena, choice);
    choice->account_id = grant_check(w->grant_key, binary_span(grant), clock_monotonic() / NANOSECONDS);
    return choice->account_id ? 0 : -EACCES;
}

static int put_entries(struct store_writer *w, const struct ledger_page *page, StoreWrite__LedgerListReply *reply)
{
    static const StoreWrite__Fate fates[] = {
        [LEDGER_FATE_UNREAD] = STORE_WRITE__FATE__FATE_UNREAD,     [LEDGER_FATE_READ] = STORE_WRITE__FATE__FATE_READ,
        [LEDGER_FATE_ANSWERED] = STORE_WRITE__FATE__FATE_ANSWERED, [LEDGER_FATE_FILED] = STORE_WRITE__FATE__FATE_FILED,
        [LEDGER_FATE_DELETED] = STORE_WRITE__FATE__FATE_DELETED,
    };
    StoreWrite__LedgerEntry *entries = arena_array(&w->arena, page->count + 1, sizeof(*entries));
    StoreWrite__LedgerRow *rows = arena_array(&w->arena, page->count + 1, sizeof(*rows));
    reply->entries = arena_array(&w->arena, page->count + 1, sizeof(StoreWrite__LedgerEntry *));
    if (!entries || !rows || !reply->entries)
        return -ENOMEM;
    for (size_t i = 0; i < page->count; i++) {
        store_write__ledger_entry__init(&entries[i]);
        put_row(&rows[i], &page->entries[i].row);
        entries[i].id = page->entries[i].id;
        entries[i].row = &rows[i];
        entries[i].account = binary_from_span(page->entries[i].account);
        entries[i].fate = fates[page->entries[i].fate];
        entries[i].folder = binary_from_span(page->entries[i].folder);
        reply->entries[i] = &entries[i];
    }
    reply->n_entries = page->count;
    reply->more = page->more;
    reply->last_id = page->last_id;
    return 0;
}

int writer_ledger_list(struct store_writer *w, struct call *call)
{
    const StoreWrite__LedgerListRequest *q = (const StoreWrite__LedgerListRequest *)call->request;
    StoreWrite__LedgerListReply reply = STORE_WRITE__LEDGER_LIST_REPLY__INIT;
    struct ledger_choice choice = {.before_id = q->before_id,
                                   .reference = q->reference,
                                   .rule = binary_span(q->rule),
                                   .sender = binary_span(q->sender),
                                   .peer = binary_span(q->peer),
                                   .since = q->since,
                                   .until = q->until,
                                   .verdicts = q->verdicts,
                                   .limit = q->limit,
                                   .facts = q->facts,
                                   .fate = q->fate};
    struct ledger_page page;
    arena_reset(&w->arena);
    int rc = choose(w, call, q->grant, q->account, &choice);
    rc = rc ? rc : ledger_list(w->store, &choice, &w->arena, &page);
    rc = rc ? rc : put_entries(w, &page, &reply);
    if (rc == 0 && call->caller == ROLE_ADMIN)
        rc = ledger_count(w->store, &reply.total);
    if (rc == 0)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return rc;
}

/* ---- RejectCounts ---- */

static bool is_same(const struct reject_count *a, const struct reject_count *b)
{
    return a->period == b->period && span_equal(a->rule, b->rule);
}

int writer_reject_counts(struct store_writer *w, struct call *call)
{
    const StoreWrite__RejectCountsRequest *q = (const StoreWrite__RejectCountsRequest *)call->request;
    StoreWrite__RejectCountsReply reply = STORE_WRITE__REJECT_COUNTS_REPLY__INIT;
    struct ledger_choice choice = {.before_id = q->before_id, .since = q->since, .until = q->until};
    struct reject_counts counts;
    arena_reset(&w->arena);
    int rc = ledger_choose(w->store->db, binary_span(q->account), &w->arena, &choice);
    rc = rc ? rc : ledger_count_rejects(w->store, &choice, q->period, q->by_rule, &w->arena, &counts);
    rc = rc ? rc : ledger_count(w->store, &reply.total);
    if (rc != 0)
        return rc;
    StoreWrite__RejectCount *rows = arena_array(&w->arena, counts.count + 1, sizeof(*rows));
    reply.counts = arena_array(&w->arena, counts.count + 1, sizeof(StoreWrite__RejectCount *));
    if (!rows || !reply.counts)
        return -ENOMEM;
    /* Direct and fetched ones of the same period and rule are neighbours. */
    for (size_t i = 0; i < counts.count; i++) {
        const struct reject_count *c = &counts.counts[i];
        if (i == 0 || !is_same(c, c - 1)) {
            StoreWrite__RejectCount *row = &rows[reply.n_counts];
            store_write__reject_count__init(row);
            row->from = q->since + c->period * q->period;
            row->rule = binary_from_span(c->rule);
            reply.counts[reply.n_counts++] = row;
        }
        *(c->fetched ? &rows[reply.n_counts - 1].fetched : &rows[reply.n_counts - 1].direct) += c->attempts;
    }
    reply.more = counts.more;
    reply.last_id = counts.last_id;
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    return 0;
}
