/* The message being taken in: in memory while it is small, then in an unnamed spool file that the store's writer gave
 * us. */
#ifndef INTAKE_BODY_H
#define INTAKE_BODY_H

#include "base/buf.h"
#include "ipc/peers.h"
#include "run/fiber.h"

/* Up to here a body travels as a call's attachment; also what a transaction may hold in memory. It is more than the
 * longest header that the settings allow, so that a header is always whole in memory when the spool begins. */
#define INTAKE_BODY_IN_MEMORY (512u << 10)
/* All bodies of the process together: past it a body goes to its spool from a much smaller size on, so that many
 * clients with much to send cost disk, not memory. */
#define INTAKE_BODIES_IN_MEMORY (64u << 20)
#define INTAKE_BODY_UNDER_PRESSURE (32u << 10)

struct intake_body {
    struct buf memory; /* what is not in the spool yet */
    int spool;         /* -1 while all is in memory */
    uint64_t spooled;  /* bytes in the spool */
    size_t own_size;   /* bytes at its front that we wrote ourselves: other ones when the message comes again */
    size_t counted;    /* its part of the sum of all bodies */
    /* policy/poison.h: of the message that it was made from, where it is itself another one each time; 0: its own */
    uint64_t fingerprint;
};

void intake_body_init(struct intake_body *body);
/* Closes the spool file, which is then gone. */
void intake_body_release(struct intake_body *body);

/* Has it grown past what may stay in memory? `header_is_whole`: only then may it go early. */
bool intake_body_is_large(struct intake_body *body, bool header_is_whole);
/* Moves what is in memory to the spool, fetching the spool's descriptor first when there is none. Waits. 0 or a
 * negative errno (-EPIPE, -ENOSPC, -EIO …): the message can't be taken now. */
MUST_USE int intake_body_make_room(struct fiber *self, struct intake_body *body, struct peers *peers,
                                   uint64_t deadline);
/* The whole body in one piece of memory: maps the spool. The mapping is given back with intake_body_unmap(). */
MUST_USE int intake_body_map(struct intake_body *body, struct span *whole);
void intake_body_unmap(struct intake_body *body, struct span whole);

#endif
