/* The DATA and BDAT streams, cut into pieces, against the naive reference of the unit test. The first byte chooses the
 * limits and the mode, the second the size of the pieces. */
#include "../tests/unit/format/smtp_data_reference.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_data_limits limits[] = {
    {0},
    {.repair = true},
    {.max_size = 64, .max_header_lines = 3},
    {.max_line = 8, .max_header_size = 32, .repair = true},
};

static void fail_if(const char *difference)
{
    if (!difference)
        return;
    fprintf(stderr, "differs from the reference: %s\n", difference);
    abort();
}

static void check_data(struct span in, const struct smtp_data_limits *limit, size_t piece, struct buf *out)
{
    struct reference expected;
    struct smtp_data d;
    size_t fed = 0;
    bool ended = false;

    smtp_data_init(&d, limit);
    while (fed < in.size && !ended) {
        size_t consumed, before = out->size;
        struct span next = span_head(span_skip(in, fed), piece);
        ended = smtp_data_feed(&d, next, &consumed, out) == SMTP_DATA_END;
        fail_if(out->size - before > 2 * next.size + 4 ? "the output of one call is too large" : NULL);
        fail_if(!ended && consumed != next.size ? "input was left without an end" : NULL);
        fed += consumed;
    }
    reference_data(&expected, in, limit);
    fail_if(ended != expected.ended || fed != expected.consumed ? "the end" : NULL);
    if (ended)
        fail_if(reference_difference(&expected, &d, buf_span(out)));
    free(expected.content);
}

static void check_chunks(struct span in, const struct smtp_data_limits *limit, size_t piece, struct buf *out)
{
    struct reference expected;
    struct smtp_data d;

    smtp_data_init(&d, limit);
    for (size_t fed = 0; fed < in.size; fed += piece)
        smtp_data_feed_chunk(&d, span_head(span_skip(in, fed), piece), out);
    smtp_data_finish_chunks(&d, out);
    reference_chunks(&expected, in, limit);
    fail_if(reference_difference(&expected, &d, buf_span(out)));
    free(expected.content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;

    if (size < 2 || size > 1 << 16)
        return 0;
    struct span in = span_from(data + 2, size - 2);
    const struct smtp_data_limits *limit = &limits[data[0] % (sizeof(limits) / sizeof(*limits))];
    size_t piece = (size_t)data[1] + 1;
    buf_init(&out, 1 << 20);
    if (data[0] & 0x80)
        check_chunks(in, limit, piece, &out);
    else
        check_data(in, limit, piece, &out);
    fail_if(buf_failed(&out) ? "the output failed" : NULL);
    buf_release(&out);
    return 0;
}
