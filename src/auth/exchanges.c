#include "auth/exchanges.h"

#include "base/clock.h"

#include <stdlib.h>

void exchanges_init(struct exchanges *t)
{
    *t = (struct exchanges){0};
    map_init(&t->by_id);
    list_init(&t->by_age);
}

static void take_out(struct exchanges *t, struct exchange *x)
{
    map_remove(&t->by_id, span_from(&x->id, sizeof x->id));
    list_remove(&x->by_age);
    list_remove(&x->by_channel);
    x->owner->count--;
    x->owner = NULL;
}

static void drop(struct exchanges *t, struct exchange *x)
{
    take_out(t, x);
    exchange_free(x);
}

void exchanges_release(struct exchanges *t)
{
    list_each_safe (node, &t->by_age)
        drop(t, container_of(node, struct exchange, by_age));
    map_release(&t->by_id);
}

void exchange_owner_init(struct exchange_owner *owner)
{
    list_init(&owner->exchanges);
    owner->count = 0;
}

void exchange_owner_release(struct exchanges *t, struct exchange_owner *owner)
{
    list_each_safe (node, &owner->exchanges)
        drop(t, container_of(node, struct exchange, by_channel));
}

struct exchange *exchange_new(struct exchanges *t, enum mechanism_id mechanism, uint64_t now)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->id = ++t->last_id;
    x->expires_at = now + EXCHANGE_SECONDS * NANOSECONDS;
    sasl_exchange_init(&x->sasl, mechanism);
    list_init(&x->by_age);
    list_init(&x->by_channel);
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x)
        return;
    sasl_exchange_release(&x->sasl);
    free(x);
}

int exchanges_put(struct exchanges *t, struct exchange_owner *owner, struct exchange *x)
{
    if (owner->count >= EXCHANGES_PER_CHANNEL_MAX)
        drop(t, container_of(owner->exchanges.next, struct exchange, by_channel));
    else if (t->by_id.count >= EXCHANGES_MAX)
        drop(t, container_of(t->by_age.next, struct exchange, by_age));
    int error = map_put(&t->by_id, span_from(&x->id, sizeof x->id), x);
    if (error)
        return error;
    list_append(&t->by_age, &x->by_age);
    list_append(&owner->exchanges, &x->by_channel);
    owner->count++;
    x->owner = owner;
    return 0;
}

struct exchange *exchanges_take(struct exchanges *t, struct exchange_owner *owner, uint64_t id, uint64_t now)
{
    struct exchange *x = map_get(&t->by_id, span_from(&id, sizeof id));
    if (!x || x->owner != owner)
        return NULL;
    take_out(t, x);
    if (now < x->expires_at)
        return x;
    exchange_free(x);
    return NULL;
}

/* They stand in the order of their last step, which is nearly that of their end: one that is overdue behind one that is
 * not waits for it, a minute at most, and exchanges_take() does not give it out. */
uint64_t exchanges_sweep(struct exchanges *t, uint64_t now)
{
    list_each_safe (node, &t->by_age) {
        struct exchange *x = container_of(node, struct exchange, by_age);
        if (x->expires_at > now)
            return x->expires_at;
        drop(t, x);
    }
    return CLOCK_NEVER;
}
