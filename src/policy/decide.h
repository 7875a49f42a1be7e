/* From facts and the rules in force to one answer (doc/rules.md, "From verdicts to one answer"). Pure.
 *
 * Whoever has a recipient asks; while the decision needs facts, they are fetched (all that it names, at the same time)
 * and it is asked again:
 *
 *     while (decide_recipient(&facts, &r, &set, DECIDE_RCPT, &decision) == DECIDE_NEEDS)
 *         facts_gather(self, &sources, decision.needs, …);
 */
#ifndef POLICY_DECIDE_H
#define POLICY_DECIDE_H

#include "policy/ruleset.h"

enum decide_stage {
    DECIDE_RCPT,    /* groups 1 to 6 */
    DECIDE_CONTENT, /* group 7: behind the final dot, for those that DECIDE_RCPT took */
};

enum decide_result { DECIDE_DONE, DECIDE_NEEDS };

#define DECISION_WATCHED_MAX 8

struct decision {
    uint32_t needs; /* DECIDE_NEEDS: FACT_BIT()s */
    /* DECIDE_DONE: the answer. ACCEPT also where nobody said anything (rule RULE_NONE); FILE is an accept with a
     * folder; REFUSE, DEFER. */
    struct verdict verdict;
    struct verdict watched[DECISION_WATCHED_MAX]; /* what would have been refused by rules in watch mode */
    size_t watched_count;
    uint64_t asked; /* rule_bit()s of those that were asked and said nothing: for `ostiary explain` */
};

/* `accepted_by`: in DECIDE_CONTENT the verdict of DECIDE_RCPT (an accept of group 3 spares the content rules but locked
 * ones); NULL in DECIDE_RCPT. */
enum decide_result decide_recipient(const struct facts *facts, const struct recipient_facts *r,
                                    const struct ruleset *set, enum decide_stage stage,
                                    const struct verdict *accepted_by, struct decision *decision);

#define DECISION_REPLY_MAX 479 /* of the 512 octets of RFC 5321 section 4.5.3.1.5 */
/* "bob@example.org does not take this: <sentence>. Reference 7F3K-2QXD" and so on: the text of a reply behind its
 * codes, printable ASCII on one line, never longer: what does not fit is cut out of the sentence. `terse`:
 * "bob@example.org does not take this. Reference …". */
void decision_write_reply(const struct verdict *verdict, const struct recipient_facts *r, uint64_t reference,
                          bool terse, struct span help_page, struct buf *out);

/* References: 40 bits as 8 characters of Crockford's base 32, "7F3K-2QXD". */
void reference_write(uint64_t reference, char out[10]);
/* With or without the hyphen, in any case; o, i and l are read as 0, 1 and 1. */
MUST_USE bool reference_parse(struct span text, uint64_t *reference);

#endif
