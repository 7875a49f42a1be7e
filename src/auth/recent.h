/* Logins that succeeded a short while ago, by account: so that a client that comes every minute does not cost a
 * password hash each time, for POP3's LOGIN-DELAY (RFC 2449 section 6.5), and for who may change a password. A password
 * is remembered only as an HMAC under a key that lives and dies with the process. Times are monotonic nanoseconds. No
 * function waits.
 */
#ifndef AUTH_RECENT_H
#define AUTH_RECENT_H

#include "auth/digest.h"
#include "base/list.h"
#include "base/map.h"

/* Past that many accounts the one used longest ago is forgotten: it costs a hash, and its LOGIN-DELAY begins anew. */
#define RECENT_MAX 10000
#define RECENT_SECONDS 600

struct recent {
    unsigned char key[SHA256_SIZE];
    struct map accounts;
    struct list_node by_use;
};

/* With a fresh random key. */
void recent_init(struct recent *r);
/* Wipes. */
void recent_release(struct recent *r);

/* Was this the account's password within the last RECENT_SECONDS, under the same version of its credentials? */
bool recent_has(const struct recent *r, uint64_t account_id, uint64_t version, struct span password, uint64_t now);
/* It was right. Without memory it is simply not remembered. */
void recent_put(struct recent *r, uint64_t account_id, uint64_t version, struct span password, uint64_t now);

/* A POP3 login: true when the last one was less than `delay_seconds` ago (this one then does not count), else this one
 * is noted. */
bool recent_is_too_soon(struct recent *r, uint64_t account_id, unsigned delay_seconds, uint64_t now);

/* A login at the PWD service: for RECENT_SECONDS, or until recent_forget_password(), the account's password may be
 * changed. A grant alone does not do: a desk that was taken over must not shut people out of what they read through it.
 * Without memory it is not remembered. */
void recent_put_pwd_login(struct recent *r, uint64_t account_id, uint64_t now);
bool recent_has_pwd_login(const struct recent *r, uint64_t account_id, uint64_t now);
/* The password was changed: what is known of the old one is of no use any more. */
void recent_forget_password(struct recent *r, uint64_t account_id);

#endif
