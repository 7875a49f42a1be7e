/* address add, address list, address remove: addresses with a detail that are for a time, or for certain senders */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/door_show.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <sys/random.h>
#include <sysexits.h>

#define TAIL_LETTERS 4 /* behind a name, so that the address is not guessed from it */

struct address_work {
    struct door_work work;
    struct door_edit edit;
    bool removes;
    uint64_t until;
};

/* "alice@example.org", "shop-x7" -> "alice+shop-x7@example.org" */
static void write_whole(const struct settings *settings, struct span owner, struct span detail, struct buf *out)
{
    size_t at = span_find_last(owner, '@');
    const char *separator = settings->smtp.detail_separator;
    buf_printf(out, "%.*s%s%.*s%.*s", SPAN_ARG(span_head(owner, at)), *separator ? separator : "+", SPAN_ARG(detail),
               SPAN_ARG(span_skip(owner, at)));
}

/* "shop" -> "shop-x7k2" with --random. */
static int write_detail(struct ctl *ctl, const char *given, struct buf *detail)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789a"; /* 32 */
    unsigned char random[TAIL_LETTERS];
    buf_add_text(detail, given);
    if (!ctl_option(ctl, "random"))
        return EX_OK;
    if (getrandom(random, sizeof random, 0) != sizeof random)
        return ctl_fail(ctl, EX_OSERR, "the system gives no random numbers");
    buf_add_char(detail, '-');
    for (size_t i = 0; i < TAIL_LETTERS; i++)
        buf_add_char(detail, letters[random[i] % 32]);
    return EX_OK;
}

static void show(struct address_work *w, const StoreWrite__DoorItem *item)
{
    struct ctl *ctl = w->work.ctl;
    struct buf whole;
    struct json json;
    buf_init(&whole, 1000);
    write_whole(w->work.settings, w->edit.owner.owner, binary_span(item->name), &whole);
    json_init(&json, &ctl->out);
    if (ctl->json) {
        json_object(&json, NULL);
        json_text(&json, "address", buf_span(&whole));
        json_text(&json, "senders", binary_span(item->value));
        json_number(&json, "expires_at", w->until);
        json_end_object(&json);
    } else {
        buf_printf(&ctl->out, "%.*s takes mail from %s%.*s", SPAN_ARG(buf_span(&whole)),
                   item->value.len ? "" : "everybody", SPAN_ARG(binary_span(item->value)));
        if (w->until) {
            buf_add_text(&ctl->out, " until ");
            door_time_write(w->until, &ctl->out);
        }
        buf_add_char(&ctl->out, '\n');
    }
    buf_release(&whole);
}

static int add(struct fiber *self, struct door_client *client, struct address_work *w, const char *given)
{
    struct ctl *ctl = w->work.ctl;
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    StoreWrite__DoorItem *item = NULL;
    const char *senders = ctl_option(ctl, "from");
    struct buf detail;
    buf_init(&detail, 200);
    int status = write_detail(ctl, given, &detail);
    if (status == EX_OK)
        status = door_edit_put(&w->edit, DOOR_ADDRESS, buf_span(&detail), span_text(senders), &item);
    if (status == EX_OK) {
        item->expires_at = w->until;
        buf_printf(&w->edit.words, "address add %.*s", SPAN_ARG(buf_span(&detail)));
        request.items = w->edit.list;
        request.n_items = w->edit.count;
        request.words = binary_from_span(buf_span(&w->edit.words));
        status = door_client_change(self, client, &request, NULL, NULL);
    }
    if (status == EX_OK)
        show(w, item);
    buf_release(&detail);
    return status;
}

static int run_change(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct address_work *w = container_of(work, struct address_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK && owner.level != LEVEL_ACCOUNT)
        status = ctl_ask(ctl, "give the account's main address first");
    if (status == EX_OK && owner.next + 1 != ctl->argument_count)
        status = ctl_ask(ctl, "which detail? give one");
    if (status == EX_OK)
        status = door_edit_init(&w->edit, work, &owner, 1);
    if (status)
        return status;
    const char *detail = ctl->arguments[owner.next];
    if (!w->removes)
        return add(self, client, w, detail);
    buf_printf(&w->edit.words, "address remove %.100s", detail);
    status = door_edit_remove(&w->edit, DOOR_ADDRESS, span_text(detail));
    return status == EX_OK ? door_edit_send(self, client, &w->edit, "address") : status;
}

static int change(struct ctl *ctl, struct address_work *w)
{
    w->work = (struct door_work){.run = run_change, .ctl = ctl};
    int status = door_client_run(&w->work);
    door_edit_release(&w->edit);
    return status;
}

int ctl_address_add(struct ctl *ctl)
{
    struct address_work w = {.removes = false};
    int status = door_expiry_take(ctl, &w.until);
    return status ? status : change(ctl, &w);
}

int ctl_address_remove(struct ctl *ctl)
{
    struct address_work w = {.removes = true};
    return change(ctl, &w);
}

/* ---- address list ---- */

static void write_address(struct door_show *show, struct json *json, const struct door_owner *owner,
                          const StoreWrite__DoorItem *item)
{
    struct ctl *ctl = show->work.ctl;
    struct buf whole;
    buf_init(&whole, 1000);
    write_whole(show->work.settings, owner->owner, binary_span(item->name), &whole);
    if (ctl->json) {
        json_text(json, "address", buf_span(&whole));
        json_text(json, "senders", binary_span(item->value));
        json_number(json, "expires_at", item->expires_at);
        json_number(json, "set_at", item->set_at / NANOSECONDS);
    } else {
        buf_printf(&ctl->out, "%-40.*s  ", SPAN_ARG(buf_span(&whole)));
        foreign_write(item->value.len ? binary_span(item->value) : span_text("everybody"), false, &ctl->out);
        door_show_expiry(item, &ctl->out);
    }
    buf_release(&whole);
}

int ctl_address_list(struct ctl *ctl)
{
    struct door_show show = {
        .work = {.ctl = ctl}, .kind = DOOR_ADDRESS, .nothing = "there is none", .write = write_address};
    return door_show_run(&show);
}
