/* A pool of memory blocks: busy sessions hand the same few blocks to one another instead of each owning one. Private to
 * run/. No function waits. */
#ifndef RUN_POOL_H
#define RUN_POOL_H

#include "base/span.h"

#define POOL_MAX 32

struct pool {
    void *blocks[POOL_MAX];
    size_t count;
    size_t size; /* of a block, bytes */
};

void pool_init(struct pool *pool, size_t size);
void pool_release(struct pool *pool);
/* A block from malloc, or NULL. */
MUST_USE void *pool_take(struct pool *pool);
/* Keeps or frees it. NULL-safe. */
void pool_give(struct pool *pool, void *block);

#endif
