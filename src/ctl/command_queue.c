/* queue list, queue show */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/duration.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/queue_choice.h"
#include "ctl/store_client.h"
#include "ipc/binary.h"
#include "store_write.pb-c.h"

#include <inttypes.h>
#include <stdio.h>
#include <sysexits.h>

struct queue_work {
    struct store_work work;
    struct queue_name name;
    bool shows; /* one message, with its header */
    struct json json;
    uint64_t now, count;
    struct buf header; /* of the message that is shown */
};

static struct span or_nobody(ProtobufCBinaryData address)
{
    return address.len ? binary_span(address) : span_text("<>");
}

static void write_next(struct buf *out, const StoreWrite__QueueItem *item, uint64_t now, bool paused)
{
    if (strcmp(item->state, "held") == 0) {
        buf_add_text(out, "held");
    } else if (item->give_up) {
        buf_add_text(out, "is being returned");
    } else if (paused) {
        buf_add_text(out, "paused");
    } else if (item->next_at <= now) {
        buf_add_text(out, "due now");
    } else {
        buf_add_text(out, "next in ");
        ctl_write_duration(out, (item->next_at - now) / NANOSECONDS);
    }
}

static void write_item(struct queue_work *q, const StoreWrite__QueueItem *item, bool paused)
{
    struct buf *out = &q->work.ctl->out;
    uint64_t age = q->now > item->created_at ? (q->now - item->created_at) / NANOSECONDS : 0;
    buf_printf(out, "%" PRIx64 ".%u  ", item->message_id, item->number);
    ctl_write_duration(out, age);
    buf_add_text(out, "  ");
    ctl_write_size(out, item->size);
    buf_add_text(out, "  ");
    foreign_write(or_nobody(item->reverse_path), false, out);
    buf_add_text(out, " -> ");
    foreign_write(binary_span(item->address), false, out);
    if (strcmp(item->kind, "remote") != 0)
        buf_printf(out, " (%s)", item->kind);
    buf_add_text(out, "  ");
    ctl_write_count(out, item->attempts, "attempt");
    buf_add_text(out, ", ");
    write_next(out, item, q->now, paused);
    buf_add_char(out, '\n');
    if (q->shows && item->original.len && !span_equal(binary_span(item->original), binary_span(item->address))) {
        buf_add_text(out, "    named ");
        foreign_write(binary_span(item->original), false, out);
        buf_add_text(out, " by its sender\n");
    }
    if (q->shows) {
        buf_add_text(out, "    by way of ");
        foreign_write(binary_span(item->destination), false, out);
        buf_printf(out, "%s\n", item->warned ? "; the sender was told of the delay" : "");
    }
    if (item->reply.len) {
        buf_add_text(out, "    ");
        foreign_write(binary_span(item->reply), false, out);
        buf_add_char(out, '\n');
    }
}

static void write_item_json(struct json *json, const StoreWrite__QueueItem *item)
{
    char id[32];
    snprintf(id, sizeof(id), "%" PRIx64 ".%u", item->message_id, item->number);
    json_object(json, NULL);
    json_text(json, "id", span_text(id));
    json_text(json, "kind", span_text(item->kind));
    json_text(json, "state", span_text(item->state));
    json_text(json, "sender", binary_span(item->reverse_path));
    json_text(json, "recipient", binary_span(item->address));
    json_text(json, "original", binary_span(item->original));
    json_text(json, "destination", binary_span(item->destination));
    json_number(json, "size", item->size);
    json_number(json, "attempts", item->attempts);
    json_number(json, "created_at", item->created_at / NANOSECONDS);
    json_number(json, "next_at", item->next_at / NANOSECONDS);
    json_text(json, "reply", binary_span(item->reply));
    json_bool(json, "warned", item->warned);
    json_bool(json, "give_up", item->give_up);
    json_end_object(json);
}

static void write_page(struct queue_work *q, const StoreWrite__QueueListReply *reply)
{
    for (size_t i = 0; i < reply->n_items; i++) {
        const StoreWrite__QueueItem *item = reply->items[i];
        if (q->name.number && q->name.number != item->number)
            continue;
        q->count++;
        if (q->work.ctl->json)
            write_item_json(&q->json, item);
        else
            write_item(q, item, reply->paused_out);
    }
}

static void write_pause(struct ctl *ctl, const StoreWrite__QueueListReply *reply)
{
    if (reply->paused_in)
        buf_add_text(&ctl->out, "Intake is paused: mail is put off. `ostiary queue resume in` ends that.\n");
    if (reply->paused_out)
        buf_add_text(&ctl->out, "Sending is paused. `ostiary queue resume out` ends that.\n");
}

static int run_list(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct queue_work *q = container_of(work, struct queue_work, work);
    struct ctl *ctl = work->ctl;
    StoreWrite__QueueListRequest request = STORE_WRITE__QUEUE_LIST_REQUEST__INIT;
    bool more = true;
    request.message_id = q->name.message_id;
    request.match = binary_from_span(q->name.match);
    request.header = q->shows;
    q->now = clock_wall();
    while (more) {
        struct answer answer;
        int status = store_client_call(self, client, STORE_WRITE_QUEUE_LIST, &request.base, &answer);
        if (status)
            return status;
        const StoreWrite__QueueListReply *reply = (const StoreWrite__QueueListReply *)answer.message;
        if (request.after_message_id == 0 && !ctl->json && !q->shows)
            write_pause(ctl, reply);
        write_page(q, reply);
        buf_add_span(&q->header, answer.attachment);
        more = reply->more;
        request.header = false;
        request.after_message_id = reply->last_message_id;
        request.after_number = reply->last_number;
        answer_release(&answer);
    }
    if (q->shows && q->count == 0)
        return ctl_fail(ctl, EX_DATAERR, "there is no %s in the queue (any more)", ctl->arguments[0]);
    return EX_OK;
}

static void write_begin(struct queue_work *q)
{
    json_init(&q->json, &q->work.ctl->out);
    if (!q->work.ctl->json)
        return;
    if (q->shows)
        json_object(&q->json, NULL);
    json_list(&q->json, q->shows ? "entries" : NULL);
}

static void write_end(struct queue_work *q)
{
    struct ctl *ctl = q->work.ctl;
    if (ctl->json) {
        json_end_list(&q->json);
        if (q->shows) {
            json_text(&q->json, "header", buf_span(&q->header));
            json_end_object(&q->json);
        }
    } else if (q->shows) {
        buf_add_char(&ctl->out, '\n');
        foreign_write(buf_span(&q->header), true, &ctl->out);
    } else {
        ctl_write_count(&ctl->out, q->count, "recipient");
        buf_add_char(&ctl->out, '\n');
    }
}

static int run(struct queue_work *q)
{
    struct ctl *ctl = q->work.ctl;
    q->work.run = run_list;
    q->work.settings = ctl_read_settings(ctl);
    if (!q->work.settings)
        return EX_CONFIG;
    buf_init(&q->header, 1 << 20);
    write_begin(q);
    int status = store_client_run(&q->work);
    if (status == EX_OK)
        write_end(q);
    buf_release(&q->header);
    settings_unref(q->work.settings);
    return status;
}

int ctl_queue_list(struct ctl *ctl)
{
    struct queue_work q = {.work.ctl = ctl};
    if (ctl->argument_count && !queue_name_parse(span_text(ctl->arguments[0]), &q.name))
        return ctl_fail(ctl, EX_USAGE, "'%.80s' is no id, address or domain", ctl->arguments[0]);
    return run(&q);
}

int ctl_queue_show(struct ctl *ctl)
{
    struct queue_work q = {.work.ctl = ctl, .shows = true};
    if (!queue_name_parse(span_text(ctl->arguments[0]), &q.name) || q.name.message_id == 0)
        return ctl_fail(ctl, EX_USAGE, "'%.80s' is no id of a message in the queue, like 1a2b or 1a2b.3",
                        ctl->arguments[0]);
    return run(&q);
}
