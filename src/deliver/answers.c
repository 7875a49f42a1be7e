#include "deliver/answers.h"

#include "base/clock.h"

#include <stdlib.h>

struct remembered {
    struct list_node node;
    uint64_t until;
    size_t key_size, size;
    char bytes[]; /* the key, then the answer */
};

void answers_init(struct answers *a, size_t count_max, size_t bytes_max, size_t questions_max)
{
    *a = (struct answers){.bytes_max = bytes_max, .count_max = count_max, .questions_max = questions_max};
    map_init(&a->remembered);
    map_init(&a->under_way);
    list_init(&a->by_age);
}

/* ---- What is remembered ---- */

static size_t cost(const struct remembered *r)
{
    return sizeof *r + r->key_size + r->size;
}

static void forget(struct answers *a, struct remembered *r)
{
    list_remove(&r->node);
    map_remove(&a->remembered, span_from(r->bytes, r->key_size));
    a->bytes -= cost(r);
    free(r);
}

struct span answers_get(struct answers *a, struct span key)
{
    struct remembered *r = map_get(&a->remembered, key);
    if (r && r->until <= clock_monotonic()) {
        forget(a, r);
        r = NULL;
    }
    return r ? span_from(r->bytes + r->key_size, r->size) : (struct span){0};
}

void answers_put(struct answers *a, struct span key, struct span bytes, unsigned seconds)
{
    struct remembered *old = map_get(&a->remembered, key);
    if (old)
        forget(a, old);
    struct remembered *r = seconds ? malloc(sizeof *r + key.size + bytes.size) : NULL;
    if (!r)
        return;
    *r = (struct remembered){.until = clock_in_seconds(seconds), .key_size = key.size, .size = bytes.size};
    list_init(&r->node);
    memcpy(r->bytes, key.data, key.size);
    if (bytes.size)
        memcpy(r->bytes + key.size, bytes.data, bytes.size);
    while (!list_is_empty(&a->by_age) && (a->remembered.count >= a->count_max || a->bytes + cost(r) > a->bytes_max))
        forget(a, container_of(a->by_age.next, struct remembered, node));
    if (cost(r) > a->bytes_max || map_put(&a->remembered, key, r)) {
        free(r);
        return;
    }
    a->bytes += cost(r);
    list_append(&a->by_age, &r->node);
}

/* ---- What is under way ---- */

bool question_join(struct answers *a, struct span key, struct call *call)
{
    struct question *q = map_get(&a->under_way, key);
    if (q)
        list_append(&q->calls, &call->node);
    return q != NULL;
}

struct question *question_begin(struct answers *a, struct span key, struct call *call)
{
    struct question *q = a->under_way.count < a->questions_max ? malloc(sizeof *q + key.size) : NULL;
    if (!q)
        return NULL;
    *q = (struct question){.answers = a, .key_size = key.size};
    list_init(&q->calls);
    memcpy(q->key, key.data, key.size);
    if (map_put(&a->under_way, key, q)) {
        free(q);
        return NULL;
    }
    list_append(&q->calls, &call->node);
    return q;
}

struct span question_key(const struct question *q)
{
    return span_from(q->key, q->key_size);
}

void question_end(struct question *q, const ProtobufCMessage *reply, int error)
{
    struct list_node *node;
    map_remove(&q->answers->under_way, question_key(q));
    while ((node = list_take_first(&q->calls)) != NULL) {
        struct call *call = container_of(node, struct call, node);
        if (reply)
            call_reply(call, reply, (struct span){0}, -1);
        else
            call_fail(call, error);
    }
    free(q);
}
