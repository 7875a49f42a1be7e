#include "policy/connection_table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A slot is its key and one 16-bit counter a column. The key changes hands in three steps: whoever wants the slot sets
 * CLAIMED | column, looks whether every counter is zero, and then sets its own key, or puts the old one back. Whoever
 * counts adds to its counter first and looks at the key afterwards. All of it is sequentially consistent, so one of the
 * two sees the other: a counter is never carried over to another address. */
struct slot {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint16_t counts[];
};

struct connection_table {
    char *slots;
    size_t stride;
    unsigned columns;
    uint64_t seed;
};

/* ff00::/8 is multicast and never the source of a connection, so these keys are free for what is not an IPv6 /64. */
#define KEY_FREE 0ull
#define KEY_IPV4 0xff04000000000000ull
#define KEY_ZERO_PREFIX 0xff06000000000000ull
#define KEY_CLAIMED 0xffff000000000000ull
#define CLAIM_TRIES 64
#define COUNT_MAX 0xfff0u

static size_t slot_size(unsigned columns)
{
    return (sizeof(struct slot) + columns * sizeof(uint16_t) + 7) & ~(size_t)7;
}

static struct slot *slot_at(const struct connection_table *t, uint32_t place)
{
    return (struct slot *)(void *)(t->slots + (size_t)(place % CONNECTION_TABLE_SLOTS) * t->stride);
}

static uint64_t key_of(const unsigned char address[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    uint64_t key = 0;
    if (!memcmp(address, mapped, sizeof mapped)) {
        for (int i = 12; i < 16; i++)
            key = key << 8 | address[i];
        return KEY_IPV4 | key;
    }
    for (int i = 0; i < 8; i++)
        key = key << 8 | address[i];
    return key == KEY_FREE || key >> 56 == 0xff ? KEY_ZERO_PREFIX : key;
}

/* The finaliser of SplitMix64: every bit of the key moves every bit of the place. */
static uint32_t place_of(const struct connection_table *t, uint64_t key)
{
    uint64_t x = key ^ t->seed;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return (uint32_t)(x ^ x >> 31) % CONNECTION_TABLE_SLOTS;
}

int connection_table_create(unsigned columns)
{
    if (!columns || columns > CONNECTION_TABLE_COLUMNS)
        return -EINVAL;
    int fd = memfd_create("ostiary-connections", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    /* Sealed against shrinking: a process that was taken over can't make the others fault. */
    if (ftruncate(fd, (off_t)(slot_size(columns) * CONNECTION_TABLE_SLOTS)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

struct connection_table *connection_table_map(int fd, unsigned columns, uint64_t seed)
{
    struct stat status;
    if (!columns || columns > CONNECTION_TABLE_COLUMNS || fstat(fd, &status) < 0)
        return NULL;
    size_t size = slot_size(columns) * CONNECTION_TABLE_SLOTS;
    if (status.st_size < 0 || (uint64_t)status.st_size < size)
        return NULL;
    struct connection_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    void *slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (slots == MAP_FAILED) {
        free(t);
        return NULL;
    }
    *t = (struct connection_table){.slots = slots, .stride = slot_size(columns), .columns = columns, .seed = seed};
    return t;
}

void connection_table_unmap(struct connection_table *t)
{
    if (!t)
        return;
    munmap(t->slots, t->stride * CONNECTION_TABLE_SLOTS);
    free(t);
}

static unsigned slot_total(const struct connection_table *t, const struct slot *slot)
{
    unsigned total = 0;
    for (unsigned i = 0; i < t->columns; i++)
        total += atomic_load(&slot->counts[i]);
    return total;
}

/* Over the whole neighbourhood: two processes that met an address first at the same instant may have given it two
 * slots. */
static unsigned total_of_key(const struct connection_table *t, uint64_t key)
{
    unsigned total = 0;
    uint32_t place = place_of(t, key);
    for (uint32_t i = 0; i < CONNECTION_TABLE_PROBES; i++) {
        const struct slot *slot = slot_at(t, place + i);
        if (atomic_load(&slot->key) == key)
            total += slot_total(t, slot);
    }
    return total;
}

unsigned connection_table_count(const struct connection_table *t, const unsigned char address[16])
{
    return total_of_key(t, key_of(address));
}

/* Makes the slot ours if nobody counts in it. */
static bool slot_claim(const struct connection_table *t, struct slot *slot, unsigned column, uint64_t key)
{
    uint64_t old = atomic_load(&slot->key);
    if (old >= KEY_CLAIMED || slot_total(t, slot))
        return false;
    if (!atomic_compare_exchange_strong(&slot->key, &old, KEY_CLAIMED | column))
        return false;
    bool is_idle = !slot_total(t, slot);
    atomic_store(&slot->key, is_idle ? key : old);
    return is_idle;
}

/* Adds one to our counter in that slot, unless the slot went to another key meanwhile or the counter is full. */
static bool slot_count(struct slot *slot, unsigned column, uint64_t key)
{
    if (atomic_fetch_add(&slot->counts[column], 1) < COUNT_MAX && atomic_load(&slot->key) == key)
        return true;
    atomic_fetch_sub(&slot->counts[column], 1);
    return false;
}

/* One walk over the neighbourhood. True when it was counted, in *place. */
static bool find_or_claim(struct connection_table *t, unsigned column, uint64_t key, uint32_t *place)
{
    uint32_t first = place_of(t, key);
    for (uint32_t i = 0; i < CONNECTION_TABLE_PROBES; i++) {
        *place = (first + i) % CONNECTION_TABLE_SLOTS;
        struct slot *slot = slot_at(t, *place);
        if (atomic_load(&slot->key) == key && slot_count(slot, column, key))
            return true;
    }
    for (uint32_t i = 0; i < CONNECTION_TABLE_PROBES; i++) {
        *place = (first + i) % CONNECTION_TABLE_SLOTS;
        struct slot *slot = slot_at(t, *place);
        if (slot_claim(t, slot, column, key) && slot_count(slot, column, key))
            return true;
    }
    return false;
}

static bool neighbourhood_has_claims(const struct connection_table *t, uint64_t key)
{
    uint32_t first = place_of(t, key);
    for (uint32_t i = 0; i < CONNECTION_TABLE_PROBES; i++)
        if (atomic_load(&slot_at(t, first + i)->key) >= KEY_CLAIMED)
            return true;
    return false;
}

bool connection_table_enter(struct connection_table *t, unsigned column, const unsigned char address[16],
                            unsigned limit, struct connection_ticket *ticket)
{
    uint64_t key = key_of(address);
    uint32_t place = 0;
    bool is_counted = false;
    ticket->slot = CONNECTION_UNCOUNTED;
    if (column >= t->columns)
        return true;
    /* A claim lasts a few instructions; one that stays is of a process that died in between, which is not waited for.
     */
    for (unsigned i = 0; i < CLAIM_TRIES && !is_counted; i++) {
        is_counted = find_or_claim(t, column, key, &place);
        if (!is_counted && !neighbourhood_has_claims(t, key))
            break;
    }
    if (!is_counted)
        return true;
    if (total_of_key(t, key) > limit) {
        atomic_fetch_sub(&slot_at(t, place)->counts[column], 1);
        return false;
    }
    ticket->slot = place;
    return true;
}

void connection_table_leave(struct connection_table *t, unsigned column, struct connection_ticket ticket)
{
    if (ticket.slot == CONNECTION_UNCOUNTED || column >= t->columns)
        return;
    atomic_fetch_sub(&slot_at(t, ticket.slot)->counts[column], 1);
}

void connection_table_clear_column(struct connection_table *t, unsigned column)
{
    if (column >= t->columns)
        return;
    for (uint32_t i = 0; i < CONNECTION_TABLE_SLOTS; i++) {
        struct slot *slot = slot_at(t, i);
        uint64_t claim = KEY_CLAIMED | column;
        /* Loads first: a store would make pages of a table that is mostly untouched. */
        if (atomic_load(&slot->counts[column]))
            atomic_store(&slot->counts[column], 0);
        if (atomic_load(&slot->key) == claim)
            atomic_compare_exchange_strong(&slot->key, &claim, KEY_FREE);
    }
}
