/* Sealed secrets: whoever has the public key can seal, only the holder of the private key can open. The passwords of
 * remote accounts lie in the database like this; the private key lies outside it and is the courier's alone.
 *
 * A fresh X25519 key pair for each secret; HKDF-SHA256 (RFC 5869) of the shared secret, salted with both public keys,
 * gives the key and the nonce of AES-256-GCM. The context is authenticated and not stored: a sealed secret that is
 * moved to another host's or person's entry does not open. The text is base64 of a version byte, the fresh public key,
 * the ciphertext and its tag; the length of a secret below 64 bytes does not show.
 *
 * Nothing here waits. A broken library is an error, never a weaker seal.
 */
#ifndef FORMAT_SEALED_H
#define FORMAT_SEALED_H

#include "base/buf.h"

#define SEALED_KEY_SIZE 32
#define SEALED_SECRET_MAX 512 /* bytes of a secret */
#define SEALED_TEXT_MAX 1024  /* of its text */

/* A fresh pair. 0 or -EIO. */
MUST_USE int sealed_key_make(unsigned char private_key[SEALED_KEY_SIZE], unsigned char public_key[SEALED_KEY_SIZE]);
/* The public key that belongs to a private one. 0 or -EIO. */
MUST_USE int sealed_key_public(const unsigned char private_key[SEALED_KEY_SIZE],
                               unsigned char public_key[SEALED_KEY_SIZE]);
/* Appends the sealed text. 0; -EMSGSIZE for a secret longer than SEALED_SECRET_MAX; -EIO; -ENOMEM. */
MUST_USE int sealed_write(const unsigned char public_key[SEALED_KEY_SIZE], struct span context, struct span secret,
                          struct buf *out);
/* Appends the secret, whose buf's memory is to be wiped by the caller (and had better be reserved at once, so that
 * growing leaves no copy). False when the text is none, was changed, or is of another key or context. */
MUST_USE bool sealed_open(const unsigned char private_key[SEALED_KEY_SIZE], struct span context, struct span text,
                          struct buf *secret);

/* Keys as files hold them: base64 on a line of its own. */
void sealed_key_write(const unsigned char key[SEALED_KEY_SIZE], struct buf *out);
MUST_USE bool sealed_key_parse(struct span text, unsigned char key[SEALED_KEY_SIZE]);

#endif
