/* The key pair with which the passwords of remote accounts are sealed (format/sealed.h): remote.key in the data
 * directory, which only the supervisor opens and hands to the courier, and remote.pub beside it, with which the command
 * line seals. Whoever loses the first has all those passwords to enter again. */
#ifndef PROC_REMOTE_KEY_H
#define PROC_REMOTE_KEY_H

#include "format/sealed.h"

#include <sys/types.h>

/* Makes the pair where there is none (with mode 0600; as root given to uid), and the public half where only that is
 * missing. 0 with *fd open for reading the private key and the public one, or a negative errno with a sentence. */
MUST_USE int remote_key_prepare(const char *directory, uid_t uid, gid_t gid, int *fd,
                                unsigned char public_key[SEALED_KEY_SIZE], struct buf *problem);
/* The public key; makes the pair where there is none. 0 or a negative errno with a sentence. */
MUST_USE int remote_key_public(const char *directory, unsigned char public_key[SEALED_KEY_SIZE], struct buf *problem);
/* Reads a key from an open file. 0, -EINVAL where it holds none, or another negative errno. */
MUST_USE int remote_key_read(int fd, unsigned char key[SEALED_KEY_SIZE]);

#endif
