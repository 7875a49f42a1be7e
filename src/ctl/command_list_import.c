/* list import: a file of entries, checked as a whole before anything of it is sent */
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "ctl/commands.h"
#include "ctl/door_list_text.h"
#include "ctl/input_file.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>

#define FILE_MAX (16u << 20)
#define PART_ITEMS 2000         /* of one change: its request is a frame of at most 1 MiB */
#define PART_BYTES (400u << 10) /* of names and remarks, beside what owners take */

struct import_work {
    struct door_work work;
    struct buf text;
    struct map seen;
    struct door_edit edit;
    uint64_t now;
    size_t added, doubled;
    uint64_t first, last; /* numbers of the history */
};

static int take_line(struct import_work *w, enum door_kind kind, struct span line, size_t number)
{
    struct ctl *ctl = w->work.ctl;
    struct door_list_line parsed;
    StoreWrite__DoorItem *item = NULL;
    const char *file = ctl->arguments[ctl->argument_count - 1];
    if (!door_list_parse_line(line, w->now, &parsed))
        return ctl_fail(ctl, EX_DATAERR, "%s:%zu: expected ENTRY [until DAY] [# remark], with a day to come", file,
                        number);
    if (!parsed.entry.size)
        return EX_OK;
    if (w->edit.count == DOOR_ITEMS_MAX)
        return ctl_fail(ctl, EX_DATAERR, "%s:%zu: a list has at most %d entries", file, number, DOOR_ITEMS_MAX);
    int status = door_edit_put(&w->edit, kind, parsed.entry, parsed.remark, &item);
    if (status) {
        struct buf why;
        buf_init(&why, 4096);
        buf_add_span(&why, buf_span(&ctl->problem));
        status = ctl_fail(ctl, status, "%s:%zu: %.*s", file, number, SPAN_ARG(buf_span(&why)));
        buf_release(&why);
        return status;
    }
    item->expires_at = parsed.expires_at;
    if (map_get(&w->seen, binary_span(item->name))) {
        w->edit.count--;
        w->doubled++;
        return EX_OK;
    }
    return map_put(&w->seen, binary_span(item->name), w) ? ctl_fail(ctl, EX_OSERR, "out of memory") : EX_OK;
}

static int take_file(struct import_work *w, enum door_kind kind)
{
    struct span rest = buf_span(&w->text);
    int status = EX_OK;
    for (size_t number = 1; rest.size && status == EX_OK; number++)
        status = take_line(w, kind, span_cut(&rest, '\n'), number);
    return status;
}

static int send_parts(struct fiber *self, struct door_client *client, struct import_work *w)
{
    struct door_edit *e = &w->edit;
    int status = EX_OK;
    for (size_t at = 0; at < e->count && status == EX_OK;) {
        StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
        size_t n = 0, bytes = 0;
        uint32_t changed = 0;
        uint64_t number = 0;
        for (; at + n < e->count && n < PART_ITEMS && bytes < PART_BYTES; n++)
            bytes += e->list[at + n]->name.len + e->list[at + n]->value.len + e->owner.owner.size;
        request.items = e->list + at;
        request.n_items = n;
        request.words = binary_from_span(buf_span(&e->words));
        status = door_client_change(self, client, &request, &changed, &number);
        at += n;
        w->added += changed;
        w->first = w->first ? w->first : number;
        w->last = number ? number : w->last;
    }
    if (status && w->added)
        buf_printf(&w->work.ctl->problem, "; %zu entries before that were added (changes %" PRIu64 " to %" PRIu64 ")",
                   w->added, w->first, w->last);
    return status;
}

static void report(struct import_work *w)
{
    struct ctl *ctl = w->work.ctl;
    size_t known = w->edit.count - w->added;
    if (ctl->json) {
        const struct json_count counts[] = {{"changed", w->added}, {"known", known},  {"doubled", w->doubled},
                                            {"first", w->first},   {"last", w->last}, {NULL, 0}};
        json_write_counts(&ctl->out, counts);
        return;
    }
    buf_printf(&ctl->out, "%zu added, %zu were there already, %zu stood there twice\n", w->added, known, w->doubled);
    if (w->first)
        buf_printf(&ctl->out, "change%s %" PRIu64, w->first == w->last ? "" : "s", w->first);
    if (w->first != w->last)
        buf_printf(&ctl->out, " to %" PRIu64, w->last);
    if (w->first)
        buf_printf(&ctl->out, " of the history: 'ostiary %sundo NUMBER' takes one back\n", ctl->is_my ? "my " : "");
}

static int run_import(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct import_work *w = container_of(work, struct import_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    enum door_kind kind;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK)
        status = door_list_take(ctl, owner.next, false, &kind);
    if (status == EX_OK)
        status = door_list_check_owner(ctl, kind, &owner);
    if (status == EX_OK && owner.next + 2 != ctl->argument_count)
        status = ctl_ask(ctl, "which file? give one");
    if (status == EX_OK)
        status = input_file_read(ctl, ctl->arguments[owner.next + 1], &w->text);
    if (status == EX_OK)
        status = door_edit_init(&w->edit, work, &owner, DOOR_ITEMS_MAX);
    if (status == EX_OK) {
        buf_printf(&w->edit.words, "list import %s %.200s", door_kind_name(kind), ctl->arguments[owner.next + 1]);
        status = take_file(w, kind);
    }
    if (status == EX_OK)
        status = send_parts(self, client, w);
    if (status == EX_OK)
        report(w);
    return status;
}

int ctl_list_import(struct ctl *ctl)
{
    struct import_work w = {.work = {.run = run_import, .ctl = ctl}, .now = clock_wall() / NANOSECONDS};
    buf_init(&w.text, FILE_MAX);
    map_init(&w.seen);
    int status = door_client_run(&w.work);
    map_release(&w.seen);
    door_edit_release(&w.edit);
    buf_release(&w.text);
    return status;
}
