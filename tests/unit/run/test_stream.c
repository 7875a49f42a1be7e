#include "stream_pair.h"

#define LINES "EHLO client.example\r\nNOOP\nA\0B\x80\r\r\n\r\nQUIT\r\n"

static const struct span expected_lines[] = {SPAN("EHLO client.example"), SPAN("NOOP"), SPAN("A\0B\x80\r"), SPAN(""),
                                             SPAN("QUIT")};

static void expect_line(struct fiber *self, struct stream *s, struct span expected)
{
    struct span line;
    assert_int_equal(stream_read_line(self, s, 100, &line, LONG), 0);
    assert_int_equal(line.size, expected.size);
    assert_memory_equal(line.data, expected.data, expected.size);
}

static void expect_lines(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    for (size_t i = 0; i < sizeof expected_lines / sizeof expected_lines[0]; i++)
        expect_line(self, p->stream, expected_lines[i]);
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), -ENODATA);
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), -ENODATA);
    assert_string_equal(stream_problem(p->stream), "");
}

static void send_lines_split(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    put(self, p, LINES, p->step);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fiber_yield(self), 0);
    put(self, p, &LINES[p->step], sizeof LINES - 1 - p->step);
    assert_int_equal(fiber_yield(self), 0);
    pair_close_fd(p);
}

static void reads_lines_split_anywhere(void **state)
{
    for (size_t split = 0; split < sizeof LINES; split++) {
        struct pair p;
        pair_init(&p);
        p.step = split;
        pair_run(&p, expect_lines, send_lines_split);
        pair_release(&p);
    }
}

static void send_lines_bytewise(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    for (size_t i = 0; i < sizeof LINES - 1; i++) {
        put(self, p, &LINES[i], 1);
        assert_int_equal(fiber_yield(self), 0);
    }
    pair_close_fd(p);
}

static void reads_lines_byte_by_byte(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, expect_lines, send_lines_bytewise);
    pair_release(&p);
}

/* ---- lengths ---- */

/* Bytes before the terminator, the terminator, and what reading it with max 10 gives. */
static const struct {
    size_t size;
    const char *end;
    int outcome;
} lengths[] = {
    {9, "\n", 0},
    {10, "\n", 0},
    {10, "\r\n", 0},
    {11, "\n", -EMSGSIZE},
    {11, "\r\n", -EMSGSIZE},
    {12, "\n", -EMSGSIZE},
    {1000, "\n", -EMSGSIZE},
    {200000, "\r\n", -EMSGSIZE},
    {0, "\n", 0},
};

static void send_lengths(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static char filler[200000];
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        put(self, p, filler, lengths[i].size);
        if (p->step)
            assert_int_equal(fiber_yield(self), 0);
        put(self, p, lengths[i].end, strlen(lengths[i].end));
    }
}

static void expect_lengths(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        assert_int_equal(stream_read_line(self, p->stream, 10, &line, LONG), lengths[i].outcome);
        if (lengths[i].outcome == 0)
            assert_int_equal(line.size, lengths[i].size);
    }
    assert_false(stream_has_input(p->stream));
}

static void drops_lines_that_are_too_long(void **state)
{
    for (size_t slow = 0; slow < 2; slow++) {
        struct pair p;
        pair_init(&p);
        p.step = slow;
        pair_run(&p, expect_lengths, send_lengths);
        pair_release(&p);
    }
}

/* ---- fill ---- */

static void send_70000(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static char filler[70000];
    memset(filler, 'y', sizeof filler);
    put(self, p, filler, sizeof filler);
}

static void fill_up(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct stream *s = p->stream;
    while (stream_input(s).size < STREAM_INPUT_MAX) {
        size_t before = stream_input(s).size;
        assert_int_equal(stream_fill(self, s, LONG), 0);
        assert_true(stream_input(s).size > before);
    }
    assert_int_equal(stream_fill(self, s, LONG), -ENOBUFS);
    stream_consume(s, 60000);
    assert_int_equal(stream_fill(self, s, LONG), 0);
    while (stream_input(s).size < 10000)
        assert_int_equal(stream_fill(self, s, LONG), 0);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(stream_input(s).data[i], 'y');
    stream_consume(s, 10000);
    assert_false(stream_has_input(s));
}

static void fills_up_to_the_limit(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, fill_up, send_70000);
    pair_release(&p);
}

/* ---- output ---- */

/* Replies to pipelined commands leave in one write, when the server waits. */
static void reply_to_each(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), 0);
        buf_printf(stream_output(p->stream), "250 %.*s\r\n", SPAN_ARG(line));
    }
    assert_true(p->step == 0); /* nothing was sent yet */
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), -ENODATA);
}

static void pipeline(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[100];
    put(self, p, "a\r\nb\r\nc\r\n", 9);
    size_t size = get(self, p, text, sizeof text);
    p->step = size;
    assert_int_equal(size, 21);
    assert_memory_equal(text, "250 a\r\n250 b\r\n250 c\r\n", 21);
    pair_close_fd(p);
}

static void sends_replies_together_before_it_waits(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, reply_to_each, pipeline);
    pair_release(&p);
}

#define BULK (10u << 20)

static char pattern(size_t at)
{
    return (char)(at * 7 + at / 4093);
}

static void write_bulk(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static char piece[100000];
    for (size_t done = 0; done < BULK;) {
        size_t size = BULK - done < sizeof piece ? BULK - done : sizeof piece;
        for (size_t i = 0; i < size; i++)
            piece[i] = pattern(done + i);
        assert_int_equal(stream_write(self, p->stream, span_from(piece, size), LONG), 0);
        done += size;
    }
    assert_int_equal(stream_flush(self, p->stream, LONG), 0);
    stream_close(self, p->stream, false, LONG);
}

static void read_bulk_slowly(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static char piece[30011];
    size_t size, done = 0;
    while ((size = get(self, p, piece, sizeof piece)) > 0) {
        for (size_t i = 0; i < size; i++)
            if (piece[i] != pattern(done + i))
                fail_msg("byte %zu is wrong", done + i);
        done += size;
        assert_int_equal(fiber_yield(self), 0);
    }
    assert_int_equal(done, BULK);
    pair_close_fd(p);
}

static void ten_megabytes_to_a_slow_reader(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, write_bulk, read_bulk_slowly);
    pair_release(&p);
}

/* ---- ends ---- */

static void write_until_it_breaks(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static const char piece[100000];
    int error = 0;
    while (!error)
        error = stream_write(self, p->stream, span_from(piece, sizeof piece), LONG);
    assert_true(error == -EPIPE || error == -ECONNRESET);
    struct span line;
    assert_int_equal(stream_flush(self, p->stream, LONG), error);
    assert_int_equal(stream_read_line(self, p->stream, 10, &line, LONG), error);
    assert_int_not_equal(strlen(stream_problem(p->stream)), 0);
}

static void read_a_little(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[1000];
    assert_int_not_equal(get(self, p, text, sizeof text), 0);
    pair_close_fd(p);
}

static void peer_closes_in_the_middle(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, write_until_it_breaks, read_a_little);
    pair_release(&p);
}

/* A peer that closes one direction only still gets its replies. */
static void reply_after_the_end(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    expect_line(self, p->stream, span_text("QUIT"));
    buf_add_text(stream_output(p->stream), "221 bye\r\n");
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), -ENODATA);
    stream_close(self, p->stream, false, LONG);
    assert_int_not_equal(stream_fill(self, p->stream, LONG), 0);
}

static void half_close(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[100];
    put(self, p, "QUIT\r\nrest without an end", 25);
    assert_int_equal(shutdown(p->fd, SHUT_WR), 0);
    assert_int_equal(get(self, p, text, sizeof text), 9);
    assert_memory_equal(text, "221 bye\r\n", 9);
    assert_int_equal(get(self, p, text, sizeof text), 0);
}

static void half_closed_peer_gets_its_reply(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, reply_after_the_end, half_close);
    pair_release(&p);
}

/* The closing server drops what still comes, but not for ever. */
static void close_while_flooded(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    buf_add_text(stream_output(p->stream), "421 too much\r\n");
    stream_close(self, p->stream, false, LONG);
    stream_free(p->stream);
    p->stream = NULL;
}

static void flood(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static const char piece[10000];
    size_t sent = 0;
    for (;;) {
        ssize_t n = send(p->fd, piece, sizeof piece, MSG_NOSIGNAL);
        if (n > 0)
            sent += (size_t)n;
        else if (errno == EAGAIN)
            assert_int_equal(watch_wait_writable(self, &p->watch, LONG), 0);
        else
            break;
    }
    assert_true(sent >= 65536);
    char text[100];
    ssize_t n = read(p->fd, text, sizeof text);
    assert_true(n == 14 || (n < 0 && errno == ECONNRESET));
}

static void lingers_for_a_bounded_time(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, close_while_flooded, flood);
    pair_release(&p);
}

/* More output than the limit is an error, never a reply that is missing. */
static void overflow_output(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static char piece[300000];
    struct span line;
    buf_add(stream_output(p->stream), piece, sizeof piece);
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, LONG), -ENOMEM);
    assert_int_equal(stream_flush(self, p->stream, LONG), -ENOMEM);
}

static void too_much_output_is_an_error(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, overflow_output, NULL);
    pair_release(&p);
}

/* ---- deadlines and cancel ---- */

static void line_times_out(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    uint64_t deadline = clock_monotonic() + 30000000;
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, deadline), -ETIMEDOUT);
    assert_true(clock_monotonic() >= deadline);
    buf_add_text(stream_output(p->stream), "421\r\n");
    assert_int_equal(stream_flush(self, p->stream, LONG), 0);
    stream_free(p->stream);
    p->stream = NULL;
}

/* A byte every now and then buys nothing. */
static void drip(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[10];
    while (send(p->fd, "x", 1, MSG_NOSIGNAL) == 1)
        assert_int_equal(fiber_sleep(self, clock_monotonic() + 1000000), 0);
    assert_int_equal(read(p->fd, text, sizeof text), 5);
}

static void deadline_is_for_the_whole_line(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, line_times_out, drip);
    pair_release(&p);
}

/* Nor does a flood without a line end keep the fiber beyond its deadline or the loop from the others. */
static void flood_times_out(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, clock_monotonic() + 20000000), -ETIMEDOUT);
    stream_free(p->stream);
    p->stream = NULL;
}

static void endless_flood(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static const char piece[10000];
    for (;;) {
        if (send(p->fd, piece, sizeof piece, MSG_NOSIGNAL) < 0 && errno != EAGAIN)
            return;
        assert_int_equal(fiber_yield(self), 0);
    }
}

static void deadline_holds_in_a_flood(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, flood_times_out, endless_flood);
    pair_release(&p);
}

static void flush_times_out(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    static const char piece[65536];
    int error = 0;
    while (!error)
        error = stream_write(self, p->stream, span_from(piece, sizeof piece), clock_monotonic() + 5000000);
    assert_int_equal(error, -ETIMEDOUT);
}

static void write_times_out_on_a_reader_that_sleeps(void **state)
{
    struct pair p;
    pair_init(&p);
    pair_run(&p, flush_times_out, NULL);
    pair_release(&p);
}

static void be_canceled(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    assert_int_equal(stream_read_line(self, p->stream, 100, &line, CLOCK_NEVER), -ECANCELED);
    /* The clean-up of a canceled session can say good-bye as long as nobody has to wait. */
    buf_add_text(stream_output(p->stream), "421 closing\r\n");
    stream_close(self, p->stream, false, LONG);
}

static void cancel_reader(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[100];
    assert_int_equal(fiber_yield(self), 0);
    loop_cancel_all(p->loop, self);
    assert_int_equal(get(self, p, text, sizeof text), 13);
    assert_int_equal(get(self, p, text, sizeof text), 0);
}

static void canceled_reader_says_goodbye(void **state)
{
    struct pair p;
    pair_init(&p);
    assert_non_null(fiber_start(p.loop, "reader", be_canceled, &p));
    assert_non_null(fiber_start(p.loop, "cancel", cancel_reader, &p));
    while (loop_fiber_count(p.loop) > 0) {
        /* The stopper is started after the cancel. */
        assert_non_null(fiber_start(p.loop, "stop", stop_when_alone, p.loop));
        assert_int_equal(loop_run(p.loop), 0);
    }
    pair_release(&p);
}

#define MILLISECOND (NANOSECONDS / 1000)

/* How far the peer is behind in a hundred seconds, were it to do nothing until then. */
static uint64_t behind_then(const struct pair *p, uint64_t *then)
{
    *then = clock_monotonic() + 100 * NANOSECONDS;
    return stream_kept_waiting(p->stream, *then);
}

static void take_slowly(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    struct span line;
    assert_int_equal(stream_read_line(self, p->stream, 5000, &line, CLOCK_NEVER), 0);
    assert_int_equal(stream_kept_waiting(p->stream, CLOCK_NEVER), 0); /* it is not the peer's turn */
    p->step++;
    assert_int_equal(stream_read_line(self, p->stream, 5000, &line, CLOCK_NEVER), 0);
    stream_settle(p->stream);
    p->step++;
    assert_int_equal(stream_fill(self, p->stream, CLOCK_NEVER), -ECANCELED);
    assert_true(stream_is_crowded_out(p->stream));
    buf_add_text(stream_output(p->stream), "421 full\r\n");
    stream_close(self, p->stream, false, CLOCK_NEVER); /* the other end stays open */
    p->step++;
}

static void wait_for_step(struct fiber *self, const struct pair *p, size_t step)
{
    while (p->step < step)
        assert_int_equal(fiber_sleep(self, clock_monotonic() + MILLISECOND / 10), 0);
}

/* No comparison here is one of times that the test itself takes. */
static void come_slowly(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    char text[100];
    uint64_t begun = clock_monotonic(), then;
    struct fiber *reader = fiber_start(p->loop, "reader", take_slowly, p);
    assert_non_null(reader);
    while (!stream_kept_waiting(p->stream, CLOCK_NEVER))
        assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(fiber_sleep(self, clock_monotonic() + 50 * MILLISECOND), 0);
    uint64_t late = behind_then(p, &then);
    assert_in_range(late, 100 * NANOSECONDS + 50 * MILLISECOND, then - begun);
    /* A whole line buys no more than its bytes do, a millisecond each. */
    assert_int_equal(write(p->fd, "NOOP\r\n", 6), 6);
    wait_for_step(self, p, 1);
    late = behind_then(p, &then);
    assert_in_range(late, 100 * NANOSECONDS + 44 * MILLISECOND, then - begun - 6 * MILLISECOND);
    /* What it came for buys all. */
    uint64_t from = clock_monotonic();
    assert_int_equal(write(p->fd, "DATA\r\n", 6), 6);
    wait_for_step(self, p, 2);
    late = behind_then(p, &then);
    assert_in_range(late, 100 * NANOSECONDS, then - from);
    assert_false(stream_is_crowded_out(p->stream));
    stream_crowd_out(p->stream, reader);
    wait_for_step(self, p, 3);
    assert_int_equal(get(self, p, text, sizeof text), 10);
}

static uint64_t turn_came;

static void overhear_then_read(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    assert_int_equal(stream_overhear(self, p->stream, clock_monotonic() + 50 * MILLISECOND), -ETIMEDOUT);
    p->step++;
    turn_came = clock_monotonic();
    assert_int_equal(stream_fill(self, p->stream, CLOCK_NEVER), 0);
    p->step++;
}

static void look_at_who_overhears(struct fiber *self, void *argument)
{
    struct pair *p = argument;
    uint64_t then;
    assert_non_null(fiber_start(p->loop, "reader", overhear_then_read, p));
    while (p->step == 0) {
        assert_int_equal(behind_then(p, &then), 0);
        assert_int_equal(fiber_sleep(self, clock_monotonic() + MILLISECOND), 0);
    }
    /* What was waited before is not counted either. */
    uint64_t late = behind_then(p, &then);
    assert_in_range(late, 100 * NANOSECONDS, then - turn_came);
    assert_int_equal(write(p->fd, "x", 1), 1);
    wait_for_step(self, p, 2);
}

static void who_is_overheard_keeps_nobody_waiting(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p);
    assert_non_null(fiber_start(p.loop, "peer", look_at_who_overhears, &p));
    while (loop_fiber_count(p.loop) > 0) {
        assert_non_null(fiber_start(p.loop, "stop", stop_when_alone, p.loop));
        assert_int_equal(loop_run(p.loop), 0);
    }
    pair_release(&p);
}

static void knows_who_keeps_it_waiting(void **state)
{
    struct pair p;
    pair_init(&p);
    assert_non_null(fiber_start(p.loop, "peer", come_slowly, &p));
    while (loop_fiber_count(p.loop) > 0) {
        assert_non_null(fiber_start(p.loop, "stop", stop_when_alone, p.loop));
        assert_int_equal(loop_run(p.loop), 0);
    }
    pair_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_lines_split_anywhere),
        cmocka_unit_test(reads_lines_byte_by_byte),
        cmocka_unit_test(drops_lines_that_are_too_long),
        cmocka_unit_test(fills_up_to_the_limit),
        cmocka_unit_test(sends_replies_together_before_it_waits),
        cmocka_unit_test(ten_megabytes_to_a_slow_reader),
        cmocka_unit_test(peer_closes_in_the_middle),
        cmocka_unit_test(half_closed_peer_gets_its_reply),
        cmocka_unit_test(lingers_for_a_bounded_time),
        cmocka_unit_test(too_much_output_is_an_error),
        cmocka_unit_test(deadline_is_for_the_whole_line),
        cmocka_unit_test(deadline_holds_in_a_flood),
        cmocka_unit_test(write_times_out_on_a_reader_that_sleeps),
        cmocka_unit_test(canceled_reader_says_goodbye),
        cmocka_unit_test(knows_who_keeps_it_waiting),
        cmocka_unit_test(who_is_overheard_keeps_nobody_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
