/* Who and where: domains, accounts, aliases, mailing lists and credentials as readers ask for them. Addresses compare
 * without regard to ASCII case. Only reads; no function waits but for the disk.
 *
 * An address of a domain of ours is looked up in this order; the first that is there decides:
 *
 *   1. the domain is another name of one: that one's name takes its place
 *   2. SRS0=… and SRS1=… (format/srs.h): a bounce that goes back where its message came from
 *   3. an alias of the whole address; where it names its own address, that is the account's own mailbox
 *   4. an account
 *   5. a mailing list, "<list>-owner" of one, and where its copies' bounces go (format/verp.h)
 *   6. the same three of the name without its detail
 *   7. the alias "@domain", for all names that nobody has
 *   8. the domain's next hop for unknown names (it moves house), or its main server where we are its backup
 *   9. for "abuse": whoever gets postmaster (RFC 2142)
 *
 * An alias is followed once in each resolution, so every walk ends. */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/arena.h"
#include "store/database.h"

#define DIRECTORY_ADDRESS_MAX 512 /* bytes of local part or domain; longer ones are nobody's */
#define DIRECTORY_TARGETS_MAX 1000
#define DIRECTORY_ALIAS_DEPTH 16

/* An alias that is about to be put: looked up in place of what the database has. */
struct directory_alias {
    uint64_t domain_id;
    struct span local_part; /* empty: all names that nobody has */
    const struct span *targets;
    size_t target_count;
};

struct directory {
    struct database *db;
    struct span detail_separator; /* its characters each separate: "+"; empty = off */
    struct span default_domain;
    struct span srs_key;                   /* empty: no SRS address and no bounce of a list is known */
    uint64_t wall_seconds;                 /* for them */
    const struct directory_alias *pending; /* or NULL */
    bool past_forwarding;                  /* an account is found also where its mail is forwarded without a copy */
};

enum route {
    ROUTED_LOCAL, /* targets say where */
    ROUTED_NO_USER,
    ROUTED_NOT_OURS,
    ROUTED_OVER_QUOTA,   /* every target is */
    ROUTED_DISABLED,     /* every target is */
    ROUTED_LIST_REFUSES, /* the sender may not post there */
};

enum target_kind { TARGET_MAILBOX, TARGET_REMOTE, TARGET_LIST, TARGET_LIST_BOUNCE };

/* An account that forwards its mail, whose rules are asked about it before it goes on. In the arena. */
struct route_guard {
    uint64_t account_id, mailbox_id, domain_id; /* the second: the INBOX */
    struct span domain_name, name;
    const struct route_guard *outer; /* who forwards to it; NULL: nobody */
};

/* What is not of the kind is zero. Spans are in the arena. */
struct route_target {
    enum target_kind kind;
    uint64_t account_id, mailbox_id; /* MAILBOX: the INBOX */
    uint64_t domain_id;              /* MAILBOX: of the account, with its name and local part */
    struct span domain_name, name;
    uint64_t quota_left;          /* MAILBOX: UINT64_MAX without a quota */
    struct span address;          /* REMOTE: local@domain */
    struct span next_hop;         /* REMOTE: "host:port", or empty */
    struct span forwarder;        /* REMOTE: the domain of ours that sends it on; empty: the recipient itself */
    bool verify;                  /* REMOTE: the next hop knows whether it takes this name */
    const struct route_guard *by; /* who forwards it here; NULL: nobody does. Not the account itself, which keeps a
                                     copy */
    uint64_t list_id;             /* LIST, LIST_BOUNCE */
    uint64_t list_member;         /* LIST_BOUNCE */
};

struct routing {
    enum route route;
    struct route_target *targets; /* in the arena; those of ROUTED_LOCAL, and the full ones of ROUTED_OVER_QUOTA */
    size_t count;
    uint64_t domain_id;     /* of the address itself; 0 where that is not ours */
    struct span local_part; /* its own, lower case */
    bool is_loop; /* a walk came back to where it had been, and nobody on the way keeps a copy; or it was too long */
};

struct directory_query {
    struct span local_part;   /* unquoted */
    struct span domain;       /* A-labels; empty stands for the default domain, or the first one, and is right for
                                 postmaster only */
    struct span reverse_path; /* local@domain, empty for <>: mailing lists ask who posts */
    /* Not empty, local@domain of a REMOTE target: whose mail was sent on to there? The routing then has the mailbox of
     * the last account on that way, past its forwarding; where the address does not lead there any more, that of the
     * address itself. Nobody's (an alias of the site) is NO_USER. */
    struct span sent_on_to;
    bool each_way; /* a target to which several people forward stands there once for each of them */
};

/* RFC 5321 sections 3.6 and 4.5.1. 0 or a negative errno. */
MUST_USE int directory_resolve(const struct directory *d, const struct directory_query *query, struct arena *arena,
                               struct routing *routing);

struct login_credential {
    struct span kind, value;
};

struct login {
    uint64_t account_id, version;
    struct span address;
    bool enabled;
    struct login_credential *credentials;
    size_t count;
};

/* 1, 0 when there is nobody of that name, or a negative errno. What it finds is in the arena. */
MUST_USE int directory_login(const struct directory *d, struct span name, struct arena *arena, struct login *login);
/* May the account send as this address: its own, one with a detail, or an alias that leads to it, alone or among
 * others; each also by another name of the domain? A closed one may not. 1, 0 or a negative errno. */
MUST_USE int directory_may_send(const struct directory *d, uint64_t account_id, struct span local_part,
                                struct span domain, struct arena *arena);

struct directory_domain {
    uint64_t id, kind, alias_of; /* kind: 0 our own, 1 backup */
    struct span name, next_hop;  /* in the arena */
};

/* The domain of that name (lower case), or the one that it is another name of. 1, 0, or a negative errno. */
MUST_USE int directory_domain(struct database *db, struct span name, struct arena *arena,
                              struct directory_domain *domain);

/* Bytes of the name before its detail; all of them when it has none. */
size_t directory_plain_size(const struct directory *d, struct span name);
/* s in lower case (ASCII), in the arena. {NULL, 0} when there is no memory. */
struct span directory_lower(struct arena *arena, struct span s);
/* Cuts local@domain at its last @. */
MUST_USE bool directory_split(struct span address, struct span *local_part, struct span *domain);

#endif
