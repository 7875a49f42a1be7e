#include "ctl/door_show.h"

#include "base/clock.h"
#include "base/list.h"
#include "ctl/door_edit.h"
#include "ipc/binary.h"

#include <sysexits.h>

void door_show_expiry(const StoreWrite__DoorItem *item, struct buf *out)
{
    if (!item->expires_at)
        return;
    buf_add_text(out, item->expires_at <= clock_wall() / NANOSECONDS ? "  expired " : "  until ");
    door_time_write(item->expires_at, out);
}

int door_show_items(struct fiber *self, struct door_client *client, struct door_show *show,
                    const struct door_owner *owner)
{
    struct ctl *ctl = show->work.ctl;
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_items items;
    struct json json;
    request.owner = binary_from_span(owner->owner);
    request.kinds = 1u << show->kind;
    request.secrets = show->secrets;
    int status = door_client_gather(self, client, &request, &items);
    if (status)
        return status;
    json_init(&json, &ctl->out);
    if (ctl->json)
        json_list(&json, NULL);
    for (size_t i = 0; i < items.count; i++) {
        if (ctl->json)
            json_object(&json, NULL);
        show->write(show, &json, owner, &items.items[i]);
        if (ctl->json)
            json_end_object(&json);
        else
            buf_add_char(&ctl->out, '\n');
    }
    if (ctl->json)
        json_end_list(&json);
    else if (!items.count)
        buf_printf(&ctl->out, "%s\n", show->nothing);
    return EX_OK;
}

static int run(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct door_show *show = container_of(work, struct door_show, work);
    struct door_owner owner;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK)
        status = door_owner_is_last(work->ctl, owner.next);
    return status ? status : door_show_items(self, client, show, &owner);
}

int door_show_run(struct door_show *show)
{
    show->work.run = run;
    return door_client_run(&show->work);
}
