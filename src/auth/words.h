/* What people type: names and passwords, checked and brought into the one form that is stored and compared. Pure.
 *
 * Passwords follow the profile OpaqueString (RFC 8265 section 4.2) in its practical part: valid UTF-8 is used as it is,
 * after each non-ASCII space became a space. Unicode normalisation is left out: what one keyboard types differs between
 * two systems in rare cases only, and the tables would be larger than the rest of auth.
 */
#ifndef AUTH_WORDS_H
#define AUTH_WORDS_H

#include "base/span.h"

/* crypt(5) takes no more. */
#define PASSWORD_MAX 511
/* Local part 64, "@", domain 255: RFC 5321 section 4.5.3.1. */
#define LOGIN_MAX 320

/* A password, ready for a hash. Wipe it after use. */
struct password {
    size_t size;
    char text[PASSWORD_MAX + 1]; /* a NUL stands behind it */
};

/* False: empty, longer than PASSWORD_MAX, not UTF-8, or with a NUL. `out` is then empty. */
MUST_USE bool password_parse(struct span given, struct password *out);
void password_wipe(struct password *password);
struct span password_span(const struct password *password);

struct login {
    size_t size;
    char text[LOGIN_MAX + 1];
};

/* A login name as given: 1 to LOGIN_MAX bytes of UTF-8 without control characters; ASCII letters become lower case. */
MUST_USE bool login_parse(struct span given, struct login *out);
struct span login_span(const struct login *login);

#endif
