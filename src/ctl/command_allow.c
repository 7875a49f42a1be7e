/* allow: lets in what the ledger has under a reference */
#include "base/list.h"
#include "ctl/allow_plan.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/password_input.h"
#include "ctl/rules_text.h"
#include "ipc/binary.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

#define QUESTION_MAX 4000

struct allow_work {
    struct door_work work;
    uint64_t reference;
    struct answer answer; /* the ledger's */
    const StoreWrite__LedgerEntry *entry;
    struct door_owner owner;
    struct rules_in_force in_force;
    struct facts facts;
    struct recipient_facts r;
    struct allow_plan plan;
};

static int read_entry(struct fiber *self, struct door_client *client, struct allow_work *w)
{
    struct ctl *ctl = w->work.ctl;
    StoreWrite__LedgerListRequest request = STORE_WRITE__LEDGER_LIST_REQUEST__INIT;
    request.reference = w->reference;
    request.limit = 1;
    request.facts = true;
    int status = door_client_call(self, client, MY_LEDGER_LIST, &request.base, &w->answer);
    if (status)
        return status;
    const StoreWrite__LedgerListReply *reply = (const StoreWrite__LedgerListReply *)w->answer.message;
    if (!reply->n_entries || !reply->entries[0]->row)
        return ctl_fail(ctl, EX_DATAERR, "the ledger has no %s%s; it keeps what came in the last weeks (ledger.days)",
                        ctl->arguments[0], ctl->is_my ? " of yours" : "");
    w->entry = reply->entries[0];
    return EX_OK;
}

/* The recipient's own address with a detail where it has one, else the account's: no wider than it came. */
static int take_owner(struct allow_work *w)
{
    struct ctl *ctl = w->work.ctl;
    struct arena *arena = &w->work.arena;
    struct span account = binary_span(w->entry->account), recipient = binary_span(w->entry->row->recipient);
    const char *separator = w->work.settings->smtp.detail_separator;
    struct door_owner given;
    if (!account.size)
        return ctl_fail(ctl, EX_DATAERR, "it was for nobody's account here, so there is no door that could let it in");
    w->owner = (struct door_owner){.level = LEVEL_ACCOUNT, .owner = account};
    char *text = arena_text(arena, recipient);
    bool is_address = text && !memchr(recipient.data, 0, recipient.size) &&
                      door_owner_parse(ctl, arena, w->work.settings, text, &given) == EX_OK;
    buf_reset(&ctl->problem);
    size_t at = span_find_last(account, '@');
    if (is_address && given.level == LEVEL_ADDRESS && *separator && given.owner.size > at &&
        given.owner.data[at] == *separator && span_equal(span_head(given.owner, at), span_head(account, at)) &&
        span_ends_nocase(given.owner, span_skip(account, at)))
        w->owner = given;
    return EX_OK;
}

static int make_plan(struct allow_work *w)
{
    struct ctl *ctl = w->work.ctl;
    const StoreWrite__LedgerRow *row = w->entry->row;
    bool has_facts = row->facts.len && facts_parse(binary_span(row->facts), &w->work.arena, &w->facts, &w->r);
    struct ip_address ip;
    bool has_ip = ip_address_parse(binary_span(row->ip), &ip);
    struct allow_attempt attempt = {.reverse_path = binary_span(row->reverse_path),
                                    .rule = binary_span(row->rule),
                                    .verdict = row->verdict,
                                    .ip = has_ip ? &ip : NULL,
                                    .owner = w->owner.owner,
                                    .is_my = ctl->is_my,
                                    .owner_level = (enum rule_level)w->owner.level,
                                    .set = &w->in_force.set,
                                    .facts = has_facts ? &w->facts : NULL,
                                    .r = has_facts ? &w->r : NULL};
    buf_reset(&ctl->problem);
    allow_plan_make(&attempt, &w->work.arena, &w->plan, &ctl->problem);
    if (w->plan.outcome == ALLOW_SENDER || w->plan.outcome == ALLOW_BOUNCES)
        return EX_OK;
    return EX_DATAERR;
}

static void write_plan(const struct allow_work *w, struct buf *out)
{
    const StoreWrite__LedgerRow *row = w->entry->row;
    buf_add_text(out, "Mail from ");
    foreign_write(row->reverse_path.len ? binary_span(row->reverse_path) : span_text("<>"), false, out);
    buf_add_text(out, " (");
    foreign_write(binary_span(row->ip), false, out);
    buf_add_text(out, ") to ");
    foreign_write(binary_span(row->recipient), false, out);
    buf_add_text(out, " was kept out by the rule ");
    foreign_write(binary_span(row->rule), false, out);
    buf_add_text(out, ".\n");
    if (w->plan.outcome == ALLOW_BOUNCES) {
        buf_printf(out, "Change: %s=on for ", w->plan.setting);
        door_owner_write(&w->owner, out);
        buf_add_text(out, ", so that reports about undelivered mail come in.\n");
        return;
    }
    buf_printf(out, "Change: %.*s goes on the white list of ", SPAN_ARG(w->plan.sender));
    door_owner_write(&w->owner, out);
    buf_add_text(out, ".\n");
    if (door_entry_network(w->plan.sender).size)
        buf_add_text(
            out, "Mail from there with that sender is let in then; from elsewhere the address alone lets nobody in.\n");
    else
        buf_add_text(
            out, "Whoever uses that address as the sender is let in then: where it came from is not known, and nothing "
                 "else proves that it is theirs.\n");
    if (w->plan.is_tried)
        buf_add_text(out, "The rules were asked again with this change, and let the attempt in.\n");
}

static int confirm(struct allow_work *w)
{
    struct ctl *ctl = w->work.ctl;
    struct buf text;
    buf_init(&text, QUESTION_MAX);
    write_plan(w, &text);
    bool yes = ctl_option(ctl, "yes");
    if (!yes) {
        fprintf(stderr, "%.*s", SPAN_ARG(buf_span(&text)));
        yes = terminal_confirm("Do it?");
    } else if (!ctl->json) {
        buf_add_span(&ctl->out, buf_span(&text));
    }
    buf_release(&text);
    return yes ? EX_OK : ctl_fail(ctl, EX_USAGE, "nothing was changed; --yes does it without a question");
}

static int apply(struct fiber *self, struct door_client *client, struct allow_work *w)
{
    struct door_edit edit;
    char shown[10], remark[60];
    reference_write(w->reference, shown);
    snprintf(remark, sizeof remark, "allowed by reference %s", shown);
    int status = door_edit_init(&edit, &w->work, &w->owner, 1);
    buf_printf(&edit.words, "allow %s", shown);
    if (status == EX_OK && w->plan.outcome == ALLOW_BOUNCES)
        status = door_edit_put(&edit, DOOR_RULE, span_text(w->plan.setting), span_text("on"), NULL);
    else if (status == EX_OK)
        status = door_edit_put(&edit, DOOR_WHITE, w->plan.sender, span_text(remark), NULL);
    if (status == EX_OK)
        status = door_edit_send(self, client, &edit, w->plan.outcome == ALLOW_BOUNCES ? "setting" : "entry");
    door_edit_release(&edit);
    return status;
}

static int run_allow(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct allow_work *w = container_of(work, struct allow_work, work);
    int status = read_entry(self, client, w);
    if (status == EX_OK)
        status = take_owner(w);
    if (status == EX_OK)
        status = rules_read(self, client, work, &w->owner, &w->in_force);
    if (status == EX_OK)
        status = make_plan(w);
    if (status == EX_OK)
        status = confirm(w);
    if (status == EX_OK)
        status = apply(self, client, w);
    answer_release(&w->answer);
    return status;
}

int ctl_allow(struct ctl *ctl)
{
    struct allow_work w = {.work = {.run = run_allow, .ctl = ctl}, .answer = {.fd = -1}};
    if (!reference_parse(span_text(ctl->arguments[0]), &w.reference))
        return ctl_fail(ctl, EX_DATAERR, "'%.40s' is no reference like 7F3K-2QXD", ctl->arguments[0]);
    return door_client_run(&w.work);
}
