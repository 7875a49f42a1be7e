/* What the command line asks: fetch now, and how things stand. */
#include "base/clock.h"
#include "courier.pb-c.h"
#include "fetch/internal.h"
#include "ipc/binary.h"
#include "ipc/services.h"

#include <errno.h>
#include <stdlib.h>

#define STATES_MAX 10000 /* of one answer */
#define ANSWER_MS 500    /* a person who waits hears from us at least so often */
#define RUN_SECONDS 600  /* a run that nobody asks about any more is forgotten */

struct request {
    struct fetcher *fetcher;
    struct call *call;
};

static bool fits(const struct remote *r, struct span account, struct span name)
{
    return r->is_listed && (!account.size || span_equal_nocase(account, span_text(r->account))) &&
           (!name.size || span_is(name, r->name));
}

/* ---- How things stand ---- */

/* On the wall clock; 0: nothing is planned. */
static uint64_t wall_of(uint64_t monotonic)
{
    uint64_t now = clock_monotonic();
    return monotonic <= now ? clock_wall() : clock_wall() + (monotonic - now);
}

static void fill_state(const struct remote *r, Courier__FetchState *state)
{
    courier__fetch_state__init(state);
    state->account = binary_from_span(span_text(r->account));
    state->name = binary_from_span(span_text(r->name));
    state->last_at = r->last_at;
    state->next_at = r->is_stopped || r->is_off ? 0 : r->fiber ? clock_wall() : wall_of(r->next_at);
    state->failures = r->failures;
    state->problem = binary_from_span(span_text(r->problem));
    state->fetched = r->fetched;
}

static void answer_state(struct fetcher *f, struct call *call)
{
    const Courier__FetchStateRequest *request = (const Courier__FetchStateRequest *)call->request;
    Courier__FetchStateReply reply = COURIER__FETCH_STATE_REPLY__INIT;
    Courier__FetchState *states = calloc(STATES_MAX, sizeof *states);
    reply.states = calloc(STATES_MAX, sizeof(Courier__FetchState *));
    struct span key;
    void *value;
    bool good = states && reply.states;
    for (size_t position = 0; good && reply.n_states < STATES_MAX && map_next(&f->remotes, &position, &key, &value);)
        if (fits(value, binary_span(request->account), (struct span){0})) {
            fill_state(value, &states[reply.n_states]);
            reply.states[reply.n_states] = &states[reply.n_states];
            reply.n_states++;
        }
    if (good)
        call_reply(call, &reply.base, (struct span){0}, -1);
    else
        call_fail(call, -ENOMEM);
    free(states);
    free(reply.states);
}

/* ---- Fetch now ---- */

/* Makes room for one more: the oldest stand first. */
static void forget_runs(struct fetcher *f)
{
    uint64_t now = clock_monotonic();
    size_t count = 0;
    list_each (node, &f->runs)
        count++;
    list_each_safe (node, &f->runs) {
        struct run *run = container_of(node, struct run, node);
        if (run->until > now && count < RUNS_MAX)
            continue;
        list_remove(node);
        free(run);
        count--;
    }
}

/* A visit under way counts: it sees what lies there now, or will do so next time. */
static struct run *begin_run(struct fetcher *f, struct span account, struct span name, bool is_gentle)
{
    struct span key;
    void *value;
    size_t count = 0;
    for (size_t position = 0; map_next(&f->remotes, &position, &key, &value);)
        count += fits(value, account, name) && !((struct remote *)value)->is_off;
    struct run *run = calloc(1, sizeof *run + count * sizeof *run->places);
    if (!run)
        return NULL;
    for (size_t position = 0; map_next(&f->remotes, &position, &key, &value) && run->count < count;) {
        struct remote *r = value;
        if (!fits(r, account, name) || r->is_off)
            continue;
        /* What came of the last visit is the answer then. */
        bool rests = is_gentle && !r->fiber && !r->is_asked && r->visits && r->rests_until > clock_monotonic();
        run->places[run->count++] = (struct run_place){r->id, r->visits - rests};
        r->is_asked = !r->fiber && !rests;
    }
    run->id = ++f->run_number;
    forget_runs(f);
    list_append(&f->runs, &run->node);
    condition_wake_all(&f->changed);
    return run;
}

/* Is all of it that account's? */
static bool is_run_of(const struct fetcher *f, const struct run *run, struct span account)
{
    bool is_theirs = true;
    for (size_t i = 0; account.size && i < run->count; i++) {
        const struct remote *r = fetcher_find(f, run->places[i].remote_id);
        is_theirs &= !r || span_equal_nocase(account, span_text(r->account));
    }
    return is_theirs;
}

static struct run *find_run(struct fetcher *f, uint64_t id, struct span account)
{
    list_each (node, &f->runs) {
        struct run *run = container_of(node, struct run, node);
        if (run->id == id)
            return is_run_of(f, run, account) ? run : NULL;
    }
    return NULL;
}

static bool is_finished(const struct fetcher *f, const struct run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        const struct remote *r = fetcher_find(f, run->places[i].remote_id);
        if (r && r->visits == run->places[i].visits)
            return false;
    }
    return true;
}

static void fill_progress(const struct remote *r, bool finished, Courier__FetchProgress *p)
{
    courier__fetch_progress__init(p);
    p->account = binary_from_span(span_text(r->account));
    p->name = binary_from_span(span_text(r->name));
    p->messages = r->progress.messages;
    p->done = r->progress.done;
    p->bytes = r->progress.bytes;
    p->bytes_done = r->progress.bytes_done;
    p->stored = r->progress.stored;
    p->refused = r->progress.refused;
    p->blocked = r->progress.blocked;
    p->finished = finished;
    p->problem = binary_from_span(span_text(finished ? r->problem : ""));
}

static void answer_progress(struct fetcher *f, struct call *call, struct run *run)
{
    Courier__FetchNowReply reply = COURIER__FETCH_NOW_REPLY__INIT;
    size_t room = run->count < STATES_MAX ? run->count : STATES_MAX;
    Courier__FetchProgress *rows = calloc(room + 1, sizeof *rows);
    reply.accounts = calloc(room + 1, sizeof(Courier__FetchProgress *));
    bool good = rows && reply.accounts;
    for (size_t i = 0; good && i < room; i++) {
        const struct remote *r = fetcher_find(f, run->places[i].remote_id);
        if (!r)
            continue;
        fill_progress(r, r->visits != run->places[i].visits, &rows[reply.n_accounts]);
        reply.accounts[reply.n_accounts] = &rows[reply.n_accounts];
        reply.n_accounts++;
    }
    reply.run = run->id;
    reply.finished = is_finished(f, run);
    run->until = clock_in_seconds(RUN_SECONDS);
    if (good)
        call_reply(call, &reply.base, (struct span){0}, -1);
    else
        call_fail(call, -ENOMEM);
    free(rows);
    free(reply.accounts);
}

static void answer_problem(struct call *call, const char *problem)
{
    Courier__FetchNowReply reply = COURIER__FETCH_NOW_REPLY__INIT;
    reply.problem = (char *)(uintptr_t)problem;
    reply.finished = true;
    call_reply(call, &reply.base, (struct span){0}, -1);
}

static void fetch_now(struct fiber *self, struct fetcher *f, struct call *call)
{
    const Courier__FetchNowRequest *request = (const Courier__FetchNowRequest *)call->request;
    const struct span account = binary_span(request->account);
    uint64_t id = request->run;
    bool is_persons = call->caller == ROLE_DESK;
    if (is_persons && !account.size) {
        call_fail(call, -EACCES);
        return;
    }
    if (!id) {
        /* What was added a moment ago is to be fetched, too. */
        int error = fetcher_list(self, f);
        struct run *run = error ? NULL : begin_run(f, account, binary_span(request->name), is_persons);
        if (!run) {
            call_fail(call, error ? error : -ENOMEM);
            return;
        }
        if (!run->count && (request->name.len || (account.size && !is_persons))) {
            answer_problem(call,
                           "there is no such remote account, or it is switched off; 'ostiary remote list' shows them");
            return;
        }
        answer_progress(f, call, run);
        return;
    }
    struct run *run = find_run(f, id, account);
    uint64_t until = clock_monotonic() + ANSWER_MS * (NANOSECONDS / 1000);
    int error = 0;
    while (run && !error && !is_finished(f, run) && !f->is_stopping) {
        error = condition_wait(self, &f->progress, until);
        run = find_run(f, id, account); /* it may be gone */
        if (!error && clock_monotonic() < until && run && !is_finished(f, run))
            error = fiber_sleep(self, clock_monotonic() + NANOSECONDS / 20);
    }
    run = find_run(f, id, account);
    if (run)
        answer_progress(f, call, run);
    else
        answer_problem(call, "nothing is known of this run any more");
}

static void request_main(struct fiber *self, void *argument)
{
    struct request *request = argument;
    fetch_now(self, request->fetcher, request->call);
    free(request);
}

void control_called(struct fetcher *f, struct call *call)
{
    if (call->method == COURIER_FETCH_STATE) {
        answer_state(f, call);
        return;
    }
    struct request *request = malloc(sizeof *request);
    if (request) {
        *request = (struct request){f, call};
        if (fiber_start(f->loop, "fetch now", request_main, request))
            return;
    }
    free(request);
    call_fail(call, -ENOMEM);
}
