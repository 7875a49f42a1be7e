/* What lies at the provider, and what of it was dealt with before: UIDL and LIST against the store's notes. */
#ifndef FETCH_MAILDROP_H
#define FETCH_MAILDROP_H

#include "base/map.h"
#include "fetch/pop3_client.h"
#include "ipc/peers.h"

#define MAILDROP_MESSAGES_MAX 200000 /* of one visit; what is behind them comes when these are gone */

struct remote_message {
    uint32_t number;
    uint64_t size;     /* as LIST says: a hint */
    uint32_t uidl_at;  /* in `uidls` */
    uint8_t uidl_size; /* 0: it has none that tells it apart */
    bool is_seen;
    bool is_deleted;  /* DELE was said */
    uint64_t seen_at; /* nanoseconds since 1970 */
};

struct maildrop {
    struct remote_message *messages; /* rising by number */
    size_t count, room;
    struct buf uidls;
    bool has_uidls; /* the server knows UIDL */
    bool is_cut;    /* there are more than MAILDROP_MESSAGES_MAX */
};

void maildrop_init(struct maildrop *m);
void maildrop_release(struct maildrop *m);
/* Asks the server for all numbers, sizes and unique ids. Errors as in pop3_client.h. */
MUST_USE int maildrop_list(struct fiber *self, struct pop3_client *c, struct maildrop *m);
/* Asks a store reader which of them were dealt with. 0 or a negative errno of ours. */
MUST_USE int maildrop_ask_seen(struct fiber *self, struct peers *peers, uint64_t remote_id, struct maildrop *m);
/* Gives a message without an id one of our own. -ENOMEM. */
MUST_USE int maildrop_set_uidl(struct maildrop *m, struct remote_message *message, struct span uidl);
struct span maildrop_uidl(const struct maildrop *m, const struct remote_message *message);

#endif
