/* The logins under way between two steps. Whoever works on one takes it out first, so nobody ever holds one that
 * another may free. Each belongs to the channel it began on and lasts a minute. No function waits.
 */
#ifndef AUTH_EXCHANGES_H
#define AUTH_EXCHANGES_H

#include "auth/sasl.h"
#include "base/list.h"
#include "base/map.h"

/* Past these the oldest one goes. */
#define EXCHANGES_MAX 10000
#define EXCHANGES_PER_CHANNEL_MAX 5000
#define EXCHANGE_SECONDS 60

/* The account as the store told it, kept beside the exchange. */
struct exchange_account {
    bool found, enabled;
    uint64_t id, version;
    struct login address;
};

struct exchange {
    uint64_t id;
    uint64_t expires_at; /* monotonic */
    struct sasl_exchange sasl;
    struct exchange_account account;
    struct list_node by_age, by_channel;
    struct exchange_owner *owner; /* NULL while it is taken out */
};

/* One for each channel; the owner of the channel keeps it. */
struct exchange_owner {
    struct list_node exchanges;
    size_t count;
};

struct exchanges {
    uint64_t last_id;
    struct map by_id;
    struct list_node by_age;
};

void exchanges_init(struct exchanges *t);
void exchanges_release(struct exchanges *t);
void exchange_owner_init(struct exchange_owner *owner);
/* The channel is gone, and its exchanges with it. */
void exchange_owner_release(struct exchanges *t, struct exchange_owner *owner);

/* A new one, taken out; NULL without memory. */
MUST_USE struct exchange *exchange_new(struct exchanges *t, enum mechanism_id mechanism, uint64_t now);
/* Wipes and frees one that is taken out. NULL-safe. */
void exchange_free(struct exchange *x);
/* Puts it back. -ENOMEM: it is still the caller's. */
MUST_USE int exchanges_put(struct exchanges *t, struct exchange_owner *owner, struct exchange *x);
/* Takes it out. NULL when this channel has none of that number, or it expired. */
MUST_USE struct exchange *exchanges_take(struct exchanges *t, struct exchange_owner *owner, uint64_t id, uint64_t now);
/* Frees those that expired. When the next one does, CLOCK_NEVER when there is none. */
uint64_t exchanges_sweep(struct exchanges *t, uint64_t now);

#endif
