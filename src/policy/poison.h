/* Poison messages: those whose parsing ends the process that does it. A sender tries again, so one such message would
 * end process after process, with all their sessions, for days.
 *
 * Who parses a message notes its fingerprint in shared memory before and takes it out behind it; parsing does not wait,
 * so a process has one place. When a process dies, the supervisor looks what it was parsing. A fingerprint at which
 * POISON_DEATHS processes died is put on a list that all can read; a message on it is not parsed any more but held
 * aside: stored whole, unread, in the folder POISON_FOLDER. The list lives as long as the server runs: another version
 * may do better.
 *
 * The courier makes other messages of such a one, and what it makes is to count as one thing however often it is made:
 * a report goes by the fingerprint of the message that it is about, a post to a list by its own. It comes past both:
 * the report is made without the message, or held aside with it, and the post waits in the queue.
 *
 * A process that was taken over can have messages held aside, by dying three times for each; it can't write the list.
 * No function waits.
 */
#ifndef POLICY_POISON_H
#define POLICY_POISON_H

#include "base/span.h"

#define POISON_DEATHS 3
#define POISON_FOLDER "Held"
#define POISON_PLACES_MAX 1024
#define POISON_LIST_MAX 256 /* the oldest of more are forgotten */

/* ---- Who parses: state of the process, as the log's. Before poison_attach nothing is noted and nothing is held. ----
 */

/* Maps both descriptors, which stay the caller's. 0, -EINVAL or -ENOMEM. */
MUST_USE int poison_attach(int places, int list, unsigned place);
/* Of a message as it came, without what we put before it, which is another each time. Never 0. Of a long one its first
 * 64 KiB, its end and its size count. */
uint64_t poison_fingerprint(struct span content);
/* False: it is on the list, leave it alone. True: poison_end() follows, with no wait between. They don't nest. */
MUST_USE bool poison_begin(uint64_t fingerprint);
void poison_end(void);
/* In a test build, with OSTIARY_TEST_POISON in the environment: aborts at a message that contains its value. */
void poison_test(struct span content);

/* ---- The supervisor ---- */

struct poison_register;

/* Both in shared memory, for so many processes. NULL without memory. */
MUST_USE struct poison_register *poison_register_new(unsigned places);
/* NULL-safe. */
void poison_register_free(struct poison_register *r);
/* The descriptors for poison_attach: the register's. */
int poison_register_places(const struct poison_register *r);
int poison_register_list(const struct poison_register *r);
/* The process of this place is gone. `by_itself`: by a fault of its own, not because somebody ended it. How many deaths
 * there were at the message that it was parsing, POISON_DEATHS when it is now listed; 0: at none. */
unsigned poison_register_died(struct poison_register *r, unsigned place, bool by_itself, uint64_t *fingerprint);

#endif
