#include "fixture.h"

#include "auth.pb-c.h"
#include "courier.pb-c.h"
#include "facts/rules_memo.h"
#include "intake/route.h"
#include "ipc/services.h"
#include "policy/decide.h"
#include "policy/door_item.h"
#include "resolver.pb-c.h"
#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const struct span nothing = {NULL, 0};

static void keep(char *to, size_t room, ProtobufCBinaryData from)
{
    assert_true(from.len < room);
    if (from.len)
        memcpy(to, from.data, from.len);
    to[from.len] = 0;
}

/* ---- The reader ---- */

static ProtobufCBinaryData text(const char *words)
{
    return (ProtobufCBinaryData){strlen(words), (uint8_t *)(uintptr_t)words};
}

static void lie_about_target(const struct fixture *f, const StoreRead__ResolveRequest *request, StoreRead__Target *t)
{
    static uint32_t guards[INTAKE_GUARDS_MAX + 1];
    if (f->lie == READ_NO_MAILBOX)
        t->mailbox_id = 0;
    if (f->lie == READ_NO_GUARD || f->lie == READ_GUARD_ZERO || f->lie == READ_TOO_MANY_GUARDS) {
        guards[0] = f->lie != READ_GUARD_ZERO;
        t->guards = guards;
        t->n_guards = f->lie == READ_TOO_MANY_GUARDS ? INTAKE_GUARDS_MAX + 1 : 1;
    }
    if (f->lie == READ_REMOTE || f->lie == READ_VERIFY || f->lie == READ_REMOTE_NOWHERE) {
        t->kind = STORE_READ__TARGET_KIND__TARGET_REMOTE;
        t->address = text(f->lie == READ_REMOTE_NOWHERE        ? "nobody"
                          : request->local_part.data[0] == 'b' ? "b@next.test"
                                                               : "a@next.test");
        t->next_hop = text("hop.test:2525");
        t->forwarder = text("example.test");
        t->verify = f->lie == READ_VERIFY;
    }
    if (f->lie == READ_LIST || f->lie == READ_LIST_BOUNCE || f->lie == READ_LIST_NONE) {
        t->kind = f->lie == READ_LIST_BOUNCE ? STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE
                                             : STORE_READ__TARGET_KIND__TARGET_LIST;
        t->list_id = f->lie == READ_LIST_NONE ? 0 : 5;
        t->list_member = 6;
    }
    if (f->lie == READ_UNKNOWN_TARGET)
        t->kind = (StoreRead__TargetKind)9;
}

static void answer_resolve(struct fixture *f, struct call *call)
{
    static const StoreRead__Route routes[] = {
        [READ_NO_USER] = STORE_READ__ROUTE__ROUTE_NO_USER,
        [READ_NOT_OURS] = STORE_READ__ROUTE__ROUTE_NOT_OURS,
        [READ_DISABLED] = STORE_READ__ROUTE__ROUTE_DISABLED,
        [READ_FULL] = STORE_READ__ROUTE__ROUTE_OVER_QUOTA,
        [READ_UNSET] = STORE_READ__ROUTE__ROUTE_UNSET,
        [READ_UNKNOWN] = (StoreRead__Route)77,
        [READ_LIST_REFUSES] = STORE_READ__ROUTE__ROUTE_LIST_REFUSES,
    };
    const StoreRead__ResolveRequest *request = (const StoreRead__ResolveRequest *)call->request;
    size_t count = f->lie == READ_MANY_TARGETS ? 1000 : f->lie == READ_TOO_MANY_TARGETS ? 1001 : 1;
    StoreRead__Target *targets = calloc(count, sizeof *targets), **pointers = calloc(count, sizeof *pointers);
    assert_true(targets && pointers);
    f->resolves++;
    keep(f->domain, sizeof f->domain, request->domain);
    keep(f->asked_for, sizeof f->asked_for, request->reverse_path);
    f->asked_authenticated = request->authenticated;
    for (size_t i = 0; i < count; i++) {
        store_read__target__init(&targets[i]);
        targets[i].account_id = targets[i].mailbox_id = 1 + i + request->local_part.data[0] * 1000u;
        targets[i].quota_left = f->quota_left;
        pointers[i] = &targets[i];
    }
    lie_about_target(f, request, &targets[0]);
    StoreRead__ResolveReply reply = STORE_READ__RESOLVE_REPLY__INIT;
    reply.route = f->lie >= READ_NO_USER && f->lie <= READ_UNKNOWN ? routes[f->lie] : STORE_READ__ROUTE__ROUTE_LOCAL;
    /* The one domain of others. */
    if (span_ends_nocase(span_from(request->domain.data, request->domain.len), span_text("elsewhere.test")))
        reply.route = STORE_READ__ROUTE__ROUTE_NOT_OURS;
    reply.intake_paused = f->lie == READ_PAUSED;
    reply.targets = pointers;
    reply.n_targets = reply.route != STORE_READ__ROUTE__ROUTE_LOCAL || f->lie == READ_NO_TARGETS ? 0 : count;
    StoreRead__Door door = STORE_READ__DOOR__INIT, *doors[] = {&door};
    if (f->rules && request->judged) {
        door.account_id = targets[0].account_id;
        door.address = text("alice@example.test");
        door.rules = text(f->rules);
        if (request->passcode.len)
            door.passcode = span_is(span_from(request->passcode.data, request->passcode.len), "4711")
                                ? STORE_READ__PASSCODE__PASSCODE_RIGHT
                                : STORE_READ__PASSCODE__PASSCODE_WRONG;
        reply.doors = doors;
        reply.n_doors = targets[0].door = 1;
    }
    reply.sender_protected = f->protects && request->judged;
    reply.sender_account = text(f->protects ? f->protects : "");
    reply.has_denied_names = f->lie == READ_DENIED_NAMES;
    /* And one that it can't look up. */
    if (f->lie == READ_FAILS ||
        span_ends_nocase(span_from(request->domain.data, request->domain.len), span_text("broken.test")))
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, nothing, -1);
    free(targets);
    free(pointers);
}

static void answer_name_hits(struct call *call)
{
    const StoreRead__NameHitsRequest *request = (const StoreRead__NameHitsRequest *)call->request;
    StoreRead__NameHitsReply reply = STORE_READ__NAME_HITS_REPLY__INIT;
    StoreRead__ListHit hit = STORE_READ__LIST_HIT__INIT, *hits[] = {&hit};
    hit.kind = LIST_KIND_DENIED_NAME;
    hit.entry = text("dial");
    reply.hits = hits;
    reply.n_hits = door_name_matches(span_text("dial"), span_from(request->name.data, request->name.len));
    call_reply(call, &reply.base, nothing, -1);
}

static void answer_may_send(struct fixture *f, struct call *call)
{
    StoreRead__MaySendReply reply = STORE_READ__MAY_SEND_REPLY__INIT;
    const StoreRead__MaySendRequest *request = (const StoreRead__MaySendRequest *)call->request;
    reply.allowed =
        f->lie != MAY_NOT_SEND && !span_is(span_from(request->domain.data, request->domain.len), "elsewhere.test");
    reply.recipients_left = f->recipients_left;
    if (f->lie == MAY_SEND_FAILS)
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, nothing, -1);
}

static void read_called(void *context, struct call *call)
{
    struct fixture *f = context;
    if (f->lie == READ_DIES) {
        call_fail(call, -EINVAL);
        peers_set(&f->peers, ROLE_READER, 0, NULL);
    } else if (call->method == STORE_READ_RESOLVE)
        answer_resolve(f, call);
    else if (call->method == STORE_READ_NAME_HITS)
        answer_name_hits(call);
    else
        answer_may_send(f, call);
}

/* ---- The writer ---- */

static void answer_spool(struct fixture *f, struct call *call)
{
    StoreWrite__SpoolReply reply = STORE_WRITE__SPOOL_REPLY__INIT;
    f->spools++;
    int fd = f->lie == SPOOL_READ_ONLY ? open("/dev/null", O_RDONLY | O_CLOEXEC) : memfd_create("spool", MFD_CLOEXEC);
    assert_true(fd >= 0);
    if (f->lie == SPOOL_FAILS)
        call_fail(call, -ENOSPC);
    else
        call_reply(call, &reply.base, nothing, f->lie == SPOOL_WITHOUT_FD ? -1 : fd);
    close(fd);
}

static void keep_delivery(struct fixture *f, const struct call *call)
{
    const StoreWrite__DeliverRequest *request = (const StoreWrite__DeliverRequest *)call->request;
    f->deliveries++;
    f->recipients = request->n_recipients;
    keep(f->address, sizeof f->address, request->recipients[0]->address);
    keep(f->reverse_path, sizeof f->reverse_path, request->reverse_path);
    f->sender_account = request->sender_account_id;
    memset(f->kinds, 0, sizeof f->kinds);
    for (size_t i = 0; i < request->n_recipients; i++) {
        assert_true((unsigned)request->recipients[i]->kind < 4);
        f->kinds[request->recipients[i]->kind]++;
        keep(f->target, sizeof f->target, request->recipients[i]->target);
        keep(f->next_hop, sizeof f->next_hop, request->recipients[i]->next_hop);
        keep(f->forwarder, sizeof f->forwarder, request->recipients[i]->forwarder);
    }
    assert_true(strlen(request->protocol) < sizeof f->protocol);
    strcpy(f->protocol, request->protocol);
    buf_reset(&f->body);
    buf_add_span(&f->body, call->attachment);
    f->was_spooled = call->fd >= 0;
    char piece[65536];
    ssize_t n;
    for (off_t at = 0; f->was_spooled && (n = pread(call->fd, piece, sizeof piece, at)) > 0; at += n)
        buf_add(&f->body, piece, (size_t)n);
    assert_false(buf_failed(&f->body));
}

static void answer_deliver(struct fixture *f, struct call *call)
{
    keep_delivery(f, call);
    StoreWrite__Outcome *outcomes = calloc(f->recipients + 1, sizeof *outcomes);
    assert_non_null(outcomes);
    for (size_t i = 0; i <= f->recipients; i++)
        outcomes[i] = f->lie == STORE_FULL          ? STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA
                      : f->lie == STORE_GONE        ? STORE_WRITE__OUTCOME__OUTCOME_GONE
                      : f->lie == STORE_SENT_ENOUGH ? STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA
                      : f->lie == STORE_UNSET       ? STORE_WRITE__OUTCOME__OUTCOME_UNSET
                                                    : STORE_WRITE__OUTCOME__OUTCOME_STORED;
    if (f->lie == STORE_LAST_GONE)
        outcomes[f->recipients - 1] = STORE_WRITE__OUTCOME__OUTCOME_GONE;
    if (f->lie == STORE_LAST_SENT_ENOUGH)
        outcomes[f->recipients - 1] = STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA;
    if (f->lie == STORE_LAST_FULL)
        outcomes[f->recipients - 1] = STORE_WRITE__OUTCOME__OUTCOME_OVER_QUOTA;
    StoreWrite__DeliverReply reply = STORE_WRITE__DELIVER_REPLY__INIT;
    reply.message_id = 171;
    reply.outcomes = outcomes;
    reply.n_outcomes = f->recipients + (f->lie == STORE_TOO_MANY) - (f->lie == STORE_TOO_FEW);
    if (f->lie == STORE_FAILS)
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, nothing, -1);
    free(outcomes);
}

static void write_called(void *context, struct call *call)
{
    struct fixture *f = context;
    if (f->lie == STORE_DIES) {
        call_fail(call, -EINVAL);
        peers_set(&f->peers, ROLE_WRITER, 0, NULL);
    } else if (call->method == STORE_WRITE_SPOOL)
        answer_spool(f, call);
    else
        answer_deliver(f, call);
}

/* ---- auth: everybody is alice ---- */

static void answer_report(struct fixture *f, struct call *call)
{
    const Auth__ReportRequest *request = (const Auth__ReportRequest *)call->request;
    Auth__ReportReply reply = AUTH__REPORT_REPLY__INIT;
    f->reports++;
    f->refused = (int)request->refused;
    f->reported_account = request->account_id;
    reply.delay_ms = f->delay_ms;
    if (f->lie == REPORT_FAILS)
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, nothing, -1);
}

static void answer_window(struct fixture *f, struct call *call)
{
    Auth__WindowReply reply = AUTH__WINDOW_REPLY__INIT;
    reply.open = f->window;
    reply.account_id = 97001;
    reply.address = text("alice@example.test");
    reply.grant = text("a grant");
    if (f->lie == WINDOW_FAILS)
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, nothing, -1);
}

static void answer_step(struct fixture *f, struct call *call)
{
    unsigned char grant[65] = {1};
    char address[] = "alice@example.test";
    Auth__StepReply reply = AUTH__STEP_REPLY__INIT;
    reply.result = f->lie == AUTH_UNKNOWN ? (Auth__Result)77 : AUTH__RESULT__RESULT_ACCEPTED;
    reply.account_id = f->lie == AUTH_NO_ACCOUNT ? 0 : 97001;
    reply.grant = (ProtobufCBinaryData){f->lie == AUTH_LONG_GRANT ? 65 : 40, grant};
    reply.address = (ProtobufCBinaryData){sizeof address - 1, (uint8_t *)address};
    call_reply(call, &reply.base, nothing, -1);
}

static void answer_door(struct fixture *f, struct call *call)
{
    Auth__GuessReply guess = AUTH__GUESS_REPLY__INIT;
    Auth__GreylistReply greylist = AUTH__GREYLIST_REPLY__INIT;
    bool is_guess = call->method == AUTH_GUESS;
    f->guesses += is_guess;
    f->greylists += !is_guess;
    guess.allowed = f->may_guess;
    greylist.wait_seconds = f->greylist_wait;
    call_reply(call, is_guess ? &guess.base : &greylist.base, nothing, -1);
}

static void auth_called(void *context, struct call *call)
{
    if (call->method == AUTH_GUESS || call->method == AUTH_GREYLIST)
        answer_door(context, call);
    else if (call->method == AUTH_REPORT)
        answer_report(context, call);
    else if (call->method == AUTH_WINDOW)
        answer_window(context, call);
    else
        answer_step(context, call);
}

/* ---- The resolver ---- */

static void resolver_called(void *context, struct call *call)
{
    enum { A = 1, PTR = 12, MX = 15 };
    static const struct {
        const char *name; /* how it begins */
        unsigned type;
        struct span record; /* empty: the status says why */
        Resolver__Status status;
    } zone[] = {
        {"null.", MX, SPAN("\0\0\0"), RESOLVER__STATUS__STATUS_ANSWERED},
        {"none.", 0, {NULL, 0}, RESOLVER__STATUS__STATUS_NO_NAME},
        {"trouble.", 0, {NULL, 0}, RESOLVER__STATUS__STATUS_TROUBLE},
        {"host.", A, SPAN("\300\0\2P"), RESOLVER__STATUS__STATUS_ANSWERED},
        {"host.", 0, {NULL, 0}, RESOLVER__STATUS__STATUS_NO_DATA},
        {"client.dial.", A, SPAN("\177\0\0\1"), RESOLVER__STATUS__STATUS_ANSWERED},
        {"1.0.0.127.", PTR, SPAN("\6client\4dial\4test\0"), RESOLVER__STATUS__STATUS_ANSWERED},
        {"", MX, SPAN("\0\12\1x\0"), RESOLVER__STATUS__STATUS_ANSWERED},
        {"", 0, {NULL, 0}, RESOLVER__STATUS__STATUS_NO_DATA},
    };
    struct fixture *f = context;
    const Resolver__QueryRequest *request = (const Resolver__QueryRequest *)call->request;
    struct span name = span_from(request->name.data, request->name.len);
    size_t row = 0;
    while (!span_starts_nocase(name, span_text(zone[row].name)) || (zone[row].type && zone[row].type != request->type))
        row++;
    ProtobufCBinaryData record = {zone[row].record.size, (uint8_t *)(uintptr_t)zone[row].record.data};
    Resolver__QueryReply reply = RESOLVER__QUERY_REPLY__INIT;
    f->questions++;
    reply.status = zone[row].status;
    reply.n_records = record.len > 0;
    reply.records = &record;
    call_reply(call, &reply.base, nothing, -1);
}

/* ---- The courier ---- */

static void answer_call_out(struct fixture *f, struct call *call)
{
    Courier__CallBackReply call_back = COURIER__CALL_BACK_REPLY__INIT;
    Courier__WhoisReply whois = COURIER__WHOIS_REPLY__INIT;
    bool is_whois = call->method == COURIER_WHOIS;
    f->call_backs += !is_whois;
    f->whoises += is_whois;
    call_back.verdict = (Courier__Verdict)f->verdict;
    call_back.reply = text("550 nobody");
    whois.status = COURIER__WHOIS_STATUS__WHOIS_FOUND;
    whois.country = text("ZZ");
    if (f->courier_is_silent)
        peers_set(&f->peers, ROLE_COURIER, 0, NULL);
    if (f->courier_is_silent)
        call_fail(call, -ETIMEDOUT);
    else
        call_reply(call, is_whois ? &whois.base : &call_back.base, nothing, -1);
}

static void courier_called(void *context, struct call *call)
{
    struct fixture *f = context;
    Courier__ProbeReply reply = COURIER__PROBE_REPLY__INIT;
    if (call->method != COURIER_PROBE) {
        answer_call_out(f, call);
        return;
    }
    f->probes++;
    reply.verdict = (Courier__Verdict)f->verdict;
    reply.reply = text("550 5.1.1 never heard of\xc3\xa9 it");
    call_reply(call, &reply.base, nothing, -1);
}

/* ---- Start and end ---- */

static void serve(struct fixture *f, size_t place, enum role role, const struct service *service,
                  const struct channel_events *events)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    /* auth is asked by gates and desks: whichever may ask. */
    f->servers[place] = channel_new(f->loop, fds[0], service, f->is_gate ? ROLE_GATE : ROLE_DESK, events, f);
    struct channel *client = channel_new(f->loop, fds[1], service, role, NULL, NULL);
    assert_true(f->servers[place] && client);
    peers_set(&f->peers, role, 0, client);
}

void fixture_init(struct fixture *f, const char *settings)
{
    static const struct channel_events reader = {.called = read_called}, writer = {.called = write_called},
                                       auth = {.called = auth_called}, resolver = {.called = resolver_called},
                                       courier = {.called = courier_called};
    struct buf text, problem;
    buf_init(&text, 10000);
    buf_init(&problem, 1000);
    buf_printf(&text, "hostname=mx.example.test\ntrusted_networks=127.0.0.0/8\nsmtp.check_sender=false\n%s", settings);
    *f = (struct fixture){.loop = loop_new(),
                          .quota_left = UINT64_MAX,
                          .recipients_left = UINT32_MAX,
                          .is_gate = strstr(settings, "pop_before_smtp") || strstr(settings, "call_back")};
    f->settings = settings_parse(buf_span(&text), &problem);
    if (!f->loop || !f->settings)
        fail_msg("%.*s", SPAN_ARG(buf_span(&problem)));
    buf_init(&f->body, 64u << 20);
    buf_init(&f->output, 64u << 20);
    serve(f, 0, ROLE_READER, &store_read_service, &reader);
    serve(f, 1, ROLE_WRITER, &store_write_service, &writer);
    serve(f, 2, ROLE_AUTH, &auth_service, &auth);
    serve(f, 3, ROLE_RESOLVER, &resolver_service, &resolver);
    serve(f, 4, ROLE_COURIER, &courier_service, &courier);
    f->sources = (struct facts_sources){.peers = &f->peers, .rules = rules_memo_new()};
    assert_non_null(f->sources.rules);
    buf_release(&text);
    buf_release(&problem);
}

/* A channel's fibers end in the turns behind channel_free(). */
static void stop_when_empty(struct loop_hook *hook)
{
    struct fixture *f = container_of(hook, struct fixture, hook);
    if (loop_fiber_count(f->loop) == 0)
        loop_stop(f->loop);
}

void fixture_release(struct fixture *f)
{
    peers_release(&f->peers);
    for (size_t i = 0; i < 5; i++)
        channel_free(f->servers[i]);
    f->hook.run = stop_when_empty;
    loop_add_hook(f->loop, &f->hook);
    assert_int_equal(loop_run(f->loop), 0);
    intake_route_cache_free(f->routes);
    rules_memo_free(f->sources.rules);
    settings_unref(f->settings);
    buf_release(&f->body);
    buf_release(&f->output);
    loop_free(f->loop);
}

struct job {
    struct fixture *f;
    void (*main)(struct fiber *self, void *argument);
    void *argument;
};

static void run_job(struct fiber *self, void *argument)
{
    struct job *job = argument;
    job->main(self, job->argument);
    loop_stop(job->f->loop);
}

void fixture_run(struct fixture *f, void (*main)(struct fiber *self, void *argument), void *argument)
{
    struct job job = {f, main, argument};
    assert_non_null(fiber_start(f->loop, "test", run_job, &job));
    assert_int_equal(loop_run(f->loop), 0);
}

/* ---- The session and its client ---- */

static void end_fiber(struct fixture *f)
{
    if (--f->running == 0)
        loop_stop(f->loop);
}

static void session_main(struct fiber *self, void *argument)
{
    struct fixture *f = argument;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    f->client_fd = fds[0];
    struct stream *stream = stream_new(f->loop, fds[1]);
    assert_non_null(stream);
    struct smtp_context context = {.settings = f->settings,
                                   .peers = &f->peers,
                                   .routes = f->routes,
                                   .blacklist = f->blacklist,
                                   .facts = &f->sources};
    struct smtp_peer peer = {.service = f->service, .session = "t1", .ip = {.bytes = {[10] = 255, 255, 127, 0, 0, 1}}};
    smtp_session_run(self, stream, &context, &peer);
    stream_free(stream);
    end_fiber(f);
}

static bool receive(struct fixture *f)
{
    char piece[16384];
    ssize_t n = recv(f->client_fd, piece, sizeof piece, 0);
    if (n > 0)
        buf_add(&f->output, piece, (size_t)n);
    return n > 0 || (n < 0 && errno == EAGAIN);
}

static void client_main(struct fiber *self, void *argument)
{
    struct fixture *f = argument;
    struct span input = f->input;
    bool open = true;
    while (open) {
        ssize_t n = input.size ? send(f->client_fd, input.data, input.size, MSG_NOSIGNAL) : 0;
        input = span_skip(input, n < 0 ? 0 : (size_t)n);
        open = receive(f);
        assert_int_equal(fiber_yield(self), 0);
    }
    close(f->client_fd);
    end_fiber(f);
}

/* References are random: they become R, having been looked at. */
static void mask_references(char *output)
{
    static const char word[] = "Reference ";
    for (char *at = output; (at = strstr(at, word));) {
        char *rest = at += strlen(word);
        uint64_t reference;
        assert_true(strlen(rest) > 9);
        assert_true(reference_parse(span_from(rest, 9), &reference));
        assert_int_equal(rest[4], '-');
        *rest = 'R';
        memmove(rest + 1, rest + 9, strlen(rest + 9) + 1);
    }
}

const char *fixture_talk(struct fixture *f, enum service_kind service, struct span input)
{
    f->service = service;
    f->input = input;
    f->running = 2;
    buf_reset(&f->output);
    /* In this order: the socketpair is there when the client first runs. */
    assert_non_null(fiber_start(f->loop, "session", session_main, f));
    assert_non_null(fiber_start(f->loop, "client", client_main, f));
    assert_int_equal(loop_run(f->loop), 0);
    buf_add_char(&f->output, '\0');
    assert_false(buf_failed(&f->output));
    mask_references(f->output.data);
    return f->output.data;
}
