/* Comma-separated values, and lines of a passwd-file: whatever comes, reading ends, and no field is outside. */
#include "format/csv.h"
#include "format/passwd_file.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_from(data, size);
    struct arena arena;
    struct csv csv;
    struct csv_record record;
    size_t last = 0;
    size_t sum = 0;
    arena_init(&arena, 1 << 20);
    csv_init(&csv, text);
    while (csv_next(&csv, &arena, &record)) {
        require(record.line > last);
        last = record.line;
        require(record.problem ? record.count == 0 : record.count > 0);
        for (size_t i = 0; i < record.count; i++)
            for (size_t n = 0; n < record.fields[i].size; n++)
                sum += (unsigned char)record.fields[i].data[n];
    }
    /* All bytes of all fields were read: those outside the text are the sanitizer's. */
    require(sum <= 255 * size);
    arena_release(&arena);
    while (text.size) {
        struct passwd_line line;
        struct span one = span_cut(&text, '\n');
        if (!passwd_line_is_blank(one) && !passwd_line_parse(one, &line))
            require(line.user.size > 0 && line.user.size < one.size && line.quota <= INT64_MAX);
    }
    return 0;
}
