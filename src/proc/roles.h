/* The table of processes: which roles there are, how many of each, what each holds and may do, and who talks to whom.
 * Pure data: the supervisor starts what it says, a child takes its sandbox from it. */
#ifndef PROC_ROLES_H
#define PROC_ROLES_H

#include "config/settings.h"
#include "ipc/role.h"
#include "run/sandbox.h"

#define INSTANCES_MAX 16 /* of one role */

struct role_row {
    enum role role;
    /* How many to start. */
    unsigned (*count)(const struct settings *settings);
    unsigned places;     /* where a reload changes the count: at most so many; else 0, and the first count stays */
    unsigned stop_stage; /* at the end those of stage 0 go first; each stage when the one before is gone */
    enum sandbox_files files;
    const char *also_writes; /* see run/sandbox.h */
    bool may_accept, may_connect, may_ask;
    uint32_t services; /* mask of 1 << enum service_kind: the listeners it gets */
    bool has_grant_key, has_tls, has_blacklist, has_trust_anchors;
    const char *admin_socket; /* its control socket's name in the data directory; NULL: none */
    bool has_my_socket;       /* its control socket is that of the setting my.socket, and everybody may connect; it gets
                                 the public key that people seal with there */
    bool sees_boards;         /* the boards of sessions of all */
    bool has_password;        /* the smart host's, and the certificates of authorities */
    bool has_script;          /* the site's */
    bool parses_mail;         /* it notes which message it parses (policy/poison.h) */
    bool has_alarm;           /* it may end by a timer of its own: that is a script which takes too long */
    unsigned descriptors;     /* beside those of its connections */
};

extern const struct role_row role_rows[];
extern const size_t role_row_count;
#define STOP_STAGES 3

/* NULL for ROLE_SUPERVISOR and ROLE_ADMIN. */
const struct role_row *role_row_get(enum role role);

/* `client` calls `server`; each instance of one has a channel to each of the other. */
struct role_pair {
    enum role client, server;
};
extern const struct role_pair role_pairs[];
extern const size_t role_pair_count;

/* Waits before a process is started again: 0.1 s, doubling to 5 s. `failures` is how often in a row it died without
 * having been healthy for BACK_OFF_HEALTHY_SECONDS; the first time is 1. Nanoseconds. Pure. */
uint64_t back_off(unsigned failures);
#define BACK_OFF_LAST (5 * NANOSECONDS) /* it never waits longer */
#define BACK_OFF_HEALTHY_SECONDS 60

/* Processes that their own timer ended (has_alarm): the third within a minute says that there is something wrong with
 * what it runs, and that it is better left alone for a while. */
#define ALARMS_TO_REST 3
#define ALARM_REST_SECONDS 60
struct alarms {
    uint64_t times[ALARMS_TO_REST]; /* the last ones; 0: none */
    unsigned next;
};
/* Notes one at `now` (nanoseconds, not 0). True where it is the third within ALARM_REST_SECONDS; then all are
 * forgotten. Pure. */
MUST_USE bool alarms_note(struct alarms *alarms, uint64_t now);

#endif
