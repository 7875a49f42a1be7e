/* What a store reader says of a login name. */
#ifndef AUTH_ACCOUNT_H
#define AUTH_ACCOUNT_H

#include "auth/exchanges.h"
#include "ipc/peers.h"

/* The stored credentials, empty where there is none of the kind (auth/credentials.h). */
struct account_secrets {
    struct buf crypt, scram, apop, dovecot;
};

void account_secrets_init(struct account_secrets *secrets);
/* Wipes and frees. */
void account_secrets_release(struct account_secrets *secrets);

/* Is anything stored with which a password can be compared? */
bool account_has_password(const struct account_secrets *secrets);
/* Compares a password with the hash that is stored, of whichever kind it is; takes as long as that is meant to cost. 0:
 * it is the password; -EACCES: it is not; -EINVAL: none is stored, or none that we know; -ENOMEM. */
MUST_USE int account_compare(const struct account_secrets *secrets, const struct password *password);

/* Asks and waits. 0, also for a name that is not there (account->found is false); else what channel_call gave, -ENOMEM,
 * or -EPROTO for an answer out of bounds. */
MUST_USE int account_look_up(struct fiber *self, struct peers *peers, struct span login, uint64_t deadline,
                             struct exchange_account *account, struct account_secrets *secrets);

/* The name with the default domain where it has none; both forms then count as one. Left alone when there is no default
 * domain or no room. */
void login_qualify(struct login *login, const char *default_domain);

#endif
