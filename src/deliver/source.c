/* The entries of one destination: fetched by the hundred, grouped into jobs, given to the site. */
#include "base/clock.h"
#include "deliver/internal.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE 200
/* More is fetched when fewer than these are in hand. */
#define LOW_WATER 400
/* Of a destination with nothing in hand, while the others hold as much as is allowed: slow ones don't stop it. */
#define SMALL_PAGE 20
#define REWIND_SECONDS 10
#define FIELD_MAX 4096

/* ---- Entries ---- */

struct entry_key {
    uint64_t message_id;
    uint32_t number;
} __attribute__((packed));

static struct span key_span(const struct entry_key *key)
{
    return span_from(key, sizeof *key);
}

static void entry_free(struct entry *e)
{
    struct entry_key key = {e->message_id, e->number};
    map_remove(&e->source->courier->in_hand, key_span(&key));
    free(e->reply);
    free(e->host);
    free(e);
}

void entry_release(struct entry *e)
{
    struct source *s = e->source;
    s->in_hand--;
    condition_wake_all(&s->changed);
    /* A page that was read before the row went may be on its way: it must not bring the entry back. */
    if (s->is_fetching) {
        e->is_dead = true;
        list_append(&s->dead, &e->node);
    } else {
        entry_free(e);
    }
}

void job_put_back(struct job *job)
{
    for (struct list_node *node; (node = list_take_first(&job->entries));)
        entry_release(container_of(node, struct entry, node));
    free(job);
}

static struct span put(char **place, ProtobufCBinaryData bytes)
{
    struct span copy = {*place, bytes.len};
    if (bytes.len)
        memcpy(*place, bytes.data, bytes.len);
    *place += bytes.len;
    return copy;
}

static bool kind_parse(int kind, enum entry_kind *out)
{
    static const enum entry_kind kinds[] = {
        [STORE_READ__QUEUE_KIND__QUEUE_REMOTE] = ENTRY_REMOTE,
        [STORE_READ__QUEUE_KIND__QUEUE_LIST] = ENTRY_LIST,
        [STORE_READ__QUEUE_KIND__QUEUE_REPORT] = ENTRY_REPORT,
    };
    if (kind <= 0 || (size_t)kind >= sizeof kinds / sizeof *kinds)
        return false;
    *out = kinds[kind];
    return true;
}

/* NULL: no memory, or no entry that makes sense. */
static struct entry *entry_new(struct source *s, const StoreRead__QueueEntry *row)
{
    const ProtobufCBinaryData *fields[] = {&row->address,   &row->original,     &row->orcpt,
                                           &row->forwarder, &row->reverse_path, &row->reply};
    size_t size = 0;
    enum entry_kind kind;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (fields[i]->len > FIELD_MAX)
            return NULL;
        size += fields[i]->len;
    }
    struct entry *e = kind_parse((int)row->kind, &kind) ? calloc(1, sizeof *e + size) : NULL;
    if (!e)
        return NULL;
    char *place = (char *)(e + 1);
    *e = (struct entry){.source = s,
                        .message_id = row->message_id,
                        .number = row->number,
                        .kind = kind,
                        .notify = row->notify,
                        .attempts = row->attempts,
                        .list_id = row->list_id,
                        .size = row->size,
                        .next_at = row->next_at,
                        .sender_account_id = row->sender_account_id,
                        .created_at = row->created_at,
                        .warned = row->warned,
                        .give_up = row->give_up};
    e->address = put(&place, row->address);
    e->original = put(&place, row->original);
    e->orcpt = put(&place, row->orcpt);
    e->forwarder = put(&place, row->forwarder);
    e->reverse_path = put(&place, row->reverse_path);
    e->last_reply = put(&place, row->reply);
    list_init(&e->node);
    struct entry_key key = {e->message_id, e->number};
    if (map_put(&s->courier->in_hand, key_span(&key), e)) {
        free(e);
        return NULL;
    }
    s->in_hand++;
    return e;
}

/* ---- Jobs ---- */

static bool fits(const struct job *job, const struct entry *e)
{
    const struct entry *first = container_of(job->entries.next, struct entry, node);
    return job->count < JOB_ENTRIES_MAX && first->message_id == e->message_id && first->kind == ENTRY_REMOTE &&
           e->kind == ENTRY_REMOTE && span_equal(first->forwarder, e->forwarder) && !first->give_up && !e->give_up;
}

static struct job *job_new(struct entry *e)
{
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return NULL;
    list_init(&job->node);
    list_init(&job->entries);
    list_append(&job->entries, &e->node);
    job->count = 1;
    return job;
}

static void hand_over(struct source *s, struct job *job)
{
    const struct entry *first = container_of(job->entries.next, struct entry, node);
    if (first->give_up) {
        struct verdict given_up = verdict_of_trouble(TROUBLE_GIVEN_UP);
        job_finish_with(s->courier, job, &given_up, (struct span){0}, (struct span){0});
    } else if (site_is_closed(s->site)) {
        /* Those that fall due while it is down wait with it, new ones as well. */
        job_finish_with(s->courier, job, &s->site->closed_verdict, (struct span){0}, span_text(s->site->closed_reply));
    } else {
        site_add(s->site, job);
    }
}

static int take_page(struct source *s, const StoreRead__QueueEntriesReply *reply)
{
    struct job *job = NULL;
    int error = 0;
    for (size_t i = 0; i < reply->n_entries && !error; i++) {
        const StoreRead__QueueEntry *row = reply->entries[i];
        struct entry_key key = {row->message_id, row->number};
        if (!map_get(&s->courier->in_hand, key_span(&key))) {
            struct entry *e = entry_new(s, row);
            if (e && job && fits(job, e)) {
                list_append(&job->entries, &e->node);
                job->count++;
            } else if (e) {
                if (job)
                    hand_over(s, job);
                job = job_new(e);
                if (!job)
                    entry_release(e);
            }
            if (!e || !job)
                error = -ENOMEM;
        }
        if (!error) {
            s->after_next_at = row->next_at;
            s->after_message_id = row->message_id;
            s->after_number = row->number;
        }
    }
    if (job)
        hand_over(s, job);
    return error;
}

/* ---- The fiber ---- */

static void rewind_cursor(struct source *s)
{
    s->after_next_at = s->after_message_id = s->after_number = 0;
    s->rewound_at = clock_monotonic();
    s->is_woken = false;
}

/* The number of rows of the next page, those in hand included; or a negative errno. */
static int fetch(struct fiber *self, struct source *s)
{
    StoreRead__QueueEntriesRequest request = STORE_READ__QUEUE_ENTRIES_REQUEST__INIT;
    struct answer answer;
    request.destination = binary_from_span(span_text(s->name));
    request.now = clock_steady();
    request.after_next_at = s->after_next_at;
    request.after_message_id = s->after_message_id;
    request.after_number = s->after_number;
    request.limit = s->courier->in_hand.count < ENTRIES_IN_HAND_MAX ? PAGE : SMALL_PAGE;
    s->is_fetching = true;
    int error = channel_call(self, peers_get(s->courier->peers, ROLE_READER), STORE_READ_QUEUE_ENTRIES, &request.base,
                             (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), &answer);
    int count = 0;
    if (!error && !s->courier->is_stopping) {
        const StoreRead__QueueEntriesReply *reply = (const StoreRead__QueueEntriesReply *)answer.message;
        error = take_page(s, reply);
        count = (int)reply->n_entries;
    }
    s->is_fetching = false;
    for (struct list_node *node; (node = list_take_first(&s->dead));)
        entry_free(container_of(node, struct entry, node));
    answer_release(&answer);
    return error ? error : count;
}

static bool may_fetch(const struct source *s)
{
    return !s->in_hand || (s->in_hand < LOW_WATER && s->courier->in_hand.count < ENTRIES_IN_HAND_MAX);
}

/* All that was due is in hand. */
static int wait_for_news(struct fiber *self, struct source *s)
{
    struct courier *c = s->courier;
    int error = 0;
    while (!error && s->in_hand && !s->is_woken && !c->is_stopping && !c->is_paused)
        error = condition_wait(self, &s->changed, CLOCK_NEVER);
    return error;
}

/* One page, or the wait for a reason to ask for one. False when nothing is left, or on an end. */
static bool step(struct fiber *self, struct source *s)
{
    if (!may_fetch(s))
        return condition_wait(self, &s->changed, CLOCK_NEVER) == 0;
    /* Rows may appear before the cursor: entries that were released, a clock that was set back. */
    bool at_start = !s->after_message_id;
    if (!at_start && clock_monotonic() - s->rewound_at > REWIND_SECONDS * NANOSECONDS)
        rewind_cursor(s);
    s->is_woken = false;
    int count = fetch(self, s);
    if (count == -ECANCELED)
        return false;
    if (count < 0) {
        log_write(LOG_PROBLEM, "courier", NULL, "the queue can't be read, tried again destination=%s error=%s",
                  log_quote(span_text(s->name)), strerror(-count));
        return fiber_sleep(self, clock_monotonic() + RETRY_PAUSE) == 0;
    }
    if (count || s->is_woken)
        return true;
    if (s->in_hand)
        return wait_for_news(self, s) == 0;
    if (at_start)
        return false;
    rewind_cursor(s);
    return true;
}

static void source_main(struct fiber *self, void *argument)
{
    struct source *s = argument;
    struct courier *c = s->courier;
    bool goes_on = true;
    rewind_cursor(s);
    while (goes_on && !c->is_stopping && !c->is_paused)
        goes_on = step(self, s);
    /* Stopped or paused: what is in hand comes to its end; it refers to the source. */
    while (s->in_hand)
        if (condition_wait(self, &s->changed, CLOCK_NEVER))
            return; /* the process ends, and its memory with it */
    map_remove(&c->sources, span_text(s->name));
    s->site->sources--;
    site_leave(s->site);
    bool was_woken = s->is_woken && !c->is_stopping && !c->is_paused;
    condition_wake_all(&c->room);
    free(s->name);
    free(s);
    if (was_woken)
        work_scan_soon(c);
}

int source_wake(struct courier *c, struct span name)
{
    struct source *s = map_get(&c->sources, name);
    if (s) {
        s->is_woken = true;
        condition_wake_all(&s->changed);
        return 0;
    }
    if (c->is_stopping || c->is_paused)
        return 0;
    if (c->sources.count >= SOURCES_MAX)
        return -EAGAIN;
    s = calloc(1, sizeof *s);
    char *copy = strndup(name.data, name.size);
    struct site *site = s && copy ? site_get(c, name) : NULL;
    if (site) {
        *s = (struct source){.courier = c, .site = site, .name = copy};
        condition_init(&s->changed);
        list_init(&s->dead);
        if (map_put(&c->sources, name, s) == 0) {
            site->sources++;
            if (fiber_start(c->loop, "source", source_main, s))
                return 0;
            site->sources--;
            map_remove(&c->sources, name);
        }
        site_leave(site);
    }
    free(copy);
    free(s);
    return -ENOMEM;
}
