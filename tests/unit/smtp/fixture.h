/* A session's surroundings for these tests: a reader, a writer and auth that do, and lie, as they are told. */
#ifndef TEST_SMTP_FIXTURE_H
#define TEST_SMTP_FIXTURE_H

#include "base/buf.h"
#include "config/settings.h"
#include "facts/gather.h"
#include "ipc/peers.h"
#include "run/fiber.h"
#include "run/loop.h"
#include "smtp/session.h"

enum lie {
    HONEST,
    /* the reader, of any address */
    READ_NO_USER,
    READ_NOT_OURS,
    READ_DISABLED,
    READ_FULL,
    READ_LIST_REFUSES,
    READ_UNSET,
    READ_UNKNOWN,
    READ_PAUSED,
    READ_DENIED_NAMES, /* the site's list of denied host names has "dial" */
    READ_REMOTE,       /* its one target is the address itself at next.test */
    READ_VERIFY,       /* the same, and the next hop is to be asked */
    READ_LIST,
    READ_LIST_BOUNCE,
    READ_REMOTE_NOWHERE, /* without an address */
    READ_LIST_NONE,      /* without a list */
    READ_UNKNOWN_TARGET, /* of no known kind */
    READ_NO_TARGETS,
    READ_MANY_TARGETS, /* 1000: as many as there may be */
    READ_TOO_MANY_TARGETS,
    READ_NO_MAILBOX,
    READ_NO_GUARD,        /* sent there by somebody who has no door */
    READ_GUARD_ZERO,      /* the same: doors are counted from 1 */
    READ_TOO_MANY_GUARDS, /* one more than may be */
    READ_FAILS,
    READ_DIES, /* the channel closes instead of an answer */
    MAY_NOT_SEND,
    MAY_SEND_FAILS,
    /* the writer */
    SPOOL_FAILS,
    SPOOL_WITHOUT_FD,
    SPOOL_READ_ONLY, /* the descriptor can't be written */
    STORE_FULL,
    STORE_GONE,
    STORE_SENT_ENOUGH,
    STORE_LAST_SENT_ENOUGH,
    STORE_LAST_GONE,
    STORE_LAST_FULL,
    STORE_TOO_FEW,
    STORE_TOO_MANY,
    STORE_UNSET,
    STORE_FAILS,
    STORE_DIES,
    /* auth */
    AUTH_NO_ACCOUNT,
    AUTH_LONG_GRANT,
    AUTH_UNKNOWN,
    REPORT_FAILS,
    WINDOW_FAILS,
};

struct fixture {
    struct loop *loop;
    enum lie lie;
    const char *rules;    /* in force for everybody here (policy/ruleset.h); NULL: there are no doors */
    const char *protects; /* all reverse paths of ours are this account's, and protected; NULL: none is */
    uint64_t quota_left;
    struct settings *settings;
    struct peers peers;
    struct channel *servers[5];
    struct intake_route_cache *routes; /* what sessions get as theirs; NULL at first */
    unsigned resolves, spools, deliveries;
    /* the last delivery's */
    struct buf body;
    bool was_spooled;
    size_t recipients;
    unsigned kinds[4]; /* of its recipients, by enum intake_target_kind */
    char target[300], next_hop[300], forwarder[300];
    uint64_t sender_account;
    char address[300], protocol[16], reverse_path[300];
    char domain[300]; /* that was asked for last */

    uint32_t recipients_left;
    bool is_gate;             /* who asks is a gate, else a desk: set where the settings have pop_before_smtp */
    bool window;              /* a window is open */
    bool asked_authenticated; /* by the last question to the reader */
    char asked_for[300];      /* its reverse path */
    /* what was told to auth */
    unsigned reports, delay_ms;
    int refused;
    uint64_t reported_account;
    int verdict;                /* the courier's */
    unsigned probes, questions; /* to the courier, to the DNS */
    unsigned call_backs, whoises, greylists, guesses;
    unsigned greylist_wait; /* seconds: auth's answer */
    bool may_guess;
    bool courier_is_silent;            /* call-backs and WHOIS are never answered */
    const struct blacklist *blacklist; /* what sessions get */
    struct facts_sources sources;      /* the same, with the rules and nothing else at first */

    struct loop_hook hook;
    unsigned running;
    int client_fd;
    enum service_kind service;
    struct span input;
    struct buf output;
};

/* `settings`: lines "name=value", in addition to a hostname. Who asks is a gate where call_back or pop_before_smtp is
 * among them. */
void fixture_init(struct fixture *f, const char *settings);
void fixture_release(struct fixture *f);
/* Runs `main` on a fiber until it returns. */
void fixture_run(struct fixture *f, void (*main)(struct fiber *self, void *argument), void *argument);
/* A session whose client says `input` at once and reads to the end: output, with a NUL behind it. References in it read
 * "R". */
const char *fixture_talk(struct fixture *f, enum service_kind service, struct span input);

#endif
