/* Fetches facts (policy/facts.h): each once, those of one call at the same time, and none that was not asked for.
 *
 * Whatever goes wrong with a source (it does not answer, it is away, it says nonsense) makes a fact FACT_UNKNOWN and
 * nothing else: what follows from that is the rules' business.
 */
#ifndef FACTS_GATHER_H
#define FACTS_GATHER_H

#include "facts/return_path.h"
#include "format/address.h"
#include "policy/facts.h"

struct blacklist;
struct dns_lists;
struct intake_route_cache;
struct pregreet;
struct rules_memo;

/* Whom to ask: of a process. Any of the pointers but peers may be NULL: then nothing is known there. */
struct facts_sources {
    struct peers *peers;
    struct dns_lists *dns_lists;            /* facts/dns_lists.h */
    struct return_path_cache *return_paths; /* facts/return_path.h */
    struct intake_route_cache *routes;      /* intake/route.h */
    struct rules_memo *rules;               /* facts/rules_memo.h; never NULL where recipients are judged */
    struct pregreet *pregreet;              /* facts/pregreet.h */
};

/* One who brings mail: facts of the connection, and of its present transaction. All pointers are borrowed. */
struct attempt {
    const struct facts_sources *sources;
    struct settings *settings;
    const struct blacklist *blacklist;         /* our own, as it is now; NULL: empty */
    const char *session;                       /* for the log */
    struct arena *connection;                  /* facts of the client go there: 256 KiB of it at the most */
    struct arena *transaction;                 /* those of the sender, the message and the recipients */
    const struct mail_path *sender;            /* MAIL FROM */
    bool has_approved_names, has_denied_names; /* intake/route.h: whether the site's lists have host names */
    uint64_t fingerprint;                      /* policy/poison.h: of the message whose FACT_CONTENT is known */
    struct facts facts;
};

/* Makes the state of every fact of `needs` another than FACT_NOT_ASKED; what is known is not asked again. `r` is the
 * recipient's whose rules want it, greylist_seconds its waiting time. FACT_CONTENT is not fetched here: unless it is
 * there, it is unknown. 0 or -ECANCELED. Waits. */
MUST_USE int facts_gather(struct fiber *self, struct attempt *a, struct recipient_facts *r, uint32_t needs,
                          unsigned greylist_seconds);

/* Forgets what belongs to the transaction: behind RSET, the end of a message, a new HELO. */
void facts_end_transaction(struct facts *facts);

#endif
