#include "base/clock.h"
#include "deliver/rates.h"
#include "deliver/whois.h"
#include "run/endpoint.h"
#include "run/stream.h"

#include <errno.h>
#include <stdlib.h>

/* Of one server in a minute: registries shut out who asks more. */
#define QUESTIONS_A_MINUTE 60
#define ADDRESSES_TRIED_MAX 2
#define DNS_MEMORY (64u << 10)
#define HEADING_MAX (WHOIS_HOST_MAX + 16)

struct server {
    char host[WHOIS_HOST_MAX + 1];
    uint16_t port;
    bool is_trusted; /* of the settings */
};

bool whois_may_connect(const struct network_list *own, bool is_trusted, const struct ip_address *ip, uint16_t port)
{
    return is_trusted || (port == WHOIS_PORT && ip_address_is_public(ip)) || network_list_has(own, ip->bytes);
}

/* Each gets half of what is left, so that a silent one leaves time for another. */
static uint64_t deadline_of_one(const struct whois_walk *walk)
{
    uint64_t now = clock_monotonic();
    return walk->deadline <= now ? now : now + (walk->deadline - now) / 2;
}

/* ---- One question ---- */

/* ARIN wants to be told that all of it is wanted, where several networks fit. */
static void write_question(const struct whois_walk *walk, const struct server *server, struct buf *out)
{
    if (span_is(span_text(server->host), "whois.arin.net"))
        buf_add_text(out, "n + ");
    ip_address_write(&walk->address, out);
    buf_add_text(out, "\r\n");
}

/* The answer, to its end or to so many bytes. What came before a connection broke counts for nothing. */
static int read_answer(struct fiber *self, struct stream *stream, struct buf *raw, uint64_t deadline)
{
    for (;;) {
        struct span input = stream_input(stream);
        size_t room = WHOIS_TEXT_MAX - raw->size;
        buf_add_span(raw, span_head(input, room));
        stream_consume(stream, input.size);
        if (buf_failed(raw))
            return -ENOMEM;
        if (raw->size == WHOIS_TEXT_MAX)
            return 0;
        int error = stream_fill(self, stream, deadline);
        if (error)
            return error == -ENODATA ? 0 : error;
    }
}

static int ask_at(struct fiber *self, const struct whois_walk *walk, const struct server *server,
                  const struct ip_address *ip, struct buf *raw)
{
    struct endpoint to = {.port = server->port};
    struct stream *stream = NULL;
    uint64_t deadline = deadline_of_one(walk);
    memcpy(to.address, ip->bytes, sizeof to.address);
    int error = stream_connect(self, &to, NULL, deadline, &stream);
    if (!error) {
        write_question(walk, server, stream_output(stream));
        error = read_answer(self, stream, raw, deadline);
    }
    stream_free(stream);
    return error;
}

static int ask_server(struct fiber *self, struct whois_walk *walk, const struct server *server, struct buf *raw)
{
    struct arena memory;
    struct dns_addresses found;
    unsigned tried = 0;
    int error = -EHOSTUNREACH;
    if (!rates_take(walk->rates, span_text(server->host), QUESTIONS_A_MINUTE, clock_monotonic()))
        return -EAGAIN;
    arena_init(&memory, DNS_MEMORY);
    dns_addresses(self, walk->courier->peers, span_text(server->host), DNS_IPV4 | DNS_IPV6, deadline_of_one(walk),
                  &memory, &found);
    addresses_alternate(found.addresses, found.count);
    for (size_t i = 0; i < found.count && tried < ADDRESSES_TRIED_MAX && error && error != -ECANCELED; i++) {
        if (!whois_may_connect(&walk->settings->courier.private_networks, server->is_trusted, &found.addresses[i],
                               server->port)) {
            error = -EPERM;
            continue;
        }
        tried++;
        buf_reset(raw);
        error = ask_at(self, walk, server, &found.addresses[i], raw);
    }
    arena_release(&memory);
    return error;
}

/* ---- The way ---- */

static void add_to_list(struct whois_walk *walk, const struct server *server)
{
    if (walk->servers.size)
        buf_add_char(&walk->servers, ' ');
    buf_add_text(&walk->servers, server->host);
    if (server->port != WHOIS_PORT)
        buf_printf(&walk->servers, ":%u", (unsigned)server->port);
}

/* Asks one server and takes its answer in. `later`: it was referred to. */
static int visit(struct fiber *self, struct whois_walk *walk, const struct server *server, bool later)
{
    struct buf raw, clean;
    buf_init(&raw, WHOIS_TEXT_MAX);
    buf_init(&clean, WHOIS_TEXT_MAX + 1);
    int error = ask_server(self, walk, server, &raw);
    if (error) {
        log_write(LOG_LOW, "courier", NULL, "a WHOIS server can't be asked host=%s port=%u error=%s",
                  log_quote(span_text(server->host)), (unsigned)server->port, strerror(-error));
    } else {
        struct whois_answer answer;
        whois_clean(buf_span(&raw), WHOIS_TEXT_MAX, &clean);
        whois_read(buf_span(&clean), &walk->address, &answer);
        if (later)
            whois_merge(&walk->answer, &answer);
        else
            walk->answer = answer;
        add_to_list(walk, server);
        if (walk->text.size + HEADING_MAX < WHOIS_TEXT_MAX) {
            buf_printf(&walk->text, "[%s]\n", server->host);
            whois_clean(buf_span(&clean), WHOIS_TEXT_MAX - walk->text.size, &walk->text);
        }
        walk->answered++;
    }
    buf_release(&raw);
    buf_release(&clean);
    return error;
}

static bool was_asked(const struct server *asked, size_t count, const struct server *server)
{
    for (size_t i = 0; i < count; i++)
        if (asked[i].port == server->port && strcmp(asked[i].host, server->host) == 0)
            return true;
    return false;
}

/* From the first one that answered on. */
static void follow(struct fiber *self, struct whois_walk *walk, const struct server *first)
{
    struct server asked[WHOIS_REFERRALS_MAX + 1] = {*first};
    for (size_t count = 1; count <= WHOIS_REFERRALS_MAX && walk->answer.referral[0]; count++) {
        struct server *next = &asked[count];
        memcpy(next->host, walk->answer.referral, sizeof next->host);
        next->port = walk->answer.referral_port;
        if (was_asked(asked, count, next))
            return;
        if (visit(self, walk, next, true)) {
            walk->is_broken_off = true;
            return;
        }
    }
}

void whois_walk(struct fiber *self, struct whois_walk *walk)
{
    const struct word_list *servers = &walk->settings->whois.servers;
    for (size_t i = 0; i < servers->count; i++) {
        struct server first = {.is_trusted = true};
        if (!whois_server_parse(span_text(servers->words[i]), first.host, &first.port))
            continue; /* the settings' check lets no such through */
        int error = visit(self, walk, &first, false);
        if (!error)
            follow(self, walk, &first);
        if (!error || error == -ECANCELED)
            return;
    }
}
