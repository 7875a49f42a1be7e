#include "store/writer.h"

#include "base/log.h"
#include "ipc/services.h"
#include "store/compact.h"
#include "store/writer_internal.h"

#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_MEMORY (64u << 20)
/* Where so many came together lately, a batch waits a moment until as many are there again, or GATHER_GOAL: a sync
 * costs the same for fifty as for ten. A lone client never waits. */
#define GATHER_FROM 8
#define GATHER_GOAL 40
#define GATHER_TIME (NANOSECONDS / 1000)

static void wake(struct store_writer *w)
{
    /* Due at once means when every fiber of this turn has run, so what they all brought is one batch. */
    size_t goal = w->expected < GATHER_GOAL ? w->expected : GATHER_GOAL;
    bool gathers = w->expected >= GATHER_FROM && w->queued < goal;
    uint64_t due = gathers ? clock_monotonic() + GATHER_TIME : 0;
    bool sooner = w->timer.place == 0 || (due == 0 && w->timer.deadline != 0);
    if (sooner && timer_start(w->loop, &w->timer, due) != 0)
        log_write(LOG_CRASH, "store", NULL, "no memory to plan the next batch; it waits for the next call");
}

static void pause_if_full(struct store_writer *w)
{
    bool full = w->queue_bytes > QUEUE_BYTES_MAX;
    if (full != w->paused) {
        w->paused = full;
        attachments_pause(&w->attachments, full);
    }
}

static void called(void *context, struct call *call)
{
    struct store_writer *w = context;
    if (w->stopped) {
        call_fail(call, -ESHUTDOWN);
        return;
    }
    switch (call->method) {
    case STORE_WRITE_DELIVER:
    case STORE_WRITE_EXPUNGE:
    case STORE_WRITE_CHANGE:
    case STORE_WRITE_CREDENTIALS:
    case STORE_WRITE_QUEUE_CHANGE:
    case STORE_WRITE_IMPORT:
    case STORE_WRITE_DOOR_CHANGE:
    case STORE_WRITE_REMOTE_SEEN:
        w->queue_bytes += call->size;
        list_append(&w->queue, &call->node);
        w->queued++;
        pause_if_full(w);
        wake(w);
        break;
    case STORE_WRITE_COMPACT: {
        const StoreWrite__CompactRequest *q = (const StoreWrite__CompactRequest *)call->request;
        if (list_is_empty(&w->compact)) {
            w->compact_removed = w->store->counts.volumes_removed;
            w->compact_freed = w->store->counts.bytes_freed;
        }
        unsigned percent = q->min_dead_percent < 1 ? 1 : q->min_dead_percent > 100 ? 100 : q->min_dead_percent;
        w->compact_percent = w->compact_percent && w->compact_percent < percent ? w->compact_percent : percent;
        list_append(&w->compact, &call->node);
        wake(w);
        break;
    }
    case STORE_WRITE_LEDGER_NOTE:
        writer_ledger_note(w, call);
        break;
    case STORE_WRITE_QUEUE_WAIT:
        writer_queue_wait(w, call);
        break;
    default:
        writer_answer(w, call);
    }
}

static void answer_all(struct pending *batch, size_t count, int error)
{
    for (size_t i = 0; i < count; i++) {
        struct pending *p = &batch[i];
        if (error || p->error)
            call_fail(p->call, error ? error : p->error);
        else
            call_reply(p->call, p->reply, (struct span){NULL, 0}, -1);
        buf_release(&p->problem);
    }
}

static void run_batch(struct store_writer *w)
{
    size_t most = w->settings->store.batch_messages ? w->settings->store.batch_messages : 1, count = 0;
    arena_reset(&w->arena);
    struct pending *batch = arena_array(&w->arena, most, sizeof(*batch));
    int rc = batch ? store_begin(w->store) : -ENOMEM;
    struct list_node *node;
    struct pending alone[1];
    if (!batch) {
        batch = alone;
        most = 1;
    }
    while (count < most && (node = list_take_first(&w->queue)) != NULL) {
        struct pending *p = &batch[count++];
        *p = (struct pending){.call = container_of(node, struct call, node)};
        buf_init(&p->problem, 4096);
        w->queue_bytes -= p->call->size;
        if (rc == 0 && w->store->batch_error == 0)
            writer_perform(w, p);
    }
    if (rc == 0)
        rc = store_commit(w->store);
    /* As many as came together lately are likely to come back; one crowd is forgotten within a few batches. */
    w->expected -= w->expected / 8;
    w->expected = count > w->expected ? count : w->expected;
    w->queued -= count;
    answer_all(batch, count, rc);
    reject_log_flush(&w->store->ledger.reject_log);
    writer_ledger_look(w);
    writer_tell_news(w);
    pause_if_full(w);
}

static void answer_compactions(struct store_writer *w, int error)
{
    StoreWrite__CompactReply reply = STORE_WRITE__COMPACT_REPLY__INIT;
    reply.volumes_removed = w->store->counts.volumes_removed - w->compact_removed;
    reply.bytes_freed = w->store->counts.bytes_freed - w->compact_freed;
    struct list_node *node;
    while ((node = list_take_first(&w->compact)) != NULL) {
        struct call *call = container_of(node, struct call, node);
        if (error)
            call_fail(call, error);
        else
            call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    }
    w->compact_percent = 0;
}

/* A slice of the running compaction, or the look whether one pays. True when there is more to do. */
static bool compact_some(struct store_writer *w)
{
    unsigned percent = w->compact_percent ? w->compact_percent : w->settings->store.compact_dead_percent;
    int rc = compaction_is_running(w->store) ? 1 : 0;
    if (!rc && (w->compact_wanted || w->compact_percent)) {
        w->compact_wanted = false;
        rc = percent ? compaction_start(w->store, percent) : 0;
        if (rc <= 0)
            answer_compactions(w, rc);
    }
    if (rc <= 0)
        return false;
    rc = compaction_step(w->store);
    if (rc == 0)
        w->compact_wanted = true; /* the next volume may pay, too */
    if (rc < 0 && rc != -EBADMSG) {
        log_write(LOG_MAJOR, "store", NULL, "compaction was given up for now error=%s", strerror(-rc));
        compaction_free(w->store);
        answer_compactions(w, rc);
        return false;
    }
    return true;
}

static void turn(struct timer *timer)
{
    struct store_writer *w = container_of(timer, struct store_writer, timer);
    if (!list_is_empty(&w->queue))
        run_batch(w);
    /* One batch, then one slice: neither waits for more than one of the other. */
    bool more = !w->store->broken && compact_some(w);
    if (w->store->broken) {
        while (!list_is_empty(&w->queue))
            run_batch(w);
        writer_ledger_finish(w);
        answer_compactions(w, -EIO);
        loop_stop(w->loop);
    } else if (more || !list_is_empty(&w->queue)) {
        wake(w);
    }
}

struct store_writer *store_writer_new(struct loop *loop, struct settings *settings,
                                      const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem)
{
    struct store *store = store_open(settings, problem);
    struct store_writer *w = store ? calloc(1, sizeof(*w)) : NULL;
    if (!w) {
        if (store)
            buf_add_text(problem, "There is no memory for the store's service.");
        store_close(store);
        return NULL;
    }
    w->loop = loop;
    w->store = store;
    w->settings = settings_ref(settings);
    w->timer.fire = turn;
    list_init(&w->queue);
    list_init(&w->compact);
    writer_ledger_init(w);
    memcpy(w->grant_key, grant_key, GRANT_KEY_SIZE);
    arena_init(&w->arena, BATCH_MEMORY);
    attachments_init(&w->attachments, loop, &store_write_service, called, w);
    w->compact_wanted = true;
    wake(w);
    return w;
}

int store_writer_set_settings(struct store_writer *w, struct settings *settings)
{
    int rc = store_set_settings(w->store, settings);
    if (rc)
        return rc;
    settings_unref(w->settings);
    w->settings = settings_ref(settings);
    return 0;
}

int store_writer_attach(struct store_writer *w, int fd, enum role peer)
{
    return attachments_add(&w->attachments, fd, peer);
}

bool store_writer_is_broken(const struct store_writer *w)
{
    return w->store->broken;
}

void store_writer_stop(struct store_writer *w)
{
    w->stopped = true;
    while (!list_is_empty(&w->queue))
        run_batch(w);
    writer_ledger_finish(w);
    /* A compaction that stops half-way goes on at the next start: both places of a message that was copied hold the
     * same. */
    compaction_free(w->store);
    answer_compactions(w, -ESHUTDOWN);
    writer_stop_waiting(w);
    timer_stop(w->loop, &w->timer);
    if (!w->store->broken && database_checkpoint(w->store->db) != 0)
        log_write(LOG_PROBLEM, "store", NULL,
                  "the database's log could not be moved into it; the next start does that");
}

void store_writer_free(struct store_writer *w)
{
    if (!w)
        return;
    if (!w->stopped)
        store_writer_stop(w);
    attachments_release(&w->attachments);
    store_close(w->store);
    arena_release(&w->arena);
    settings_unref(w->settings);
    explicit_bzero(w->grant_key, sizeof(w->grant_key));
    free(w);
}
