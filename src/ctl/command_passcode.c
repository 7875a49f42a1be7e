/* passcode add, passcode list, passcode revoke, code-for */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/door_edit.h"
#include "ctl/door_show.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/password_input.h"
#include "ipc/binary.h"

#include <stdio.h>
#include <sys/random.h>
#include <sysexits.h>

#define DIGITS 8 /* of a code that is made here: guesses are limited */

struct code_work {
    struct door_work work;
    struct door_edit edit;
    struct buf code; /* secret */
    bool revokes, made;
    uint64_t until;
};

static int make_code(struct ctl *ctl, struct buf *code)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return ctl_fail(ctl, EX_OSERR, "the system gives no random numbers");
    /* 2^64 is no multiple of this: some codes come up more often, by one in 10^11. */
    buf_printf(code, "%0*llu", DIGITS, (unsigned long long)(number % 100000000u));
    return EX_OK;
}

/* The code from standard input, or one of our own. */
static int take_code(struct code_work *w)
{
    struct ctl *ctl = w->work.ctl;
    w->made = !ctl_option(ctl, "code-stdin");
    if (w->made)
        return make_code(ctl, &w->code);
    return password_input_once(ctl, true, "the passcode", "code-stdin", &w->code);
}

static void show_code(struct code_work *w, struct span name, uint64_t number)
{
    struct ctl *ctl = w->work.ctl;
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json) {
        json_object(&json, NULL);
        json_text(&json, "name", name);
        if (w->made)
            json_text(&json, "code", buf_span(&w->code));
        json_number(&json, "expires_at", w->until);
        json_number(&json, "number", number);
        json_end_object(&json);
        return;
    }
    buf_add_text(&ctl->out, "the passcode of ");
    foreign_write(name, false, &ctl->out);
    if (w->made)
        buf_printf(&ctl->out, " is %.*s", SPAN_ARG(buf_span(&w->code)));
    else
        buf_add_text(&ctl->out, " is kept");
    buf_add_text(&ctl->out, "\nit is said behind the address, RCPT TO:<");
    door_owner_write(&w->edit.owner, &ctl->out);
    buf_add_text(&ctl->out, "> CODE, and counts where the rule passcode is on\n");
}

static int add_code(struct fiber *self, struct door_client *client, struct code_work *w, struct span name)
{
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    StoreWrite__DoorItem *item = NULL;
    uint32_t changed = 0;
    uint64_t number = 0;
    int status = take_code(w);
    if (status == EX_OK)
        status = door_edit_put(&w->edit, DOOR_PASSCODE, name, buf_span(&w->code), &item);
    if (status)
        return status;
    item->expires_at = w->until;
    request.items = w->edit.list;
    request.n_items = w->edit.count;
    request.words = binary_from_span(buf_span(&w->edit.words));
    status = door_client_change(self, client, &request, &changed, &number);
    if (item->value.len) /* the copy that was checked */
        explicit_bzero(item->value.data, item->value.len);
    if (status == EX_OK)
        show_code(w, name, number);
    return status;
}

static int run_change(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct code_work *w = container_of(work, struct code_work, work);
    struct ctl *ctl = work->ctl;
    struct door_owner owner;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK && owner.next + 1 != ctl->argument_count)
        status = ctl_ask(ctl, "whose passcode? give one name");
    if (status == EX_OK)
        status = door_edit_init(&w->edit, work, &owner, 1);
    if (status)
        return status;
    struct span name = span_text(ctl->arguments[owner.next]);
    buf_printf(&w->edit.words, "passcode %s %.*s", w->revokes ? "revoke" : "add", SPAN_ARG(span_head(name, 100)));
    if (!w->revokes)
        return add_code(self, client, w, name);
    status = door_edit_remove(&w->edit, DOOR_PASSCODE, name);
    return status == EX_OK ? door_edit_send(self, client, &w->edit, "passcode") : status;
}

static int change(struct ctl *ctl, struct code_work *w)
{
    w->work = (struct door_work){.run = run_change, .ctl = ctl};
    password_input_init(&w->code);
    int status = door_client_run(&w->work);
    password_input_release(&w->code);
    door_edit_release(&w->edit);
    return status;
}

int ctl_passcode_add(struct ctl *ctl)
{
    struct code_work w = {.revokes = false};
    int status = door_expiry_take(ctl, &w.until);
    return status ? status : change(ctl, &w);
}

int ctl_passcode_revoke(struct ctl *ctl)
{
    struct code_work w = {.revokes = true};
    return change(ctl, &w);
}

/* ---- Lists: of passcodes, and of codes for others ---- */

static void write_code(struct door_show *show, struct json *json, const struct door_owner *owner,
                       const StoreWrite__DoorItem *item)
{
    struct buf *out = &show->work.ctl->out;
    if (show->work.ctl->json) {
        json_text(json, show->kind == DOOR_PASSCODE ? "name" : "address", binary_span(item->name));
        if (show->secrets)
            json_text(json, "code", binary_span(item->value));
        json_number(json, "expires_at", item->expires_at);
        json_number(json, "set_at", item->set_at / NANOSECONDS);
        json_text(json, "set_by", binary_span(item->set_by));
        return;
    }
    foreign_write(binary_span(item->name), false, out);
    if (show->secrets)
        buf_printf(out, "  %.*s", SPAN_ARG(binary_span(item->value)));
    door_show_expiry(item, out);
}

static struct door_show codes(struct ctl *ctl, enum door_kind kind)
{
    return (struct door_show){.work = {.ctl = ctl},
                              .kind = kind,
                              .secrets = ctl_option(ctl, "codes"),
                              .nothing = "there are no passcodes",
                              .write = write_code};
}

int ctl_passcode_list(struct ctl *ctl)
{
    struct door_show show = codes(ctl, DOOR_PASSCODE);
    return door_show_run(&show);
}

/* ---- code-for: what our courier says behind others' addresses ---- */

static int set_code_for(struct fiber *self, struct door_client *client, struct code_work *w, struct span address)
{
    struct ctl *ctl = w->work.ctl;
    bool off = ctl_option(ctl, "off");
    buf_printf(&w->edit.words, "code-for %.*s%s", SPAN_ARG(span_head(address, 200)), off ? " --off" : "");
    int status = off ? door_edit_remove(&w->edit, DOOR_CODE_FOR, address)
                     : password_input_once(ctl, ctl_option(ctl, "code-stdin"), "the passcode", "code-stdin", &w->code);
    if (status == EX_OK && !off)
        status = door_edit_put(&w->edit, DOOR_CODE_FOR, address, buf_span(&w->code), NULL);
    return status == EX_OK ? door_edit_send(self, client, &w->edit, "code") : status;
}

static int run_code_for(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct code_work *w = container_of(work, struct code_work, work);
    struct ctl *ctl = work->ctl;
    struct door_show show = codes(ctl, DOOR_CODE_FOR);
    struct door_owner owner;
    int status = door_owner_take(client, &owner);
    if (status == EX_OK && owner.next == ctl->argument_count)
        return door_show_items(self, client, &show, &owner);
    if (status == EX_OK)
        status = door_owner_is_last(ctl, owner.next + 1);
    if (status == EX_OK)
        status = door_edit_init(&w->edit, work, &owner, 1);
    return status ? status : set_code_for(self, client, w, span_text(ctl->arguments[owner.next]));
}

int ctl_code_for(struct ctl *ctl)
{
    struct code_work w = {.work = {.run = run_code_for, .ctl = ctl}};
    password_input_init(&w.code);
    int status = door_client_run(&w.work);
    password_input_release(&w.code);
    door_edit_release(&w.edit);
    return status;
}
