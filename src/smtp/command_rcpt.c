#include "base/log.h"
#include "courier.pb-c.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "smtp/judgement.h"
#include "smtp/refusal.h"
#include "smtp/sender.h"

#include <errno.h>

#define ASK_SECONDS 30
#define PROBE_SECONDS 20 /* past it the answer is not waited for: it comes as a report, or not at all */
#define PROBE_TEXT_MAX 200

/* What a command may take from the transaction's arena. Checked before it is parsed: a parser that runs out of memory
 * calls the address wrong, which would be for ever. It is what an alias with as many targets as there may be needs. */
#define COMMAND_MEMORY (2u << 20)

static bool has_memory(const struct smtp_transaction *t)
{
    return t->arena.limit - t->arena.used >= COMMAND_MEMORY;
}

/* RFC 5321 section 4.5.3.1.10: not an error of the client's. It may be told so thousands of times, the log once. */
static int refuse_too_many(struct smtp_session *s, struct span address)
{
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                         .code = 452,
                                         .enhanced = "4.5.3",
                                         .reason = "too many recipients",
                                         .rule = "too-many-recipients",
                                         .recipient = address};
    struct smtp_transaction *t = &s->transaction;
    if (!t->too_many_logged)
        log_write(LOG_FAILURE, "smtp", s->peer->session, "recipient refused: too many ip=%s from=%s taken=%u reply=452",
                  s->ip, log_quote(t->envelope.reverse_path), t->envelope.accepted);
    t->too_many_logged = true;
    return smtp_put_off(s, &refusal, "Too many recipients; please send the rest in another transaction");
}

/* One that has room is enough, as at the end of the data: a full mailbox does not close an address that leads to many.
 */
static bool has_room(const struct smtp_session *s, const struct intake_route *route)
{
    uint64_t size = s->transaction.mail.has_size ? s->transaction.mail.size : 0;
    for (size_t i = 0; i < route->count; i++)
        if (route->targets[i].kind != INTAKE_TARGET_MAILBOX || route->targets[i].quota_left >= size)
            return true;
    return false;
}

/* Whose ledger has it: the first person's to whom it would have led; 0: the site's only. */
static uint64_t account_of(const struct intake_route *route)
{
    for (size_t i = 0; i < route->count; i++)
        if (route->targets[i].door && route->doors[route->targets[i].door - 1].account_id)
            return route->doors[route->targets[i].door - 1].account_id;
    return 0;
}

static int refuse_route(struct fiber *self, struct smtp_session *s, struct span address,
                        const struct intake_route *route)
{
    enum intake_route_kind kind = route->kind;
    bool permanent = s->settings->smtp.quota_full_is_permanent;
    const struct {
        enum smtp_refused what;
        unsigned code;
        const char *enhanced, *rule, *text;
    } refusals[] = {
        [INTAKE_ROUTE_NO_USER] = {SMTP_REFUSED_UNKNOWN_USER, 550, "5.1.1", "no-such-user",
                                  "there is no such person here"},
        [INTAKE_ROUTE_RELAY_FORM] = {SMTP_REFUSED_RECIPIENT, 550, "5.7.1", "relay",
                                     "relaying is not allowed, in no notation"},
        [INTAKE_ROUTE_NOT_OURS] = {SMTP_REFUSED_RECIPIENT, 550, "5.7.1", "relay", "relaying is not allowed"},
        [INTAKE_ROUTE_OVER_QUOTA] = {SMTP_REFUSED_RECIPIENT, permanent ? 552 : 452, permanent ? "5.2.2" : "4.2.2",
                                     "quota", "the mailbox is full"},
        [INTAKE_ROUTE_DISABLED] = {SMTP_REFUSED_RECIPIENT, 550, "5.2.1", "closed", "this account is closed"},
        [INTAKE_ROUTE_LIST_REFUSES] = {SMTP_REFUSED_RECIPIENT, 550, "5.7.2", "list-post",
                                       "you may not post to this mailing list"},
    };
    const struct smtp_refusal refusal = {.what = refusals[kind].what,
                                         .code = refusals[kind].code,
                                         .enhanced = refusals[kind].enhanced,
                                         .reason = refusals[kind].text,
                                         .rule = refusals[kind].rule,
                                         .recipient = address,
                                         .account_id = account_of(route)};
    return smtp_refuse_reported(self, s, &refusal, "<%.*s>: %s", SPAN_ARG(address), refusals[kind].text);
}

/* Not the client's fault, so it is not counted against it. */
static int reply_paused(struct smtp_session *s, struct span address)
{
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                         .code = 452,
                                         .enhanced = "4.3.2",
                                         .reason = "intake is paused",
                                         .rule = "paused",
                                         .recipient = address};
    log_write(LOG_LOW, "smtp", s->peer->session, "recipient put off: intake is paused ip=%s rcpt=%s reply=452", s->ip,
              log_quote(address));
    return smtp_put_off(s, &refusal, "No mail is taken in for the moment, please try again later");
}

static int put_off(struct smtp_session *s, struct span address, int error)
{
    log_write(LOG_PROBLEM, "smtp", s->peer->session, "recipient not taken now ip=%s from=%s rcpt=%s", s->ip,
              log_quote(s->transaction.envelope.reverse_path), log_quote(address));
    smtp_refuse_internal(s, "a recipient could not be looked up", error);
    return error == -ECANCELED ? error : 0;
}

/* ---- Other sites ---- */

static size_t remote_count(const struct intake_route *route)
{
    size_t count = 0;
    for (size_t i = 0; i < route->count; i++)
        count += route->targets[i].kind == INTAKE_TARGET_REMOTE;
    return count;
}

/* The daily limit of a member's or a window's account. 452, never 5xx: mail programs then keep the message. */
static bool is_over_daily_limit(const struct smtp_transaction *t, const struct intake_route *route)
{
    size_t more = remote_count(route);
    return t->sender.account_id && more && t->envelope.remote_count + more > t->sender.recipients_left;
}

static int refuse_daily_limit(struct fiber *self, struct smtp_session *s, struct span address)
{
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                         .code = 452,
                                         .enhanced = "4.7.1",
                                         .reason = "too many recipients today",
                                         .rule = "daily-limit",
                                         .recipient = address};
    return smtp_refuse_reported(
        self, s, &refusal,
        "You have sent to as many recipients at other sites as are allowed in a day, %u; the rest tomorrow, please",
        s->settings->submission.daily_recipients);
}

/* Does the server that knows the names take this one? 1 yes, or it did not say; 0 no, which was replied; or a negative
 * errno. Only where the address leads to that server alone: among several targets the others take the message. */
static int probe(struct fiber *self, struct smtp_session *s, struct span address, const struct intake_route *route)
{
    if (route->count != 1 || !route->targets[0].verify)
        return 1;
    Courier__ProbeRequest request = COURIER__PROBE_REQUEST__INIT;
    request.address = binary_from_span(route->targets[0].address);
    request.next_hop = binary_from_span(route->targets[0].next_hop);
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_COURIER), COURIER_PROBE, &request.base,
                             (struct span){0}, -1, smtp_deadline(s, PROBE_SECONDS), &answer);
    if (error)
        return error == -ECANCELED ? error : 1;
    const Courier__ProbeReply *reply = (const Courier__ProbeReply *)answer.message;
    int result = 1;
    if (reply->verdict == COURIER__VERDICT__VERDICT_REFUSES) {
        char said[PROBE_TEXT_MAX];
        smtp_printable(binary_span(reply->reply), said, sizeof said);
        const struct smtp_refusal refusal = {.what = SMTP_REFUSED_UNKNOWN_USER,
                                             .code = 550,
                                             .enhanced = "5.1.1",
                                             .reason = "the next server refuses it",
                                             .rule = "no-such-user",
                                             .evidence = span_text(said),
                                             .recipient = address};
        result = smtp_refuse_reported(self, s, &refusal, "<%.*s>: the server of this person says %s", SPAN_ARG(address),
                                      said);
    }
    answer_release(&answer);
    return result;
}

/* ---- RCPT ---- */

/* Where it leads, for this client: what is not ours is sent on for those who may. */
static int find_route(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
                      struct intake_route *route)
{
    struct smtp_transaction *t = &s->transaction;
    const struct intake_question question = {.path = &rcpt->path,
                                             .reverse_path = t->envelope.reverse_path,
                                             .authenticated = t->sender.account_id != 0,
                                             .judged = true,
                                             .passcode = rcpt->passcode,
                                             .ip = &s->peer->ip,
                                             .helo = s->helo};
    int error = intake_route_find(self, &s->intake, &t->arena, &question, smtp_deadline(s, ASK_SECONDS), route);
    if (error || route->kind != INTAKE_ROUTE_NOT_OURS)
        return error;
    enum smtp_relaying relaying = smtp_sender_relaying(s);
    if (relaying == SMTP_RELAYING_YES)
        return intake_route_relay(s->settings, &t->arena, &rcpt->path, s->account_id != 0, route);
    return relaying == SMTP_RELAYING_UNKNOWN ? -EAGAIN : 0;
}

/* What is refused before anybody's rules are asked. 1: it leads somewhere; 0: it was replied; or a negative errno. */
static int check_route(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
                       const struct intake_naming *naming, struct intake_route *route)
{
    struct smtp_transaction *t = &s->transaction;
    int error = find_route(self, s, rcpt, route);
    if (error)
        return put_off(s, rcpt->path.text, error);
    if (route->kind == INTAKE_ROUTE_PAUSED)
        return reply_paused(s, rcpt->path.text);
    if (route->kind == INTAKE_ROUTE_LOCAL && !has_room(s, route))
        route->kind = INTAKE_ROUTE_OVER_QUOTA;
    if (route->kind != INTAKE_ROUTE_LOCAL)
        return refuse_route(self, s, rcpt->path.text, route);
    if (!envelope_has_room(&t->envelope, naming, route))
        return refuse_too_many(s, rcpt->path.text);
    if (is_over_daily_limit(t, route))
        return refuse_daily_limit(self, s, rcpt->path.text);
    return 1;
}

static int take_recipient(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
                          struct intake_naming *naming, const struct intake_route *route)
{
    struct smtp_transaction *t = &s->transaction;
    struct judged_address *judged = NULL;
    int taken = smtp_judge(self, s, rcpt, route, &judged);
    if (taken > 0)
        taken = probe(self, s, rcpt->path.text, route);
    if (taken <= 0)
        return taken;
    naming->by_door = judged->by_door;
    int error = envelope_add(&t->envelope, &t->arena, naming, route);
    if (error)
        return put_off(s, rcpt->path.text, error);
    *t->last_judged = judged;
    t->last_judged = &judged->next;
    return smtp_reply(s, 250, "2.1.5", "Recipient fine");
}

static int route_recipient(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt)
{
    struct intake_naming naming = {.path = &rcpt->path, .orcpt = rcpt->orcpt, .notify = rcpt->notify};
    struct intake_route route;
    int result = check_route(self, s, rcpt, &naming, &route);
    return result > 0 ? take_recipient(self, s, rcpt, &naming, &route) : result;
}

/* The path of "TO:<path> parameters" without its brackets, however wrong it is; *behind: what follows it, where a
 * passcode that was mistyped may be. */
static struct span take_path(struct span argument, struct span *behind)
{
    static const struct span to = SPAN("TO:");
    struct span path = span_trim(span_starts_nocase(argument, to) ? span_skip(argument, to.size) : argument);
    bool has_bracket = path.size && path.data[0] == '<';
    path = span_skip(path, has_bracket);
    size_t end = span_find(path, has_bracket ? '>' : ' ');
    if (end == path.size)
        end = span_find(path, ' ');
    *behind = span_trim(span_skip(path, end < path.size ? end + 1 : end));
    return span_head(path, end);
}

static struct span path_of(struct span argument)
{
    struct span behind;
    return take_path(argument, &behind);
}

/* What stands behind the path is for the client's ears only. */
static int refuse_syntax(struct fiber *self, struct smtp_session *s, struct span argument,
                         const struct smtp_problem *problem)
{
    struct span behind;
    const char *unquoted = "what stands behind the address is not understood";
    struct span path = take_path(argument, &behind);
    const struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                         .code = problem->code,
                                         .enhanced = problem->enhanced,
                                         .reason = behind.size ? unquoted : problem->text,
                                         .rule = "syntax",
                                         .recipient = path,
                                         .noted = behind.size ? unquoted : NULL};
    return smtp_refuse_reported(self, s, &refusal, "%s", problem->text);
}

int smtp_handle_rcpt(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    struct smtp_transaction *t = &s->transaction;
    struct span argument = {0};
    if (t->envelope.accepted < s->settings->smtp.recipients && has_memory(t))
        argument = arena_copy(&t->arena, command->argument);
    if (!argument.data && t->arena.is_starved)
        return smtp_refuse_internal(s, "no memory for RCPT", -ENOMEM);
    if (!argument.data)
        return refuse_too_many(s, path_of(command->argument));
    struct smtp_abilities abilities = smtp_abilities(s);
    struct smtp_rcpt rcpt;
    const struct smtp_problem *problem = smtp_rcpt_parse(argument, &abilities, t->mail.smtputf8, &t->arena, &rcpt);
    if (problem && t->arena.is_starved)
        return smtp_refuse_internal(s, "no memory for RCPT", -ENOMEM);
    return problem ? refuse_syntax(self, s, argument, problem) : route_recipient(self, s, &rcpt);
}
