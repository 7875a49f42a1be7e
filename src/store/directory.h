/* Who and where: domains, accounts, aliases and credentials as readers ask for them. Addresses compare without regard
 * to ASCII case. Only reads; no function waits but for the disk. */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/arena.h"
#include "store/database.h"

#define DIRECTORY_ADDRESS_MAX 512 /* bytes of local part or domain; longer ones are nobody's */
#define DIRECTORY_TARGETS_MAX 1000
#define DIRECTORY_ALIAS_DEPTH 16

struct directory {
    struct database *db;
    struct span detail_separator; /* its characters each separate: "+"; empty = off */
    struct span default_domain;
};

enum route { ROUTED_LOCAL, ROUTED_NO_USER, ROUTED_NOT_OURS, ROUTED_OVER_QUOTA, ROUTED_DISABLED };

struct route_target {
    uint64_t account_id, mailbox_id; /* the INBOX */
    uint64_t quota_left;             /* UINT64_MAX without a quota */
};

struct routing {
    enum route route;
    struct route_target *targets; /* in the arena; none but for ROUTED_LOCAL */
    size_t count;
};

/* RFC 5321 sections 3.6 and 4.5.1. An empty domain is right for postmaster only and stands for the default domain, or
 * the first one. An address is looked up whole first, then without its detail. 0 or a negative errno. */
MUST_USE int directory_resolve(const struct directory *d, struct span local_part, struct span domain,
                               struct arena *arena, struct routing *routing);

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
/* May the account send as this address: its own, one with a detail, or an alias that leads to it? 1, 0 or a negative
 * errno. */
MUST_USE int directory_may_send(const struct directory *d, uint64_t account_id, struct span local_part,
                                struct span domain, struct arena *arena);

/* s in lower case (ASCII), in the arena. {NULL, 0} when there is no memory. */
struct span directory_lower(struct arena *arena, struct span s);
/* Cuts local@domain at its last @. */
MUST_USE bool directory_split(struct span address, struct span *local_part, struct span *domain);

#endif
