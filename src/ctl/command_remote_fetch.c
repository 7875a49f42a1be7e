/* remote fetch */
#include "base/list.h"
#include "courier.pb-c.h"
#include "ctl/commands.h"
#include "ctl/control_client.h"
#include "ctl/door_client.h"
#include "ctl/duration.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ipc/binary.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define BAR 30 /* characters */
#define ANSWER_SECONDS 60

static bool is_shown(const struct ctl *ctl)
{
    return !ctl->json && isatty(STDERR_FILENO);
}

/* All accounts together on one line. */
static void show_bar(const Courier__FetchNowReply *reply)
{
    uint64_t messages = 0, done = 0, bytes = 0, bytes_done = 0;
    size_t finished = 0;
    for (size_t i = 0; i < reply->n_accounts; i++) {
        const Courier__FetchProgress *p = reply->accounts[i];
        messages += p->messages;
        done += p->done;
        bytes += p->bytes;
        bytes_done += p->bytes_done;
        finished += p->finished;
    }
    /* By bytes, as one large message takes as long as a thousand small ones; the provider's sizes are only hints. */
    uint64_t whole = bytes ? bytes : messages, part = bytes ? bytes_done : done;
    unsigned filled = whole ? (unsigned)((double)(part < whole ? part : whole) * BAR / (double)whole) : 0;
    char bar[BAR + 1];
    for (unsigned i = 0; i < BAR; i++)
        bar[i] = i < filled ? '#' : '.';
    bar[BAR] = 0;
    struct buf size;
    buf_init(&size, 100);
    ctl_write_size(&size, bytes_done);
    fprintf(stderr, "\r[%s] %llu of %llu messages, %.*s, %zu of %zu accounts\033[K", bar, (unsigned long long)done,
            (unsigned long long)messages, SPAN_ARG(buf_span(&size)), finished, reply->n_accounts);
    buf_release(&size);
}

static void write_json(struct ctl *ctl, const Courier__FetchNowReply *reply)
{
    struct json json;
    json_init(&json, &ctl->out);
    json_list(&json, NULL);
    for (size_t i = 0; i < reply->n_accounts; i++) {
        const Courier__FetchProgress *p = reply->accounts[i];
        json_object(&json, NULL);
        json_text(&json, "account", binary_span(p->account));
        json_text(&json, "name", binary_span(p->name));
        json_number(&json, "messages", p->messages);
        json_number(&json, "stored", p->stored);
        json_number(&json, "blocked", p->blocked);
        json_number(&json, "refused", p->refused);
        json_number(&json, "bytes", p->bytes_done);
        json_text(&json, "problem", binary_span(p->problem));
        json_end_object(&json);
    }
    json_end_list(&json);
}

static int write_outcome(struct ctl *ctl, const Courier__FetchNowReply *reply)
{
    size_t failed = 0;
    if (ctl->json)
        write_json(ctl, reply);
    for (size_t i = 0; i < reply->n_accounts; i++) {
        const Courier__FetchProgress *p = reply->accounts[i];
        failed += p->problem.len > 0;
        if (ctl->json)
            continue;
        foreign_write(binary_span(p->account), false, &ctl->out);
        buf_add_char(&ctl->out, ' ');
        foreign_write(binary_span(p->name), false, &ctl->out);
        buf_printf(&ctl->out, ": %u new, %u stored", p->messages, p->stored);
        if (p->blocked)
            buf_printf(&ctl->out, " (%u of them refused by rules, and put into the folder for that)", p->blocked);
        buf_printf(&ctl->out, ", %u refused", p->refused);
        if (p->problem.len) {
            buf_add_text(&ctl->out, "; ");
            foreign_write(binary_span(p->problem), false, &ctl->out);
        }
        buf_add_char(&ctl->out, '\n');
    }
    if (!ctl->json && !reply->n_accounts)
        buf_add_text(&ctl->out, "there is no remote account\n");
    return failed ? EX_TEMPFAIL : EX_OK; /* the lines say why */
}

/* A person asks by the socket they are logged in at, where the server says only what is theirs; their address may stand
 * before the name, as for other commands. */
struct fetch_work {
    struct door_work door;
    struct control_work control;
    struct control_client *courier; /* the administrator's way */
    struct door_client *person;
    struct span account, name;
};

static int take_mine(struct fetch_work *w)
{
    struct ctl *ctl = w->door.ctl;
    struct door_owner owner;
    int status = door_owner_take(w->person, &owner);
    if (status == EX_OK && owner.next < ctl->argument_count)
        w->name = span_text(ctl->arguments[owner.next]);
    return status ? status : door_owner_is_last(ctl, owner.next + 1);
}

static int call_courier(struct fiber *self, struct fetch_work *w, const Courier__FetchNowRequest *request,
                        struct answer *answer)
{
    return w->person ? door_client_call(self, w->person, MY_FETCH_NOW, &request->base, answer)
                     : control_client_call(self, w->courier, COURIER_FETCH_NOW, &request->base, ANSWER_SECONDS, answer);
}

static int ask(struct fiber *self, struct fetch_work *w, uint64_t run, struct answer *answer)
{
    Courier__FetchNowRequest request = COURIER__FETCH_NOW_REQUEST__INIT;
    request.account = binary_from_span(w->account);
    request.name = binary_from_span(w->name);
    request.run = run;
    int status = call_courier(self, w, &request, answer);
    if (status || !answer->message)
        return status;
    const char *problem = ((const Courier__FetchNowReply *)answer->message)->problem;
    if (problem[0]) {
        status = ctl_fail(w->door.ctl, EX_DATAERR, "%s", problem);
        answer_release(answer);
    }
    return status;
}

static int run_fetch(struct fiber *self, struct fetch_work *w)
{
    struct ctl *ctl = w->door.ctl;
    bool waits = ctl_option(ctl, "now") != NULL, finished = false;
    uint64_t run = 0;
    int status = EX_OK;
    while (status == EX_OK && !finished) {
        struct answer answer;
        status = ask(self, w, run, &answer);
        if (status || !answer.message)
            break;
        const Courier__FetchNowReply *reply = (const Courier__FetchNowReply *)answer.message;
        run = reply->run;
        finished = reply->finished || !waits;
        if (is_shown(ctl) && waits)
            show_bar(reply);
        if (is_shown(ctl) && waits && finished)
            fprintf(stderr, "\r\033[K");
        if (finished && waits)
            status = write_outcome(ctl, reply);
        else if (finished)
            ctl_write_count(&ctl->out, reply->n_accounts, "remote account");
        answer_release(&answer);
    }
    if (status == EX_OK && !waits)
        buf_add_text(&ctl->out, " will be fetched at once\n");
    return status;
}

static int run_as_admin(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct fetch_work *w = container_of(work, struct fetch_work, control);
    w->courier = client;
    return run_fetch(self, w);
}

static int run_as_person(struct fiber *self, struct door_client *client, struct door_work *work)
{
    struct fetch_work *w = container_of(work, struct fetch_work, door);
    w->person = client;
    int status = take_mine(w);
    return status ? status : run_fetch(self, w);
}

int ctl_remote_fetch(struct ctl *ctl)
{
    struct fetch_work w = {.door = {.run = run_as_person, .ctl = ctl}, .control = {.run = run_as_admin, .ctl = ctl}};
    if (ctl->is_my)
        return door_client_run(&w.door);
    w.account = span_text(ctl->argument_count ? ctl->arguments[0] : NULL);
    w.name = span_text(ctl->argument_count > 1 ? ctl->arguments[1] : NULL);
    return control_client_run_alone(&w.control, CONTROL_COURIER);
}
