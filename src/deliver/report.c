/* Telling the sender: one report about all recipients of a message that have the same news at the same time, handed to
 * the store together with the results that caused it. */
#include "base/clock.h"
#include "deliver/handover.h"
#include "deliver/message.h"
#include "format/dsn.h"
#include "format/header.h"
#include "format/trace.h"
#include "format/utf8.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORTERS_MAX 8
#define PAUSE (5 * NANOSECONDS)
#define MEMORY_MAX (16u << 20)
#define ASK_SECONDS 60

struct writing {
    struct courier *courier;
    struct report *report;
    struct settings *settings;
    struct arena memory;
    struct message message;
    bool has_message;
    struct span to; /* local@domain whom it goes to */
    struct intake_body body;
    struct envelope envelope;
};

static const struct entry *first_entry(const struct report *report)
{
    return container_of(report->entries.next, struct entry, node);
}

/* ---- What is said ---- */

static enum dsn_action action_of(const struct entry *e)
{
    if (e->verdict.kind == VERDICT_DELIVERED)
        return e->kind == ENTRY_REPORT ? DSN_DELIVERED : DSN_RELAYED;
    return e->outcome == STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE ? DSN_FAILED : DSN_DELAYED;
}

static void fill_recipient(const struct writing *w, const struct entry *e, struct dsn_recipient *r)
{
    uint64_t now = clock_wall();
    bool failed = e->verdict.kind != VERDICT_DELIVERED;
    *r = (struct dsn_recipient){.action = action_of(e),
                                .original = e->original,
                                .final = e->address,
                                .orcpt = e->orcpt,
                                .status = span_text(e->verdict.status),
                                .remote = span_text(e->host),
                                .diagnostic = span_text(e->reply),
                                .why = ""};
    if (failed)
        r->why = e->why ? e->why : verdict_status_text(span_text(e->verdict.status));
    if (e->kind == ENTRY_REMOTE)
        r->last_attempt = now;
    if (r->action == DSN_DELAYED)
        r->retry_until = e->created_at + w->settings->courier.give_up * NANOSECONDS;
}

/* Of a message that is gone, or can't be read, the report says what is known without it. */
static int read_message(struct fiber *self, struct writing *w)
{
    int error = message_open(self, &w->message, w->courier, first_entry(w->report)->message_id);
    w->has_message = !error;
    return error == -ENOENT || error == -EIO ? 0 : error;
}

static int compose(struct writing *w)
{
    char id[QUEUE_ID_MAX], unique[40];
    struct dsn_recipient *recipients = arena_array(&w->memory, w->report->count, sizeof *recipients);
    if (!recipients)
        return -ENOMEM;
    size_t count = 0;
    bool is_bad_news = false;
    list_each (node, &w->report->entries) {
        fill_recipient(w, container_of(node, struct entry, node), &recipients[count]);
        is_bad_news |= recipients[count++].action == DSN_FAILED;
    }
    snprintf(unique, sizeof unique, "%016llx%016llx", (unsigned long long)random_number(),
             (unsigned long long)random_number());
    const StoreRead__QueueFetchReply *facts = w->has_message ? w->message.facts : NULL;
    struct dsn dsn = {
        .host = span_text(w->settings->hostname),
        .to = w->to,
        .reference = span_text(queue_id(first_entry(w->report)->message_id, id)),
        .envid = facts ? binary_span(facts->envid) : (struct span){0},
        .unique = span_text(unique),
        .arrived_at = facts ? facts->received_at : first_entry(w->report)->created_at,
        .now = clock_wall(),
        .message = w->has_message ? message_head(&w->message) : (struct span){0},
        .smtputf8 = facts && facts->smtputf8,
        .recipients = recipients,
        .count = count,
    };
    dsn.is_whole = facts && facts->ret == SMTP_RET_FULL && message_is_small(&w->message) && is_bad_news;
    trace_return_path_write((struct span){0}, &w->body.memory);
    dsn_write(&dsn, &w->body.memory);
    w->envelope.smtputf8 = dsn.smtputf8;
    return buf_failed(&w->body.memory) ? -ENOMEM : 0;
}

/* ---- Whom it goes to ---- */

static void log_dropped(const struct writing *w, const char *why)
{
    char id[QUEUE_ID_MAX];
    log_write(LOG_FAILURE, "courier", queue_id(first_entry(w->report)->message_id, id), "report dropped: %s to=%s", why,
              log_quote(w->to));
}

/* The report's envelope, empty where nobody can be told. */
static int find_way(struct fiber *self, struct writing *w)
{
    static const char *const reasons[] = {
        [INTAKE_ROUTE_LOCAL] = "",
        [INTAKE_ROUTE_NO_USER] = "there is nobody of this name",
        [INTAKE_ROUTE_RELAY_FORM] = "the address names another host",
        [INTAKE_ROUTE_NOT_OURS] = "the address can't be sent to",
        [INTAKE_ROUTE_OVER_QUOTA] = "the mailbox is full",
        [INTAKE_ROUTE_DISABLED] = "the account is closed",
        [INTAKE_ROUTE_LIST_REFUSES] = "the mailing list takes no reports",
        [INTAKE_ROUTE_PAUSED] = "",
    };
    struct mail_path *path = arena_alloc(&w->memory, sizeof *path);
    struct intake intake = {.peers = w->courier->peers, .settings = w->settings};
    struct intake_route *route = arena_alloc(&w->memory, sizeof *route);
    if (!path || !route)
        return -ENOMEM;
    if (mail_address_parse(w->to, true, &w->memory, path) != NULL) {
        log_dropped(w, "the address can't be sent to");
        return 0;
    }
    struct intake_question question = {.path = path};
    int error = intake_route_find(self, &intake, &w->memory, &question, clock_in_seconds(ASK_SECONDS), route);
    if (!error && route->kind == INTAKE_ROUTE_NOT_OURS)
        error = intake_route_relay(w->settings, &w->memory, path, true, route);
    if (error)
        return error;
    if (route->kind == INTAKE_ROUTE_PAUSED)
        return -EAGAIN;
    if (route->kind != INTAKE_ROUTE_LOCAL) {
        log_dropped(w, reasons[route->kind]);
        return 0;
    }
    struct intake_naming naming = {.path = path, .notify = SMTP_NOTIFY_NEVER};
    return envelope_add(&w->envelope, &w->memory, &naming, route);
}

/* ---- Handing over ---- */

static int hand_over(struct fiber *self, struct writing *w)
{
    char id[QUEUE_ID_MAX], new_id[QUEUE_ID_MAX];
    struct intake_outcome outcome;
    struct handover h = {.entries = &w->report->entries,
                         .count = w->report->count,
                         .envelope = &w->envelope,
                         .body = &w->body,
                         .eight_bit = !utf8_is_ascii(buf_span(&w->body.memory)),
                         .memory = &w->memory};
    int error = handover_send(self, w->courier, &h, &outcome);
    if (error || !w->envelope.target_count)
        return error;
    if (outcome.verdict != INTAKE_STORED)
        log_dropped(w, outcome.verdict == INTAKE_OVER_QUOTA ? "the mailbox is full" : "the mailbox is gone");
    else
        log_write(LOG_LOW, "courier", queue_id(first_entry(w->report)->message_id, id),
                  "sender is told to=%s message=%s", log_quote(w->to), queue_id(outcome.message_id, new_id));
    return 0;
}

static int write_report(struct fiber *self, struct courier *c, struct report *report)
{
    struct writing *w = calloc(1, sizeof *w);
    if (!w)
        return -ENOMEM;
    *w = (struct writing){.courier = c, .report = report, .settings = settings_ref(c->settings)};
    w->to = entry_sender(first_entry(report));
    arena_init(&w->memory, MEMORY_MAX);
    intake_body_init(&w->body);
    envelope_init(&w->envelope);
    int error = find_way(self, w);
    if (!error && w->envelope.target_count)
        error = read_message(self, w);
    if (!error && w->envelope.target_count)
        error = compose(w);
    if (!error)
        error = hand_over(self, w);
    message_close(&w->message);
    intake_body_release(&w->body);
    arena_release(&w->memory);
    settings_unref(w->settings);
    free(w);
    return error;
}

/* ---- The fibers ---- */

static void report_done(struct courier *c, struct report *report, bool is_told)
{
    for (struct list_node *node; (node = list_take_first(&report->entries));) {
        struct entry *e = container_of(node, struct entry, node);
        if (!is_told && e->verdict.kind == VERDICT_DELIVERED) {
            /* The other side has it: rather no report than a second copy. */
            results_add(c, e);
            continue;
        }
        if (is_told && e->outcome != STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE)
            work_due_at(c, e->retry_at);
        entry_release(e);
    }
    free(report);
}

static void reporter_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    for (struct list_node *node; (node = list_take_first(&c->reports));) {
        struct report *report = container_of(node, struct report, node);
        int error;
        while ((error = write_report(self, c, report)) != 0 && error != -ECANCELED && !c->is_stopping) {
            char id[QUEUE_ID_MAX];
            log_write(LOG_PROBLEM, "courier", queue_id(first_entry(report)->message_id, id),
                      "the sender can't be told now, tried again error=%s", strerror(-error));
            if (fiber_sleep(self, clock_monotonic() + PAUSE))
                break;
        }
        /* Not told when the server stops: the entries are still due, and their fate is found out again. */
        report_done(c, report, !error);
    }
    c->reporters--;
    condition_wake_all(&c->room);
}

void report_add(struct courier *c, struct report *report)
{
    list_append(&c->reports, &report->node);
    if (c->reporters >= REPORTERS_MAX)
        return;
    if (fiber_start(c->loop, "reporter", reporter_main, c)) {
        c->reporters++;
        return;
    }
    if (c->reporters)
        return; /* another one takes it */
    list_remove(&report->node);
    log_write(LOG_PROBLEM, "courier", NULL, "no memory to tell a sender; tried again");
    report_done(c, report, false);
}
