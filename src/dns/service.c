#include "dns/service.h"

#include "base/log.h"
#include "dns/context.h"
#include "dns/name.h"
#include "dns/packet.h"
#include "dns/unbound_events.h"
#include "ipc/attachments.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "resolver.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unbound-event.h>
#include <unbound.h>
#include <unistd.h>

#define ANSWER_MEMORY_MAX (512u << 10)
#define CLASS_IN 1
#define TIMEOUT_MAX_MS 60000u

enum { RCODE_OK = 0, RCODE_NO_NAME = 3, RCODE_REFUSED = 5 };
enum { SECURITY_BOGUS = 1, SECURITY_SECURE = 2 };

struct resolver {
    struct loop *loop;
    struct unbound_events *events;
    struct ub_ctx *context;
    struct buf settings; /* what the context was made from */
    unsigned timeout_ms;
    struct attachments clients;
    struct list_node waiting; /* questions that libunbound does not have yet */
    struct list_node asked;
    size_t count; /* of questions in both lists */
};

/* libunbound can't be told to forget a question: one whose time is over stays in `asked`, without its call, until
 * libunbound gives up, too. */
struct question {
    struct resolver *resolver;
    struct list_node node;
    struct call *call; /* NULL: answered */
    struct timer timer;
    char name[DNS_NAME_MAX + 1];
    unsigned type;
};

/* ---- Answers ---- */

static void question_free(struct question *q)
{
    timer_stop(q->resolver->loop, &q->timer);
    list_remove(&q->node);
    q->resolver->count--;
    free(q);
}

static void answer_trouble(struct question *q, const char *what)
{
    Resolver__QueryReply reply = RESOLVER__QUERY_REPLY__INIT;
    reply.status = RESOLVER__STATUS__STATUS_TROUBLE;
    reply.trouble = (char *)(uintptr_t)what;
    struct call *call = q->call;
    q->call = NULL;
    if (call)
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

static void answer(struct question *q, const struct dns_packet *packet, bool secure)
{
    ProtobufCBinaryData records[DNS_PACKET_RECORDS_MAX];
    Resolver__QueryReply reply = RESOLVER__QUERY_REPLY__INIT;
    /* A CNAME that leads to a name that is not there is NXDOMAIN, too. */
    reply.status = packet->count                    ? RESOLVER__STATUS__STATUS_ANSWERED
                   : packet->rcode == RCODE_NO_NAME ? RESOLVER__STATUS__STATUS_NO_NAME
                                                    : RESOLVER__STATUS__STATUS_NO_DATA;
    for (size_t i = 0; i < packet->count; i++)
        records[i] = binary_from_span(packet->records[i]);
    reply.n_records = packet->count;
    reply.records = records;
    reply.ttl = packet->ttl;
    reply.secure = secure;
    reply.canonical_name = binary_from_span(packet->canonical);
    struct call *call = q->call;
    q->call = NULL;
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

static const char no_answer[] = "the DNS servers do not answer (SERVFAIL)";

/* NULL: that is no trouble. */
static const char *trouble_of(int rcode)
{
    if (rcode == RCODE_REFUSED)
        return "the DNS servers refuse to answer";
    return rcode == RCODE_OK || rcode == RCODE_NO_NAME ? NULL : no_answer;
}

/* libunbound's word. `data` is good only while this runs. */
static void take_answer(void *context, int rcode, void *data, int size, int security, char *why_bogus, int limited)
{
    struct question *q = context;
    struct arena memory;
    struct dns_packet packet;
    const char *trouble = trouble_of(rcode);
    arena_init(&memory, ANSWER_MEMORY_MAX);
    if (!q->call)
        ; /* too late */
    else if (security == SECURITY_BOGUS)
        answer_trouble(q, "the answer is forged or its signatures (DNSSEC) are wrong");
    else if (trouble || size <= 0)
        answer_trouble(q, trouble ? trouble : no_answer);
    else if (!dns_packet_parse(span_from(data, (size_t)size), q->type, &memory, &packet))
        answer_trouble(q, "the answer can't be read");
    /* A failure that libunbound remembers comes as an answer without an error, whose header alone tells. */
    else if ((trouble = trouble_of(packet.rcode)))
        answer_trouble(q, trouble);
    else
        answer(q, &packet, security == SECURITY_SECURE);
    arena_release(&memory);
    question_free(q);
}

static void time_out(struct timer *timer)
{
    answer_trouble(container_of(timer, struct question, timer), "no answer came in time");
}

/* ---- Questions ---- */

/* Once a turn, on the process's own stack. The answer may come before ub_resolve_event returns. */
static void ask_waiting(void *context)
{
    struct resolver *r = context;
    struct list_node *node;
    while ((node = list_take_first(&r->waiting))) {
        struct question *q = container_of(node, struct question, node);
        list_append(&r->asked, &q->node);
        int error = ub_resolve_event(r->context, q->name, (int)q->type, CLASS_IN, q, take_answer, NULL);
        if (error) {
            log_write(LOG_PROBLEM, "resolver", NULL, "libunbound can't ask problem=\"%s\"", ub_strerror(error));
            answer_trouble(q, "the resolver is out of order");
            question_free(q);
        }
    }
}

static int question_start(struct resolver *r, struct call *call)
{
    const Resolver__QueryRequest *request = (const Resolver__QueryRequest *)call->request;
    struct span name = binary_span(request->name);
    if (!dns_name_is_valid(name) || request->type == 0 || request->type > UINT16_MAX ||
        request->timeout_ms > TIMEOUT_MAX_MS)
        return -EINVAL;
    struct question *q = r->count < RESOLVER_QUESTIONS_MAX ? calloc(1, sizeof *q) : NULL;
    if (!q)
        return -EAGAIN;
    uint64_t wait = request->timeout_ms ? request->timeout_ms : r->timeout_ms;
    q->timer.fire = time_out;
    if (timer_start(r->loop, &q->timer, clock_monotonic() + wait * (NANOSECONDS / 1000))) {
        free(q);
        return -EAGAIN;
    }
    q->resolver = r;
    q->call = call;
    q->type = request->type;
    memcpy(q->name, name.data, name.size);
    list_append(&r->waiting, &q->node);
    r->count++;
    return 0;
}

static void called(void *context, struct call *call)
{
    int error = question_start(context, call);
    if (error)
        call_fail(call, error);
}

int resolver_attach(struct resolver *r, int fd, enum role peer)
{
    return attachments_add(&r->clients, fd, peer);
}

/* ---- Settings ---- */

int resolver_read_anchors(const struct settings *settings, struct buf *anchors, struct buf *problem)
{
    if (!settings->dns.dnssec)
        return 0;
    int fd = open(settings->dns.trust_anchor, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    int error = fd < 0 ? -errno : 0;
    while (!error) {
        char *to = buf_reserve(anchors, 4096);
        ssize_t n = to ? read(fd, to, 4096) : -1;
        error = !to ? -EFBIG : n < 0 ? -errno : 0;
        if (n <= 0)
            break;
        anchors->size += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    if (error)
        buf_printf(problem,
                   "the answers of the DNS are not checked (DNSSEC), as dns.trust_anchor %s can't be read: %s; install "
                   "the package dns-root-data or set dns.dnssec = false",
                   settings->dns.trust_anchor, strerror(-error));
    return error;
}

/* All that a context is made from. */
static void describe(const struct settings *settings, struct span anchors, struct buf *out)
{
    for (size_t i = 0; i < settings->dns.servers.count; i++)
        buf_printf(out, "server %s\n", settings->dns.servers.words[i]);
    for (size_t i = 0; i < settings->dns.zones.count; i++)
        buf_printf(out, "zone %s\n", settings->dns.zones.words[i]);
    buf_add_span(out, anchors);
}

/* The questions under way go to the new context. Those whose time was over are forgotten with the old one, which
 * forgets its callbacks when it is deleted. */
static void replace_context(struct resolver *r, struct ub_ctx *context)
{
    ub_ctx_delete(r->context);
    r->context = context;
    list_each_safe (node, &r->asked) {
        struct question *q = container_of(node, struct question, node);
        if (!q->call) {
            question_free(q);
        } else {
            list_remove(&q->node);
            list_append(&r->waiting, &q->node);
        }
    }
}

int resolver_set_settings(struct resolver *r, const struct settings *settings, struct span anchors, struct buf *problem)
{
    struct buf description;
    buf_init(&description, RESOLVER_ANCHORS_MAX + (256u << 10));
    describe(settings, anchors, &description);
    int error = buf_failed(&description) ? -ENOMEM : 0;
    bool same = r->context && span_equal(buf_span(&description), buf_span(&r->settings));
    if (!error && !same) {
        struct ub_ctx *context = dns_context_new(unbound_events_base(r->events), settings, anchors, problem);
        error = context ? 0 : -EIO;
        if (context)
            replace_context(r, context);
    }
    if (error || same) {
        buf_release(&description);
    } else {
        buf_release(&r->settings);
        r->settings = description;
    }
    if (!error)
        r->timeout_ms = settings->dns.timeout * 1000;
    return error;
}

struct resolver *resolver_new(struct loop *loop, const struct settings *settings, struct span anchors,
                              struct buf *problem)
{
    struct resolver *r = calloc(1, sizeof *r);
    if (!r) {
        buf_add_text(problem, "no memory for the resolver");
        return NULL;
    }
    r->loop = loop;
    attachments_init(&r->clients, loop, &resolver_service, called, r);
    list_init(&r->waiting);
    list_init(&r->asked);
    buf_init(&r->settings, 0);
    r->events = unbound_events_new(loop, ask_waiting, r);
    if (!r->events)
        buf_add_text(problem, "no memory or descriptors for the resolver");
    if (!r->events || resolver_set_settings(r, settings, anchors, problem)) {
        unbound_events_free(r->events);
        free(r);
        return NULL;
    }
    return r;
}
