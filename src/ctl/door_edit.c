#include "ctl/door_edit.h"

#include "base/clock.h"
#include "ctl/json.h"
#include "format/date.h"
#include "format/quantity.h"
#include "ipc/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define WORDS_MAX 400 /* what the history keeps */
#define DAY_SECONDS 86400u
#define YEARS_MAX 100u

int door_edit_init(struct door_edit *e, struct door_work *work, const struct door_owner *owner, size_t room)
{
    *e = (struct door_edit){.work = work, .owner = *owner, .room = room};
    buf_init(&e->words, WORDS_MAX);
    e->items = arena_array(&work->arena, room + 1, sizeof *e->items);
    e->list = arena_array(&work->arena, room + 1, sizeof(StoreWrite__DoorItem *));
    return e->items && e->list ? EX_OK : ctl_fail(work->ctl, EX_OSERR, "out of memory");
}

void door_edit_release(struct door_edit *e)
{
    buf_release(&e->words);
}

static StoreWrite__DoorItem *add(struct door_edit *e, enum door_kind kind)
{
    if (e->count == e->room)
        abort(); /* the caller counts what it puts in */
    StoreWrite__DoorItem *item = &e->items[e->count];
    store_write__door_item__init(item);
    item->kind = kind;
    item->level = e->owner.level;
    item->owner = binary_from_span(e->owner.owner);
    e->list[e->count++] = item;
    return item;
}

int door_edit_put(struct door_edit *e, enum door_kind kind, struct span name, struct span value,
                  StoreWrite__DoorItem **item)
{
    struct ctl *ctl = e->work->ctl;
    struct span checked_name, checked_value;
    buf_reset(&ctl->problem);
    if (!door_item_check(kind, (enum rule_level)e->owner.level, name, value, &e->work->arena, &checked_name,
                         &checked_value, &ctl->problem))
        return EX_DATAERR;
    StoreWrite__DoorItem *added = add(e, kind);
    added->name = binary_from_span(checked_name);
    added->value = binary_from_span(checked_value);
    if (item)
        *item = added;
    return EX_OK;
}

int door_edit_remove(struct door_edit *e, enum door_kind kind, struct span name)
{
    struct span checked_name = name, checked_value;
    struct buf unsaid;
    buf_init(&unsaid, 1000);
    /* What was kept by an older program may not be good any more; it has to go all the same. */
    if (kind != DOOR_RULE && !door_item_check(kind, (enum rule_level)e->owner.level, name, (struct span){"", 0},
                                              &e->work->arena, &checked_name, &checked_value, &unsaid))
        checked_name = checked_name.size ? checked_name : name;
    buf_release(&unsaid);
    StoreWrite__DoorItem *added = add(e, kind);
    added->name = binary_from_span(checked_name);
    added->remove = true;
    return EX_OK;
}

static void report(struct door_edit *e, uint32_t changed, uint64_t number, const char *what)
{
    struct ctl *ctl = e->work->ctl;
    if (ctl->json) {
        struct json json;
        json_init(&json, &ctl->out);
        json_object(&json, NULL);
        json_number(&json, "changed", changed);
        json_number(&json, "number", number);
        json_end_object(&json);
    } else if (changed) {
        bool is_entries = strcmp(what, "entry") == 0 && changed != 1;
        buf_printf(&ctl->out, "%" PRIu32 " %s%s of ", changed, is_entries ? "entrie" : what, changed == 1 ? "" : "s");
        door_owner_write(&e->owner, &ctl->out);
        buf_printf(&ctl->out, " changed; 'ostiary %sundo %" PRIu64 "' takes it back\n", ctl->is_my ? "my " : "",
                   number);
    } else {
        buf_add_text(&ctl->out, "it is so already: nothing was changed\n");
    }
}

int door_edit_send(struct fiber *self, struct door_client *client, struct door_edit *e, const char *what)
{
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    uint32_t changed = 0;
    uint64_t number = 0;
    request.items = e->list;
    request.n_items = e->count;
    request.words = binary_from_span(buf_span(&e->words));
    int status = door_client_change(self, client, &request, &changed, &number);
    if (status == EX_OK)
        report(e, changed, number, what);
    return status;
}

/* ---- Times ---- */

/* A day lasts until its end. */
static bool parse_day(struct span text, uint64_t *at)
{
    int64_t begin;
    bool has_time;
    if (!date_parse_iso(text, &begin, &has_time) || begin < 0 || has_time)
        return false;
    *at = (uint64_t)begin + DAY_SECONDS - 1;
    return true;
}

bool door_expiry_parse(struct span text, uint64_t now, uint64_t *at)
{
    uint64_t seconds;
    if (parse_day(text, at))
        return *at > now;
    if (!quantity_parse(QUANTITY_DURATION, text, 1, YEARS_MAX * 366u * DAY_SECONDS, &seconds))
        return false;
    *at = now + seconds;
    return true;
}

int door_expiry_take(struct ctl *ctl, uint64_t *at)
{
    const char *until = ctl_option(ctl, "until");
    *at = 0;
    if (!until || door_expiry_parse(span_text(until), clock_wall() / NANOSECONDS, at))
        return EX_OK;
    return ctl_fail(ctl, EX_USAGE,
                    "--until takes a day to come like 2027-01-31 or a time from now like 90d, not '%.40s'", until);
}

#define LAST_SECOND 253402300799u /* of the year 9999 */

static struct tm break_down(uint64_t seconds)
{
    struct tm utc = {0};
    time_t time = (time_t)(seconds < LAST_SECOND ? seconds : LAST_SECOND);
    gmtime_r(&time, &utc);
    return utc;
}

void door_day_write(uint64_t seconds, struct buf *out)
{
    struct tm utc = break_down(seconds);
    buf_printf(out, "%04d-%02d-%02d", utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday);
}

void door_time_write(uint64_t seconds, struct buf *out)
{
    struct tm utc = break_down(seconds);
    door_day_write(seconds, out);
    buf_printf(out, " %02d:%02d UTC", utc.tm_hour, utc.tm_min);
}
