#include "deliver/rates.h"

#include "base/clock.h"

#include <stdlib.h>

struct rate {
    struct list_node node;
    uint64_t begun;
    unsigned count;
    size_t key_size;
    char key[];
};

void rates_init(struct rates *r)
{
    map_init(&r->map);
    list_init(&r->by_age);
}

static void forget(struct rates *r, struct rate *rate)
{
    list_remove(&rate->node);
    map_remove(&r->map, span_from(rate->key, rate->key_size));
    free(rate);
}

static struct rate *begin(struct rates *r, struct span key, uint64_t now)
{
    if (r->map.count >= RATES_MAX)
        forget(r, container_of(r->by_age.next, struct rate, node));
    struct rate *rate = malloc(sizeof *rate + key.size);
    if (!rate)
        return NULL;
    *rate = (struct rate){.begun = now, .key_size = key.size};
    list_init(&rate->node);
    memcpy(rate->key, key.data, key.size);
    if (map_put(&r->map, key, rate)) {
        free(rate);
        return NULL;
    }
    list_append(&r->by_age, &rate->node);
    return rate;
}

bool rates_take(struct rates *r, struct span key, unsigned most, uint64_t now)
{
    struct rate *rate = map_get(&r->map, key);
    if (rate && now - rate->begun >= 60 * NANOSECONDS) {
        forget(r, rate);
        rate = NULL;
    }
    if (!rate && !(rate = begin(r, key, now)))
        return false;
    if (rate->count >= most)
        return false;
    rate->count++;
    return true;
}
