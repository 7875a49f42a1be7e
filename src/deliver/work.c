/* What is due: the writer says what is new, the reader what was there and what falls due. */
#include "base/clock.h"
#include "deliver/internal.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define WAIT_SECONDS 60
#define PAGE 100
#define NAME_MAX_OCTETS 4096 /* more than the store keeps */
/* Asked anew without a reason: a safety net, should a word be lost. */
#define SCAN_SECONDS 300

void work_scan_soon(struct courier *c)
{
    c->scan_wanted = true;
    condition_wake_all(&c->scan);
    condition_wake_all(&c->room); /* where a scan under way may wait */
}

void work_due_at(struct courier *c, uint64_t at)
{
    if (c->next_at && c->next_at <= at)
        return;
    c->next_at = at;
    condition_wake_all(&c->scan);
}

static void pause_sending(struct courier *c, bool paused)
{
    if (c->is_paused == paused)
        return;
    log_write(LOG_LOW, "courier", NULL, paused ? "sending is paused" : "sending goes on");
    c->is_paused = paused;
    struct span key;
    void *value;
    for (size_t position = 0; paused && map_next(&c->sites, &position, &key, &value);)
        for (struct job *job; (job = site_take(value));)
            job_put_back(job);
    for (size_t position = 0; map_next(&c->sources, &position, &key, &value);)
        condition_wake_all(&((struct source *)value)->changed);
    condition_wake_all(&c->room);
}

/* ---- News ---- */

static int wait_for_news(struct fiber *self, struct courier *c)
{
    StoreWrite__QueueWaitRequest request = STORE_WRITE__QUEUE_WAIT_REQUEST__INIT;
    struct answer answer;
    request.wait_seconds = WAIT_SECONDS;
    int error = channel_call(self, peers_get(c->peers, ROLE_WRITER), STORE_WRITE_QUEUE_WAIT, &request.base,
                             (struct span){0}, -1, clock_in_seconds(2 * WAIT_SECONDS), &answer);
    if (error)
        return error;
    const StoreWrite__QueueWaitReply *reply = (const StoreWrite__QueueWaitReply *)answer.message;
    if (reply->asked && reply->rescan)
        site_open_all(c);
    for (size_t i = 0; reply->asked && i < reply->n_destinations; i++)
        site_open(c, binary_span(reply->destinations[i]));
    for (size_t i = 0; i < reply->n_destinations; i++)
        if (source_wake(c, binary_span(reply->destinations[i])))
            c->scan_wanted = true;
    if (reply->rescan || c->scan_wanted)
        work_scan_soon(c);
    answer_release(&answer);
    return 0;
}

void work_wait_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    while (!c->is_stopping) {
        int error = wait_for_news(self, c);
        if (error == -ECANCELED)
            return;
        if (!error)
            continue;
        /* The writer was restarted: what it would have told us meanwhile is in the queue. */
        if (fiber_sleep(self, clock_monotonic() + RETRY_PAUSE))
            return;
        work_scan_soon(c);
    }
}

/* ---- The queue as it is ---- */

static int ask_due(struct fiber *self, struct courier *c, struct span after, uint32_t limit, struct answer *answer)
{
    StoreRead__QueueDueRequest request = STORE_READ__QUEUE_DUE_REQUEST__INIT;
    request.now = clock_steady();
    request.after = binary_from_span(after);
    request.limit = limit;
    int error = channel_call(self, peers_get(c->peers, ROLE_READER), STORE_READ_QUEUE_DUE, &request.base,
                             (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), answer);
    if (!error && !after.size) {
        const StoreRead__QueueDueReply *reply = (const StoreRead__QueueDueReply *)answer->message;
        c->next_at = reply->next_at;
        pause_sending(c, reply->paused);
    }
    return error;
}

/* Until there may be room for one source more. It may take long, and a pause has to be heard meanwhile. */
static int wait_for_room(struct fiber *self, struct courier *c)
{
    struct answer answer;
    int error = condition_wait(self, &c->room, CLOCK_NEVER);
    if (error || !c->scan_wanted || c->is_stopping)
        return error;
    c->scan_wanted = false;
    c->scan_again = true;
    error = ask_due(self, c, (struct span){0}, 1, &answer);
    if (!error)
        answer_release(&answer);
    return error;
}

/* Wakes the sources of a page, waiting for room. Leaves the last name in `after`. */
static int wake_page(struct fiber *self, struct courier *c, const StoreRead__QueueDueReply *reply, struct buf *after)
{
    for (size_t i = 0; i < reply->n_destinations; i++) {
        struct span name = binary_span(reply->destinations[i]);
        int error;
        while ((error = source_wake(c, name)) == -EAGAIN) {
            error = wait_for_room(self, c);
            if (error)
                return error;
        }
        if (error)
            return error;
        buf_reset(after);
        buf_add_span(after, name);
    }
    return buf_failed(after) ? -EPROTO : 0;
}

static int scan(struct fiber *self, struct courier *c)
{
    struct buf after;
    int error = 0;
    bool more = true;
    buf_init(&after, NAME_MAX_OCTETS);
    while (more && !error && !c->is_stopping) {
        struct answer answer;
        error = ask_due(self, c, buf_span(&after), PAGE, &answer);
        if (error)
            break;
        const StoreRead__QueueDueReply *reply = (const StoreRead__QueueDueReply *)answer.message;
        more = reply->more && reply->n_destinations;
        error = reply->paused ? 0 : wake_page(self, c, reply, &after);
        answer_release(&answer);
    }
    buf_release(&after);
    return error;
}

static uint64_t time_to_scan(const struct courier *c)
{
    uint64_t now = clock_steady(), wait = SCAN_SECONDS * NANOSECONDS;
    if (c->next_at && !c->is_paused)
        wait = c->next_at <= now ? 0 : c->next_at - now < wait ? c->next_at - now : wait;
    return clock_monotonic() + wait;
}

void work_scan_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    int error = 0;
    while (error != -ECANCELED && !c->is_stopping) {
        c->scan_wanted = c->scan_again = false;
        error = scan(self, c);
        c->scan_wanted |= c->scan_again;
        if (error && error != -ECANCELED) {
            log_write(LOG_PROBLEM, "courier", NULL, "the queue can't be asked what is due, tried again error=%s",
                      strerror(-error));
            error = fiber_sleep(self, clock_monotonic() + RETRY_PAUSE);
            continue;
        }
        /* A wake may also say that the time is nearer now. */
        while (!error && !c->scan_wanted && !c->is_stopping)
            error = condition_wait(self, &c->scan, time_to_scan(c));
        error = error == -ETIMEDOUT ? 0 : error;
    }
}
