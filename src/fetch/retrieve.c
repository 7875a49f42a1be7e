/* One message out of a maildrop: RETR, its dots undone, our trace fields before it, in memory or in a spool file. */
#include "base/clock.h"
#include "base/log.h"
#include "facts/gather.h"
#include "fetch/visit.h"
#include "format/header.h"
#include "format/trace.h"
#include "intake/pace.h"
#include "policy/poison.h"

#include <errno.h>

#define ARRIVAL_MEMORY (6u << 20)
#define DOMAINS_MAX 20
#define ADDRESS_TEXT_MAX 1024
#define MESSAGE_SLACK (1u << 20)

void arrival_init(struct arrival *a, struct visit *v)
{
    const struct settings *settings = v->settings;
    /* Line ends are mended and lines may be as long as they like: there is nobody who could be told to mend them. */
    const struct smtp_data_limits limits = {.max_size = settings->smtp.message_size,
                                            .max_header_size = settings->smtp.header_size,
                                            .max_header_lines = settings->smtp.header_lines,
                                            .repair = true};
    *a = (struct arrival){.visit = v};
    arena_init(&a->memory, ARRIVAL_MEMORY);
    intake_body_init(&a->body);
    smtp_data_init(&a->data, &limits);
}

void arrival_release(struct arrival *a)
{
    intake_body_release(&a->body);
    arena_release(&a->memory);
}

/* ---- The header ---- */

/* The address in Return-Path:, which the provider's last server put there (RFC 5321 section 4.4). Without one there is
 * none: what stands in From: is anybody's word. */
static void find_sender(struct arrival *a)
{
    struct header_field field;
    a->sender = (struct mail_path){.is_null = true};
    if (!header_find(a->header, (struct span)SPAN("Return-Path"), &field))
        return;
    struct span value = header_text(field.value, &a->memory);
    struct mail_path path;
    if (!value.data || mail_path_parse(&value, REVERSE_PATH, true, &a->memory, &path) != NULL || path.is_null)
        return;
    struct buf text;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path.local_part, path.domain, &text);
    struct span kept = arena_copy(&a->memory, buf_span(&text));
    if (!buf_failed(&text) && kept.data) {
        a->sender = path;
        a->reverse_path = kept;
    }
    buf_release(&text);
}

static void find_origin(struct arrival *a)
{
    const struct remote_account *account = &a->visit->account;
    struct span domains[DOMAINS_MAX] = {origin_domain(account->host)};
    size_t count = 1;
    for (struct span rest = account->servers; rest.size && count < DOMAINS_MAX;) {
        struct span word = span_cut(&rest, ' ');
        if (word.size)
            domains[count++] = word;
    }
    origin_find(a->header, domains, count, &a->memory, &a->origin);
}

static void write_trace(struct arrival *a, struct buf *out)
{
    const struct visit *v = a->visit;
    bool is_tls = stream_is_tls(v->client.stream);
    struct trace_received received = {
        .helo = v->account.host,
        .ip = v->server,
        .host = span_text(v->settings->hostname),
        .protocol = span_text(is_tls ? "POP3S" : "POP3"),
        .tls_version = span_text(stream_tls_version(v->client.stream)),
        .tls_cipher = span_text(stream_tls_cipher(v->client.stream)),
        .id = span_text(v->session),
        .wall_nanoseconds = clock_wall(),
    };
    if (v->account.split.size == 0)
        received.recipient = v->account_address;
    trace_return_path_write(a->reverse_path, out);
    trace_received_write(&received, out);
    a->trace_size = a->body.own_size = out->size;
}

/* One that ends processes tells nothing: no sender, no origin. */
static void read_header(struct arrival *a)
{
    a->fingerprint = poison_fingerprint(a->header);
    a->is_held = !poison_begin(a->fingerprint);
    if (a->is_held) {
        a->sender = (struct mail_path){.is_null = true};
        return;
    }
    find_sender(a);
    find_origin(a);
    poison_end();
}

/* There is one Return-Path:, the last server's (RFC 5321 section 4.4): the provider's goes, ours says the same. */
static int put_trace(struct arrival *a)
{
    struct buf out, *memory = &a->body.memory;
    struct header_field field;
    a->header = arena_copy(&a->memory, buf_span(memory));
    if (!a->header.data)
        return -ENOMEM;
    read_header(a);
    buf_init(&out, memory->limit);
    write_trace(a, &out);
    struct span rest = a->header;
    /* A message without a header: what it begins with must not go on with our last field. */
    if (a->data.header_lines == 0 && rest.size && !span_is(span_head(rest, 2), "\r\n"))
        buf_add_text(&out, "\r\n");
    size_t done = 0;
    while (header_next(&rest, &field)) {
        if (!span_is_nocase(field.name, "Return-Path"))
            buf_add_span(&out, field.raw);
        done = (size_t)(field.raw.data + field.raw.size - a->header.data);
    }
    buf_add_span(&out, span_skip(a->header, done)); /* the empty line and what stands behind it */
    a->header = span_head(a->header, a->header.size - rest.size);
    if (buf_failed(&out)) {
        buf_release(&out);
        return -ENOMEM;
    }
    buf_release(memory);
    *memory = out;
    return 0;
}

int arrival_settle(struct fiber *self, struct arrival *a, bool at_end)
{
    struct visit *v = a->visit;
    if (smtp_data_problem(&a->data) != SMTP_DATA_FINE)
        return 0;
    if (buf_failed(&a->body.memory))
        return -ENOMEM;
    if (!a->header_is_read && (at_end || !a->data.in_header)) {
        int error = put_trace(a);
        if (error)
            return error;
        a->header_is_read = true;
    }
    if (!intake_body_is_large(&a->body, a->header_is_read))
        return 0;
    uint64_t deadline = clock_in_seconds(v->settings->smtp.data_timeout);
    if (!peers_wait(self, v->fetcher->peers, ROLE_WRITER, deadline))
        return -EPIPE;
    return intake_body_make_room(self, &a->body, v->fetcher->peers, deadline);
}

/* ---- The message ---- */

/* Feeds what came, without NUL bytes, which no message may have and nobody can be told of. */
static enum smtp_data_status feed(struct arrival *a, struct span input, size_t *consumed)
{
    if (input.size && input.data[0] == 0) {
        *consumed = 1;
        return SMTP_DATA_MORE;
    }
    const char *nul = memchr(input.data, 0, input.size);
    return smtp_data_feed(&a->data, nul ? span_head(input, (size_t)(nul - input.data)) : input, consumed,
                          &a->body.memory);
}

static int take_in(struct fiber *self, struct arrival *a, struct pop3_client *c)
{
    const struct settings *settings = a->visit->settings;
    /* One that is too large is read to its end to stay in step, but not for ever. All its bytes count: those that are
     * left out, too. */
    uint64_t room = 2 * settings->smtp.message_size + MESSAGE_SLACK;
    enum smtp_data_status status = SMTP_DATA_MORE;
    struct pace pace;
    int error = 0;
    pace_begin(&pace);
    while (status == SMTP_DATA_MORE) {
        struct span input = stream_input(c->stream);
        size_t consumed = 0;
        if (!input.size) {
            error = pace_wait(self, c->stream, &pace, settings->smtp.data_minimum_rate, clock_in_seconds(c->timeout));
            if (error)
                return pop3_client_fail(c, error, "the message did not come whole: %s", strerror(-error));
            continue;
        }
        status = feed(a, input, &consumed);
        stream_consume(c->stream, consumed);
        pace.bytes += consumed;
        a->visit->remote->progress.bytes_done += consumed;
        if (consumed > room)
            return pop3_client_fail(c, -EMSGSIZE, "a message has no end");
        room -= consumed;
        error = arrival_settle(self, a, status == SMTP_DATA_END);
        if (error)
            return pop3_client_fail(c, error, "a message can't be kept: %s", strerror(-error));
    }
    return 0;
}

int arrival_retrieve(struct fiber *self, struct arrival *a, const struct remote_message *message)
{
    struct pop3_client *c = &a->visit->client;
    struct pop3_reply reply;
    int error = pop3_client_command(self, c, "RETR", &reply, "RETR %u", message->number);
    return error ? error : take_in(self, a, c);
}
