/* The flat form of a compiled black list, shared by policy/blacklist_compile.c, which writes it, and
 * policy/blacklist.c, which validates and reads it. In the machine's byte order: it lives in memory only. */
#ifndef POLICY_BLACKLIST_BLOB_H
#define POLICY_BLACKLIST_BLOB_H

#include "policy/blacklist_text.h"

/* The last byte is the version. */
#define BLOB_MAGIC "OSTBLK\0\1"
/* Names and patterns that share one hash, so a look-up has a bound whatever the list has: mostly patterns with the same
 * tail. */
#define BLOB_SAME_HASH_MAX 1000

enum blob_section {
    BLOB_FIRST4,  /* uint32_t, rising: where a range of IPv4 addresses begins */
    BLOB_RANGE4,  /* struct blob_range4, one for each of those */
    BLOB_RANGE6,  /* struct blob_range6, rising */
    BLOB_NAMES,   /* struct blob_name, by hash, exceptions first */
    BLOB_ENTRIES, /* struct blob_entry */
    BLOB_FILES,   /* struct blob_text */
    BLOB_TEXT,    /* bytes */
    BLOB_SECTION_COUNT
};

struct blob_header {
    char magic[8];
    uint64_t size;
    struct {
        uint64_t offset, count; /* in bytes from the start, a multiple of 8; in elements */
    } sections[BLOB_SECTION_COUNT];
};

struct blob_text {
    uint32_t offset, size; /* in BLOB_TEXT */
};

struct blob_range4 {
    uint32_t last, entry;
};

struct blob_range6 {
    unsigned char first[16], last[16];
    uint32_t entry;
};

struct blob_name {
    uint64_t hash;       /* blob_hash() of what it is found by: the name, or a pattern's tail behind its last star */
    struct blob_text at; /* the name or the whole pattern, in lower case */
    uint32_t entry;
    uint32_t kind; /* enum blacklist_name_kind */
};

struct blob_entry {
    struct blob_text reason;
    uint32_t file, line;
    uint32_t is_exception;
};

/* Hashes go from a name's end to its front, so that one pass gives the hashes of all its tails: start with BLOB_HASH,
 * take each byte from the last one on, and look at blob_hash_done() at each label's start. */
#define BLOB_HASH 0xcbf29ce484222325ull
static inline uint64_t blob_hash_byte(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 0x100000001b3ull;
}

static inline uint64_t blob_hash_done(uint64_t hash)
{
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9ull;
    return hash ^ hash >> 31;
}

static inline uint64_t blob_hash(struct span s)
{
    uint64_t hash = BLOB_HASH;
    while (s.size)
        hash = blob_hash_byte(hash, s.data[--s.size]);
    return blob_hash_done(hash);
}

/* A pattern's labels behind its last star: "host-*.example.com" is found by "example.com", "dsl*" by "". */
static inline struct span blob_pattern_tail(struct span pattern)
{
    struct span tail = span_skip(pattern, span_find_last(pattern, '*'));
    return span_skip(tail, span_find(tail, '.') + 1);
}

#endif
