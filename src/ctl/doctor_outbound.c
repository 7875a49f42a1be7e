/* Can mail leave? By the smart host where there is one, and to the host that --outbound names. Nothing is sent. */
#include "base/clock.h"
#include "ctl/doctor.h"
#include "deliver/hosts.h"
#include "deliver/smtp_client.h"
#include "run/endpoint.h"
#include "run/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MEMORY_MAX (1u << 20)
#define ADDRESSES_TRIED 4
#define CONNECT_SECONDS 10
#define TALK_SECONDS 30
#define AUTHORITIES_MAX (1u << 20)
#define PASSWORD_MAX 1024

static const char provider_advice[] =
    "many providers keep the outgoing port 25 closed until they are asked: ask yours, or set courier.smart_host to a "
    "server that takes your mail";
static const char other_advice[] = "that may be its own trouble: try the mail server of another site, too";
static const char smart_host_advice[] =
    "look whether courier.smart_host has the right name and port, and whether a firewall is in the way; mail for other "
    "sites waits in the queue meanwhile";

/* ---- Files, read before root is given up ---- */

static int read_limited(const char *path, struct buf *out)
{
    char piece[4096];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (!buf_failed(out) && (n = read(fd, piece, sizeof piece)) > 0)
        buf_add(out, piece, (size_t)n);
    int error = n < 0 ? -errno : buf_failed(out) ? -EFBIG : 0;
    explicit_bzero(piece, sizeof piece);
    close(fd);
    return error;
}

void doctor_read_outbound(struct doctor *d)
{
    const struct settings *s = d->settings;
    struct doctor_outbound *o = &d->outbound;
    buf_init(&o->authorities, AUTHORITIES_MAX);
    buf_init(&o->password, PASSWORD_MAX);
    /* Without it no certificate is right, which is told where that matters. */
    if (s->courier.ca_file[0] && read_limited(s->courier.ca_file, &o->authorities))
        buf_reset(&o->authorities);
    if (s->courier.smart_host[0] && s->courier.smart_host_user[0])
        o->password_error = read_limited(s->courier.smart_host_password_file, &o->password);
}

void doctor_release_outbound(struct doctor *d)
{
    if (d->outbound.password.data)
        explicit_bzero(d->outbound.password.data, d->outbound.password.size);
    buf_release(&d->outbound.password);
    buf_release(&d->outbound.authorities);
}

/* ---- One host ---- */

struct trial {
    struct doctor *doctor;
    struct site_route route;
    const char *name; /* as the administrator wrote it */
    bool is_smart_host;
    struct smtp_client client;
};

static void fail_with(struct trial *t, const char *advice, const char *what, const char *why)
{
    doctor_tell(t->doctor, DOCTOR_FAULT, "outbound", t->is_smart_host ? smart_host_advice : advice, "%s %s %s: %s",
                t->is_smart_host ? "the smart host" : "the mail server", t->name, what, why);
}

static void fail(struct trial *t, const char *what, const char *why)
{
    fail_with(t, other_advice, what, why);
}

static void fail_with_reply(struct trial *t, const char *what)
{
    struct buf text;
    buf_init(&text, 700);
    if (t->client.reply.code)
        smtp_reply_write(&t->client.reply, &text);
    else
        buf_add_text(&text, smtp_client_problem(&t->client));
    buf_add_char(&text, '\0');
    fail(t, what, buf_failed(&text) ? "it said too much" : text.data);
    buf_release(&text);
}

/* Connects to the first address that answers. */
static struct stream *connect_to(struct fiber *self, struct peers *peers, struct trial *t)
{
    const struct settings *s = t->doctor->settings;
    unsigned families = s->courier.families == FAMILIES_IPV4   ? DNS_IPV4
                        : s->courier.families == FAMILIES_IPV6 ? DNS_IPV6
                                                               : DNS_IPV4 | DNS_IPV6;
    struct arena memory;
    struct dns_addresses found;
    struct stream *stream = NULL;
    int error = 0;
    arena_init(&memory, MEMORY_MAX);
    dns_addresses(self, peers, span_text(t->route.host), families, CLOCK_NEVER, &memory, &found);
    for (size_t i = 0; !stream && i < found.count && i < ADDRESSES_TRIED; i++) {
        struct ip_address own;
        struct endpoint to = {.port = t->route.port};
        const char *source =
            ip_address_is_ipv4(&found.addresses[i]) ? s->courier.ipv4_address : s->courier.ipv6_address;
        memcpy(to.address, found.addresses[i].bytes, sizeof to.address);
        error = stream_connect(self, &to, ip_address_parse(span_text(source), &own) ? own.bytes : NULL,
                               clock_in_seconds(CONNECT_SECONDS), &stream);
    }
    if (!stream && found.count) {
        char what[60];
        snprintf(what, sizeof what, "can't be reached at port %u", t->route.port);
        fail_with(t, provider_advice, what, strerror(-error));
    } else if (!stream) {
        fail(t, "has no address", found.status == DNS_TROUBLE ? found.trouble : "the DNS knows none");
    }
    arena_release(&memory);
    return stream;
}

static bool is_encrypted_from_start(const struct trial *t)
{
    return t->is_smart_host && t->doctor->settings->courier.smart_host_tls == SMART_HOST_TLS_IMPLICIT;
}

/* STARTTLS as the courier would do it. */
static bool start_tls(struct fiber *self, struct trial *t, struct tls_context *tls)
{
    unsigned smart = t->doctor->settings->courier.smart_host_tls;
    bool required = t->is_smart_host && smart == SMART_HOST_TLS_STARTTLS;
    bool wanted = t->is_smart_host ? smart == SMART_HOST_TLS_OFFERED : t->doctor->settings->courier.tls;
    if (!required && !(wanted && t->client.extensions.starttls))
        return true;
    int error = smtp_client_start_tls(self, &t->client, tls, t->route.host, required);
    if (error == -EOPNOTSUPP && required)
        fail(t, "offers no STARTTLS", "courier.smart_host_tls asks for it");
    else if (error == -EKEYREJECTED && required)
        fail(t, "has a certificate that is not believed", stream_tls_problem(t->client.stream));
    else if (error && error != -EOPNOTSUPP)
        fail_with_reply(t, "breaks off at STARTTLS");
    return !error || (error == -EOPNOTSUPP && !required);
}

static bool log_in(struct fiber *self, struct trial *t)
{
    const struct doctor_outbound *o = &t->doctor->outbound;
    const char *user = t->doctor->settings->courier.smart_host_user;
    if (!t->is_smart_host || !user[0])
        return true;
    if (o->password_error) {
        fail(t, "wants a login, and courier.smart_host_password_file can't be read", strerror(-o->password_error));
        return false;
    }
    struct span rest = buf_span(&o->password);
    struct span password = span_cut(&rest, '\n');
    if (password.size && password.data[password.size - 1] == '\r')
        password.size--;
    int error = smtp_client_authenticate(self, &t->client, span_text(user), password);
    if (error == -EPERM)
        fail(t, "gets no password", "there is no TLS, and it is not sent in the clear");
    else if (error == -EOPNOTSUPP)
        fail(t, "offers no way to log in that is known here", "it has neither PLAIN nor LOGIN");
    else if (error)
        fail_with_reply(t, "does not let us log in");
    return !error;
}

static void talk(struct fiber *self, struct trial *t, struct stream *stream, struct tls_context *tls)
{
    uint64_t deadline = clock_in_seconds(TALK_SECONDS);
    int error = 0;
    if (is_encrypted_from_start(t))
        error = stream_start_tls(self, stream, tls, t->route.host, true, deadline);
    const char *certificate = error ? stream_tls_problem(stream) : "";
    smtp_client_init(&t->client, stream, t->doctor->settings->hostname);
    t->client.deadline = deadline;
    if (error)
        fail(t, "does not speak TLS with us", certificate[0] ? certificate : stream_problem(stream));
    else if (smtp_client_open(self, &t->client))
        fail_with_reply(t, "does not take us in");
    else if (start_tls(self, t, tls) && log_in(self, t))
        doctor_tell(t->doctor, DOCTOR_GOOD, "outbound", "", "mail can leave: %s %s answers at port %u%s%s",
                    t->is_smart_host ? "the smart host" : "the mail server", t->name, t->route.port,
                    stream_is_tls(stream) ? ", with TLS" : ", without TLS",
                    t->client.is_authenticated ? ", and takes our password" : "");
    smtp_client_close(self, &t->client);
    smtp_client_release(&t->client);
}

static void try_host(struct fiber *self, struct peers *peers, struct trial *t, struct span destination)
{
    struct arena memory;
    struct buf problem;
    struct stream *stream;
    arena_init(&memory, MEMORY_MAX);
    buf_init(&problem, 1000);
    struct tls_context *tls = tls_client_context_new(buf_span(&t->doctor->outbound.authorities),
                                                     (int)t->doctor->settings->tls.oldest, &problem);
    if (!tls)
        fail(t, "can't be tried", "courier.ca_file holds no certificates in PEM");
    else if (!site_route_parse(destination, t->doctor->settings, &memory, &t->route))
        fail(t, "can't be tried", "it is neither a host nor host:port");
    else if ((stream = connect_to(self, peers, t)) != NULL)
        talk(self, t, stream, tls);
    tls_context_unref(tls);
    buf_release(&problem);
    arena_release(&memory);
}

/* With a port in any case: a name alone would go by the smart host. */
static void try_named(struct fiber *self, struct peers *peers, struct doctor *d, const char *name)
{
    struct trial t = {.doctor = d, .name = name};
    struct span text = span_text(name);
    struct buf destination;
    buf_init(&destination, 400);
    buf_add_span(&destination, text);
    if (span_find(text, ':') == text.size || text.data[text.size - 1] == ']')
        buf_printf(&destination, ":%u", d->settings->courier.port);
    try_host(self, peers, &t, buf_failed(&destination) ? span_text(":") : buf_span(&destination));
    buf_release(&destination);
}

void doctor_look_at_outbound(struct fiber *self, struct peers *peers, struct doctor *d, const char *named)
{
    if (d->settings->courier.smart_host[0]) {
        struct trial t = {.doctor = d, .name = d->settings->courier.smart_host, .is_smart_host = true};
        try_host(self, peers, &t, span_text("smart-host.invalid"));
    }
    if (named)
        try_named(self, peers, d, named);
    else if (!d->settings->courier.smart_host[0])
        doctor_tell(d, DOCTOR_NOTE, "outbound",
                    "'ostiary doctor --outbound HOST' tries it with some other site's mail server; many providers keep "
                    "the outgoing port 25 closed until they are asked",
                    "whether mail can leave was not tried: this server sends it directly to other sites, at port %u",
                    d->settings->courier.port);
}
