/* Telling the sender: one report about all recipients of a message that have the same news at the same time, handed to
 * the store together with the results that caused it.
 *
 * Of a stranger's message that we sent on for somebody it is not the stranger who hears, but the one whose mail it is:
 * with the whole message, so that nothing is lost where no copy was kept; the site's postmaster where it was nobody's
 * own (RFC 3461 section 5.2.7.4). */
#include "base/clock.h"
#include "deliver/handover.h"
#include "deliver/message.h"
#include "format/dsn.h"
#include "format/header.h"
#include "format/trace.h"
#include "format/utf8.h"
#include "ipc/binary.h"
#include "policy/poison.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORTERS_MAX 8
#define PAUSE (5 * NANOSECONDS)
#define MEMORY_MAX (16u << 20)
#define ASK_SECONDS 60
#define REPORT_ROOM (64u << 10) /* of a mailbox, beside the message itself */

struct writing {
    struct courier *courier;
    struct report *report;
    struct settings *settings;
    struct arena memory;
    struct message message;
    bool has_message;
    bool goes_back; /* to the one who sends it on; then it has one entry */
    struct span to; /* local@domain whom it goes to */
    struct intake_body body;
    bool eight_bit; /* of the body */
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
    uint64_t now = clock_steady();
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
    if (entry_is_sent_on(e) && !w->goes_back) {
        /* Where it is sent on to is not the writer's to know, and what is said there names it. */
        r->final = e->original;
        r->remote = r->diagnostic = (struct span){0};
    }
    if (e->kind == ENTRY_REMOTE)
        r->last_attempt = now;
    if (r->action == DSN_DELAYED)
        r->retry_until = (e->created_at < now ? e->created_at : now) + w->settings->courier.give_up * NANOSECONDS;
}

/* Of a message that is gone, or damaged, the report says what is known without it. */
static int read_message(struct fiber *self, struct writing *w)
{
    int error = message_open(self, &w->message, w->courier, first_entry(w->report)->message_id);
    w->has_message = !error;
    return error == -ENOENT || error == -EBADMSG ? 0 : error;
}

/* The report's end: the message that it is about, piece by piece. */
static int append_message(struct fiber *self, struct writing *w, const struct dsn *dsn)
{
    int error = message_copy(self, &w->message, 0, &w->body);
    if (!error)
        dsn_end_write(dsn, &w->body.memory);
    return error;
}

/* The report is another one each time, so that deaths at it are counted by the message that it is about. One that ended
 * enough processes is left out; but where nothing else keeps it, it is in there unread, and so is the whole report. */
static void write_text(struct writing *w, struct dsn *dsn)
{
    w->body.fingerprint = poison_fingerprint(dsn->message.size ? dsn->message : dsn->reference);
    bool is_read = poison_begin(w->body.fingerprint);
    if (is_read)
        poison_test(dsn->message);
    else
        dsn->message = (struct span){0};
    if (!is_read && !dsn->is_followed)
        w->body.fingerprint = poison_fingerprint(dsn->reference);
    dsn_write(dsn, &w->body.memory);
    if (is_read)
        poison_end();
}

static int compose(struct fiber *self, struct writing *w)
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
    dsn.is_for_recipient = w->goes_back;
    dsn.is_followed = w->goes_back && facts && is_bad_news;
    dsn.eight_bit = facts && facts->eight_bit;
    trace_return_path_write((struct span){0}, &w->body.memory);
    write_text(w, &dsn);
    w->envelope.smtputf8 = dsn.smtputf8;
    w->eight_bit = !utf8_is_ascii(buf_span(&w->body.memory)) || (dsn.is_followed && dsn.eight_bit);
    int error = dsn.is_followed ? append_message(self, w, &dsn) : 0;
    return error ? error : buf_failed(&w->body.memory) ? -ENOMEM : 0;
}

/* ---- Whom it goes to ---- */

static void log_dropped(const struct writing *w, const char *why)
{
    char id[QUEUE_ID_MAX];
    log_write(LOG_FAILURE, "courier", queue_id(first_entry(w->report)->message_id, id), "%s: %s to=%s",
              w->goes_back ? "report can't go back" : "report dropped", why, log_quote(w->to));
}

static const char *const reasons[] = {
    [INTAKE_ROUTE_LOCAL] = "the mailbox is full",
    [INTAKE_ROUTE_NO_USER] = "there is nobody of this name",
    [INTAKE_ROUTE_RELAY_FORM] = "the address names another host",
    [INTAKE_ROUTE_NOT_OURS] = "the address can't be sent to",
    [INTAKE_ROUTE_OVER_QUOTA] = "the mailbox is full",
    [INTAKE_ROUTE_DISABLED] = "the account is closed",
    [INTAKE_ROUTE_LIST_REFUSES] = "the mailing list takes no reports",
    [INTAKE_ROUTE_PAUSED] = "",
};

/* Where w->to leads; with sent_on_to, whose mail it was that was sent on there. 0 or a negative errno. */
static int look_up(struct fiber *self, struct writing *w, struct span sent_on_to, struct mail_path *path,
                   struct intake_route *route)
{
    struct intake intake = {.peers = w->courier->peers, .settings = w->settings};
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NOT_OURS};
    if (mail_address_parse(w->to, true, &w->memory, path) != NULL)
        return w->memory.is_starved ? -ENOMEM : 0;
    struct intake_question question = {.path = path, .sent_on_to = sent_on_to};
    int error = intake_route_find(self, &intake, &w->memory, &question, clock_in_seconds(ASK_SECONDS), route);
    if (!error && route->kind == INTAKE_ROUTE_NOT_OURS && !w->goes_back)
        error = intake_route_relay(w->settings, &w->memory, path, true, route);
    return error ? error : route->kind == INTAKE_ROUTE_PAUSED ? -EAGAIN : 0;
}

/* The report's envelope, empty where nobody can be told. */
static int find_way(struct fiber *self, struct writing *w)
{
    struct mail_path *path = arena_alloc(&w->memory, sizeof *path);
    struct intake_route route;
    if (!path)
        return -ENOMEM;
    int error = look_up(self, w, (struct span){0}, path, &route);
    if (error)
        return error;
    if (route.kind != INTAKE_ROUTE_LOCAL) {
        log_dropped(w, reasons[route.kind]);
        return 0;
    }
    struct intake_naming naming = {.path = path, .notify = SMTP_NOTIFY_NEVER};
    return envelope_add(&w->envelope, &w->memory, &naming, &route);
}

/* ---- Whom it goes back to ---- */

/* Adds those targets that can hold the message. A report about what nobody sent stays in mailboxes of ours: sent on, it
 * could fail and be reported for ever. */
static int add_holders(struct writing *w, const struct mail_path *path, const struct intake_route *route)
{
    const struct entry *e = first_entry(w->report);
    struct intake_target *targets = arena_array(&w->memory, route->count + 1, sizeof *targets);
    struct intake_route held = {.kind = INTAKE_ROUTE_LOCAL, .targets = targets};
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < route->count; i++) {
        const struct intake_target *t = &route->targets[i];
        bool is_mailbox = t->kind == INTAKE_TARGET_MAILBOX;
        if (is_mailbox ? t->quota_left >= e->size + REPORT_ROOM : e->reverse_path.size > 0)
            targets[held.count++] = *t;
    }
    struct intake_naming naming = {.path = path, .notify = SMTP_NOTIFY_NEVER};
    return held.count ? envelope_add(&w->envelope, &w->memory, &naming, &held) : 0;
}

static int try_holder(struct fiber *self, struct writing *w, struct span address, struct span sent_on_to)
{
    struct mail_path *path = arena_alloc(&w->memory, sizeof *path);
    struct intake_route route;
    if (!path || !address.data)
        return -ENOMEM;
    w->to = address;
    int error = look_up(self, w, sent_on_to, path, &route);
    if (!error && route.kind == INTAKE_ROUTE_LOCAL)
        error = add_holders(w, path, &route);
    if (!error && !w->envelope.target_count)
        log_dropped(w, reasons[route.kind]);
    return error;
}

static struct span postmaster_of(struct arena *memory, struct span domain)
{
    struct buf text;
    buf_init(&text, PATH_MAX_SMTP + DOMAIN_MAX);
    buf_add_text(&text, "postmaster@");
    buf_add_span(&text, domain);
    struct span copy = {0};
    if (!buf_failed(&text))
        copy = arena_copy(memory, buf_span(&text));
    buf_release(&text);
    return copy;
}

/* The person, the postmaster of the address's domain, the postmaster of the site: the first who can hold it. */
static int find_way_back(struct fiber *self, struct writing *w)
{
    const struct entry *e = first_entry(w->report);
    struct span domain = span_skip(e->original, span_find_last(e->original, '@') + 1);
    struct span home = span_text(w->settings->auth.default_domain);
    int error = try_holder(self, w, e->original, e->address);
    if (!error && !w->envelope.target_count)
        error = try_holder(self, w, postmaster_of(&w->memory, domain), (struct span){0});
    if (!error && !w->envelope.target_count && home.size && !span_equal_nocase(home, domain))
        error = try_holder(self, w, postmaster_of(&w->memory, home), (struct span){0});
    return error;
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
                         .eight_bit = w->eight_bit,
                         .memory = &w->memory};
    int error = handover_send(self, w->courier, &h, &outcome);
    if (error || !w->envelope.target_count)
        return error;
    if (outcome.verdict != INTAKE_STORED)
        log_dropped(w, outcome.verdict == INTAKE_OVER_QUOTA ? "the mailbox is full" : "the mailbox is gone");
    else
        log_write(LOG_LOW, "courier", queue_id(first_entry(w->report)->message_id, id), "%s is told to=%s message=%s",
                  w->goes_back ? "who sends it on" : "sender", log_quote(w->to), queue_id(outcome.message_id, new_id));
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
    w->goes_back = entry_goes_back(first_entry(report));
    int error = w->goes_back ? find_way_back(self, w) : find_way(self, w);
    if (!error && w->envelope.target_count)
        error = read_message(self, w);
    if (!error && w->envelope.target_count)
        error = compose(self, w);
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
