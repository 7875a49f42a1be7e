/* A transaction of the SMTP client: the message, by DATA (RFC 5321 section 4.1.1.4) or BDAT (RFC 3030). */
#include "deliver/smtp_client_internal.h"
#include "format/smtp_content.h"

#include <errno.h>

/* A message up to here goes in one flight with its envelope: not more, or it is sent in vain too often. */
#define ONE_FLIGHT_MAX (32u * 1024)
/* Of stored octets in a chunk, and in what is written at a time. */
#define PIECE_MAX (64u * 1024)
/* Chunks under way without their reply. */
#define CHUNKS_UNDER_WAY 2

/* The next piece of the message, with its line ends and dots as they are sent, appended to `out`: at most
 * 2 * PIECE_MAX + 3 octets. */
static int take_piece(struct fiber *self, struct smtp_client_transaction *t, struct smtp_content *content,
                      uint64_t *offset, struct buf *out)
{
    const struct smtp_client_message *message = t->message;
    struct span piece = {0};
    if (*offset < message->size) {
        int error = message->read(self, message->argument, *offset, &piece);
        if (error || piece.size == 0)
            return smtp_client_fail(t->client, error ? error : -EIO);
    }
    uint64_t left = message->size - *offset;
    piece = span_head(piece, left < PIECE_MAX ? (size_t)left : PIECE_MAX);
    smtp_content_write(content, piece, out);
    *offset += piece.size;
    if (*offset == message->size)
        smtp_content_finish(content, out);
    return buf_failed(out) ? smtp_client_fail(t->client, -ENOMEM) : 0;
}

/* Many peers refuse a message while it is still on its way, and do not listen any longer. What they said is worth as
 * much as a reply to the end of the data; but a message that was not sent to its end is taken by nobody, so a positive
 * reply is one to something else. */
static int hear_out(struct fiber *self, struct smtp_client_transaction *t, int error)
{
    struct smtp_client *c = t->client;
    struct smtp_reply reply;
    stream_hear_out(c->stream, error);
    int over = smtp_client_finish_envelope(self, t);
    while (!over && !t->outcome->data.code) {
        over = smtp_client_read_reply(self, c, "the message", c->timeouts.block, &reply);
        if (reply.code >= 400 && t->accepted > 0)
            t->outcome->data = reply;
    }
    return smtp_client_fail(c, t->outcome->data.code ? -EREMOTEIO : error);
}

/* What is gathered leaves, each block in its own time. */
static int flush(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    int error = stream_flush(self, c->stream, smtp_client_deadline(c, c->timeouts.block));
    if (error == -EPIPE || error == -ECONNRESET || error == -ETIMEDOUT)
        return hear_out(self, t, error);
    return error ? smtp_client_fail(c, error) : 0;
}

/* The reply to the end of the data. It ends the transaction, whatever it says. */
static int take_final(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    struct smtp_reply reply;
    t->outcome->body_sent = true;
    int error = smtp_client_read_reply(self, c, "the end of the data", c->timeouts.end_of_data, &reply);
    if (reply.code && reply.code < 400 && !smtp_reply_is_positive(&reply))
        return smtp_client_fail_reply(c, &reply);
    if (t->accepted > 0)
        t->outcome->data = reply;
    return error;
}

/* ---- DATA ---- */

static int send_body(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    struct smtp_content content;
    smtp_content_init(&content, true);
    c->step = "the message";
    for (uint64_t offset = 0; offset < t->message->size;) {
        int error = take_piece(self, t, &content, &offset, stream_output(c->stream));
        if (!error && stream_output(c->stream)->size >= PIECE_MAX)
            error = flush(self, t);
        if (error)
            return error;
    }
    return 0;
}

/* Behind 354. */
static int send_text(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    /* With nobody to take it an empty message is all that DATA can still be given (RFC 2920 section 3.1). */
    int error = t->accepted > 0 ? send_body(self, t) : 0;
    if (error)
        return error;
    buf_add_text(stream_output(c->stream), ".\r\n");
    error = flush(self, t);
    if (!error)
        error = take_final(self, t);
    c->dirty = error != 0;
    return error;
}

static int send_by_data(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_client *c = t->client;
    struct smtp_reply reply;
    bool at_once = c->extensions.pipelining;
    if (at_once)
        buf_add_text(stream_output(c->stream), "DATA\r\n");
    int error = smtp_client_finish_envelope(self, t);
    if (error || (!at_once && t->accepted == 0))
        return error;
    if (!at_once)
        buf_add_text(stream_output(c->stream), "DATA\r\n");
    error = smtp_client_read_reply(self, c, "DATA", c->timeouts.data, &reply);
    if (reply.code >= 400 && t->accepted > 0)
        t->outcome->data = reply;
    if (error || reply.code >= 400)
        return error;
    return reply.code == 354 ? send_text(self, t) : smtp_client_fail_reply(c, &reply);
}

/* ---- BDAT ---- */

static void write_chunk(struct smtp_client_transaction *t, struct span chunk, bool last)
{
    struct buf *out = stream_output(t->client->stream);
    buf_printf(out, "BDAT %zu%s\r\n", chunk.size, last ? " LAST" : "");
    buf_add_span(out, chunk);
}

/* Envelope and message in one write. Refused recipients are no harm: where all are, so is the chunk, and the peer drops
 * it (RFC 3030 section 2). */
static int send_in_one_flight(struct fiber *self, struct smtp_client_transaction *t)
{
    struct smtp_content content;
    struct buf chunk;
    uint64_t offset = 0;
    int error = 0;
    buf_init(&chunk, 2 * ONE_FLIGHT_MAX + 16);
    smtp_content_init(&content, false);
    while (!error && offset < t->message->size)
        error = take_piece(self, t, &content, &offset, &chunk);
    if (!error) {
        write_chunk(t, buf_span(&chunk), true);
        error = flush(self, t);
        t->outcome->body_sent = !error;
    }
    buf_release(&chunk);
    if (!error)
        error = smtp_client_finish_envelope(self, t);
    if (!error)
        error = take_final(self, t);
    t->client->dirty = error || !smtp_reply_is_positive(&t->outcome->data);
    return error;
}

/* The reply to a chunk that is not the last. */
static int take_chunk(struct fiber *self, struct smtp_client_transaction *t, struct smtp_reply *reply)
{
    int error = smtp_client_read_reply(self, t->client, "BDAT", t->client->timeouts.end_of_data, reply);
    if (reply->code >= 400 && !t->outcome->data.code)
        t->outcome->data = *reply;
    if (error || reply->code >= 400 || smtp_reply_is_positive(reply))
        return error;
    return smtp_client_fail_reply(t->client, reply);
}

/* Reads replies until so many are left, or all once a chunk was refused: the rest of the message then makes no sense.
 */
static int take_chunks(struct fiber *self, struct smtp_client_transaction *t, unsigned *under_way, unsigned left)
{
    struct smtp_reply reply;
    int error = 0;
    while (!error && *under_way > (t->outcome->data.code ? 0 : left)) {
        error = take_chunk(self, t, &reply);
        --*under_way;
    }
    return error;
}

static int send_chunks(struct fiber *self, struct smtp_client_transaction *t, struct buf *chunk)
{
    struct smtp_client *c = t->client;
    struct smtp_content content;
    unsigned under_way = 0, left = c->extensions.pipelining ? CHUNKS_UNDER_WAY : 0;
    bool last = false;
    int error = 0;
    smtp_content_init(&content, false);
    for (uint64_t offset = 0; !error && !last && !t->outcome->data.code;) {
        c->step = "the message";
        buf_reset(chunk);
        do
            error = take_piece(self, t, &content, &offset, chunk);
        while (!error && chunk->size < PIECE_MAX && offset < t->message->size);
        if (error)
            return error;
        last = offset == t->message->size;
        write_chunk(t, buf_span(chunk), last);
        error = flush(self, t);
        under_way += !last;
        if (!error)
            error = take_chunks(self, t, &under_way, last ? 0 : left);
    }
    if (error || !last)
        return error;
    /* A chunk before the last that was refused: the reply to the last one is read and says nothing new. */
    struct smtp_reply refusal = t->outcome->data;
    error = take_final(self, t);
    if (refusal.code)
        t->outcome->data = refusal;
    c->dirty = error || !smtp_reply_is_positive(&t->outcome->data);
    return error;
}

static int send_by_chunks(struct fiber *self, struct smtp_client_transaction *t)
{
    struct buf chunk;
    int error = smtp_client_finish_envelope(self, t);
    if (error || t->accepted == 0)
        return error;
    buf_init(&chunk, 3 * PIECE_MAX + 16);
    error = send_chunks(self, t, &chunk);
    buf_release(&chunk);
    return error;
}

int smtp_client_send_data(struct fiber *self, struct smtp_client_transaction *t)
{
    const struct smtp_extensions *offered = &t->client->extensions;
    if (!offered->chunking)
        return send_by_data(self, t);
    if (offered->pipelining && t->message->size <= ONE_FLIGHT_MAX)
        return send_in_one_flight(self, t);
    return send_by_chunks(self, t);
}
