/* The session against services that fail and lie. What goes well is in tests/dialogue/pop3, over the real ones. */
#include "auth.pb-c.h"
#include "facts/gather.h"
#include "facts/rules_memo.h"
#include "ipc/grant.h"
#include "ipc/services.h"
#include "pop3/session.h"
#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define MESSAGE_UID 100 /* of the first message */

enum lie {
    HONEST,
    /* auth */
    AUTH_SHORT_GRANT,
    AUTH_UNKNOWN_RESULT,
    AUTH_CONTINUES_FOR_EVER,
    AUTH_FAILS,
    /* maildrop */
    LIST_WRONG_COUNT,
    LIST_FALLING,
    LIST_SAME_PAGE,
    LIST_OTHER_MAILBOX,
    LIST_FAILS,
    LIST_PAGES, /* no lie: a message a page */
    /* fetch */
    FETCH_FAILS,
    FETCH_REFUSES_GRANT,
    FETCH_NO_PIECES,
    FETCH_OTHER_UID,
    FETCH_EMPTY_PIECE,
    FETCH_WRONG_SUM,
    FETCH_PAST_TOTAL,
    FETCH_OTHER_OFFSET,
    FETCH_GONE,
    FETCH_BREAKS_OFF,
    FETCH_BREAKS_OFF_GONE,
    FETCH_DIES, /* the channel closes instead of an answer */
    /* expunge */
    EXPUNGE_FAILS,
};

struct house {
    struct loop *loop;
    enum lie lie;
    uint32_t messages, size;
    struct peers peers;
    struct channel *servers[3];
    size_t server_count;
    struct settings *settings;
    unsigned fetches, expunges;
    uint32_t most_asked; /* max_bytes */
    uint64_t sent;       /* body octets that were handed out */

    struct loop_hook hook;
    unsigned running; /* session and client */
    int client_fd;
    struct span input;
    bool reads; /* the client takes what comes */
    struct buf output;
    struct pop3_context context;
};

/* ---- The services ---- */

static void answer_auth(struct house *house, struct call *call)
{
    static const unsigned char grant[GRANT_SIZE] = {1};
    Auth__StepReply reply = AUTH__STEP_REPLY__INIT;
    reply.exchange = 1;
    reply.result = AUTH__RESULT__RESULT_ACCEPTED;
    reply.grant = (ProtobufCBinaryData){GRANT_SIZE, (uint8_t *)(uintptr_t)grant};
    char address[] = "alice@example.test";
    reply.address = (ProtobufCBinaryData){sizeof address - 1, (uint8_t *)address};
    if (house->lie == AUTH_SHORT_GRANT)
        reply.grant.len--;
    if (house->lie == AUTH_UNKNOWN_RESULT)
        reply.result = (Auth__Result)77;
    if (house->lie == AUTH_CONTINUES_FOR_EVER)
        reply.result = AUTH__RESULT__RESULT_CONTINUE;
    if (house->lie == AUTH_FAILS)
        call_fail(call, -EAGAIN);
    else
        call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
}

struct entry {
    uint64_t size;
    uint32_t uid, zero;
};

static void answer_maildrop(struct house *house, struct call *call)
{
    const StoreRead__MaildropRequest *request = (const StoreRead__MaildropRequest *)call->request;
    uint32_t first = request->from_uid ? request->from_uid - MESSAGE_UID : 0;
    bool pages = house->lie == LIST_PAGES || house->lie == LIST_SAME_PAGE || house->lie == LIST_OTHER_MAILBOX;
    uint32_t count = pages ? 1 : house->messages;
    struct entry *entries = calloc(count + 1, sizeof *entries);
    assert_non_null(entries);
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct entry){house->size, MESSAGE_UID + first + i, 0};
    StoreRead__MaildropReply reply = STORE_READ__MAILDROP_REPLY__INIT;
    reply.mailbox_id = 1;
    reply.uidvalidity = 9;
    reply.count = count;
    if (pages && first + 1 < house->messages)
        reply.next_uid = MESSAGE_UID + first + 1;
    if (house->lie == LIST_SAME_PAGE)
        reply.next_uid = request->from_uid;
    if (house->lie == LIST_SAME_PAGE && !first)
        reply.next_uid = MESSAGE_UID + 1;
    if (house->lie == LIST_OTHER_MAILBOX && first)
        reply.uidvalidity++;
    if (house->lie == LIST_WRONG_COUNT)
        reply.count++;
    if (house->lie == LIST_FALLING)
        entries[1].uid = MESSAGE_UID;
    if (house->lie == LIST_FAILS)
        call_fail(call, -EIO);
    else
        call_reply(call, &reply.base, span_from(entries, count * sizeof *entries), -1);
    free(entries);
}

static void lie_about_pieces(struct house *house, StoreRead__FetchReply *reply, StoreRead__Piece *first,
                             uint64_t offset)
{
    switch (house->lie) {
    case FETCH_NO_PIECES:
        reply->n_pieces = 0;
        break;
    case FETCH_OTHER_UID:
        first->uid++;
        break;
    case FETCH_EMPTY_PIECE:
        first->total = offset + 1;
        first->size = 0;
        break;
    case FETCH_WRONG_SUM:
        first->size--;
        break;
    case FETCH_PAST_TOTAL:
        first->total = offset + first->size - 1;
        break;
    case FETCH_OTHER_OFFSET:
        first->offset++;
        first->total++;
        break;
    default:
        break;
    }
}

static bool fetch_fails(struct house *house, struct call *call, uint64_t offset)
{
    if (house->lie == FETCH_FAILS || (house->lie == FETCH_BREAKS_OFF && offset))
        call_fail(call, -EIO);
    else if (house->lie == FETCH_REFUSES_GRANT)
        call_fail(call, -EACCES);
    else
        return false;
    return true;
}

static void answer_fetch(struct house *house, struct call *call)
{
    const StoreRead__FetchRequest *request = (const StoreRead__FetchRequest *)call->request;
    house->fetches++;
    if (request->max_bytes > house->most_asked)
        house->most_asked = request->max_bytes;
    if (fetch_fails(house, call, request->offset))
        return;
    bool gone = house->lie == FETCH_GONE || (house->lie == FETCH_BREAKS_OFF_GONE && request->offset);
    StoreRead__Piece pieces[256] = {{.uid = 0}}, *pointers[256];
    char *bytes = malloc(request->max_bytes);
    assert_non_null(bytes);
    memset(bytes, 'x', request->max_bytes);
    StoreRead__FetchReply reply = STORE_READ__FETCH_REPLY__INIT;
    reply.pieces = pointers;
    size_t used = 0;
    for (size_t i = 0; i < request->n_uids && used < request->max_bytes; i++) {
        uint64_t offset = i ? 0 : request->offset;
        uint64_t left = house->size - offset, room = request->max_bytes - used;
        pieces[i] = (StoreRead__Piece)STORE_READ__PIECE__INIT;
        pieces[i].uid = request->uids[i];
        pieces[i].offset = offset;
        pieces[i].total = house->size;
        pieces[i].gone = gone;
        pieces[i].size = gone ? 0 : (uint32_t)(left < room ? left : room);
        used += pieces[i].size;
        pointers[reply.n_pieces++] = &pieces[i];
    }
    size_t sum = used;
    lie_about_pieces(house, &reply, &pieces[0], request->offset);
    if (house->lie == FETCH_EMPTY_PIECE || house->lie == FETCH_NO_PIECES)
        sum = 0;
    house->sent += sum;
    call_reply(call, &reply.base, span_from(bytes, sum), -1);
    free(bytes);
}

static void called(void *context, struct call *call)
{
    struct house *house = context;
    if (call->request->descriptor == &auth__step_request__descriptor)
        answer_auth(house, call);
    else if (call->request->descriptor == &store_read__maildrop_request__descriptor)
        answer_maildrop(house, call);
    else if (call->request->descriptor == &store_read__fetch_request__descriptor && house->lie == FETCH_DIES) {
        call_fail(call, -EINVAL);
        peers_set(&house->peers, ROLE_READER, 0, NULL);
    } else if (call->request->descriptor == &store_read__fetch_request__descriptor)
        answer_fetch(house, call);
    else {
        StoreWrite__ExpungeReply reply = STORE_WRITE__EXPUNGE_REPLY__INIT;
        reply.expunged = (uint32_t)((const StoreWrite__ExpungeRequest *)call->request)->n_uids;
        house->expunges++;
        if (house->lie == EXPUNGE_FAILS)
            call_fail(call, -EIO);
        else
            call_reply(call, &reply.base, (struct span){NULL, 0}, -1);
    }
}

static void serve(struct house *house, enum role role, const struct service *service)
{
    static const struct channel_events events = {.called = called};
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    struct channel *server = channel_new(house->loop, fds[0], service, ROLE_DESK, &events, house);
    struct channel *client = channel_new(house->loop, fds[1], service, role, NULL, NULL);
    assert_true(server && client);
    house->servers[house->server_count++] = server;
    peers_set(&house->peers, role, 0, client);
}

/* ---- The session and its client ---- */

static void end_fiber(struct house *house)
{
    if (--house->running == 0)
        loop_stop(house->loop);
}

static void session_main(struct fiber *self, void *argument)
{
    struct house *house = argument;
    int fd = house->client_fd;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fd, -1);
    house->client_fd = fds[0];
    struct stream *stream = stream_new(house->loop, fds[1]);
    assert_non_null(stream);
    struct pop3_peer peer = {
        .address = "127.0.0.1", .session_id = "t", .address_bytes = {[10] = 255, 255, 127, 0, 0, 1}};
    pop3_session_run(self, stream, &house->context, &peer);
    stream_free(stream);
    end_fiber(house);
}

/* Takes what has come. 1, 0 at the end, -EAGAIN. */
static int receive(struct house *house)
{
    char piece[16384];
    ssize_t n = recv(house->client_fd, piece, sizeof piece, 0);
    if (n > 0)
        buf_add(&house->output, piece, (size_t)n);
    return n > 0 ? 1 : n < 0 && errno == EAGAIN ? -EAGAIN : 0;
}

static void client_main(struct fiber *self, void *argument)
{
    struct house *house = argument;
    struct span input = house->input;
    struct watch watch;
    assert_int_equal(watch_start(&watch, house->loop, house->client_fd, 0), 0);
    while (input.size) {
        ssize_t n = send(house->client_fd, input.data, input.size, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            break;
        input = span_skip(input, n < 0 ? 0 : (size_t)n);
        /* Who sends without reading is made to wait. */
        if (n < 0 && receive(house) != 1)
            assert_int_equal(fiber_yield(self), 0);
    }
    int got = 1;
    while (house->reads && got) {
        got = receive(house);
        if (got == -EAGAIN)
            assert_int_equal(watch_wait_readable(self, &watch, clock_in_seconds(20)), 0);
    }
    /* Everybody else comes to rest; then it is seen how far the session went. */
    for (unsigned i = 0; !house->reads && i < 2000; i++)
        assert_int_equal(fiber_yield(self), 0);
    watch_stop(&watch);
    close(house->client_fd);
    end_fiber(house);
}

static void run_client(struct house *house, enum lie lie, uint32_t messages, uint32_t size, const char *input,
                       void (*client)(struct fiber *self, void *argument))
{
    struct buf problem;
    buf_init(&problem, 1000);
    struct span text = SPAN("hostname=mx.example.test\ntrusted_networks=127.0.0.0/8\npop3.errors=5\n");
    *house = (struct house){.loop = loop_new(), .lie = lie, .messages = messages, .size = size, .reads = house->reads};
    house->settings = settings_parse(text, &problem);
    assert_true(house->loop && house->settings);
    house->client_fd = -1;
    house->running = 2;
    house->input = span_text(input);
    buf_init(&house->output, 256u << 20);
    serve(house, ROLE_AUTH, &auth_service);
    serve(house, ROLE_READER, &store_read_service);
    serve(house, ROLE_WRITER, &store_write_service);
    static struct facts_sources sources;
    if (!sources.rules)
        sources.rules = rules_memo_new();
    assert_non_null(sources.rules);
    sources.peers = &house->peers;
    house->context = (struct pop3_context){.settings = house->settings, .peers = &house->peers, .facts = &sources};
    /* In this order: the socketpair is there when the client first runs. */
    assert_non_null(fiber_start(house->loop, "session", session_main, house));
    assert_non_null(fiber_start(house->loop, "client", client, house));
    assert_int_equal(loop_run(house->loop), 0);
}

static void run(struct house *house, enum lie lie, uint32_t messages, uint32_t size, const char *input)
{
    run_client(house, lie, messages, size, input, client_main);
}

/* A channel's fibers end in the turns behind channel_free(). */
static void stop_when_empty(struct loop_hook *hook)
{
    struct house *house = container_of(hook, struct house, hook);
    if (loop_fiber_count(house->loop) == 0)
        loop_stop(house->loop);
}

static void leave(struct house *house)
{
    peers_release(&house->peers);
    for (size_t i = 0; i < house->server_count; i++)
        channel_free(house->servers[i]);
    house->hook.run = stop_when_empty;
    loop_add_hook(house->loop, &house->hook);
    assert_int_equal(loop_run(house->loop), 0);
    settings_unref(house->settings);
    buf_release(&house->output);
    loop_free(house->loop);
}

#define GREETING "+OK mx.example.test Ostiary POP3 ready\r\n"
#define LOGIN "USER alice\r\nPASS secret\r\n"
#define NOW "+OK now the password\r\n"

static void test_lies(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum lie lie;
        uint32_t messages, size;
        const char *input, *output; /* behind the greeting */
    } rows[] = {
        {"honest", HONEST, 2, 3, LOGIN "RETR 1\r\nDELE 1\r\nQUIT\r\n",
         NOW "+OK maildrop has 2 messages (6 octets)\r\n+OK 3 octets\r\nxxx\r\n.\r\n+OK message 1 deleted\r\n"
             "+OK bye, 1 message removed\r\n"},
        {"pages", LIST_PAGES, 3, 5, LOGIN "STAT\r\nQUIT\r\n",
         NOW "+OK maildrop has 3 messages (15 octets)\r\n+OK 3 15\r\n+OK bye\r\n"},
        {"short grant", AUTH_SHORT_GRANT, 1, 1, LOGIN "STAT\r\nQUIT\r\n",
         NOW "-ERR [SYS/TEMP] login is not possible at the moment, please try again later\r\n-ERR STAT comes after "
             "login\r\n"
             "+OK bye\r\n"},
        {"unknown result", AUTH_UNKNOWN_RESULT, 1, 1, LOGIN "QUIT\r\n",
         NOW "-ERR [SYS/TEMP] login is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"auth fails", AUTH_FAILS, 1, 1, LOGIN "QUIT\r\n",
         NOW "-ERR [SYS/TEMP] login is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"endless exchange", AUTH_CONTINUES_FOR_EVER, 1, 1, "AUTH PLAIN\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\nQUIT\r\n",
         "+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n+ \r\n"
         "-ERR [SYS/TEMP] login is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"wrong count", LIST_WRONG_COUNT, 2, 1, LOGIN "STAT\r\nQUIT\r\n",
         NOW "-ERR [SYS/TEMP] opening the maildrop is not possible at the moment, please try again later\r\n"
             "-ERR STAT comes after login\r\n+OK bye\r\n"},
        {"falling UIDs", LIST_FALLING, 2, 1, LOGIN "QUIT\r\n",
         NOW
         "-ERR [SYS/TEMP] opening the maildrop is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"the same page for ever", LIST_SAME_PAGE, 3, 1, LOGIN "QUIT\r\n",
         NOW
         "-ERR [SYS/TEMP] opening the maildrop is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"another mailbox", LIST_OTHER_MAILBOX, 3, 1, LOGIN "QUIT\r\n",
         NOW
         "-ERR [SYS/TEMP] opening the maildrop is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"damaged listing", LIST_FAILS, 3, 1, LOGIN "QUIT\r\n",
         NOW
         "-ERR [SYS/PERM] opening the maildrop failed: the mail store reports damage, please tell the postmaster\r\n"
         "+OK bye\r\n"},
        {"damaged message", FETCH_FAILS, 1, 9, LOGIN "RETR 1\r\nSTAT\r\nQUIT\r\n",
         NOW "+OK maildrop has 1 message (9 octets)\r\n"
             "-ERR [SYS/PERM] reading the message failed: the mail store reports damage, please tell the postmaster\r\n"
             "+OK 1 9\r\n+OK bye\r\n"},
        {"grant refused", FETCH_REFUSES_GRANT, 1, 9, LOGIN "RETR 1\r\nSTAT\r\n",
         NOW "+OK maildrop has 1 message (9 octets)\r\n"
             "-ERR [SYS/TEMP] this login is no longer good, please log in again\r\n"},
        {"gone", FETCH_GONE, 1, 9, LOGIN "RETR 1\r\nTOP 1 0\r\nQUIT\r\n",
         NOW "+OK maildrop has 1 message (9 octets)\r\n-ERR message 1 is gone: another session deleted it\r\n"
             "-ERR message 1 is gone: another session deleted it\r\n+OK bye\r\n"},
        {"the reader dies", FETCH_DIES, 1, 9, LOGIN "RETR 1\r\nQUIT\r\n",
         NOW
         "+OK maildrop has 1 message (9 octets)\r\n"
         "-ERR [SYS/TEMP] reading the message is not possible at the moment, please try again later\r\n+OK bye\r\n"},
        {"expunge fails", EXPUNGE_FAILS, 1, 9, LOGIN "DELE 1\r\nQUIT\r\n",
         NOW "+OK maildrop has 1 message (9 octets)\r\n+OK message 1 deleted\r\n"
             "-ERR [SYS/TEMP] some deleted messages were not removed; they are there at the next login\r\n"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct house house = {.reads = true};
        run(&house, rows[i].lie, rows[i].messages, rows[i].size, rows[i].input);
        struct span got = buf_span(&house.output), greeting = SPAN(GREETING);
        assert_true(got.data && got.size > greeting.size);
        if (!span_equal(span_skip(got, greeting.size), span_text(rows[i].output)))
            fail_msg("%s: got\n%.*s", rows[i].name, SPAN_ARG(got));
        leave(&house);
    }
}

/* What the reader says about a piece is nonsense: a refusal, and the session goes on. */
static void test_nonsense_pieces(void **state)
{
    (void)state;
    static const enum lie lies[] = {FETCH_NO_PIECES, FETCH_OTHER_UID,  FETCH_EMPTY_PIECE,
                                    FETCH_WRONG_SUM, FETCH_PAST_TOTAL, FETCH_OTHER_OFFSET};
    for (size_t i = 0; i < ROWS(lies); i++) {
        struct house house = {.reads = true};
        run(&house, lies[i], 1, 9, LOGIN "RETR 1\r\nQUIT\r\n");
        static const struct span expected = SPAN(
            GREETING NOW "+OK maildrop has 1 message (9 octets)\r\n"
                         "-ERR [SYS/TEMP] reading the message is not possible at the moment, please try again later\r\n"
                         "+OK bye\r\n");
        assert_true(span_equal(buf_span(&house.output), expected));
        leave(&house);
    }
}

/* A message that breaks off must not look whole: no dot, no reply to what follows, the connection closed. */
static void test_broken_off(void **state)
{
    (void)state;
    static const enum lie lies[] = {FETCH_BREAKS_OFF, FETCH_BREAKS_OFF_GONE};
    for (size_t i = 0; i < ROWS(lies); i++) {
        struct house house = {.reads = true};
        run(&house, lies[i], 1, 1u << 20, LOGIN "RETR 1\r\nQUIT\r\n");
        assert_int_equal(house.context.counters.retrieved, 0);
        struct span got = buf_span(&house.output);
        assert_null(memmem(got.data, got.size, "\r\n.\r\n", 5));
        assert_null(memmem(got.data, got.size, "bye", 3));
        leave(&house);
    }
}

static void test_read_ahead(void **state)
{
    (void)state;
    struct buf input;
    buf_init(&input, 1u << 20);
    buf_add_text(&input, LOGIN);
    for (unsigned i = 1; i <= 1000; i++)
        buf_printf(&input, "RETR %u\r\n", i);
    buf_add_text(&input, "QUIT\r\n");
    buf_add_char(&input, 0);
    struct house house = {.reads = true};
    run(&house, HONEST, 1000, 4096, input.data);
    assert_int_equal(house.context.counters.retrieved, 1000);
    assert_int_equal(house.context.counters.octets, 1000 * 4096);
    /* 64 messages fit 256 KiB. Nothing is read twice. */
    assert_in_range(house.fetches, 16, 18);
    assert_int_equal(house.sent, 1000 * 4096);
    assert_int_equal(house.most_asked, 256u << 10);
    leave(&house);
    buf_release(&input);
}

/* A client that reads nothing costs what the socket and the output hold, not the message. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct house house = {.reads = false};
    run(&house, HONEST, 1, 1u << 30, LOGIN "RETR 1\r\nQUIT\r\n");
    assert_true(house.sent >= 256u << 10);
    assert_true(house.sent <= 4u << 20);
    leave(&house);
}

/* Sends a byte at a time, each seen by the session before the next. */
static void slow_client(struct fiber *self, void *argument)
{
    struct house *house = argument;
    for (size_t i = 0; i < house->input.size; i++) {
        /* It may have hung up already; then nothing more of this matters. */
        if (send(house->client_fd, house->input.data + i, 1, MSG_NOSIGNAL) != 1)
            break;
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(fiber_yield(self), 0);
    }
    if (house->reads)
        while (receive(house) == 1)
            continue;
    close(house->client_fd);
    end_fiber(house);
}

#define WHOLE LOGIN "RETR 1\r\nTOP 2 0\r\nDELE 1\r\nRSET\r\nDELE 2\r\nQUIT\r\n"

/* A client that vanishes behind any byte of a session: it ends, and deletes nothing before the whole QUIT is there. */
static void test_vanishing_at_every_byte(void **state)
{
    (void)state;
    for (size_t size = 0; size <= sizeof WHOLE - 1; size++) {
        char input[] = WHOLE;
        input[size] = 0;
        struct house house = {.reads = false};
        run_client(&house, HONEST, 3, 5000, input, slow_client);
        assert_int_equal(house.expunges, size == sizeof WHOLE - 1);
        leave(&house);
    }
}

/* How the bytes are cut into packets changes nothing. */
static void test_byte_by_byte(void **state)
{
    (void)state;
    struct house at_once = {.reads = true}, slow = {.reads = true};
    run(&at_once, HONEST, 3, 5000, WHOLE);
    run_client(&slow, HONEST, 3, 5000, WHOLE, slow_client);
    assert_true(slow.output.size > 10000);
    assert_true(span_equal(buf_span(&at_once.output), buf_span(&slow.output)));
    leave(&at_once);
    leave(&slow);
}

static void say(struct fiber *self, struct house *house, const char *text)
{
    assert_int_equal(send(house->client_fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(fiber_yield(self), 0);
}

static void hesitating_client(struct fiber *self, void *argument)
{
    struct house *house = argument;
    say(self, house, LOGIN "RETR 1\r\nRETR 2\r\n");
    assert_int_equal(house->fetches, 1);
    clock_fake_advance(NANOSECONDS);
    say(self, house, "RETR 3\r\n");
    clock_fake_advance(NANOSECONDS + NANOSECONDS / 2);
    say(self, house, "RETR 4\r\n"); /* the timer has looked once and seen that it is used */
    assert_int_equal(house->fetches, 1);
    clock_fake_advance(2 * NANOSECONDS + 1);
    say(self, house, "");
    clock_fake_advance(2 * NANOSECONDS + 1);
    say(self, house, "RETR 5\r\n");
    assert_int_equal(house->fetches, 2); /* it was given back */
    say(self, house, "RETR 7\r\n");      /* out of order, but in the second batch */
    assert_int_equal(house->fetches, 2);
    say(self, house, "RETR 2\r\n"); /* not in it, and no sequence: alone */
    assert_int_equal(house->fetches, 3);
    say(self, house, "RETR 9\r\n");
    assert_int_equal(house->fetches, 4);
    assert_int_equal(house->sent, (9 + 5 + 1 + 1) * 100);
    say(self, house, "QUIT\r\n");
    assert_int_equal(receive(house), 1);
    close(house->client_fd);
    end_fiber(house);
}

static void test_given_back_when_idle(void **state)
{
    (void)state;
    clock_fake_start(NANOSECONDS);
    struct house house = {.reads = true};
    run_client(&house, HONEST, 9, 100, "", hesitating_client);
    assert_int_equal(house.context.counters.retrieved, 8);
    leave(&house);
}

static void test_large_update(void **state)
{
    (void)state;
    const unsigned messages = 150000;
    struct buf input;
    buf_init(&input, 8u << 20);
    buf_add_text(&input, LOGIN);
    for (unsigned i = 1; i <= messages; i++)
        buf_printf(&input, "DELE %u\r\n", i);
    buf_add_text(&input, "QUIT\r\n");
    buf_add_char(&input, 0);
    struct house house = {.reads = true};
    run(&house, HONEST, messages, 1, input.data);
    assert_int_equal(house.expunges, messages / 1000);
    assert_int_equal(house.context.counters.deleted, messages);
    leave(&house);
    buf_release(&input);
}

int main(void)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    log_open(LOG_TO_FD, null);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_nonsense_pieces),
        cmocka_unit_test(test_broken_off),
        cmocka_unit_test(test_read_ahead),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_large_update),
        cmocka_unit_test(test_vanishing_at_every_byte),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_given_back_when_idle),
    };
    return cmocka_run_group_tests_name("pop3 session", tests, NULL, NULL);
}
