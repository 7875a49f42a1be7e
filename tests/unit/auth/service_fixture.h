/* The auth service in one process with what is around it: a desk that asks and a store reader that answers, over real
 * socketpairs, on a clock that the test moves. */
#ifndef TESTS_SERVICE_FIXTURE_H
#define TESTS_SERVICE_FIXTURE_H

#include "auth.pb-c.h"
#include "auth/service.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

struct stored_account {
    const char *address;
    uint64_t id;
    bool enabled;
    uint64_t version;
    struct buf crypt, scram, apop;
};

enum { ALICE, BOB, CAROL, ACCOUNTS };

struct fixture {
    struct loop *loop;
    struct settings settings;
    struct peers peers;
    struct channel *reader, *desk, *desk2;
    struct auth_process *process;
    struct stored_account accounts[ACCOUNTS]; /* alice has all kinds, bob an old hash only, carol is disabled; all have
                                                 the password "sandbox" */
    unsigned lookups;
    int reader_fails; /* the reader answers with this error where not 0 */
    int log_fd;
    unsigned char grant_key[GRANT_KEY_SIZE];
};

/* A step as a test writes it, and what came of it. */
struct ask {
    const char *mechanism;
    uint64_t exchange;
    struct span data; /* .data NULL: none */
    bool is_pop3, is_pwd, is_my, is_insecure, is_abort;
    const char *ip, *apop_timestamp;
    struct span exporter;
    struct channel *desk; /* NULL: the fixture's */
    /* the outcome */
    int error;
    Auth__Result result;
    uint64_t next, account_id;
    unsigned delay_ms;
    char address[64], out[512];
    unsigned char grant[GRANT_SIZE];
    size_t grant_size;
    bool is_done;
    struct fixture *fixture;
};

/* Runs the test on a fiber inside the fixture; afterwards all is torn down, and all steps must have ended. */
void fixture_run(void (*test)(struct fiber *self, struct fixture *f));
/* A client's end of a channel of that role to the auth process; the caller frees it. */
struct channel *fixture_connect(struct fixture *f, enum role role);
/* Asks and waits, without moving the clock. */
void ask_now(struct fiber *self, struct fixture *f, struct ask *ask);
/* Asks on a fiber of its own: wait for ask->is_done. */
void ask_later(struct fixture *f, struct ask *ask);
/* Lets the loop turn until nothing that needs no clock is left. */
void settle(struct fiber *self);
/* Turns until it is done; the test fails when that takes far too long. */
void wait_until_done(struct fiber *self, const struct ask *ask);
/* What was logged so far; NUL-terminated, in static memory. */
const char *fixture_log(struct fixture *f);

#endif
