/* domain add, remove, list; alias add, remove, list */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/listing.h"

#include <stdlib.h>
#include <sysexits.h>

#define ARENA_MAX (1u << 20)

/* ---- Changes ---- */

struct change_work {
    struct store_work work;
    StoreWrite__ChangeRequest request;
};

static int run_change(struct fiber *self, struct store_client *client, struct store_work *work)
{
    return store_client_change(self, client, &container_of(work, struct change_work, work)->request.base, NULL);
}

static int change(struct ctl *ctl, const StoreWrite__ChangeRequest *request)
{
    struct change_work work = {.work = {run_change, ctl, ctl_read_settings(ctl)}, .request = *request};
    if (!work.work.settings)
        return EX_CONFIG;
    int status = store_client_run(&work.work);
    settings_unref(work.work.settings);
    return status;
}

static int change_domain(struct ctl *ctl, StoreWrite__Change kind, const char *done)
{
    struct arena arena;
    struct span name;
    arena_init(&arena, ARENA_MAX);
    int status = ctl_domain(ctl, &arena, ctl->arguments[0], &name);
    if (status == EX_OK) {
        StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
        StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
        domain.name = binary_from_span(name);
        request.change = kind;
        request.domain = &domain;
        status = change(ctl, &request);
    }
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s %s\n", SPAN_ARG(name), done);
    arena_release(&arena);
    return status;
}

int ctl_domain_add(struct ctl *ctl)
{
    int status = change_domain(ctl, STORE_WRITE__CHANGE__DOMAIN_ADD, "is added");
    /* RFC 5321 section 4.5.1 wants one. Its account may not exist yet, so it can't be asked for here. */
    if (status == EX_OK)
        buf_printf(&ctl->out,
                   "now give it a postmaster: ostiary alias add postmaster@%s ADDRESS (or an account of that name)\n",
                   ctl->arguments[0]);
    return status;
}

int ctl_domain_remove(struct ctl *ctl)
{
    return change_domain(ctl, STORE_WRITE__CHANGE__DOMAIN_REMOVE, "is removed");
}

static int alias_put(struct ctl *ctl, struct arena *arena)
{
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    struct span address;
    int status = ctl_address(ctl, arena, ctl->arguments[0], &address);
    size_t count = ctl->argument_count - 1;
    ProtobufCBinaryData *targets = arena_array(arena, count, sizeof *targets);
    if (status == EX_OK && !targets)
        return ctl_fail(ctl, EX_OSERR, "out of memory");
    for (size_t i = 0; status == EX_OK && i < count; i++) {
        struct span target;
        status = ctl_address(ctl, arena, ctl->arguments[i + 1], &target);
        if (status == EX_OK)
            targets[i] = binary_from_span(target);
    }
    if (status)
        return status;
    alias.address = binary_from_span(address);
    alias.targets = targets;
    alias.n_targets = count;
    request.change = STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &alias;
    status = change(ctl, &request);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is set\n", SPAN_ARG(address));
    return status;
}

int ctl_alias_add(struct ctl *ctl)
{
    struct arena arena;
    arena_init(&arena, ARENA_MAX);
    int status = alias_put(ctl, &arena);
    arena_release(&arena);
    return status;
}

int ctl_alias_remove(struct ctl *ctl)
{
    struct arena arena;
    struct span address;
    arena_init(&arena, ARENA_MAX);
    int status = ctl_address(ctl, &arena, ctl->arguments[0], &address);
    if (status == EX_OK) {
        StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
        StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
        alias.address = binary_from_span(address);
        request.change = STORE_WRITE__CHANGE__ALIAS_REMOVE;
        request.alias = &alias;
        status = change(ctl, &request);
    }
    if (status == EX_OK)
        buf_printf(&ctl->out, "%.*s is removed\n", SPAN_ARG(address));
    arena_release(&arena);
    return status;
}

/* ---- Lists ---- */

struct list_work {
    struct store_work work;
    struct listing listing;
    struct json json;
};

static void list_domains(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct list_work *list = container_of(listing, struct list_work, listing);
    struct ctl *ctl = list->work.ctl;
    for (size_t i = 0; i < reply->n_domains; i++) {
        const StoreWrite__Domain *domain = reply->domains[i];
        if (ctl->json) {
            json_object(&list->json, NULL);
            json_text(&list->json, "name", binary_span(domain->name));
            json_number(&list->json, "accounts", domain->accounts);
            json_end_object(&list->json);
        } else {
            buf_printf(&ctl->out, "%-40.*s ", SPAN_ARG(binary_span(domain->name)));
            ctl_write_count(&ctl->out, domain->accounts, "account");
            buf_add_char(&ctl->out, '\n');
        }
    }
}

static void list_aliases(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct list_work *list = container_of(listing, struct list_work, listing);
    struct ctl *ctl = list->work.ctl;
    for (size_t i = 0; i < reply->n_aliases; i++) {
        const StoreWrite__Alias *alias = reply->aliases[i];
        if (ctl->json) {
            json_object(&list->json, NULL);
            json_text(&list->json, "address", binary_span(alias->address));
            json_list(&list->json, "targets");
            for (size_t j = 0; j < alias->n_targets; j++)
                json_text(&list->json, NULL, binary_span(alias->targets[j]));
            json_end_list(&list->json);
            json_end_object(&list->json);
            continue;
        }
        buf_printf(&ctl->out, "%.*s ->", SPAN_ARG(binary_span(alias->address)));
        for (size_t j = 0; j < alias->n_targets; j++)
            buf_printf(&ctl->out, " %.*s", SPAN_ARG(binary_span(alias->targets[j])));
        buf_add_char(&ctl->out, '\n');
    }
}

static int run_list(struct fiber *self, struct store_client *client, struct store_work *work)
{
    return listing_run(self, client, &container_of(work, struct list_work, work)->listing);
}

static int list(struct ctl *ctl, StoreWrite__ListKind kind,
                void (*page)(struct listing *, const StoreWrite__ListReply *))
{
    struct arena arena;
    struct list_work list = {.work = {run_list, ctl, NULL}, .listing = {.kind = kind, .page = page}};
    arena_init(&arena, ARENA_MAX);
    int status = ctl_match(ctl, &arena, ctl->argument_count ? ctl->arguments[0] : NULL, &list.listing.match);
    if (status == EX_OK && !(list.work.settings = ctl_read_settings(ctl)))
        status = EX_CONFIG;
    if (status == EX_OK) {
        json_init(&list.json, &ctl->out);
        if (ctl->json)
            json_list(&list.json, NULL);
        status = store_client_run(&list.work);
        if (ctl->json)
            json_end_list(&list.json);
    }
    settings_unref(list.work.settings);
    arena_release(&arena);
    return status;
}

int ctl_domain_list(struct ctl *ctl)
{
    return list(ctl, STORE_WRITE__LIST_KIND__LIST_DOMAINS, list_domains);
}

int ctl_alias_list(struct ctl *ctl)
{
    return list(ctl, STORE_WRITE__LIST_KIND__LIST_ALIASES, list_aliases);
}
