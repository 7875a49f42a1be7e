#include "auth/penalties.h"

#include "base/clock.h"

#include <stdlib.h>

#define FORGIVE_NANOSECONDS (60 * NANOSECONDS)
/* Beside those that go free: a long attack is forgotten within half an hour after its end. */
#define FAILURES_MAX 30

static const uint64_t delays[] = {0, NANOSECONDS / 2, NANOSECONDS, 2 * NANOSECONDS, 4 * NANOSECONDS, 8 * NANOSECONDS};
#define DELAY_LAST (sizeof delays / sizeof *delays - 1)

struct penalty {
    struct list_node node;
    unsigned failures;
    uint64_t counted_at; /* what `failures` is true for */
    size_t key_size;
    char key[];
};

void penalties_init(struct penalties *p)
{
    map_init(&p->entries);
    list_init(&p->by_age);
}

static void forget(struct penalties *p, struct penalty *penalty)
{
    list_remove(&penalty->node);
    map_remove(&p->entries, span_from(penalty->key, penalty->key_size));
    free(penalty);
}

void penalties_release(struct penalties *p)
{
    list_each_safe (node, &p->by_age)
        forget(p, container_of(node, struct penalty, node));
    map_release(&p->entries);
}

static unsigned failures_now(const struct penalty *penalty, uint64_t now)
{
    uint64_t forgiven = (now - penalty->counted_at) / FORGIVE_NANOSECONDS;
    return forgiven >= penalty->failures ? 0 : penalty->failures - (unsigned)forgiven;
}

static struct penalty *make(struct penalties *p, struct span key)
{
    struct penalty *penalty = malloc(sizeof *penalty + key.size);
    if (!penalty)
        return NULL;
    *penalty = (struct penalty){.key_size = key.size};
    memcpy(penalty->key, key.data, key.size);
    list_init(&penalty->node);
    if (p->entries.count >= PENALTIES_MAX)
        forget(p, container_of(p->by_age.next, struct penalty, node));
    if (map_put(&p->entries, key, penalty)) {
        free(penalty);
        return NULL;
    }
    return penalty;
}

uint64_t penalties_add(struct penalties *p, struct span key, unsigned free_failures, uint64_t now)
{
    struct penalty *penalty = map_get(&p->entries, key);
    if (!penalty && !(penalty = make(p, key)))
        return delays[DELAY_LAST];
    unsigned failures = failures_now(penalty, now), most = free_failures + FAILURES_MAX;
    penalty->failures = failures < most ? failures + 1 : most;
    penalty->counted_at = now;
    list_remove(&penalty->node);
    list_append(&p->by_age, &penalty->node);
    unsigned counted = penalty->failures > free_failures ? penalty->failures - free_failures : 0;
    return delays[counted < DELAY_LAST ? counted : DELAY_LAST];
}

unsigned penalties_count(const struct penalties *p, struct span key, uint64_t now)
{
    const struct penalty *penalty = map_get(&p->entries, key);
    return penalty ? failures_now(penalty, now) : 0;
}
