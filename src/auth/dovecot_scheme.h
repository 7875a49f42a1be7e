/* Password hashes as Dovecot writes them, "{SCHEME}value" or "{SCHEME.ENCODING}value": read at an import, and compared
 * at a login where crypt(5) does not know them. What Dovecot calls a scheme becomes one of our kinds of credential.
 * Pure but for the time that a hash is meant to cost; none waits.
 *
 * A login with such a password leaves it as it is: the account gets our own kinds when its password is next changed.
 */
#ifndef AUTH_DOVECOT_SCHEME_H
#define AUTH_DOVECOT_SCHEME_H

#include "auth/words.h"
#include "base/buf.h"

#define DOVECOT_VALUE_MAX 512 /* bytes of a hash with its scheme */
/* What a login may be made to cost by an imported hash. */
#define DOVECOT_ARGON2_MEMORY_MAX (256u << 10) /* KiB */
#define DOVECOT_ARGON2_PASSES_MAX 100
#define DOVECOT_ARGON2_WORK_MAX (4u << 20) /* KiB times passes: some seconds */
#define DOVECOT_PBKDF2_ROUNDS_MAX 5000000

enum dovecot_kind {
    DOVECOT_PLAIN,         /* value: the password itself */
    DOVECOT_CRYPT,         /* value: for CREDENTIAL_CRYPT */
    DOVECOT_SCRAM_SHA_256, /* value: for CREDENTIAL_SCRAM_SHA_256 */
    DOVECOT_OWN,           /* value: for CREDENTIAL_DOVECOT */
};

/* Without a scheme it is a hash of crypt(5), as Dovecot has it. Appends to `value` (it may be a password: the caller
 * wipes it). NULL, or a short sentence in lower case that says what is wrong; *value may then have a part. */
MUST_USE const char *dovecot_scheme_parse(struct span text, enum dovecot_kind *kind, struct buf *value);
/* Does it begin like "{SCHEME}"? */
bool dovecot_scheme_is_named(struct span text);

/* Compares with a value of DOVECOT_OWN. 0: it is the password; -EACCES: it is not; -EINVAL: the value is none of ours;
 * -ENOMEM. */
MUST_USE int dovecot_scheme_verify(const struct password *password, struct span value);

#endif
