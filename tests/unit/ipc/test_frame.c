#include "ipc/channel.h"
#include "ipc/frame.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct span whole_frame(struct buf *out)
{
    struct frame frame = {.kind = FRAME_REQUEST,
                          .method = 3,
                          .call = 77,
                          .has_fd = true,
                          .message = span_text("message"),
                          .attachment = span_text("attached bytes")};
    buf_init(out, 4096);
    frame_write_header(&frame, out);
    buf_add_span(out, frame.message);
    buf_add_span(out, frame.attachment);
    return buf_span(out);
}

static void round_trip(void **state)
{
    struct buf out;
    struct span bytes = whole_frame(&out);
    struct frame frame;
    size_t size;
    assert_int_equal(frame_parse(bytes, &frame, &size), FRAME_WHOLE);
    assert_int_equal(size, bytes.size);
    assert_int_equal(frame.kind, FRAME_REQUEST);
    assert_int_equal(frame.method, 3);
    assert_int_equal(frame.call, 77);
    assert_true(frame.has_fd);
    assert_true(span_is(frame.message, "message"));
    assert_true(span_is(frame.attachment, "attached bytes"));
    buf_release(&out);
}

static void every_truncation_is_partial(void **state)
{
    struct buf out;
    struct span bytes = whole_frame(&out);
    for (size_t n = 0; n < bytes.size; n++) {
        struct frame frame;
        size_t size;
        assert_int_equal(frame_parse(span_head(bytes, n), &frame, &size), FRAME_PARTIAL);
        assert_true(size > n && size <= bytes.size);
    }
    buf_release(&out);
}

static void bad_headers(void **state)
{
    static const struct {
        size_t at;
        unsigned char value;
    } rows[] = {
        {3, 0x80},  /* message size beyond the limit */
        {7, 0x80},  /* attachment size beyond the limit */
        {12, 0xff}, /* a request with an error */
        {18, 0},    /* no kind */
        {18, 4},    /* a kind that does not exist */
        {18, 3},    /* a failure with a message */
        {19, 2},    /* two descriptors */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out;
        struct span bytes = whole_frame(&out);
        struct frame frame;
        size_t size;
        out.data[rows[i].at] = (char)rows[i].value;
        assert_int_equal(frame_parse(bytes, &frame, &size), FRAME_BAD);
        buf_release(&out);
    }
}

static void failure_errors(void **state)
{
    static const struct {
        int error;
        enum frame_status status;
    } rows[] = {{-5, FRAME_WHOLE}, {-4095, FRAME_WHOLE}, {0, FRAME_BAD}, {5, FRAME_BAD}, {-4096, FRAME_BAD}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct frame frame = {.kind = FRAME_FAILURE, .error = rows[i].error};
        struct buf out;
        size_t size;
        buf_init(&out, 64);
        frame_write_header(&frame, &out);
        assert_int_equal(frame_parse(buf_span(&out), &frame, &size), rows[i].status);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(every_truncation_is_partial),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(failure_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
