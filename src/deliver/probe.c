/* Asking a next hop whether it takes a recipient, so that gates refuse unknown names while the sender is on the line.
 * Answers are remembered: a yes for ten minutes, all others for one; what is under way is asked once. */
#include "base/clock.h"
#include "courier.pb-c.h"
#include "deliver/answers.h"
#include "deliver/connection.h"
#include "ipc/binary.h"

#include <errno.h>
#include <stdlib.h>

#define REMEMBERED_MAX 10000
#define REMEMBERED_BYTES (4u << 20)
#define GOOD_SECONDS 600
#define OTHER_SECONDS 60
#define ASK_SECONDS 20
#define PROBES_MAX 50 /* at a time */
#define KEY_MAX 1024
#define REPLY_MAX 600

/* One question on its way. */
struct probe {
    struct courier *courier;
    struct question *question;
    struct span address, next_hop; /* in the question's key */
};

struct answers *probes_new(void)
{
    struct answers *probes = malloc(sizeof *probes);
    if (probes)
        answers_init(probes, REMEMBERED_MAX, REMEMBERED_BYTES, PROBES_MAX);
    return probes;
}

/* The address, a NUL, the next hop. False: they are none, or too long. */
static bool write_key(const Courier__ProbeRequest *request, struct buf *key)
{
    struct span address = binary_span(request->address);
    buf_add_span(key, address);
    buf_add_char(key, '\0');
    buf_add_span(key, binary_span(request->next_hop));
    return !buf_failed(key) && span_find(address, '\0') == address.size;
}

static void answer_call(struct call *call, Courier__Verdict verdict, struct span text)
{
    Courier__ProbeReply reply = COURIER__PROBE_REPLY__INIT;
    reply.verdict = verdict;
    reply.reply = binary_from_span(text);
    call_reply(call, &reply.base, (struct span){0}, -1);
}

/* ---- Asking ---- */

static Courier__Verdict verdict_of(const struct smtp_reply *reply)
{
    struct verdict v = verdict_of_smtp_reply(VERDICT_AT_RCPT, reply, false);
    return v.kind == VERDICT_DELIVERED ? COURIER__VERDICT__VERDICT_TAKES
           : v.kind == VERDICT_FAILED  ? COURIER__VERDICT__VERDICT_REFUSES
                                       : COURIER__VERDICT__VERDICT_UNKNOWN;
}

/* A server that sends us away altogether says nothing about this recipient. */
static Courier__Verdict ask(struct fiber *self, const struct probe *probe, struct buf *text)
{
    Courier__Verdict verdict = COURIER__VERDICT__VERDICT_UNKNOWN;
    struct site *site = site_get(probe->courier, probe->next_hop);
    struct connection *conn = calloc(1, sizeof *conn);
    struct smtp_client_recipient *recipient = calloc(1, sizeof *recipient);
    if (site)
        site->sources++; /* it stays while we use it */
    if (!site || !conn || !recipient || site->route.kind != SITE_NEXT_HOP)
        goto out;
    uint64_t deadline = clock_in_seconds(ASK_SECONDS);
    int error = connection_open(self, site, deadline, conn);
    if (!error) {
        recipient->address = probe->address;
        error = smtp_client_probe(self, &conn->client, (struct span){0}, recipient);
    }
    if (!error && recipient->final.code) {
        verdict = verdict_of(&recipient->final);
        smtp_reply_write(&recipient->final, text);
    }
    connection_close(self, conn);
out:
    if (site) {
        site->sources--;
        site_leave(site);
    }
    free(conn);
    free(recipient);
    return verdict;
}

static void remember(struct answers *probes, const struct probe *probe, Courier__Verdict verdict, struct span text)
{
    struct buf bytes;
    buf_init(&bytes, REPLY_MAX + 1);
    buf_add_char(&bytes, (char)verdict);
    buf_add_span(&bytes, text);
    if (!buf_failed(&bytes))
        answers_put(probes, question_key(probe->question), buf_span(&bytes),
                    verdict == COURIER__VERDICT__VERDICT_TAKES ? GOOD_SECONDS : OTHER_SECONDS);
    buf_release(&bytes);
}

static void probe_main(struct fiber *self, void *argument)
{
    struct probe *probe = argument;
    Courier__ProbeReply reply = COURIER__PROBE_REPLY__INIT;
    struct buf text;
    buf_init(&text, REPLY_MAX);
    reply.verdict = ask(self, probe, &text);
    reply.reply = binary_from_span(buf_span(&text));
    if (!fiber_is_canceled(self))
        remember(probe->courier->probes, probe, reply.verdict, buf_span(&text));
    question_end(probe->question, &reply.base, 0);
    buf_release(&text);
    free(probe);
}

static void begin(struct courier *c, struct span key, struct call *call)
{
    struct probe *probe = c->is_stopping ? NULL : calloc(1, sizeof *probe);
    struct question *question = probe ? question_begin(c->probes, key, call) : NULL;
    if (!question) {
        answer_call(call, COURIER__VERDICT__VERDICT_UNKNOWN, (struct span){0});
        free(probe);
        return;
    }
    key = question_key(question);
    size_t end = span_find(key, '\0');
    *probe = (struct probe){c, question, span_head(key, end), span_skip(key, end + 1)};
    if (fiber_start(c->loop, "probe", probe_main, probe))
        return;
    question_end(question, NULL, -ENOMEM);
    free(probe);
}

void probe_start(struct courier *c, struct call *call)
{
    struct buf key;
    buf_init(&key, KEY_MAX);
    if (!write_key((const Courier__ProbeRequest *)call->request, &key)) {
        answer_call(call, COURIER__VERDICT__VERDICT_UNKNOWN, (struct span){0});
    } else {
        struct span known = answers_get(c->probes, buf_span(&key));
        if (known.size)
            answer_call(call, (Courier__Verdict)known.data[0], span_skip(known, 1));
        else if (!question_join(c->probes, buf_span(&key), call))
            begin(c, buf_span(&key), call);
    }
    buf_release(&key);
}
