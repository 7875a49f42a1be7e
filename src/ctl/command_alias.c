/* alias add, remove, list; account forward */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/directory_change.h"

#include <sysexits.h>

/* ---- Aliases ---- */

/* An address, or "@domain" for all names of a domain that nobody has. */
static int take_alias(struct ctl *ctl, struct arena *arena, const char *text, ProtobufCBinaryData *address)
{
    struct span span = {NULL, 0};
    int status = ctl_match(ctl, arena, text, &span);
    *address = binary_from_span(span);
    return status;
}

/* `first` goes before those that were given on the command line, where it is not empty. */
static int take_targets(struct ctl *ctl, struct arena *arena, struct span first, StoreWrite__Alias *alias)
{
    size_t given = ctl->argument_count - 1;
    alias->targets = arena_array(arena, given + 1, sizeof *alias->targets);
    if (!alias->targets)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    if (first.size)
        alias->targets[alias->n_targets++] = binary_from_span(first);
    for (size_t i = 0; i < given; i++) {
        struct span target;
        int status = ctl_target(ctl, arena, ctl->arguments[i + 1], &target);
        if (status)
            return status;
        alias->targets[alias->n_targets++] = binary_from_span(target);
    }
    return EX_OK;
}

int ctl_alias_add(struct ctl *ctl)
{
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = take_alias(ctl, &arena, ctl->arguments[0], &alias.address);
    if (status == EX_OK)
        status = take_targets(ctl, &arena, (struct span){NULL, 0}, &alias);
    request.change = STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &alias;
    if (status == EX_OK)
        status = directory_change(ctl, &request);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is set\n", SPAN_ARG(binary_span(alias.address)));
    arena_release(&arena);
    return status;
}

int ctl_alias_remove(struct ctl *ctl)
{
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    struct arena arena;
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = take_alias(ctl, &arena, ctl->arguments[0], &alias.address);
    request.change = STORE_WRITE__CHANGE__ALIAS_REMOVE;
    request.alias = &alias;
    if (status == EX_OK)
        status = directory_change(ctl, &request);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is removed\n", SPAN_ARG(binary_span(alias.address)));
    arena_release(&arena);
    return status;
}

static void write_alias(struct ctl *ctl, struct json *json, const StoreWrite__Alias *alias)
{
    if (ctl->json) {
        json_object(json, NULL);
        json_text(json, "address", binary_span(alias->address));
        json_list(json, "targets");
        for (size_t j = 0; j < alias->n_targets; j++)
            json_text(json, NULL, binary_span(alias->targets[j]));
        json_end_list(json);
        json_end_object(json);
        return;
    }
    buf_printf(&ctl->out, "%.*s ->", SPAN_ARG(binary_span(alias->address)));
    for (size_t j = 0; j < alias->n_targets; j++)
        buf_printf(&ctl->out, " %.*s", SPAN_ARG(binary_span(alias->targets[j])));
    buf_add_char(&ctl->out, '\n');
}

static void list_aliases(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct directory_list *list = container_of(listing, struct directory_list, listing);
    for (size_t i = 0; i < reply->n_aliases; i++)
        write_alias(list->work.ctl, &list->json, reply->aliases[i]);
}

int ctl_alias_list(struct ctl *ctl)
{
    return directory_list(ctl, STORE_WRITE__LIST_KIND__LIST_ALIASES, ctl->argument_count ? ctl->arguments[0] : NULL,
                          list_aliases);
}

/* ---- Forwarding: an alias that has an account's address ---- */

struct forward_work {
    struct store_work work;
    struct listing listing;
    StoreWrite__Alias alias;
    struct json json;
    bool off, keep;
};

static void show_forward(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct forward_work *w = container_of(listing, struct forward_work, listing);
    struct ctl *ctl = w->work.ctl;
    for (size_t i = 0; i < reply->n_aliases; i++)
        write_alias(ctl, &w->json, reply->aliases[i]);
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

static int run_forward(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct forward_work *w = container_of(work, struct forward_work, work);
    struct span address = binary_span(w->alias.address);
    struct ctl *ctl = work->ctl;
    bool is_question = !w->off && w->alias.n_targets == 0;
    int status = count(self, client, w, STORE_WRITE__LIST_KIND__LIST_ACCOUNTS, ignore_page);
    if (status == EX_OK && w->listing.count == 0)
        return ctl_fail(ctl, EX_DATAERR, "there is no account %.*s", SPAN_ARG(address));
    if (status == EX_OK && (w->off || is_question)) {
        status = count(self, client, w, STORE_WRITE__LIST_KIND__LIST_ALIASES, is_question ? show_forward : ignore_page);
        if (status == EX_OK && w->listing.count == 0)
            return ctl_fail(ctl, EX_DATAERR, "%.*s is not forwarded", SPAN_ARG(address));
    }
    if (status || is_question)
        return status;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = w->off ? STORE_WRITE__CHANGE__ALIAS_REMOVE : STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &w->alias;
    status = store_client_change(self, client, &request.base, NULL);
    if (status == EX_OK && ctl->json)
        write_alias(ctl, &w->json, &w->alias);
    else if (status == EX_OK)
        buf_printf(&ctl->out, w->off ? "%.*s is no longer forwarded\n" : "%.*s is forwarded%s\n", SPAN_ARG(address),
                   w->keep ? ", and keeps a copy" : "");
    return status;
}

static bool leads_only_to(const StoreWrite__Alias *alias, struct span address)
{
    for (size_t i = 0; i < alias->n_targets; i++)
        if (!span_equal(binary_span(alias->targets[i]), address))
            return false;
    return alias->n_targets > 0;
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
    status = take_targets(ctl, arena, w->keep ? address : (struct span){NULL, 0}, &w->alias);
    if (status == EX_OK && leads_only_to(&w->alias, address))
        return ctl_fail(ctl, EX_USAGE, "%.*s would be forwarded to itself: name another target, or --off",
                        SPAN_ARG(address));
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
