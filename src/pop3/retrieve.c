#include "pop3/body.h"
#include "pop3/state.h"

#include <errno.h>

#define SLICE ((size_t)32 << 10)           /* stuffed at a time: its double fits the output beside what is gathered */
#define TOP_FIRST_MAX ((uint32_t)32 << 10) /* most headers are shorter */

/* What is being sent. */
struct sending {
    uint32_t number;
    struct pop3_body body;
    struct pop3_top *top; /* NULL: the whole message */
    uint64_t offset;      /* of the message, taken from the store so far */
    bool is_done;
};

/* Stuffs one piece into the output, waiting for the client to take it. */
static int send_piece(struct fiber *self, struct pop3_session *s, struct sending *sending,
                      const struct pop3_piece *piece)
{
    struct span rest = piece->bytes;
    bool is_cut = false;
    sending->offset += rest.size;
    if (sending->top)
        rest = pop3_top_cut(sending->top, rest, &is_cut);
    sending->is_done = is_cut || sending->offset >= piece->total;
    while (rest.size) {
        struct span slice = span_head(rest, SLICE);
        pop3_body_write(&sending->body, slice, stream_output(s->stream));
        rest = span_skip(rest, slice.size);
        s->octets += slice.size;
        int result = pop3_flush_some(self, s);
        if (result)
            return result;
    }
    return 0;
}

static int first_failed(struct pop3_session *s, const struct sending *sending, int error)
{
    if (error != -ENOENT)
        return pop3_trouble(s, error, "reading the message");
    pop3_error(s, "message %u is gone: another session deleted it", sending->number);
    return 0;
}

static int send_message(struct fiber *self, struct pop3_session *s, struct sending *sending)
{
    uint32_t max_bytes = sending->top ? TOP_FIRST_MAX : POP3_PIECE_MAX;
    do {
        struct pop3_piece piece;
        int result = pop3_fetch_piece(self, s, sending->number, sending->offset, max_bytes, &piece);
        if (result && !sending->offset)
            return first_failed(s, sending, result);
        if (result) {
            /* The client was told that a message comes. It must not take what it has for the whole. */
            log_write(LOG_MAJOR, "pop3", s->peer->session_id, "a message broke off message=%u offset=%llu error=\"%s\"",
                      sending->number, (unsigned long long)sending->offset, strerror(-result));
            s->end = "a message could not be read to its end";
            return -EIO;
        }
        if (!sending->offset && sending->top)
            pop3_ok(s, "top of message %u", sending->number);
        else if (!sending->offset)
            pop3_ok(s, "%llu octets", (unsigned long long)piece.total);
        result = send_piece(self, s, sending, &piece);
        pop3_fetch_done(&s->fetch);
        if (result)
            return result;
        max_bytes = POP3_PIECE_MAX;
    } while (!sending->is_done);
    pop3_body_end(&sending->body, stream_output(s->stream));
    return 0;
}

static int send_in_hand(struct fiber *self, struct pop3_session *s, struct sending *sending)
{
    pop3_set_in_hand(s, true);
    int result = send_message(self, s, sending);
    pop3_set_in_hand(s, false);
    return result;
}

static bool exists(struct pop3_session *s, uint32_t number)
{
    if (pop3_maildrop_get(&s->maildrop, number))
        return true;
    pop3_error(s, "no such message");
    return false;
}

int pop3_do_retr(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    struct sending sending = {.number = command->number[0]};
    if (!exists(s, sending.number))
        return 0;
    int result = send_in_hand(self, s, &sending);
    if (!result && sending.is_done)
        s->retrieved++;
    session_note_accepted(s->peer->board);
    return result;
}

int pop3_do_top(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    struct pop3_top top;
    pop3_top_init(&top, command->number[1]);
    struct sending sending = {.number = command->number[0], .top = &top};
    return exists(s, sending.number) ? send_in_hand(self, s, &sending) : 0;
}
