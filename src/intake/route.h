/* Where a recipient's address leads: asked of a store reader, remembered for a second. Routing comes before judging. */
#ifndef INTAKE_ROUTE_H
#define INTAKE_ROUTE_H

#include "base/arena.h"
#include "format/address.h"
#include "intake/intake.h"
#include "policy/facts.h"
#include "run/fiber.h"

enum intake_route_kind {
    INTAKE_ROUTE_LOCAL, /* targets say where; remote ones may be among them */
    INTAKE_ROUTE_NO_USER,
    INTAKE_ROUTE_RELAY_FORM, /* our domain, but the local part names another host: a%b@us, b!a@us, "a@b"@us, and nobody
                                here is called so */
    INTAKE_ROUTE_NOT_OURS,   /* relaying: intake_route_relay, if the client may */
    INTAKE_ROUTE_OVER_QUOTA,
    INTAKE_ROUTE_DISABLED,
    INTAKE_ROUTE_LIST_REFUSES, /* the sender may not post to this mailing list */
    INTAKE_ROUTE_PAUSED,       /* `ostiary queue pause in`: temporary, whatever the address is */
};

/* As in ipc/store_read.proto and store_write.proto, in the same order. */
enum intake_target_kind {
    INTAKE_TARGET_MAILBOX,
    INTAKE_TARGET_REMOTE,
    INTAKE_TARGET_LIST,
    INTAKE_TARGET_LIST_BOUNCE,
};

/* People who forward to one another: as many as the store follows. */
#define INTAKE_GUARDS_MAX 32

struct intake_target {
    enum intake_target_kind kind;
    uint64_t account_id, mailbox_id, quota_left; /* MAILBOX */
    struct span address;                         /* REMOTE: local@domain to send to, the domain in A-labels */
    struct span next_hop;                        /* REMOTE: "host:port"; empty: by the DNS or the smart host */
    struct span forwarder;                       /* REMOTE: our domain that sends it on; empty: none does */
    bool verify;                                 /* REMOTE: the next hop is asked whether it takes the address */
    uint64_t list_id, list_member;               /* LIST, LIST_BOUNCE */
    unsigned door;                               /* its door's place in the route's, from 1; 0: it has none */
    const unsigned *guards;                      /* doors of those who forward it there, the first one first, from 1 */
    size_t guard_count;                          /* at most INTAKE_GUARDS_MAX */
};

/* What is in force at the door of one whom the address leads to, and what the store knows about this sender there
 * (ipc/store_read.proto, Door). */
struct intake_door {
    uint64_t account_id, mailbox_id; /* 0: a list, an alias to elsewhere …: the domain's rules; the second: its INBOX */
    struct span address;             /* the account's main one; empty with account_id 0 */
    struct span rules;               /* policy/ruleset.h, the text; empty: the built-in values */
    const struct list_hit *hits;
    size_t hit_count; /* at most LIST_HITS_MAX */
    enum passcode_fact passcode;
    struct span passcode_name;
    bool limited, limited_expired, limited_sender_fits;
};

/* A target's next hop: its address is one that leads nowhere just now, and the courier asks again where it leads. */
#define INTAKE_ASK_AGAIN "*local"

#define INTAKE_ROUTE_TARGETS_MAX 1000

struct intake_route {
    enum intake_route_kind kind;
    const struct intake_target *targets; /* in the arena given to intake_route_find */
    size_t count;
    /* With `judged`, and LOCAL: */
    const struct intake_door *doors; /* in the arena, too */
    size_t door_count;
    struct {
        bool is_protected;   /* the reverse path is an address of ours whose owner protects it */
        unsigned level;      /* policy/rule.h enum rule_level */
        struct span account; /* whose main address that is; empty: nobody's own */
    } sender;
    bool has_approved_names, has_denied_names; /* the site's lists have host names */
    bool is_relayed;                           /* intake_route_relay made it: nobody of ours */
};

/* What is asked. */
struct intake_question {
    const struct mail_path *path;
    struct span reverse_path; /* local@domain, empty for <>: mailing lists ask who posts */
    bool authenticated;       /* the reverse path is known to be the sender's own */
    struct span sent_on_to;   /* not empty: whose mail was sent on to this address (store/directory.h) */
    bool judged;              /* the doors are wanted, too; and then: */
    struct span passcode;     /* the digits behind the path */
    const struct ip_address *ip;
    struct span helo;
};

/* Waits for a store reader. 0, or a negative errno: a temporary failure. Takes from `arena` what the targets need: some
 * 130 KiB and their addresses at the most (INTAKE_ROUTE_TARGETS_MAX); -ENOMEM beyond its limit. An address literal is
 * NOT_OURS, but for postmaster and abuse at an address that we listen on. */
MUST_USE int intake_route_find(struct fiber *self, const struct intake *intake, struct arena *arena,
                               const struct intake_question *question, uint64_t deadline, struct intake_route *route);

/* What NOT_OURS becomes for a client that may relay: LOCAL with one REMOTE target, the address itself with its domain
 * in lower-case A-labels. `literals`: address literals are let through ([192.0.2.1]; never one that leads back into
 * this machine). Else, and for a domain that cannot be in the DNS, it stays NOT_OURS. Pure. 0 or -ENOMEM. */
MUST_USE int intake_route_relay(const struct settings *settings, struct arena *arena, const struct mail_path *path,
                                bool literals, struct intake_route *route);

/* What this process learned lately: addresses that lead to one mailbox with room to spare, whose door treats all
 * senders alike. An entry lives for a second, so a change of the directory or of
 * somebody's rules is seen at most that much later; the writer has the last word anyway. Bounded. */
struct intake_route_cache *intake_route_cache_new(void);
void intake_route_cache_free(struct intake_route_cache *cache);

#endif
