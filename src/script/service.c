#include "script/service.h"

#include "base/log.h"
#include "ipc/attachments.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "script.pb-c.h"
#include "script/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

#define ARENA_MAX (1u << 20)
/* A problem that comes again is told again only so much later. */
#define QUIET (60 * NANOSECONDS)

struct script_service {
    struct loop *loop;
    struct attachments clients;
    struct list_node waiting; /* struct question */
    size_t count;
    struct timer turn; /* its stack is the loop's */
    struct script_printer printer;
    char *path;
    struct buf text;
    bool has_text;
    bool is_due; /* the text is to be compiled */
    struct script_limits limits;
    unsigned seconds;
    struct script *script;   /* NULL: not compiled yet, or there is something wrong with it */
    struct buf load_problem; /* with it */
    struct {
        char text[SCRIPT_PROBLEM_MAX];
        uint64_t since;
        uint64_t again; /* how often since */
    } told;
};

/* A call that waits for its turn. */
struct question {
    struct list_node node;
    struct call *call;
    uint64_t since;
};

void script_alarm(unsigned seconds)
{
    struct itimerval timer = {.it_value.tv_sec = seconds};
    /* It can fail for a wrong time only. */
    if (setitimer(ITIMER_REAL, &timer, NULL) < 0)
        abort();
}

/* ---- The log ---- */

static void print(void *context, struct span line)
{
    log_write(LOG_LOW, "script", NULL, "printed text=%s", log_quote(line));
    /* Its next step may be the process's end. */
    log_flush();
}

/* A script that is wrong is wrong for every mail. */
static void tell_problem(struct script_service *s, const char *problem)
{
    bool is_same = s->told.text[0] && strcmp(s->told.text, problem) == 0;
    if (is_same && clock_monotonic() < s->told.since + QUIET) {
        s->told.again++;
        return;
    }
    log_write(LOG_PROBLEM, "script", NULL, "the script has no opinion problem=%s again=%llu",
              log_quote(span_text(problem)), (unsigned long long)(is_same ? s->told.again : 0));
    snprintf(s->told.text, sizeof s->told.text, "%s", problem);
    s->told.since = clock_monotonic();
    s->told.again = 0;
}

/* ---- Work ---- */

static void load(struct script_service *s)
{
    s->is_due = false;
    script_free(s->script);
    s->script = NULL;
    s->told.text[0] = 0;
    buf_reset(&s->load_problem);
    if (s->has_text) {
        script_alarm(s->seconds);
        s->script = script_new(s->path, buf_span(&s->text), &s->limits, &s->printer, &s->load_problem);
        script_alarm(0);
    } else {
        buf_printf(&s->load_problem, "%s: the file could not be read when the server read its configuration", s->path);
    }
    if (s->script)
        log_write(LOG_LOW, "script", NULL, "loaded file=%s", log_quote(span_text(s->path)));
    else
        log_write(LOG_PROBLEM, "script", NULL, "the script can't be used and has no opinion problem=%s",
                  log_quote(buf_span(&s->load_problem)));
}

static void answer(struct call *call, const struct script_answer *answer, struct span problem)
{
    static const Script__Result results[] = {[SCRIPT_NOTHING] = SCRIPT__RESULT__RESULT_NOTHING,
                                             [SCRIPT_ACCEPT] = SCRIPT__RESULT__RESULT_ACCEPT,
                                             [SCRIPT_REFUSE] = SCRIPT__RESULT__RESULT_REFUSE,
                                             [SCRIPT_DEFER] = SCRIPT__RESULT__RESULT_DEFER,
                                             [SCRIPT_FILE] = SCRIPT__RESULT__RESULT_FILE};
    Script__CheckReply reply = SCRIPT__CHECK_REPLY__INIT;
    reply.result = results[answer ? answer->result : SCRIPT_NOTHING];
    if (answer)
        reply.text = binary_from_span(span_from(answer->text, answer->text_size));
    reply.problem = binary_from_span(problem);
    call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

static void check(struct script_service *s, struct call *call)
{
    const Script__CheckRequest *request = (const Script__CheckRequest *)call->request;
    struct arena arena;
    struct script_outcome outcome;
    struct facts facts = {.is_fetched = false};
    struct recipient_facts *r = NULL;
    if (!s->script) {
        answer(call, NULL, buf_span(&s->load_problem));
        return;
    }
    arena_init(&arena, ARENA_MAX);
    r = arena_alloc(&arena, sizeof *r);
    if (!r || !facts_parse(binary_span(request->facts), &arena, &facts, r)) {
        call_fail(call, r && !arena.is_starved ? -EINVAL : -ENOMEM);
        arena_release(&arena);
        return;
    }
    script_alarm(s->seconds);
    script_check(s->script, &facts, r, (int64_t)(clock_wall() / NANOSECONDS), &s->printer, &outcome);
    script_alarm(0);
    if (outcome.problem[0])
        tell_problem(s, outcome.problem);
    answer(call, &outcome.answer, span_text(outcome.problem));
    arena_release(&arena);
}

static void wake(struct script_service *s)
{
    /* A started timer is never refused; the first one is, without memory: then the calls wait for the next one. */
    if (timer_start(s->loop, &s->turn, clock_monotonic()))
        log_write(LOG_PROBLEM, "script", NULL, "no memory for a timer");
}

static void next_question(struct script_service *s, struct question *q)
{
    bool is_late = clock_monotonic() > q->since + (s->seconds + SCRIPT_LATE_SECONDS) * NANOSECONDS;
    /* Nobody waits for the answer any more: it would only make those behind it late as well. */
    if (is_late)
        call_fail(q->call, -ETIMEDOUT);
    else
        check(s, q->call);
    free(q);
}

static void run_turn(struct timer *timer)
{
    struct script_service *s = container_of(timer, struct script_service, turn);
    struct list_node *node = s->is_due ? NULL : list_take_first(&s->waiting);
    if (s->is_due) {
        load(s);
    } else if (node) {
        s->count--;
        next_question(s, container_of(node, struct question, node));
    }
    if (s->count)
        wake(s);
}

static void called(void *context, struct call *call)
{
    struct script_service *s = context;
    struct question *q = s->count < SCRIPT_CALLS_MAX ? calloc(1, sizeof *q) : NULL;
    if (!q) {
        call_fail(call, -EAGAIN);
        return;
    }
    q->call = call;
    q->since = clock_monotonic();
    list_append(&s->waiting, &q->node);
    s->count++;
    wake(s);
}

/* ---- Settings ---- */

int script_service_update(struct script_service *s, const struct settings *settings, struct span text)
{
    struct buf copy;
    buf_init(&copy, SCRIPT_SOURCE_MAX);
    buf_add_span(&copy, text);
    char *path = strdup(settings->script.file);
    if (!path || buf_failed(&copy)) {
        free(path);
        buf_release(&copy);
        return -ENOMEM;
    }
    s->limits = (struct script_limits){settings->script.memory, settings->script.steps};
    s->seconds = settings->script.seconds;
    free(s->path);
    s->path = path;
    buf_release(&s->text);
    s->text = copy;
    s->has_text = text.data;
    s->is_due = true;
    wake(s);
    return 0;
}

struct script_service *script_service_new(struct loop *loop, const struct settings *settings, struct span text,
                                          struct buf *problem)
{
    struct script_service *s = calloc(1, sizeof *s);
    if (!s) {
        buf_add_text(problem, "no memory for the script");
        return NULL;
    }
    /* Whoever started the server may have had it ignored. */
    signal(SIGALRM, SIG_DFL);
    s->loop = loop;
    s->turn.fire = run_turn;
    s->printer = (struct script_printer){print, s};
    attachments_init(&s->clients, loop, &script_service, called, s);
    list_init(&s->waiting);
    buf_init(&s->text, SCRIPT_SOURCE_MAX);
    buf_init(&s->load_problem, SCRIPT_PROBLEM_MAX);
    if (script_service_update(s, settings, text)) {
        buf_add_text(problem, "no memory for the script");
        script_service_free(s);
        return NULL;
    }
    return s;
}

int script_service_attach(struct script_service *s, int fd, enum role peer)
{
    return attachments_add(&s->clients, fd, peer);
}

void script_service_free(struct script_service *s)
{
    if (!s)
        return;
    struct list_node *node;
    timer_stop(s->loop, &s->turn);
    while ((node = list_take_first(&s->waiting))) {
        struct question *q = container_of(node, struct question, node);
        call_fail(q->call, -EPIPE);
        free(q);
    }
    attachments_release(&s->clients);
    script_free(s->script);
    buf_release(&s->text);
    buf_release(&s->load_problem);
    free(s->path);
    free(s);
}
