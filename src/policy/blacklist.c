#include "policy/blacklist.h"

#include "policy/blacklist_blob.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct blacklist {
    const char *base;
    size_t mapped; /* bytes to unmap; 0: borrowed */
    size_t counts[BLOB_SECTION_COUNT];
    const uint32_t *first4;
    const struct blob_range4 *range4;
    const struct blob_range6 *range6;
    const struct blob_name *names;
    const struct blob_entry *entries;
    const struct blob_text *files;
    const char *text;
};

/* ---- Opening: every offset is looked at here, and never again ---- */

static const size_t element_sizes[BLOB_SECTION_COUNT] = {
    [BLOB_FIRST4] = sizeof(uint32_t),
    [BLOB_RANGE4] = sizeof(struct blob_range4),
    [BLOB_RANGE6] = sizeof(struct blob_range6),
    [BLOB_NAMES] = sizeof(struct blob_name),
    [BLOB_ENTRIES] = sizeof(struct blob_entry),
    [BLOB_FILES] = sizeof(struct blob_text),
    [BLOB_TEXT] = 1,
};

static bool read_header(struct blacklist *list, struct span blob)
{
    struct blob_header header;
    const char *at[BLOB_SECTION_COUNT];
    if (blob.size < sizeof header || (uintptr_t)blob.data % 8)
        return false;
    memcpy(&header, blob.data, sizeof header);
    if (memcmp(header.magic, BLOB_MAGIC, sizeof header.magic) != 0 || header.size != blob.size)
        return false;
    for (size_t i = 0; i < BLOB_SECTION_COUNT; i++) {
        uint64_t offset = header.sections[i].offset, count = header.sections[i].count;
        if (offset % 8 || offset > blob.size || count > (blob.size - offset) / element_sizes[i] || count > UINT32_MAX)
            return false;
        list->counts[i] = (size_t)count;
        at[i] = blob.data + offset;
    }
    if (list->counts[BLOB_FIRST4] != list->counts[BLOB_RANGE4])
        return false;
    list->first4 = (const void *)at[BLOB_FIRST4];
    list->range4 = (const void *)at[BLOB_RANGE4];
    list->range6 = (const void *)at[BLOB_RANGE6];
    list->names = (const void *)at[BLOB_NAMES];
    list->entries = (const void *)at[BLOB_ENTRIES];
    list->files = (const void *)at[BLOB_FILES];
    list->text = at[BLOB_TEXT];
    return true;
}

static bool is_text(const struct blacklist *list, struct blob_text t)
{
    return t.offset <= list->counts[BLOB_TEXT] && t.size <= list->counts[BLOB_TEXT] - t.offset;
}

static struct span get_text(const struct blacklist *list, struct blob_text t)
{
    return span_from(list->text + t.offset, t.size);
}

static bool check_texts(const struct blacklist *list)
{
    for (size_t i = 0; i < list->counts[BLOB_TEXT]; i++)
        if ((unsigned char)list->text[i] < 0x20 || list->text[i] == 0x7f)
            return false;
    for (size_t i = 0; i < list->counts[BLOB_FILES]; i++)
        if (!is_text(list, list->files[i]))
            return false;
    for (size_t i = 0; i < list->counts[BLOB_ENTRIES]; i++)
        if (!is_text(list, list->entries[i].reason) || list->entries[i].file >= list->counts[BLOB_FILES])
            return false;
    return true;
}

static bool check_ranges(const struct blacklist *list)
{
    for (size_t i = 0; i < list->counts[BLOB_RANGE4]; i++)
        if (list->range4[i].entry >= list->counts[BLOB_ENTRIES] || list->first4[i] > list->range4[i].last ||
            (i && list->first4[i] <= list->range4[i - 1].last))
            return false;
    const struct blob_range6 *r = list->range6;
    for (size_t i = 0; i < list->counts[BLOB_RANGE6]; i++)
        if (r[i].entry >= list->counts[BLOB_ENTRIES] || memcmp(r[i].first, r[i].last, 16) > 0 ||
            (i && memcmp(r[i].first, r[i - 1].last, 16) <= 0))
            return false;
    return true;
}

static bool check_names(const struct blacklist *list)
{
    size_t same = 0;
    for (size_t i = 0; i < list->counts[BLOB_NAMES]; i++) {
        const struct blob_name *n = &list->names[i];
        if (n->entry >= list->counts[BLOB_ENTRIES] || !is_text(list, n->at) || n->at.size > BLACKLIST_NAME_MAX ||
            n->kind > BLACKLIST_NAME_PATTERN || (i && n->hash < n[-1].hash))
            return false;
        same = i && n->hash == n[-1].hash ? same + 1 : 0;
        if (same >= BLOB_SAME_HASH_MAX)
            return false;
    }
    return true;
}

struct blacklist *blacklist_open(struct span blob)
{
    struct blacklist *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    if (!read_header(list, blob) || !check_texts(list) || !check_ranges(list) || !check_names(list)) {
        free(list);
        return NULL;
    }
    list->base = blob.data;
    return list;
}

struct blacklist *blacklist_map(int fd)
{
    /* Without the seals whoever else holds the descriptor could change what was validated. */
    const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
    struct stat status;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & wanted) != wanted || fstat(fd, &status) < 0 || status.st_size <= 0)
        return NULL;
    size_t size = (size_t)status.st_size;
    /* Private: older kernels give no shared mapping of what is sealed against writing, and it is the same. */
    void *base = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (base == MAP_FAILED)
        return NULL;
    struct blacklist *list = blacklist_open(span_from(base, size));
    if (list)
        list->mapped = size;
    else
        munmap(base, size);
    return list;
}

void blacklist_close(struct blacklist *list)
{
    if (list && list->mapped)
        munmap((void *)(uintptr_t)list->base, list->mapped);
    free(list);
}

/* ---- Looking up ---- */

static enum blacklist_verdict found(const struct blacklist *list, uint32_t entry, struct blacklist_hit *hit)
{
    const struct blob_entry *e = &list->entries[entry];
    hit->verdict = e->is_exception ? BLACKLIST_EXCEPTED : BLACKLIST_LISTED;
    hit->reason = get_text(list, e->reason);
    hit->file = get_text(list, list->files[e->file]);
    hit->line = e->line;
    return hit->verdict;
}

static enum blacklist_verdict find_ipv4(const struct blacklist *list, uint32_t address, struct blacklist_hit *hit)
{
    size_t low = 0, high = list->counts[BLOB_FIRST4]; /* the first range that begins behind it */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->first4[middle] <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address <= list->range4[low - 1].last ? found(list, list->range4[low - 1].entry, hit)
                                                        : BLACKLIST_NOTHING;
}

static enum blacklist_verdict find_ipv6(const struct blacklist *list, const unsigned char address[16],
                                        struct blacklist_hit *hit)
{
    const struct blob_range6 *r = list->range6;
    size_t low = 0, high = list->counts[BLOB_RANGE6];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(r[middle].first, address, 16) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low && memcmp(address, r[low - 1].last, 16) <= 0 ? found(list, r[low - 1].entry, hit) : BLACKLIST_NOTHING;
}

enum blacklist_verdict blacklist_find_address(const struct blacklist *list, const unsigned char address[16],
                                              struct blacklist_hit *hit)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    *hit = (struct blacklist_hit){.verdict = BLACKLIST_NOTHING};
    if (!list)
        return BLACKLIST_NOTHING;
    if (memcmp(address, mapped, sizeof mapped) != 0)
        return find_ipv6(list, address, hit);
    uint32_t number =
        (uint32_t)address[12] << 24 | (uint32_t)address[13] << 16 | (uint32_t)address[14] << 8 | (uint32_t)address[15];
    return find_ipv4(list, number, hit);
}

/* Stars stand for any bytes. One star to go back to is enough: work is at most the product of the sizes. */
static bool matches(struct span pattern, struct span name)
{
    size_t p = 0, n = 0, star = pattern.size, resume = 0;
    while (n < name.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            resume = n;
        } else if (p < pattern.size && pattern.data[p] == name.data[n]) {
            p++;
            n++;
        } else if (star < pattern.size) {
            p = star + 1;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

/* Does the row speak of `name`, whose tail from `at` on has the row's hash? */
static bool row_matches(const struct blacklist *list, const struct blob_name *row, struct span name, size_t at)
{
    struct span text = get_text(list, row->at);
    if (row->kind == BLACKLIST_NAME_PATTERN)
        return matches(text, name);
    if (!span_equal(text, span_skip(name, at)))
        return false;
    return row->kind == BLACKLIST_NAME_DOMAIN || (row->kind == BLACKLIST_NAME_EXACT) == (at == 0);
}

static size_t first_with_hash(const struct blacklist *list, uint64_t hash)
{
    size_t low = 0, high = list->counts[BLOB_NAMES];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->names[middle].hash < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Looks at all rows of one tail; an exception replaces a listing that was found before. */
static void find_tail(const struct blacklist *list, struct span name, size_t at, uint64_t hash,
                      struct blacklist_hit *hit)
{
    for (size_t i = first_with_hash(list, hash); i < list->counts[BLOB_NAMES] && list->names[i].hash == hash; i++) {
        const struct blob_name *row = &list->names[i];
        bool is_exception = list->entries[row->entry].is_exception;
        if ((is_exception || hit->verdict == BLACKLIST_NOTHING) && row_matches(list, row, name, at))
            found(list, row->entry, hit);
        if (hit->verdict == BLACKLIST_EXCEPTED)
            return;
    }
}

enum blacklist_verdict blacklist_find_name(const struct blacklist *list, struct span name, struct blacklist_hit *hit)
{
    char lower[BLACKLIST_NAME_MAX];
    *hit = (struct blacklist_hit){.verdict = BLACKLIST_NOTHING};
    if (name.size && name.data[name.size - 1] == '.')
        name.size--;
    if (!list || !list->counts[BLOB_NAMES] || name.size == 0 || name.size > sizeof lower)
        return BLACKLIST_NOTHING;
    for (size_t i = 0; i < name.size; i++)
        lower[i] = ascii_lower(name.data[i]);
    name = span_from(lower, name.size);
    uint64_t hash = BLOB_HASH;
    find_tail(list, name, name.size, blob_hash_done(hash), hit);
    for (size_t at = name.size; at > 0 && hit->verdict != BLACKLIST_EXCEPTED; at--) {
        hash = blob_hash_byte(hash, lower[at - 1]);
        if (at == 1 || lower[at - 2] == '.')
            find_tail(list, name, at - 1, blob_hash_done(hash), hit);
    }
    return hit->verdict;
}

const struct blacklist_hit *blacklist_decide(const struct blacklist_hit *address, const struct blacklist_hit *name)
{
    if (address->verdict == BLACKLIST_EXCEPTED || name->verdict == BLACKLIST_NOTHING)
        return address;
    return name->verdict == BLACKLIST_EXCEPTED || address->verdict == BLACKLIST_NOTHING ? name : address;
}

size_t blacklist_range_count(const struct blacklist *list)
{
    return list ? list->counts[BLOB_RANGE4] + list->counts[BLOB_RANGE6] : 0;
}

size_t blacklist_name_count(const struct blacklist *list)
{
    return list ? list->counts[BLOB_NAMES] : 0;
}

static void put_ipv4(uint32_t number, unsigned char address[16])
{
    memset(address, 0, 10);
    address[10] = address[11] = 0xff;
    for (int i = 0; i < 4; i++)
        address[12 + i] = (unsigned char)(number >> (24 - 8 * i));
}

void blacklist_range_get(const struct blacklist *list, size_t number, unsigned char first[16], unsigned char last[16],
                         struct blacklist_hit *hit)
{
    if (number < list->counts[BLOB_RANGE4]) {
        put_ipv4(list->first4[number], first);
        put_ipv4(list->range4[number].last, last);
        found(list, list->range4[number].entry, hit);
        return;
    }
    const struct blob_range6 *range = &list->range6[number - list->counts[BLOB_RANGE4]];
    memcpy(first, range->first, 16);
    memcpy(last, range->last, 16);
    found(list, range->entry, hit);
}
