#include "pop3/session.h"

#include "pop3/state.h"

#include <errno.h>
#include <sys/random.h>

#define HANDSHAKE_SECONDS 60
#define CLOSE_SECONDS 10
#define TURN_COMMANDS 64 /* of one session before the others have their turn */
#define ACCOUNT_MAX 512

static const struct row {
    pop3_handler *handle;
    unsigned states; /* in which it is allowed */
} commands[POP3_UNKNOWN] = {
    [POP3_USER] = {pop3_do_user, POP3_AUTHORIZATION},
    [POP3_PASS] = {pop3_do_pass, POP3_AUTHORIZATION},
    [POP3_APOP] = {pop3_do_apop, POP3_AUTHORIZATION},
    [POP3_AUTH] = {pop3_do_auth, POP3_AUTHORIZATION},
    [POP3_STLS] = {pop3_do_stls, POP3_AUTHORIZATION},
    [POP3_UTF8] = {pop3_do_utf8, POP3_AUTHORIZATION},
    [POP3_CAPA] = {pop3_do_capa, POP3_AUTHORIZATION | POP3_TRANSACTION},
    [POP3_LANG] = {pop3_do_lang, POP3_AUTHORIZATION | POP3_TRANSACTION},
    [POP3_QUIT] = {pop3_do_quit, POP3_AUTHORIZATION | POP3_TRANSACTION},
    [POP3_STAT] = {pop3_do_stat, POP3_TRANSACTION},
    [POP3_LIST] = {pop3_do_list, POP3_TRANSACTION},
    [POP3_UIDL] = {pop3_do_uidl, POP3_TRANSACTION},
    [POP3_RETR] = {pop3_do_retr, POP3_TRANSACTION},
    [POP3_TOP] = {pop3_do_top, POP3_TRANSACTION},
    [POP3_DELE] = {pop3_do_dele, POP3_TRANSACTION},
    [POP3_RSET] = {pop3_do_rset, POP3_TRANSACTION},
    [POP3_NOOP] = {pop3_do_noop, POP3_TRANSACTION},
    [POP3_XTND] = {pop3_do_xtnd, POP3_TRANSACTION},
};

/* RFC 1939 section 7, APOP: in the form of a message-id, never the same twice. */
static int make_timestamp(struct pop3_session *s)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    buf_printf(&s->timestamp, "<%016llx%016llx@%s>", (unsigned long long)random[0], (unsigned long long)random[1],
               s->settings->hostname);
    return buf_failed(&s->timestamp) ? -ENOMEM : 0;
}

static int greet(struct fiber *self, struct pop3_session *s)
{
    if (s->peer->implicit_tls) {
        if (!s->context->tls)
            return -ENOTSUP;
        struct tls_context *tls = tls_context_ref(s->context->tls);
        int result = stream_accept_tls(self, s->stream, tls, clock_in_seconds(HANDSHAKE_SECONDS));
        tls_context_unref(tls);
        if (result)
            return result;
    }
    if (s->settings->pop3.apop) {
        int result = make_timestamp(s);
        if (result)
            return result;
    }
    pop3_ok(s, "%s Ostiary POP3 ready%s%.*s", s->settings->hostname, s->timestamp.size ? " " : "",
            SPAN_ARG(buf_span(&s->timestamp)));
    return 0;
}

static int dispatch(struct fiber *self, struct pop3_session *s, struct span line)
{
    struct pop3_command command;
    const char *problem = pop3_command_parse(line, &command);
    if (problem) {
        pop3_wrong(s, "%s", problem);
        return 0;
    }
    const struct row *row = command.verb < POP3_UNKNOWN ? &commands[command.verb] : NULL;
    if (!row || !row->handle) {
        pop3_wrong(s, "no such command");
        return 0;
    }
    if (!(row->states & s->state)) {
        pop3_wrong(s, "%s comes %s login", pop3_verb_name(command.verb),
                   s->state == POP3_AUTHORIZATION ? "after" : "before");
        return 0;
    }
    return row->handle(self, s, &command);
}

static bool is_stopping(const struct pop3_session *s)
{
    return s->context->stopping && *s->context->stopping && !stream_has_input(s->stream);
}

static int serve_line(struct fiber *self, struct pop3_session *s)
{
    struct span line;
    int result =
        is_stopping(s) ? -ECANCELED : stream_read_line(self, s->stream, POP3_LINE_MAX, &line, pop3_line_deadline(s));
    if (result == -ECANCELED) {
        /* Between commands: what was asked for is answered whole. */
        bool is_crowded = stream_is_crowded_out(s->stream);
        pop3_error(s, "[SYS/TEMP] %s %s", s->settings->hostname,
                   is_crowded ? "has too many connections, and this one keeps it waiting; please come back later"
                              : "is going down, please come back in a minute");
        pop3_close(s, is_crowded ? "its place was needed" : "the server stops");
        return 0;
    }
    if (result == -EMSGSIZE) {
        pop3_wrong(s, "the line is longer than %d octets", POP3_LINE_MAX);
        result = 0;
    } else if (!result) {
        result = dispatch(self, s, line);
    }
    if (!result && s->state != POP3_CLOSING && s->errors > s->settings->pop3.errors) {
        pop3_error(s, "too many errors, closing");
        pop3_close(s, "too many errors");
    }
    return result ? result : pop3_flush_some(self, s);
}

static int serve(struct fiber *self, struct pop3_session *s)
{
    int result = greet(self, s);
    for (unsigned n = 1; !result && s->state != POP3_CLOSING; n++) {
        result = serve_line(self, s);
        if (!result && n % TURN_COMMANDS == 0)
            result = fiber_yield(self);
    }
    return result;
}

static bool has_tls_problem(const struct pop3_session *s)
{
    return strncmp(stream_problem(s->stream), "TLS:", 4) == 0;
}

static const char *end_reason(const struct pop3_session *s, int error)
{
    if (s->end)
        return s->end;
    switch (error) {
    case -ETIMEDOUT:
        return s->state == POP3_AUTHORIZATION ? "no login in time" : "idle for too long";
    case -ENODATA:
    case -ECONNRESET:
    case -EPIPE:
        return has_tls_problem(s) ? "TLS failed" : "the client went away";
    case -ECANCELED:
        return stream_is_crowded_out(s->stream) ? "its place was needed" : "the server stops";
    default:
        return strerror(-error);
    }
}

/* Who never tried to log in, as port probes do, is everyday life. */
static void log_end(const struct pop3_session *s, int error)
{
    bool is_tls = error && has_tls_problem(s);
    bool is_nothing = s->account.size == 0 && s->failures == 0 && s->errors == 0 && !is_tls;
    log_write(is_nothing ? LOG_ALL : LOG_LOW, "pop3", s->peer->session_id,
              "end account=%s ip=%s retrieved=%llu deleted=%u octets=%llu reason=\"%s\"%s%s",
              s->account.size ? log_quote(buf_span(&s->account)) : "-", s->peer->address,
              (unsigned long long)s->retrieved, s->expunged, (unsigned long long)s->octets, end_reason(s, error),
              is_tls ? " problem=" : "", is_tls ? log_quote(span_text(stream_problem(s->stream))) : "");
}

static void session_init(struct pop3_session *s, struct fiber *self, struct stream *stream,
                         struct pop3_context *context, const struct pop3_peer *peer)
{
    *s = (struct pop3_session){.stream = stream, .context = context, .peer = peer, .state = POP3_AUTHORIZATION};
    s->settings = settings_ref(context->settings);
    s->login_deadline = clock_in_seconds(s->settings->pop3.login_timeout);
    buf_init(&s->user, POP3_LINE_MAX);
    buf_init(&s->timestamp, ACCOUNT_MAX);
    buf_init(&s->account, ACCOUNT_MAX);
    pop3_fetch_init(&s->fetch, fiber_loop(self));
    context->counters.sessions++;
}

static void session_release(struct pop3_session *s)
{
    struct pop3_counters *counters = &s->context->counters;
    counters->retrieved += s->retrieved;
    counters->deleted += s->expunged;
    counters->octets += s->octets;
    pop3_fetch_release(&s->fetch);
    pop3_maildrop_release(&s->maildrop);
    buf_release(&s->user);
    buf_release(&s->timestamp);
    buf_release(&s->account);
    explicit_bzero(s->grant, sizeof s->grant);
    settings_unref(s->settings);
}

void pop3_session_run(struct fiber *self, struct stream *stream, struct pop3_context *context,
                      const struct pop3_peer *peer)
{
    struct pop3_session s;
    session_init(&s, self, stream, context, peer);
    log_write(LOG_ALL, "pop3", peer->session_id, "connected ip=%s", peer->address);
    int error = serve(self, &s);
    log_end(&s, error);
    /* Who closed the sending side still gets its replies. After any other error nothing more is said: RFC 1939 section
     * 3 for the time-out, and half a message must not look whole. */
    if (!error || error == -ENODATA)
        stream_close(self, stream, false, clock_in_seconds(CLOSE_SECONDS));
    session_release(&s);
}
