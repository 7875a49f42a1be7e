/* How many connections each address has, over all processes of a role: shared memory with atomic counters, no lock, no
 * call.
 *
 * The table has a fixed number of slots, one per IPv4 address or IPv6 /64, and in each slot one counter per process
 * (its "column"). The sum of a row is what the address has now. A process that died leaves its column, which the
 * supervisor clears. Memory is bounded: an address whose whole neighbourhood of CONNECTION_TABLE_PROBES slots is taken
 * by others is let in uncounted (the table fails open; the limit of a process's connections still holds). Two processes
 * that enter at the same instant may both be refused the last place: the limit is never passed.
 *
 * A process that was taken over can write nonsense into the table. It then spoils the counting, and nothing else: no
 * offset or size is ever read from it. No function waits.
 */
#ifndef POLICY_CONNECTION_TABLE_H
#define POLICY_CONNECTION_TABLE_H

#include "base/span.h"

#define CONNECTION_TABLE_COLUMNS 64
#define CONNECTION_TABLE_SLOTS 65536u
#define CONNECTION_TABLE_PROBES 16u

struct connection_table;

/* The place that an entered connection holds, for connection_table_leave. */
struct connection_ticket {
    uint32_t slot; /* CONNECTION_UNCOUNTED: none */
};
#define CONNECTION_UNCOUNTED UINT32_MAX

/* A fresh table in anonymous shared memory: its descriptor (close-on-exec), or a negative errno. `columns` is the
 * number of processes, 1 to CONNECTION_TABLE_COLUMNS. */
MUST_USE int connection_table_create(unsigned columns);
/* Maps it. `columns` is the number it was made with, `seed` is random and the same for all who map it, so that nobody
 * outside can aim at a neighbourhood. The descriptor stays the caller's and is not needed any more. NULL when it is too
 * small or there is no memory. */
MUST_USE struct connection_table *connection_table_map(int fd, unsigned columns, uint64_t seed);
/* NULL-safe. */
void connection_table_unmap(struct connection_table *t);

/* Counts one more connection of `address` (16 bytes, IPv4 mapped) in this process's column. False when it would be more
 * than `limit` over all columns: then nothing is counted. */
MUST_USE bool connection_table_enter(struct connection_table *t, unsigned column, const unsigned char address[16],
                                     unsigned limit, struct connection_ticket *ticket);
void connection_table_leave(struct connection_table *t, unsigned column, struct connection_ticket ticket);
/* What the address has now. */
unsigned connection_table_count(const struct connection_table *t, const unsigned char address[16]);
/* Forgets all that a dead process had counted. Only while nobody uses that column. */
void connection_table_clear_column(struct connection_table *t, unsigned column);

#endif
