/* A message: its structure and its summary are sound, and the summary says what the structure says. */
#include "../tests/unit/format/summary_checks.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span message = span_from(data, size);
    struct arena arena;
    struct buf bytes, first, second;
    struct summary summary, direct;
    bool truncated = false;
    arena_init(&arena, 4 * SUMMARY_ARENA_MAX);
    buf_init(&bytes, SUMMARY_SIZE_MAX);
    buf_init(&first, (size_t)64 << 20);
    buf_init(&second, (size_t)64 << 20);

    check(summary_make(message, &arena, &bytes) == 0);
    check(summary_parse(buf_span(&bytes), &arena, &summary));
    check(summary.message_size == size && tree_is_sound(summary.root, size));
    write_all(&summary, &first);
    check(!buf_failed(&first) && imap_text_is_sound(buf_span(&first)));

    direct = summary;
    direct.root = mime_parse(message, &arena, &truncated);
    check(direct.root && tree_is_sound(direct.root, size));
    write_all(&direct, &second);
    if (!(summary.flags & (SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED)))
        check(span_equal(buf_span(&first), buf_span(&second)));

    buf_release(&first);
    buf_release(&second);
    buf_release(&bytes);
    arena_release(&arena);
    return 0;
}
