#include "facts/judged_envelope.h"

#include "base/log.h"
#include "facts/content.h"
#include "facts/ledger_row.h"
#include "ipc/binary.h"
#include "policy/poison.h"

#include <errno.h>

#define FACTS_MAX (4u << 10) /* of one recipient, in the ledger */
#define ROW_OVERHEAD 200     /* a row's numbers and tags */

int facts_learn_content(struct attempt *a, struct reception *reception, const struct intake_summary *summary,
                        bool with_header)
{
    struct facts *facts = &a->facts;
    struct span whole;
    int error = intake_body_map(&reception->body, &whole);
    if (error)
        return error;
    a->fingerprint = summary->fingerprint;
    if (!poison_begin(a->fingerprint)) {
        intake_body_unmap(&reception->body, whole);
        return -EAGAIN; /* it was listed a moment ago: held when it comes again */
    }
    error = facts_fill_content(&facts->content, whole, reception->trace_size, buf_span(&summary->bytes),
                               summary->automatic, with_header, a->transaction);
    poison_end();
    intake_body_unmap(&reception->body, whole);
    facts->state[FACT_CONTENT] = error ? FACT_UNKNOWN : FACT_KNOWN;
    return error;
}

struct judged *judged_door_of(const struct intake_recipient *r)
{
    const struct intake_recipient *way = r;
    do {
        struct judged *judged = judged_way(way->target, way->judged, way->by_door);
        if (!judged || !judged_keeps_out(judged))
            return judged;
    } while ((way = way->again));
    return judged_way(r->target, r->judged, r->by_door);
}

/* Rows as long as the call has room for them. That one is missing hurts nobody; that the mail is would. */
static int add_row(struct attempt *a, const struct envelope *envelope, struct intake_recipient *r,
                   const struct judged *judged, size_t *left)
{
    static const char reply[] = "250 2.0.0 Stored";
    StoreWrite__LedgerRow *row = arena_alloc(a->transaction, sizeof *row);
    size_t facts_max = *left / (envelope->target_count + 1);
    if (!row || ledger_row_judged(a, a->transaction, judged, true, span_text(reply),
                                  facts_max < FACTS_MAX ? facts_max : FACTS_MAX, row))
        return -ENOMEM;
    /* What a rule put aside is asked about, and let in from then on, like what it refused. */
    if (row->verdict == VERDICT_FILE)
        row->reference = ledger_new_reference();
    size_t size = ROW_OVERHEAD + store_write__ledger_row__get_packed_size(row);
    if (size > *left)
        return 0;
    *left -= size;
    r->ledger = row;
    return 0;
}

/* A name for which there is no room, among thousands of recipients: the INBOX has it then. */
static void add_folder(struct intake_recipient *r, const struct judged *judged, size_t *left)
{
    struct span folder = judged_folder(judged);
    if (r->target->kind != INTAKE_TARGET_MAILBOX || folder.size + 4 > *left)
        return;
    r->folder = folder;
    *left -= folder.size ? folder.size + 4 : 0;
}

/* Nobody's rules about content were asked: they had nothing to go by. */
static void tell_held(const struct intake_recipient *r)
{
    StoreWrite__LedgerRow *row = (StoreWrite__LedgerRow *)(uintptr_t)r->ledger;
    row->verdict = VERDICT_FILE;
    row->reference = ledger_new_reference();
    row->rule = binary_from_span((struct span)SPAN("held-aside"));
    row->sentence = binary_from_span((struct span)SPAN(
        "Reading this message made the server fail several times, so it lies unread in the folder " POISON_FOLDER));
}

int judged_envelope_hold(struct attempt *a, struct envelope *envelope)
{
    a->facts.state[FACT_CONTENT] = FACT_UNKNOWN;
    int error = judged_envelope_complete(a, envelope);
    envelope_hold(envelope);
    for (const struct intake_recipient *r = envelope->recipients; r && !error; r = r->next)
        if (r->ledger)
            tell_held(r);
    log_write(LOG_MAJOR, "intake", a->session,
              "message held aside: reading it made the server fail several times, so it lies unread in the "
              "folder " POISON_FOLDER
              " (\"ostiary mail export\" brings it out); please report it as a fault of the server "
              "from=%s fingerprint=%016llx",
              log_quote(a->facts.reverse_path), (unsigned long long)a->fingerprint);
    return error;
}

/* Is it the mailbox of whoever has the door? */
static bool is_mailbox_of(const struct intake_recipient *r, const struct judged *judged)
{
    return r->target->kind == INTAKE_TARGET_MAILBOX && r->target->account_id == judged->door->account_id;
}

/* Who forwards, and keeps a copy, has one row: the mailbox's. */
static bool has_row_elsewhere(const struct intake_recipient *r)
{
    const struct judged *judged = judged_door_of(r);
    return judged->has_mailbox && !is_mailbox_of(r, judged);
}

/* What the door of somebody who forwards keeps out does not go on: the folder for that, in their own mailbox, has it.
 */
static bool stays_with_forwarder(const struct intake_recipient *r)
{
    const struct judged *judged = judged_door_of(r);
    return judged && judged_keeps_out(judged) && judged->door->mailbox_id && !is_mailbox_of(r, judged);
}

static bool goes_on(const struct intake_recipient *r)
{
    return !stays_with_forwarder(r);
}

static int keep_with_forwarder(struct attempt *a, struct intake_recipient *r)
{
    struct judged *judged = judged_door_of(r);
    struct intake_target *target = arena_alloc(a->transaction, sizeof *target);
    if (!target)
        return -ENOMEM;
    *target = (struct intake_target){
        .kind = INTAKE_TARGET_MAILBOX, .account_id = judged->door->account_id, .mailbox_id = judged->door->mailbox_id};
    judged->has_mailbox = true;
    r->target = target;
    r->judged = judged;
    r->by_door = NULL;
    r->again = NULL;
    return 0;
}

/* One copy for a mailbox, also where the forwarder has another address in the transaction. */
static bool is_first_of_mailbox(const struct envelope *envelope, const struct intake_recipient *r)
{
    const struct judged *judged = judged_door_of(r);
    for (const struct intake_recipient *other = envelope->recipients; other; other = other->next)
        if (is_mailbox_of(other, judged) && !stays_with_forwarder(other))
            return false;
    return true;
}

static int settle_forwarded(struct attempt *a, struct envelope *envelope)
{
    int error = 0;
    for (struct intake_recipient *r = envelope->recipients; r; r = r->next)
        if (judged_door_of(r) && is_mailbox_of(r, judged_door_of(r)))
            judged_door_of(r)->has_mailbox = true;
    for (struct intake_recipient *r = envelope->recipients; r && !error; r = r->next)
        if (stays_with_forwarder(r) && is_first_of_mailbox(envelope, r))
            error = keep_with_forwarder(a, r);
    envelope_keep(envelope, goes_on);
    return error;
}

int judged_envelope_complete(struct attempt *a, struct envelope *envelope)
{
    int error = settle_forwarded(a, envelope);
    size_t left = envelope_bytes_left(envelope);
    for (struct intake_recipient *r = envelope->recipients; r && !error; r = r->next)
        if (judged_door_of(r))
            add_folder(r, judged_door_of(r), &left);
    for (struct intake_recipient *r = envelope->recipients; r && !error; r = r->next)
        if (judged_door_of(r) && !has_row_elsewhere(r)) /* one row for a door */
            error = add_row(a, envelope, r, judged_door_of(r), &left);
    return error;
}
