/* Password hashes of crypt(5), by libxcrypt. Each call costs what the hash is meant to cost (tens of milliseconds);
 * none waits. */
#ifndef AUTH_PASSWORD_H
#define AUTH_PASSWORD_H

#include "auth/words.h"
#include "base/buf.h"

/* Appends a new hash with a fresh salt. `prefix` is of crypt(5) ("$y$"), `cost` 0 is the method's default. -EINVAL: no
 * such method or cost, or a password that the method would cut (bcrypt takes 72 bytes); -ENOMEM. */
MUST_USE int password_hash(const struct password *password, const char *prefix, unsigned cost, struct buf *out);

/* Appends what no password has as its hash, but what password_verify() takes as long for as for one made so: method,
 * cost and salt without a digest. Costs nothing itself. -EINVAL: no such method or cost; -ENOMEM. */
MUST_USE int password_nobodys(const char *prefix, unsigned cost, struct buf *out);

/* Compares with a hash of any kind that crypt(5) knows, in a time that does not depend on where they differ. 0: it is
 * the password. -EACCES: it is not. -EINVAL: the hash is of no kind we know (a locked account's "!" or "*" too).
 * -ENOMEM. */
MUST_USE int password_verify(const struct password *password, struct span hash);

#endif
