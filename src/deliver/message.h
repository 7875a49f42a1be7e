/* A message out of the store: its envelope facts, and its body piece by piece. */
#ifndef DELIVER_MESSAGE_H
#define DELIVER_MESSAGE_H

#include "deliver/internal.h"
#include "format/smtp_command.h"
#include "intake/body.h"
#include "store_read.pb-c.h"

struct message {
    struct courier *courier;
    uint64_t id;
    const StoreRead__QueueFetchReply *facts;
    uint64_t size; /* of what is sent: without the Return-Path line, which is for the last server to write (RFC 5321
                      section 4.4) */
    size_t skip;   /* that line's size */
    struct answer first, piece;
    uint64_t piece_at;
};

/* Fetches the facts and the body's beginning: all of a small message. 0; -ENOENT when it is gone, -EBADMSG when it is
 * damaged; or another negative errno, all of them passing. Afterwards it is due to be closed. */
MUST_USE int message_open(struct fiber *self, struct message *m, struct courier *c, uint64_t id);
void message_close(struct message *m);
/* As struct smtp_client_message wants it; `message` is a struct message. */
MUST_USE int message_read(struct fiber *self, void *message, uint64_t offset, struct span *piece);
/* Appends what is sent of it, from `from` on, to a body. Waits. 0 or a negative errno, all of them passing. */
MUST_USE int message_copy(struct fiber *self, struct message *m, uint64_t from, struct intake_body *body);
/* What message_open brought: the whole where message_is_small. */
struct span message_head(const struct message *m);
bool message_is_small(const struct message *m);

#endif
