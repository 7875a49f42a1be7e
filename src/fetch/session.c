/* One visit, from the connection to QUIT. */
#include "auth/digest.h"
#include "base/clock.h"
#include "base/log.h"
#include "dns/lookup.h"
#include "fetch/visit.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "run/endpoint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define VISIT_MEMORY (256u << 10)
#define ADDRESSES_MAX 4
#define STORE_SECONDS 300
#define NOTES_PAGE 1000
#define VISIT_SECONDS 3600 /* then it ends, and others have their turn before it goes on */
#define REFUSALS_MAX 100   /* of RETR in a row, or of DELE, until it is plain that there is no use in asking */

enum visit_end visit_fail(struct visit *v, enum visit_end end, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(v->remote->problem, sizeof v->remote->problem, format, args);
    va_end(args);
    return end;
}

/* What an error of the conversation means for the next visit. */
static enum visit_end end_of(struct visit *v, int error)
{
    const char *problem = pop3_client_problem(&v->client);
    bool is_ours = error == -ECANCELED || error == -ENOMEM || error == -EKEYREJECTED;
    if (!problem[0])
        problem = strerror(-error);
    /* Later on it may be what this account has there, or how it was set up: no reason to keep others from theirs. */
    if (!v->is_greeted && !is_ours)
        return visit_fail(v, VISIT_PROVIDER_FAILED, "%s", problem);
    switch (error) {
    case -EACCES:
        return visit_fail(v, v->client.code == POP3_CODE_AUTH ? VISIT_IMPOSSIBLE : VISIT_REFUSED, "%s", problem);
    case -EPERM:
    case -EOPNOTSUPP:
        return visit_fail(v, VISIT_IMPOSSIBLE, "%s", problem);
    default:
        return visit_fail(v, VISIT_FAILED, "%s", problem);
    }
}

/* ---- The connection ---- */

/* Who may name a host to be fetched from could otherwise have the courier talk to what listens for this machine and its
 * network alone. */
static bool may_connect(const struct visit *v, const struct ip_address *ip)
{
    return ip_address_is_public(ip) || network_list_has(&v->settings->remote.networks, ip->bytes);
}

static int connect_one(struct fiber *self, struct visit *v, const struct ip_address *ip)
{
    struct endpoint to = {.port = v->account.port};
    struct stream *stream;
    memcpy(to.address, ip->bytes, sizeof to.address);
    int error = stream_connect(self, &to, NULL, clock_in_seconds(v->settings->remote.timeout), &stream);
    if (error)
        return error;
    v->server = *ip;
    pop3_client_init(&v->client, stream, v->settings->remote.timeout);
    return 0;
}

static enum visit_end connect_any(struct fiber *self, struct visit *v)
{
    struct dns_addresses found;
    unsigned families = v->settings->courier.families == FAMILIES_IPV4   ? DNS_IPV4
                        : v->settings->courier.families == FAMILIES_IPV6 ? DNS_IPV6
                                                                         : DNS_IPV4 | DNS_IPV6;
    dns_addresses(self, v->fetcher->peers, v->account.host, families, clock_in_seconds(v->settings->remote.timeout),
                  &v->memory, &found);
    if (found.status == DNS_TROUBLE)
        return visit_fail(v, VISIT_FAILED, "the DNS does not tell where %.*s is: %s", SPAN_ARG(v->account.host),
                          found.trouble);
    if (!found.count)
        return visit_fail(v, VISIT_PROVIDER_FAILED, "there is no server %.*s", SPAN_ARG(v->account.host));
    int error = -EHOSTUNREACH;
    bool is_let = false;
    for (size_t i = 0; i < found.count && i < ADDRESSES_MAX && error && error != -ECANCELED; i++) {
        if (!may_connect(v, &found.addresses[i]))
            continue;
        is_let = true;
        error = connect_one(self, v, &found.addresses[i]);
    }
    if (!is_let)
        return visit_fail(
            v, VISIT_IMPOSSIBLE,
            "%.*s has no public address; where that is meant, the administrator puts its network into the setting "
            "remote.networks",
            SPAN_ARG(v->account.host));
    if (error)
        return visit_fail(v, error == -ECANCELED ? VISIT_FAILED : VISIT_PROVIDER_FAILED,
                          "%.*s port %u can't be reached: %s", SPAN_ARG(v->account.host), v->account.port,
                          strerror(-error));
    return VISIT_DONE;
}

static int begin_tls(struct fiber *self, struct visit *v, const char *host)
{
    struct pop3_client *c = &v->client;
    if (v->account.tls == REMOTE_TLS_NONE)
        return 0;
    if (v->account.tls == REMOTE_TLS_STLS)
        return pop3_client_start_tls(self, c, v->tls, host, v->account.verify);
    int error = stream_start_tls(self, c->stream, v->tls, host, v->account.verify, clock_in_seconds(c->timeout));
    if (!error || error == -ECANCELED)
        return error;
    const char *wrong = stream_tls_problem(c->stream);
    return pop3_client_fail(c, -EKEYREJECTED, "TLS failed: %s", wrong[0] ? wrong : stream_problem(c->stream));
}

static int log_in(struct fiber *self, struct visit *v)
{
    struct buf context, password;
    buf_init(&context, 2000);
    buf_init(&password, SEALED_SECRET_MAX);
    bool has_room = buf_reserve(&password, SEALED_SECRET_MAX) != NULL;
    remote_account_context(&v->account, &context);
    int error = 0;
    if (!has_room || buf_failed(&context) ||
        !sealed_open(v->fetcher->private_key, buf_span(&context), v->account.secret, &password))
        error =
            pop3_client_fail(&v->client, -EPERM,
                             "the stored password can't be opened: it was sealed for another server or with another "
                             "key; set it anew with 'ostiary remote set'");
    if (!error)
        error = pop3_client_login(self, &v->client, &v->account, buf_span(&password));
    if (password.data)
        explicit_bzero(password.data, password.room);
    buf_release(&password);
    buf_release(&context);
    return error;
}

static int open_conversation(struct fiber *self, struct visit *v)
{
    struct pop3_client *c = &v->client;
    char *host = arena_text(&v->memory, v->account.host);
    int error = host ? 0 : -ENOMEM;
    if (!error && v->account.tls == REMOTE_TLS_POP3S)
        error = begin_tls(self, v, host);
    if (!error)
        error = pop3_client_greet(self, c);
    v->is_greeted = !error;
    if (!error && v->account.tls == REMOTE_TLS_STLS)
        error = begin_tls(self, v, host);
    if (!error)
        error = pop3_client_ask_capabilities(self, c);
    if (!error)
        error = log_in(self, v);
    return error;
}

/* ---- What is known to the store ---- */

int visit_note(struct fiber *self, const struct visit *v, ProtobufCBinaryData *uidls, size_t count, bool forget,
               StoreWrite__LedgerRow **rows, size_t row_count)
{
    StoreWrite__RemoteSeenRequest request = STORE_WRITE__REMOTE_SEEN_REQUEST__INIT;
    struct answer answer;
    uint64_t deadline = clock_in_seconds(STORE_SECONDS);
    request.remote_id = v->remote->id;
    request.uidls = uidls;
    request.n_uidls = count;
    request.forget = forget;
    request.ledger = rows;
    request.n_ledger = row_count;
    int error = channel_call(self, peers_wait(self, v->fetcher->peers, ROLE_WRITER, deadline), STORE_WRITE_REMOTE_SEEN,
                             &request.base, (struct span){0}, -1, deadline, &answer);
    if (!error)
        answer_release(&answer);
    return error;
}

/* What is gone from the provider can't come again. */
static void forget_deleted(struct fiber *self, struct visit *v)
{
    ProtobufCBinaryData *page = calloc(NOTES_PAGE, sizeof *page);
    int error = page ? 0 : -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; !error && i < v->maildrop.count; i++) {
        const struct remote_message *m = &v->maildrop.messages[i];
        if (m->is_deleted && m->uidl_size)
            page[count++] = binary_from_span(maildrop_uidl(&v->maildrop, m));
        if (count && (count == NOTES_PAGE || i + 1 == v->maildrop.count)) {
            error = visit_note(self, v, page, count, true, NULL, 0);
            count = 0;
        }
    }
    free(page);
    if (error)
        log_write(LOG_LOW, "fetch", v->session, "what was deleted at the provider stays noted as fetched error=%s",
                  strerror(-error));
}

/* ---- The messages ---- */

static int delete_there(struct fiber *self, struct visit *v, struct remote_message *m)
{
    struct pop3_reply reply;
    if (v->not_deleted >= REFUSALS_MAX)
        return 0;
    int error = pop3_client_command(self, &v->client, "DELE", &reply, "DELE %u", m->number);
    if (error == -EREMOTEIO) {
        log_write(LOG_LOW, "fetch", v->session, "the provider does not delete a message number=%u reply=%s%s",
                  m->number, log_quote(reply.text),
                  ++v->not_deleted == REFUSALS_MAX ? "; it is not asked to any more during this visit" : "");
        return 0;
    }
    m->is_deleted = !error;
    return error;
}

static bool is_to_go(const struct visit *v, const struct remote_message *m)
{
    uint64_t age = v->account.delete_after * NANOSECONDS, now = clock_steady();
    return !v->account.leave || (age && clock_is_trusted() && now >= age && m->seen_at <= now - age);
}

static void skip(struct visit *v, const struct remote_message *m, const char *why)
{
    struct span uidl = maildrop_uidl(&v->maildrop, m);
    bool is_remembered =
        uidl.size && v->remote->skipped.count < SKIPPED_MAX && map_put(&v->remote->skipped, uidl, v->remote) == 0;
    /* A provider may have any number of these, at each visit: only what is said once is said each time. */
    if (is_remembered || !v->has_said_skips)
        log_write(LOG_PROBLEM, "fetch", v->session,
                  "a message can't be taken and stays at the provider account=%s name=%s uidl=%s reason=%s%s",
                  log_quote(span_text(v->remote->account)), log_quote(span_text(v->remote->name)), log_quote(uidl),
                  log_quote(span_text(why)), is_remembered ? "" : "; others like it are not named");
    v->has_said_skips |= !is_remembered;
}

static bool is_skipped(const struct visit *v, const struct remote_message *m)
{
    struct span uidl = maildrop_uidl(&v->maildrop, m);
    return uidl.size && map_get(&v->remote->skipped, uidl);
}

/* A message without an id of its own is known by its bytes: whoever fetches it again finds that it is here. */
static int give_uidl(struct visit *v, struct arrival *a, struct remote_message *m)
{
    if (!m->uidl_size) {
        struct span whole;
        struct buf text;
        unsigned char digest[SHA256_SIZE];
        int error = intake_body_map(&a->body, &whole);
        if (error)
            return error;
        digest_sha256(span_skip(whole, a->trace_size), digest);
        intake_body_unmap(&a->body, whole);
        buf_init(&text, POP3_UIDL_MAX);
        buf_add_char(&text, '=');
        for (size_t i = 0; i < sizeof digest; i++)
            buf_printf(&text, "%02x", digest[i]);
        error = buf_failed(&text) ? -ENOMEM : maildrop_set_uidl(&v->maildrop, m, buf_span(&text));
        buf_release(&text);
        if (error)
            return error;
    }
    a->uidl = maildrop_uidl(&v->maildrop, m);
    return 0;
}

static int deal_with(struct fiber *self, struct visit *v, struct arrival *a, struct remote_message *m)
{
    enum arrival_end end = ARRIVAL_SKIPPED;
    enum smtp_data_problem problem = smtp_data_problem(&a->data);
    int error = 0;
    if (problem != SMTP_DATA_FINE)
        snprintf(a->problem, sizeof a->problem, "%s", smtp_data_reply(problem)->text);
    else if (a->data.received_hops > v->settings->smtp.received_hops)
        snprintf(a->problem, sizeof a->problem, "too many Received: fields: it goes in circles");
    else
        error = give_uidl(v, a, m);
    if (!error && !a->problem[0])
        error = arrival_deliver(self, a, &end);
    if (error)
        return pop3_client_fail(&v->client, -EBUSY, "a message could not be stored: %s", strerror(-error));
    if (end == ARRIVAL_REFUSED)
        v->remote->progress.refused++;
    if (end == ARRIVAL_STORED) {
        v->remote->progress.stored++;
        v->remote->progress.blocked += a->is_blocked;
        v->remote->fetched++;
    }
    if (end == ARRIVAL_SKIPPED)
        skip(v, m, a->problem);
    if (end == ARRIVAL_LATER)
        log_write(LOG_LOW, "fetch", v->session, "a message is put off reason=%s", log_quote(span_text(a->problem)));
    bool is_done = end == ARRIVAL_STORED || end == ARRIVAL_REFUSED;
    return is_done && !v->account.leave ? delete_there(self, v, m) : 0;
}

static int fetch_message(struct fiber *self, struct visit *v, struct remote_message *m)
{
    struct arrival *a = malloc(sizeof *a);
    if (!a)
        return pop3_client_fail(&v->client, -ENOMEM, "no memory");
    arrival_init(a, v);
    int error = arrival_retrieve(self, a, m);
    if (error == -EREMOTEIO) { /* gone meanwhile, or out of order: the others may be fine */
        log_write(LOG_PROBLEM, "fetch", v->session, "the provider does not give a message out: %s",
                  pop3_client_problem(&v->client));
        error = ++v->not_given < REFUSALS_MAX ? 0 : -EREMOTEIO;
    } else if (!error) {
        v->not_given = 0;
        error = deal_with(self, v, a, m);
    }
    arrival_release(a);
    free(a);
    return error;
}

static int go_through(struct fiber *self, struct visit *v)
{
    struct maildrop *d = &v->maildrop;
    struct fetch_progress *p = &v->remote->progress;
    int error = 0;
    for (size_t i = 0; !error && i < d->count && !v->fetcher->is_stopping; i++) {
        struct remote_message *m = &d->messages[i];
        if (clock_monotonic() >= v->until) {
            v->remote->is_unfinished = true;
            break;
        }
        if (m->is_seen) {
            error = is_to_go(v, m) ? delete_there(self, v, m) : 0;
            continue;
        }
        if (is_skipped(v, m))
            continue;
        if (m->size > v->settings->smtp.message_size)
            skip(v, m, "it is larger than smtp.message_size");
        else
            error = fetch_message(self, v, m);
        p->done++;
        condition_wake_all(&v->fetcher->progress);
    }
    return error;
}

static void count_new(struct visit *v)
{
    struct fetch_progress *p = &v->remote->progress;
    for (size_t i = 0; i < v->maildrop.count; i++) {
        const struct remote_message *m = &v->maildrop.messages[i];
        if (m->is_seen || is_skipped(v, m))
            continue;
        p->messages++;
        p->bytes += m->size < UINT32_MAX ? m->size : UINT32_MAX;
    }
    condition_wake_all(&v->fetcher->progress);
}

static enum visit_end work(struct fiber *self, struct visit *v)
{
    struct maildrop *d = &v->maildrop;
    int error = open_conversation(self, v);
    if (!error)
        error = maildrop_list(self, &v->client, d);
    if (error)
        return end_of(v, error);
    if (d->count && !d->has_uidls && v->account.leave)
        return visit_fail(v, VISIT_IMPOSSIBLE,
                          "the provider can't tell messages apart (no UIDL), so none can be left there; set leave=no");
    error = maildrop_ask_seen(self, v->fetcher->peers, v->remote->id, d);
    if (error)
        return visit_fail(v, VISIT_FAILED, "the store can't be asked what was fetched before: %s", strerror(-error));
    if (d->is_cut)
        log_write(LOG_PROBLEM, "fetch", v->session, "more than %u messages lie at the provider; the others wait",
                  MAILDROP_MESSAGES_MAX);
    count_new(v);
    error = go_through(self, v);
    if (error)
        return end_of(v, error);
    /* Deletions count from here on. Without this word the provider has them all still, and the next visit knows. */
    struct pop3_reply reply;
    error = pop3_client_command(self, &v->client, "QUIT", &reply, "QUIT");
    if (!error)
        forget_deleted(self, v);
    if (!error && d->is_cut && v->account.leave)
        return visit_fail(v, VISIT_FAILED,
                          "more than %u messages lie at the provider, and those behind them are not reached as long as "
                          "all are left there; set delete-after or leave=no",
                          MAILDROP_MESSAGES_MAX);
    return error ? end_of(v, error == -EREMOTEIO ? -EBUSY : error) : VISIT_DONE;
}

static enum visit_end prepare(struct visit *v)
{
    struct remote *r = v->remote;
    struct buf problem;
    buf_init(&problem, PROBLEM_MAX);
    struct span text = arena_copy(&v->memory, span_text(r->value));
    v->account_address = arena_copy(&v->memory, span_text(r->account));
    enum visit_end end = VISIT_DONE;
    if (!text.data || !v->account_address.data)
        end = visit_fail(v, VISIT_FAILED, "no memory");
    else if (!remote_account_parse(text, &v->memory, &v->account, &problem))
        end = visit_fail(v, VISIT_IMPOSSIBLE, "%.*s", SPAN_ARG(buf_span(&problem)));
    else if (v->account.tls != REMOTE_TLS_NONE) {
        struct tls_context *tls = fetcher_tls(v->fetcher, &problem);
        if (tls)
            v->tls = tls_context_ref(tls);
        else
            end = visit_fail(v, VISIT_FAILED, "%.*s", SPAN_ARG(buf_span(&problem)));
    }
    buf_release(&problem);
    return end;
}

enum visit_end visit_run(struct fiber *self, struct remote *remote)
{
    struct fetcher *f = remote->fetcher;
    struct visit *v = calloc(1, sizeof *v);
    if (!v)
        return VISIT_FAILED;
    v->fetcher = f;
    v->remote = remote;
    v->settings = settings_ref(f->settings);
    v->until = clock_in_seconds(VISIT_SECONDS);
    arena_init(&v->memory, VISIT_MEMORY);
    maildrop_init(&v->maildrop);
    snprintf(v->session, sizeof v->session, "f%llx-%llu", (unsigned long long)remote->id,
             (unsigned long long)++f->session_number);
    enum visit_end end = prepare(v);
    if (end == VISIT_DONE)
        end = connect_any(self, v);
    if (end == VISIT_DONE) {
        end = work(self, v);
        if (end == VISIT_DONE)
            stream_close(self, v->client.stream, true, clock_in_seconds(5));
        log_write(LOG_LOW, "fetch", v->session,
                  "visit account=%s name=%s host=%s messages=%zu new=%u stored=%u refused=%u",
                  log_quote(v->account_address), log_quote(span_text(remote->name)), log_quote(v->account.host),
                  v->maildrop.count, remote->progress.messages, remote->progress.stored, remote->progress.refused);
        pop3_client_release(&v->client);
    }
    maildrop_release(&v->maildrop);
    arena_release(&v->memory);
    tls_context_unref(v->tls);
    settings_unref(v->settings);
    free(v);
    return end;
}
