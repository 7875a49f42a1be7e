#include "smtp/judgement.h"

#include "base/log.h"
#include "facts/ledger.h"
#include "facts/ledger_row.h"
#include "smtp/refusal.h"

#include <errno.h>
#include <stdio.h>

#define ADDRESS_TEXT_MAX 1024
#define REPLY_TEXT_MAX 480
#define FACTS_MAX (8u << 10) /* of a refused attempt, in the ledger */

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

int smtp_judge_sender(struct smtp_session *s)
{
    const struct smtp_transaction *t = &s->transaction;
    struct facts *facts = &s->attempt.facts;
    facts->standing = standing_of(s);
    facts->helo = s->helo;
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

/* How the log, the watch and auth are told. */
static struct smtp_refusal describe(const struct judged_address *address, char reason[80])
{
    const struct kept_verdict *verdict = judged_verdict(address->answer);
    const char *rule = verdict->rule < rule_count ? rules[verdict->rule].name : "none";
    snprintf(reason, 80, "rule %s (%s)", rule, level_words(verdict->level));
    return (struct smtp_refusal){.what = address->wrong_passcode            ? SMTP_REFUSED_PASSCODE
                                         : strcmp(rule, "return-path") == 0 ? SMTP_REFUSED_RETURN_PATH
                                                                            : SMTP_REFUSED_RECIPIENT,
                                 .code = verdict->code,
                                 .enhanced = verdict->enhanced,
                                 .reason = reason,
                                 .evidence = verdict->evidence,
                                 .recipient = address->recipient};
}

/* To come again is what the grey list wants: nothing that anybody did wrong. */
static bool is_greylisted(const struct judged_address *address)
{
    return judged_verdict(address->answer)->rule == rule_find(span_text("greylist"));
}

static void note(struct smtp_session *s, const struct judged_address *address, const struct ledger_place *place,
                 const struct smtp_refusal *refusal, struct span text)
{
    StoreWrite__LedgerRow row;
    struct arena scratch;
    struct buf reply;
    if (!place->wants_row || !s->context->ledger)
        return;
    arena_init(&scratch, 64u << 10);
    buf_init(&reply, 2 * REPLY_TEXT_MAX);
    buf_printf(&reply, "%u %s ", refusal->code, refusal->enhanced);
    buf_add_span(&reply, text);
    if (ledger_row_judged(&s->attempt, &scratch, address->answer, buf_span(&reply), FACTS_MAX, &row) == 0)
        ledger_note(s->context->ledger, place, &row);
    buf_release(&reply);
    arena_release(&scratch);
}

static int refuse(struct fiber *self, struct smtp_session *s, const struct judged_address *address)
{
    char reason[80];
    const struct smtp_refusal refusal = describe(address, reason);
    const struct ledger_place place =
        ledger_find_place(s->context->ledger, span_text(rules[judged_verdict(address->answer)->rule].name),
                          &s->peer->ip, address->recipient);
    struct buf text;
    int result = 0;
    buf_init(&text, REPLY_TEXT_MAX);
    judged_write_reply(&s->attempt, address->answer, place.reference, &text);
    note(s, address, &place, &refusal, buf_span(&text));
    if (is_greylisted(address)) {
        log_write(LOG_LOW, "smtp", s->peer->session, "recipient put off: %s ip=%s from=%s rcpt=%s reply=%u", reason,
                  s->ip, log_quote(s->transaction.envelope.reverse_path), log_quote(address->recipient), refusal.code);
        smtp_reply(s, refusal.code, refusal.enhanced, "%.*s", SPAN_ARG(buf_span(&text)));
    } else {
        result = smtp_refuse_reported(self, s, &refusal, "%.*s", SPAN_ARG(buf_span(&text)));
    }
    buf_release(&text);
    return result;
}

/* Somebody of ours, or an address of ours that leads to somebody: not what a member sends to another site. */
static bool is_ours(const struct intake_route *route)
{
    return route->kind == INTAKE_ROUTE_LOCAL && !route->is_relayed;
}

int smtp_judge(struct fiber *self, struct smtp_session *s, const struct smtp_rcpt *rcpt,
               const struct intake_route *route, struct judged_address **judged)
{
    if (!is_ours(route))
        return 1;
    /* The process may have got a new one since the last recipient. */
    s->attempt.blacklist = s->context->blacklist;
    int error = judge_address(self, &s->attempt, &rcpt->path, rcpt->passcode, route, judged);
    if (error) {
        smtp_refuse_internal(s, "a recipient could not be judged", error);
        return error == -ECANCELED ? error : 0;
    }
    return (*judged)->is_taken ? 1 : refuse(self, s, *judged);
}
