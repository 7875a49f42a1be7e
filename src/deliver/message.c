#include "deliver/message.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "ipc/services.h"

#include <errno.h>

#define FIRST_PIECE (256u << 10)
#define NEXT_PIECE (1u << 20)
#define COPY_PIECE (128u << 10)

static int fetch(struct fiber *self, struct message *m, uint64_t offset, uint32_t size, struct answer *answer)
{
    StoreRead__QueueFetchRequest request = STORE_READ__QUEUE_FETCH_REQUEST__INIT;
    request.message_id = m->id;
    request.offset = offset;
    request.max_bytes = size;
    return channel_call(self, peers_get(m->courier->peers, ROLE_READER), STORE_READ_QUEUE_FETCH, &request.base,
                        (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), answer);
}

int message_open(struct fiber *self, struct message *m, struct courier *c, uint64_t id)
{
    *m = (struct message){.courier = c, .id = id, .first = {.fd = -1}, .piece = {.fd = -1}};
    int error = fetch(self, m, 0, FIRST_PIECE, &m->first);
    if (error)
        return error;
    m->facts = (const StoreRead__QueueFetchReply *)m->first.message;
    struct span body = m->first.attachment;
    if (m->facts->total && !body.size)
        return -EPROTO;
    if (span_starts_nocase(body, span_text("Return-Path:"))) {
        m->skip = span_find(body, '\n');
        m->skip += m->skip < body.size;
    }
    if (m->facts->total < body.size)
        return -EPROTO;
    m->size = m->facts->total - m->skip;
    return 0;
}

void message_close(struct message *m)
{
    answer_release(&m->first);
    answer_release(&m->piece);
    m->facts = NULL;
}

struct span message_head(const struct message *m)
{
    return span_skip(m->first.attachment, m->skip);
}

bool message_is_small(const struct message *m)
{
    return m->first.attachment.size == m->facts->total;
}

int message_read(struct fiber *self, void *message, uint64_t offset, struct span *piece)
{
    struct message *m = message;
    offset += m->skip;
    if (offset < m->first.attachment.size) {
        *piece = span_skip(m->first.attachment, (size_t)offset);
        return 0;
    }
    bool has = m->piece.message && offset >= m->piece_at && offset - m->piece_at < m->piece.attachment.size;
    if (!has) {
        answer_release(&m->piece);
        int error = fetch(self, m, offset, NEXT_PIECE, &m->piece);
        if (error)
            return error;
        m->piece_at = offset;
        if (!m->piece.attachment.size)
            return -EPROTO;
    }
    *piece = span_skip(m->piece.attachment, (size_t)(offset - m->piece_at));
    return 0;
}

int message_copy(struct fiber *self, struct message *m, uint64_t from, struct intake_body *body)
{
    int error = buf_failed(&body->memory) ? -ENOMEM : 0;
    while (!error && from < m->size) {
        struct span piece;
        error = message_read(self, m, from, &piece);
        if (error)
            break;
        piece = span_head(piece, COPY_PIECE);
        buf_add_span(&body->memory, piece);
        from += piece.size;
        if (buf_failed(&body->memory))
            return -ENOMEM;
        if (intake_body_is_large(body, true))
            error = intake_body_make_room(self, body, m->courier->peers, clock_in_seconds(STORE_SECONDS));
    }
    return error;
}
