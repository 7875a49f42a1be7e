#include "peer.h"

#include "run/fiber.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PATIENCE clock_in_seconds(peer->patience_seconds)

static int fault(struct peer *peer, struct span step, const char *what, struct span got)
{
    snprintf(peer->problem, sizeof peer->problem, "%.*s: %s: %.*s", SPAN_ARG(step), what,
             SPAN_ARG(span_head(got, 200)));
    return -EPROTO;
}

static int say(struct fiber *self, struct peer *peer, struct span bytes)
{
    int error = 0;
    size_t step = peer->slow ? 1 : bytes.size;
    for (size_t at = 0; !error && at < bytes.size; at += step) {
        buf_add_span(stream_output(peer->stream), span_head(span_skip(bytes, at), step));
        if (peer->slow)
            error = stream_flush(self, peer->stream, PATIENCE);
        if (peer->slow && !error)
            error = fiber_yield(self);
    }
    return error;
}

static int say_raw(struct fiber *self, struct peer *peer, struct span text)
{
    char bytes[1000];
    size_t size = 0;
    for (size_t i = 0; i < text.size && size < sizeof bytes; i++) {
        bool is_escape = text.data[i] == '\\' && i + 1 < text.size;
        char next = is_escape ? text.data[++i] : text.data[i];
        bytes[size++] = !is_escape ? next : next == 'r' ? '\r' : next == 'n' ? '\n' : next;
    }
    buf_add(stream_output(peer->stream), bytes, size);
    return stream_flush(self, peer->stream, PATIENCE);
}

static int hear(struct fiber *self, struct peer *peer, struct span step, struct span expected)
{
    struct span line = {0};
    int error = stream_read_line(self, peer->stream, 4000, &line, PATIENCE);
    if (error)
        return fault(peer, step, strerrorname_np(-error), line);
    return span_equal(line, expected) ? 0 : fault(peer, step, "another line came", line);
}

static int hear_octets(struct fiber *self, struct peer *peer, uint64_t count)
{
    while (count > 0) {
        struct span input = span_head(stream_input(peer->stream), count);
        stream_consume(peer->stream, input.size);
        count -= input.size;
        int error = count > 0 ? stream_fill(self, peer->stream, PATIENCE) : 0;
        if (error)
            return error;
    }
    return 0;
}

static int repeat(struct fiber *self, struct peer *peer, struct span text)
{
    int error = 0;
    while (!error) {
        error = fiber_sleep(self, clock_in_seconds(50));
        buf_printf(stream_output(peer->stream), "%.*s\r\n", SPAN_ARG(text));
        if (!error)
            error = stream_flush(self, peer->stream, PATIENCE);
    }
    return error == -EPIPE || error == -ECONNRESET ? 0 : error;
}

static int wait_for_end(struct fiber *self, struct peer *peer, struct span step)
{
    struct span line = {0};
    int error = stream_read_line(self, peer->stream, 4000, &line, PATIENCE);
    return error == -ENODATA || error == -ECONNRESET ? 0 : fault(peer, step, "something came", line);
}

static int take_step(struct fiber *self, struct peer *peer, struct span step)
{
    struct span rest = span_skip(step, 3);
    uint64_t count;
    switch (step.data[0]) {
    case 'S': {
        int error = say(self, peer, rest);
        return error ? error : say(self, peer, span_text("\r\n"));
    }
    case 'R':
        return say_raw(self, peer, rest);
    case 'C':
        return hear(self, peer, step, rest);
    case 'N':
        return span_parse_u64(rest, 1 << 30, &count) ? hear_octets(self, peer, count) : -EINVAL;
    case 'P':
        return stream_has_input(peer->stream) ? fault(peer, step, "too early", stream_input(peer->stream)) : 0;
    case 'T':
        return stream_accept_tls(self, peer->stream, peer->tls, PATIENCE);
    case 'F':
        return stream_accept_tls(self, peer->stream, peer->tls, PATIENCE) ? 0 : -EPROTO;
    case 'E':
        return repeat(self, peer, rest);
    case 'W':
        return wait_for_end(self, peer, step);
    default:
        return fault(peer, step, "no such step", rest);
    }
}

void peer_main(struct fiber *self, void *argument)
{
    struct peer *peer = argument;
    struct span rest = span_text(peer->script), step = {0};
    int error = 0;
    while (!error && rest.size > 0) {
        step = span_cut(&rest, '\n');
        if (step.data[0] == 'X')
            break;
        error = take_step(self, peer, step);
    }
    if (!error && !strchr("EFW", step.data[0]))
        error = stream_flush(self, peer->stream, PATIENCE);
    if (error && !peer->problem[0])
        (void)fault(peer, step, strerrorname_np(-error), (struct span){0});
    stream_free(peer->stream);
    peer->stream = NULL;
}
