/* clients list, clients flush: POP-before-SMTP */
#include "auth.pb-c.h"
#include "base/log.h"
#include "ctl/commands.h"
#include "ctl/control_client.h"
#include "ctl/json.h"
#include "format/ip_address.h"
#include "ipc/binary.h"

#include <sysexits.h>

#define ANSWER_SECONDS 30

static int ask(struct fiber *self, struct control_client *client, struct control_work *work, bool flush,
               struct answer *answer)
{
    Auth__ClientsRequest request = AUTH__CLIENTS_REQUEST__INIT;
    const struct ctl *ctl = work->ctl;
    request.flush = flush;
    request.match = binary_from_span(span_text(ctl->argument_count ? ctl->arguments[0] : NULL));
    return control_client_call(self, client, AUTH_CLIENTS, &request.base, ANSWER_SECONDS, answer);
}

static void write_json(struct ctl *ctl, const Auth__ClientsReply *reply)
{
    struct json json;
    json_init(&json, &ctl->out);
    json_object(&json, NULL);
    json_list(&json, "clients");
    for (size_t i = 0; i < reply->n_clients; i++) {
        json_object(&json, NULL);
        json_text(&json, "peer_address", binary_span(reply->clients[i]->peer_address));
        json_text(&json, "account", binary_span(reply->clients[i]->account));
        json_number(&json, "seconds_left", reply->clients[i]->seconds_left);
        json_end_object(&json);
    }
    json_end_list(&json);
    json_number(&json, "not_shown", reply->not_shown);
    json_end_object(&json);
}

static void write_lines(struct ctl *ctl, const struct settings *settings, const Auth__ClientsReply *reply)
{
    for (size_t i = 0; i < reply->n_clients; i++) {
        const Auth__Client *client = reply->clients[i];
        buf_printf(&ctl->out, "%-39s %-40s %u s left\n", log_quote(binary_span(client->peer_address)),
                   log_quote(binary_span(client->account)), client->seconds_left);
    }
    if (reply->not_shown)
        buf_printf(&ctl->out, "and %u more, that logged in before these\n", reply->not_shown);
    if (!reply->n_clients && !settings->submission.pop_before_smtp)
        buf_add_text(&ctl->out, "POP-before-SMTP is off: submission.pop_before_smtp is false\n");
    else if (!reply->n_clients)
        buf_add_text(&ctl->out, "none\n");
}

static int run_list(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct answer answer;
    int status = ask(self, client, work, false, &answer);
    if (status || !answer.message)
        return status;
    const Auth__ClientsReply *reply = (const Auth__ClientsReply *)answer.message;
    if (work->ctl->json)
        write_json(work->ctl, reply);
    else
        write_lines(work->ctl, work->settings, reply);
    answer_release(&answer);
    return EX_OK;
}

static int run_flush(struct fiber *self, struct control_client *client, struct control_work *work)
{
    struct answer answer;
    struct ctl *ctl = work->ctl;
    int status = ask(self, client, work, true, &answer);
    if (status || !answer.message)
        return status;
    unsigned flushed = ((const Auth__ClientsReply *)answer.message)->flushed;
    answer_release(&answer);
    if (ctl->json) {
        struct json json;
        json_init(&json, &ctl->out);
        json_object(&json, NULL);
        json_number(&json, "flushed", flushed);
        json_end_object(&json);
    } else {
        ctl_write_count(&ctl->out, flushed, "client");
        buf_add_text(&ctl->out, " may not send any more without logging in again\n");
    }
    return EX_OK;
}

static int run(struct ctl *ctl, int (*program)(struct fiber *, struct control_client *, struct control_work *))
{
    struct control_work work = {.run = program, .ctl = ctl};
    struct ip_address ip;
    struct span match = span_text(ctl->argument_count ? ctl->arguments[0] : "");
    if (match.size && span_find(match, '@') == match.size && !ip_address_parse(match, &ip))
        return ctl_fail(ctl, EX_USAGE, "'%.100s' is neither the IP address of a client nor the address of an account",
                        ctl->arguments[0]);
    return control_client_run_alone(&work, CONTROL_AUTH);
}

int ctl_clients_list(struct ctl *ctl)
{
    return run(ctl, run_list);
}

int ctl_clients_flush(struct ctl *ctl)
{
    return run(ctl, run_flush);
}
