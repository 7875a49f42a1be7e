#include "store/writer_internal.h"

#include "ipc/binary.h"

#include "store_write.pb-c.h"

#include <errno.h>

static void take_envelope(const StoreWrite__DeliverRequest *q, struct message_facts *f)
{
    *f = (struct message_facts){.received_at = q->received_at,
                                .sender_account_id = q->sender_account_id,
                                .ret = q->ret,
                                .smtputf8 = q->smtputf8,
                                .eight_bit = q->eight_bit,
                                .reverse_path = binary_span(q->reverse_path),
                                .peer_address = binary_span(q->peer_address),
                                .helo = binary_span(q->helo),
                                .protocol = span_text(q->protocol),
                                .session = binary_span(q->session),
                                .envid = binary_span(q->envid),
                                .summary = binary_span(q->summary),
                                .remote_id = q->remote_id,
                                .uidl = binary_span(q->uidl)};
}

static int reply_delivered(struct store_writer *w, struct pending *p, const struct delivery *d, uint64_t message_id)
{
    static const StoreWrite__Outcome outcomes[] = {
        [DELIVERY_STORED] = STORE_WRITE__OUTCOME__OUTCOME_STORED,
        [DELIVERY_OVER_QUOTA] = STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA,
        [DELIVERY_GONE] = STORE_WRITE__OUTCOME__OUTCOME_GONE,
        [DELIVERY_OVER_SENDING_QUOTA] = STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA,
    };
    StoreWrite__DeliverReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    StoreWrite__Outcome *list = arena_array(&w->arena, d->recipient_count + 1, sizeof(*list));
    /* Without memory for the answer the message must not stand, since its sender will be told that it does not. */
    if (!reply || !list)
        return store_fail(w->store, -ENOMEM);
    store_write__deliver_reply__init(reply);
    reply->message_id = message_id;
    reply->remote_due_at = d->facts.remote_due_at;
    reply->n_outcomes = d->recipient_count;
    reply->outcomes = list;
    for (size_t i = 0; i < d->recipient_count; i++)
        list[i] = outcomes[d->recipients[i].outcome];
    p->reply = &reply->base;
    return 0;
}

static const struct ledger_row *take_row(struct store_writer *w, const StoreWrite__LedgerRow *from)
{
    struct ledger_row *row = arena_alloc(&w->arena, sizeof(*row));
    if (row)
        *row = writer_ledger_row(from);
    return row;
}

static int take_recipients(struct store_writer *w, const StoreWrite__DeliverRequest *q, struct delivery *d)
{
    static const enum delivery_kind kinds[] = {
        [STORE_WRITE__RECIPIENT_KIND__RECIPIENT_MAILBOX] = DELIVERY_MAILBOX,
        [STORE_WRITE__RECIPIENT_KIND__RECIPIENT_REMOTE] = DELIVERY_REMOTE,
        [STORE_WRITE__RECIPIENT_KIND__RECIPIENT_LIST] = DELIVERY_LIST,
        [STORE_WRITE__RECIPIENT_KIND__RECIPIENT_LIST_BOUNCE] = DELIVERY_LIST_BOUNCE,
    };
    d->recipients = arena_array(&w->arena, q->n_recipients + 1, sizeof(*d->recipients));
    if (!d->recipients)
        return -ENOMEM;
    for (size_t i = 0; i < q->n_recipients; i++) {
        const StoreWrite__Recipient *r = q->recipients[i];
        if ((unsigned)r->kind >= sizeof(kinds) / sizeof(kinds[0]))
            return -EINVAL;
        d->recipients[i] = (struct delivery_recipient){.kind = kinds[r->kind],
                                                       .account_id = r->account_id,
                                                       .mailbox_id = r->mailbox_id,
                                                       .list_id = r->list_id,
                                                       .list_member = r->list_member,
                                                       .address = binary_span(r->address),
                                                       .orcpt = binary_span(r->orcpt),
                                                       .target = binary_span(r->target),
                                                       .next_hop = binary_span(r->next_hop),
                                                       .forwarder = binary_span(r->forwarder),
                                                       .notify = r->notify,
                                                       .folder = binary_span(r->folder)};
        if (r->ledger && !(d->recipients[i].ledger = take_row(w, r->ledger)))
            return -ENOMEM;
    }
    return 0;
}

static int take_results(struct store_writer *w, const StoreWrite__DeliverRequest *q, struct delivery *d)
{
    static const enum delivery_result_kind kinds[] = {
        [STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE] = DELIVERY_DONE,
        [STORE_WRITE__QUEUE_OUTCOME__QUEUE_DEFERRED] = DELIVERY_DEFERRED,
        [STORE_WRITE__QUEUE_OUTCOME__QUEUE_WARNED] = DELIVERY_WARNED,
    };
    struct delivery_result *results = arena_array(&w->arena, q->n_results + 1, sizeof(*results));
    if (!results)
        return -ENOMEM;
    for (size_t i = 0; i < q->n_results; i++) {
        const StoreWrite__QueueResult *r = q->results[i];
        if ((unsigned)r->outcome >= sizeof(kinds) / sizeof(kinds[0]))
            return -EINVAL;
        results[i] =
            (struct delivery_result){r->message_id, r->number, kinds[r->outcome], r->next_at, binary_span(r->reply)};
    }
    d->results = results;
    return 0;
}

int writer_deliver(struct store_writer *w, struct pending *p)
{
    const StoreWrite__DeliverRequest *q = (const StoreWrite__DeliverRequest *)p->call->request;
    struct delivery d = {.recipient_count = q->n_recipients,
                         .result_count = q->n_results,
                         .may_wait = q->may_wait_for_allowance,
                         .body = p->call->attachment,
                         .body_fd = p->call->fd};
    bool is_courier = p->call->caller == ROLE_COURIER;
    if (q->n_recipients > STORE_RECIPIENTS_MAX || q->n_results > STORE_RESULTS_MAX ||
        ((q->n_results || q->remote_id) && !is_courier) || (q->n_recipients == 0 && q->n_results == 0))
        return -EINVAL;
    take_envelope(q, &d.facts);
    d.automatic = q->automatic;
    uint64_t message_id;
    int rc = take_recipients(w, q, &d);
    rc = rc ? rc : take_results(w, q, &d);
    rc = rc ? rc : store_deliver(w->store, &d, &message_id);
    w->compact_wanted |= rc == 0 && q->n_results > 0;
    return rc ? rc : reply_delivered(w, p, &d, message_id);
}

int writer_import(struct store_writer *w, struct pending *p)
{
    const StoreWrite__ImportRequest *q = (const StoreWrite__ImportRequest *)p->call->request;
    StoreWrite__ImportReply *reply = arena_alloc(&w->arena, sizeof(*reply));
    struct import import = {.account = binary_span(q->account),
                            .mailbox = binary_span(q->mailbox),
                            .flags = q->flags,
                            .body = p->call->attachment,
                            .body_fd = p->call->fd};
    import.facts.received_at = q->received_at;
    import.facts.summary = binary_span(q->summary);
    import.facts.reverse_path = binary_span(q->reverse_path);
    if (!reply)
        return -ENOMEM;
    store_write__import_reply__init(reply);
    p->reply = &reply->base;
    int rc = store_import(w->store, &import, &reply->message_id, &reply->uid, &p->problem);
    buf_add_char(&p->problem, '\0');
    if (rc == 0 && buf_failed(&p->problem))
        return store_fail(w->store, -ENOMEM);
    reply->problem = p->problem.data;
    return rc;
}
