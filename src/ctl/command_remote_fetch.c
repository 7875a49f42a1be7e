/* remote fetch */
#include "courier.pb-c.h"
#include "ctl/commands.h"
#include "ctl/control_client.h"
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

static int ask(struct fiber *self, struct control_client *client, struct ctl *ctl, uint64_t run, struct answer *answer)
{
    Courier__FetchNowRequest request = COURIER__FETCH_NOW_REQUEST__INIT;
    request.account = binary_from_span(span_text(ctl->argument_count ? ctl->arguments[0] : NULL));
    request.name = binary_from_span(span_text(ctl->argument_count > 1 ? ctl->arguments[1] : NULL));
    request.run = run;
    int status = control_client_call(self, client, COURIER_FETCH_NOW, &request.base, ANSWER_SECONDS, answer);
    if (status || !answer->message)
        return status;
    const char *problem = ((const Courier__FetchNowReply *)answer->message)->problem;
    if (problem[0]) {
        status = ctl_fail(ctl, EX_DATAERR, "%s", problem);
        answer_release(answer);
    }
    return status;
}

static int run_fetch(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct ctl *ctl = work->ctl;
    bool waits = ctl_option(ctl, "now") != NULL, finished = false;
    uint64_t run = 0;
    int status = EX_OK;
    while (status == EX_OK && !finished) {
        struct answer answer;
        status = ask(self, client, ctl, run, &answer);
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

int ctl_remote_fetch(struct ctl *ctl)
{
    struct control_work work = {.run = run_fetch, .ctl = ctl};
    return control_client_run_alone(&work, CONTROL_COURIER);
}
