/* history, undo */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <inttypes.h>
#include <sysexits.h>

#define SHOWN 50        /* changes, without --limit */
#define LIMIT_MAX 1000u /* of one owner are kept so many */
#define ITEMS_SHOWN 10  /* of a change, in words */

/* ---- One item, before and after ---- */

static void write_value(const StoreWrite__DoorItem *item, struct buf *out)
{
    if (!item) {
        buf_add_text(out, "nothing");
        return;
    }
    if (item->kind == DOOR_PASSCODE || item->kind == DOOR_CODE_FOR || item->kind == DOOR_REMOTE)
        buf_add_text(out, "set");
    else if (item->value.len)
        foreign_write(binary_span(item->value), false, out);
    else
        buf_add_text(out, "listed");
    if (item->expires_at) {
        buf_add_text(out, " until ");
        door_day_write(item->expires_at, out);
    }
    buf_add_text(out, item->locked ? ", locked" : "");
}

static bool is_same(const StoreWrite__DoorItem *a, const StoreWrite__DoorItem *b)
{
    return a->kind == b->kind && a->level == b->level && span_equal(binary_span(a->name), binary_span(b->name)) &&
           span_equal(binary_span(a->owner), binary_span(b->owner));
}

static const StoreWrite__DoorItem *find(const StoreWrite__DoorItem *wanted, StoreWrite__DoorItem **items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_same(wanted, items[i]))
            return items[i];
    return NULL;
}

static void write_owner(struct span owner, struct buf *out)
{
    if (owner.size && span_find(owner, '@') == owner.size)
        buf_add_char(out, '@'); /* a domain, as people write it in commands */
    foreign_write(owner.size ? owner : span_text("the site"), false, out);
}

/* `owner` is whose change it is: a change may have items of others, too. */
static void write_step(struct span owner, const StoreWrite__DoorItem *key, const StoreWrite__DoorItem *before,
                       const StoreWrite__DoorItem *after, struct buf *out)
{
    buf_add_text(out, "        ");
    if (!span_equal(owner, binary_span(key->owner))) {
        write_owner(binary_span(key->owner), out);
        buf_add_text(out, ": ");
    }
    buf_printf(out, "%s ", door_kind_name((enum door_kind)key->kind));
    foreign_write(binary_span(key->name), false, out);
    buf_add_text(out, ": ");
    write_value(before, out);
    buf_add_text(out, " -> ");
    write_value(after, out);
    buf_add_char(out, '\n');
}

static void write_steps(const StoreWrite__DoorHistoryEntry *entry, struct buf *out)
{
    size_t shown = 0, gone = 0;
    struct span owner = binary_span(entry->owner);
    for (size_t i = 0; i < entry->n_after && shown < ITEMS_SHOWN; i++, shown++)
        write_step(owner, entry->after[i], find(entry->after[i], entry->before, entry->n_before), entry->after[i], out);
    for (size_t i = 0; i < entry->n_before; i++) {
        if (shown == ITEMS_SHOWN || find(entry->before[i], entry->after, entry->n_after))
            continue;
        write_step(owner, entry->before[i], entry->before[i], NULL, out);
        shown++;
    }
    gone = entry->n_after > entry->n_before ? entry->n_after : entry->n_before;
    if (gone > shown)
        buf_printf(out, "        and %zu more\n", gone - shown);
}

/* ---- history ---- */

struct history_work {
    struct door_work work;
    struct json json;
    uint64_t limit;
};

static void write_entry(struct history_work *w, const StoreWrite__DoorHistoryEntry *entry)
{
    struct buf *out = &w->work.ctl->out;
    buf_printf(out, "%" PRIu64 "  ", entry->number);
    door_time_write(entry->at / NANOSECONDS, out);
    buf_add_text(out, "  ");
    write_owner(binary_span(entry->owner), out);
    buf_add_text(out, "  by ");
    foreign_write(binary_span(entry->by), false, out);
    buf_add_text(out, ": ");
    foreign_write(binary_span(entry->words), false, out);
    buf_add_text(out, entry->undone ? "  (taken back)\n" : "\n");
    write_steps(entry, out);
}

static void write_side_json(struct json *json, const char *key, StoreWrite__DoorItem **items, size_t count)
{
    json_list(json, key);
    for (size_t i = 0; i < count; i++) {
        json_object(json, NULL);
        json_text(json, "kind", span_text(door_kind_name((enum door_kind)items[i]->kind)));
        json_text(json, "owner", binary_span(items[i]->owner));
        json_text(json, "name", binary_span(items[i]->name));
        json_text(json, "value", binary_span(items[i]->value));
        json_number(json, "expires_at", items[i]->expires_at);
        json_bool(json, "locked", items[i]->locked);
        json_end_object(json);
    }
    json_end_list(json);
}

static void write_entry_json(struct json *json, const StoreWrite__DoorHistoryEntry *entry)
{
    json_object(json, NULL);
    json_number(json, "number", entry->number);
    json_number(json, "at", entry->at / NANOSECONDS);
    json_text(json, "owner", binary_span(entry->owner));
    json_text(json, "by", binary_span(entry->by));
    json_text(json, "words", binary_span(entry->words));
    json_bool(json, "undone", entry->undone);
    write_side_json(json, "before", entry->before, entry->n_before);
    write_side_json(json, "after", entry->after, entry->n_after);
    json_end_object(json);
}

static int read_history(struct fiber *self, struct door_client *client, struct history_work *w, struct span owner)
{
    StoreWrite__DoorHistoryRequest request = STORE_WRITE__DOOR_HISTORY_REQUEST__INIT;
    size_t count = 0;
    int status = EX_OK;
    request.owner = binary_from_span(owner);
    for (bool more = true; more && status == EX_OK && count < w->limit;) {
        struct answer answer;
        request.limit = (uint32_t)(w->limit - count);
        status = door_client_call(self, client, MY_DOOR_HISTORY, &request.base, &answer);
        if (status)
            break;
        const StoreWrite__DoorHistoryReply *reply = (const StoreWrite__DoorHistoryReply *)answer.message;
        for (size_t i = 0; i < reply->n_entries && count < w->limit; i++, count++) {
            request.before = reply->entries[i]->number;
            if (w->work.ctl->json)
                write_entry_json(&w->json, reply->entries[i]);
            else
                write_entry(w, reply->entries[i]);
        }
        more = reply->more && reply->n_entries;
        answer_release(&answer);
    }
    if (status == EX_OK && count == 0 && !w->work.ctl->json)
        buf_add_text(&w->work.ctl->out, "nothing was changed yet\n");
    return status;
}

static int run_history(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct history_work *w = container_of(work, struct history_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner = {0};
    int status = ctl->is_my || ctl->argument_count ? door_owner_take(client, &owner) : EX_OK;
    if (status == EX_OK)
        status = door_owner_is_last(ctl, owner.next);
    if (status)
        return status;
    json_init(&w->json, &ctl->out);
    if (ctl->json)
        json_list(&w->json, NULL);
    status = read_history(self, client, w, owner.owner);
    if (ctl->json)
        json_end_list(&w->json);
    return status;
}

int ctl_history(struct ctl *ctl)
{
    struct history_work w = {.work = {.run = run_history, .ctl = ctl}, .limit = SHOWN};
    const char *limit = ctl_option(ctl, "limit");
    if (limit && (!span_parse_u64(span_text(limit), LIMIT_MAX, &w.limit) || w.limit == 0))
        return ctl_fail(ctl, EX_USAGE, "--limit takes a number from 1 to %u, not '%.40s'", LIMIT_MAX, limit);
    return door_client_run(&w.work);
}

/* ---- undo ---- */

/* What is to be taken back: a number of the history, or the last change of an owner. */
static int take_what(struct door_client *client, struct ctl *ctl, StoreWrite__DoorChangeRequest *request,
                     struct door_owner *owner)
{
    const char *text = ctl->argument_count ? ctl->arguments[0] : "";
    if (*text && span_parse_u64(span_text(text), INT64_MAX, &request->number) && request->number)
        return EX_OK;
    if (!*text && !ctl->is_my && !ctl_is_for_site(ctl))
        return ctl_fail(ctl, EX_USAGE,
                        "take back what? give a number that 'ostiary history' shows, or whose last change");
    int status = door_owner_take(client, owner);
    if (status == EX_OK && owner->next != ctl->argument_count)
        status = ctl_fail(ctl, EX_USAGE, "'%.64s' is no number of the history", text);
    request->owner = binary_from_span(owner->owner);
    return status;
}

static void report(struct ctl *ctl, const StoreWrite__DoorChangeReply *reply)
{
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json) {
        json_object(&json, NULL);
        json_number(&json, "changed", reply->changed);
        json_number(&json, "number", reply->number);
        json_end_object(&json);
        return;
    }
    buf_printf(&ctl->out, "taken back, as change %" PRIu64 " (which can be taken back, too):\n", reply->number);
    for (size_t i = 0; i < reply->n_items && i < ITEMS_SHOWN; i++) {
        const StoreWrite__DoorItem *item = reply->items[i];
        buf_printf(&ctl->out, "        %s ", door_kind_name((enum door_kind)item->kind));
        foreign_write(binary_span(item->name), false, &ctl->out);
        buf_add_text(&ctl->out, ": ");
        if (item->remove)
            buf_add_text(&ctl->out, "taken away");
        else
            write_value(item, &ctl->out);
        buf_add_text(&ctl->out, item->remove ? "\n" : " again\n");
    }
    if (reply->n_items > ITEMS_SHOWN)
        buf_printf(&ctl->out, "        and %zu more\n", reply->n_items - ITEMS_SHOWN);
}

static int run_undo(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct ctl *ctl = work->ctl;
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    struct door_owner owner = {0};
    struct answer answer;
    int status = take_what(client, ctl, &request, &owner);
    if (status)
        return status;
    request.undo = true;
    if (!ctl->is_my)
        request.by = binary_from_span(span_text("admin"));
    status = door_client_call(self, client, MY_DOOR_CHANGE, &request.base, &answer);
    if (status)
        return status;
    const StoreWrite__DoorChangeReply *reply = (const StoreWrite__DoorChangeReply *)answer.message;
    if (*reply->problem)
        status = ctl_fail(ctl, EX_DATAERR, "%s", reply->problem);
    else
        report(ctl, reply);
    answer_release(&answer);
    return status;
}

int ctl_undo(struct ctl *ctl)
{
    struct door_work work = {.run = run_undo, .ctl = ctl};
    return door_client_run(&work);
}
