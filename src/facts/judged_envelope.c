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
    for (const struct intake_recipient *way = r; way; way = way->again)
        if (!way->judged || !judged_keeps_out(way->judged))
            return way->judged;
    return r->judged;
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

static struct judged *door_with_mailbox(const struct intake_recipient *r)
{
    struct judged *judged = judged_door_of(r);
    return judged && judged->has_mailbox && r->target->kind != INTAKE_TARGET_MAILBOX ? judged : NULL;
}

/* Who forwards, and keeps a copy: what their own door keeps out is in their folder for that, and does not go on. */
static bool goes_on(const struct intake_recipient *r)
{
    const struct judged *judged = door_with_mailbox(r);
    return !judged || !judged_keeps_out(judged);
}

int judged_envelope_complete(struct attempt *a, struct envelope *envelope)
{
    int error = 0;
    for (struct intake_recipient *r = envelope->recipients; r; r = r->next)
        if (judged_door_of(r) && r->target->kind == INTAKE_TARGET_MAILBOX)
            judged_door_of(r)->has_mailbox = true;
    envelope_keep(envelope, goes_on);
    size_t left = envelope_bytes_left(envelope);
    for (struct intake_recipient *r = envelope->recipients; r; r = r->next)
        if (judged_door_of(r))
            add_folder(r, judged_door_of(r), &left);
    for (struct intake_recipient *r = envelope->recipients; r && !error; r = r->next)
        if (judged_door_of(r) && !door_with_mailbox(r)) /* one row for a door */
            error = add_row(a, envelope, r, judged_door_of(r), &left);
    return error;
}
