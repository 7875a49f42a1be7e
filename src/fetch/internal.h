/* The fetcher from the inside: for the files of this folder only. */
#ifndef FETCH_INTERNAL_H
#define FETCH_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "facts/gather.h"
#include "fetch/fetch.h"
#include "fetch/maildrop.h"
#include "ipc/channel.h"
#include "policy/remote_account.h"
#include "run/tls.h"

#define REMOTES_MAX 100000
#define RUNS_MAX 100
#define REST_SECONDS 30  /* nobody hammers another site's server through us */
#define SKIPPED_MAX 1000 /* messages of one account that can't be taken and are remembered as such */
#define PROBLEM_MAX 400
#define SESSION_MAX 48

/* Where a visit is. */
struct fetch_progress {
    uint32_t messages, done, stored, refused;
    uint32_t blocked; /* of those stored: refused, and put into the folder for that */
    uint64_t bytes, bytes_done;
};

/* A remote account, as the store has it now, and what became of the visits there. */
struct remote {
    struct fetcher *fetcher;
    uint64_t id, account_id, version;
    char *account, *name, *value; /* owned */
    char *provider;               /* owned: host, port and kind of TLS; NULL where the value makes no sense */
    unsigned interval;            /* seconds; 0: remote.interval */
    bool is_off;                  /* the person switched it off */
    struct fiber *fiber;          /* of the visit under way, or NULL */
    struct list_node visiting;    /* while there is one */
    uint64_t listing;             /* the latest that named it */
    bool is_listed;               /* the store still has it */
    bool is_unfinished;           /* the last visit took its whole time, and there is more */
    bool is_stopped;              /* until it is changed or somebody asks: the password is wrong */
    bool is_asked;                /* a person wants it fetched now */
    uint64_t next_at;             /* monotonic */
    uint64_t rests_until;         /* monotonic: a person's "now" does not begin another visit before it */
    uint64_t last_at;             /* wall clock, nanoseconds: when the last visit ended; 0: none yet */
    unsigned failures;            /* in a row */
    unsigned refusals;            /* of the password, in a row */
    uint64_t visits, fetched;     /* ended; messages that came in */
    struct fetch_progress progress;
    char problem[PROBLEM_MAX]; /* of the last visit; "" for none */
    struct map skipped;        /* unique ids to the remote itself */
    struct map put_off;        /* unique ids to the second (wall clock, as a pointer) since which rules put them off */
};

/* A server that several accounts may lie at, while it fails. */
struct provider {
    unsigned failures;
    uint64_t closed_until; /* monotonic */
};

/* A person waits for these visits. */
struct run {
    struct list_node node;
    uint64_t id, until; /* monotonic: it is forgotten then */
    size_t count;
    struct run_place {
        uint64_t remote_id, visits; /* it is over when the remote has had more visits than that */
    } places[];
};

struct fetcher {
    struct loop *loop;
    struct settings *settings;
    struct peers *peers;
    struct buf authorities;  /* PEM */
    struct tls_context *tls; /* made of them when it is first needed */
    const struct blacklist *blacklist;
    struct facts_sources sources; /* made when they are first needed */
    struct ledger *ledger;
    unsigned char private_key[SEALED_KEY_SIZE];
    bool is_stopping, has_listed, wants_list;
    struct map remotes;   /* by id */
    struct map providers; /* those that fail now, by remote->provider */
    unsigned visits;      /* under way */
    struct list_node visiting;
    uint64_t listing; /* the number of the latest */
    bool is_listing;
    struct condition listed; /* a listing ended */
    uint64_t session_number;
    struct condition changed;  /* something to schedule */
    struct condition progress; /* of some visit */
    struct list_node runs;
    uint64_t run_number;
};

/* ---- fetcher.c ---- */

uint64_t fetch_random(void);
/* Asks the store for the list of accounts. 0 or a negative errno. Waits. */
MUST_USE int fetcher_list(struct fiber *self, struct fetcher *f);
/* What rules may ask for. NULL without memory. */
const struct facts_sources *fetcher_sources(struct fetcher *f);
/* For visits under the settings in force. The fetcher's own; NULL with a sentence. */
struct tls_context *fetcher_tls(struct fetcher *f, struct buf *problem);
struct remote *fetcher_find(const struct fetcher *f, uint64_t id);

/* ---- session.c ---- */

enum visit_end {
    VISIT_DONE,
    VISIT_PROVIDER_FAILED, /* it can't be reached, or does not greet: whoever it is asked for */
    VISIT_FAILED,          /* this account for now */
    VISIT_REFUSED,         /* login or password */
    VISIT_IMPOSSIBLE,      /* until the account is changed */
};

/* One visit, straight through. The sentence goes to remote->problem. */
enum visit_end visit_run(struct fiber *self, struct remote *remote);

/* ---- control.c ---- */

void control_called(struct fetcher *f, struct call *call);

#endif
