/* alias add, remove, list */
#include "base/list.h"
#include "ctl/address.h"
#include "ctl/alias.h"
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

int alias_take_targets(struct ctl *ctl, struct arena *arena, struct span first, StoreWrite__Alias *alias)
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
        status = alias_take_targets(ctl, &arena, (struct span){NULL, 0}, &alias);
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

void alias_write(struct ctl *ctl, struct json *json, const StoreWrite__Alias *alias)
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
        alias_write(list->work.ctl, &list->json, reply->aliases[i]);
}

int ctl_alias_list(struct ctl *ctl)
{
    return directory_list(ctl, STORE_WRITE__LIST_KIND__LIST_ALIASES, ctl->argument_count ? ctl->arguments[0] : NULL,
                          list_aliases);
}
