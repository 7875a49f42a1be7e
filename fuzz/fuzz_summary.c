/* Summaries from a damaged disk: refused, or they keep every promise. */
#include "../tests/unit/format/summary_checks.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct summary summary;
    arena_init(&arena, SUMMARY_ARENA_MAX);
    if (summary_parse(span_from(data, size), &arena, &summary)) {
        struct buf out;
        buf_init(&out, (size_t)16 << 20);
        write_all(&summary, &out);
        const uint32_t numbers[] = {size % 3, size % 5, 1, 1};
        const struct mime_part *part = summary_find_part(&summary, numbers, 4);
        bool within = !part || part->offset + part->header_size + part->body_size <= summary.message_size;
        bool sound = tree_is_sound(summary.root, summary.message_size);
        if (!within || !sound || (!buf_failed(&out) && !imap_text_is_sound(buf_span(&out))))
            abort();
        buf_release(&out);
    }
    arena_release(&arena);
    return 0;
}
