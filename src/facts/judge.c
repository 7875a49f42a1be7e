#include "facts/judge.h"

#include "auth.pb-c.h"
#include "facts/pregreet.h"
#include "facts/rules_memo.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/poison.h"

#include <errno.h>
#include <stdlib.h>

#define GUESS_SECONDS 30
#define ADDRESS_TEXT_MAX 1024

static const struct intake_door no_door;

static const struct ruleset *rules_of(struct attempt *a, const struct intake_door *door)
{
    return rules_memo_get(a->sources->rules, door->rules, a->settings->smtp.check_sender);
}

/* ---- A door ---- */

void judged_facts(const struct judged *judged, struct recipient_facts *r)
{
    const struct intake_door *door = judged->door;
    memset(r, 0, sizeof *r);
    r->recipient = judged->recipient;
    r->account = door->address;
    r->hears_everybody = judged->hears_everybody;
    r->passcode = judged->passcode_not_looked_at ? PASSCODE_TOO_MANY : door->passcode;
    r->passcode_name = door->passcode_name;
    r->hit_count = door->hit_count;
    for (size_t i = 0; i < door->hit_count; i++)
        r->hits[i] = door->hits[i];
    r->has_approved_names = judged->has_approved_names;
    r->has_denied_names = judged->has_denied_names;
    r->sender_is_protected = judged->sender_is_protected;
    r->protected_level = judged->protected_level;
    r->protected_account = judged->protected_account;
    r->limited.exists = door->limited;
    r->limited.expired = door->limited_expired;
    r->limited.sender_fits = door->limited_sender_fits;
    r->greylist_state = judged->greylist_state;
    r->script_state = judged->script_state;
    r->script_content_state = judged->script_content_state;
    r->greylist_wait = judged->greylist_wait;
    r->script = judged->script;
    r->script_content = judged->script_content;
}

static void keep_facts(const struct recipient_facts *r, struct judged *judged)
{
    judged->greylist_state = r->greylist_state;
    judged->script_state = r->script_state;
    judged->script_content_state = r->script_content_state;
    judged->greylist_wait = r->greylist_wait;
    judged->script = r->script;
    judged->script_content = r->script_content;
}

static bool keep_text(struct arena *arena, const char *text, struct span *kept)
{
    *kept = *text ? arena_copy(arena, span_text(text)) : (struct span){0};
    return !*text || kept->data;
}

static int keep_verdict(struct arena *arena, const struct verdict *verdict, struct kept_verdict *kept)
{
    *kept = (struct kept_verdict){.kind = verdict->kind,
                                  .rule = verdict->rule,
                                  .level = verdict->level,
                                  .code = verdict->code,
                                  .let_in = verdict->let_in};
    memcpy(kept->enhanced, verdict->enhanced, sizeof kept->enhanced);
    return keep_text(arena, verdict->sentence, &kept->sentence) &&
                   keep_text(arena, verdict->evidence, &kept->evidence) &&
                   keep_text(arena, verdict->folder, &kept->folder)
               ? 0
               : -ENOMEM;
}

static void restore_verdict(const struct kept_verdict *kept, struct verdict *verdict)
{
    verdict->kind = kept->kind;
    verdict->rule = kept->rule;
    verdict->level = kept->level;
    verdict->code = kept->code;
    verdict->let_in = kept->let_in;
    memcpy(verdict->enhanced, kept->enhanced, sizeof verdict->enhanced);
    span_write_text(kept->sentence, verdict->sentence, sizeof verdict->sentence);
    span_write_text(kept->evidence, verdict->evidence, sizeof verdict->evidence);
    span_write_text(kept->folder, verdict->folder, sizeof verdict->folder);
}

static unsigned greylist_seconds(const struct ruleset *set)
{
    return (unsigned)ruleset_get(set, "greylist.wait")->number;
}

/* What looks at a message may fail at it as its parser may. -EAGAIN: it was listed a moment ago. */
static int decide(struct attempt *a, struct recipient_facts *r, const struct ruleset *set, enum decide_stage stage,
                  const struct verdict *before, struct decision *decision, enum decide_result *result)
{
    bool has_content = stage == DECIDE_CONTENT;
    if (has_content && !poison_begin(a->fingerprint))
        return -EAGAIN;
    *result = decide_recipient(&a->facts, r, set, stage, has_content ? before : NULL, decision);
    if (has_content)
        poison_end();
    return 0;
}

/* Decides and fetches in turns, until there is an answer. Each turn fetches something, so there are not many. */
static int decide_at_door(struct fiber *self, struct attempt *a, struct judged *judged, enum decide_stage stage,
                          struct decision *decision)
{
    struct recipient_facts r;
    struct verdict before;
    judged_facts(judged, &r);
    if (stage == DECIDE_CONTENT)
        restore_verdict(&judged->rcpt, &before);
    for (unsigned turn = 0; turn <= FACT_COUNT; turn++) {
        const struct ruleset *set = rules_of(a, judged->door);
        if (!set)
            return -EPROTO;
        enum decide_result result;
        int error = decide(a, &r, set, stage, &before, decision, &result);
        if (error)
            return error;
        if (result == DECIDE_DONE) {
            keep_facts(&r, judged);
            return 0;
        }
        error = facts_gather(self, a, &r, decision->needs, greylist_seconds(set));
        if (error)
            return error;
    }
    abort(); /* a rule wants what was fetched */
}

static int keep_decision(struct attempt *a, struct judged *judged, const struct decision *decision,
                         struct kept_verdict *verdict)
{
    judged->asked |= decision->asked;
    if (decision->verdict.rule < rule_count)
        judged->asked &= ~rule_bit(decision->verdict.rule);
    int error = keep_verdict(a->transaction, &decision->verdict, verdict);
    for (size_t i = 0; !error && i < decision->watched_count && judged->watched_count < JUDGED_WATCHED_MAX; i++)
        error = keep_verdict(a->transaction, &decision->watched[i], &judged->watched[judged->watched_count++]);
    return error;
}

static int judge_door(struct fiber *self, struct attempt *a, struct judged *judged, enum decide_stage stage)
{
    struct decision *decision = malloc(sizeof *decision); /* too large for a fiber that waits */
    int error = decision ? decide_at_door(self, a, judged, stage, decision) : -ENOMEM;
    if (!error)
        error = keep_decision(a, judged, decision, stage == DECIDE_RCPT ? &judged->rcpt : &judged->content);
    free(decision);
    return error;
}

/* ---- An address ---- */

static bool keeps_out(const struct kept_verdict *verdict)
{
    return verdict->kind == VERDICT_REFUSE || verdict->kind == VERDICT_DEFER;
}

const struct kept_verdict *judged_verdict(const struct judged *judged)
{
    return judged->content.kind == VERDICT_NO_OPINION ? &judged->rcpt : &judged->content;
}

bool judged_keeps_out(const struct judged *judged)
{
    return keeps_out(judged_verdict(judged));
}

struct judged *judged_way(const struct intake_target *target, struct judged *own, struct judged *const *by_door)
{
    for (size_t i = 0; by_door && i < target->guard_count; i++)
        if (judged_keeps_out(by_door[target->guards[i]]))
            return by_door[target->guards[i]];
    return own;
}

/* One way that is open is enough. Else the sender is put off where anybody puts it off: that one may yet take it. */
static void sum_up(struct judged_address *address)
{
    bool is_open = false;
    address->answer = NULL;
    for (size_t i = 0; i < address->target_count; i++) {
        const struct intake_target *target = &address->targets[i];
        const struct judged *judged = judged_way(target, address->by_door[target->door], address->by_door);
        const struct kept_verdict *verdict = judged_verdict(judged);
        if (!keeps_out(verdict))
            is_open = true;
        else if (!address->answer ||
                 (verdict->kind == VERDICT_DEFER && judged_verdict(address->answer)->kind != VERDICT_DEFER))
            address->answer = judged;
    }
    address->is_taken = is_open || !address->answer;
}

/* The passcode's rule is the only one for which a wrong guess counts, and only where it decided. */
static bool is_wrong_passcode(const struct judged_address *address)
{
    return !address->is_taken && address->answer->door->passcode == PASSCODE_WRONG &&
           address->answer->rcpt.rule == rule_find(span_text("passcode"));
}

static bool has_active_content_rules(struct attempt *a, const struct judged *judged)
{
    const struct ruleset *set = rules_of(a, judged->door);
    bool is_spared = judged->hears_everybody || judged->rcpt.let_in;
    return set && (is_spared ? ruleset_judges_everybody_apart(set) : ruleset_has_content_rules(set));
}

static void find_class(struct attempt *a, struct judged_address *address)
{
    bool is_first = true;
    for (size_t i = 0; i < address->count; i++) {
        const struct judged *judged = address->by_door[i];
        const struct ruleset *set = judged ? rules_of(a, judged->door) : NULL;
        if (set && ruleset_get(set, "pregreet")->number != MODE_OFF)
            pregreet_ask(a->sources->pregreet);
        if (!judged || keeps_out(&judged->rcpt))
            continue;
        address->needs_content |= !set || ruleset_has_content_rules(set);
        address->needs_header |= !set || ruleset_shows_header(set);
        bool active = has_active_content_rules(a, judged);
        if (is_first) {
            address->has_content_rules = active;
            address->class_rules = judged->door->rules;
        } else if (active != address->has_content_rules) {
            address->is_single = true;
        } else if (active && !span_equal(address->class_rules, judged->door->rules)) {
            const struct intake_door first = {.rules = address->class_rules};
            const struct ruleset *x = rules_of(a, &first), *y = rules_of(a, judged->door);
            address->is_single |= !x || !y || !ruleset_same_content_class(x, y);
        }
        is_first = false;
    }
}

bool judge_same_class(struct attempt *a, const struct judged_address *x, const struct judged_address *y)
{
    if (x->is_single || y->is_single || x->has_content_rules != y->has_content_rules)
        return false;
    if (!x->has_content_rules)
        return true;
    const struct intake_door first = {.rules = x->class_rules}, second = {.rules = y->class_rules};
    const struct ruleset *xs = rules_of(a, &first), *ys = rules_of(a, &second);
    return xs && ys && ruleset_same_content_class(xs, ys);
}

/* May this client try another passcode for this recipient? 0 with *allowed, or a negative errno: nobody can say, and
 * guessing without a limit is no answer. */
static int ask_about_guessing(struct fiber *self, struct attempt *a, struct span recipient, bool *allowed)
{
    Auth__GuessRequest request = AUTH__GUESS_REQUEST__INIT;
    struct buf ip;
    buf_init(&ip, IP_ADDRESS_TEXT_MAX);
    ip_address_write(&a->facts.ip, &ip);
    request.peer_address = binary_from_span(buf_span(&ip));
    request.recipient = binary_from_span(recipient);
    struct answer answer;
    int error = channel_call(self, peers_get(a->sources->peers, ROLE_AUTH), AUTH_GUESS, &request.base, (struct span){0},
                             -1, clock_in_seconds(GUESS_SECONDS), &answer);
    if (!error) {
        *allowed = ((const Auth__GuessReply *)answer.message)->allowed;
        answer_release(&answer);
    }
    buf_release(&ip);
    return error;
}

static int check_guessing(struct fiber *self, struct attempt *a, struct judged_address *address, struct span passcode)
{
    bool is_compared = false, allowed = true;
    for (size_t i = 0; i < address->count && passcode.size; i++)
        is_compared |= address->by_door[i] && address->by_door[i]->door->passcode != PASSCODE_NONE;
    int error = is_compared ? ask_about_guessing(self, a, address->recipient, &allowed) : 0;
    for (size_t i = 0; i < address->count && !error; i++)
        if (address->by_door[i])
            address->by_door[i]->passcode_not_looked_at = !allowed;
    return error;
}

static bool is_everybodys(const struct mail_path *path)
{
    return span_is_nocase(path->local_part, "postmaster") || span_is_nocase(path->local_part, "abuse");
}

static int copy_recipient(struct arena *arena, const struct mail_path *path, struct span *address)
{
    struct buf text;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path->local_part, path->domain, &text);
    *address = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !address->data;
    buf_release(&text);
    return failed ? -ENOMEM : 0;
}

struct judged_address *judge_nobody(struct attempt *a, const struct mail_path *path)
{
    struct judged_address *address = arena_alloc(a->transaction, sizeof *address);
    if (!address || copy_recipient(a->transaction, path, &address->recipient))
        return NULL;
    address->is_taken = true;
    return address;
}

/* `made`: how many the address has already. */
static int make_door(struct attempt *a, const struct mail_path *path, const struct intake_route *route, unsigned place,
                     struct judged_address *address, size_t *made)
{
    if (address->by_door[place])
        return 0;
    struct judged *judged = arena_alloc(a->transaction, sizeof *judged);
    if (!judged)
        return -ENOMEM;
    bool has_own_facts = (*made)++ < JUDGED_DOORS_WITH_OWN_FACTS;
    *judged = (struct judged){.door = place ? &route->doors[place - 1] : &no_door,
                              .recipient = address->recipient,
                              .hears_everybody = is_everybodys(path),
                              .has_approved_names = route->has_approved_names,
                              .has_denied_names = route->has_denied_names,
                              .sender_is_protected = route->sender.is_protected,
                              .protected_level = route->sender.level,
                              .protected_account = route->sender.account,
                              .greylist_state = has_own_facts ? FACT_NOT_ASKED : FACT_UNKNOWN,
                              .script_state = has_own_facts ? FACT_NOT_ASKED : FACT_UNKNOWN,
                              .script_content_state = has_own_facts ? FACT_NOT_ASKED : FACT_UNKNOWN};
    address->by_door[place] = judged;
    return 0;
}

/* The doors on the ways to targets, each once. */
static int make_doors(struct attempt *a, const struct mail_path *path, const struct intake_route *route,
                      struct judged_address *address)
{
    address->count = route->door_count + 1;
    address->targets = route->targets;
    address->target_count = route->count;
    address->by_door = arena_array(a->transaction, address->count, sizeof(struct judged *));
    int error = address->by_door ? copy_recipient(a->transaction, path, &address->recipient) : -ENOMEM;
    size_t made = 0;
    for (size_t i = 0; !error && i < route->count; i++) {
        const struct intake_target *target = &route->targets[i];
        for (size_t k = 0; !error && k < target->guard_count; k++)
            error = make_door(a, path, route, target->guards[k], address, &made);
        error = error ? error : make_door(a, path, route, target->door, address, &made);
    }
    return error;
}

int judge_address(struct fiber *self, struct attempt *a, const struct mail_path *path, struct span passcode,
                  const struct intake_route *route, struct judged_address **judged)
{
    struct judged_address *address = arena_alloc(a->transaction, sizeof *address);
    if (!address)
        return -ENOMEM;
    a->has_approved_names = route->has_approved_names;
    a->has_denied_names = route->has_denied_names;
    int error = make_doors(a, path, route, address);
    if (!error)
        error = check_guessing(self, a, address, passcode);
    for (size_t i = 0; !error && i < address->count; i++)
        if (address->by_door[i])
            error = judge_door(self, a, address->by_door[i], DECIDE_RCPT);
    if (error)
        return error;
    sum_up(address);
    address->wrong_passcode = is_wrong_passcode(address);
    find_class(a, address);
    *judged = address;
    return 0;
}

int judge_content(struct fiber *self, struct attempt *a, struct judged_address *address)
{
    int error = 0;
    for (size_t i = 0; !error && i < address->count; i++) {
        struct judged *judged = address->by_door[i];
        if (judged && !keeps_out(&judged->rcpt))
            error = judge_door(self, a, judged, DECIDE_CONTENT);
    }
    if (!error && address->count)
        sum_up(address);
    return error;
}

/* ---- What follows ---- */

struct span judged_folder(const struct judged *judged)
{
    const struct kept_verdict *verdict = judged_verdict(judged);
    if (keeps_out(verdict))
        return span_text(JUDGED_BLOCKED_FOLDER);
    return verdict->kind == VERDICT_FILE ? verdict->folder : (struct span){0};
}

void judged_write_reply(struct attempt *a, const struct judged *judged, uint64_t reference, struct buf *out)
{
    struct recipient_facts r;
    struct verdict verdict;
    const struct ruleset *set = rules_of(a, judged->door);
    judged_facts(judged, &r);
    restore_verdict(judged_verdict(judged), &verdict);
    bool terse = set && ruleset_get(set, "terse")->number != 0;
    decision_write_reply(&verdict, &r, reference, terse, span_text(a->settings->ledger.help_page), out);
}
