#include "smtp/session.h"

#include "base/log.h"
#include "facts/pregreet.h"
#include "run/tls.h"
#include "smtp/judgement.h"
#include "smtp/session_internal.h"

#include <errno.h>
#include <stdio.h>

#define COMMAND_LINE_MAX 4096          /* RFC 5321's 512 octets and what the extensions' parameters add */
#define CONNECTION_MEMORY (320u << 10) /* the text of WHOIS is most of it */
#define TRANSACTION_MEMORY (16u << 20) /* recipients and their parameters; the body has limits of its own */

/* ---- What may be said when ---- */

enum {
    NEEDS_HELO = 1,
    NEEDS_MEMBER = 2, /* on the member services: AUTH came before */
    NOT_IN_MAIL = 4,  /* not while a transaction is open */
    NEEDS_MAIL = 8,
    NOT_IN_CHUNKS = 16, /* not between BDAT chunks: RFC 3030 section 2 */
};

static const struct {
    smtp_handler *handle;
    unsigned conditions;
} commands[] = {
    [SMTP_HELO] = {smtp_handle_helo, 0},
    [SMTP_EHLO] = {smtp_handle_ehlo, 0},
    [SMTP_MAIL] = {smtp_handle_mail, NEEDS_HELO | NEEDS_MEMBER | NOT_IN_MAIL},
    [SMTP_RCPT] = {smtp_handle_rcpt, NEEDS_HELO | NEEDS_MEMBER | NEEDS_MAIL | NOT_IN_CHUNKS},
    [SMTP_DATA] = {smtp_handle_data, NEEDS_HELO | NEEDS_MEMBER | NEEDS_MAIL | NOT_IN_CHUNKS},
    /* BDAT's octets follow at once whatever we think of it, so it does its own checks after swallowing them. */
    [SMTP_BDAT] = {smtp_handle_bdat, 0},
    [SMTP_RSET] = {smtp_handle_rset, 0},
    [SMTP_NOOP] = {smtp_handle_noop, 0},
    [SMTP_VRFY] = {smtp_handle_vrfy, NEEDS_HELO | NEEDS_MEMBER},
    [SMTP_EXPN] = {smtp_handle_expn, NEEDS_HELO | NEEDS_MEMBER},
    [SMTP_HELP] = {smtp_handle_help, 0},
    [SMTP_QUIT] = {smtp_handle_quit, 0},
    [SMTP_STARTTLS] = {smtp_handle_starttls, NEEDS_HELO | NOT_IN_MAIL},
    [SMTP_AUTH] = {smtp_handle_auth, NEEDS_HELO | NOT_IN_MAIL},
};

static const struct smtp_problem need_helo = {503, "5.5.1", "Please say HELO or EHLO first"};
static const struct smtp_problem need_member = {530, "5.7.0", "Authentication required"};
static const struct smtp_problem in_mail = {503, "5.5.1", "Not within a mail transaction; RSET ends it"};
static const struct smtp_problem need_mail = {503, "5.5.1", "Please say MAIL FROM first"};
static const struct smtp_problem in_chunks = {503, "5.5.1", "Not between BDAT chunks; RSET gives the message up"};

static const struct smtp_problem *check_state(const struct smtp_session *s, unsigned conditions)
{
    if (conditions & NEEDS_HELO && s->helo.size == 0)
        return &need_helo;
    if (conditions & NEEDS_MEMBER && smtp_is_member_service(s) && !s->account_id)
        return &need_member;
    if (conditions & NOT_IN_MAIL && s->transaction.open)
        return &in_mail;
    if (conditions & NEEDS_MAIL && !s->transaction.open)
        return &need_mail;
    if (conditions & NOT_IN_CHUNKS && s->transaction.in_chunks)
        return &in_chunks;
    return NULL;
}

struct smtp_abilities smtp_abilities(const struct smtp_session *s)
{
    return (struct smtp_abilities){
        .size = s->is_esmtp,
        .size_max = s->settings->smtp.message_size,
        .eight_bit_mime = s->is_esmtp,
        .smtputf8 = s->is_esmtp,
        .dsn = s->is_esmtp,
        .prdr = s->is_esmtp,
        .auth = s->is_esmtp && smtp_is_member_service(s),
    };
}

uint64_t smtp_deadline(const struct smtp_session *s, uint64_t seconds)
{
    uint64_t deadline = clock_in_seconds(seconds);
    return deadline < s->ends_at ? deadline : s->ends_at;
}

static void transaction_init(struct smtp_transaction *t)
{
    arena_init(&t->arena, TRANSACTION_MEMORY);
    envelope_init(&t->envelope);
    reception_init(&t->reception);
    t->last_judged = &t->judged;
}

void smtp_transaction_reset(struct smtp_session *s)
{
    struct smtp_transaction *t = &s->transaction;
    struct arena arena = t->arena;
    arena_reset(&arena);
    reception_release(&t->reception);
    *t = (struct smtp_transaction){0};
    transaction_init(t);
    t->arena = arena;
    facts_end_transaction(&s->attempt.facts);
}

void smtp_forget_client(struct smtp_session *s)
{
    smtp_transaction_reset(s);
    s->helo = (struct span){0};
    s->is_esmtp = false;
    s->account_id = 0;
    s->account_address = (struct span){0};
    explicit_bzero(s->grant, sizeof s->grant);
    s->grant_size = 0;
}

static int handle_line(struct fiber *self, struct smtp_session *s, struct span line)
{
    struct smtp_command command;
    const struct smtp_problem *problem = smtp_command_parse(line, &command);
    if (problem)
        return smtp_refuse_problem(s, problem);
    if (command.verb == SMTP_UNKNOWN)
        return smtp_refuse(s, 500, "5.5.1", "Unknown command; HELP lists those we know");
    problem = check_state(s, commands[command.verb].conditions);
    if (problem) {
        if (problem == &need_member)
            log_write(LOG_FAILURE, "smtp", s->peer->session, "command refused: not authenticated ip=%s", s->ip);
        return smtp_refuse_problem(s, problem);
    }
    return commands[command.verb].handle(self, s, &command);
}

/* The end of a session without QUIT. Clients that merely hang up, as port probes do, are everyday life; one that leaves
 * in the middle of a transaction, or can't agree on TLS, is what somebody looks for in the log. */
static void log_end(const struct smtp_session *s, int error)
{
    const char *problem = stream_problem(s->stream), *reason = strerror(-error);
    bool is_tls = strncmp(problem, "TLS:", 4) == 0;
    bool is_gone = error == -ENODATA || error == -ECONNRESET || error == -EPIPE;
    if (is_tls)
        reason = "TLS failed";
    else if (is_gone)
        reason = "the client went away";
    else if (error == -ETIMEDOUT)
        reason = "time is up";
    else if (error == -ECANCELED)
        reason = stream_is_crowded_out(s->stream) ? "its place was needed" : "the server stops";
    bool in_hand = s->transaction.open;
    log_write(is_gone && !is_tls && !in_hand ? LOG_ALL : LOG_LOW, "smtp", s->peer->session,
              "session ended: %s service=%s ip=%s%s%s%s%s", reason, service_kind_name(s->peer->service), s->ip,
              in_hand ? " from=" : "", in_hand ? log_quote(s->transaction.envelope.reverse_path) : "",
              is_tls ? " problem=" : "", is_tls ? log_quote(span_text(problem)) : "");
}

/* Why the connection ended without QUIT: told to the client where it can still hear it. */
static void say_goodbye(struct fiber *self, struct smtp_session *s, int error)
{
    const char *hostname = s->settings->hostname;
    if (error == -ETIMEDOUT)
        smtp_reply(s, 421, "4.4.2", "%s Time is up, goodbye", hostname);
    else if (error == -ECANCELED && stream_is_crowded_out(s->stream))
        smtp_reply(s, 421, "4.3.2",
                   "%s has too many connections, and this one keeps it waiting; please come back later", hostname);
    else if (error == -ECANCELED)
        smtp_reply(s, 421, "4.3.2", "%s is going down, please come back in a minute", hostname);
    if (error)
        log_end(s, error);
    stream_close(self, s->stream, s->said_quit, clock_in_seconds(5));
}

static int run_commands(struct fiber *self, struct smtp_session *s)
{
    int error = 0;
    while (!error && !s->closing) {
        struct span line;
        if (s->context->stopping && *s->context->stopping && !stream_has_input(s->stream))
            return -ECANCELED;
        error = stream_read_line(self, s->stream, COMMAND_LINE_MAX, &line,
                                 smtp_deadline(s, s->settings->smtp.command_timeout));
        if (error == -EMSGSIZE)
            error = smtp_refuse(s, 500, "5.5.2", "Line too long: at most %d octets, please", COMMAND_LINE_MAX);
        else if (!error)
            error = handle_line(self, s, line);
    }
    return error;
}

/* A stranger who speaks before the greeting: held back for a moment where somebody's rule wants to know. */
static int look_for_haste(struct fiber *self, struct smtp_session *s)
{
    struct pregreet *pregreet = s->context->facts->pregreet;
    if (s->peer->service != SERVICE_SMTP || s->is_client_network || !pregreet_is_wanted(pregreet, &s->peer->ip))
        return 0;
    int error = stream_overhear(self, s->stream, smtp_deadline(s, PREGREET_WAIT_SECONDS));
    if (error == 0)
        s->attempt.facts.spoke_early = true;
    else if (error == -ETIMEDOUT)
        pregreet_note_polite(pregreet, &s->peer->ip);
    return error == -ETIMEDOUT ? 0 : error;
}

static int begin(struct fiber *self, struct smtp_session *s)
{
    if (s->peer->service == SERVICE_SUBMISSIONS) {
        if (!s->tls)
            return -ENOTSUP;
        int error = stream_accept_tls(self, s->stream, s->tls, smtp_deadline(s, s->settings->smtp.command_timeout));
        if (error)
            return error;
    }
    int error = look_for_haste(self, s);
    if (error)
        return error;
    /* No enhanced code in a greeting: RFC 2034 section 3. */
    return smtp_reply(s, 220, "", "%s ESMTP Ostiary", s->settings->hostname);
}

void smtp_session_run(struct fiber *self, struct stream *stream, const struct smtp_context *context,
                      const struct smtp_peer *peer)
{
    struct smtp_session s = {
        .context = context,
        .peer = peer,
        .settings = settings_ref(context->settings),
        .tls = context->tls ? tls_context_ref(context->tls) : NULL,
        .intake = {context->peers, context->settings, context->routes},
        .stream = stream,
        .ends_at = clock_in_seconds(context->settings->smtp.session_timeout),
        .is_client_network = network_list_has(&context->settings->client_networks, peer->ip.bytes),
        .trusted = network_list_has(&context->settings->trusted_networks, peer->ip.bytes),
    };
    struct buf ip = {.limit = sizeof s.ip};
    ip_address_write(&peer->ip, &ip);
    span_write_text(buf_span(&ip), s.ip, sizeof s.ip);
    buf_release(&ip);
    arena_init(&s.arena, CONNECTION_MEMORY);
    transaction_init(&s.transaction);
    smtp_judge_begin(&s);

    log_write(LOG_ALL, "smtp", peer->session, "connected service=%s ip=%s", service_kind_name(peer->service), s.ip);
    int error = begin(self, &s);
    if (!error)
        error = run_commands(self, &s);
    say_goodbye(self, &s, error);

    smtp_forget_client(&s);
    arena_release(&s.transaction.arena);
    arena_release(&s.arena);
    if (s.tls)
        tls_context_unref(s.tls);
    settings_unref(s.settings);
}

const char *smtp_refusal_too_many_from_address(void)
{
    return "421 4.7.0 Too many connections from your address, please try again later\r\n";
}

const char *smtp_refusal_busy(void)
{
    return "421 4.3.2 Too many connections, please try again later\r\n";
}
