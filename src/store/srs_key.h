/* The key of the SRS addresses that this store's domains give out (format/srs.h). It is made of the store's mark, which
 * is in every volume record: it survives a rebuild, and bounces find back. */
#ifndef STORE_SRS_KEY_H
#define STORE_SRS_KEY_H

#include <stdint.h>

#define SRS_KEY_SIZE 32

void store_srs_key(uint64_t mark, unsigned char key[SRS_KEY_SIZE]);

#endif
