/* ledger, explain */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_client.h"
#include "ctl/ledger_text.h"
#include "ctl/rules_text.h"
#include "format/ip_address.h"
#include "ipc/binary.h"
#include "policy/decide.h"
#include "policy/door_item.h"

#include <stdlib.h>
#include <sysexits.h>

#define SHOWN 100 /* rows, without --limit */
#define LIMIT_MAX 1000000u
#define PAGE 1000
#define SETTINGS_MAX 200 /* of one rule, that are shown */

/* Pages come in the order in which rows were written, and refusals are gathered before they are: so many rows are held
 * back until those behind them are there, too. */
#define HELD 500

/* A page that rows are still held of. */
struct page {
    struct answer answer;
    size_t held;
};

struct held {
    const StoreWrite__LedgerEntry *entry;
    struct page *page;
};

struct ledger_work {
    struct door_work work;
    StoreWrite__LedgerListRequest request;
    struct json json;
    uint64_t limit, count;
    struct held held[HELD + PAGE];
    size_t held_count;
};

/* ---- ledger ---- */

static int take_time(struct ctl *ctl, const char *option, uint64_t *at)
{
    const char *text = ctl_option(ctl, option);
    if (!text || ledger_time_parse(span_text(text), clock_wall(), at))
        return EX_OK;
    return ctl_fail(ctl, EX_USAGE, "--%s takes a time like 7d or 12h ago, or a day like 2026-11-22, not '%.40s'",
                    option, text);
}

static int take_verdict(struct ctl *ctl, uint32_t *verdicts)
{
    const char *text = ctl_option(ctl, "verdict");
    if (!text)
        return EX_OK;
    for (unsigned kind = VERDICT_ACCEPT; kind <= VERDICT_WATCH; kind++)
        if (strcmp(text, verdict_name((enum verdict_kind)kind)) == 0 || strcmp(text, ledger_verdict_word(kind)) == 0)
            *verdicts = 1u << kind;
    if (*verdicts & (1u << VERDICT_ACCEPT))
        *verdicts |= 1u << VERDICT_NO_OPINION;
    if (*verdicts)
        return EX_OK;
    return ctl_fail(ctl, EX_USAGE, "--verdict takes accept, refuse, defer, file or watch, not '%.40s'", text);
}

static int take_limit(struct ctl *ctl, uint64_t *limit)
{
    const char *text = ctl_option(ctl, "limit");
    *limit = SHOWN;
    if (!text || (span_parse_u64(span_text(text), LIMIT_MAX, limit) && *limit > 0))
        return EX_OK;
    return ctl_fail(ctl, EX_USAGE, "--limit takes a number from 1 to %u, not '%.40s'", LIMIT_MAX, text);
}

static ProtobufCBinaryData option_bytes(struct ctl *ctl, const char *name)
{
    return binary_from_span(span_text(ctl_option(ctl, name)));
}

/* An address is written in one way only. */
static int take_peer(struct ledger_work *l)
{
    struct ctl *ctl = l->work.ctl;
    const char *text = ctl_option(ctl, "ip");
    struct ip_address ip;
    struct buf canonical;
    if (!text)
        return EX_OK;
    if (!ip_address_parse(span_text(text), &ip))
        return ctl_fail(ctl, EX_USAGE, "--ip takes an address like 192.0.2.7, not '%.60s'", text);
    buf_init(&canonical, 64);
    ip_address_write(&ip, &canonical);
    struct span copy = arena_copy(&l->work.arena, buf_span(&canonical));
    buf_release(&canonical);
    l->request.peer = binary_from_span(copy);
    return copy.data ? EX_OK : ctl_fail(ctl, EX_OSERR, "out of memory");
}

static int take_choice(struct ledger_work *l)
{
    struct ctl *ctl = l->work.ctl;
    StoreWrite__LedgerListRequest *q = &l->request;
    unsigned rule = rule_find(binary_span(option_bytes(ctl, "rule"))); /* by SimbeyMail's name, too */
    q->account = option_bytes(ctl, "for");
    if (ctl->is_my && q->account.len)
        return ctl_fail(ctl, EX_USAGE, "'ostiary my ledger' has your own rows only: leave --for out");
    q->rule = rule == RULE_NONE ? option_bytes(ctl, "rule") : binary_from_span(span_text(rules[rule].name));
    q->sender = option_bytes(ctl, "sender");
    q->fate = true;
    int status = take_time(ctl, "since", &q->since);
    status = status ? status : take_time(ctl, "until", &q->until);
    status = status ? status : take_verdict(ctl, &q->verdicts);
    status = status ? status : take_peer(l);
    return status ? status : take_limit(ctl, &l->limit);
}

static int compare_newest_first(const void *a, const void *b)
{
    const StoreWrite__LedgerEntry *x = ((const struct held *)a)->entry, *y = ((const struct held *)b)->entry;
    if (x->row->at != y->row->at)
        return x->row->at > y->row->at ? -1 : 1;
    return x->id > y->id ? -1 : x->id < y->id;
}

static void drop(struct page *page)
{
    if (--page->held)
        return;
    answer_release(&page->answer);
    free(page);
}

/* Shows the newest of what is held until so many are left. */
static void write_held(struct ledger_work *l, size_t left)
{
    size_t done = 0;
    if (l->held_count)
        qsort(l->held, l->held_count, sizeof *l->held, compare_newest_first);
    for (; done + left < l->held_count && l->count < l->limit; done++, l->count++) {
        if (l->work.ctl->json)
            ledger_write_entry_json(l->held[done].entry, &l->json);
        else
            ledger_write_entry(l->held[done].entry, &l->work.ctl->out);
        drop(l->held[done].page);
    }
    l->held_count -= done;
    memmove(l->held, l->held + done, l->held_count * sizeof *l->held);
}

/* Takes the next page in. */
static int read_page(struct fiber *self, struct door_client *client, struct ledger_work *l, bool *more)
{
    uint64_t wanted = l->limit - l->count + HELD - l->held_count;
    struct page *page = calloc(1, sizeof *page);
    if (!page)
        return ctl_fail(l->work.ctl, EX_OSERR, "out of memory");
    l->request.limit = wanted < PAGE ? (uint32_t)wanted : PAGE;
    int status = door_client_call(self, client, MY_LEDGER_LIST, &l->request.base, &page->answer);
    if (status) {
        free(page);
        return status;
    }
    const StoreWrite__LedgerListReply *reply = (const StoreWrite__LedgerListReply *)page->answer.message;
    *more = reply->more;
    l->request.before_id = reply->last_id;
    page->held = 1;
    for (size_t i = 0; i < reply->n_entries && l->held_count < HELD + PAGE; i++, page->held++)
        l->held[l->held_count++] = (struct held){reply->entries[i], page};
    drop(page);
    return EX_OK;
}

/* Nothing was found: is it that a name was misspelt? Rows may outlive what they are about, so it is asked only then.
 * `nobody` gets the store's sentence where it knows no such account or domain. */
static int look_at_names(struct fiber *self, struct door_client *client, struct ledger_work *l, struct buf *nobody)
{
    struct ctl *ctl = l->work.ctl;
    StoreWrite__DoorListRequest q = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct span rule = binary_span(l->request.rule);
    struct answer answer;
    unsigned found;
    int status = rule.size && !ledger_has_reason(rule) ? rules_find(ctl, rule, &found) : EX_OK;
    if (status || !l->request.account.len || ctl->is_my)
        return status;
    q.owner = l->request.account;
    q.kinds = 1u << DOOR_RULE;
    q.limit = 1;
    status = door_client_call(self, client, MY_DOOR_LIST, &q.base, &answer);
    if (status)
        return status;
    buf_add_text(nobody, ((const StoreWrite__DoorListReply *)answer.message)->problem);
    answer_release(&answer);
    return EX_OK;
}

static int run_ledger(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct ledger_work *l = container_of(work, struct ledger_work, work);
    struct ctl *ctl = work->ctl;
    bool more = true;
    struct buf nobody;
    int status = take_choice(l);
    buf_init(&nobody, 2000);
    json_init(&l->json, &ctl->out);
    if (ctl->json)
        json_list(&l->json, NULL);
    while (status == EX_OK && more && l->count < l->limit && l->held_count < HELD + l->limit - l->count) {
        status = read_page(self, client, l, &more);
        write_held(l, HELD);
    }
    if (status == EX_OK)
        write_held(l, 0);
    more |= l->held_count > 0;
    for (size_t i = 0; i < l->held_count; i++)
        drop(l->held[i].page);
    if (status == EX_OK && l->count == 0)
        status = look_at_names(self, client, l, &nobody);
    if (ctl->json) {
        json_end_list(&l->json);
    } else if (status == EX_OK) {
        ctl_write_count(&ctl->out, l->count, "row");
        if (nobody.size)
            buf_printf(&ctl->out, ": %.*s\n", SPAN_ARG(buf_span(&nobody)));
        else
            buf_add_text(&ctl->out, more ? "; there may be more: --limit or --since shows them\n" : "\n");
    }
    buf_release(&nobody);
    return status;
}

int ctl_ledger(struct ctl *ctl)
{
    struct ledger_work *l = calloc(1, sizeof *l);
    if (!l)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    l->work = (struct door_work){.run = run_ledger, .ctl = ctl};
    store_write__ledger_list_request__init(&l->request);
    int status = door_client_run(&l->work);
    free(l);
    return status;
}

/* ---- explain ---- */

struct explain_work {
    struct door_work work;
    uint64_t reference;
    struct ledger_setting settings[SETTINGS_MAX];
    size_t count;
};

static bool is_of_rule(struct span name, struct span rule)
{
    struct span rest = name, first = span_cut(&rest, '.');
    return span_equal(first, rule);
}

/* The texts are copied: the answer is gone afterwards. */
static void keep_setting(struct explain_work *e, const StoreWrite__DoorItem *item)
{
    struct arena *arena = &e->work.arena;
    if (e->count == SETTINGS_MAX)
        return;
    e->settings[e->count++] = (struct ledger_setting){.owner = arena_copy(arena, binary_span(item->owner)),
                                                      .name = arena_copy(arena, binary_span(item->name)),
                                                      .value = arena_copy(arena, binary_span(item->value)),
                                                      .set_by = arena_copy(arena, binary_span(item->set_by)),
                                                      .level = item->level,
                                                      .is_locked = item->locked,
                                                      .set_at = item->set_at};
}

/* What is in force of the row's rule, at all levels above its recipient. */
static int gather_settings(struct fiber *self, struct door_client *client, struct explain_work *e,
                           const StoreWrite__LedgerEntry *entry)
{
    StoreWrite__DoorListRequest q = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    const StoreWrite__LedgerRow *row = entry->row;
    bool more = row->rule.len && entry->account.len && rule_find(binary_span(row->rule)) != RULE_NONE;
    q.owner = row->level == LEVEL_ADDRESS ? row->recipient : entry->account;
    q.levels_above = true;
    q.kinds = 1u << DOOR_RULE;
    q.limit = PAGE;
    e->count = 0;
    while (more) {
        struct answer answer;
        int status = door_client_call(self, client, MY_DOOR_LIST, &q.base, &answer);
        if (status)
            return status;
        const StoreWrite__DoorListReply *reply = (const StoreWrite__DoorListReply *)answer.message;
        for (size_t i = 0; i < reply->n_items; i++) {
            if (is_of_rule(binary_span(reply->items[i]->name), binary_span(row->rule)))
                keep_setting(e, reply->items[i]);
            q.after_id = reply->items[i]->id;
        }
        /* A sentence: the account is gone meanwhile, and so are its settings. */
        more = reply->more && reply->n_items > 0;
        answer_release(&answer);
    }
    return EX_OK;
}

static int explain_entries(struct fiber *self, struct door_client *client, struct explain_work *e,
                           const StoreWrite__LedgerListReply *reply)
{
    struct ctl *ctl = e->work.ctl;
    struct json json;
    int status = EX_OK;
    json_init(&json, &ctl->out);
    if (ctl->json)
        json_list(&json, NULL);
    for (size_t i = 0; status == EX_OK && i < reply->n_entries; i++) {
        status = gather_settings(self, client, e, reply->entries[i]);
        if (status)
            break;
        if (ctl->json) {
            ledger_write_explanation_json(reply->entries[i], e->settings, e->count, ctl->is_my, &json);
            continue;
        }
        if (i > 0)
            buf_add_char(&ctl->out, '\n');
        ledger_write_explanation(reply->entries[i], e->settings, e->count, ctl->is_my, &ctl->out);
    }
    if (ctl->json)
        json_end_list(&json);
    return status;
}

static int run_explain(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct explain_work *e = container_of(work, struct explain_work, work);
    StoreWrite__LedgerListRequest q = STORE_WRITE__LEDGER_LIST_REQUEST__INIT;
    struct answer answer;
    q.reference = e->reference;
    q.fate = true;
    int status = door_client_call(self, client, MY_LEDGER_LIST, &q.base, &answer);
    if (status)
        return status;
    const StoreWrite__LedgerListReply *reply = (const StoreWrite__LedgerListReply *)answer.message;
    if (reply->n_entries)
        status = explain_entries(self, client, e, reply);
    else
        status =
            ctl_fail(work->ctl, EX_DATAERR,
                     "the ledger has no %s%s (any more): rows are kept %u days, a new one may take a second to come, "
                     "and a store that was made anew begins a new ledger",
                     work->ctl->arguments[0], work->ctl->is_my ? " of yours" : "", work->settings->ledger.days);
    answer_release(&answer);
    return status;
}

int ctl_explain(struct ctl *ctl)
{
    struct explain_work e = {.work = {.run = run_explain, .ctl = ctl}};
    if (!reference_parse(span_text(ctl->arguments[0]), &e.reference) || e.reference == 0)
        return ctl_fail(ctl, EX_DATAERR, "'%.40s' is no reference: they look like 7F3K-2QXD", ctl->arguments[0]);
    return door_client_run(&e.work);
}
