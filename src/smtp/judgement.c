#include "smtp/judgement.h"

#include "base/log.h"
#include "facts/ledger.h"
#include "facts/ledger_row.h"
#include "smtp/refusal.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#define ADDRESS_TEXT_MAX 1024
#define FACTS_MAX (8u << 10) /* of a refused attempt, in the ledger */
#define NOTED_DOORS_MAX 50   /* of one refused address */

void smtp_judge_begin(struct smtp_session *s)
{
    s->attempt = (struct attempt){.sources = s->context->facts,
                                  .settings = s->settings,
                                  .session = s->peer->session,
                                  .connection = &s->arena,
                                  .transaction = &s->transaction.arena,
                                  .sender = &s->transaction.mail.path,
                                  .facts = {.ip = s->peer->ip}};
}

static enum facts_standing standing_of(const struct smtp_session *s)
{
    if (s->account_id)
        return STANDING_MEMBER;
    if (s->transaction.sender.account_id)
        return STANDING_WINDOW;
    return s->is_client_network ? STANDING_CLIENT_NETWORK : STANDING_STRANGER;
}

/* In the form in which lists have addresses: lower case, the domain in A-labels. */
static int write_reverse_path(struct smtp_session *s, struct span *written)
{
    struct arena *arena = &s->transaction.arena;
    const struct mail_path *path = &s->transaction.mail.path;
    struct span domain;
    struct buf text;
    if (path->is_null)
        return 0;
    if (path->is_literal || domain_to_ascii(arena, path->domain, &domain) != NULL)
        domain = path->domain;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path->local_part, domain, &text);
    for (size_t i = 0; i < text.size; i++)
        text.data[i] = ascii_lower(text.data[i]);
    *written = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !written->data;
    buf_release(&text);
    return failed ? -ENOMEM : 0;
}

/* Our end of the connection; zeros where the kernel does not say. */
static struct ip_address own_address(const struct smtp_session *s)
{
    struct sockaddr_storage here;
    socklen_t size = sizeof here;
    struct ip_address ip = {.bytes = {0}};
    if (getsockname(stream_fd(s->stream), (struct sockaddr *)&here, &size) < 0 ||
        !ip_address_from_sockaddr((const struct sockaddr *)&here, &ip))
        memset(&ip, 0, sizeof ip);
    return ip;
}

int smtp_judge_sender(struct smtp_session *s)
{
    const struct smtp_transaction *t = &s->transaction;
    struct facts *facts = &s->attempt.facts;
    facts->standing = standing_of(s);
    facts->helo = s->helo;
    facts->own_name = span_text(s->settings->hostname);
    if (s->helo.size && strchr("[0123456789", s->helo.data[0])) /* only an address is compared with it */
        facts->own_ip = own_address(s);
    facts->is_tls = stream_is_tls(s->stream);
    facts->declared_size = t->mail.has_size ? t->mail.size : 0;
    facts->sender_account = smtp_account_address(s);
    return write_reverse_path(s, &facts->reverse_path);
}

/* ---- A refusal ---- */

static const char *level_words(enum rule_level level)
{
    return level == LEVEL_DEFAULT ? "built in" : rule_level_name(level);
}

static const char *rule_name(const struct kept_verdict *verdict)
{
    return verdict->rule < rule_count ? rules[verdict->rule].name : "none";
}

/* A row for each door that keeps it out; the first is the one whose reference is given. */
static void note_doors(struct smtp_session *s, const struct judged_address *address, const struct ledger_place *place,
                       struct span reply)
{
    unsigned noted = 0;
    struct ledger_place more = {.reference = place->reference, .wants_row = true};
    for (size_t i = 0; i < address->count && noted < NOTED_DOORS_MAX; i++) {
        const struct judged *judged = address->by_door[i];
        StoreWrite__LedgerRow row;
        struct arena scratch;
        if (!judged || !judged_keeps_out(judged) || (noted && !ledger_lists_more(s->context->ledger)))
            continue;
        arena_init(&scratch, 64u << 10);
        if (ledger_row_judged(&s->attempt, &scratch, judged, false, reply, FACTS_MAX, &row) == 0)
            ledger_note(s->context->ledger, noted++ ? &more : place, &row);
        arena_release(&scratch);
    }
}

void smtp_judged_note(struct smtp_session *s, const struct judged_address *address,
                      const struct smtp_judged_reply *reply)
{
    struct buf line;
    if (!reply->place.wants_row || !s->context->ledger)
        return;
    buf_init(&line, 2 * sizeof reply->text);
    buf_printf(&line, "%u %s %s", reply->refusal.code, reply->refusal.enhanced, reply->text);
    note_doors(s, address, &reply->place, buf_span(&line));
    buf_release(&line);
}

void smtp_note_watched(struct smtp_session *s, const struct judged_address *address)
{
    unsigned noted = 0;
    for (size_t i = 0; i < address->count && noted < NOTED_DOORS_MAX; i++)
        if (address->by_door[i] && address->by_door[i]->watched_count) {
            ledger_note_watched(s->context->ledger, &s->attempt, address->by_door[i], (struct span){0});
            noted++;
        }
}

void smtp_judged_reply_make(struct smtp_session *s, const struct judged_address *address,
                            struct smtp_judged_reply *reply)
{
    const struct kept_verdict *verdict = judged_verdict(address->answer);
    const char *rule = rule_name(verdict);
    struct buf text;
    reply->refusal = (struct smtp_refusal){.what = address->wrong_passcode            ? SMTP_REFUSED_PASSCODE
                                                   : strcmp(rule, "return-path") == 0 ? SMTP_REFUSED_RETURN_PATH
                                                                                      : SMTP_REFUSED_RECIPIENT,
                                           .code = verdict->code,
                                           .enhanced = verdict->enhanced,
                                           .reason = reply->reason,
                                           .evidence = verdict->evidence,
                                           .recipient = address->recipient};
    snprintf(reply->reason, sizeof reply->reason, "rule %s (%s)", rule, level_words(verdict->level));
    reply->place = ledger_find_place(s->context->ledger, span_text(rule), &s->peer->ip, address->recipient);
    reply->refusal.is_counted = ledger_is_counted(&reply->place);
    buf_init(&text, sizeof reply->text - 1);
    judged_write_reply(&s->attempt, address->answer, reply->place.reference, &text);
    span_write_text(buf_span(&text), reply->text, sizeof reply->text);
    buf_release(&text);
    smtp_judged_note(s, address, reply);
}

/* To come again is what the grey list wants: nothing that anybody did wrong. */
static bool is_greylisted(const struct judged_address *address)
{
    return judged_verdict(address->answer)->rule == rule_find(span_text("greylist"));
}

static int refuse(struct fiber *self, struct smtp_session *s, const struct judged_address *address)
{
    struct smtp_judged_reply reply;
    smtp_judged_reply_make(s, address, &reply);
    smtp_note_watched(s, address);
    if (!is_greylisted(address))
        return smtp_refuse_reported(self, s, &reply.refusal, "%s", reply.text);
    log_write(LOG_LOW, "smtp", s->peer->session, "recipient put off: %s ip=%s from=%s rcpt=%s reply=%u", reply.reason,
              s->ip, log_quote(s->transaction.envelope.reverse_path), log_quote(address->recipient),
              reply.refusal.code);
    return smtp_reply(s, reply.refusal.code, reply.refusal.enhanced, "%s", reply.text);
}

/* ---- A recipient ---- */

/* One reply behind the final dot has to be true for all (doc/rules.md, "When the answer is given"). Members are never
 * sent away for that: what one of their recipients refuses goes to that one's folder. */
static bool fits_transaction(struct smtp_session *s, const struct judged_address *judged)
{
    const struct smtp_transaction *t = &s->transaction;
    if (t->mail.prdr || s->attempt.facts.standing != STANDING_STRANGER)
        return true;
    return !t->judged || judge_same_class(&s->attempt, t->judged, judged);
}

static int ask_to_come_again(struct smtp_session *s, const struct mail_path *path, const struct judged_address *judged)
{
    char who[65];
    struct smtp_refusal refusal = {.what = SMTP_REFUSED_RECIPIENT,
                                   .code = 452,
                                   .enhanced = "4.5.3",
                                   .reason =
                                       "other rules about content than those of the transaction's first recipient",
                                   .rule = "content-class",
                                   .recipient = judged->recipient};
    for (size_t i = 0; i < judged->count && !refusal.account_id; i++)
        refusal.account_id = judged->by_door[i] ? judged->by_door[i]->door->account_id : 0;
    smtp_printable(span_head(path->local_part, sizeof who - 1), who, sizeof who);
    log_write(
        LOG_LOW, "smtp", s->peer->session,
        "recipient put off: other rules about content than those of the first one ip=%s from=%s rcpt=%s reply=452",
        s->ip, log_quote(s->transaction.envelope.reverse_path), log_quote(path->text));
    return smtp_put_off(s, &refusal,
                        "One at a time, please: %s's mail is checked by other rules. Try this one again at once", who);
}

/* Somebody of ours, or an address of ours that leads to somebody: not what a member sends to another site. */
static bool is_ours(const struct intake_route *route)
{
    return route->kind == INTAKE_ROUTE_LOCAL && !route->is_relayed;
}

int smtp_judge(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
               const struct intake_route *route, struct judged_address **judged)
{
    if (!is_ours(route)) {
        *judged = judge_nobody(&s->attempt, &rcpt->path);
        return *judged ? 1 : smtp_refuse_internal(s, "no memory for a recipient", -ENOMEM);
    }
    /* The process may have got a new one since the last recipient. */
    s->attempt.blacklist = s->context->blacklist;
    int error = judge_address(self, &s->attempt, &rcpt->path, rcpt->passcode, route, judged);
    if (error) {
        smtp_refuse_internal(s, "a recipient could not be judged", error);
        return error == -ECANCELED ? error : 0;
    }
    if (!(*judged)->is_taken)
        return refuse(self, s, *judged);
    return fits_transaction(s, *judged) ? 1 : ask_to_come_again(s, &rcpt->path, *judged);
}
