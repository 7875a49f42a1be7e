#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_SIZE 4096

struct arena_block {
    struct arena_block *next;
    size_t room, used;
    alignas(max_align_t) char bytes[];
};

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

static struct arena_block *block_new(size_t room)
{
    struct arena_block *block = malloc(sizeof *block + room);
    if (block)
        *block = (struct arena_block){.room = room};
    return block;
}

void arena_reset(struct arena *a)
{
    struct arena_block *kept = NULL;
    for (struct arena_block *block = a->block, *next; block; block = next) {
        next = block->next;
        if (!kept && block->room == BLOCK_SIZE - sizeof *block) {
            kept = block;
            kept->next = NULL;
            kept->used = 0;
        } else {
            free(block);
        }
    }
    a->block = kept;
    a->used = 0;
    a->is_full = a->is_starved = false;
}

void arena_release(struct arena *a)
{
    arena_reset(a);
    free(a->block);
    a->block = NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t rounded = size + (alignof(max_align_t) - 1);
    if (rounded < size)
        return NULL;
    rounded -= rounded % alignof(max_align_t);
    if (rounded > SIZE_MAX - sizeof(struct arena_block) || rounded > a->limit || a->used > a->limit - rounded) {
        a->is_full = true;
        return NULL;
    }
    if (!a->block || a->block->room - a->block->used < rounded) {
        size_t ordinary = BLOCK_SIZE - sizeof(struct arena_block);
        struct arena_block *block = block_new(rounded > ordinary ? rounded : ordinary);
        if (!block) {
            a->is_starved = true;
            return NULL;
        }
        block->next = a->block;
        a->block = block;
    }
    void *piece = a->block->bytes + a->block->used;
    a->block->used += rounded;
    a->used += rounded;
    return memset(piece, 0, rounded);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t total;
    return __builtin_mul_overflow(n, size, &total) ? NULL : arena_alloc(a, total);
}

struct span arena_copy(struct arena *a, struct span s)
{
    char *copy = arena_text(a, s);
    return (struct span){copy, copy ? s.size : 0};
}

char *arena_text(struct arena *a, struct span s)
{
    char *copy = s.size == SIZE_MAX ? NULL : arena_alloc(a, s.size + 1);
    if (copy && s.size)
        memcpy(copy, s.data, s.size);
    return copy;
}
