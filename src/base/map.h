/* A hash map from bytes to a pointer. Keys are copied; values are borrowed. SipHash-2-4 with a random key of the
 * process keeps hostile keys from colliding on purpose. No function here waits. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/span.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t count, room;
};

void map_init(struct map *m);
void map_release(struct map *m);
/* NULL when the key is not there. */
void *map_get(const struct map *m, struct span key);
/* Replaces what was there. -ENOMEM, or 0. `value` is not NULL. */
MUST_USE int map_put(struct map *m, struct span key, void *value);
/* The value that was there, or NULL. */
void *map_remove(struct map *m, struct span key);
/* Walks: start with *position = 0; false at the end. The map may not grow meanwhile. */
bool map_next(const struct map *m, size_t *position, struct span *key, void **value);

/* SipHash-2-4 under the process's key. */
uint64_t hash_bytes(struct span s);
/* The same under a key that several processes know: who does not know it can't make two inputs of one hash. */
uint64_t hash_bytes_with(const uint64_t key[2], struct span s);

#endif
