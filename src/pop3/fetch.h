/* Bodies from the store, read ahead.
 *
 * A client that takes its messages one after the other, or pipelines, gets small ones from a batch of at most 256 KiB
 * that one call brought. A larger message comes in pieces of that size; it is never whole in memory. What is held is
 * given back when it was used up and when nobody asked for two seconds.
 */
#ifndef POP3_FETCH_H
#define POP3_FETCH_H

#include "ipc/channel.h"

struct pop3_session;

#define POP3_PIECE_MAX (256u << 10)

struct pop3_fetch {
    struct answer held;
    bool is_held, is_busy; /* busy: a piece is being sent, waits included */
    bool was_used;         /* since the timer looked */
    uint32_t last_number;  /* the message asked for last: the next one makes it a sequence */
    struct loop *loop;
    struct timer timer;
};

struct pop3_piece {
    struct span bytes; /* good until pop3_fetch_done() */
    uint64_t total;    /* octets of the whole message */
};

void pop3_fetch_init(struct pop3_fetch *fetch, struct loop *loop);
void pop3_fetch_release(struct pop3_fetch *fetch);

/* The piece of message `number` (1 to count, not deleted) that begins at `offset` (0, or where the piece before it
 * ended, less than its total), of at most max_bytes (POP3_PIECE_MAX). 0; -ENOENT when the message was expunged
 * meanwhile; -EPROTO when the store answered nonsense; else as channel_call. Each successful call is followed by
 * pop3_fetch_done(). May wait. */
MUST_USE int pop3_fetch_piece(struct fiber *self, struct pop3_session *s, uint32_t number, uint64_t offset,
                              uint32_t max_bytes, struct pop3_piece *piece);
void pop3_fetch_done(struct pop3_fetch *fetch);

#endif
