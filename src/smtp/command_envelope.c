#include "base/log.h"
#include "format/summary.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "smtp/route.h"
#include "smtp/session_internal.h"
#include "store_read.pb-c.h"

#include <errno.h>

#define ASK_SECONDS 30
/* What the one call that delivers may carry: the store's count of mailboxes, and a frame's bytes without the summary's.
 */
#define MAILBOXES_MAX 10000
#define REQUEST_BYTES_MAX (CHANNEL_MESSAGE_MAX - SUMMARY_SIZE_MAX - (16u << 10))
#define RECIPIENT_OVERHEAD 40 /* numbers and tags */

/* ---- MAIL ---- */

/* May this member use this sender? 1 yes, 0 no, or a negative errno. The null path is nobody's address. */
static int may_send(struct fiber *self, struct smtp_session *s, const struct mail_path *path)
{
    struct span domain;
    if (path->is_null || path->is_literal || domain_to_ascii(&s->transaction.arena, path->domain, &domain))
        return 0;
    StoreRead__MaySendRequest request = STORE_READ__MAY_SEND_REQUEST__INIT;
    request.grant = binary_from_span(span_from(s->grant, s->grant_size));
    request.local_part = binary_from_span(path->local_part);
    request.domain = binary_from_span(domain);
    struct answer answer;
    int error = channel_call(self, peers_get(s->context->peers, ROLE_READER), STORE_READ_MAY_SEND, &request.base,
                             (struct span){0}, -1, smtp_deadline(s, ASK_SECONDS), &answer);
    if (error)
        return error;
    int allowed = ((const StoreRead__MaySendReply *)answer.message)->allowed;
    answer_release(&answer);
    return allowed;
}

static int check_sender(struct fiber *self, struct smtp_session *s, const struct smtp_mail *mail)
{
    if (!smtp_is_member_service(s))
        return 1;
    int allowed = may_send(self, s, &mail->path);
    if (allowed < 0) {
        smtp_refuse_internal(s, "the sender could not be checked", allowed);
        return allowed == -ECANCELED ? allowed : 0;
    }
    if (allowed)
        return 1;
    log_write(LOG_FAILURE, "smtp", s->peer->session,
              "return-path refused: not the member's ip=%s account=%s from=%s reply=553", s->ip,
              log_quote(s->account_address), log_quote(mail->path.text));
    return smtp_refuse(s, 553, "5.7.1", "<%.*s> is not one of your addresses; you are %.*s", SPAN_ARG(mail->path.text),
                       SPAN_ARG(s->account_address));
}

/* Takes the sender over into the transaction, which is open then. -ENOMEM. */
static int open_transaction(struct smtp_session *s, const struct smtp_mail *mail)
{
    struct smtp_transaction *t = &s->transaction;
    struct buf path;
    buf_init(&path, 1024);
    if (!mail->path.is_null)
        mail_path_write(mail->path.local_part, mail->path.domain, &path);
    t->reverse_path = arena_copy(&t->arena, buf_span(&path));
    bool failed = buf_failed(&path) || !t->reverse_path.data;
    buf_release(&path);
    if (failed)
        return -ENOMEM;
    t->mail = *mail;
    t->open = true;
    t->chunk_failed = false;
    s->transactions++;
    return 0;
}

int smtp_handle_mail(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    struct smtp_transaction *t = &s->transaction;
    if (s->transactions >= s->settings->smtp.transactions) {
        s->closing = true;
        return smtp_reply(s, 421, "4.7.0", "%s Enough messages for one connection, please connect anew",
                          s->settings->hostname);
    }
    struct span argument = arena_copy(&t->arena, command->argument);
    if (!argument.data)
        return smtp_refuse_internal(s, "no memory for MAIL", -ENOMEM);
    struct smtp_abilities abilities = smtp_abilities(s);
    struct smtp_mail mail;
    const struct smtp_problem *problem = smtp_mail_parse(argument, &abilities, &t->arena, &mail);
    int result = 0;
    if (problem) {
        log_write(LOG_FAILURE, "smtp", s->peer->session, "return-path refused: %s ip=%s from=%s reply=%u",
                  problem->text, s->ip, log_quote(argument), problem->code);
        result = smtp_refuse_problem(s, problem);
    } else {
        result = check_sender(self, s, &mail);
    }
    if (problem || result <= 0) {
        smtp_transaction_reset(s);
        return result;
    }
    int error = open_transaction(s, &mail);
    if (error) {
        smtp_transaction_reset(s);
        return smtp_refuse_internal(s, "no memory for MAIL", error);
    }
    return smtp_reply(s, 250, "2.1.0", "Sender fine");
}

/* ---- RCPT ---- */

/* What a command may take from the transaction's arena. Checked before it is parsed: a parser that runs out of memory
 * calls the address wrong, which would be for ever. */
#define COMMAND_MEMORY (64u << 10)

static bool has_memory(const struct smtp_transaction *t)
{
    return t->arena.limit - t->arena.used >= COMMAND_MEMORY;
}

/* RFC 5321 section 4.5.3.1.10: not an error of the client's. It may be told so thousands of times, the log once. */
static int refuse_too_many(struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    if (!t->too_many_logged)
        log_write(LOG_FAILURE, "smtp", s->peer->session, "recipient refused: too many ip=%s from=%s taken=%u reply=452",
                  s->ip, log_quote(t->reverse_path), t->recipient_count);
    t->too_many_logged = true;
    return smtp_reply(s, 452, "4.5.3", "Too many recipients; please send the rest in another transaction");
}

static bool has_mailbox(const struct smtp_transaction *t, uint64_t mailbox_id)
{
    for (const struct smtp_recipient *r = t->recipients; r; r = r->next)
        if (r->mailbox_id == mailbox_id)
            return true;
    return false;
}

/* The address as it is stored and shown: without the source route that the client may have written before it. */
static int copy_address(struct smtp_transaction *t, const struct mail_path *path, struct span *address)
{
    struct buf text;
    buf_init(&text, 1024);
    mail_path_write(path->local_part, path->domain, &text);
    *address = arena_copy(&t->arena, buf_span(&text));
    bool failed = buf_failed(&text) || !address->data;
    buf_release(&text);
    return failed ? -ENOMEM : 0;
}

/* Adds the targets that the transaction does not have yet, all or none: who is named twice gets one copy. */
static int add_targets(struct smtp_transaction *t, const struct smtp_rcpt *rcpt, const struct smtp_route *route)
{
    struct span address;
    struct smtp_recipient *places = arena_array(&t->arena, route->count, sizeof *places);
    if (!places || copy_address(t, &rcpt->path, &address))
        return -ENOMEM;
    for (size_t i = 0; i < route->count; i++) {
        if (has_mailbox(t, route->targets[i].mailbox_id))
            continue;
        struct smtp_recipient *r = &places[i];
        *r = (struct smtp_recipient){.account_id = route->targets[i].account_id,
                                     .mailbox_id = route->targets[i].mailbox_id,
                                     .address = address,
                                     .orcpt = rcpt->orcpt,
                                     .notify = rcpt->notify};
        *t->last_recipient = r;
        t->last_recipient = &r->next;
        t->mailbox_count++;
        t->request_bytes += address.size + rcpt->orcpt.size + RECIPIENT_OVERHEAD;
    }
    t->recipient_count++;
    return 0;
}

static bool has_room(const struct smtp_session *s, const struct smtp_route *route)
{
    uint64_t size = s->transaction.mail.has_size ? s->transaction.mail.size : 0;
    for (size_t i = 0; i < route->count; i++)
        if (route->targets[i].quota_left < size)
            return false;
    return true;
}

static int refuse_recipient(struct smtp_session *s, struct span address, enum smtp_route_kind kind)
{
    bool permanent = s->settings->smtp.quota_full_is_permanent;
    const struct {
        unsigned code;
        const char *enhanced, *text;
    } refusals[] = {
        [SMTP_ROUTE_NO_USER] = {550, "5.1.1", "there is no such person here"},
        [SMTP_ROUTE_RELAY_FORM] = {550, "5.7.1", "relaying is not allowed, in no notation"},
        [SMTP_ROUTE_NOT_OURS] = {550, "5.7.1",
                                 smtp_is_member_service(s) ? "sending to other sites is not available yet"
                                                           : "relaying is not allowed"},
        [SMTP_ROUTE_OVER_QUOTA] = {permanent ? 552 : 452, permanent ? "5.2.2" : "4.2.2", "the mailbox is full"},
        [SMTP_ROUTE_DISABLED] = {550, "5.2.1", "this account is closed"},
    };
    log_write(LOG_FAILURE, "smtp", s->peer->session, "recipient refused: %s ip=%s from=%s rcpt=%s reply=%u",
              refusals[kind].text, s->ip, log_quote(s->transaction.reverse_path), log_quote(address),
              refusals[kind].code);
    return smtp_refuse(s, refusals[kind].code, refusals[kind].enhanced, "<%.*s>: %s", SPAN_ARG(address),
                       refusals[kind].text);
}

static int route_recipient(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt)
{
    struct smtp_transaction *t = &s->transaction;
    struct smtp_route route;
    int error = smtp_route_find(self, s, &t->arena, &rcpt->path, &route);
    if (!error && route.kind == SMTP_ROUTE_LOCAL && !has_room(s, &route))
        route.kind = SMTP_ROUTE_OVER_QUOTA;
    if (!error && route.kind != SMTP_ROUTE_LOCAL)
        return refuse_recipient(s, rcpt->path.text, route.kind);
    uint64_t bytes = (uint64_t)route.count * (rcpt->path.text.size + rcpt->orcpt.size + RECIPIENT_OVERHEAD);
    if (!error && (t->mailbox_count + route.count > MAILBOXES_MAX || t->request_bytes + bytes > REQUEST_BYTES_MAX) &&
        t->recipient_count)
        return refuse_too_many(s);
    if (!error)
        error = add_targets(t, rcpt, &route);
    if (error) {
        log_write(LOG_PROBLEM, "smtp", s->peer->session, "recipient not taken now ip=%s from=%s rcpt=%s", s->ip,
                  log_quote(t->reverse_path), log_quote(rcpt->path.text));
        smtp_refuse_internal(s, "a recipient could not be looked up", error);
        return error == -ECANCELED ? error : 0;
    }
    return smtp_reply(s, 250, "2.1.5", "Recipient fine");
}

int smtp_handle_rcpt(struct fiber *self, struct smtp_session *s, const struct smtp_command *command)
{
    struct smtp_transaction *t = &s->transaction;
    struct span argument = {0};
    if (t->recipient_count < s->settings->smtp.recipients && has_memory(t))
        argument = arena_copy(&t->arena, command->argument);
    if (!argument.data)
        return refuse_too_many(s);
    struct smtp_abilities abilities = smtp_abilities(s);
    struct smtp_rcpt rcpt;
    const struct smtp_problem *problem = smtp_rcpt_parse(argument, &abilities, t->mail.smtputf8, &t->arena, &rcpt);
    if (problem) {
        log_write(LOG_FAILURE, "smtp", s->peer->session, "recipient refused: %s ip=%s from=%s rcpt=%s reply=%u",
                  problem->text, s->ip, log_quote(t->reverse_path), log_quote(argument), problem->code);
        return smtp_refuse_problem(s, problem);
    }
    return route_recipient(self, s, &rcpt);
}
