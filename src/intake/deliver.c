#include "intake/deliver.h"

#include "base/clock.h"
#include "base/log.h"
#include "format/automatic.h"
#include "format/summary.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/poison.h"

#include <errno.h>

#define STORE_SECONDS \
    300 /* a slow disk is no reason to refuse; the client waits ten minutes (RFC 5321 section 4.5.3.2.6) */

_Static_assert((int)INTAKE_TARGET_MAILBOX == STORE_WRITE__RECIPIENT_KIND__RECIPIENT_MAILBOX &&
                   (int)INTAKE_TARGET_REMOTE == STORE_WRITE__RECIPIENT_KIND__RECIPIENT_REMOTE &&
                   (int)INTAKE_TARGET_LIST == STORE_WRITE__RECIPIENT_KIND__RECIPIENT_LIST &&
                   (int)INTAKE_TARGET_LIST_BOUNCE == STORE_WRITE__RECIPIENT_KIND__RECIPIENT_LIST_BOUNCE,
               "the same order as in the contract");

static void fill_recipient(const struct intake_recipient *r, StoreWrite__Recipient *row)
{
    const struct intake_target *target = r->target;
    store_write__recipient__init(row);
    row->kind = (StoreWrite__RecipientKind)target->kind;
    row->account_id = target->account_id;
    row->mailbox_id = target->mailbox_id;
    row->address = binary_from_span(r->address);
    row->orcpt = binary_from_span(r->orcpt);
    row->notify = r->notify;
    row->target = binary_from_span(target->address);
    row->next_hop = binary_from_span(target->next_hop);
    row->forwarder = binary_from_span(target->forwarder);
    row->list_id = target->list_id;
    row->list_member = target->list_member;
    row->folder = binary_from_span(r->folder);
    row->ledger = (StoreWrite__LedgerRow *)(uintptr_t)r->ledger;
}

int intake_fill_request(const struct envelope *envelope, struct arena *arena, StoreWrite__DeliverRequest *request)
{
    StoreWrite__Recipient *rows = arena_array(arena, envelope->target_count, sizeof *rows);
    request->recipients = arena_array(arena, envelope->target_count, sizeof(StoreWrite__Recipient *));
    request->n_recipients = 0;
    if (!rows || !request->recipients)
        return -ENOMEM;
    for (const struct intake_recipient *r = envelope->recipients; r; r = r->next) {
        fill_recipient(r, &rows[request->n_recipients]);
        request->recipients[request->n_recipients] = &rows[request->n_recipients];
        request->n_recipients++;
    }
    request->reverse_path = binary_from_span(envelope->reverse_path);
    request->envid = binary_from_span(envelope->envid);
    request->ret = envelope->ret;
    request->smtputf8 = envelope->smtputf8;
    return 0;
}

/* Parsed here, in the sandbox, once and for good. */
int intake_summarise(struct intake_body *body, struct intake_summary *summary)
{
    struct span whole;
    struct arena scratch;
    *summary = (struct intake_summary){.automatic = false};
    buf_init(&summary->bytes, SUMMARY_SIZE_MAX);
    int error = intake_body_map(body, &whole);
    if (error)
        return error;
    struct span content = span_skip(whole, body->own_size);
    summary->fingerprint = body->fingerprint ? body->fingerprint : poison_fingerprint(content);
    summary->is_held = !poison_begin(summary->fingerprint);
    if (summary->is_held) {
        error = summary_make_unread(whole.size, &summary->bytes);
    } else {
        poison_test(content);
        arena_init(&scratch, SUMMARY_ARENA_MAX);
        error = summary_make(whole, &scratch, &summary->bytes);
        arena_release(&scratch);
        summary->automatic = header_is_automatic(whole);
        poison_end();
    }
    intake_body_unmap(body, whole);
    return error;
}

struct outcome_count {
    size_t stored, over_quota, gone, over_sending_quota;
};

static void count_outcomes(const StoreWrite__DeliverReply *reply, struct outcome_count *count)
{
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        count->stored += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_STORED;
        count->over_quota += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA;
        count->gone += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_GONE;
        count->over_sending_quota += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA;
    }
}

/* The store takes a message for all of its living targets or for none; an answer that mixes them is no answer. What
 * remains are targets that vanished since their address was accepted, as if that had happened a moment after the
 * delivery. */
int intake_read_outcomes(const StoreWrite__DeliverReply *reply, size_t count, struct intake_outcome *outcome,
                         size_t *gone)
{
    struct outcome_count c = {0};
    count_outcomes(reply, &c);
    if (count == 0 || reply->n_outcomes != count || c.stored + c.over_quota + c.gone + c.over_sending_quota != count ||
        (c.stored && c.over_quota) || (c.over_sending_quota && c.over_sending_quota != count))
        return -EPROTO;
    *outcome = (struct intake_outcome){.verdict = c.stored               ? INTAKE_STORED
                                                  : c.over_sending_quota ? INTAKE_OVER_SENDING_QUOTA
                                                  : c.over_quota         ? INTAKE_OVER_QUOTA
                                                                         : INTAKE_GONE,
                                       .message_id = c.stored ? reply->message_id : 0,
                                       .remote_due_at = c.stored ? reply->remote_due_at : 0};
    if (gone)
        *gone = c.stored ? c.gone : 0;
    return 0;
}

static int read_reply(const struct intake_source *source, const StoreWrite__DeliverReply *reply, size_t count,
                      struct intake_outcome *outcome)
{
    size_t gone;
    int error = intake_read_outcomes(reply, count, outcome, &gone);
    if (!error && gone)
        log_write(LOG_PROBLEM, source->component, source->session,
                  "message stored for some only: an account was removed meanwhile message=%llx stored=%zu gone=%zu",
                  (unsigned long long)outcome->message_id, count - gone, gone);
    return error;
}

int intake_deliver(struct fiber *self, const struct intake *intake, const struct intake_source *source,
                   const struct envelope *envelope, struct arena *arena, struct intake_body *body,
                   const struct intake_summary *summary, bool eight_bit, struct intake_outcome *outcome)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct answer answer = {.fd = -1};
    struct intake_summary own = {.automatic = false};
    int error = 0;
    if (!summary) {
        error = intake_summarise(body, &own);
        summary = &own;
    }
    if (!error)
        error = intake_fill_request(envelope, arena, &request);
    if (error)
        goto out;
    request.received_at = clock_wall();
    request.peer_address = binary_from_span(span_text(source->ip_text));
    request.helo = binary_from_span(source->helo);
    request.protocol = (char *)(uintptr_t)source->protocol;
    request.session = binary_from_span(span_text(source->session));
    request.eight_bit = eight_bit;
    request.summary = binary_from_span(buf_span(&summary->bytes));
    request.automatic = summary->automatic;
    request.sender_account_id = source->account_id;
    request.may_wait_for_allowance = source->may_wait_for_allowance;
    struct span attachment = body->spool < 0 ? buf_span(&body->memory) : (struct span){0};
    error = channel_call(self, intake_channel(self, intake, ROLE_WRITER), STORE_WRITE_DELIVER, &request.base,
                         attachment, body->spool, clock_in_seconds(STORE_SECONDS), &answer);
    if (!error)
        error = read_reply(source, (const StoreWrite__DeliverReply *)answer.message, envelope->target_count, outcome);
out:
    answer_release(&answer);
    buf_release(&own.bytes);
    return error;
}
