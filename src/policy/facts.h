/* What is known about an attempt to bring a message in: what the rules (policy/rule.h) decide from.
 *
 * Some facts are there from the start (address, HELO, envelope). Those of enum fact have to be fetched: from the DNS,
 * from auth, by a call-out, from the message. Each has a state; a rule that needs one which nobody has asked for yet
 * makes the decision say so (policy/decide.h), whoever gathers fetches it (facts/gather.h) and decides again. Pure
 * data: all spans are borrowed, and a struct of zeros is an attempt of which nothing is known.
 *
 * Mail that was fetched from a remote account has the same facts, of the hop that brought it to the provider: address
 * and HELO come from the Received: line that the provider wrote.
 */
#ifndef POLICY_FACTS_H
#define POLICY_FACTS_H

#include "base/arena.h"
#include "base/buf.h"
#include "format/ip_address.h"

/* Facts that have to be fetched. Stored facts have the numbers of this and the other enums here: new ones come last. */
enum fact {
    FACT_PTR,               /* the name of the client by DNS, and what the site's lists of names say of it */
    FACT_OWN_LIST,          /* the site's own black list (policy/blacklist.h) */
    FACT_DNS_LISTS,         /* each DNS list of the configuration */
    FACT_RETURN_PATH,       /* can the sender's domain receive mail? */
    FACT_GREYLIST,          /* how long ago did this network first try this sender and recipient? Of a recipient */
    FACT_WHOIS,             /* of the client's address */
    FACT_SCRIPT,            /* what the site's script says. Of a recipient */
    FACT_CALL_BACK,         /* does the sender's server take mail for the sender? */
    FACT_REVERSE_CALL_BACK, /* does the client itself, at its port 25? */
    FACT_CONTENT,           /* the message: there from the end of DATA on */
    FACT_SCRIPT_CONTENT,    /* what the site's script says of the message. Of a recipient */
    FACT_COUNT
};
#define FACT_BIT(fact) (1u << (fact))

enum fact_state {
    FACT_NOT_ASKED,
    FACT_ABSENT,  /* asked, and there is none: no PTR record, no WHOIS server, ... */
    FACT_KNOWN,   /* its fields below are filled in */
    FACT_UNKNOWN, /* asked, and nobody could say: time-out, SERVFAIL, our own trouble */
};

/* Who brings it. All but strangers skip the rules about HELO, TLD, address and call-outs. */
enum facts_standing {
    STANDING_STRANGER,
    STANDING_MEMBER,         /* authenticated */
    STANDING_WINDOW,         /* POP-before-SMTP, with a sender of that account */
    STANDING_CLIENT_NETWORK, /* client_networks */
};

enum return_path_fact {
    RETURN_PATH_TAKES_MAIL, /* MX, A or AAAA; or one of ours; or <> */
    RETURN_PATH_NO_DOMAIN,
    RETURN_PATH_NULL_MX,
};

enum own_list_fact { OWN_LIST_NOTHING, OWN_LIST_LISTED, OWN_LIST_NAME_LISTED, OWN_LIST_EXCEPTED };

enum dns_list_fact_result {
    DNS_LIST_FACT_NOT_LISTED,
    DNS_LIST_FACT_LISTED,
    DNS_LIST_FACT_UNKNOWN, /* it did not say, or is not in order */
};
struct dns_list_fact {
    struct span zone, reason; /* the reason is printable ASCII, maybe empty */
    bool is_white;
    enum dns_list_fact_result result;
};
#define DNS_LIST_FACTS_MAX 64

/* What another server said of a recipient (call-backs). */
enum call_back_result { CALL_BACK_TAKES, CALL_BACK_REFUSES };

struct whois_fact {
    struct span text;                            /* as the servers gave it, all of them, at most 64 KiB */
    struct span country, registry, network, as_; /* read out of it: "DE", "RIPE", "EXAMPLE-NET", "AS64496"; or empty */
};

/* What a script said. */
enum script_result { SCRIPT_NOTHING, SCRIPT_ACCEPT, SCRIPT_REFUSE, SCRIPT_DEFER, SCRIPT_FILE };
struct script_fact {
    enum script_result result;
    struct span text; /* its reason; or of SCRIPT_FILE the folder */
};

struct attachment_fact {
    struct span type; /* "application/zip", lower case */
    struct span name; /* decoded file name, UTF-8, maybe empty */
};
#define ATTACHMENT_FACTS_MAX 200

struct content_fact {
    uint64_t size;                                     /* bytes of the message */
    struct span header;                                /* as it came, where a script is to see it; else empty */
    struct span from, subject, message_id, user_agent; /* decoded; user_agent: X-Mailer: or User-Agent: */
    bool is_automatic;                         /* Auto-Submitted: other than no, Precedence: bulk, or List-Id: */
    const struct attachment_fact *attachments; /* one that has two names stands here twice */
    size_t attachment_count;
    bool has_more_attachments; /* beyond ATTACHMENT_FACTS_MAX, behind the caps of format/mime.h, or with a name too long
                                  to be looked at */
};

/* Which stored list (policy/door_item.h) names the sender or the client. */
enum list_kind {
    LIST_KIND_WHITE,       /* a person's, a domain's or the site's: senders let in */
    LIST_KIND_BLACK,       /* senders kept out */
    LIST_KIND_KNOWN,       /* people the account has written to */
    LIST_KIND_APPROVED,    /* servers: addresses, and names proven by the DNS */
    LIST_KIND_DENIED,      /* servers: addresses, HELO names, sender domains */
    LIST_KIND_DENIED_NAME, /* host names by DNS */
    LIST_KIND_COUNT
};
struct list_hit {
    enum list_kind kind;
    unsigned level;    /* enum rule_level: whose list */
    struct span entry; /* as it stands there: "@example.org" */
};
#define LIST_HITS_MAX 16

/* The facts of the connection and the transaction: the same for all recipients. */
struct facts {
    bool is_fetched; /* from a remote account; else it came by SMTP */
    enum facts_standing standing;
    struct ip_address ip;
    struct span own_name;       /* what our greeting calls us; empty: not known */
    struct ip_address own_ip;   /* our end of the connection; zeros: not known */
    struct span helo;           /* as given; empty: none */
    struct span reverse_path;   /* local@domain in lower-case A-labels where it can be; empty: <> */
    struct span sender_account; /* the main address of the account whose member brings it; empty: a stranger */
    uint64_t declared_size;     /* SIZE=; 0: none */
    bool is_tls;
    bool spoke_early;                /* before our greeting */
    unsigned char state[FACT_COUNT]; /* enum fact_state; those of a recipient are in struct recipient_facts */

    struct {
        struct span name;        /* forward-confirmed; empty: none is */
        struct span claimed;     /* the first that is not; may be empty */
        struct list_hit hits[4]; /* APPROVED (by `name` only) and DENIED_NAME */
        size_t hit_count;
    } ptr;
    struct {
        enum own_list_fact result;
        struct span reason;
    } own_list;
    struct dns_list_fact *dns_lists;
    size_t dns_list_count;
    enum return_path_fact return_path;
    struct whois_fact whois;
    struct {
        enum call_back_result result;
        struct span reply; /* printable ASCII */
    } call_back, reverse_call_back;
    struct content_fact content;
    /* Fetched mail: the addresses of the Received: hops in front of the origin's, newest first, private ones left out.
     */
    const struct ip_address *hops;
    size_t hop_count;
    bool is_local_to_provider; /* fetched: the sender is the provider's own customer, so the rules about HELO and TLD
                                  have nothing to look at */
    struct {
        enum own_list_fact result;
        struct ip_address hop;
        struct span reason;
    } hop_list; /* fetched: what the site's own list says of the hops; with FACT_OWN_LIST */
};

enum passcode_fact {
    PASSCODE_NONE,  /* none was given */
    PASSCODE_RIGHT, /* `passcode_name` says which */
    PASSCODE_WRONG,
    PASSCODE_EXPIRED,  /* or revoked */
    PASSCODE_TOO_MANY, /* it was not even looked at: too many wrong ones were tried */
};

/* What a recipient has beside them. */
struct recipient_facts {
    struct span recipient; /* local@domain as given, without a source route */
    struct span account;   /* the main address of the account; empty: a list, an alias to elsewhere, ... */
    bool hears_everybody;  /* postmaster, abuse: no rule but the locked ones of the site keeps anybody out */
    enum passcode_fact passcode;
    struct span passcode_name;
    struct list_hit hits[LIST_HITS_MAX];
    size_t hit_count;
    bool has_approved_names, has_denied_names; /* the site's lists have host names: FACT_PTR is worth asking for them */
    bool sender_is_protected; /* the reverse path is of a member of ours who protects it (rule protect-my-address) */
    unsigned protected_level;
    struct span protected_account; /* that member's main address; empty: whoever has logged in may use it */
    /* A limited address (alice+shop-x7@): `limited` where there is such a row for the recipient. */
    struct {
        bool exists, expired;
        bool sender_fits; /* it is for certain correspondents and this is one, or it is for all */
    } limited;
    unsigned char greylist_state, script_state, script_content_state; /* enum fact_state */
    unsigned greylist_wait;                                           /* seconds still to wait; 0: it may pass */
    struct script_fact script, script_content;
};

/* The state of a fact, of either struct. */
enum fact_state fact_state_get(const struct facts *facts, const struct recipient_facts *r, enum fact fact);
void fact_state_set(struct facts *facts, struct recipient_facts *r, enum fact fact, enum fact_state state);
const char *fact_name(enum fact fact); /* "dns-lists" */

/* ---- The compact form (facts_blob.c): kept in the ledger, sent to the script ---- */

/* `with_header`: the message's header and the WHOIS text, too (for the script; the ledger does without). Versioned. */
void facts_write(const struct facts *facts, const struct recipient_facts *r, bool with_header, struct buf *out);
/* False where the bytes are none of this, or the arena is full. Spans point into `bytes`, lists into the arena. A fact
 * that the writer did not know of is FACT_NOT_ASKED. */
MUST_USE bool facts_parse(struct span bytes, struct arena *arena, struct facts *facts, struct recipient_facts *r);
#define FACTS_SIZE_MAX (256u << 10)

#endif
