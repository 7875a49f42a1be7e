#include "policy/blacklist_compile.h"

#include "format/utf8.h"
#include "policy/blacklist_blob.h"

#include <errno.h>
#include <stdlib.h>

/* Numbers in network order, so that memcmp compares them and IPv4 stands in its mapped place among IPv6. */
struct range {
    unsigned char first[16], last[16];
    uint32_t entry;
};

static const unsigned char mapped_first[16] = {[10] = 0xff, [11] = 0xff};
static const unsigned char mapped_last[16] = {[10] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct range *ranges_of(const struct blacklist_builder *b)
{
    return (struct range *)(void *)b->ranges.data;
}

static struct blob_entry *entries_of(const struct blacklist_builder *b)
{
    return (struct blob_entry *)(void *)b->entries.data;
}

static struct blob_name *names_of(const struct blacklist_builder *b)
{
    return (struct blob_name *)(void *)b->names.data;
}

void blacklist_builder_init(struct blacklist_builder *b)
{
    buf_init(&b->entries, (size_t)BLACKLIST_ENTRIES_MAX * sizeof(struct blob_entry));
    buf_init(&b->ranges, (size_t)BLACKLIST_ENTRIES_MAX * 2 * sizeof(struct range));
    buf_init(&b->names, (size_t)BLACKLIST_ENTRIES_MAX * sizeof(struct blob_name));
    buf_init(&b->files, BLACKLIST_FILES_MAX * sizeof(struct blob_text));
    buf_init(&b->text, BLACKLIST_BLOB_MAX / 2);
    b->last_reason = (struct blob_reason_seen){0, 0};
}

void blacklist_builder_release(struct blacklist_builder *b)
{
    buf_release(&b->entries);
    buf_release(&b->ranges);
    buf_release(&b->names);
    buf_release(&b->files);
    buf_release(&b->text);
}

size_t blacklist_entry_count(const struct blacklist_builder *b)
{
    return b->entries.size / sizeof(struct blob_entry);
}

/* ---- Adding ---- */

int blacklist_add_file(struct blacklist_builder *b, struct span path)
{
    struct blob_text at = {(uint32_t)b->text.size, 0};
    for (size_t i = 0; i < path.size && i < 4096; i++)
        buf_add_char(&b->text, (unsigned char)path.data[i] < 0x20 || path.data[i] == 0x7f ? '?' : path.data[i]);
    at.size = (uint32_t)b->text.size - at.offset;
    size_t number = b->files.size / sizeof at;
    buf_add(&b->files, &at, sizeof at);
    return buf_failed(&b->text) || buf_failed(&b->files) ? (number == BLACKLIST_FILES_MAX ? -ENOSPC : -ENOMEM)
                                                         : (int)number;
}

/* The reason goes into replies: short, one line, and UTF-8 whatever the file was written in. */
static struct blob_text add_reason(struct blacklist_builder *b, struct span reason)
{
    struct span last = span_head(span_skip(buf_span(&b->text), b->last_reason.offset), b->last_reason.size);
    struct blob_text at = {(uint32_t)b->text.size, 0};
    if (!reason.size)
        return (struct blob_text){0, 0};
    if (span_equal(reason, last))
        return (struct blob_text){b->last_reason.offset, b->last_reason.size};
    size_t size = reason.size > BLACKLIST_REASON_MAX ? BLACKLIST_REASON_MAX : reason.size;
    while (size < reason.size && size > BLACKLIST_REASON_MAX - 4 && ((unsigned char)reason.data[size] & 0xc0) == 0x80)
        size--;
    bool is_utf8 = utf8_is_valid(span_head(reason, size));
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)reason.data[i];
        buf_add_char(&b->text, c == '\t' ? ' ' : c < 0x20 || c == 0x7f || (c >= 0x80 && !is_utf8) ? '?' : (char)c);
    }
    at.size = (uint32_t)size;
    b->last_reason = (struct blob_reason_seen){at.offset, at.size};
    return at;
}

static void add_range(struct blacklist_builder *b, const unsigned char first[16], const unsigned char last[16],
                      uint32_t entry)
{
    struct range range = {.entry = entry};
    memcpy(range.first, first, 16);
    memcpy(range.last, last, 16);
    buf_add(&b->ranges, &range, sizeof range);
}

/* An IPv6 range that goes over the mapped addresses means IPv6 only ("::/0"): what it has on both sides of them. */
static void add_addresses(struct blacklist_builder *b, const struct blacklist_entry *entry, uint32_t number)
{
    static const unsigned char before[16] = {[10] = 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff};
    static const unsigned char after[16] = {[9] = 1};
    const unsigned char *first = entry->first.bytes, *last = entry->last.bytes;
    bool is_ipv4 = ip_address_is_ipv4(&entry->first) && ip_address_is_ipv4(&entry->last);
    if (is_ipv4 || memcmp(last, mapped_first, 16) < 0 || memcmp(first, mapped_last, 16) > 0) {
        add_range(b, first, last, number);
        return;
    }
    if (memcmp(first, mapped_first, 16) < 0)
        add_range(b, first, before, number);
    if (memcmp(last, mapped_last, 16) > 0)
        add_range(b, after, last, number);
}

static void add_name(struct blacklist_builder *b, const struct blacklist_entry *entry, uint32_t number)
{
    struct blob_name name = {.at = {(uint32_t)b->text.size, (uint32_t)entry->name.size},
                             .entry = number,
                             .kind = (uint32_t)entry->name_kind};
    for (size_t i = 0; i < entry->name.size; i++)
        buf_add_char(&b->text, ascii_lower(entry->name.data[i]));
    if (buf_failed(&b->text))
        return;
    struct span text = span_from(b->text.data + name.at.offset, name.at.size);
    name.hash = blob_hash(entry->name_kind == BLACKLIST_NAME_PATTERN ? blob_pattern_tail(text) : text);
    buf_add(&b->names, &name, sizeof name);
}

int blacklist_add(struct blacklist_builder *b, enum blacklist_line kind, const struct blacklist_entry *entry,
                  unsigned file, uint32_t line)
{
    uint32_t number = (uint32_t)blacklist_entry_count(b);
    if (number >= BLACKLIST_ENTRIES_MAX)
        return -ENOSPC;
    struct blob_entry row = {
        .reason = add_reason(b, entry->reason), .file = file, .line = line, .is_exception = entry->is_exception};
    buf_add(&b->entries, &row, sizeof row);
    if (kind == BLACKLIST_LINE_ADDRESSES)
        add_addresses(b, entry, number);
    else
        add_name(b, entry, number);
    bool failed = buf_failed(&b->entries) || buf_failed(&b->ranges) || buf_failed(&b->names) || buf_failed(&b->text);
    return failed ? -ENOMEM : 0;
}

/* ---- Painting: from overlapping ranges to disjoint ones ---- */

struct painter {
    const struct blob_entry *entries;
    struct range *ranges; /* sorted by their first address */
    size_t count;
    uint32_t *heap; /* of numbers of ranges: those that cover the place, the one that wins on top */
    size_t heap_size;
    struct buf *out; /* struct range */
};

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    int order = memcmp(x->first, y->first, 16);
    return order ? order : x->entry < y->entry ? -1 : x->entry > y->entry;
}

static void sort_ranges(struct range *ranges, size_t count)
{
    size_t sorted = 1;
    while (sorted < count && compare_ranges(&ranges[sorted - 1], &ranges[sorted]) <= 0)
        sorted++;
    if (sorted < count)
        qsort(ranges, count, sizeof *ranges, compare_ranges);
}

/* Does range x win over range y? */
static bool wins(const struct painter *p, uint32_t x, uint32_t y)
{
    uint32_t a = p->ranges[x].entry, b = p->ranges[y].entry;
    bool excepts = p->entries[a].is_exception, other_excepts = p->entries[b].is_exception;
    return excepts != other_excepts ? excepts : a < b;
}

static void heap_push(struct painter *p, uint32_t range)
{
    size_t at = p->heap_size++;
    while (at && wins(p, range, p->heap[(at - 1) / 2])) {
        p->heap[at] = p->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    p->heap[at] = range;
}

static void heap_pop(struct painter *p)
{
    uint32_t range = p->heap[--p->heap_size];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= p->heap_size)
            break;
        if (child + 1 < p->heap_size && wins(p, p->heap[child + 1], p->heap[child]))
            child++;
        if (!wins(p, p->heap[child], range))
            break;
        p->heap[at] = p->heap[child];
        at = child;
    }
    if (p->heap_size)
        p->heap[at] = range;
}

/* The next address; false behind the last one. */
static bool step_up(unsigned char address[16])
{
    for (int i = 15; i >= 0; i--)
        if (++address[i])
            return true;
    return false;
}

static void step_down(unsigned char address[16])
{
    for (int i = 15; i >= 0; i--)
        if (address[i]--)
            return;
}

static void emit(struct painter *p, const unsigned char first[16], const unsigned char last[16], uint32_t entry)
{
    struct range *before =
        p->out->size ? (struct range *)(void *)(p->out->data + p->out->size - sizeof(struct range)) : NULL;
    unsigned char next[16];
    if (before && before->entry == entry) {
        memcpy(next, before->last, 16);
        if (step_up(next) && memcmp(next, first, 16) == 0) {
            memcpy(before->last, last, 16);
            return;
        }
    }
    struct range range = {.entry = entry};
    memcpy(range.first, first, 16);
    memcpy(range.last, last, 16);
    buf_add(p->out, &range, sizeof range);
}

/* From place to place where another range begins to win. Each range is pushed and popped once. */
static void paint(struct painter *p)
{
    unsigned char at[16], end[16];
    size_t next = 0;
    bool more = true;
    while (more && (next < p->count || p->heap_size)) {
        if (!p->heap_size)
            memcpy(at, p->ranges[next].first, 16);
        while (next < p->count && memcmp(p->ranges[next].first, at, 16) <= 0)
            heap_push(p, (uint32_t)next++);
        while (p->heap_size && memcmp(p->ranges[p->heap[0]].last, at, 16) < 0)
            heap_pop(p);
        if (!p->heap_size)
            continue;
        uint32_t top = p->heap[0];
        memcpy(end, p->ranges[top].last, 16);
        while (next < p->count && memcmp(p->ranges[next].first, end, 16) <= 0) {
            if (wins(p, (uint32_t)next, top)) {
                memcpy(end, p->ranges[next].first, 16);
                step_down(end);
                break;
            }
            heap_push(p, (uint32_t)next++);
        }
        emit(p, at, end, p->ranges[top].entry);
        memcpy(at, end, 16);
        more = step_up(at);
    }
}

static int make_disjoint(struct blacklist_builder *b, struct buf *out)
{
    struct painter p = {
        .entries = entries_of(b), .ranges = ranges_of(b), .count = b->ranges.size / sizeof(struct range), .out = out};
    if (!p.count)
        return 0;
    p.heap = calloc(p.count, sizeof *p.heap);
    if (!p.heap)
        return -ENOMEM;
    sort_ranges(p.ranges, p.count);
    paint(&p);
    free(p.heap);
    return buf_failed(out) ? -ENOMEM : 0;
}

/* ---- Names ---- */

struct name_order {
    const struct blob_entry *entries;
    const char *text;
};

static int compare_texts(const struct name_order *order, const struct blob_name *x, const struct blob_name *y)
{
    if (x->at.size != y->at.size)
        return x->at.size < y->at.size ? -1 : 1;
    return memcmp(order->text + x->at.offset, order->text + y->at.offset, x->at.size);
}

/* By hash, exceptions first, then so that equal ones are neighbours and the first of them leads. */
static int compare_names(const void *a, const void *b, void *context)
{
    const struct name_order *order = context;
    const struct blob_name *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    bool excepts = order->entries[x->entry].is_exception, other = order->entries[y->entry].is_exception;
    if (excepts != other)
        return excepts ? -1 : 1;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    int texts = compare_texts(order, x, y);
    return texts ? texts : x->entry < y->entry ? -1 : x->entry > y->entry;
}

/* Sorts them, and drops doubles and what is past BLOB_SAME_HASH_MAX. Returns how many remain. */
static size_t settle_names(struct blacklist_builder *b, size_t *dropped)
{
    struct blob_name *names = names_of(b);
    size_t count = b->names.size / sizeof *names, kept = 0, same = 0;
    struct name_order order = {entries_of(b), b->text.data};
    if (count)
        qsort_r(names, count, sizeof *names, compare_names, &order);
    *dropped = 0;
    for (size_t i = 0; i < count; i++) {
        const struct blob_name *last = kept ? &names[kept - 1] : NULL;
        bool has_hash = last && last->hash == names[i].hash;
        if (has_hash && last->kind == names[i].kind && compare_texts(&order, last, &names[i]) == 0 &&
            order.entries[last->entry].is_exception == order.entries[names[i].entry].is_exception)
            continue;
        same = has_hash ? same + 1 : 0;
        if (same >= BLOB_SAME_HASH_MAX)
            ++*dropped;
        else
            names[kept++] = names[i];
    }
    return kept;
}

/* ---- The blob ---- */

static uint32_t ipv4_number(const unsigned char address[16])
{
    return (uint32_t)address[12] << 24 | (uint32_t)address[13] << 16 | (uint32_t)address[14] << 8 |
           (uint32_t)address[15];
}

static void begin_section(struct buf *out, size_t start, struct blob_header *header, enum blob_section section,
                          size_t count)
{
    static const char zeros[8];
    buf_add(out, zeros, (8 - (out->size - start) % 8) % 8);
    header->sections[section].offset = out->size - start;
    header->sections[section].count = count;
}

/* Disjoint ranges are sorted, so those of IPv4 stand in one run. */
static void write_ranges(struct buf *out, size_t start, struct blob_header *header, const struct range *ranges,
                         size_t count)
{
    size_t from = 0;
    while (from < count && memcmp(ranges[from].first, mapped_first, 16) < 0)
        from++;
    size_t to = from;
    while (to < count && memcmp(ranges[to].first, mapped_last, 16) <= 0)
        to++;
    begin_section(out, start, header, BLOB_FIRST4, to - from);
    for (size_t i = from; i < to; i++) {
        uint32_t first = ipv4_number(ranges[i].first);
        buf_add(out, &first, sizeof first);
    }
    begin_section(out, start, header, BLOB_RANGE4, to - from);
    for (size_t i = from; i < to; i++) {
        struct blob_range4 range = {ipv4_number(ranges[i].last), ranges[i].entry};
        buf_add(out, &range, sizeof range);
    }
    begin_section(out, start, header, BLOB_RANGE6, count - (to - from));
    for (size_t i = 0; i < count; i++) {
        struct blob_range6 range = {.entry = ranges[i].entry};
        if (i >= from && i < to)
            continue;
        memcpy(range.first, ranges[i].first, 16);
        memcpy(range.last, ranges[i].last, 16);
        buf_add(out, &range, sizeof range);
    }
}

static void write_section(struct buf *out, size_t start, struct blob_header *header, enum blob_section section,
                          const struct buf *from, size_t element_size)
{
    begin_section(out, start, header, section, from->size / element_size);
    buf_add_span(out, buf_span(from));
}

int blacklist_compile(struct blacklist_builder *b, struct buf *out, size_t *dropped)
{
    struct blob_header header = {.magic = BLOB_MAGIC};
    struct buf disjoint;
    size_t start = out->size;
    buf_init(&disjoint, 2 * b->ranges.size);
    int error = make_disjoint(b, &disjoint);
    if (error)
        goto out;
    buf_truncate(&b->names, settle_names(b, dropped) * sizeof(struct blob_name));
    buf_add(out, &header, sizeof header);
    write_ranges(out, start, &header, (const struct range *)(const void *)disjoint.data,
                 disjoint.size / sizeof(struct range));
    write_section(out, start, &header, BLOB_NAMES, &b->names, sizeof(struct blob_name));
    write_section(out, start, &header, BLOB_ENTRIES, &b->entries, sizeof(struct blob_entry));
    write_section(out, start, &header, BLOB_FILES, &b->files, sizeof(struct blob_text));
    write_section(out, start, &header, BLOB_TEXT, &b->text, 1);
    if (buf_failed(out)) {
        error = -EFBIG;
        goto out;
    }
    header.size = out->size - start;
    memcpy(out->data + start, &header, sizeof header);
out:
    buf_release(&disjoint);
    return error;
}
