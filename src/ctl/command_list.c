/* list add, list remove, list show, list export */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_list_text.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <sysexits.h>

/* ---- add, remove ---- */

struct change_work {
    struct door_work work;
    bool removes;
    uint64_t until;
};

static int put_entries(struct change_work *w, struct door_edit *edit, enum door_kind kind, size_t first)
{
    struct ctl *ctl = w->work.ctl;
    const char *remark = w->removes ? NULL : ctl_option(ctl, "remark");
    int status = EX_OK;
    for (size_t i = first; i < ctl->argument_count && status == EX_OK; i++) {
        StoreWrite__DoorItem *item = NULL;
        struct span name = span_text(ctl->arguments[i]);
        buf_printf(&edit->words, " %.100s", ctl->arguments[i]);
        if (w->removes) {
            status = door_edit_remove(edit, kind, name);
            continue;
        }
        status = door_edit_put(edit, kind, name, span_text(remark), &item);
        if (status == EX_OK)
            item->expires_at = w->until;
    }
    /* The words are for people: what does not fit is seen in the items. */
    if (edit->words.failed) {
        buf_reset(&edit->words);
        buf_printf(&edit->words, "list %s, %zu entries", w->removes ? "remove" : "add", edit->count);
    }
    return status;
}

static int run_change(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct change_work *w = container_of(work, struct change_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    struct door_edit edit;
    enum door_kind kind;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK)
        status = door_list_take(ctl, owner.next, w->removes, &kind);
    if (status == EX_OK)
        status = door_list_check_owner(ctl, kind, &owner);
    if (status == EX_OK && owner.next + 1 >= ctl->argument_count)
        status = ctl_ask(ctl, "which entries? give one or more");
    if (status)
        return status;
    status = door_edit_init(&edit, work, &owner, ctl->argument_count);
    buf_printf(&edit.words, "list %s %s", w->removes ? "remove" : "add", door_kind_name(kind));
    if (status == EX_OK)
        status = put_entries(w, &edit, kind, owner.next + 1);
    if (status == EX_OK)
        status = door_edit_send(self, client, &edit, "entry");
    door_edit_release(&edit);
    return status;
}

int ctl_list_add(struct ctl *ctl)
{
    struct change_work w = {.work = {.run = run_change, .ctl = ctl}};
    int status = door_expiry_take(ctl, &w.until);
    return status ? status : door_client_run(&w.work);
}

int ctl_list_remove(struct ctl *ctl)
{
    struct change_work w = {.work = {.run = run_change, .ctl = ctl}, .removes = true};
    return door_client_run(&w.work);
}

/* ---- show, export ---- */

#define NAME_WIDTH 40

struct show_work {
    struct door_work work;
    bool exports;
    uint64_t now;
};

static void write_entry(struct show_work *w, const StoreWrite__DoorItem *item)
{
    struct buf *out = &w->work.ctl->out;
    buf_printf(out, "%-12s %-*.*s", door_kind_name((enum door_kind)item->kind),
               item->expires_at || item->value.len ? NAME_WIDTH : 0, SPAN_ARG(binary_span(item->name)));
    if (item->expires_at) {
        buf_add_text(out, item->expires_at <= w->now ? "  expired " : "  until ");
        door_time_write(item->expires_at, out);
    }
    if (item->value.len) {
        buf_add_text(out, "  ");
        foreign_write(binary_span(item->value), false, out);
    }
    buf_add_char(out, '\n');
}

static void write_entry_json(struct json *json, const StoreWrite__DoorItem *item)
{
    json_object(json, NULL);
    json_text(json, "list", span_text(door_kind_name((enum door_kind)item->kind)));
    json_text(json, "entry", binary_span(item->name));
    json_text(json, "remark", binary_span(item->value));
    json_number(json, "expires_at", item->expires_at);
    json_number(json, "set_at", item->set_at / NANOSECONDS);
    json_text(json, "set_by", binary_span(item->set_by));
    json_end_object(json);
}

static void write_entries(struct show_work *w, const struct door_items *items)
{
    struct ctl *ctl = w->work.ctl;
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json)
        json_list(&json, NULL);
    for (size_t i = 0; i < items->count; i++) {
        if (ctl->json)
            write_entry_json(&json, &items->items[i]);
        else if (w->exports && items->items[i].expires_at && items->items[i].expires_at <= w->now)
            continue; /* nothing that would count when it is read again */
        else if (w->exports)
            door_list_write_line(&items->items[i], &ctl->out);
        else
            write_entry(w, &items->items[i]);
    }
    if (ctl->json)
        json_end_list(&json);
}

static int run_show(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct show_work *w = container_of(work, struct show_work, work);
    struct ctl *ctl = work->ctl;
    StoreWrite__DoorListRequest request = STORE_WRITE__DOOR_LIST_REQUEST__INIT;
    struct door_owner owner;
    struct door_items items;
    enum door_kind kind = DOOR_KIND_COUNT;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK && (w->exports || owner.next < ctl->argument_count))
        status = door_list_take(ctl, owner.next, true, &kind);
    if (status == EX_OK)
        status = door_owner_is_last(ctl, owner.next + 1);
    if (status)
        return status;
    request.owner = binary_from_span(owner.owner);
    request.kinds = kind == DOOR_KIND_COUNT ? DOOR_LIST_KINDS : 1u << kind;
    status = door_client_gather(self, client, &request, &items);
    if (status)
        return status;
    write_entries(w, &items);
    if (!items.count && !ctl->json && !w->exports)
        buf_add_text(&ctl->out, "nothing stands there\n");
    return EX_OK;
}

static int show(struct ctl *ctl, bool exports)
{
    struct show_work w = {.work = {.run = run_show, .ctl = ctl}, .exports = exports, .now = clock_wall() / NANOSECONDS};
    return door_client_run(&w.work);
}

int ctl_list_show(struct ctl *ctl)
{
    return show(ctl, false);
}

int ctl_list_export(struct ctl *ctl)
{
    return show(ctl, true);
}
