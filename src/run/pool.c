#include "run/pool.h"

#include <stdlib.h>

void pool_init(struct pool *pool, size_t size)
{
    *pool = (struct pool){.size = size};
}

void pool_release(struct pool *pool)
{
    while (pool->count > 0)
        free(pool->blocks[--pool->count]);
}

void *pool_take(struct pool *pool)
{
    return pool->count > 0 ? pool->blocks[--pool->count] : malloc(pool->size);
}

void pool_give(struct pool *pool, void *block)
{
    if (block && pool->count < POOL_MAX)
        pool->blocks[pool->count++] = block;
    else
        free(block);
}
