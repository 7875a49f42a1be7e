/* Connections to others.
 *
 * An address is 16 bytes in network order, IPv4 in its mapped form ::ffff:a.b.c.d: the bytes of format/ip_address.h,
 * which run/ may not include.
 */
#ifndef RUN_ENDPOINT_H
#define RUN_ENDPOINT_H

#include "run/fiber.h"

struct stream;

struct endpoint {
    unsigned char address[16];
    uint16_t port; /* host order */
};

/* Connects by TCP, from `source` (16 bytes of the same family; NULL: the system chooses), and makes a stream of it,
 * which is the caller's to free. Waits, until the deadline. 0 and *out; else *out is NULL, no descriptor is left open,
 * and the result is
 *   -ETIMEDOUT     the deadline came, or the system gave up
 *   -ECANCELED
 *   -ECONNREFUSED, -EHOSTUNREACH, -ENETUNREACH, -ECONNRESET, ...: what connect(2) says: another address may do better
 *   -EADDRNOTAVAIL, -EINVAL: `source` is no address of this machine, or of the other family
 *   -EMFILE, -ENFILE, -ENOMEM: for lack of something of ours */
MUST_USE int stream_connect(struct fiber *self, const struct endpoint *to, const unsigned char *source,
                            uint64_t deadline, struct stream **out);

#endif
