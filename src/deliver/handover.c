#include "deliver/handover.h"

#include "base/clock.h"
#include "ipc/binary.h"
#include "ipc/services.h"

#include <errno.h>

static void fill_result(const struct entry *e, StoreWrite__QueueResult *row, StoreWrite__DeliverRequest *request)
{
    store_write__queue_result__init(row);
    row->message_id = e->message_id;
    row->number = e->number;
    row->outcome = (StoreWrite__QueueOutcome)e->outcome;
    row->next_at = e->retry_at;
    row->reply = binary_from_span(span_text(e->reply));
    request->results[request->n_results++] = row;
}

static int fill_results(const struct handover *h, StoreWrite__DeliverRequest *request)
{
    StoreWrite__QueueResult *rows = arena_array(h->memory, h->count, sizeof *rows);
    request->results = arena_array(h->memory, h->count, sizeof(StoreWrite__QueueResult *));
    if (!rows || !request->results)
        return -ENOMEM;
    if (h->entry)
        fill_result(h->entry, rows, request);
    else
        list_each (node, h->entries)
            fill_result(container_of(node, struct entry, node), &rows[request->n_results], request);
    return 0;
}

static int fill_message(const struct handover *h, StoreWrite__DeliverRequest *request, struct intake_summary *summary)
{
    int error = intake_summarise(h->body, summary);
    if (!error && summary->is_held)
        envelope_hold(h->envelope);
    if (!error)
        error = intake_fill_request(h->envelope, h->memory, request);
    request->received_at = clock_wall();
    request->protocol = (char *)(uintptr_t) "LOCAL";
    request->eight_bit = h->eight_bit;
    request->summary = binary_from_span(buf_span(&summary->bytes));
    return error;
}

int handover_send(struct fiber *self, struct courier *c, const struct handover *h, struct intake_outcome *outcome)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct answer answer = {.fd = -1};
    struct intake_summary summary = {.automatic = false};
    bool has_message = h->envelope->target_count != 0;
    *outcome = (struct intake_outcome){.verdict = INTAKE_STORED};
    int error = fill_results(h, &request);
    if (!error && has_message)
        error = fill_message(h, &request, &summary);
    request.sender_account_id = h->account_id;
    request.may_wait_for_allowance = h->account_id != 0;
    bool in_memory = has_message && h->body->spool < 0;
    if (!error)
        error = channel_call(self, peers_get(c->peers, ROLE_WRITER), STORE_WRITE_DELIVER, &request.base,
                             in_memory ? buf_span(&h->body->memory) : (struct span){0},
                             has_message ? h->body->spool : -1, clock_in_seconds(STORE_SECONDS), &answer);
    if (!error && has_message)
        error = intake_read_outcomes((const StoreWrite__DeliverReply *)answer.message, h->envelope->target_count,
                                     outcome, NULL);
    answer_release(&answer);
    buf_release(&summary.bytes);
    return error;
}
