/* A connection and the jobs that it delivers, one after the other. */
#include "base/clock.h"
#include "deliver/codes.h"
#include "deliver/connection.h"
#include "deliver/message.h"
#include "format/address.h"
#include "format/srs.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define IDLE_SECONDS 4
#define TRIES_MAX 4
#define MEMORY_MAX (512u << 10)
/* A transaction that takes longer is of no use to anybody. */
#define ATTEMPT_SECONDS (4 * 3600)

struct transaction {
    struct courier *courier;
    struct job *job;
    struct message message;
    struct arena memory;
    struct buf reverse_path;
    struct smtp_client_recipient *recipients;
    struct entry **entries; /* of the same place */
    size_t count;
    struct smtp_client_outcome outcome;
};

/* ---- What is sent ---- */

/* A message that an alias of ours sends on leaves with a reverse path of ours; a mailing list's copy with that of the
 * list, which stands whole in the forwarder's place. */
static void write_reverse_path(struct courier *c, const struct entry *e, struct arena *memory, struct buf *out)
{
    struct mail_path path;
    bool is_whole = span_find(e->forwarder, '@') < e->forwarder.size;
    bool rewrites = e->forwarder.size && !is_whole && e->reverse_path.size && c->has_srs_key &&
                    mail_address_parse(e->reverse_path, true, memory, &path) == NULL;
    if (rewrites)
        srs_forward_write(path.local_part, path.domain, e->forwarder, span_from(c->srs_key, sizeof c->srs_key),
                          clock_steady() / NANOSECONDS, out);
    if (!out->size)
        buf_add_span(out, is_whole ? e->forwarder : e->reverse_path);
}

/* A report of success would name the address that we send it on to: that is said by us (RFC 3461 section 5.2.7.4), as
 * of a server that does not confirm. */
static unsigned notify_of(const struct entry *e)
{
    if (!entry_is_sent_on(e) || !(e->notify & SMTP_NOTIFY_SUCCESS))
        return e->notify;
    unsigned rest = e->notify & ~(unsigned)SMTP_NOTIFY_SUCCESS;
    return rest ? rest : SMTP_NOTIFY_NEVER;
}

static int prepare(struct transaction *t, size_t most)
{
    arena_init(&t->memory, MEMORY_MAX);
    buf_init(&t->reverse_path, 1024);
    t->recipients = arena_array(&t->memory, t->job->count, sizeof *t->recipients);
    t->entries = arena_array(&t->memory, t->job->count, sizeof(struct entry *));
    if (!t->recipients || !t->entries)
        return -ENOMEM;
    list_each (node, &t->job->entries) {
        struct entry *e = container_of(node, struct entry, node);
        if (e->is_settled || t->count == most)
            continue;
        if (!t->count)
            write_reverse_path(t->courier, e, &t->memory, &t->reverse_path);
        t->entries[t->count] = e;
        t->recipients[t->count++] =
            (struct smtp_client_recipient){.address = e->address, .notify = notify_of(e), .orcpt = e->orcpt};
    }
    return buf_failed(&t->reverse_path) || t->memory.is_starved ? -ENOMEM : 0;
}

static int send(struct fiber *self, struct transaction *t, struct connection *conn)
{
    const StoreRead__QueueFetchReply *facts = t->message.facts;
    struct smtp_client_message message = {
        .reverse_path = buf_span(&t->reverse_path),
        .size = t->message.size,
        .may_have_8bit = facts->eight_bit,
        .smtputf8 = facts->smtputf8,
        .ret = (enum smtp_ret)(facts->ret <= SMTP_RET_HDRS ? facts->ret : SMTP_RET_NONE),
        .envid = binary_span(facts->envid),
        .read = message_read,
        .argument = &t->message,
    };
    conn->client.deadline = clock_in_seconds(ATTEMPT_SECONDS);
    return smtp_client_send(self, &conn->client, &message, t->recipients, t->count, &t->outcome);
}

/* ---- What came of it ---- */

static bool is_same_reply(const struct smtp_reply *a, const struct smtp_reply *b)
{
    return a->code == b->code && span_equal(smtp_reply_text(a), smtp_reply_text(b));
}

static void log_delivery(const struct connection *conn, const struct entry *e, const char *reply)
{
    char id[QUEUE_ID_MAX];
    log_write(LOG_LOW, "courier", queue_id(e->message_id, id), "delivered number=%u rcpt=%s host=%s tls=%s reply=%s",
              (unsigned)e->number, log_quote(e->address), log_quote(span_text(conn->host->name)),
              stream_is_tls(conn->client.stream) ? stream_tls_version(conn->client.stream) : "none",
              log_quote(span_text(reply)));
}

/* True when the entry is settled; else it stays in the job. */
static bool settle_by_reply(struct transaction *t, const struct connection *conn, size_t i)
{
    const struct smtp_reply *final = &t->recipients[i].final;
    struct entry *e = t->entries[i];
    struct buf text;
    if (!final->code)
        return false;
    bool behind_data = t->outcome.data.code && is_same_reply(final, &t->outcome.data);
    struct verdict v =
        verdict_of_smtp_reply(behind_data ? VERDICT_AT_END : VERDICT_AT_RCPT, final, t->outcome.data.code != 0);
    if (v.kind == VERDICT_AGAIN || v.kind == VERDICT_NEXT_HOST)
        return false;
    buf_init(&text, SMTP_REPLY_TEXT_MAX + 32);
    smtp_reply_write(final, &text);
    e->was_relayed = v.kind == VERDICT_DELIVERED && (!conn->client.extensions.dsn || notify_of(e) != e->notify);
    entry_settle(e, v, span_text(final->is_ours ? NULL : conn->host->name), buf_span(&text));
    buf_release(&text);
    if (v.kind == VERDICT_DELIVERED)
        log_delivery(conn, e, e->reply ? e->reply : "");
    return true;
}

/* The connection ended in the middle. Those whose fate is unknown are deferred when the message may have gone through,
 * else they go to the next host or to a fresh connection, which `tries` bounds. */
static void settle_unknown(struct transaction *t, struct connection *conn, struct site *site, int error)
{
    bool ours = error == -ENOMEM || !conn->client.over;
    /* Who kept us waiting would do so again. */
    bool may_try = error != -ETIMEDOUT || connection_pass_over(conn, site);
    if (!t->outcome.body_sent && !ours && may_try && t->job->tries < TRIES_MAX)
        return;
    for (size_t i = 0; i < t->count; i++) {
        if (t->entries[i]->is_settled)
            continue;
        if (t->recipients[i].final.code || (error == -EREMOTEIO && conn->client.reply.code)) {
            const struct smtp_reply *reply =
                t->recipients[i].final.code ? &t->recipients[i].final : &conn->client.reply;
            struct verdict v = verdict_of_smtp_reply(VERDICT_AT_END, reply, true);
            struct buf text;
            buf_init(&text, SMTP_REPLY_TEXT_MAX + 32);
            smtp_reply_write(reply, &text);
            if (v.kind != VERDICT_FAILED)
                v.kind = VERDICT_DEFERRED;
            entry_settle(t->entries[i], v, span_text(conn->host->name), buf_span(&text));
            buf_release(&text);
        } else {
            entry_settle_trouble(t->entries[i], ours ? TROUBLE_OURS : TROUBLE_LOST,
                                 span_text(smtp_client_problem(&conn->client)));
        }
    }
}

static void settle(struct transaction *t, struct connection *conn, struct site *site, int error)
{
    size_t settled = 0;
    bool was_taken = false;
    for (size_t i = 0; i < t->count; i++) {
        settled += settle_by_reply(t, conn, i);
        was_taken |= t->entries[i]->is_settled && t->entries[i]->verdict.kind == VERDICT_DELIVERED;
    }
    if (was_taken)
        site_succeeded(site);
    if (error || !settled) {
        t->job->tries++;
        settle_unknown(t, conn, site, error);
    }
    /* A host that sends us away is not asked again by this job: another one, if there is one. */
    if (error == -EREMOTEIO && conn->client.transactions <= 1)
        connection_sent_away(conn);
}

static size_t unsettled(const struct job *job)
{
    size_t count = 0;
    list_each (node, &job->entries)
        count += !container_of(node, struct entry, node)->is_settled;
    return count;
}

static uint64_t message_of(const struct job *job)
{
    return container_of(job->entries.next, struct entry, node)->message_id;
}

static void defer_all(struct job *job, enum verdict_trouble trouble, const char *why)
{
    list_each (node, &job->entries) {
        struct entry *e = container_of(node, struct entry, node);
        if (!e->is_settled)
            entry_settle_trouble(e, trouble, span_text(why));
    }
}

/* One transaction. 0 while the connection is of use. */
static int transact(struct fiber *self, struct site *site, struct connection *conn, struct job *job)
{
    struct transaction t = {.courier = site->courier, .job = job};
    int error = prepare(&t, smtp_client_recipients_max(&conn->client));
    if (!error)
        error = message_open(self, &t.message, site->courier, message_of(job));
    if (!error)
        error = codes_fetch(self, site, &t.message, t.recipients, t.count, &t.memory);
    if (error) {
        log_write(LOG_PROBLEM, "courier", NULL,
                  "a message, or a passcode for it, can't be read, tried again later message=%llx error=%s",
                  (unsigned long long)message_of(job), strerror(-error));
        defer_all(job, TROUBLE_OURS, strerror(-error));
        error = 0;
    } else {
        error = send(self, &t, conn);
        settle(&t, conn, site, error);
    }
    codes_wipe(t.recipients, t.count);
    message_close(&t.message);
    buf_release(&t.reverse_path);
    arena_release(&t.memory);
    return error;
}

/* ---- The life of a connection ---- */

/* The site's next job, waiting a while for one. NULL: nothing more is to be done. */
static struct job *next_job(struct fiber *self, struct site *site, bool is_connected)
{
    struct courier *c = site->courier;
    uint64_t deadline = clock_in_seconds(IDLE_SECONDS);
    for (;;) {
        struct job *job = site_take(site);
        if (job || !is_connected || c->is_stopping || courier_has_starving(c))
            return job;
        site->idle++;
        int error = condition_wait(self, &site->work, deadline);
        site->idle--;
        if (error)
            return NULL;
    }
}

static void disconnect(struct fiber *self, struct site *site, struct connection *conn)
{
    site->connected -= conn->is_open;
    connection_close(self, conn);
}

/* The connection for a job: the one that stands, or a new one. */
static int be_connected(struct fiber *self, struct site *site, struct connection *conn)
{
    if (conn->is_open && smtp_client_has_room(&conn->client) && smtp_client_is_quiet(&conn->client) &&
        conn->client.transactions < 1000)
        return 0;
    disconnect(self, site, conn);
    int error = connection_open(self, site, CLOCK_NEVER, conn);
    site->connected += !error;
    if (!error)
        site_schedule(site); /* it greets: there may be more */
    return error;
}

/* Those that nobody knows anything of stay due. */
static void release_unsettled(struct job *job)
{
    list_each_safe (node, &job->entries) {
        struct entry *e = container_of(node, struct entry, node);
        if (e->is_settled)
            continue;
        list_remove(&e->node);
        job->count--;
        entry_release(e);
    }
}

static void site_is_down(struct site *site, const struct connection *conn)
{
    site_failed(site, &conn->verdict, span_text(conn->reply));
    /* Those that wait for it are deferred with it, each with its own schedule. */
    for (struct job *job; (job = site_take(site));)
        job_finish_with(site->courier, job, &conn->verdict, span_text(conn->failed_host), span_text(conn->reply));
}

/* The way leads to ourselves. */
static void take_home(struct fiber *self, struct courier *c, struct job *job)
{
    list_each_safe (node, &job->entries) {
        struct entry *e = container_of(node, struct entry, node);
        bool done = false;
        if (!e->is_settled)
            deliver_if_ours(self, c, e, &done);
        if (!done)
            continue;
        list_remove(&e->node);
        job->count--;
        entry_release(e);
    }
}

/* 0 while there may be more to do for this connection. */
static int run_job(struct fiber *self, struct site *site, struct connection *conn, struct job *job)
{
    while (unsettled(job)) {
        int error = be_connected(self, site, conn);
        if (error == -ECANCELED) {
            release_unsettled(job);
            break;
        }
        if (error && conn->verdict.kind == VERDICT_DEFERRED && site->connected && !site->courier->is_stopping) {
            /* Others have a connection: this is one too many. */
            site_narrow(site);
            site_put_back(site, job);
            return -EHOSTUNREACH;
        }
        if (error) {
            if (conn->is_loop)
                take_home(self, site->courier, job);
            job_finish_with(site->courier, job, &conn->verdict, span_text(conn->failed_host), span_text(conn->reply));
            if (conn->verdict.kind == VERDICT_DEFERRED)
                site_is_down(site, conn);
            return 0;
        }
        error = transact(self, site, conn, job);
        if (error)
            disconnect(self, site, conn);
    }
    job_finish(site->courier, job);
    return 0;
}

void runner_main(struct fiber *self, void *argument)
{
    struct site *site = argument;
    struct courier *c = site->courier;
    struct connection *conn = calloc(1, sizeof *conn);
    struct job *job;
    int error = 0;
    while (conn && !error && (job = next_job(self, site, conn->is_open)) != NULL)
        error = run_job(self, site, conn, job);
    if (conn)
        disconnect(self, site, conn);
    free(conn);
    site->runners--;
    c->runners--;
    /* What came while this one said goodbye. */
    site_schedule(site);
    courier_feed_starving(c);
    condition_wake_all(&c->room);
    site_leave(site);
}
