#include "smtp/deliver.h"

#include "base/log.h"
#include "format/date.h"
#include "format/summary.h"
#include "format/trace.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define STORE_SECONDS \
    300 /* a slow disk is no reason to refuse; the client waits ten minutes (RFC 5321 section 4.5.3.2.6) */

/* RFC 3848, RFC 6531 section 4.3. */
static const char *protocol_name(const struct smtp_session *s)
{
    static const char *const names[2][2][2] = {
        /* [utf8][tls][authenticated] */
        {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
        {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
    };
    if (!s->is_esmtp)
        return "SMTP";
    return names[s->transaction.mail.smtputf8][stream_is_tls(s->stream)][s->account_id != 0];
}

int smtp_write_trace(struct smtp_session *s, size_t *trace_size)
{
    const struct smtp_transaction *t = &s->transaction;
    struct buf *out = &s->transaction.body.memory;
    struct trace_received received = {
        .helo = s->helo,
        .ip = s->peer->ip,
        .host = span_text(s->settings->hostname),
        .protocol = span_text(protocol_name(s)),
        .tls_version = span_text(stream_tls_version(s->stream)),
        .tls_cipher = span_text(stream_tls_cipher(s->stream)),
        .id = span_text(s->peer->session),
        .recipient = t->recipient_count == 1 ? t->recipients->address : (struct span){0},
        .wall_nanoseconds = clock_wall(),
    };
    trace_return_path_write(t->reverse_path, out);
    trace_received_write(&received, out);
    *trace_size = out->size;
    return buf_failed(out) ? -ENOMEM : 0;
}

/* RFC 6409 section 8. */
static void write_missing_fields(const struct smtp_session *s, const struct smtp_data *data, struct buf *fields)
{
    if (!data->has_date) {
        buf_add_text(fields, "Date: ");
        date_write(clock_wall(), fields);
        buf_add_text(fields, "\r\n");
    }
    if (!data->has_message_id) {
        unsigned char random[16];
        if (getrandom(random, sizeof random, 0) != sizeof random)
            abort();
        buf_add_text(fields, "Message-ID: <");
        for (size_t i = 0; i < sizeof random; i++)
            buf_printf(fields, "%02x", random[i]);
        buf_printf(fields, "@%s>\r\n", s->settings->hostname);
    }
}

int smtp_mend_header(struct smtp_session *s, const struct smtp_data *data, size_t trace_size)
{
    struct buf *memory = &s->transaction.body.memory;
    struct span content = span_skip(buf_span(memory), trace_size);
    struct buf fields;
    buf_init(&fields, 512);
    if (s->account_id)
        write_missing_fields(s, data, &fields);
    if (data->header_lines == 0 && content.size && !span_is(span_head(content, 2), "\r\n"))
        buf_add_text(&fields, "\r\n");
    int error = buf_failed(&fields) || !buf_reserve(memory, fields.size) ? -ENOMEM : 0;
    if (!error && fields.size) {
        memmove(memory->data + trace_size + fields.size, memory->data + trace_size, content.size);
        memcpy(memory->data + trace_size, fields.data, fields.size);
        memory->size += fields.size;
    }
    buf_release(&fields);
    return error;
}

static int fill_recipients(struct smtp_transaction *t, StoreWrite__DeliverRequest *request)
{
    StoreWrite__Recipient *rows = arena_array(&t->arena, t->mailbox_count, sizeof *rows);
    request->recipients = arena_array(&t->arena, t->mailbox_count, sizeof(StoreWrite__Recipient *));
    if (!rows || !request->recipients)
        return -ENOMEM;
    for (const struct smtp_recipient *r = t->recipients; r; r = r->next) {
        StoreWrite__Recipient *row = &rows[request->n_recipients];
        store_write__recipient__init(row);
        row->account_id = r->account_id;
        row->mailbox_id = r->mailbox_id;
        row->address = binary_from_span(r->address);
        row->orcpt = binary_from_span(r->orcpt);
        row->notify = r->notify;
        request->recipients[request->n_recipients++] = row;
    }
    return 0;
}

/* Parsed here, in the sandbox, once and for good. */
static int make_summary(struct smtp_transaction *t, struct buf *summary)
{
    struct span whole;
    struct arena scratch;
    int error = smtp_body_map(&t->body, &whole);
    if (error)
        return error;
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    error = summary_make(whole, &scratch, summary);
    arena_release(&scratch);
    smtp_body_unmap(&t->body, whole);
    return error;
}

static int send_to_store(struct fiber *self, struct smtp_session *s, const struct smtp_data *data,
                         struct answer *answer)
{
    struct smtp_transaction *t = &s->transaction;
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct buf summary;
    buf_init(&summary, SUMMARY_SIZE_MAX);
    int error = make_summary(t, &summary);
    if (!error)
        error = fill_recipients(t, &request);
    if (error)
        goto out;
    request.reverse_path = binary_from_span(t->reverse_path);
    request.received_at = clock_wall();
    request.peer_address = binary_from_span(span_text(s->ip));
    request.helo = binary_from_span(s->helo);
    request.protocol = (char *)(uintptr_t)protocol_name(s);
    request.session = binary_from_span(span_text(s->peer->session));
    request.envid = binary_from_span(t->mail.envid);
    request.ret = (uint32_t)t->mail.ret;
    request.smtputf8 = t->mail.smtputf8;
    request.eight_bit = data->has_8bit;
    request.summary = binary_from_span(buf_span(&summary));
    request.sender_account_id = s->account_id;
    struct span attachment = t->body.spool < 0 ? buf_span(&t->body.memory) : (struct span){0};
    error = channel_call(self, peers_get(s->context->peers, ROLE_WRITER), STORE_WRITE_DELIVER, &request.base,
                         attachment, t->body.spool, clock_in_seconds(STORE_SECONDS), answer);
out:
    buf_release(&summary);
    return error;
}

struct outcome_count {
    size_t stored, over_quota, gone;
};

static void count_outcomes(const StoreWrite__DeliverReply *reply, struct outcome_count *count)
{
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        count->stored += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_STORED;
        count->over_quota += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA;
        count->gone += reply->outcomes[i] == STORE_WRITE__OUTCOME__OUTCOME_GONE;
    }
}

/* One reply has to be true for all recipients. The store takes a message for all of its living mailboxes or for none;
 * an answer that mixes them is no answer: a message twice is better than one that is lost behind a 250. What remains
 * are mailboxes that vanished since their RCPT was accepted, as if that had happened a moment after the delivery. */
static int reply_outcome(struct smtp_session *s, const StoreWrite__DeliverReply *reply)
{
    const struct smtp_transaction *t = &s->transaction;
    struct outcome_count count = {0};
    count_outcomes(reply, &count);
    if (reply->n_outcomes != t->mailbox_count || count.stored + count.over_quota + count.gone != t->mailbox_count ||
        (count.stored && count.over_quota))
        return smtp_refuse_internal(s, "the store's answer makes no sense", -EPROTO);
    if (count.stored) {
        if (count.stored < t->mailbox_count)
            log_write(LOG_PROBLEM, "smtp", s->peer->session,
                      "message stored for some only: an account was removed meanwhile message=%llx stored=%zu gone=%zu",
                      (unsigned long long)reply->message_id, count.stored, count.gone);
        log_write(LOG_LOW, "smtp", s->peer->session, "message accepted message=%llx ip=%s from=%s rcpt=%s rcpts=%u",
                  (unsigned long long)reply->message_id, s->ip, log_quote(t->reverse_path),
                  log_quote(t->recipients->address), t->recipient_count);
        return smtp_reply(s, 250, "2.0.0", "Stored, %llx", (unsigned long long)reply->message_id);
    }
    log_write(LOG_FAILURE, "smtp", s->peer->session, "message refused: %s ip=%s from=%s rcpt=%s",
              count.over_quota ? "mailbox full" : "account removed", s->ip, log_quote(t->reverse_path),
              log_quote(t->recipients->address));
    if (count.over_quota && s->settings->smtp.quota_full_is_permanent)
        return smtp_refuse(s, 552, "5.2.2", "The mailbox is full");
    if (count.over_quota)
        return smtp_refuse(s, 452, "4.2.2", "The mailbox is full, please try again later");
    return smtp_refuse(s, 550, "5.1.1", "There is no such person here any more");
}

int smtp_deliver(struct fiber *self, struct smtp_session *s, const struct smtp_data *data)
{
    struct answer answer = {.fd = -1};
    int error = send_to_store(self, s, data, &answer);
    int result = error ? smtp_refuse_internal(s, "the message could not be stored", error)
                       : reply_outcome(s, (const StoreWrite__DeliverReply *)answer.message);
    answer_release(&answer);
    smtp_transaction_reset(s);
    return error == -ECANCELED ? error : result;
}
