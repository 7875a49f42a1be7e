/* rules test: what would the rules say to this? */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/input_file.h"
#include "ctl/json.h"
#include "ctl/resolver_client.h"
#include "ctl/rules_text.h"
#include "ctl/trial_facts.h"
#include "facts/content.h"
#include "facts/dns_lists.h"
#include "facts/gather.h"
#include "format/automatic.h"
#include "format/summary.h"
#include "format/whois.h"
#include "ipc/binary.h"
#include "policy/decide.h"

#include <errno.h>
#include <stdio.h>
#include <sysexits.h>

#define MESSAGE_MAX (64u << 20)
#define WHOIS_MAX (64u << 10)

struct test_work {
    struct door_work work;
    struct resolver_work ask;
    struct arena arena; /* for the whole command */
    struct trial trial;
    struct buf message, whois;
    struct whois_answer whois_answer;
    struct rules_in_force in_force;
    struct decision decision;
    struct dns_list_fact listed[DNS_LIST_FACTS_MAX];
};

/* ---- Facts from options ---- */

static int take_client(struct test_work *w)
{
    struct ctl *ctl = w->work.ctl;
    struct facts *facts = &w->trial.facts;
    const char *ip = ctl_option(ctl, "ip"), *helo = ctl_option(ctl, "helo"), *ptr = ctl_option(ctl, "ptr");
    if (!ip)
        ip = "192.0.2.1";
    if (!ip_address_parse(span_text(ip), &facts->ip))
        return ctl_fail(ctl, EX_USAGE, "--ip takes an address like 192.0.2.7, not '%.60s'", ip);
    facts->helo = span_text(helo ? helo : "client.example");
    facts->is_fetched = ctl_option(ctl, "fetched");
    if (ptr) {
        bool none = strcmp(ptr, "none") == 0;
        facts->ptr.name = none ? (struct span){"", 0} : span_text(ptr);
        facts->state[FACT_PTR] = none ? FACT_ABSENT : FACT_KNOWN;
    }
    return EX_OK;
}

static int take_envelope(struct test_work *w)
{
    struct ctl *ctl = w->work.ctl;
    const char *from = ctl_option(ctl, "from"), *code = ctl_option(ctl, "passcode");
    w->trial.passcode = span_text(code);
    if (!from)
        return ctl_ask(ctl, "from whom? give --from");
    if (*from == 0 || strcmp(from, "<>") == 0)
        return EX_OK;
    return ctl_address(ctl, &w->arena, from, &w->trial.facts.reverse_path);
}

static int take_listed(struct test_work *w)
{
    struct ctl *ctl = w->work.ctl;
    struct facts *facts = &w->trial.facts;
    struct span rest = span_text(ctl_option(ctl, "listed"));
    while (rest.size) {
        struct span zone = span_trim(span_cut(&rest, ','));
        if (!zone.size)
            continue;
        if (facts->dns_list_count == DNS_LIST_FACTS_MAX)
            return ctl_fail(ctl, EX_USAGE, "--listed takes at most %d lists", DNS_LIST_FACTS_MAX);
        w->listed[facts->dns_list_count++] = (struct dns_list_fact){.zone = zone, .result = DNS_LIST_FACT_LISTED};
        facts->state[FACT_DNS_LISTS] = FACT_KNOWN;
    }
    facts->dns_lists = w->listed;
    return EX_OK;
}

static int take_whois(struct test_work *w)
{
    const char *path = ctl_option(w->work.ctl, "whois-file");
    struct facts *facts = &w->trial.facts;
    struct buf raw;
    if (!path)
        return EX_OK;
    buf_init(&raw, WHOIS_MAX);
    int status = input_file_read(w->work.ctl, path, &raw);
    whois_clean(buf_span(&raw), WHOIS_MAX, &w->whois);
    buf_release(&raw);
    if (status)
        return status;
    whois_read(buf_span(&w->whois), &facts->ip, &w->whois_answer);
    facts->whois = (struct whois_fact){.text = buf_span(&w->whois),
                                       .country = span_text(w->whois_answer.country),
                                       .registry = span_text(w->whois_answer.registry),
                                       .network = span_text(w->whois_answer.network),
                                       .as_ = span_text(w->whois_answer.as_number)};
    facts->state[FACT_WHOIS] = FACT_KNOWN;
    return EX_OK;
}

static int take_message(struct test_work *w)
{
    struct ctl *ctl = w->work.ctl;
    const char *path = ctl_option(ctl, "message");
    struct arena scratch;
    struct buf summary;
    int status = path ? input_file_read(ctl, path, &w->message) : EX_OK;
    if (status || !path)
        return status;
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    buf_init(&summary, SUMMARY_SIZE_MAX);
    int error = summary_make(buf_span(&w->message), &scratch, &summary);
    if (!error)
        error = facts_fill_content(&w->trial.facts.content, buf_span(&w->message), 0, buf_span(&summary),
                                   header_is_automatic(buf_span(&w->message)), true, &w->arena);
    buf_release(&summary);
    arena_release(&scratch);
    w->trial.facts.state[FACT_CONTENT] = FACT_KNOWN;
    return error ? ctl_fail(ctl, EX_DATAERR, "%s can't be read as a message: %s", path, strerror(-error)) : EX_OK;
}

/* ---- Facts from the DNS ---- */

static void run_ask(struct fiber *self, struct peers *peers, struct resolver_work *ask)
{
    struct test_work *w = container_of(ask, struct test_work, ask);
    struct dns_lists *lists = dns_lists_new(fiber_loop(self), peers);
    struct facts_sources sources = {.peers = peers, .dns_lists = lists};
    struct attempt attempt = {.sources = &sources,
                              .settings = ask->settings,
                              .session = "rules test",
                              .connection = &w->arena,
                              .transaction = &w->arena,
                              .facts = w->trial.facts};
    uint32_t needs = FACT_BIT(FACT_PTR) | FACT_BIT(FACT_DNS_LISTS);
    if (lists && dns_lists_set_settings(lists, ask->settings) == 0 &&
        facts_gather(self, &attempt, &w->trial.r, needs, 0) == 0)
        w->trial.facts = attempt.facts;
    dns_lists_free(lists);
}

static int ask_dns(struct test_work *w)
{
    struct ctl *ctl = w->work.ctl;
    if (!ctl_option(ctl, "ask"))
        return EX_OK;
    w->ask = (struct resolver_work){.run = run_ask, .ctl = ctl, .settings = ctl_read_settings(ctl)};
    int status = w->ask.settings ? resolver_client_run(&w->ask) : EX_CONFIG;
    settings_unref(w->ask.settings);
    return status;
}

/* ---- The answer ---- */

static void decide(struct test_work *w)
{
    struct trial *t = &w->trial;
    while (decide_recipient(&t->facts, &t->r, &w->in_force.set, DECIDE_RCPT, NULL, &w->decision) == DECIDE_NEEDS)
        trial_assume(t, w->decision.needs);
    struct verdict said = w->decision.verdict;
    if ((said.kind != VERDICT_ACCEPT && said.kind != VERDICT_FILE) || t->facts.state[FACT_CONTENT] != FACT_KNOWN)
        return;
    struct decision content;
    while (decide_recipient(&t->facts, &t->r, &w->in_force.set, DECIDE_CONTENT, &said, &content) == DECIDE_NEEDS)
        trial_assume(t, content.needs);
    content.asked |= w->decision.asked;
    for (size_t i = 0; i < w->decision.watched_count && content.watched_count < DECISION_WATCHED_MAX; i++)
        content.watched[content.watched_count++] = w->decision.watched[i];
    w->decision = content;
}

static void write_reply(struct test_work *w, struct buf *out)
{
    const struct verdict *v = &w->decision.verdict;
    if (v->kind != VERDICT_REFUSE && v->kind != VERDICT_DEFER) {
        buf_add_text(out, "250 2.1.5 accepted");
        return;
    }
    bool terse = ruleset_get(&w->in_force.set, "terse")->number;
    buf_printf(out, "%u %s ", v->code, v->enhanced);
    decision_write_reply(v, &w->trial.r, 0, terse, span_text(w->work.settings->ledger.help_page), out);
}

static const char *name_of(const struct verdict *v)
{
    return v->rule < rule_count ? rules[v->rule].name : "";
}

static void write_answer(struct test_work *w)
{
    const struct verdict *v = &w->decision.verdict;
    struct buf *out = &w->work.ctl->out;
    write_reply(w, out);
    if (v->kind == VERDICT_FILE)
        buf_printf(out, ", into the folder %s", v->folder);
    buf_add_char(out, '\n');
    if (v->rule < rule_count)
        buf_printf(out, "  the rule %s, %s: %s\n", name_of(v), rule_level_name(v->level), v->sentence);
    else
        buf_add_text(out, "  no rule has anything against it\n");
    for (size_t i = 0; i < w->decision.watched_count; i++)
        buf_printf(out, "  watched only: the rule %s: %s\n", name_of(&w->decision.watched[i]),
                   w->decision.watched[i].sentence);
    const char *before = "  asked, and said nothing: ";
    for (unsigned i = 0; i < rule_count; i++)
        if (w->decision.asked & rule_bit(i)) {
            buf_printf(out, "%s%s", before, rules[i].name);
            before = ", ";
        }
    buf_add_text(out, w->decision.asked ? "\n" : "");
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (w->trial.assumed & FACT_BIT(i))
            buf_printf(out, "  assumed: %s\n", trial_assumption((enum fact)i));
}

static void write_answer_json(struct test_work *w)
{
    const struct verdict *v = &w->decision.verdict;
    struct json json;
    struct buf reply;
    buf_init(&reply, 2000);
    write_reply(w, &reply);
    json_init(&json, &w->work.ctl->out);
    json_object(&json, NULL);
    json_text(&json, "verdict", span_text(verdict_name(v->kind)));
    json_text(&json, "rule", span_text(name_of(v)));
    json_text(&json, "level", span_text(v->rule < rule_count ? rule_level_name(v->level) : ""));
    json_text(&json, "reply", buf_span(&reply));
    json_text(&json, "sentence", span_text(v->sentence));
    json_text(&json, "evidence", span_text(v->evidence));
    json_text(&json, "folder", span_text(v->folder));
    json_list(&json, "watched");
    for (size_t i = 0; i < w->decision.watched_count; i++)
        json_text(&json, NULL, span_text(name_of(&w->decision.watched[i])));
    json_end_list(&json);
    json_list(&json, "asked");
    for (unsigned i = 0; i < rule_count; i++)
        if (w->decision.asked & rule_bit(i))
            json_text(&json, NULL, span_text(rules[i].name));
    json_end_list(&json);
    json_list(&json, "assumed");
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (w->trial.assumed & FACT_BIT(i))
            json_text(&json, NULL, span_text(fact_name((enum fact)i)));
    json_end_list(&json);
    json_end_object(&json);
    buf_release(&reply);
}

/* ---- The command ---- */

static int take_recipient(struct door_client *client, struct test_work *w, struct door_owner *owner)
{
    struct ctl *ctl = w->work.ctl;
    const char *to = ctl_option(ctl, "to");
    struct span account = door_client_account(client);
    *owner = (struct door_owner){.level = LEVEL_ACCOUNT, .owner = account};
    if (!to && !ctl->is_my)
        return ctl_ask(ctl, "to whom? give --to");
    int status = to ? door_owner_parse(ctl, &w->arena, w->work.settings, to, owner) : EX_OK;
    if (status == EX_OK && owner->level < LEVEL_ACCOUNT)
        status = ctl_fail(ctl, EX_USAGE, "--to takes an address like alice@example.org, not '%.60s'", to);
    w->trial.r.recipient = w->trial.r.account = owner->owner;
    size_t at = span_find_last(owner->owner, '@');
    struct span local = span_head(owner->owner, at);
    char separator = *w->work.settings->smtp.detail_separator;
    size_t cut = owner->level == LEVEL_ADDRESS ? span_find(local, separator) : local.size;
    w->trial.detail = span_skip(local, cut + 1);
    w->trial.r.hears_everybody =
        span_is(span_head(local, cut), "postmaster") || span_is(span_head(local, cut), "abuse");
    return status;
}

/* Does a member of ours protect the address that stands as the sender? Of a stranger's the store knows nothing. */
static void take_protection(struct fiber *self, struct door_client *client, struct test_work *w)
{
    static struct rules_in_force sender;
    struct door_owner owner = {.level = LEVEL_ACCOUNT, .owner = w->trial.facts.reverse_path};
    struct ctl *ctl = w->work.ctl;
    if (!owner.owner.size || ctl->is_my || rules_read(self, client, &w->work, &owner, &sender)) {
        buf_reset(&ctl->problem);
        return;
    }
    const struct rule_value *value = ruleset_get(&sender.set, "protect-my-address");
    w->trial.r.sender_is_protected = value->number;
    w->trial.r.protected_level = value->level;
    w->trial.r.protected_account = owner.owner;
}

static int run_test(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct test_work *w = container_of(work, struct test_work, work);
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_owner owner;
    struct door_items items;
    int status = take_recipient(client, w, &owner);
    if (status)
        return status;
    request.owner = binary_from_span(owner.owner);
    request.levels_above = true;
    request.secrets = true;
    request.kinds = UINT32_MAX & ~(1u << DOOR_REMOTE | 1u << DOOR_CODE_FOR);
    status = door_client_gather(self, client, &request, &items);
    if (status)
        return status;
    rules_merge(&w->in_force, &work->arena, &items);
    if (!trial_take_items(&w->trial, &items, &work->arena))
        return ctl_fail(work->ctl, EX_OSERR, "there is no memory for so many lists");
    take_protection(self, client, w);
    decide(w);
    if (work->ctl->json)
        write_answer_json(w);
    else
        write_answer(w);
    return EX_OK;
}

int ctl_rules_test(struct ctl *ctl)
{
    static struct test_work w; /* too large for the stack */
    w = (struct test_work){.work = {.run = run_test, .ctl = ctl}, .trial = {.now = clock_wall() / NANOSECONDS}};
    arena_init(&w.arena, DOOR_ARENA_MAX);
    buf_init(&w.message, MESSAGE_MAX);
    buf_init(&w.whois, WHOIS_MAX);
    int status = take_client(&w);
    status = status ? status : take_envelope(&w);
    status = status ? status : take_listed(&w);
    status = status ? status : take_whois(&w);
    status = status ? status : take_message(&w);
    status = status ? status : ask_dns(&w);
    status = status ? status : door_client_run(&w.work);
    buf_release(&w.whois);
    buf_release(&w.message);
    arena_release(&w.arena);
    return status;
}
