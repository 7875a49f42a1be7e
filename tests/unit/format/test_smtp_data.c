#include "smtp_data_reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define BUF_LIMIT (1u << 20)

static const struct smtp_data_limits no_limits, repairing = {.repair = true};

/* ---- Against the reference, at every split ---- */

static void print_bytes(const char *what, struct span in, size_t split)
{
    fprintf(stderr, "%s differs, split at %zu: ", what, split);
    for (size_t i = 0; i < in.size; i++)
        fprintf(stderr, in.data[i] >= ' ' && in.data[i] <= '~' ? "%c" : "\\x%02x", (unsigned char)in.data[i]);
    fputc('\n', stderr);
}

/* Feeds in[0..split) and the rest, the latter a byte at a time when `bytewise`. */
static void compare_data(struct span in, const struct smtp_data_limits *limits, size_t split, bool bytewise,
                         const struct reference *expected, struct buf *out)
{
    struct smtp_data d;
    size_t fed = 0;
    bool ended = false;

    smtp_data_init(&d, limits);
    buf_reset(out);
    while (fed < in.size && !ended) {
        size_t before = out->size, consumed;
        struct span piece = fed < split ? span_head(span_skip(in, fed), split - fed) : span_skip(in, fed);
        if (fed >= split && bytewise)
            piece = span_head(piece, 1);
        ended = smtp_data_feed(&d, piece, &consumed, out) == SMTP_DATA_END;
        assert_true(ended || consumed == piece.size);
        assert_true(out->size - before <= 2 * piece.size + 4);
        fed += consumed;
    }
    assert_false(buf_failed(out));
    const char *difference = ended != expected->ended || fed != expected->consumed ? "the end"
                             : ended ? reference_difference(expected, &d, buf_span(out))
                                     : NULL;
    if (difference)
        print_bytes(difference, in, split);
    assert_null(difference);
}

static void compare_chunks(struct span in, const struct smtp_data_limits *limits, size_t split,
                           const struct reference *expected, struct buf *out)
{
    struct smtp_data d;

    smtp_data_init(&d, limits);
    buf_reset(out);
    smtp_data_feed_chunk(&d, span_head(in, split), out);
    smtp_data_feed_chunk(&d, span_skip(in, split), out);
    smtp_data_finish_chunks(&d, out);
    const char *difference = reference_difference(expected, &d, buf_span(out));
    if (difference)
        print_bytes(difference, in, split);
    assert_null(difference);
}

static void compare_everywhere(struct span in, const struct smtp_data_limits *limits, struct buf *out)
{
    struct reference expected;

    reference_data(&expected, in, limits);
    for (size_t split = 0; split <= in.size; split++)
        compare_data(in, limits, split, false, &expected, out);
    compare_data(in, limits, 0, true, &expected, out);
    free(expected.content);
    reference_chunks(&expected, in, limits);
    for (size_t split = 0; split <= in.size; split++)
        compare_chunks(in, limits, split, &expected, out);
    free(expected.content);
}

/* Every end of data that somebody's server once took for one, and their neighbours. */
static const struct span variants[] = {
    SPAN(""),
    SPAN("."),
    SPAN(".\r"),
    SPAN(".\r\n"),
    SPAN(".\n"),
    SPAN(".\r\r\n"),
    SPAN("..\r\n"),
    SPAN("...\r\n"),
    SPAN("a\n.\nb"),
    SPAN("a\n.\r\nb"),
    SPAN("a\r\n.\nb"),
    SPAN("a\r.\rb"),
    SPAN("a\r.\r\nb"),
    SPAN("a\r\n.\rb"),
    SPAN("a\r\n.\r\rb"),
    SPAN("a\n\n.\n\nb"),
    SPAN("a\r\r.\r\rb"),
    SPAN("a\n\r.\n\rb"),
    SPAN("a\r\r\n.\r\nb"),
    SPAN("a\r\n.\r\r\nb"),
    SPAN("a\r\n\0.\r\nb"),
    SPAN("a\r\n.\0\r\nb"),
    SPAN("a\r\0\n.\r\nb"),
    SPAN("a\r\n.\r\0\nb"),
    SPAN("a\r\n.\n.\r\nb"),
    SPAN("a\r\n.\r.\r\nb"),
    SPAN("a\r\n..\r\n...\r\n.b\r\n..b\r\n.\r\nc"),
    SPAN("a\r\n. \r\n .\r\n.\t\r\nb"),
    SPAN("\r\n.\r\n"),
    SPAN("\n.\n"),
    SPAN("\r.\r"),
    SPAN("\r\n\r\n.\r\n.\r\n"),
    SPAN("a\xe2\x80\xa8.\xe2\x80\xa8\x85.\x85\x0b.\x0b\x0c.\x0c"),
    SPAN("From: a\r\nDate: b\r\nMESSAGE-ID: c\r\nReceived: d\r\n e\r\nreceived : f\r\n\r\nReceived: g\r\n"),
    SPAN("From: a\r\nnot a field\r\nDate: b\r\n"),
    SPAN("From: a\r\nno-colon\r\nDate: b\r\n"),
    SPAN("From : a\r\n: b\r\nDate: c\r\n"),
    SPAN("From \t x: a\r\nDate: c\r\n"),
    SPAN(" From: a\r\nDate: b\r\n"),
    SPAN("a: b\r\n \t\r\n\tc\r\nDate:\r\nReceived-SPF: x\r\nMessage-Identity: y\r\nFro: z\r\nFromm: z\r\n\r\n"),
    SPAN("a: \xc3\xa9\r\nb: \xc3\xa9\r\n\r\n\xc3"),
    SPAN("a: \xc3\r\n\xa9: b\r\n"),
    SPAN("a: \xff\r\nb: c\r\n\r\nd"),
    SPAN("\xc3\xa9: a\r\n\r\n"),
    SPAN("a: b\r\n\xc3\xa9\xff\r\n"),
    SPAN("~!x: a\r\nFrom: b\r\n\x7f: c\r\nDate: d\r\n"),
    SPAN("a:b\r\n.c:d\r\n..e:f\r\n"),
    SPAN("a: b\nReceived: c\r\nDate\r: d\r\n"),
    SPAN("0123456789: long enough to meet the limits of this test\r\nb:c\r\nd:e\r\nf:g\r\n\r\nbody body body body\r\n"),
};

static const struct smtp_data_limits tight[] = {
    {0},
    {.repair = true},
    {.max_size = 10},
    {.max_line = 8, .repair = true},
    {.max_header_size = 16},
    {.max_header_lines = 2, .max_line = 3},
};

static void each_variant_is_as_the_reference_says(void **state)
{
    struct buf in, out;

    (void)state;
    buf_init(&in, BUF_LIMIT);
    buf_init(&out, BUF_LIMIT);
    for (size_t i = 0; i < sizeof(variants) / sizeof(*variants); i++) {
        for (size_t j = 0; j < sizeof(tight) / sizeof(*tight); j++) {
            compare_everywhere(variants[i], &tight[j], &out);
            buf_reset(&in);
            buf_add_span(&in, variants[i]);
            buf_add_text(&in, "\r\n.\r\nNOOP\r\n");
            compare_everywhere(buf_span(&in), &tight[j], &out);
        }
    }
    buf_release(&in);
    buf_release(&out);
}

/* Every text of up to six of these bytes, with an end behind it: what is not in the table above is in here. */
static void every_short_text_is_as_the_reference_says(void **state)
{
    static const char alphabet[] = {'\r', '\n', '.', 'a', '\0'};
    char text[6 + 5];
    struct buf out;

    (void)state;
    buf_init(&out, BUF_LIMIT);
    for (size_t size = 0; size <= 6; size++) {
        unsigned count = 1;
        for (size_t i = 0; i < size; i++)
            count *= sizeof(alphabet);
        for (unsigned number = 0; number < count; number++) {
            unsigned rest = number;
            for (size_t i = 0; i < size; i++, rest /= sizeof(alphabet))
                text[i] = alphabet[rest % sizeof(alphabet)];
            memcpy(text + size, "\r\n.\r\n", 5);
            compare_everywhere(span_from(text, size + 5), number & 1 ? &no_limits : &repairing, &out);
        }
    }
    buf_release(&out);
}

/* ---- In words, so that the reference can't be wrong in the same way ---- */

static const struct {
    struct span in;
    bool repair;
    bool ended;
    size_t left; /* bytes behind the end */
    enum smtp_data_problem problem;
    struct span content;
} outcomes[] = {
    {SPAN(".\r\n"), false, true, 0, SMTP_DATA_FINE, SPAN("")},
    {SPAN(".\r\nQUIT\r\n"), false, true, 6, SMTP_DATA_FINE, SPAN("")},
    {SPAN("a\r\n.\r\n"), false, true, 0, SMTP_DATA_FINE, SPAN("a\r\n")},
    {SPAN("..\r\n...\r\n.a\r\n.\r\n"), false, true, 0, SMTP_DATA_FINE, SPAN(".\r\n..\r\na\r\n")},
    {SPAN("a\n.\nMAIL\r\n"), false, false, 0, SMTP_DATA_BARE_LINE_END, SPAN("")},
    {SPAN("a\n.\r\nMAIL\r\n"), false, false, 0, SMTP_DATA_BARE_LINE_END, SPAN("")},
    {SPAN("a\r\n.\nMAIL\r\n"), false, false, 0, SMTP_DATA_BARE_LINE_END, SPAN("")},
    {SPAN("a\r\n.\rMAIL\r\n"), false, false, 0, SMTP_DATA_BARE_LINE_END, SPAN("")},
    {SPAN("a\r.\rMAIL\r\n"), false, false, 0, SMTP_DATA_BARE_LINE_END, SPAN("")},
    {SPAN("a\r\n\0.\r\nMAIL\r\n"), false, false, 0, SMTP_DATA_NUL, SPAN("")},
    {SPAN("a\n.\nb\r\n.\r\n"), true, true, 0, SMTP_DATA_FINE, SPAN("a\r\n.\r\nb\r\n")},
    {SPAN("a\n.\r\nb\r\n.\r\n"), true, true, 0, SMTP_DATA_FINE, SPAN("a\r\n.\r\nb\r\n")},
    {SPAN("a\r\n.\nb\r\n.\r\n"), true, true, 0, SMTP_DATA_FINE, SPAN("a\r\n.\r\nb\r\n")},
    {SPAN("a\r\n.\rb\r\n.\r\n"), true, true, 0, SMTP_DATA_FINE, SPAN("a\r\n.\r\nb\r\n")},
    {SPAN("a\r\rb\n\nc\r\n.\r\n"), true, true, 0, SMTP_DATA_FINE, SPAN("a\r\n\r\nb\r\n\r\nc\r\n")},
    {SPAN("a\0b\n\r\n.\r\n"), true, true, 0, SMTP_DATA_NUL, SPAN("")},
};

static void outcomes_are_as_written_down(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, BUF_LIMIT);
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
        struct smtp_data d;
        size_t consumed;
        buf_reset(&out);
        smtp_data_init(&d, outcomes[i].repair ? &repairing : &no_limits);
        bool ended = smtp_data_feed(&d, outcomes[i].in, &consumed, &out) == SMTP_DATA_END;
        assert_int_equal(ended, outcomes[i].ended);
        assert_int_equal(outcomes[i].in.size - consumed, outcomes[i].left);
        assert_int_equal(smtp_data_problem(&d), outcomes[i].problem);
        if (!outcomes[i].problem)
            assert_true(span_equal(buf_span(&out), outcomes[i].content));
    }
    buf_release(&out);
}

static void problems_have_a_rank_and_a_reply(void **state)
{
    static const struct {
        struct smtp_data_limits limits;
        struct span in;
        enum smtp_data_problem problem;
        unsigned code;
    } rows[] = {
        {{.max_size = 7}, SPAN("a:b\r\nc"), SMTP_DATA_TOO_LARGE, 552},
        {{.max_size = 8}, SPAN("a:b\r\nc"), SMTP_DATA_FINE, 0},
        {{.max_size = 1}, SPAN("a\nb\0"), SMTP_DATA_TOO_LARGE, 552},
        {{0}, SPAN("a\nb\0"), SMTP_DATA_BARE_LINE_END, 550},
        {{.max_line = 1}, SPAN("ab\0"), SMTP_DATA_NUL, 550},
        {{.max_header_size = 9}, SPAN("a:b\r\nc:d\r\n"), SMTP_DATA_HEADER_TOO_LARGE, 552},
        {{.max_header_size = 10}, SPAN("a:b\r\nc:d\r\n\r\nbody"), SMTP_DATA_FINE, 0},
        {{.max_header_lines = 1}, SPAN("a:b\r\n c\r\n"), SMTP_DATA_TOO_MANY_HEADER_LINES, 552},
        {{.max_line = 3}, SPAN("a:b\r\nabcd"), SMTP_DATA_LINE_TOO_LONG, 550},
        {{.max_line = 4}, SPAN("a:b\r\nabcd"), SMTP_DATA_FINE, 0},
    };
    struct buf out;

    (void)state;
    buf_init(&out, BUF_LIMIT);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct smtp_data d;
        smtp_data_init(&d, &rows[i].limits);
        smtp_data_feed_chunk(&d, rows[i].in, &out);
        smtp_data_finish_chunks(&d, &out);
        assert_int_equal(smtp_data_problem(&d), rows[i].problem);
        const struct smtp_problem *reply = smtp_data_reply(smtp_data_problem(&d));
        assert_int_equal(reply ? reply->code : 0, rows[i].code);
    }
    assert_string_equal(smtp_data_reply(SMTP_DATA_BARE_LINE_END)->enhanced, "5.6.11");
    buf_release(&out);
}

/* Storing stops with the first problem, however much still comes. */
static void nothing_is_stored_behind_a_problem(void **state)
{
    static const struct smtp_data_limits limits = {.max_size = 1000};
    char block[4096];
    struct smtp_data d;
    struct buf out;
    size_t consumed;

    (void)state;
    memset(block, 'x', sizeof(block));
    buf_init(&out, BUF_LIMIT);
    smtp_data_init(&d, &limits);
    for (int i = 0; i < 100; i++)
        assert_int_equal(smtp_data_feed(&d, span_from(block, sizeof(block)), &consumed, &out), SMTP_DATA_MORE);
    assert_true(out.size <= 1000);
    assert_int_equal(d.size, 100 * sizeof(block));
    assert_int_equal(smtp_data_problem(&d), SMTP_DATA_TOO_LARGE);
    assert_int_equal(smtp_data_feed(&d, span_text("\r\n.\r\n"), &consumed, &out), SMTP_DATA_END);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_variant_is_as_the_reference_says),
        cmocka_unit_test(every_short_text_is_as_the_reference_says),
        cmocka_unit_test(outcomes_are_as_written_down),
        cmocka_unit_test(problems_have_a_rank_and_a_reply),
        cmocka_unit_test(nothing_is_stored_behind_a_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
