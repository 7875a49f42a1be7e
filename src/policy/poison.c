#include "policy/poison.h"

#include "base/map.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_MAX (64u << 10)
#define TAIL 4096u
#define CANDIDATES 64

/* A line of the cache each: they are written all the time. */
struct poison_place {
    _Atomic uint64_t fingerprint; /* 0: nothing is being parsed */
    char padding[64 - sizeof(uint64_t)];
};

struct poison_list {
    uint64_t key[2]; /* of fingerprints: else who has one poison message could have another's held aside */
    _Atomic uint32_t count;
    _Atomic uint64_t fingerprints[POISON_LIST_MAX];
};

static struct poison_place *own_place;
static const struct poison_list *own_list;

/* ---- Fingerprints ---- */

uint64_t poison_fingerprint(struct span content)
{
    static const uint64_t no_key[2];
    const uint64_t *key = own_list ? own_list->key : no_key;
    struct span rest = span_skip(content, HEAD_MAX);
    struct span tail = span_skip(rest, rest.size > TAIL ? rest.size - TAIL : 0);
    const uint64_t parts[] = {hash_bytes_with(key, span_head(content, HEAD_MAX)), hash_bytes_with(key, tail),
                              content.size};
    uint64_t h = hash_bytes_with(key, span_from((const char *)parts, sizeof parts));
    return h ? h : 1;
}

/* ---- Who parses ---- */

int poison_attach(int places, int list, unsigned place)
{
    struct stat status;
    if (place >= POISON_PLACES_MAX || fstat(places, &status) < 0 ||
        (uint64_t)status.st_size < (place + 1) * sizeof(struct poison_place) || fstat(list, &status) < 0 ||
        (uint64_t)status.st_size < sizeof(struct poison_list))
        return -EINVAL;
    size_t size = (place + 1) * sizeof(struct poison_place);
    struct poison_place *all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, places, 0);
    if (all == MAP_FAILED)
        return -ENOMEM;
    void *read_only = mmap(NULL, sizeof(struct poison_list), PROT_READ, MAP_SHARED, list, 0);
    if (read_only == MAP_FAILED) {
        munmap(all, size);
        return -ENOMEM;
    }
    own_place = &all[place];
    own_list = read_only;
    return 0;
}

static bool is_listed(uint64_t fingerprint)
{
    uint32_t count = own_list ? atomic_load_explicit(&own_list->count, memory_order_acquire) : 0;
    for (uint32_t i = 0; i < count && i < POISON_LIST_MAX; i++)
        if (atomic_load_explicit(&own_list->fingerprints[i], memory_order_relaxed) == fingerprint)
            return true;
    return false;
}

bool poison_begin(uint64_t fingerprint)
{
    if (is_listed(fingerprint))
        return false;
    if (own_place)
        atomic_store_explicit(&own_place->fingerprint, fingerprint, memory_order_relaxed);
    /* The compiler keeps the note before what it is for; a dead process has no stores that are not seen. */
    atomic_signal_fence(memory_order_seq_cst);
    return true;
}

void poison_end(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    if (own_place)
        atomic_store_explicit(&own_place->fingerprint, 0, memory_order_relaxed);
}

void poison_test(struct span content)
{
#ifdef OSTIARY_TEST_BUILD
    static const char *word;
    static bool is_asked;
    if (!is_asked)
        word = getenv("OSTIARY_TEST_POISON");
    is_asked = true;
    if (word && *word && content.size && memmem(content.data, content.size, word, strlen(word)))
        abort();
#else
    (void)content;
#endif
}

/* ---- The supervisor ---- */

struct candidate {
    uint64_t fingerprint; /* 0: free */
    uint64_t last;        /* the register's number of its last death */
    unsigned deaths;
};

struct poison_register {
    int places_fd, list_fd;
    unsigned count;
    struct poison_place *places;
    struct poison_list *list;
    uint64_t deaths;    /* of all */
    uint32_t next_line; /* of the list */
    struct candidate candidates[CANDIDATES];
};

static int make_memory(const char *name, size_t size, int seals, void **memory)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    void *mapped = fd < 0 || ftruncate(fd, (off_t)size) < 0
                       ? MAP_FAILED
                       : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | seals) < 0) {
        if (mapped != MAP_FAILED)
            munmap(mapped, size);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *memory = mapped;
    return fd;
}

struct poison_register *poison_register_new(unsigned places)
{
    struct poison_register *r = places && places <= POISON_PLACES_MAX ? calloc(1, sizeof *r) : NULL;
    void *memory = NULL;
    if (!r)
        return NULL;
    r->count = places;
    r->places_fd = r->list_fd = -1;
    r->places_fd = make_memory("ostiary-parsing", places * sizeof(struct poison_place), 0, &memory);
    r->places = memory;
    memory = NULL;
    /* Ours is the last mapping that may write. */
    r->list_fd = make_memory("ostiary-poison", sizeof(struct poison_list), F_SEAL_FUTURE_WRITE, &memory);
    r->list = memory;
    if (r->places_fd < 0 || r->list_fd < 0 || getrandom(r->list->key, sizeof r->list->key, 0) != sizeof r->list->key) {
        poison_register_free(r);
        return NULL;
    }
    return r;
}

void poison_register_free(struct poison_register *r)
{
    if (!r)
        return;
    if (r->places)
        munmap(r->places, r->count * sizeof(struct poison_place));
    if (r->list)
        munmap(r->list, sizeof(struct poison_list));
    if (r->places_fd >= 0)
        close(r->places_fd);
    if (r->list_fd >= 0)
        close(r->list_fd);
    free(r);
}

int poison_register_places(const struct poison_register *r)
{
    return r->places_fd;
}

int poison_register_list(const struct poison_register *r)
{
    return r->list_fd;
}

/* Its own, or that of the one with the fewest deaths, of those the oldest. */
static struct candidate *find_candidate(struct poison_register *r, uint64_t fingerprint)
{
    struct candidate *least = &r->candidates[0];
    for (size_t i = 0; i < CANDIDATES; i++) {
        struct candidate *c = &r->candidates[i];
        if (c->fingerprint == fingerprint)
            return c;
        if (c->deaths < least->deaths || (c->deaths == least->deaths && c->last < least->last))
            least = c;
    }
    *least = (struct candidate){.fingerprint = fingerprint};
    return least;
}

static void add_line(struct poison_register *r, uint64_t fingerprint)
{
    uint32_t line = r->next_line++ % POISON_LIST_MAX;
    atomic_store_explicit(&r->list->fingerprints[line], fingerprint, memory_order_relaxed);
    if (atomic_load_explicit(&r->list->count, memory_order_relaxed) <= line)
        atomic_store_explicit(&r->list->count, line + 1, memory_order_release);
}

unsigned poison_register_died(struct poison_register *r, unsigned place, bool by_itself, uint64_t *fingerprint)
{
    *fingerprint = place < r->count ? atomic_exchange(&r->places[place].fingerprint, 0) : 0;
    if (!*fingerprint || !by_itself)
        return 0;
    struct candidate *c = find_candidate(r, *fingerprint);
    c->deaths++;
    c->last = ++r->deaths;
    if (c->deaths < POISON_DEATHS)
        return c->deaths;
    add_line(r, *fingerprint);
    *c = (struct candidate){.fingerprint = 0};
    return POISON_DEATHS;
}
