#include "pop3/fetch.h"

#include "ipc/services.h"
#include "pop3/state.h"
#include "store_read.pb-c.h"

#include <errno.h>

#define AHEAD_MAX 256 /* messages of a batch */
#define HOLD_SECONDS 2

static void give_back(struct pop3_fetch *fetch)
{
    if (fetch->is_held)
        answer_release(&fetch->held);
    fetch->is_held = false;
    timer_stop(fetch->loop, &fetch->timer);
}

static void hold_on(struct pop3_fetch *fetch)
{
    fetch->was_used = false;
    /* Without a timer nobody would give it back: then rather now. */
    if (timer_start(fetch->loop, &fetch->timer, clock_in_seconds(HOLD_SECONDS)) && !fetch->is_busy)
        give_back(fetch);
}

static void timer_fired(struct timer *timer)
{
    struct pop3_fetch *fetch = container_of(timer, struct pop3_fetch, timer);
    if (fetch->is_busy || fetch->was_used)
        hold_on(fetch);
    else
        give_back(fetch);
}

void pop3_fetch_init(struct pop3_fetch *fetch, struct loop *loop)
{
    *fetch = (struct pop3_fetch){.loop = loop, .timer.fire = timer_fired};
}

void pop3_fetch_release(struct pop3_fetch *fetch)
{
    give_back(fetch);
}

void pop3_fetch_done(struct pop3_fetch *fetch)
{
    fetch->is_busy = false;
    if (fetch->is_held && !fetch->timer.place)
        give_back(fetch);
}

/* Finds `uid` from its start in what is held. *is_last tells that nothing stands behind it. */
static bool find_held(const struct pop3_fetch *fetch, uint32_t uid, struct pop3_piece *piece, bool *is_last, bool *gone)
{
    if (!fetch->is_held)
        return false;
    const StoreRead__FetchReply *reply = (const StoreRead__FetchReply *)fetch->held.message;
    size_t at = 0;
    for (size_t i = 0; i < reply->n_pieces; i++) {
        const StoreRead__Piece *p = reply->pieces[i];
        if (p->uid == uid && p->offset == 0) {
            *piece = (struct pop3_piece){{fetch->held.attachment.data + at, p->size}, p->total};
            *is_last = i + 1 == reply->n_pieces;
            *gone = p->gone;
            return true;
        }
        at += p->size;
    }
    return false;
}

/* The reader is another process: nothing it says is used before it was checked. */
static int check_reply(const struct answer *answer, uint32_t uid, uint64_t offset)
{
    const StoreRead__FetchReply *reply = (const StoreRead__FetchReply *)answer->message;
    uint64_t sum = 0;
    if (reply->n_pieces == 0 || reply->n_pieces > AHEAD_MAX)
        return -EPROTO;
    for (size_t i = 0; i < reply->n_pieces; i++) {
        const StoreRead__Piece *p = reply->pieces[i];
        if (p->gone ? p->size != 0 : p->offset > p->total || p->size > p->total - p->offset)
            return -EPROTO;
        sum += p->size;
    }
    const StoreRead__Piece *first = reply->pieces[0];
    if (sum != answer->attachment.size || first->uid != uid)
        return -EPROTO;
    if (first->gone)
        return -ENOENT;
    /* An empty piece of an unfinished message would be asked for for ever. */
    if (first->offset != offset || (first->size == 0 && first->total > offset))
        return -EPROTO;
    return 0;
}

/* The message itself and, when the client goes through the maildrop in order, those behind it that fit. */
static size_t choose(const struct pop3_session *s, uint32_t number, uint32_t max_bytes, uint32_t uids[AHEAD_MAX])
{
    const struct pop3_maildrop *maildrop = &s->maildrop;
    const struct pop3_message *message = pop3_maildrop_get(maildrop, number);
    size_t n = 0;
    uids[n++] = message->uid;
    bool in_order = number == s->fetch.last_number + 1 || stream_has_input(s->stream);
    if (!in_order || message->size > max_bytes)
        return n;
    uint64_t sum = message->size;
    while (n < AHEAD_MAX && number++ < maildrop->count) {
        message = &maildrop->messages[number - 1];
        sum += message->is_deleted ? 0 : message->size;
        if (sum > POP3_PIECE_MAX)
            break;
        if (!message->is_deleted)
            uids[n++] = message->uid;
    }
    return n;
}

static int ask(struct fiber *self, struct pop3_session *s, uint32_t number, uint64_t offset, uint32_t max_bytes)
{
    uint32_t uids[AHEAD_MAX];
    StoreRead__FetchRequest request = STORE_READ__FETCH_REQUEST__INIT;
    request.grant = (ProtobufCBinaryData){GRANT_SIZE, s->grant};
    request.mailbox_id = s->maildrop.mailbox_id;
    request.uids = uids;
    request.n_uids = offset ? 1 : choose(s, number, max_bytes, uids);
    uids[0] = s->maildrop.messages[number - 1].uid;
    request.offset = offset;
    request.max_bytes = request.n_uids > 1 ? POP3_PIECE_MAX : max_bytes;

    struct pop3_fetch *fetch = &s->fetch;
    give_back(fetch);
    int result = pop3_call(self, s, ROLE_READER, STORE_READ_FETCH, &request.base, &fetch->held);
    if (result)
        return result;
    result = check_reply(&fetch->held, uids[0], offset);
    if (result) {
        answer_release(&fetch->held);
        return result;
    }
    fetch->is_held = true;
    return 0;
}

int pop3_fetch_piece(struct fiber *self, struct pop3_session *s, uint32_t number, uint64_t offset, uint32_t max_bytes,
                     struct pop3_piece *piece)
{
    struct pop3_fetch *fetch = &s->fetch;
    uint32_t uid = s->maildrop.messages[number - 1].uid;
    bool is_last = false, gone = false;
    if (offset || !find_held(fetch, uid, piece, &is_last, &gone)) {
        int result = ask(self, s, number, offset, max_bytes);
        if (result)
            return result;
        const StoreRead__FetchReply *reply = (const StoreRead__FetchReply *)fetch->held.message;
        const StoreRead__Piece *first = reply->pieces[0];
        *piece = (struct pop3_piece){{fetch->held.attachment.data, first->size}, first->total};
        is_last = reply->n_pieces == 1;
        fetch->is_busy = true;
        if (!is_last)
            hold_on(fetch);
    }
    fetch->last_number = number;
    if (gone)
        return -ENOENT;
    fetch->is_busy = fetch->was_used = true;
    if (is_last) /* used up: pop3_fetch_done() gives it back */
        timer_stop(fetch->loop, &fetch->timer);
    return 0;
}
