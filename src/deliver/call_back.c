#include "deliver/call_back.h"

#include "base/clock.h"
#include "deliver/answers.h"
#include "deliver/connection.h"
#include "deliver/rates.h"
#include "intake/route.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define REMEMBERED_MAX 50000
#define REMEMBERED_BYTES (8u << 20)
#define QUESTIONS_MAX 200
#define OTHER_SECONDS 60 /* that an unknown is remembered: a silent server is not asked for each recipient */
#define HOSTS_TRIED_MAX 3
#define STORE_ASK_SECONDS 10
#define ADDRESS_MAX 512
#define KEY_MAX (ADDRESS_MAX + 32)
#define TEXT_MAX 600
#define MEMORY_MAX (256u << 10)

struct call_backs {
    struct answers answers;
    struct rates hosts;
};

/* One question on its way. */
struct call_back {
    struct courier *courier;
    struct settings *settings; /* those it began with */
    struct question *question;
    struct arena memory;
    struct mail_path sender;
    struct span domain;          /* of the sender, A-labels */
    const struct ip_address *ip; /* of a reverse call-back */
    uint64_t deadline;
    Courier__Verdict verdict;
    struct buf text;
    bool is_limited; /* a host was not asked for having been asked too often: nothing was learned */
};

struct call_backs *call_backs_new(void)
{
    struct call_backs *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    answers_init(&b->answers, REMEMBERED_MAX, REMEMBERED_BYTES, QUESTIONS_MAX);
    rates_init(&b->hosts);
    return b;
}

/* RFC 3463 and 7372: its policy, mostly a list of clients that we are in, or what it thinks of our own sender. Who
 * can't be asked for that has not been shown to be nobody. */
static bool is_about_us(const struct smtp_enhanced *e)
{
    return e->klass == 5 && (e->subject == 7 || (e->subject == 1 && (e->detail == 7 || e->detail == 8)));
}

Courier__Verdict call_back_verdict(const struct smtp_reply *reply)
{
    /* Words about our command, about TLS or about a login are no words about this mailbox. */
    static const unsigned not_about_it[] = {500, 502, 503, 504, 530, 534, 535, 538, 555};
    for (size_t i = 0; i < sizeof not_about_it / sizeof *not_about_it; i++)
        if (reply->code == not_about_it[i])
            return COURIER__VERDICT__VERDICT_UNKNOWN;
    if (reply->is_ours || !reply->code || is_about_us(&reply->enhanced))
        return COURIER__VERDICT__VERDICT_UNKNOWN;
    return smtp_reply_is_positive(reply) ? COURIER__VERDICT__VERDICT_TAKES
           : reply->code >= 500          ? COURIER__VERDICT__VERDICT_REFUSES
                                         : COURIER__VERDICT__VERDICT_UNKNOWN;
}

static void conclude(struct call_back *b, Courier__Verdict verdict, struct span text)
{
    b->verdict = verdict;
    buf_reset(&b->text);
    buf_add_span(&b->text, span_head(text, TEXT_MAX));
}

static void conclude_unknown(struct call_back *b, const char *text)
{
    conclude(b, COURIER__VERDICT__VERDICT_UNKNOWN, span_text(text));
}

/* ---- The conversation ---- */

static void write_postmaster(const struct settings *settings, struct buf *out)
{
    const char *domain = settings->auth.default_domain;
    buf_printf(out, "postmaster@%s", domain && domain[0] ? domain : settings->hostname);
}

/* 0 where the host said something about the recipient, or may say it another time; else the next host may do. */
static int converse(struct fiber *self, struct call_back *b, struct connection *conn)
{
    struct smtp_client_recipient *recipient = arena_alloc(&b->memory, sizeof *recipient);
    struct buf postmaster, reply;
    int error = -ENOMEM;
    buf_init(&postmaster, ADDRESS_MAX);
    buf_init(&reply, SMTP_REPLY_TEXT_MAX + 32);
    write_postmaster(b->settings, &postmaster);
    if (!recipient || buf_failed(&postmaster))
        goto out;
    recipient->address = question_key(b->question);
    recipient->address.size = span_find(recipient->address, '\0');
    error = smtp_client_probe(self, &conn->client, buf_span(&postmaster), recipient);
    const struct smtp_reply *said = recipient->final.code ? &recipient->final : &conn->client.reply;
    smtp_reply_write(said, &reply);
    if (recipient->final.code)
        conclude(b, call_back_verdict(said), buf_span(&reply));
    else
        conclude(b, COURIER__VERDICT__VERDICT_UNKNOWN,
                 said->code ? buf_span(&reply) : span_text(smtp_client_problem(&conn->client)));
    error = recipient->final.code || !error ? 0 : error;
out:
    buf_release(&postmaster);
    buf_release(&reply);
    return error;
}

/* A site of this one host. 0, or the next host may do. */
static int ask_host(struct fiber *self, struct call_back *b, const struct site_route *route, const struct host *host)
{
    struct connection *conn = calloc(1, sizeof *conn);
    struct site *site = calloc(1, sizeof *site);
    struct host_list *list = calloc(1, sizeof *list);
    int error = -ENOMEM;
    if (!conn || !site || !list)
        goto out;
    arena_init(&list->memory, 1);
    list->references = 1;
    list->hosts[0] = *host;
    list->count = 1;
    list->until = CLOCK_NEVER;
    *site = (struct site){.courier = b->courier, .route = *route, .hosts = list};
    list = NULL;
    error = connection_open(self, site, b->deadline, conn);
    if (error && conn->is_loop && b->ip)
        conclude(b, COURIER__VERDICT__VERDICT_UNSET, (struct span){0}); /* the client is this machine itself */
    else if (error)
        conclude_unknown(b, conn->reply);
    else
        error = converse(self, b, conn);
    connection_close(self, conn);
out:
    if (site)
        host_list_unref(site->hosts);
    free(list);
    free(site);
    free(conn);
    return error;
}

/* ---- The hosts ---- */

static bool may_connect(const struct settings *settings, const struct ip_address *ip)
{
    return ip_address_is_public(ip) || network_list_has(&settings->courier.private_networks, ip->bytes);
}

/* Of the whole list, in its order. */
static void ask_hosts(struct fiber *self, struct call_back *b, const struct site_route *route,
                      const struct host_list *list)
{
    unsigned tried = 0;
    b->verdict = COURIER__VERDICT__VERDICT_UNSET;
    for (size_t i = 0; i < list->count && tried < HOSTS_TRIED_MAX; i++) {
        const struct host *host = &list->hosts[i];
        struct span key = span_from(host->ip.bytes, sizeof host->ip.bytes);
        if (!may_connect(b->settings, &host->ip))
            continue;
        if (!rates_take(&b->courier->call_backs->hosts, key, b->settings->call_back.per_host, clock_monotonic())) {
            b->is_limited = true;
            conclude_unknown(b, "its server was asked too often in the last minute");
            return; /* another host of it is not to be worn out instead */
        }
        tried++;
        int error = ask_host(self, b, route, host);
        if (!error || error == -ECANCELED)
            return;
    }
}

/* There is no host to ask. What the DNS says for certain is an answer, too. */
static void conclude_without_hosts(struct call_back *b, const struct host_list *list)
{
    if (b->ip && list->trouble == TROUBLE_LOOP)
        return; /* an address of our own is not asked */
    bool is_certain =
        list->trouble == TROUBLE_NO_DOMAIN || list->trouble == TROUBLE_NO_ADDRESS || list->trouble == TROUBLE_NULL_MX;
    conclude(b, is_certain ? COURIER__VERDICT__VERDICT_REFUSES : COURIER__VERDICT__VERDICT_UNKNOWN,
             span_text(verdict_trouble_text(list->trouble)));
}

static bool make_route(struct call_back *b, struct site_route *route)
{
    struct buf text;
    bool is_domain = !b->ip && !b->sender.is_literal;
    *route = (struct site_route){.kind = is_domain ? SITE_DOMAIN : SITE_LITERAL,
                                 .port = (uint16_t)b->settings->courier.port};
    buf_init(&text, DOMAIN_MAX + 1);
    if (is_domain)
        buf_add_span(&text, b->domain);
    else
        ip_address_write(b->ip ? b->ip : &b->sender.literal, &text);
    route->host = buf_failed(&text) ? NULL : arena_text(&b->memory, buf_span(&text));
    buf_release(&text);
    return route->host != NULL;
}

static void ask(struct fiber *self, struct call_back *b)
{
    struct site_route route;
    struct host_list *list = NULL;
    /* Never by the smart host: that one takes mail for everybody. */
    if (make_route(b, &route))
        list = hosts_find(self, b->courier->peers, b->settings, &route, random_number());
    if (!list)
        conclude_unknown(b, "no memory");
    else if (list->count)
        ask_hosts(self, b, &route, list);
    else
        conclude_without_hosts(b, list);
    host_list_unref(list);
}

/* ---- Whether to ask ---- */

/* A member's, or one of those whose mail we send on. 1, 0, or a negative errno. */
static int is_ours(struct fiber *self, struct call_back *b)
{
    struct intake intake = {.peers = b->courier->peers, .settings = b->settings};
    struct intake_question question = {.path = &b->sender};
    struct intake_route route;
    int error = intake_route_find(self, &intake, &b->memory, &question, clock_in_seconds(STORE_ASK_SECONDS), &route);
    return error ? error : route.kind != INTAKE_ROUTE_NOT_OURS;
}

static void discard(struct call_back *b)
{
    buf_release(&b->text);
    arena_release(&b->memory);
    settings_unref(b->settings);
    free(b);
}

static void call_back_main(struct fiber *self, void *argument)
{
    static const char *const names[] = {[COURIER__VERDICT__VERDICT_UNSET] = "not-asked",
                                        [COURIER__VERDICT__VERDICT_TAKES] = "takes",
                                        [COURIER__VERDICT__VERDICT_REFUSES] = "refuses",
                                        [COURIER__VERDICT__VERDICT_UNKNOWN] = "unknown"};
    struct call_back *b = argument;
    struct courier *c = b->courier;
    unsigned seconds = OTHER_SECONDS;
    int ours = is_ours(self, b);
    if (ours < 0)
        conclude_unknown(b, "the store can't be asked");
    else if (!ours)
        ask(self, b);
    if (b->verdict == COURIER__VERDICT__VERDICT_TAKES)
        seconds = b->settings->call_back.good;
    else if (b->verdict == COURIER__VERDICT__VERDICT_REFUSES)
        seconds = b->settings->call_back.bad;
    struct span key = question_key(b->question);
    struct buf bytes;
    buf_init(&bytes, TEXT_MAX + 1);
    buf_add_char(&bytes, (char)b->verdict);
    buf_add_span(&bytes, buf_span(&b->text));
    if (!b->is_limited && ours >= 0 && !fiber_is_canceled(self) && !buf_failed(&bytes))
        answers_put(&c->call_backs->answers, key, buf_span(&bytes), seconds);
    buf_release(&bytes);
    log_write(LOG_LOW, "courier", NULL, "call-back sender=%s at=%s verdict=%s reply=%s",
              log_quote(span_head(key, span_find(key, '\0'))), b->ip ? "client" : "domain", names[b->verdict],
              log_quote(buf_span(&b->text)));
    Courier__CallBackReply reply = COURIER__CALL_BACK_REPLY__INIT;
    reply.verdict = b->verdict;
    reply.reply = binary_from_span(buf_span(&b->text));
    question_end(b->question, &reply.base, 0);
    discard(b);
}

/* ---- The call ---- */

static void answer_at_once(struct call *call, Courier__Verdict verdict, struct span text)
{
    Courier__CallBackReply reply = COURIER__CALL_BACK_REPLY__INIT;
    reply.verdict = verdict;
    reply.reply = binary_from_span(text);
    call_reply(call, &reply.base, (struct span){0}, -1);
}

/* Parses what is asked, and the key by which it is remembered: "local@domain", a NUL, the address. False: it is not to
 * be asked. Spans point into the call and into b->memory. */
static bool parse(struct call_back *b, const Courier__CallBackRequest *request, struct buf *key)
{
    struct span sender = binary_span(request->sender), ip = binary_span(request->ip);
    if (!sender.size || sender.size > ADDRESS_MAX || (ip.size && ip.size != sizeof b->ip->bytes) ||
        mail_address_parse(sender, true, &b->memory, &b->sender) != NULL ||
        span_is_nocase(b->sender.local_part, "postmaster") ||
        domain_to_ascii(&b->memory, b->sender.domain, &b->domain) != NULL)
        return false;
    if (ip.size) {
        struct ip_address *address = arena_alloc(&b->memory, sizeof *address);
        if (!address)
            return false;
        memcpy(address->bytes, ip.data, sizeof address->bytes);
        b->ip = address;
        if (!may_connect(b->settings, address))
            return false;
    }
    mail_path_write(b->sender.local_part, b->domain, key);
    buf_add_char(key, '\0');
    buf_add_span(key, ip);
    return !buf_failed(key);
}

/* True where the call was answered, or taken by a question under way. */
static bool answer_from_memory(struct answers *answers, struct span key, struct call *call)
{
    struct span known = answers_get(answers, key);
    if (known.size)
        answer_at_once(call, (Courier__Verdict)known.data[0], span_skip(known, 1));
    return known.size || question_join(answers, key, call);
}

void call_back_start(struct courier *c, struct call *call)
{
    struct answers *answers = &c->call_backs->answers;
    struct call_back *b = calloc(1, sizeof *b);
    struct buf key;
    if (!b) {
        call_fail(call, -ENOMEM);
        return;
    }
    buf_init(&key, KEY_MAX);
    *b = (struct call_back){.courier = c,
                            .settings = settings_ref(c->settings),
                            .deadline = clock_in_seconds(c->settings->call_back.timeout)};
    arena_init(&b->memory, MEMORY_MAX);
    buf_init(&b->text, TEXT_MAX);
    if (!parse(b, (const Courier__CallBackRequest *)call->request, &key))
        answer_at_once(call, COURIER__VERDICT__VERDICT_UNSET, (struct span){0});
    else if (!answer_from_memory(answers, buf_span(&key), call)) {
        b->question = c->is_stopping ? NULL : question_begin(answers, buf_span(&key), call);
        if (!b->question)
            answer_at_once(call, COURIER__VERDICT__VERDICT_UNKNOWN, span_text("too many such questions are under way"));
        else if (fiber_start(c->loop, "call-back", call_back_main, b))
            b = NULL;
        else
            question_end(b->question, NULL, -ENOMEM);
    }
    if (b)
        discard(b);
    buf_release(&key);
}
