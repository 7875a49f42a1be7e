/* Judges an address at the door of each to whom it leads: fetches what the rules there want to know, decides
 * (policy/decide.h), and keeps the answers for the end of the message and for the ledger.
 *
 * An address that leads to several people is refused where all of their doors refuse it; else it is taken, and who
 * would have refused it finds it in the folder JUDGED_BLOCKED_FOLDER: what was accepted is never lost. What somebody
 * forwards passes their own door first, and then that of whomever it goes to; where their own keeps it out, it is their
 * folder that has it.
 */
#ifndef FACTS_JUDGE_H
#define FACTS_JUDGE_H

#include "facts/gather.h"
#include "intake/route.h"
#include "policy/decide.h"

#define JUDGED_BLOCKED_FOLDER "Blocked"
/* Beyond so many doors of one address, facts that belong to a recipient (the site's script, the grey list) are unknown:
 * an alias to a thousand people does not run the script a thousand times. */
#define JUDGED_DOORS_WITH_OWN_FACTS 50

#define JUDGED_WATCHED_MAX 4 /* at one door; more are not kept */

/* A verdict as it is kept. Spans are in the transaction's arena. */
struct kept_verdict {
    enum verdict_kind kind;
    unsigned rule;
    enum rule_level level;
    unsigned code;
    char enhanced[8];
    bool let_in;
    struct span sentence, evidence, folder;
};

/* One door. */
struct judged {
    const struct intake_door *door;
    struct span recipient; /* local@domain as given */
    bool hears_everybody, passcode_not_looked_at, has_approved_names, has_denied_names, sender_is_protected;
    unsigned protected_level;
    struct span protected_account;
    bool address_is_refused;                         /* a copy of its address's !is_taken, for who has the door only */
    struct kept_verdict rcpt;                        /* at RCPT */
    struct kept_verdict watched[JUDGED_WATCHED_MAX]; /* those that only watched */
    unsigned watched_count;
    struct kept_verdict content; /* behind the final dot; kind NO_OPINION: not decided */
    uint64_t asked;              /* rules that were asked and said nothing */
    bool has_mailbox;            /* a copy goes to a mailbox behind this door: judged_envelope_complete() */
    /* The recipient's own facts, as far as they were fetched. */
    unsigned char greylist_state, script_state, script_content_state;
    unsigned greylist_wait;
    struct script_fact script, script_content;
};

/* One address of the transaction. */
struct judged_address {
    struct judged_address *next;
    struct span recipient;
    struct judged **by_door; /* by a target's door: [0] for targets without one */
    const struct intake_target *targets;
    size_t target_count;
    const struct judged *answer; /* whose verdict is the reply, where it is refused or put off */
    size_t count;                /* of by_door; NULLs among them are doors to which no target leads */
    bool is_taken;
    bool wrong_passcode;               /* a wrong one was given and that is why */
    bool needs_content;                /* some rule looks at the message */
    bool needs_header;                 /* and one of them is the site's script, which sees the header */
    bool has_content_rules, is_single; /* somebody's rules may refuse it; no other address may join it */
    struct span class_rules;           /* with has_content_rules: the text of the rules that all of its doors have */
};

/* Judges at RCPT. 0 with *judged; -ECANCELED; -ENOMEM, -EPROTO (a store that sends nonsense) and other errors: a
 * temporary failure. Waits. */
MUST_USE int judge_address(struct fiber *self, struct attempt *a, const struct mail_path *path, struct span passcode,
                           const struct intake_route *route, struct judged_address **judged);
/* An address at another site, which nobody here judges: taken. NULL without memory. */
MUST_USE struct judged_address *judge_nobody(struct attempt *a, const struct mail_path *path);
/* May both be told the same thing behind the final dot? */
bool judge_same_class(struct attempt *a, const struct judged_address *x, const struct judged_address *y);
/* Judges the message itself, whose facts are in a->facts.content, for an address that was taken: fills in `content` of
 * its doors, and is_taken and answer anew. Errors as above. Waits. */
MUST_USE int judge_content(struct fiber *self, struct attempt *a, struct judged_address *judged);

/* Did it refuse, or put off, what came? */
bool judged_keeps_out(const struct judged *judged);
/* Whose word counts for a target: of those who forward it there, the first one who keeps it out; else the target's own
 * door. NULL: nobody's. */
struct judged *judged_way(const struct intake_target *target, struct judged *own, struct judged *const *by_door);
/* The folder for a door's copy: empty for the INBOX. */
struct span judged_folder(const struct judged *judged);
/* The text of the reply behind its codes, where the address was refused: printable ASCII, no line end. */
void judged_write_reply(struct attempt *a, const struct judged *judged, uint64_t reference, struct buf *out);
/* The verdict that stands: what was said last. */
const struct kept_verdict *judged_verdict(const struct judged *judged);
/* The recipient's facts as the rules saw them. */
void judged_facts(const struct judged *judged, struct recipient_facts *r);

#endif
