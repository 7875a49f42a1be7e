/* Fetching: brings people's mail in from their accounts at other providers, by POP3 (RFC 1939, 2449, 2595, 5034).
 *
 *   fetcher.c    which accounts there are, and whose turn it is     control.c   what the command line asks
 *   pop3_client  one conversation; pop3_login.c proves who we are   maildrop    what lies there, what of it is new
 *   session.c    one visit, from connection to QUIT                 retrieve.c  one message out of it
 *   arrival.c    from a message to the store's word                 split       a whole domain's mail: whose is it?
 *   notice       what a refused sender is told
 *
 * The promise: nothing is deleted at the provider before it is durable here, and nothing comes twice. The unique id of
 * a message is noted in the transaction that stores it, so a crash at any place loses nothing and doubles nothing.
 */
#ifndef FETCH_FETCH_H
#define FETCH_FETCH_H

#include "config/settings.h"
#include "format/sealed.h"
#include "ipc/peers.h"
#include "run/fiber.h"
#include "run/loop.h"

struct blacklist;
struct fetcher;

/* Starts at once. `peers` is borrowed. `authorities` is PEM, empty for none; `private_key` opens the accounts'
 * passwords (copied). NULL with a sentence in `problem`. */
MUST_USE struct fetcher *fetch_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                   struct span authorities, const unsigned char private_key[SEALED_KEY_SIZE],
                                   struct buf *problem);
/* From now on; visits under way end with what they began with. 0 or a negative errno with a sentence: then nothing has
 * changed. */
MUST_USE int fetch_set_settings(struct fetcher *f, struct settings *settings, struct span authorities,
                                struct buf *problem);
/* The site's own black list as it is now; the one before may go. NULL: empty. */
void fetch_set_blacklist(struct fetcher *f, const struct blacklist *blacklist);
/* A call of FetchNow or FetchState (ipc/courier.proto). `fetcher` is a struct fetcher. */
void fetch_called(void *fetcher, struct call *call);
/* Begins no visit any more, and lets the messages under way end until the deadline. What is not done then is done at
 * the next start. Waits. */
void fetch_stop(struct fiber *self, struct fetcher *f, uint64_t deadline);

#endif
