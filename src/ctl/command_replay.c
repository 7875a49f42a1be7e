/* rules replay */
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "ctl/commands.h"
#include "ctl/door_client.h"
#include "ctl/ledger_text.h"
#include "ctl/progress.h"
#include "ctl/replay.h"
#include "ctl/rules_text.h"
#include "ipc/binary.h"
#include "policy/door_item.h"

#include <stdlib.h>
#include <sysexits.h>

#define PAGE 500
#define SINCE "30d"
#define SETTINGS_MAX 64
#define OWNERS_MAX 400           /* whose rules are remembered at one time */
#define OWNERS_BYTES (16u << 20) /* of the texts of their settings */
#define FACTS_ARENA (1u << 20)
#define DETAILS_MAX 50000 /* addresses with rules of their own that are remembered; of accounts as many */

/* Rules of one door, as they are and as they would be. */
struct door {
    struct ruleset before, after;
    bool is_gone; /* the account or domain is */
};

struct setting {
    struct span name, value;
};

struct replay_work {
    struct door_work work;
    struct door_owner owner; /* whose setting it would be */
    char *owner_text;        /* its memory where --for names it: the work's arena is emptied now and then */
    struct setting settings[SETTINGS_MAX];
    size_t setting_count;
    StoreWrite__LedgerListRequest request;
    struct map doors; /* owner -> struct door */
    /* Anybody can make up details, and a ledger is full of such addresses; few have rules of their own. */
    struct map detailed; /* account -> "": it was asked which of its addresses have rules */
    struct map details;  /* those addresses -> "" */
    bool are_too_many;   /* more than are remembered: each is asked for by itself */
    struct arena facts;
    struct replay result;
};

/* ---- The settings to try ---- */

static int take_setting(struct replay_work *w, const char *text)
{
    struct ctl *ctl = w->work.ctl;
    struct span value = span_text(text), name = span_cut(&value, '=');
    unsigned rule, parameter;
    struct rule_value checked;
    struct buf problem;
    if (!strchr(text, '='))
        return ctl_fail(ctl, EX_USAGE, "'%.80s' is no setting: they look like sender-tld=on", text);
    int status = rules_find_setting(ctl, name, &rule, &parameter);
    if (status)
        return status;
    if (w->setting_count == SETTINGS_MAX)
        return ctl_fail(ctl, EX_USAGE, "at most %d settings can be tried at one time", SETTINGS_MAX);
    buf_init(&problem, 1000);
    if (!rule_value_parse(&rules[rule].parameters[parameter], value, &w->facts, &checked, &problem))
        status = ctl_fail(ctl, EX_DATAERR, "%.*s: %.*s", SPAN_ARG(name), SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    w->settings[w->setting_count++] = (struct setting){name, value};
    return status;
}

static int take_settings(struct replay_work *w)
{
    struct ctl *ctl = w->work.ctl;
    const char *with = ctl_option(ctl, "with");
    int status = with ? take_setting(w, with) : EX_OK;
    for (size_t i = 0; status == EX_OK && i < ctl->argument_count; i++)
        status = take_setting(w, ctl->arguments[i]);
    if (status == EX_OK && w->setting_count == 0)
        return ctl_ask(ctl, "which rule is to be tried? give a setting");
    return status;
}

static int take_owner(struct replay_work *w, struct door_client *client)
{
    struct ctl *ctl = w->work.ctl;
    const char *text = ctl_option(ctl, "for");
    w->owner = (struct door_owner){.level = LEVEL_SITE};
    if (ctl->is_my)
        w->owner = (struct door_owner){.level = LEVEL_ACCOUNT, .owner = door_client_account(client)};
    if (!text)
        return EX_OK;
    int status = door_owner_parse(ctl, &w->work.arena, w->work.settings, text, &w->owner);
    w->owner_text = status == EX_OK ? strndup(w->owner.owner.data, w->owner.owner.size) : NULL;
    if (status == EX_OK && !w->owner_text)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    w->owner.owner = span_text(w->owner_text);
    w->request.account = binary_from_span(span_text(text));
    return status;
}

/* ---- Rules of a door ---- */

static void forget_doors(struct replay_work *w)
{
    size_t position = 0;
    struct span key;
    void *value;
    while (map_next(&w->doors, &position, &key, &value))
        free(value);
    map_release(&w->doors);
    map_init(&w->doors);
    arena_reset(&w->work.arena);
}

static void put(struct replay_work *w, struct ruleset *set, const StoreWrite__DoorItem *item)
{
    if (item->kind == DOOR_RULE)
        ruleset_put(set, &w->work.arena, binary_span(item->name), binary_span(item->value),
                    (enum rule_level)item->level, item->locked);
}

/* The site's own default (facts/rules_memo.h). */
static void begin(struct replay_work *w, struct ruleset *set)
{
    ruleset_init(set);
    if (!w->work.settings->smtp.check_sender)
        ruleset_put(set, &w->work.arena, span_text("return-path"), span_text("off"), LEVEL_SITE, false);
}

static uint32_t moot_facts(const struct settings *settings)
{
    uint32_t moot = settings->dns_list_count ? 0 : FACT_BIT(FACT_DNS_LISTS);
    return moot | (*settings->script.file ? 0 : FACT_BIT(FACT_SCRIPT) | FACT_BIT(FACT_SCRIPT_CONTENT));
}

/* The new settings stand where they would: behind those of their level, in front of those of narrower ones. */
static void merge(struct replay_work *w, const struct door_items *items, struct door *door)
{
    size_t i = 0;
    begin(w, &door->before);
    begin(w, &door->after);
    for (size_t k = 0; k < items->count; k++)
        put(w, &door->before, &items->items[k]);
    for (; i < items->count && items->items[i].level <= w->owner.level; i++)
        put(w, &door->after, &items->items[i]);
    for (size_t k = 0; k < w->setting_count; k++)
        ruleset_put(&door->after, &w->work.arena, w->settings[k].name, w->settings[k].value,
                    (enum rule_level)w->owner.level, false);
    for (; i < items->count; i++)
        put(w, &door->after, &items->items[i]);
}

static int read_door(struct fiber *self, struct door_client *client, struct replay_work *w, struct span owner,
                     struct door **door)
{
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_items items;
    *door = map_get(&w->doors, owner);
    if (*door)
        return EX_OK;
    if (w->doors.count >= OWNERS_MAX || w->work.arena.used > OWNERS_BYTES)
        forget_doors(w);
    struct door *made = calloc(1, sizeof *made);
    if (!made || map_put(&w->doors, owner, made) != 0) {
        free(made);
        return ctl_fail(w->work.ctl, EX_OSERR, "out of memory");
    }
    *door = made;
    request.owner = binary_from_span(owner);
    request.levels_above = true;
    request.kinds = 1u << DOOR_RULE;
    int status = door_client_gather(self, client, &request, &items);
    if (status == EX_DATAERR) {
        /* The account or the domain is gone: nobody's rules would decide now. */
        made->is_gone = true;
        buf_reset(&w->work.ctl->problem);
        return EX_OK;
    }
    if (status == EX_OK)
        merge(w, &items, made);
    return status;
}

static int note_detail(struct replay_work *w, const StoreWrite__DoorItem *item)
{
    struct span owner = binary_span(item->owner);
    if (item->level != LEVEL_ADDRESS || map_get(&w->details, owner))
        return EX_OK;
    w->are_too_many |= w->details.count >= DETAILS_MAX;
    if (!w->are_too_many && map_put(&w->details, owner, w) != 0)
        return ctl_fail(w->work.ctl, EX_OSERR, "out of memory");
    return EX_OK;
}

/* Which of the account's addresses have rules of their own. */
static int read_details(struct fiber *self, struct door_client *client, struct replay_work *w, struct span account)
{
    StoreWrite__DoorListRequest q = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    int status = EX_OK;
    if (w->are_too_many || map_get(&w->detailed, account))
        return EX_OK;
    w->are_too_many = w->detailed.count >= DETAILS_MAX;
    if (!w->are_too_many && map_put(&w->detailed, account, w) != 0)
        return ctl_fail(w->work.ctl, EX_OSERR, "out of memory");
    q.owner = binary_from_span(account);
    q.everything = true;
    q.kinds = 1u << DOOR_RULE;
    for (bool more = !w->are_too_many; more && status == EX_OK;) {
        struct answer answer;
        status = door_client_call(self, client, MY_DOOR_LIST, &q.base, &answer);
        if (status)
            break;
        const StoreWrite__DoorListReply *reply = (const StoreWrite__DoorListReply *)answer.message;
        for (size_t i = 0; i < reply->n_items && status == EX_OK; i++) {
            status = note_detail(w, reply->items[i]);
            q.after_id = reply->items[i]->id;
        }
        /* A sentence: the account is gone, and so are the rules of its addresses. */
        more = reply->more && reply->n_items && !w->are_too_many;
        answer_release(&answer);
    }
    return status;
}

/* Whose rules decided: the address's with its detail, the account's, or where there is none its domain's. *detail: it
 * is the first of these, as far as the name goes. */
static struct span owner_of(const struct replay_work *w, const StoreWrite__LedgerEntry *entry, struct buf *lower,
                            bool *detail)
{
    struct span account = binary_span(entry->account), recipient = binary_span(entry->row->recipient);
    size_t at = span_find_last(account, '@'), end = span_find_last(recipient, '@');
    const char *separators = w->work.settings->smtp.detail_separator;
    buf_reset(lower);
    for (size_t i = 0; i < recipient.size; i++)
        buf_add_char(lower, ascii_lower(recipient.data[i]));
    *detail = false;
    if (buf_failed(lower))
        return account;
    recipient = buf_span(lower);
    if (account.size == 0)
        return end < recipient.size ? span_skip(recipient, end + 1) : recipient;
    *detail = end > at && span_equal(span_skip(recipient, end), span_skip(account, at)) &&
              span_equal(span_head(recipient, at), span_head(account, at)) && *separators &&
              strchr(separators, recipient.data[at]);
    if (*detail)
        lower->data[at] = *separators; /* the one that stands in the names of owners */
    return *detail ? recipient : account;
}

static int find_door(struct fiber *self, struct door_client *client, struct replay_work *w,
                     const StoreWrite__LedgerEntry *entry, struct buf *lower, struct door **door)
{
    struct span account = binary_span(entry->account);
    bool detail;
    struct span owner = owner_of(w, entry, lower, &detail);
    int status = detail ? read_details(self, client, w, account) : EX_OK;
    if (status)
        return status;
    bool has_rules = detail && (w->are_too_many || map_get(&w->details, owner));
    return read_door(self, client, w, detail && !has_rules ? account : owner, door);
}

/* ---- The walk ---- */

static int replay_page(struct fiber *self, struct door_client *client, struct replay_work *w,
                       const StoreWrite__LedgerListReply *reply)
{
    struct buf lower;
    int status = EX_OK;
    buf_init(&lower, 1024);
    for (size_t i = 0; status == EX_OK && i < reply->n_entries; i++) {
        const StoreWrite__LedgerEntry *entry = reply->entries[i];
        struct verdict verdict = {.kind = VERDICT_NO_OPINION};
        struct door *door;
        uint32_t lacks = 0;
        /* A second row of an attempt: what else only watched there. */
        if (entry->row->verdict == VERDICT_WATCH && entry->row->message_id == 0)
            continue;
        status = find_door(self, client, w, entry, &lower, &door);
        if (status)
            break;
        arena_reset(&w->facts);
        enum replay_outcome outcome = door->is_gone
                                          ? REPLAY_NO_RULES
                                          : replay_row(entry->row, &door->before, &door->after,
                                                       moot_facts(w->work.settings), &w->facts, &verdict, &lacks);
        replay_add(&w->result, entry, outcome, &verdict, lacks);
    }
    buf_release(&lower);
    return status;
}

static int walk(struct fiber *self, struct door_client *client, struct replay_work *w)
{
    struct progress progress;
    uint64_t newest = 0, all = 0;
    int status = EX_OK;
    progress_start(&progress, "replaying");
    for (bool more = true; status == EX_OK && more;) {
        struct answer answer;
        status = door_client_call(self, client, MY_LEDGER_LIST, &w->request.base, &answer);
        if (status)
            break;
        const StoreWrite__LedgerListReply *reply = (const StoreWrite__LedgerListReply *)answer.message;
        if (!newest) {
            newest = reply->n_entries ? reply->entries[0]->id : reply->last_id;
            all = reply->total;
        }
        status = replay_page(self, client, w, reply);
        more = reply->more;
        w->request.before_id = reply->last_id;
        progress_update(&progress, newest > reply->last_id ? newest - reply->last_id : 0, all);
        answer_release(&answer);
    }
    progress_stop(&progress);
    return status;
}

static int run_replay(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct replay_work *w = container_of(work, struct replay_work, work);
    struct ctl *ctl = work->ctl;
    const char *since = ctl_option(ctl, "since") ? ctl_option(ctl, "since") : SINCE;
    struct json json;
    int status = take_owner(w, client);
    status = status ? status : take_settings(w);
    if (status == EX_OK && !ledger_time_parse(span_text(since), clock_wall(), &w->request.since))
        status = ctl_fail(ctl, EX_USAGE,
                          "--since takes a time like 7d or 12h ago, or a day like 2026-11-22, not '%.40s'", since);
    w->request.facts = w->request.fate = true;
    w->request.limit = PAGE;
    status = status ? status : walk(self, client, w);
    json_init(&json, &ctl->out);
    if (status == EX_OK && ctl->json)
        replay_write_json(&w->result, &json);
    else if (status == EX_OK)
        replay_write(&w->result, &ctl->out);
    forget_doors(w);
    free(w->owner_text);
    return status;
}

int ctl_rules_replay(struct ctl *ctl)
{
    struct replay_work *w = calloc(1, sizeof *w);
    if (!w)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    w->work.run = run_replay;
    w->work.ctl = ctl;
    store_write__ledger_list_request__init(&w->request);
    map_init(&w->doors);
    map_init(&w->detailed);
    map_init(&w->details);
    arena_init(&w->facts, FACTS_ARENA);
    int status = door_client_run(&w->work);
    arena_release(&w->facts);
    map_release(&w->doors);
    map_release(&w->detailed);
    map_release(&w->details);
    free(w);
    return status;
}
