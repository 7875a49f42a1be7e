/* CRC-32C (Castagnoli; RFC 3720 appendix B.4): the checksum of the volumes. The processor's instruction where it has
 * one (SSE 4.2), tables elsewhere; both give the same. No function here waits or fails. */
#ifndef STORE_CRC32C_H
#define STORE_CRC32C_H

#include "base/span.h"

/* Goes on from `crc`, 0 to begin. crc32c(crc32c(0, a), b) is the checksum of a followed by b. */
uint32_t crc32c(uint32_t crc, struct span bytes);
/* The same by tables only: for the test that compares the two. */
uint32_t crc32c_by_table(uint32_t crc, struct span bytes);

#endif
