#include "deliver/connection.h"

#include "base/clock.h"
#include "run/endpoint.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define RESOLVER_SECONDS 20
#define PASSED_OVER_SECONDS 60

/* How a host was tried. */
enum attempt {
    ATTEMPT_OPEN,
    ATTEMPT_NEXT,    /* another may do */
    ATTEMPT_REFUSED, /* the same, but this one refused for good */
    ATTEMPT_FAILED,  /* none is to be tried: canceled */
    ATTEMPT_LOOP,
    ATTEMPT_IN_THE_CLEAR, /* the same once more, without TLS */
};

struct verdict verdict_of_smtp_reply(enum verdict_stage stage, const struct smtp_reply *reply, bool others)
{
    char enhanced[24] = "";
    if (reply->enhanced.klass)
        snprintf(enhanced, sizeof enhanced, "%u.%u.%u", reply->enhanced.klass, reply->enhanced.subject,
                 reply->enhanced.detail);
    return verdict_of_reply(stage, reply->code, span_text(enhanced), others);
}

/* ---- Why not ---- */

static void note_trouble(struct connection *conn, enum verdict_trouble trouble, const char *what)
{
    conn->verdict = verdict_of_trouble(trouble);
    conn->is_loop = trouble == TROUBLE_LOOP;
    conn->failed_host[0] = 0;
    snprintf(conn->reply, sizeof conn->reply, "%s%s%s", verdict_trouble_text(trouble), what[0] ? ": " : "", what);
}

static void note_reply(struct connection *conn, enum verdict_stage stage, const struct smtp_reply *reply)
{
    struct buf text;
    buf_init(&text, sizeof conn->reply - 1);
    conn->verdict = verdict_of_smtp_reply(stage, reply, false);
    smtp_reply_write(reply, &text);
    snprintf(conn->failed_host, sizeof conn->failed_host, "%s", conn->host->name);
    span_write_text(buf_span(&text), conn->reply, sizeof conn->reply);
    buf_release(&text);
}

/* It is passed over from now on; others are told what this one heard. */
static void host_is_down(struct connection *conn)
{
    struct host *host = conn->host;
    host->is_down = true;
    host->verdict = conn->verdict;
    host->is_theirs = conn->failed_host[0] != 0;
    snprintf(host->words, sizeof host->words, "%.*s", (int)sizeof host->words - 1, conn->reply);
}

static void note_down(struct connection *conn)
{
    conn->verdict = conn->host->verdict;
    snprintf(conn->failed_host, sizeof conn->failed_host, "%s", conn->host->is_theirs ? conn->host->name : "");
    snprintf(conn->reply, sizeof conn->reply, "%s", conn->host->words);
}

void connection_sent_away(struct connection *conn)
{
    note_reply(conn, VERDICT_AT_MAIL, &conn->client.reply);
    host_is_down(conn);
}

bool connection_pass_over(struct connection *conn, struct site *site)
{
    bool has_other = false;
    for (size_t i = 0; i < conn->list->count; i++)
        has_other |= &conn->list->hosts[i] != conn->host && !conn->list->hosts[i].is_down;
    if (!has_other)
        return false;
    note_trouble(conn, TROUBLE_LOST, smtp_client_problem(&conn->client));
    host_is_down(conn);
    /* The wait was long: a list that was found meanwhile begins with this host again. */
    conn->list->until = clock_in_seconds(PASSED_OVER_SECONDS);
    host_list_unref(site->hosts);
    site->hosts = host_list_ref(conn->list);
    return true;
}

static void log_attempt(const struct connection *conn, const char *what)
{
    struct buf ip;
    buf_init(&ip, IP_ADDRESS_TEXT_MAX + 1);
    ip_address_write(&conn->host->ip, &ip);
    log_write(LOG_PROBLEM, "courier", NULL, "%s host=%s ip=%.*s port=%u problem=%s", what,
              log_quote(span_text(conn->host->name)), SPAN_ARG(buf_span(&ip)), (unsigned)conn->host->port,
              log_quote(span_text(conn->reply)));
    buf_release(&ip);
}

static enum attempt failed(struct fiber *self, struct connection *conn, enum attempt how)
{
    smtp_client_release(&conn->client);
    if (how == ATTEMPT_NEXT) {
        host_is_down(conn);
        log_attempt(conn, "host not usable now");
    }
    return fiber_is_canceled(self) ? ATTEMPT_FAILED : how;
}

static enum attempt lost(struct fiber *self, struct connection *conn, const char *what)
{
    const char *problem = smtp_client_problem(&conn->client);
    char text[CONNECTION_REPLY_MAX / 2];
    snprintf(text, sizeof text, "%s %s: %s", conn->host->name, what, problem);
    note_trouble(conn, TROUBLE_UNREACHABLE, text);
    return failed(self, conn, ATTEMPT_NEXT);
}

/* A refusal by this host: another one may think otherwise (RFC 5321 section 4.2.4.2; RFC 7504 section 3). */
static enum attempt refused(struct fiber *self, struct connection *conn, enum verdict_stage stage)
{
    note_reply(conn, stage, &conn->client.reply);
    if (conn->verdict.kind == VERDICT_FAILED) {
        log_attempt(conn, "refused by the host");
        smtp_client_release(&conn->client);
        return fiber_is_canceled(self) ? ATTEMPT_FAILED : ATTEMPT_REFUSED;
    }
    return failed(self, conn, ATTEMPT_NEXT);
}

/* ---- The steps ---- */

static const unsigned char *source_address(const struct settings *settings, const struct host *host,
                                           struct ip_address *own)
{
    const char *text = ip_address_is_ipv4(&host->ip) ? settings->courier.ipv4_address : settings->courier.ipv6_address;
    return text[0] && ip_address_parse(span_text(text), own) ? own->bytes : NULL;
}

/* Both ends are the same address of this machine, and the port is one of our own listeners': we called ourselves. */
static bool is_ourselves(const struct connection *conn, const struct stream *stream)
{
    struct sockaddr_storage here, there;
    struct ip_address us, them;
    socklen_t size = sizeof here, other_size = sizeof there;
    if (getsockname(stream_fd(stream), (struct sockaddr *)&here, &size) < 0 ||
        getpeername(stream_fd(stream), (struct sockaddr *)&there, &other_size) < 0 ||
        !ip_address_from_sockaddr((struct sockaddr *)&here, &us) ||
        !ip_address_from_sockaddr((struct sockaddr *)&there, &them) || !ip_address_equal(&us, &them))
        return false;
    for (size_t i = 0; i < conn->settings->listener_count; i++)
        if (conn->settings->listeners[i].service == SERVICE_SMTP &&
            conn->settings->listeners[i].port == conn->host->port)
            return true;
    return false;
}

static uint64_t connect_deadline(const struct connection *conn)
{
    uint64_t deadline = clock_in_seconds(conn->settings->courier.connect_timeout);
    return deadline < conn->deadline ? deadline : conn->deadline;
}

static enum attempt connect_to(struct fiber *self, struct connection *conn, struct stream **stream)
{
    struct ip_address own;
    struct endpoint to = {.port = conn->host->port};
    memcpy(to.address, conn->host->ip.bytes, sizeof to.address);
    int error =
        stream_connect(self, &to, source_address(conn->settings, conn->host, &own), connect_deadline(conn), stream);
    if (error) {
        char text[CONNECTION_REPLY_MAX / 2];
        snprintf(text, sizeof text, "%s port %u: %s", conn->host->name, (unsigned)conn->host->port, strerror(-error));
        note_trouble(conn, TROUBLE_UNREACHABLE, text);
        host_is_down(conn);
        log_attempt(conn, "no connection");
        return error == -ECANCELED ? ATTEMPT_FAILED : ATTEMPT_NEXT;
    }
    if (!is_ourselves(conn, *stream))
        return ATTEMPT_OPEN;
    stream_free(*stream);
    note_trouble(conn, TROUBLE_LOOP, "");
    return ATTEMPT_LOOP;
}

/* What the settings ask of TLS towards this site. */
struct tls_wish {
    bool from_start, wanted, required;
};

static struct tls_wish tls_wish(const struct connection *conn, const struct site *site)
{
    unsigned smart = conn->settings->courier.smart_host_tls;
    if (site->route.kind != SITE_SMART_HOST)
        return (struct tls_wish){.wanted = conn->settings->courier.tls && !conn->host->without_tls};
    return (struct tls_wish){.from_start = smart == SMART_HOST_TLS_IMPLICIT,
                             .wanted = smart == SMART_HOST_TLS_STARTTLS ||
                                       (smart == SMART_HOST_TLS_OFFERED && !conn->host->without_tls),
                             .required = smart == SMART_HOST_TLS_STARTTLS};
}

static enum attempt start_tls(struct fiber *self, struct connection *conn, const struct site *site,
                              const struct tls_wish *wish)
{
    struct smtp_client *client = &conn->client;
    if (!wish->wanted || (!wish->required && !client->extensions.starttls))
        return ATTEMPT_OPEN;
    int error = smtp_client_start_tls(self, client, site->courier->tls, conn->host->name, wish->required);
    if (!error || (error == -EOPNOTSUPP && !wish->required))
        return ATTEMPT_OPEN;
    if (error == -EOPNOTSUPP) {
        note_trouble(conn, TROUBLE_TLS, "STARTTLS is not offered");
        return failed(self, conn, ATTEMPT_NEXT);
    }
    if (error == -EREMOTEIO)
        return refused(self, conn, VERDICT_AT_HELLO);
    if (error == -ECANCELED || error == -ENOMEM)
        return lost(self, conn, "at STARTTLS");
    /* What stands between us and the host may swallow STARTTLS, or cut it off: not only a handshake can fail. */
    const char *certificate = error == -EKEYREJECTED ? stream_tls_problem(client->stream) : "";
    note_trouble(conn, TROUBLE_TLS, certificate[0] ? certificate : smtp_client_problem(client));
    if (wish->required)
        return failed(self, conn, ATTEMPT_NEXT);
    conn->host->without_tls = true;
    log_attempt(conn, "no TLS with this host, tried without");
    return failed(self, conn, ATTEMPT_IN_THE_CLEAR);
}

/* A password that is not taken is the administrator's to mend, and no message's fault. */
static enum attempt log_in(struct fiber *self, struct connection *conn, const struct site *site)
{
    struct span user = span_text(conn->settings->courier.smart_host_user);
    if (site->route.kind != SITE_SMART_HOST || !user.size)
        return ATTEMPT_OPEN;
    int error = smtp_client_authenticate(self, &conn->client, user, buf_span(&site->courier->password));
    if (!error)
        return ATTEMPT_OPEN;
    if (error == -EACCES && conn->client.reply.code) {
        note_reply(conn, VERDICT_AT_HELLO, &conn->client.reply);
        conn->verdict = verdict_of_trouble(TROUBLE_UNREACHABLE);
    } else if (error == -EREMOTEIO) {
        return refused(self, conn, VERDICT_AT_HELLO);
    } else {
        note_trouble(conn, TROUBLE_UNREACHABLE,
                     error == -EPERM        ? "the password for the smart host is not sent without TLS"
                     : error == -EOPNOTSUPP ? "the smart host offers no way to log in that is known here"
                                            : "the login at the smart host failed");
    }
    return failed(self, conn, ATTEMPT_NEXT);
}

static struct smtp_client_timeouts timeouts(const struct settings *settings)
{
    return (struct smtp_client_timeouts){.greeting = settings->courier.greeting_timeout,
                                         .command = settings->courier.command_timeout,
                                         .data = settings->courier.data_timeout,
                                         .block = settings->courier.block_timeout,
                                         .end_of_data = settings->courier.end_of_data_timeout};
}

static enum attempt try_host(struct fiber *self, struct connection *conn, const struct site *site)
{
    struct tls_wish wish = tls_wish(conn, site);
    struct stream *stream = NULL;
    enum attempt how = connect_to(self, conn, &stream);
    if (how != ATTEMPT_OPEN)
        return how;
    int error = 0;
    if (wish.from_start)
        error = stream_start_tls(self, stream, site->courier->tls, conn->host->name, true, connect_deadline(conn));
    smtp_client_init(&conn->client, stream, conn->settings->hostname);
    conn->client.deadline = conn->deadline;
    conn->client.timeouts = timeouts(conn->settings);
    if (error) {
        const char *certificate = stream_tls_problem(stream);
        note_trouble(conn, TROUBLE_TLS, certificate[0] ? certificate : stream_problem(stream));
        return failed(self, conn, ATTEMPT_NEXT);
    }
    error = smtp_client_open(self, &conn->client);
    if (error)
        return error == -EREMOTEIO ? refused(self, conn, VERDICT_AT_GREETING) : lost(self, conn, "at the greeting");
    if (site->route.kind == SITE_DOMAIN &&
        span_is_nocase(span_text(conn->client.peer_name), conn->settings->hostname)) {
        note_trouble(conn, TROUBLE_LOOP, "");
        return failed(self, conn, ATTEMPT_LOOP);
    }
    how = start_tls(self, conn, site, &wish);
    return how == ATTEMPT_OPEN ? log_in(self, conn, site) : how;
}

/* ---- The hosts ---- */

/* At the start, and when the resolver died: it is back in a moment, and no mail should wait longer for it. */
static int await_resolver(struct fiber *self, struct site *site)
{
    uint64_t end = clock_in_seconds(RESOLVER_SECONDS);
    int error = 0;
    while (!error && !peers_get(site->courier->peers, ROLE_RESOLVER) && clock_monotonic() < end)
        error = fiber_sleep(self, clock_monotonic() + NANOSECONDS / 10);
    return error;
}

static int get_hosts(struct fiber *self, struct site *site, struct connection *conn)
{
    if (site->hosts && site->hosts->until < clock_monotonic()) {
        host_list_unref(site->hosts);
        site->hosts = NULL;
    }
    if (!site->hosts) {
        if (await_resolver(self, site))
            return -ECANCELED;
        struct host_list *found = hosts_find(self, site->courier->peers, conn->settings, &site->route, random_number());
        if (!found) {
            note_trouble(conn, TROUBLE_OURS, "no memory");
            return -EHOSTUNREACH;
        }
        host_list_unref(site->hosts); /* another connection may have been quicker */
        site->hosts = found;
    }
    conn->list = host_list_ref(site->hosts);
    if (conn->list->count)
        return 0;
    note_trouble(conn, conn->list->trouble, conn->list->problem);
    return fiber_is_canceled(self) ? -ECANCELED : -EHOSTUNREACH;
}

/* We reached ourselves. */
static void note_loop(struct connection *conn, const struct site *site)
{
    if (site->route.kind == SITE_NEXT_HOP || site->route.kind == SITE_SMART_HOST)
        /* A mistake to be mended, and not the mail's. */
        note_trouble(conn, TROUBLE_UNREACHABLE, "the next hop is this server itself");
    else if (conn->list->hosts[0].preference < conn->host->preference)
        /* Better hosts are there, but not now: that is no loop. */
        note_trouble(conn, TROUBLE_UNREACHABLE, "");
    else
        note_trouble(conn, TROUBLE_LOOP, "");
}

/* Why there is no connection, of several hosts that said different things: as long as one of them may take the mail
 * another time, it is deferred. */
struct reason {
    bool is_set;
    struct verdict verdict;
    char failed_host[sizeof((struct connection *)NULL)->failed_host];
    char reply[CONNECTION_REPLY_MAX];
};

static void note_reason(struct reason *reason, const struct connection *conn)
{
    if (reason->is_set && reason->verdict.kind != VERDICT_FAILED && conn->verdict.kind == VERDICT_FAILED)
        return;
    reason->is_set = true;
    reason->verdict = conn->verdict;
    memcpy(reason->failed_host, conn->failed_host, sizeof reason->failed_host);
    memcpy(reason->reply, conn->reply, sizeof reason->reply);
}

static void give_reason(struct connection *conn, const struct reason *reason)
{
    if (!reason->is_set)
        return;
    conn->verdict = reason->verdict;
    memcpy(conn->failed_host, reason->failed_host, sizeof conn->failed_host);
    memcpy(conn->reply, reason->reply, sizeof conn->reply);
}

static int try_all(struct fiber *self, struct site *site, struct connection *conn)
{
    struct reason reason = {.is_set = false};
    note_trouble(conn, TROUBLE_UNREACHABLE, "");
    for (size_t i = 0; i < conn->list->count; i++) {
        conn->host = &conn->list->hosts[i];
        if (conn->host->is_down) {
            note_down(conn);
            note_reason(&reason, conn);
            continue;
        }
        enum attempt how = try_host(self, conn, site);
        if (how == ATTEMPT_IN_THE_CLEAR)
            how = try_host(self, conn, site);
        if (how == ATTEMPT_OPEN)
            return 0;
        if (how == ATTEMPT_FAILED)
            return fiber_is_canceled(self) ? -ECANCELED : -EHOSTUNREACH;
        if (how == ATTEMPT_LOOP) {
            note_loop(conn, site);
            return -EHOSTUNREACH;
        }
        note_reason(&reason, conn);
    }
    give_reason(conn, &reason);
    return -EHOSTUNREACH;
}

int connection_open(struct fiber *self, struct site *site, uint64_t deadline, struct connection *conn)
{
    *conn = (struct connection){.settings = settings_ref(site->courier->settings), .deadline = deadline};
    if (!site->route.host[0]) {
        note_trouble(conn, TROUBLE_BAD_ADDRESS, "");
        return -EHOSTUNREACH;
    }
    int error = get_hosts(self, site, conn);
    if (!error)
        error = try_all(self, site, conn);
    if (error && conn->verdict.kind == VERDICT_NEXT_HOST)
        conn->verdict.kind = VERDICT_DEFERRED;
    conn->is_open = !error;
    return error;
}

void connection_close(struct fiber *self, struct connection *conn)
{
    if (conn->is_open) {
        smtp_client_close(self, &conn->client);
        smtp_client_release(&conn->client);
    }
    host_list_unref(conn->list);
    settings_unref(conn->settings);
    conn->is_open = false;
    conn->list = NULL;
    conn->settings = NULL;
}
