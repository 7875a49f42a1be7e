#include "run/stream.h"

#include "run/stream_internal.h"
#include "run/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define OUTPUT_MAX (256u * 1024)
#define FLUSH_FROM (64u * 1024)
#define LINGER_MAX (64u * 1024)
#define PROBLEM_MAX 512

struct stream *stream_new(struct loop *loop, int fd)
{
    struct stream *s = calloc(1, sizeof *s);
    if (!s || watch_start(&s->watch, loop, fd, 0) != 0) {
        free(s);
        close(fd);
        return NULL;
    }
    buf_init(&s->output, OUTPUT_MAX);
    buf_init(&s->problem, PROBLEM_MAX);
    s->drained = true; /* until epoll's first word about it: servers speak first */
    return s;
}

static void give_input(struct stream *s)
{
    pool_give(&s->watch.loop->input_pool, s->input);
    s->input = NULL;
    s->start = s->end = s->scanned = 0;
}

static void give_output(struct stream *s)
{
    if (s->output.room == s->watch.loop->output_pool.size) {
        pool_give(&s->watch.loop->output_pool, s->output.data);
        buf_init(&s->output, OUTPUT_MAX);
    } else {
        buf_release(&s->output);
    }
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    tls_context_unref(s->tls);
    give_input(s);
    give_output(s);
    buf_release(&s->problem);
    watch_close(&s->watch);
    free(s);
}

int stream_fail(struct stream *s, int error, const char *text)
{
    if (s->error)
        return s->error;
    s->error = error;
    if (*text)
        buf_add(&s->problem, text, strlen(text) + 1); /* with its NUL */
    return error;
}

const char *stream_problem(const struct stream *s)
{
    bool whole = s->problem.size > 0 && s->problem.data[s->problem.size - 1] == '\0';
    return whole ? s->problem.data : "";
}

int stream_fd(const struct stream *s)
{
    return s->watch.fd;
}

/* ---- input ---- */

struct span stream_input(const struct stream *s)
{
    return (struct span){s->input ? s->input + s->start : NULL, s->end - s->start};
}

bool stream_has_input(const struct stream *s)
{
    return s->end > s->start;
}

bool stream_is_quiet(struct stream *s)
{
    if (s->error || s->ended || s->hung_up || s->watch.hung_up || s->end > s->start || (s->ssl && SSL_pending(s->ssl)))
        return false;
    if (s->drained && !s->watch.ready)
        return true;
    /* An edge may be of what was read already. */
    char byte;
    return recv(s->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void stream_consume(struct stream *s, size_t n)
{
    if (n > s->end - s->start)
        abort();
    s->start += n;
    s->scanned = s->scanned > n ? s->scanned - n : 0;
}

static int make_room(struct stream *s)
{
    if (!s->input && !(s->input = pool_take(&s->watch.loop->input_pool)))
        return -ENOMEM;
    size_t left = s->end - s->start, room = STREAM_INPUT_MAX - s->end;
    /* Moving only what is smaller than the gap, or what there is no other place for, keeps the whole linear. */
    if (s->start > 0 && (left == 0 || room == 0 || (room < STREAM_INPUT_MAX / 2 && left <= s->start))) {
        memmove(s->input, s->input + s->start, left);
        s->start = 0;
        s->end = left;
    }
    return s->end < STREAM_INPUT_MAX ? 0 : -ENOBUFS;
}

int stream_fill(struct fiber *self, struct stream *s, uint64_t deadline)
{
    for (;;) {
        if (s->error)
            return s->error;
        if (s->ended)
            return -ENODATA;
        int error = make_room(s);
        if (error)
            return error;
        ssize_t n = stream_try_read(s, s->input + s->end, STREAM_INPUT_MAX - s->end);
        if (n > 0) {
            s->end += (size_t)n;
            s->flushed = false;
            stream_note_progress(s, (size_t)n);
            return stream_take_turns(self, s, deadline);
        }
        if (n != -EAGAIN)
            return (int)n;
        bool wants_write = s->wants_write;
        if (s->output.size > 0 || buf_failed(&s->output)) {
            error = stream_flush(self, s, deadline);
            if (error)
                return error;
            s->wants_write = wants_write;
        }
        if (s->start == s->end)
            give_input(s);
        give_output(s);
        error = stream_wait(self, s, deadline);
        if (error)
            return error;
    }
}

int stream_overhear(struct fiber *self, struct stream *s, uint64_t deadline)
{
    s->overhears = true;
    int error = stream_fill(self, s, deadline);
    s->overhears = false;
    return error;
}

/* A line from what is buffered: 1 and *line, -EMSGSIZE for the end of one that was too long, or 0 when more input is
 * needed. */
static int take_line(struct stream *s, size_t max, struct span *line)
{
    struct span input = stream_input(s);
    struct span fresh = span_skip(input, s->scanned);
    const char *lf = fresh.data ? memchr(fresh.data, '\n', fresh.size) : NULL;
    if (!lf) {
        s->scanned = input.size;
        if (s->dropping || input.size > max + 1) { /* max and a CR may still become a line */
            s->dropping = true;
            stream_consume(s, input.size);
        }
        return 0;
    }
    size_t size = (size_t)(lf - input.data);
    stream_consume(s, size + 1);
    if (size > 0 && input.data[size - 1] == '\r')
        size--;
    if (s->dropping || size > max) {
        s->dropping = false;
        return -EMSGSIZE;
    }
    *line = span_head(input, size);
    return 1;
}

int stream_read_line(struct fiber *self, struct stream *s, size_t max, struct span *line, uint64_t deadline)
{
    if (s->error) {
        int taken = s->heard_out ? take_line(s, max, line) : 0;
        return taken > 0 ? 0 : taken < 0 ? taken : s->error;
    }
    /* A peer that pipelines without end never makes us wait for input, which is what else sends the replies. */
    int error = s->output.size >= FLUSH_FROM ? stream_flush(self, s, deadline) : 0;
    if (error)
        return error;
    bool waited = false;
    for (;;) {
        int taken = take_line(s, max, line);
        if (taken != 0)
            return taken < 0 ? taken : 0;
        if (waited && clock_monotonic() >= deadline)
            return -ETIMEDOUT; /* one of many waits for a line: see stream_wait_strictly */
        error = stream_fill(self, s, deadline);
        if (error)
            return error;
        waited = true;
    }
}

/* ---- output ---- */

struct buf *stream_output(struct stream *s)
{
    if (!s->output.data) {
        s->output.data = pool_take(&s->watch.loop->output_pool);
        s->output.room = s->output.data ? s->watch.loop->output_pool.size : 0; /* without, the buf's own growth tells */
    }
    return &s->output;
}

int stream_flush(struct fiber *self, struct stream *s, uint64_t deadline)
{
    if (s->error)
        return s->error;
    if (buf_failed(&s->output))
        return stream_fail(s, -ENOMEM, "more output than its limit, or no memory");
    if (s->flushed && s->output.size > 0)
        stream_undelay(s); /* a second write with no word of the peer in between: do not wait for its acknowledgement */
    size_t sent = 0;
    int error = 0;
    while (sent < s->output.size && !error) {
        ssize_t n = stream_try_write(s, s->output.data + sent, s->output.size - sent);
        if (n > 0) {
            sent += (size_t)n;
            stream_note_progress(s, (size_t)n);
        }
        if (n > 0 && sent < s->output.size)
            error = stream_take_turns(self, s, deadline);
        else if (n == -EAGAIN)
            error = stream_wait_strictly(self, s, deadline);
        else if (n < 0)
            error = (int)n;
    }
    s->flushed = s->flushed || sent > 0;
    buf_drop(&s->output, sent);
    return error;
}

void stream_hear_out(struct stream *s, int error)
{
    ssize_t n = 1;
    (void)stream_fail(s, error, "");
    s->heard_out = true;
    s->drained = false;
    while (n > 0 && make_room(s) == 0) {
        n = stream_try_read(s, s->input + s->end, STREAM_INPUT_MAX - s->end);
        s->end += n > 0 ? (size_t)n : 0;
    }
}

int stream_write(struct fiber *self, struct stream *s, struct span bytes, uint64_t deadline)
{
    if (s->error)
        return s->error;
    while (bytes.size > 0) {
        struct buf *output = stream_output(s);
        if (output->size > FLUSH_FROM) {
            int error = stream_flush(self, s, deadline);
            if (!error)
                error = stream_take_turns(self, s, deadline);
            if (error)
                return error;
        }
        struct span part = span_head(bytes, FLUSH_FROM);
        buf_add_span(output, part);
        if (buf_failed(output))
            return stream_fail(s, -ENOMEM, "no memory for output");
        bytes = span_skip(bytes, part.size);
    }
    return 0;
}

/* ---- end ---- */

static int linger(struct fiber *self, struct stream *s, uint64_t deadline)
{
    give_input(s);
    int error = make_room(s);
    size_t left = LINGER_MAX;
    while (!error && left > 0 && !s->hung_up) {
        ssize_t n = socket_read(s, s->input, left < STREAM_INPUT_MAX ? left : STREAM_INPUT_MAX);
        if (n == -EAGAIN) {
            s->wants_write = false;
            error = stream_wait_strictly(self, s, deadline);
        } else if (n < 0) {
            error = (int)n;
        } else {
            left -= (size_t)n;
        }
    }
    return error;
}

void stream_close(struct fiber *self, struct stream *s, bool is_last_word, uint64_t deadline)
{
    if (s->crowded_out)
        deadline = 0; /* somebody else waits for its place */
    /* Reading on until the peer closes too: a socket that is closed with unread input sends a reset, which can overtake
     * the last reply. */
    s->closes = is_last_word && s->drained && s->start == s->end;
    int error = stream_flush(self, s, deadline);
    if (!error && s->ssl)
        stream_tls_close(s);
    if (!error && !s->closes && shutdown(s->watch.fd, SHUT_WR) == 0)
        error = linger(self, s, deadline);
    give_input(s);
    s->dropping = false;
    /* How the farewell went changes nothing for anybody. */
    (void)stream_fail(s, error ? error : -EPIPE, "");
}
