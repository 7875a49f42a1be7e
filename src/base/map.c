#include "base/map.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

/* Open addressing with linear probing; a removed slot is filled by shifting its followers back, so there are no
 * tombstones. */
struct map_slot {
    char *key; /* NULL: free */
    size_t size;
    uint64_t hash;
    void *value;
};

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_release(struct map *m)
{
    for (size_t i = 0; i < m->room; i++)
        free(m->slots[i].key);
    free(m->slots);
    map_init(m);
}

static struct map_slot *find(const struct map *m, struct span key, uint64_t hash)
{
    for (size_t i = hash & (m->room - 1);; i = (i + 1) & (m->room - 1)) {
        struct map_slot *slot = &m->slots[i];
        if (!slot->key || (slot->hash == hash && span_equal(span_from(slot->key, slot->size), key)))
            return slot;
    }
}

static int grow(struct map *m)
{
    struct map bigger = {.room = m->room ? m->room * 2 : 16, .count = m->count};
    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    if (!bigger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->room; i++) {
        struct map_slot *slot = &m->slots[i];
        if (slot->key)
            *find(&bigger, span_from(slot->key, slot->size), slot->hash) = *slot;
    }
    free(m->slots);
    *m = bigger;
    return 0;
}

void *map_get(const struct map *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    struct map_slot *slot = find(m, key, hash_bytes(key));
    return slot->key ? slot->value : NULL;
}

int map_put(struct map *m, struct span key, void *value)
{
    if (m->count * 4 >= m->room * 3) {
        int error = grow(m);
        if (error)
            return error;
    }
    uint64_t hash = hash_bytes(key);
    struct map_slot *slot = find(m, key, hash);
    if (!slot->key) {
        char *copy = malloc(key.size ? key.size : 1);
        if (!copy)
            return -ENOMEM;
        if (key.size)
            memcpy(copy, key.data, key.size);
        *slot = (struct map_slot){.key = copy, .size = key.size, .hash = hash};
        m->count++;
    }
    slot->value = value;
    return 0;
}

void *map_remove(struct map *m, struct span key)
{
    if (m->count == 0)
        return NULL;
    struct map_slot *slot = find(m, key, hash_bytes(key));
    if (!slot->key)
        return NULL;
    void *value = slot->value;
    free(slot->key);
    size_t hole = (size_t)(slot - m->slots);
    for (size_t i = (hole + 1) & (m->room - 1); m->slots[i].key; i = (i + 1) & (m->room - 1)) {
        size_t home = m->slots[i].hash & (m->room - 1);
        /* It may move back when its home is not between the hole and itself. */
        if (((i - home) & (m->room - 1)) >= ((i - hole) & (m->room - 1))) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole] = (struct map_slot){0};
    m->count--;
    return value;
}

bool map_next(const struct map *m, size_t *position, struct span *key, void **value)
{
    for (; *position < m->room; (*position)++) {
        struct map_slot *slot = &m->slots[*position];
        if (!slot->key)
            continue;
        *key = span_from(slot->key, slot->size);
        *value = slot->value;
        (*position)++;
        return true;
    }
    return false;
}

/* SipHash-2-4, after the description by Aumasson and Bernstein (2012). */
static inline uint64_t rotate(uint64_t x, int b)
{
    return x << b | x >> (64 - b);
}

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t word)
{
    s->v3 ^= word;
    sip_round(s);
    sip_round(s);
    s->v0 ^= word;
}

uint64_t hash_bytes_with(const uint64_t key[2], struct span bytes)
{
    struct sip s = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                    key[1] ^ 0x7465646279746573u};
    size_t left = bytes.size;
    const char *at = bytes.data;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        sip_word(&s, word);
    }
    uint64_t last = (uint64_t)bytes.size << 56;
    for (size_t i = 0; i < left; i++)
        last |= (uint64_t)(unsigned char)at[i] << (8 * i);
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

uint64_t hash_bytes(struct span bytes)
{
    static uint64_t key[2];
    static bool seeded;
    if (!seeded) {
        if (getrandom(key, sizeof key, 0) != sizeof key)
            abort(); /* without a secret key hostile names could collide on purpose */
        seeded = true;
    }
    return hash_bytes_with(key, bytes);
}
