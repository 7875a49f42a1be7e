/* Who is let in by name, and what stored lists keep out. */
#include "policy/rules_internal.h"

#include "policy/door_item.h"

#include <stdio.h>

struct span sender_domain(const struct facts *facts)
{
    size_t at = span_find_last(facts->reverse_path, '@');
    return span_skip(facts->reverse_path, at + 1);
}

struct clean sender_shown(const struct facts *facts)
{
    struct clean shown;
    snprintf(shown.text, sizeof shown.text, "<%.150s>", clean(span_head(facts->reverse_path, 150)).text);
    return shown;
}

bool is_from_oneself(const struct facts *facts, const struct recipient_facts *r)
{
    bool is_member = facts->standing == STANDING_MEMBER || facts->standing == STANDING_WINDOW;
    return is_member && facts->sender_account.size && span_equal_nocase(facts->sender_account, r->account);
}

/* ---- Entries of lists ---- */

/* Narrower is more: the level, then how much of the address the entry names. Learned entries are the least of their
 * level, for nobody wrote them down. 0: no entry. */
static uint64_t hit_weight(const struct list_hit *hit)
{
    if (!hit)
        return 0;
    uint64_t level = hit->level >= LEVEL_DEFAULT ? 0 : hit->level + 1;
    bool is_pattern = hit->entry.size && hit->entry.data[0] == '*';
    bool is_domain = hit->entry.size && hit->entry.data[0] == '@';
    struct span network = door_entry_network(hit->entry);
    bool is_whole = span_find(network, '/') < network.size;
    uint64_t kind = hit->kind == LIST_KIND_KNOWN ? 0
                    : network.size               ? (is_whole ? 4 : 5)
                    : is_pattern                 ? 1
                    : is_domain                  ? 2
                                                 : 3;
    return level << 40 | kind << 32 | (hit->entry.size & 0xffff) | 1ull << 20;
}

static const struct list_hit *best_hit(const struct recipient_facts *r, enum list_kind kind)
{
    const struct list_hit *best = NULL;
    for (size_t i = 0; i < r->hit_count; i++)
        if (r->hits[i].kind == kind && hit_weight(&r->hits[i]) > hit_weight(best))
            best = &r->hits[i];
    return best;
}

/* The entry that lets the sender in, or NULL. At the same weight it is believed rather than the black list's. */
static const struct list_hit *white_hit(const struct recipient_facts *r, bool known_count)
{
    const struct list_hit *white = best_hit(r, LIST_KIND_WHITE);
    const struct list_hit *known = known_count ? best_hit(r, LIST_KIND_KNOWN) : NULL;
    const struct list_hit *best = hit_weight(known) > hit_weight(white) ? known : white;
    return hit_weight(best) >= hit_weight(best_hit(r, LIST_KIND_BLACK)) ? best : NULL;
}

/* ---- Rules ---- */

void rule_protect_my_address(const struct facts *facts, const struct recipient_facts *r,
                             const struct rule_values *values, struct verdict *verdict)
{
    bool logged_in = facts->standing == STANDING_MEMBER || facts->standing == STANDING_WINDOW;
    if (!r->sender_is_protected)
        return;
    if (logged_in && (!r->protected_account.size || span_equal_nocase(r->protected_account, facts->sender_account)))
        return;
    verdict->level = r->protected_level < LEVEL_COUNT ? (enum rule_level)r->protected_level : LEVEL_ACCOUNT;
    if (logged_in)
        verdict_refuse(verdict, 553, "5.7.1", sender_shown(facts), "the address %s belongs to somebody else here",
                       sender_shown(facts).text);
    else
        verdict_refuse(verdict, 530, "5.7.0", sender_shown(facts),
                       "mail from %s is taken only from its owner: please log in first", sender_shown(facts).text);
}

void rule_accept_all(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                     struct verdict *verdict)
{
    verdict_accept(verdict, clean(facts->reverse_path), "everybody is let in");
}

void rule_passcode_lets_in(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                           struct verdict *verdict)
{
    if (r->passcode == PASSCODE_RIGHT)
        verdict_accept(verdict, clean(r->passcode_name), "the passcode of %s was given", clean(r->passcode_name).text);
}

/* Reports from <> can't know a passcode: nobody told it to the server that makes them. */
void rule_passcode_keeps_out(const struct facts *facts, const struct recipient_facts *r,
                             const struct rule_values *values, struct verdict *verdict)
{
    if (is_from_oneself(facts, r))
        return;
    switch (r->passcode) {
    case PASSCODE_RIGHT:
        return;
    case PASSCODE_NONE:
        if (facts->reverse_path.size == 0 && values->value[PASSCODE_BOUNCES].number)
            return;
        verdict_refuse(verdict, 550, "5.7.1", clean(span_text("none was given")),
                       "a passcode is wanted behind the address, as in RCPT TO:<%s> 1234: ask for yours",
                       clean(span_head(r->recipient, 100)).text);
        return;
    case PASSCODE_WRONG:
        verdict_refuse(verdict, 550, "5.7.1", clean(span_text("a wrong one")), "the passcode is wrong");
        return;
    case PASSCODE_EXPIRED:
        verdict_refuse(verdict, 550, "5.7.1", clean(r->passcode_name), "the passcode is no longer good");
        return;
    case PASSCODE_TOO_MANY:
        verdict_defer(verdict, "4.7.1", clean(span_text("too many wrong ones")),
                      "too many wrong passcodes were tried, please try again in an hour");
        return;
    }
}

uint32_t rule_approved_servers_needs(const struct facts *facts, const struct recipient_facts *r,
                                     const struct ruleset *set, const struct rule_values *values)
{
    return r->has_approved_names && !best_hit(r, LIST_KIND_APPROVED) ? FACT_BIT(FACT_PTR) : 0;
}

void rule_approved_servers(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                           struct verdict *verdict)
{
    const struct list_hit *hit = best_hit(r, LIST_KIND_APPROVED);
    bool is_proven = facts->state[FACT_PTR] == FACT_KNOWN && facts->ptr.name.size;
    for (size_t i = 0; !hit && is_proven && i < facts->ptr.hit_count; i++)
        if (facts->ptr.hits[i].kind == LIST_KIND_APPROVED)
            hit = &facts->ptr.hits[i];
    if (!hit)
        return;
    verdict->level = hit->level < LEVEL_COUNT ? (enum rule_level)hit->level : LEVEL_SITE;
    verdict_accept(verdict, clean(hit->entry), "the server %s is approved (%s)", clean_ip(&facts->ip).text,
                   clean(hit->entry).text);
}

void rule_white_list_lets_in(const struct facts *facts, const struct recipient_facts *r,
                             const struct rule_values *values, struct verdict *verdict)
{
    /* fetched-white-list has another parameter there; people one has written to count for it, too. */
    const struct list_hit *hit = white_hit(r, facts->is_fetched || values->value[WHITE_LIST_LEARN].number);
    if (!hit || facts->reverse_path.size == 0)
        return;
    verdict->level = (enum rule_level)hit->level;
    verdict_accept(verdict, clean(hit->entry), "%s is on the white list (%s)", sender_shown(facts).text,
                   clean(hit->entry).text);
}

/* Whoever is on the list has been let in before. */
void rule_white_list_keeps_out(const struct facts *facts, const struct recipient_facts *r,
                               const struct rule_values *values, struct verdict *verdict)
{
    if (is_from_oneself(facts, r))
        return;
    if (facts->reverse_path.size == 0 && (facts->is_fetched || values->value[WHITE_LIST_BOUNCES].number))
        return;
    verdict_refuse(verdict, 550, "5.7.1", clean(facts->reverse_path),
                   "the sender %s is not on the list of those whose mail is taken here", sender_shown(facts).text);
}

void rule_limited_address_lets_in(const struct facts *facts, const struct recipient_facts *r,
                                  const struct rule_values *values, struct verdict *verdict)
{
    if (r->limited.exists && !r->limited.expired && r->limited.sender_fits)
        verdict_accept(verdict, clean(r->recipient), "%s was made for this", clean(r->recipient).text);
}

void rule_limited_address_keeps_out(const struct facts *facts, const struct recipient_facts *r,
                                    const struct rule_values *values, struct verdict *verdict)
{
    if (!r->limited.exists || is_from_oneself(facts, r))
        return;
    if (r->limited.expired)
        verdict_refuse(verdict, 550, "5.7.1", clean(r->recipient), "this address was made for a time, which is over");
    else if (!r->limited.sender_fits)
        verdict_refuse(verdict, 550, "5.7.1", clean(facts->reverse_path),
                       "this address was made for other senders than %s", sender_shown(facts).text);
}

/* Of a white entry and a black one the narrower counts, also where the site has locked the rule; but what the site
 * itself has listed then stays out. */
void rule_black_list(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                     struct verdict *verdict)
{
    const struct list_hit *hit = best_hit(r, LIST_KIND_BLACK);
    bool is_final = hit && values->is_locked && hit->level == LEVEL_SITE;
    if (!hit || facts->reverse_path.size == 0 || is_from_oneself(facts, r) || (!is_final && white_hit(r, false)))
        return;
    verdict->level = (enum rule_level)hit->level;
    verdict_refuse(verdict, 550, "5.7.1", clean(hit->entry), "the sender %s is on the black list (%s)",
                   sender_shown(facts).text, clean(hit->entry).text);
}

void rule_denied_servers(const struct facts *facts, const struct recipient_facts *r, const struct rule_values *values,
                         struct verdict *verdict)
{
    const struct list_hit *hit = best_hit(r, LIST_KIND_DENIED);
    if (!hit)
        return;
    verdict->level = hit->level < LEVEL_COUNT ? (enum rule_level)hit->level : LEVEL_SITE;
    verdict_refuse(verdict, 550, "5.7.1", clean(hit->entry), "this site takes no mail from %s", clean(hit->entry).text);
}
