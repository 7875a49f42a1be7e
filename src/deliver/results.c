/* What became of entries, told to the store: all that came together while the last call was under way goes in one. */
#include "base/clock.h"
#include "deliver/internal.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH 500

void results_add(struct courier *c, struct entry *e)
{
    list_append(&c->results, &e->node);
    condition_wake_one(&c->results_changed);
}

static int send_results(struct fiber *self, struct courier *c, struct list_node *batch)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__QueueResult rows[BATCH], *pointers[BATCH];
    struct answer answer;
    list_each (node, batch) {
        const struct entry *e = container_of(node, struct entry, node);
        StoreWrite__QueueResult *row = &rows[request.n_results];
        store_write__queue_result__init(row);
        row->message_id = e->message_id;
        row->number = e->number;
        row->outcome = (StoreWrite__QueueOutcome)e->outcome;
        row->next_at = e->retry_at;
        row->reply = binary_from_span(span_text(e->reply));
        pointers[request.n_results++] = row;
    }
    request.results = pointers;
    int error = channel_call(self, peers_get(c->peers, ROLE_WRITER), STORE_WRITE_DELIVER, &request.base,
                             (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), &answer);
    answer_release(&answer);
    return error;
}

/* Until the store has it: forgetting that something was delivered would deliver it again. */
static int tell(struct fiber *self, struct courier *c, struct list_node *batch)
{
    int error;
    while ((error = send_results(self, c, batch)) != 0 && error != -ECANCELED) {
        log_write(LOG_PROBLEM, "courier", NULL, "the store can't be told what became of mail, tried again error=%s",
                  strerror(-error));
        error = fiber_sleep(self, clock_monotonic() + RETRY_PAUSE);
        if (error)
            break;
    }
    return error;
}

static void take_batch(struct courier *c, struct list_node *batch)
{
    struct list_node *node;
    for (size_t i = 0; i < BATCH && (node = list_take_first(&c->results)); i++)
        list_append(batch, node);
}

void results_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    int error = 0;
    while (!error) {
        struct list_node batch;
        list_init(&batch);
        take_batch(c, &batch);
        if (list_is_empty(&batch)) {
            error = condition_wait(self, &c->results_changed, CLOCK_NEVER);
            continue;
        }
        c->results_under_way = true;
        error = tell(self, c, &batch);
        c->results_under_way = false;
        for (struct list_node *node; (node = list_take_first(&batch));) {
            struct entry *e = container_of(node, struct entry, node);
            if (e->outcome != STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE)
                work_due_at(c, e->retry_at);
            entry_release(e);
        }
        condition_wake_all(&c->room);
    }
}
