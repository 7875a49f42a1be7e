#include "services.h"

#include "base/clock.h"

#define CALL_SECONDS 120

const unsigned char services_key[GRANT_KEY_SIZE] = "a key that only the house holds";

void services_start(struct services *s, struct fixture *f)
{
    struct buf problem;
    *s = (struct services){.loop = loop_new()};
    fixture_close(f);
    f->settings.references = 1;
    assert_non_null(s->loop);
    buf_init(&problem, 4096);
    s->writer = store_writer_new(s->loop, &f->settings, services_key, &problem);
    s->reader = s->writer ? store_reader_new(s->loop, &f->settings, services_key, &problem) : NULL;
    if (!s->reader)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
}

/* Until the fibers of the freed channels have ended. */
static void wait_for_all(struct fiber *self, void *argument)
{
    struct services *s = argument;
    while (loop_fiber_count(s->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(s->loop);
}

void services_stop(struct services *s)
{
    for (size_t i = 0; i < s->count; i++)
        channel_free(s->channels[i]);
    store_writer_stop(s->writer);
    store_reader_stop(s->reader);
    store_writer_free(s->writer);
    store_reader_free(s->reader);
    assert_non_null(fiber_start(s->loop, "end", wait_for_all, s));
    assert_int_equal(loop_run(s->loop), 0);
    loop_free(s->loop);
}

struct channel *services_attach(struct services *s, enum role role, bool to_writer)
{
    int fds[2];
    assert_true(s->count < SERVICES_CHANNELS_MAX);
    assert_int_equal(channel_pair(fds), 0);
    if (to_writer)
        assert_int_equal(store_writer_attach(s->writer, fds[0], role), 0);
    else
        assert_int_equal(store_reader_attach(s->reader, fds[0], role), 0);
    struct channel *c = channel_new(s->loop, fds[1], to_writer ? &store_write_service : &store_read_service,
                                    to_writer ? ROLE_WRITER : ROLE_READER, NULL, NULL);
    assert_non_null(c);
    s->channels[s->count++] = c;
    return c;
}

void services_detach(struct services *s, struct channel *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->channels[i] != c)
            s->channels[kept++] = s->channels[i];
    assert_int_equal(kept + 1, s->count);
    s->count = kept;
    channel_free(c);
}

int ask(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request, struct answer *answer)
{
    return channel_call(self, c, method, request, (struct span){NULL, 0}, -1, clock_in_seconds(CALL_SECONDS), answer);
}

ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

bool is(ProtobufCBinaryData bytes, const char *text)
{
    return span_is(span_from(bytes.data, bytes.len), text);
}
