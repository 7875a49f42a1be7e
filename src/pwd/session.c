#include "pwd/state.h"

#include <errno.h>

#define CLOSE_SECONDS 10
#define COMMANDS_MAX 100 /* of a session; a change takes four */
#define ACCOUNT_MAX 512

/* ---- Replies ---- */

__attribute__((format(printf, 3, 0))) static void write_reply(struct pwd_session *s, const char *code,
                                                              const char *format, va_list args)
{
    struct buf *out = stream_output(s->stream);
    buf_add_text(out, code);
    buf_vprintf(out, format, args);
    buf_add_text(out, "\r\n");
}

void pwd_reply(struct pwd_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "", format, args);
    va_end(args);
}

void pwd_refuse(struct pwd_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "500 ", format, args);
    va_end(args);
    session_note_refused(s->peer->board);
}

void pwd_wrong(struct pwd_session *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_reply(s, "500 ", format, args);
    va_end(args);
    session_note_refused(s->peer->board);
    s->errors++;
}

void pwd_close(struct pwd_session *s, const char *why)
{
    s->is_closing = true;
    s->end = why;
}

void pwd_log_out(struct pwd_session *s)
{
    buf_reset(&s->account);
    explicit_bzero(s->grant, sizeof s->grant);
    session_note_account(s->peer->board, 0, (struct span){NULL, 0});
}

/* ---- Who may ---- */

static bool is_trusted(const struct pwd_session *s)
{
    return network_list_has(&s->settings->trusted_networks, s->peer->address_bytes);
}

/* Our own clients' networks. */
static bool is_in_networks(const struct pwd_session *s)
{
    return network_list_has(&s->settings->pwd.networks, s->peer->address_bytes) ||
           network_list_has(&s->settings->client_networks, s->peer->address_bytes);
}

bool pwd_is_secure(const struct pwd_session *s)
{
    return stream_is_tls(s->stream) || is_trusted(s) || (s->settings->pwd.plain && is_in_networks(s));
}

/* ---- Commands ---- */

static int accept_tls(struct fiber *self, struct pwd_session *s)
{
    if (!s->context->tls)
        return -ENOTSUP;
    struct tls_context *tls = tls_context_ref(s->context->tls);
    int result = stream_accept_tls(self, s->stream, tls, clock_in_seconds(s->settings->pwd.idle_timeout));
    tls_context_unref(tls);
    return result;
}

static int do_stls(struct fiber *self, struct pwd_session *s, struct span argument)
{
    (void)argument;
    if (stream_is_tls(s->stream)) {
        pwd_wrong(s, "TLS is on already");
        return 0;
    }
    if (!s->context->tls) {
        pwd_wrong(s, "TLS is not set up on this server");
        return 0;
    }
    pwd_reply(s, "200 begin TLS");
    /* What was learnt in the clear may have been put there by somebody else. */
    buf_reset(&s->user);
    pwd_log_out(s);
    return accept_tls(self, s);
}

static int do_quit(struct fiber *self, struct pwd_session *s, struct span argument)
{
    (void)self, (void)argument;
    pwd_reply(s, "200 bye");
    pwd_close(s, "quit");
    return 0;
}

static pwd_handler *const handlers[PWD_UNKNOWN] = {
    [PWD_USER] = pwd_do_user, [PWD_PASS] = pwd_do_pass, [PWD_NEWPASS] = pwd_do_newpass,
    [PWD_STLS] = do_stls,     [PWD_QUIT] = do_quit,
};

static int dispatch(struct fiber *self, struct pwd_session *s, struct span line)
{
    struct pwd_command command;
    const char *problem = pwd_command_parse(line, &command);
    if (problem)
        pwd_wrong(s, "%s", problem);
    else if (command.verb == PWD_UNKNOWN)
        pwd_wrong(s, "no such command");
    else
        return handlers[command.verb](self, s, command.argument);
    return 0;
}

/* ---- The session ---- */

static bool is_stopping(const struct pwd_session *s)
{
    return s->context->stopping && *s->context->stopping && !stream_has_input(s->stream);
}

static int serve_line(struct fiber *self, struct pwd_session *s)
{
    char copy[PWD_LINE_MAX];
    struct span line;
    uint64_t deadline = clock_in_seconds(s->settings->pwd.idle_timeout);
    int result = is_stopping(s) ? -ECANCELED : stream_read_line(self, s->stream, PWD_LINE_MAX, &line, deadline);
    if (result == -ECANCELED) {
        bool is_crowded = stream_is_crowded_out(s->stream);
        pwd_refuse(s, "%s %s", s->settings->hostname,
                   is_crowded ? "has too many connections, and this one keeps it waiting; please come back later"
                              : "is going down, please come back in a minute");
        pwd_close(s, is_crowded ? "its place was needed" : "the server stops");
        return 0;
    }
    if (result == -EMSGSIZE) {
        pwd_wrong(s, "the line is longer than %d octets", PWD_LINE_MAX);
        result = 0;
    } else if (!result) {
        /* The line's bytes are the stream's, consumed already, and may hold a password: here both copies of it end. */
        size_t size = line.size;
        if (size) {
            memcpy(copy, line.data, size);
            explicit_bzero((char *)(uintptr_t)line.data, size);
        }
        result = dispatch(self, s, span_from(copy, size));
        explicit_bzero(copy, size);
    }
    if (!result && !s->is_closing && s->errors > s->settings->pwd.errors) {
        pwd_refuse(s, "too many errors, closing");
        pwd_close(s, "too many errors");
    }
    return result;
}

static int serve(struct fiber *self, struct pwd_session *s)
{
    int result = s->peer->implicit_tls ? accept_tls(self, s) : 0;
    if (result)
        return result;
    if (!is_in_networks(s) && !is_trusted(s)) {
        log_write(LOG_FAILURE, "pwd", s->peer->session_id,
                  "connection refused ip=%s reason=\"not in pwd.networks or client_networks\"", s->peer->address);
        pwd_refuse(s, "passwords are not changed from where you are");
        pwd_close(s, "not in pwd.networks or client_networks");
        return 0;
    }
    pwd_reply(s, "200 %s Ostiary PWD ready", s->settings->hostname);
    for (unsigned n = 0; !result && !s->is_closing; n++) {
        if (n < COMMANDS_MAX) {
            result = serve_line(self, s);
        } else {
            pwd_refuse(s, "too many commands, closing");
            pwd_close(s, "too many commands");
        }
    }
    return result;
}

static const char *end_reason(const struct pwd_session *s, int error)
{
    if (s->end)
        return s->end;
    switch (error) {
    case -ETIMEDOUT:
        return "idle for too long";
    case -ENODATA:
    case -ECONNRESET:
    case -EPIPE:
        return strncmp(stream_problem(s->stream), "TLS:", 4) == 0 ? stream_problem(s->stream) : "the client went away";
    case -ECANCELED:
        return stream_is_crowded_out(s->stream) ? "its place was needed" : "the server stops";
    default:
        return strerror(-error);
    }
}

static void session_init(struct pwd_session *s, struct stream *stream, const struct pwd_context *context,
                         const struct pwd_peer *peer)
{
    *s = (struct pwd_session){.stream = stream, .context = context, .peer = peer};
    s->settings = settings_ref(context->settings);
    buf_init(&s->user, PWD_LINE_MAX);
    buf_init(&s->account, ACCOUNT_MAX);
}

static void session_release(struct pwd_session *s)
{
    pwd_log_out(s);
    buf_release(&s->user);
    buf_release(&s->account);
    settings_unref(s->settings);
}

void pwd_session_run(struct fiber *self, struct stream *stream, const struct pwd_context *context,
                     const struct pwd_peer *peer)
{
    struct pwd_session s;
    session_init(&s, stream, context, peer);
    log_write(LOG_ALL, "pwd", peer->session_id, "connected ip=%s", peer->address);
    int error = serve(self, &s);
    /* Auth tells of each change and each refusal. */
    log_write(LOG_ALL, "pwd", peer->session_id, "end ip=%s changed=%u reason=%s", peer->address, s.changes,
              log_quote(span_text(end_reason(&s, error))));
    /* Who closed the sending side still gets its replies. */
    if (!error || error == -ENODATA)
        stream_close(self, stream, false, clock_in_seconds(CLOSE_SECONDS));
    session_release(&s);
}
