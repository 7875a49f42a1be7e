/* The compiled black list: an input that begins with the magic is a blob, any other a text, which is compiled. */
#include "policy/blacklist.h"

#include "policy/blacklist_blob.h"
#include "policy/blacklist_compile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_up(const struct blacklist *list, struct span bytes)
{
    unsigned char address[16] = {[10] = 0xff, 0xff};
    struct blacklist_hit by_address = {.verdict = BLACKLIST_NOTHING}, hit;
    for (size_t i = 0; i + 16 <= bytes.size && i < 512; i++) {
        blacklist_find_address(list, (const unsigned char *)bytes.data + i, &hit);
        memcpy(address + 12, bytes.data + i, 4);
        blacklist_find_address(list, address, &by_address);
    }
    blacklist_find_name(list, span_head(bytes, 200), &hit);
    if (hit.verdict && (hit.reason.size > bytes.size + BLACKLIST_REASON_MAX || !hit.file.data))
        abort();
    enum blacklist_verdict both = blacklist_decide(&by_address, &hit)->verdict;
    if (both != (hit.verdict > by_address.verdict ? hit.verdict : by_address.verdict))
        abort(); /* an exception, else a listing */
}

static void look_at_blob(struct span bytes)
{
    char *copy = aligned_alloc(16, (bytes.size + 15) / 16 * 16);
    if (!copy)
        return;
    memcpy(copy, bytes.data, bytes.size);
    struct blacklist *list = blacklist_open(span_from(copy, bytes.size));
    if (list)
        look_up(list, bytes);
    blacklist_close(list);
    free(copy);
}

/* All addresses of a range have the verdict that stands at its ends. */
static void check_ranges(const struct blacklist *list)
{
    struct blacklist_hit range, hit;
    unsigned char first[16], last[16];
    for (size_t i = 0; i < blacklist_range_count(list); i++) {
        blacklist_range_get(list, i, first, last, &range);
        if (memcmp(first, last, sizeof first) > 0 || blacklist_find_address(list, first, &hit) != range.verdict ||
            blacklist_find_address(list, last, &hit) != range.verdict)
            abort();
    }
}

static void compile(struct span text)
{
    struct blacklist_builder builder;
    struct buf problem, blob;
    size_t dropped;
    uint32_t line = 0;
    blacklist_builder_init(&builder);
    buf_init(&problem, 6000);
    buf_init(&blob, BLACKLIST_BLOB_MAX);
    int error = blacklist_add_file(&builder, span_head(text, 8));
    for (struct span rest = text; rest.size && error >= 0;) {
        struct blacklist_entry entry;
        enum blacklist_line kind = blacklist_line_parse(span_cut(&rest, '\n'), &entry, &problem);
        line++;
        if (kind == BLACKLIST_LINE_ADDRESSES || kind == BLACKLIST_LINE_NAME)
            error = blacklist_add(&builder, kind, &entry, 0, line);
    }
    if (error < 0 || blacklist_compile(&builder, &blob, &dropped))
        abort();
    struct blacklist *list = blacklist_open(buf_span(&blob));
    if (!list)
        abort(); /* what we compile, we believe */
    look_up(list, text);
    check_ranges(list);
    blacklist_close(list);
    buf_release(&problem);
    buf_release(&blob);
    blacklist_builder_release(&builder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_from(data, size);
    if (size >= 8 && memcmp(data, BLOB_MAGIC, 8) == 0)
        look_at_blob(bytes);
    else
        compile(bytes);
    return 0;
}
