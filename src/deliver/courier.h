/* The courier: takes what is due from the queue, finds the way, delivers, and reports. There is exactly one, and what
 * it has in hand is in its memory only: when it dies, all of that is still due in the store, so nothing is lost, and a
 * recipient whose final reply was swallowed gets at most one copy more.
 *
 *   work.c     what is due: QueueWait, QueueDue          site.c    where it goes: windows, back-off, runners
 *   source.c   the entries of a destination              hosts.c   finding the hosts of a site
 *   runner.c   a connection and the jobs it delivers     settle.c  what became of an entry
 *   results.c  telling the store                         report.c  telling the sender
 *   expand.c   mailing lists                             probe.c   asking a next hop, for gates
 *   call_back.c  asking the sender's own server          whois.c   asking WHOIS
 */
#ifndef DELIVER_COURIER_H
#define DELIVER_COURIER_H

#include "config/settings.h"
#include "ipc/peers.h"
#include "run/fiber.h"
#include "run/loop.h"

struct courier;

/* Starts at once. `peers` is borrowed: channels to readers, the writer and resolvers. `authorities` is PEM, empty for
 * none; `password` is for the smart host, empty for none. NULL with a sentence in `problem`. */
MUST_USE struct courier *courier_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                     struct span authorities, struct span password, struct buf *problem);
/* From now on. What is under way ends with what it began with. 0 or a negative errno with a sentence: then nothing has
 * changed. */
MUST_USE int courier_set_settings(struct courier *c, struct settings *settings, struct span authorities,
                                  struct span password, struct buf *problem);
/* A channel of somebody who asks us (ipc/courier.proto). Takes fd, also on failure. */
MUST_USE int courier_attach(struct courier *c, int fd, enum role peer);
/* Calls of our service about remote accounts (FetchNow, FetchState) are for fetch/: they go there. */
void courier_pass_on(struct courier *c, void (*called)(void *context, struct call *call), void *context);
/* Takes nothing up any more, lets the transactions in hand end until the deadline, and tells the store what became of
 * them. What is left then stays due. Waits. */
void courier_stop(struct fiber *self, struct courier *c, uint64_t deadline);

#endif
