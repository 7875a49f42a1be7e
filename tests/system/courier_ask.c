/* The courier's call-outs on their own, for test_call_outs.py: a courier and a resolver with the settings of a file,
 * and a store that knows the domain "ours.test" only. courier_ask CONFIG reads lines: "call-back SENDER [IP]", "whois
 * IP". Those up to an empty line are asked at the same time; then each one's answer is written as a line of JSON. */
#include "courier.pb-c.h"
#include "deliver/courier.h"
#include "dns/service.h"
#include "format/ip_address.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#define QUESTIONS_MAX 64
#define LINE_MAX_BYTES 1200
#define ASK_SECONDS 120

struct task {
    struct loop *loop;
    struct settings *settings;
    struct peers peers;
    struct channel *reader, *gate;
    struct courier *courier;
};

static _Noreturn void die(const char *what, const struct buf *problem)
{
    fprintf(stderr, "courier_ask: %s %.*s\n", what, SPAN_ARG(buf_span(problem)));
    exit(70);
}

/* ---- Around the courier ---- */

static void reader_called(void *context, struct call *call)
{
    StoreRead__ResolveReply reply = STORE_READ__RESOLVE_REPLY__INIT;
    if (call->method != STORE_READ_RESOLVE) {
        call_fail(call, -EIO);
        return;
    }
    struct span domain = binary_span(((const StoreRead__ResolveRequest *)call->request)->domain);
    reply.route = span_is(domain, "ours.test") ? STORE_READ__ROUTE__ROUTE_NO_USER : STORE_READ__ROUTE__ROUTE_NOT_OURS;
    call_reply(call, &reply.base, (struct span){0}, -1);
}

static _Noreturn void resolver_main(const struct settings *settings, int fd, struct buf *problem)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    struct loop *loop = loop_new();
    struct resolver *resolver = loop ? resolver_new(loop, settings, (struct span){0}, problem) : NULL;
    if (!resolver || resolver_attach(resolver, fd, ROLE_COURIER) || loop_run(loop))
        die("no resolver", problem);
    _exit(0);
}

static void start_resolver(struct task *task, struct buf *problem)
{
    int fds[2];
    if (channel_pair(fds))
        die("no descriptors", problem);
    pid_t pid = fork();
    if (pid < 0)
        die("no process", problem);
    if (pid == 0)
        resolver_main(task->settings, fds[1], problem);
    close(fds[1]);
    peers_set(&task->peers, ROLE_RESOLVER, 0,
              channel_new(task->loop, fds[0], &resolver_service, ROLE_RESOLVER, NULL, NULL));
}

static void start_all(struct task *task, struct buf *problem)
{
    static const struct channel_events events = {.called = reader_called};
    int reader[2], gate[2];
    task->loop = loop_new();
    if (!task->loop || channel_pair(reader) || channel_pair(gate))
        die("no descriptors", problem);
    task->reader = channel_new(task->loop, reader[0], &store_read_service, ROLE_COURIER, &events, task);
    peers_set(&task->peers, ROLE_READER, 0,
              channel_new(task->loop, reader[1], &store_read_service, ROLE_READER, NULL, NULL));
    task->gate = channel_new(task->loop, gate[0], &courier_service, ROLE_COURIER, NULL, NULL);
    task->courier = courier_new(task->loop, task->settings, &task->peers, (struct span){0}, (struct span){0}, problem);
    if (!task->courier || courier_attach(task->courier, gate[1], ROLE_GATE))
        die("no courier", problem);
}

/* ---- Questions ---- */

struct question {
    char line[LINE_MAX_BYTES];
    struct ip_address ip;
    union {
        Courier__CallBackRequest call_back;
        Courier__WhoisRequest whois;
    } request;
    bool is_whois;
    struct channel_ask ask;
    struct answer answer;
};

static void parse(struct question *q)
{
    struct span rest = span_text(q->line), verb = span_cut(&rest, ' ');
    q->is_whois = span_is(verb, "whois");
    struct span sender = q->is_whois ? (struct span){0} : span_cut(&rest, ' ');
    bool has_ip = rest.size > 0;
    struct buf problem;
    buf_init(&problem, 16);
    if (has_ip && !ip_address_parse(rest, &q->ip))
        die("no address", &problem);
    ProtobufCBinaryData ip = binary_from_span(span_from(q->ip.bytes, has_ip ? sizeof q->ip.bytes : 0));
    if (q->is_whois) {
        courier__whois_request__init(&q->request.whois);
        q->request.whois.ip = ip;
        return;
    }
    courier__call_back_request__init(&q->request.call_back);
    q->request.call_back.sender = binary_from_span(sender);
    q->request.call_back.ip = ip;
}

static json_t *text_of(ProtobufCBinaryData bytes)
{
    json_t *text = bytes.len ? json_stringn((const char *)bytes.data, bytes.len) : json_string("");
    return text ? text : json_string("(not UTF-8)");
}

static json_t *describe(const struct question *q, int error)
{
    if (error)
        return json_pack("{s:s}", "error", strerrorname_np(-error));
    if (!q->is_whois) {
        static const char *const verdicts[] = {"unset", "takes", "refuses", "unknown"};
        const Courier__CallBackReply *r = (const Courier__CallBackReply *)q->answer.message;
        return json_pack("{s:s, s:o}", "verdict", verdicts[r->verdict], "reply", text_of(r->reply));
    }
    static const char *const states[] = {"unset", "found", "nothing", "trouble"};
    const Courier__WhoisReply *r = (const Courier__WhoisReply *)q->answer.message;
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "status", states[r->status], "text", text_of(r->text),
                     "country", text_of(r->country), "registry", text_of(r->registry), "network", text_of(r->network),
                     "as", text_of(r->as_number), "servers", text_of(r->servers));
}

static void ask_all(struct fiber *self, struct task *task, struct question *questions, size_t count)
{
    uint64_t deadline = clock_in_seconds(ASK_SECONDS);
    for (size_t i = 0; i < count; i++)
        channel_ask_start(
            self, &questions[i].ask, task->gate, questions[i].is_whois ? COURIER_WHOIS : COURIER_CALL_BACK,
            (const ProtobufCMessage *)&questions[i].request, (struct span){0}, -1, deadline, &questions[i].answer);
    for (size_t i = 0; i < count; i++) {
        json_t *line = describe(&questions[i], channel_ask_finish(self, &questions[i].ask, deadline));
        char *text = json_dumps(line, JSON_COMPACT);
        puts(text);
        free(text);
        json_decref(line);
        answer_release(&questions[i].answer);
    }
    fflush(stdout);
}

/* Reading holds up the loop; nothing is under way then. */
static void ask_main(struct fiber *self, void *argument)
{
    struct task *task = argument;
    struct question *questions = calloc(QUESTIONS_MAX, sizeof *questions);
    bool is_over = !questions;
    while (!is_over) {
        size_t count = 0;
        for (;;) {
            memset(&questions[count], 0, sizeof *questions);
            is_over = !fgets(questions[count].line, sizeof questions->line, stdin);
            questions[count].line[strcspn(questions[count].line, "\n")] = '\0';
            if (is_over || !questions[count].line[0] || count + 1 == QUESTIONS_MAX)
                break;
            parse(&questions[count++]);
        }
        ask_all(self, task, questions, count);
    }
    free(questions);
    fflush(stdout);
    _exit(0); /* the courier has fibers that never end */
}

int main(int argc, char **argv)
{
    static struct task task;
    struct buf problem;
    buf_init(&problem, 1000);
    if (argc != 2 || !(task.settings = settings_read_file(argv[1], &problem)))
        die("no settings", &problem);
    start_all(&task, &problem);
    start_resolver(&task, &problem);
    if (!fiber_start(task.loop, "ask", ask_main, &task) || loop_run(task.loop))
        die("no loop", &problem);
    return 0;
}
