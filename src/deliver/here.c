/* Recipients of ours that led nowhere when the message came in, over a way that could not say so for one among others
 * (XTND XMIT): a full mailbox, a name that nobody has, or any address while intake was paused. Where they lead is asked
 * again at each attempt; then the message goes there in one transaction with the end of the entry, or waits as it would
 * at any other site, or its sender is told why it never will. */
#include "base/clock.h"
#include "deliver/handover.h"
#include "deliver/message.h"
#include "format/trace.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define ASK_SECONDS 60
#define MEMORY_MAX (4u << 20)

struct arrival {
    struct courier *courier;
    struct entry *entry;
    struct settings *settings;
    struct arena memory;
    struct message message;
    struct intake_body body;
    struct envelope envelope;
    struct mail_path path;
    struct intake_route route;
    bool only_here; /* mail for others is none of ours */
};

/* ---- Where it leads ---- */

static const struct {
    enum verdict_kind kind;
    char status[VERDICT_STATUS_MAX];
    const char *text;
} answers[] = {
    [INTAKE_ROUTE_NO_USER] = {VERDICT_FAILED, "5.1.1", "There is no such person here"},
    [INTAKE_ROUTE_RELAY_FORM] = {VERDICT_FAILED, "5.7.1", "Relaying is not allowed, in no notation"},
    [INTAKE_ROUTE_NOT_OURS] = {VERDICT_FAILED, "5.1.3", "No mail can go to such a domain"},
    [INTAKE_ROUTE_OVER_QUOTA] = {VERDICT_DEFERRED, "4.2.2", "The mailbox is full"},
    [INTAKE_ROUTE_DISABLED] = {VERDICT_FAILED, "5.2.1", "This account is closed"},
    [INTAKE_ROUTE_LIST_REFUSES] = {VERDICT_FAILED, "5.7.2", "You may not post to this mailing list"},
    [INTAKE_ROUTE_PAUSED] = {VERDICT_DEFERRED, "4.3.2", "This server takes no mail in just now"},
};

static void settle_by_route(struct arrival *a)
{
    enum intake_route_kind kind = a->route.kind;
    struct verdict v = {.kind = answers[kind].kind};
    bool for_good = kind == INTAKE_ROUTE_OVER_QUOTA && a->settings->smtp.quota_full_is_permanent;
    if (for_good)
        v.kind = VERDICT_FAILED;
    memcpy(v.status, for_good ? "5.2.2" : answers[kind].status, sizeof "5.x.x");
    entry_settle(a->entry, v, (struct span){0}, span_text(answers[kind].text));
}

/* The reader knows full mailboxes, but not how large this message is. */
static bool has_room(const struct intake_route *route, uint64_t size)
{
    for (size_t i = 0; i < route->count; i++)
        if (route->targets[i].kind != INTAKE_TARGET_MAILBOX || route->targets[i].quota_left >= size)
            return true;
    return false;
}

static int find_way(struct fiber *self, struct arrival *a)
{
    struct intake intake = {.peers = a->courier->peers, .settings = a->settings};
    /* Only a member's message has such recipients: its reverse path was checked. */
    const struct intake_question question = {
        .path = &a->path, .reverse_path = a->entry->reverse_path, .authenticated = true};
    a->route.kind = INTAKE_ROUTE_NOT_OURS;
    if (mail_address_parse(a->entry->address, true, &a->memory, &a->path) != NULL)
        return a->memory.is_starved ? -ENOMEM : 0;
    int error = intake_route_find(self, &intake, &a->memory, &question, clock_in_seconds(ASK_SECONDS), &a->route);
    /* The domain may have moved to another server meanwhile. */
    if (!error && a->route.kind == INTAKE_ROUTE_NOT_OURS && !a->only_here)
        error = intake_route_relay(a->settings, &a->memory, &a->path, true, &a->route);
    if (!error && a->route.kind == INTAKE_ROUTE_LOCAL && !has_room(&a->route, a->entry->size))
        a->route.kind = INTAKE_ROUTE_OVER_QUOTA;
    return error;
}

/* ---- Handing over ---- */

static int fill_envelope(struct arrival *a)
{
    const struct entry *e = a->entry;
    const StoreRead__QueueFetchReply *facts = a->message.facts;
    struct intake_naming naming = {.path = &a->path, .orcpt = e->orcpt, .notify = e->notify};
    a->envelope.reverse_path = entry_sender(e);
    a->envelope.envid = binary_span(facts->envid);
    a->envelope.ret = facts->ret;
    a->envelope.smtputf8 = facts->smtputf8;
    return envelope_add(&a->envelope, &a->memory, &naming, &a->route);
}

static int hand_over(struct fiber *self, struct arrival *a, bool *done)
{
    char id[QUEUE_ID_MAX];
    struct intake_outcome outcome;
    struct entry *e = a->entry;
    struct handover h = {.entry = e,
                         .count = 1,
                         .envelope = &a->envelope,
                         .body = &a->body,
                         .eight_bit = a->message.facts->eight_bit,
                         .account_id = a->message.facts->sender_account_id,
                         .memory = &a->memory};
    struct verdict delivered = {.kind = VERDICT_DELIVERED, .status = "2.0.0"};
    entry_settle(e, delivered, (struct span){0}, (struct span){0});
    e->outcome = STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE;
    int error = handover_send(self, a->courier, &h, &outcome);
    if (error)
        return error;
    if (outcome.verdict == INTAKE_OVER_SENDING_QUOTA) {
        struct verdict failed = {.kind = VERDICT_FAILED, .status = "5.7.1"};
        entry_settle(
            e, failed, (struct span){0},
            span_text("Your limit of recipients at other sites is used up for all the days that mail may wait"));
        return 0;
    }
    *done = true;
    if (outcome.verdict == INTAKE_STORED)
        log_write(LOG_LOW, "courier", queue_id(e->message_id, id), "delivered here number=%u rcpt=%s message=%llx",
                  (unsigned)e->number, log_quote(e->address), (unsigned long long)outcome.message_id);
    else
        log_write(LOG_FAILURE, "courier", queue_id(e->message_id, id), "its mailbox was removed number=%u rcpt=%s",
                  (unsigned)e->number, log_quote(e->address));
    return 0;
}

/* Nothing of it leaves: what leaves might come back, and go round for ever. */
static bool is_here(const struct intake_route *route)
{
    for (size_t i = 0; i < route->count; i++)
        if (route->targets[i].kind == INTAKE_TARGET_REMOTE)
            return false;
    return route->kind != INTAKE_ROUTE_NOT_OURS;
}

static int arrive(struct fiber *self, struct arrival *a, bool *done)
{
    int error = find_way(self, a);
    if (error || (a->only_here && !is_here(&a->route)))
        return error;
    if (a->route.kind != INTAKE_ROUTE_LOCAL) {
        settle_by_route(a);
        return 0;
    }
    error = message_open(self, &a->message, a->courier, a->entry->message_id);
    if (error)
        return error;
    trace_return_path_write(entry_sender(a->entry), &a->body.memory);
    error = message_copy(self, &a->message, 0, &a->body);
    if (!error)
        error = fill_envelope(a);
    return error ? error : hand_over(self, a, done);
}

static void deliver(struct fiber *self, struct courier *c, struct entry *e, bool only_here, bool *done)
{
    struct arrival *a = calloc(1, sizeof *a);
    *done = false;
    if (!a) {
        entry_settle_trouble(e, TROUBLE_OURS, (struct span){0});
        return;
    }
    *a = (struct arrival){.courier = c,
                          .entry = e,
                          .settings = settings_ref(c->settings),
                          .only_here = only_here,
                          .message = {.first = {.fd = -1}, .piece = {.fd = -1}}};
    arena_init(&a->memory, MEMORY_MAX);
    intake_body_init(&a->body);
    envelope_init(&a->envelope);
    int error = arrive(self, a, done);
    if (error)
        entry_settle_trouble(e, TROUBLE_OURS, span_text(strerror(-error)));
    message_close(&a->message);
    intake_body_release(&a->body);
    arena_release(&a->memory);
    settings_unref(a->settings);
    free(a);
}

void deliver_here(struct fiber *self, struct courier *c, struct entry *e, bool *done)
{
    deliver(self, c, e, false, done);
}

void deliver_if_ours(struct fiber *self, struct courier *c, struct entry *e, bool *done)
{
    deliver(self, c, e, true, done);
}
