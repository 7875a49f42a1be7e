/* account forward: forwarding is an alias that has an account's address */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/alias.h"
#include "ctl/commands.h"
#include "ctl/directory_change.h"
#include "ctl/listing.h"
#include "ipc/binary.h"
#include "policy/door_item.h"

#include <inttypes.h>
#include <sysexits.h>

#define WORDS_MAX 400 /* what the history keeps */

struct forward_work {
    struct store_work work;
    struct listing listing;
    StoreWrite__Alias alias;
    struct json json;
    bool off, keep;
    size_t others;   /* targets of the present one beside the account itself */
    uint64_t number; /* of the change in the history; 0: it has none */
};

/* How many targets lead elsewhere. */
static size_t count_others(const StoreWrite__Alias *alias)
{
    size_t count = 0;
    for (size_t i = 0; i < alias->n_targets; i++)
        count += !span_equal(binary_span(alias->targets[i]), binary_span(alias->address));
    return count;
}

static void show_forward(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct forward_work *w = container_of(listing, struct forward_work, listing);
    for (size_t i = 0; i < reply->n_aliases; i++)
        alias_write(w->work.ctl, &w->json, reply->aliases[i]);
}

static void look_at_present(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct forward_work *w = container_of(listing, struct forward_work, listing);
    for (size_t i = 0; i < reply->n_aliases; i++)
        w->others = count_others(reply->aliases[i]);
}

static void ignore_page(struct listing *listing, const StoreWrite__ListReply *reply)
{
}

/* Are there accounts or aliases of that address? Leaves their number in the listing. */
static int count(struct fiber *self, struct store_client *client, struct forward_work *w, StoreWrite__ListKind kind,
                 void (*page)(struct listing *, const StoreWrite__ListReply *))
{
    w->listing = (struct listing){.kind = kind, .match = binary_span(w->alias.address), .page = page};
    return listing_run(self, client, &w->listing);
}

/* As the rule forward: so it stands in the history, and can be taken back. */
static int change_rule(struct fiber *self, struct store_client *client, struct forward_work *w)
{
    static const char *const names[] = {"forward", "forward.to", "forward.keep"};
    struct ctl *ctl = w->work.ctl;
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    StoreWrite__DoorItem items[3], *list[3];
    struct span to = {"", 0};
    struct answer answer;
    struct buf words;
    for (size_t i = 0; i < w->alias.n_targets; i++)
        if (!span_equal(binary_span(w->alias.targets[i]), binary_span(w->alias.address)))
            to = binary_span(w->alias.targets[i]);
    const struct span values[] = {span_text("on"), to, span_text(w->keep ? "on" : "off")};
    for (size_t i = 0; i < 3; i++) {
        store_write__door_item__init(&items[i]);
        items[i].kind = DOOR_RULE;
        items[i].level = LEVEL_ACCOUNT;
        items[i].owner = w->alias.address;
        items[i].name = binary_from_span(span_text(names[i]));
        items[i].value = binary_from_span(values[i]);
        items[i].remove = w->off;
        list[i] = &items[i];
    }
    buf_init(&words, 2000);
    buf_printf(&words, "account forward %s%.*s%s", w->off ? "--off" : "", SPAN_ARG(to), w->keep ? " --keep" : "");
    request.by = binary_from_span((struct span)SPAN("admin"));
    request.words = binary_from_span(span_head(buf_span(&words), WORDS_MAX));
    request.items = list;
    request.n_items = w->off ? 1 : 3;
    int status = store_client_call(self, client, STORE_WRITE_DOOR_CHANGE, &request.base, &answer);
    buf_release(&words);
    if (status)
        return status;
    const StoreWrite__DoorChangeReply *reply = (const StoreWrite__DoorChangeReply *)answer.message;
    if (*reply->problem)
        status = ctl_fail(ctl, EX_DATAERR, "%s", reply->problem);
    w->number = reply->number;
    answer_release(&answer);
    return status;
}

static int change_alias(struct fiber *self, struct store_client *client, struct forward_work *w)
{
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = w->off ? STORE_WRITE__CHANGE__ALIAS_REMOVE : STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &w->alias;
    return store_client_change(self, client, &request.base, NULL);
}

static void report(struct forward_work *w)
{
    struct ctl *ctl = w->work.ctl;
    if (ctl->json) {
        alias_write(ctl, &w->json, &w->alias);
        return;
    }
    buf_printf(&ctl->out, w->off ? "%.*s is no longer forwarded" : "%.*s is forwarded%s",
               SPAN_ARG(binary_span(w->alias.address)), w->keep ? ", and keeps a copy" : "");
    if (w->number)
        buf_printf(&ctl->out, "; 'ostiary undo %" PRIu64 "' takes it back", w->number);
    buf_add_char(&ctl->out, '\n');
}

static int run_forward(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct forward_work *w = container_of(work, struct forward_work, work);
    struct span address = binary_span(w->alias.address);
    struct ctl *ctl = work->ctl;
    bool is_question = !w->off && w->alias.n_targets == 0;
    int status = count(self, client, w, STORE_WRITE__LIST_KIND__LIST_ACCOUNTS, ignore_page);
    if (status == EX_OK && w->listing.count == 0)
        return ctl_fail(ctl, EX_DATAERR, "there is no account %.*s", SPAN_ARG(address));
    if (status == EX_OK)
        status =
            count(self, client, w, STORE_WRITE__LIST_KIND__LIST_ALIASES, is_question ? show_forward : look_at_present);
    if (status == EX_OK && w->listing.count == 0 && (w->off || is_question))
        return ctl_fail(ctl, EX_DATAERR, "%.*s is not forwarded", SPAN_ARG(address));
    if (status || is_question)
        return status;
    /* The rule knows one other place only. */
    bool is_plain = w->others <= 1 && count_others(&w->alias) <= 1;
    status = is_plain ? change_rule(self, client, w) : change_alias(self, client, w);
    if (status == EX_OK)
        report(w);
    return status;
}

static int forward(struct forward_work *w, struct arena *arena)
{
    struct ctl *ctl = w->work.ctl;
    struct span address;
    w->off = ctl_option(ctl, "off");
    w->keep = ctl_option(ctl, "keep");
    bool has_targets = ctl->argument_count > 1;
    if (w->off && (w->keep || has_targets))
        return ctl_fail(ctl, EX_USAGE, "--off goes with neither targets nor --keep");
    if (w->keep && !has_targets)
        return ctl_fail(ctl, EX_USAGE, "--keep needs a target: where is the mail to be forwarded to?");
    int status = ctl_address(ctl, arena, ctl->arguments[0], &address);
    if (status)
        return status;
    w->alias.address = binary_from_span(address);
    status = alias_take_targets(ctl, arena, w->keep ? address : (struct span){NULL, 0}, &w->alias);
    if (status == EX_OK && w->alias.n_targets && count_others(&w->alias) == 0)
        return ctl_fail(ctl, EX_USAGE, "%.*s would be forwarded to itself: name another target, or --off",
                        SPAN_ARG(address));
    /* Naming the account among its targets says the same as --keep. */
    w->keep |= w->alias.n_targets > count_others(&w->alias);
    if (status == EX_OK && !(w->work.settings = ctl_read_settings(ctl)))
        status = EX_CONFIG;
    return status ? status : store_client_run(&w->work);
}

int ctl_account_forward(struct ctl *ctl)
{
    static const StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    struct forward_work w = {.work = {run_forward, ctl, NULL}, .alias = alias};
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    json_init(&w.json, &ctl->out);
    int status = forward(&w, &arena);
    settings_unref(w.work.settings);
    arena_release(&arena);
    return status;
}
