#include "store/writer_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "ipc/binary.h"
#include "store/queue.h"

#include "store_write.pb-c.h"

#include <errno.h>

#define WAIT_MAX 3600 /* seconds */
#define MEND_PAUSE (60 * NANOSECONDS)

/* ---- QueueWait ---- */

static void answer_waiting(struct store_writer *w)
{
    StoreWrite__QueueWaitReply reply = STORE_WRITE__QUEUE_WAIT_REPLY__INIT;
    struct queue_news *news = &w->store->news;
    ProtobufCBinaryData names[QUEUE_NEWS_MAX];
    size_t position = 0;
    struct span name;
    void *value;
    reply.rescan = news->rescan;
    reply.asked = news->asked;
    reply.destinations = names;
    while (reply.n_destinations < QUEUE_NEWS_MAX && map_next(&news->destinations, &position, &name, &value))
        names[reply.n_destinations++] = binary_from_span(name);
    struct call *call = w->waiting;
    w->waiting = NULL;
    timer_stop(w->loop, &w->waiting_ends);
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    queue_news_clear(news);
}

static void wait_is_over(struct timer *timer)
{
    struct store_writer *w = container_of(timer, struct store_writer, waiting_ends);
    if (w->waiting)
        answer_waiting(w);
}

/* Now and then: it is a look into an index. */
static void mend_times(struct store_writer *w)
{
    uint64_t now = clock_monotonic();
    if (w->store->broken || (w->mended_at && now - w->mended_at < MEND_PAUSE))
        return;
    w->mended_at = now;
    int rc = queue_mend_times(w->store);
    if (rc)
        log_write(LOG_PROBLEM, "store", NULL, "the queue's times can't be looked at error=%s", strerror(-rc));
}

void writer_queue_wait(struct store_writer *w, struct call *call)
{
    const StoreWrite__QueueWaitRequest *q = (const StoreWrite__QueueWaitRequest *)call->request;
    uint64_t seconds = q->wait_seconds < WAIT_MAX ? q->wait_seconds : WAIT_MAX;
    writer_stop_waiting(w);
    mend_times(w);
    /* A new courier: what the one before it was told is lost with it. */
    if (call->channel_id != w->courier_channel)
        queue_news_rescan(&w->store->news);
    w->courier_channel = call->channel_id;
    w->waiting = call;
    w->waiting_ends.fire = wait_is_over;
    if (!queue_news_is_empty(&w->store->news) || timer_start(w->loop, &w->waiting_ends, clock_in_seconds(seconds)) != 0)
        answer_waiting(w);
}

void writer_tell_news(struct store_writer *w)
{
    if (w->waiting && !queue_news_is_empty(&w->store->news))
        answer_waiting(w);
}

void writer_stop_waiting(struct store_writer *w)
{
    struct call *call = w->waiting;
    w->waiting = NULL;
    timer_stop(w->loop, &w->waiting_ends);
    if (call)
        call_fail(call, -ECANCELED);
}

/* ---- QueueList ---- */

static void put_item(StoreWrite__QueueItem *to, const struct queue_row *row)
{
    static char kinds[][8] = {"", "remote", "list", "report"}, states[][8] = {"due", "held"};
    store_write__queue_item__init(to);
    to->message_id = row->message_id;
    to->number = row->number;
    to->reverse_path = binary_from_span(row->reverse_path);
    to->address = binary_from_span(row->address);
    to->original = binary_from_span(row->original);
    to->destination = binary_from_span(row->destination);
    to->kind = kinds[row->kind <= QUEUE_KIND_REPORT ? row->kind : 0];
    to->state = states[row->state == QUEUE_STATE_HELD];
    to->attempts = row->attempts < UINT32_MAX ? (uint32_t)row->attempts : UINT32_MAX;
    to->next_at = row->next_at;
    to->created_at = row->created_at;
    to->size = row->size;
    to->reply = binary_from_span(row->reply);
    to->warned = row->warned;
    to->give_up = row->give_up;
}

static int put_state(struct store_writer *w, StoreWrite__QueueListReply *reply, bool is_first)
{
    int in = queue_is_paused(w->store->db, QUEUE_IN), out = queue_is_paused(w->store->db, QUEUE_OUT);
    reply->paused_in = in > 0;
    reply->paused_out = out > 0;
    reply->total = is_first ? w->store->queued.entries : 0;
    return in < 0 ? in : out < 0 ? out : 0;
}

int writer_queue_list(struct store_writer *w, struct call *call)
{
    const StoreWrite__QueueListRequest *q = (const StoreWrite__QueueListRequest *)call->request;
    StoreWrite__QueueListReply reply = STORE_WRITE__QUEUE_LIST_REPLY__INIT;
    struct queue_choice choice = {.message_id = q->message_id, .match = binary_span(q->match)};
    struct queue_place after = {q->after_message_id, q->after_number};
    struct queue_page page;
    arena_reset(&w->arena);
    int rc = queue_list(w->store->db, &choice, after, q->limit ? q->limit : QUEUE_PAGE, &w->arena, &page);
    rc = rc ? rc : put_state(w, &reply, q->after_message_id == 0);
    if (rc != 0)
        return rc;
    StoreWrite__QueueItem *items = arena_array(&w->arena, page.count + 1, sizeof(*items));
    reply.items = arena_array(&w->arena, page.count + 1, sizeof(StoreWrite__QueueItem *));
    if (!items || !reply.items)
        return -ENOMEM;
    reply.n_items = page.count;
    for (size_t i = 0; i < page.count; i++) {
        put_item(&items[i], &page.rows[i]);
        reply.items[i] = &items[i];
    }
    reply.more = page.more;
    reply.last_message_id = page.last.message_id;
    reply.last_number = page.last.number;
    struct buf header;
    buf_init(&header, QUEUE_HEADER_MAX);
    if (q->header && page.count > 0 && q->message_id)
        rc = queue_header(w->store, q->message_id, &header);
    if (rc == 0)
        call_reply(call, &reply.base, buf_span(&header), -1);
    buf_release(&header);
    return rc;
}

/* ---- QueueChange ---- */

static int change_entries(struct store_writer *w, const StoreWrite__QueueChangeRequest *q, struct pending *p,
                          StoreWrite__QueueChangeReply *reply)
{
    static const enum queue_action actions[] = {
        [STORE_WRITE__QUEUE_ACTION__QUEUE_RETRY] = QUEUE_DO_RETRY,
        [STORE_WRITE__QUEUE_ACTION__QUEUE_HOLD] = QUEUE_DO_HOLD,
        [STORE_WRITE__QUEUE_ACTION__QUEUE_RELEASE] = QUEUE_DO_RELEASE,
        [STORE_WRITE__QUEUE_ACTION__QUEUE_DROP] = QUEUE_DO_DROP,
        [STORE_WRITE__QUEUE_ACTION__QUEUE_BOUNCE] = QUEUE_DO_BOUNCE,
    };
    struct queue_choice choice = {
        .message_id = q->message_id, .number = q->all_numbers ? 0 : q->number, .match = binary_span(q->match)};
    struct queue_page page = {.last = {q->after_message_id, q->after_number}};
    bool says_which = q->message_id ? q->all_numbers || q->number : choice.match.size || q->everything;
    if ((unsigned)q->action >= sizeof(actions) / sizeof(actions[0]) || !actions[q->action] || !says_which) {
        buf_add_text(&p->problem, "The change does not say what is to be done to which entries.");
        return 0;
    }
    int rc = queue_change(w->store, &choice, actions[q->action], &page, &reply->changed);
    reply->found = page.count;
    reply->more = page.more;
    reply->last_message_id = page.last.message_id;
    reply->last_number = page.last.number;
    w->compact_wanted |= q->action == STORE_WRITE__QUEUE_ACTION__QUEUE_DROP;
    return rc;
}

int writer_queue_change(struct store_writer *w, struct pending *p)
{
    const StoreWrite__QueueChangeRequest *q = (const StoreWrite__QueueChangeRequest *)p->call->request;
    StoreWrite__QueueChangeReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    if (!reply)
        return -ENOMEM;
    store_write__queue_change_reply__init(reply);
    p->reply = &reply->base;
    int rc;
    switch (q->action) {
    case STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_IN:
    case STORE_WRITE__QUEUE_ACTION__QUEUE_RESUME_IN:
        rc = queue_pause(w->store, QUEUE_IN, q->action == STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_IN);
        break;
    case STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_OUT:
    case STORE_WRITE__QUEUE_ACTION__QUEUE_RESUME_OUT:
        rc = queue_pause(w->store, QUEUE_OUT, q->action == STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_OUT);
        break;
    default:
        rc = change_entries(w, q, p, reply);
    }
    buf_add_char(&p->problem, '\0');
    if (rc == 0 && buf_failed(&p->problem))
        return store_fail(w->store, -ENOMEM);
    reply->problem = p->problem.data;
    return rc;
}
