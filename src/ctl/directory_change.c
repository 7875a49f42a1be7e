#include "ctl/directory_change.h"

#include "base/list.h"
#include "ctl/address.h"

#include <sysexits.h>

struct change_work {
    struct store_work work;
    StoreWrite__ChangeRequest request;
};

static int run_change(struct fiber *self, struct store_client *client, struct store_work *work)
{
    return store_client_change(self, client, &container_of(work, struct change_work, work)->request.base, NULL);
}

int directory_change(struct ctl *ctl, const StoreWrite__ChangeRequest *request)
{
    struct change_work work = {.work = {run_change, ctl, ctl_read_settings(ctl)}, .request = *request};
    if (!work.work.settings)
        return EX_CONFIG;
    int status = store_client_run(&work.work);
    settings_unref(work.work.settings);
    return status;
}

static int run_list(struct fiber *self, struct store_client *client, struct store_work *work)
{
    return listing_run(self, client, &container_of(work, struct directory_list, work)->listing);
}

int directory_list(struct ctl *ctl, StoreWrite__ListKind kind, const char *match,
                   void (*page)(struct listing *, const StoreWrite__ListReply *))
{
    struct arena arena;
    struct directory_list list = {.work = {run_list, ctl, NULL}, .listing = {.kind = kind, .page = page}};
    arena_init(&arena, DIRECTORY_ARENA_MAX);
    int status = ctl_match(ctl, &arena, match, &list.listing.match);
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
