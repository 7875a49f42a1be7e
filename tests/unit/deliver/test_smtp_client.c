/* The SMTP client against scripted servers: smtp_rows.c holds the conversations. */
#include "config/settings.h"
#include "deliver/smtp_client.h"
#include "peer.h"
#include "run/fiber.h"
#include "run/tls.h"
#include "smtp_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct buf certificate, key;
static struct tls_context *server_tls, *client_tls;

struct job {
    struct loop *loop;
    struct stream *stream;
    const char *calls;
    struct buf told;
};

/* ---- Messages ---- */

#define LARGE 100000
#define HUGE 1000000
/* Of the client's socket for messages H and F, as small as the kernel makes it: what is larger meets a peer that does
 * not listen. */
#define SEND_BUFFER 1
static char huge[HUGE];

struct text {
    struct span bytes;
    size_t step; /* at most so many octets at a time */
};

static int read_text(struct fiber *self, void *argument, uint64_t offset, struct span *piece)
{
    const struct text *text = argument;
    if (text->step == 0)
        return -EIO;
    /* As a store in another process would. */
    int error = fiber_yield(self);
    *piece = span_head(span_skip(text->bytes, offset), text->step);
    return error;
}

static const struct {
    char letter;
    struct span text;
    size_t step;
    bool may_have_8bit, smtputf8;
    const char *reverse_path;
    const char *recipients[4];
} messages[] = {
    {'1', SPAN("Subject: t\r\n\r\n.dot\r\n"), 7, false, false, "s@y", {"a@x"}},
    {'3', SPAN("Subject: t\r\n\r\n.dot\r\n"), 100, false, false, "s@y", {"a@x", "b@x", "c@x"}},
    {'0', SPAN(""), 1, false, false, "", {"a@x"}},
    {'m', SPAN("a\n.\nb"), 2, false, false, "s@y", {"a@x"}},
    {'8', SPAN("\xc3\xa4\r\n"), 100, true, false, "s@y", {"a@x"}},
    {'s', SPAN("plain\r\n"), 2, true, false, "s@y", {"a@x"}},
    {'L', {huge, LARGE}, 30000, false, false, "s@y", {"a@x"}},
    {'H', {huge, HUGE}, 30000, false, false, "s@y", {"a@x"}},
    {'F', {huge, 30000}, 30000, false, false, "s@y", {"a@x", "b@x"}},
    {'u', SPAN("x\r\n"), 100, true, true, "s\xc3\xa4@y", {"\xc3\xa4@x", "b@x"}},
    {'d', SPAN("x\r\n"), 100, false, false, "s@y", {"a@x", "b@x"}},
    {'c', SPAN("x\r\n"), 100, false, false, "s@y", {"a@x", "b@x", "c@x", "d@x"}},
    {'h', SPAN("x\r\n"), 100, false, false, "s@y", {"a> NOTIFY=NEVER\r\nDATA@x", "\xc3\xa4@x", "\"a>b\"@x", "a b@x"}},
    {'f', SPAN("x\r\n"), 0, false, false, "s@y", {"a@x"}},
};

static void tell_reply(struct job *job, const struct smtp_reply *reply)
{
    smtp_reply_write(reply, &job->told);
    if (!reply->code)
        buf_add_text(&job->told, "unknown");
    if (reply->is_ours)
        buf_add_text(&job->told, " (ours)");
}

static void tell_result(struct job *job, const struct smtp_client *c, char call, int error)
{
    buf_printf(&job->told, "%c=%s", call, error ? strerrorname_np(-error) : "0");
    if (error && c->reply.code) {
        buf_add_text(&job->told, " for ");
        tell_reply(job, &c->reply);
    }
}

static int send_message(struct fiber *self, struct smtp_client *c, struct job *job, size_t which)
{
    struct text text = {messages[which].text, messages[which].step};
    struct smtp_client_message message = {.reverse_path = span_text(messages[which].reverse_path),
                                          .size = text.bytes.size,
                                          .may_have_8bit = messages[which].may_have_8bit,
                                          .smtputf8 = messages[which].smtputf8,
                                          .read = read_text,
                                          .argument = &text};
    struct smtp_client_recipient recipients[4] = {0};
    struct smtp_client_outcome outcome;
    size_t count = 0;
    for (; count < 4 && messages[which].recipients[count]; count++)
        recipients[count].address = span_text(messages[which].recipients[count]);
    if (messages[which].letter == 'd') {
        message.ret = SMTP_RET_HDRS;
        message.envid = span_text("id+2B7");
        recipients[0].notify = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_DELAY;
        recipients[0].orcpt = span_text("rfc822;o+2Ba@x");
        recipients[1].notify = SMTP_NOTIFY_NEVER;
        recipients[1].orcpt = span_text("rfc822;a b");
    }
    static const struct span passcodes[] = {SPAN("1234"), SPAN("12 DATA"), SPAN("123456789012345678901"), SPAN("00")};
    for (size_t i = 0; i < count && messages[which].letter == 'c'; i++) {
        recipients[i].passcode = passcodes[i];
        recipients[i].notify = i == 0 ? SMTP_NOTIFY_NEVER : 0;
    }
    int error = smtp_client_send(self, c, &message, recipients, count, &outcome);
    tell_result(job, c, messages[which].letter, error);
    for (size_t i = 0; i < count; i++) {
        buf_add_text(&job->told, " [");
        tell_reply(job, &recipients[i].final);
        buf_add_char(&job->told, ']');
    }
    if (outcome.body_sent)
        buf_add_text(&job->told, " sent");
    return error;
}

static int send_to_a_hundred(struct fiber *self, struct smtp_client *c, struct job *job)
{
    static struct smtp_client_recipient recipients[100];
    static char addresses[100][16];
    struct text text = {SPAN("x\r\n"), 100};
    struct smtp_client_message message = {.reverse_path = SPAN("s@y"), .size = 3, .read = read_text, .argument = &text};
    struct smtp_client_outcome outcome;
    for (unsigned i = 0; i < 100; i++) {
        snprintf(addresses[i], sizeof addresses[i], "r%u@x", i);
        recipients[i].address = span_text(addresses[i]);
    }
    int error = smtp_client_send(self, c, &message, recipients, smtp_client_recipients_max(c), &outcome);
    buf_printf(&job->told, "%%=%s", error ? strerrorname_np(-error) : "0");
    for (unsigned i = 0; i < 100; i++) {
        buf_add_text(&job->told, " [");
        tell_reply(job, &recipients[i].final);
        buf_add_char(&job->told, ']');
    }
    buf_add_text(&job->told, outcome.body_sent ? " sent" : "");
    return error;
}

static int do_call(struct fiber *self, struct smtp_client *c, struct job *job, char call)
{
    struct smtp_client_recipient recipient = {.address = SPAN("a@x")};
    int error = 0;
    for (size_t i = 0; i < sizeof messages / sizeof *messages; i++)
        if (messages[i].letter == call)
            return send_message(self, c, job, i);
    switch (call) {
    case '%':
        return send_to_a_hundred(self, c, job);
    case 'o':
        error = smtp_client_open(self, c);
        break;
    case 't':
    case 'v':
    case 'w':
        error = smtp_client_start_tls(self, c, client_tls, call == 'w' ? "other.test" : "mail.example", call != 't');
        break;
    case 'a':
        error = smtp_client_authenticate(self, c, span_text("user"), span_text("pencil"));
        break;
    case 'p':
        error = smtp_client_probe(self, c, span_text("s@y"), &recipient);
        break;
    default:
        smtp_client_close(self, c);
    }
    tell_result(job, c, call, error);
    if (call == 'p') {
        buf_add_text(&job->told, " [");
        tell_reply(job, &recipient.final);
        buf_add_char(&job->told, ']');
    }
    return error;
}

static void client_main(struct fiber *self, void *argument)
{
    struct job *job = argument;
    struct smtp_client client;
    smtp_client_init(&client, job->stream, "us.test");
    int error = 0;
    for (const char *call = job->calls; *call; call++) {
        if (call > job->calls)
            buf_add_text(&job->told, "; ");
        error = do_call(self, &client, job, *call);
        if (client.over)
            break;
    }
    if (client.over && error) {
        struct smtp_client_recipient recipient = {.address = SPAN("a@x")};
        /* Over is over. */
        assert_int_equal(smtp_client_probe(self, &client, span_text(""), &recipient), client.error);
        assert_int_equal(smtp_client_open(self, &client), client.error);
        assert_int_not_equal(strlen(smtp_client_problem(&client)), 0);
        assert_false(smtp_client_has_room(&client));
    }
    smtp_client_release(&client);
    smtp_client_release(&client);
}

static void stop_when_alone(struct fiber *self, void *argument)
{
    struct loop *loop = argument;
    while (loop_fiber_count(loop) > 1 && fiber_sleep(self, clock_monotonic() + 100000) == 0)
        ;
    loop_stop(loop);
}

static void make_sockets(int fds[2], const char *calls)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    if (strpbrk(calls, "HF"))
        assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &(int){SEND_BUFFER}, sizeof(int)), 0);
}

static bool run_row(const struct smtp_row *row, bool slow)
{
    int fds[2];
    make_sockets(fds, row->calls);
    struct loop *loop = loop_new();
    struct job job = {.loop = loop, .stream = stream_new(loop, fds[0]), .calls = row->calls};
    struct peer peer = {.stream = stream_new(loop, fds[1]),
                        .script = row->script,
                        .tls = server_tls,
                        .slow = slow,
                        .patience_seconds = 30};
    buf_init(&job.told, 20000);
    assert_non_null(fiber_start(loop, "peer", peer_main, &peer));
    assert_non_null(fiber_start(loop, "client", client_main, &job));
    assert_non_null(fiber_start(loop, "stop", stop_when_alone, loop));
    assert_int_equal(loop_run(loop), 0);
    bool good = !peer.problem[0] && span_is(buf_span(&job.told), row->expected);
    if (!good)
        print_error("%s%s:\n  got  %.*s\n  want %s\n  peer %s", row->name, slow ? " (slow)" : "",
                    SPAN_ARG(buf_span(&job.told)), row->expected, peer.problem);
    buf_release(&job.told);
    loop_free(loop);
    return good;
}

static void conversations(void **state)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < smtp_row_count; i++)
        wrong += !run_row(&smtp_rows[i], false) + !run_row(&smtp_rows[i], true);
    assert_int_equal(wrong, 0);
}

/* More recipients than replies may be under way: the server reads no further before it has answered. */
static void a_hundred_recipients(void **state)
{
    struct buf script, expected;
    buf_init(&script, 100000);
    buf_init(&expected, 100000);
    buf_add_text(&script, "S: 220 mx\nC: EHLO us.test\nS: 250-mx\nS: 250 PIPELINING\nC: MAIL FROM:<s@y>\n");
    for (unsigned i = 0; i < 64; i++)
        buf_printf(&script, "C: RCPT TO:<r%u@x>\n", i);
    buf_add_text(&script, "S: 250 ok\n");
    for (unsigned i = 0; i < 64; i++)
        buf_printf(&script, "S: %u r%u\n", i % 10 ? 250 : 550, i);
    for (unsigned i = 64; i < 100; i++)
        buf_printf(&script, "C: RCPT TO:<r%u@x>\n", i);
    buf_add_text(&script, "C: DATA\n");
    for (unsigned i = 64; i < 100; i++)
        buf_printf(&script, "S: %u r%u\n", i % 10 ? 250 : 550, i);
    buf_add_text(&script, "S: 354 go\nC: x\nC: .\nS: 250 kept\n");
    buf_add_text(&expected, "o=0; %=0");
    for (unsigned i = 0; i < 100; i++)
        if (i % 10)
            buf_add_text(&expected, " [250 kept]");
        else
            buf_printf(&expected, " [550 r%u]", i);
    buf_add(&expected, " sent", 6);
    buf_add_char(&script, '\0');
    struct smtp_row row = {"a hundred", script.data, "o%", expected.data};
    assert_true(run_row(&row, false));
    assert_true(run_row(&row, true));
    buf_release(&script);
    buf_release(&expected);
}

/* ---- Waits that end ---- */

struct waiting {
    struct loop *loop;
    struct stream *stream;
    const char *calls;
    uint64_t deadline;                           /* of the whole, seconds; 0 = none */
    const struct smtp_client_timeouts *timeouts; /* NULL = what init sets */
    int error;
    uint64_t seconds; /* that the last call took */
    bool done;
};

static void wait_main(struct fiber *self, void *argument)
{
    struct waiting *w = argument;
    struct job job = {0};
    struct smtp_client client;
    buf_init(&job.told, 20000);
    smtp_client_init(&client, w->stream, "us.test");
    if (w->timeouts)
        client.timeouts = *w->timeouts;
    for (const char *call = w->calls; *call && !client.over; call++) {
        uint64_t begin = clock_monotonic();
        if (w->deadline && !call[1])
            client.deadline = begin + w->deadline * NANOSECONDS;
        w->error = do_call(self, &client, &job, *call);
        w->seconds = (clock_monotonic() - begin) / NANOSECONDS;
    }
    smtp_client_release(&client);
    buf_release(&job.told);
    w->done = true;
}

/* Time passes, a little each turn of the loop. */
static void tick(struct fiber *self, void *argument)
{
    struct waiting *w = argument;
    while (!w->done && fiber_yield(self) == 0)
        clock_fake_advance(NANOSECONDS / 4);
    while (loop_fiber_count(w->loop) > 1 && fiber_yield(self) == 0)
        clock_fake_advance(NANOSECONDS);
    loop_stop(w->loop);
}

#define GREET "S: 220 mx\nC: EHLO us.test\n"
#define READY GREET "S: 250 mx\n"
#define RCPT READY "C: MAIL FROM:<s@y>\nS: 250 ok\nC: RCPT TO:<a@x>\n"
#define DATA RCPT "S: 250 ok\nC: DATA\n"
#define TEXT "S: 354 go\nC: Subject: t\nC: \nC: ..dot\nC: .\n"

static const struct {
    const char *script, *calls;
    uint64_t deadline, seconds;
    int error;
} waits[] = {
    {"W:\n", "o", 0, 300, -ETIMEDOUT},
    {GREET "W:\n", "o", 0, 300, -ETIMEDOUT},
    {"E: 220-mx\n", "o", 0, 300, -ETIMEDOUT},
    {READY "C: MAIL FROM:<s@y>\nW:\n", "o1", 0, 300, -ETIMEDOUT},
    {READY "C: MAIL FROM:<s@y>\nE: 250-ok\n", "o1", 0, 300, -ETIMEDOUT},
    {RCPT "W:\n", "o1", 0, 300, -ETIMEDOUT},
    {DATA "W:\n", "o1", 0, 120, -ETIMEDOUT},
    {DATA TEXT "W:\n", "o1", 0, 600, -ETIMEDOUT},
    {DATA "S: 354 go\nE: 452 4.3.1 full\n", "oH", 0, 230, -EREMOTEIO},
    {DATA "S: 354 go\nE: 250 ok\n", "oH", 0, 230, -ETIMEDOUT},
    {DATA TEXT "W:\n", "o1", 77, 77, -ETIMEDOUT},
    {READY "C: QUIT\nW:\n", "oq", 0, 10, 0},
    {GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nW:\n", "ot", 0, 300, -ETIMEDOUT},
    {GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go\nN: 100000\n", "ot", 50, 50, -EKEYREJECTED},
};

static void run_wait(const char *script, bool cancel, struct waiting *w)
{
    int fds[2];
    make_sockets(fds, w->calls);
    w->loop = loop_new();
    w->stream = stream_new(w->loop, fds[0]);
    struct peer peer = {
        .stream = stream_new(w->loop, fds[1]), .script = script, .tls = server_tls, .patience_seconds = 100000};
    assert_non_null(fiber_start(w->loop, "peer", peer_main, &peer));
    struct fiber *fiber = fiber_start(w->loop, "client", wait_main, w);
    assert_non_null(fiber);
    if (cancel)
        fiber_cancel(fiber);
    assert_non_null(fiber_start(w->loop, "tick", tick, w));
    assert_int_equal(loop_run(w->loop), 0);
    loop_free(w->loop);
}

static void waits_end(void **state)
{
    clock_fake_start(0);
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct waiting w = {.calls = waits[i].calls, .deadline = waits[i].deadline};
        run_wait(waits[i].script, false, &w);
        /* What else is done takes some turns, too. */
        if (w.error != waits[i].error || w.seconds < waits[i].seconds || w.seconds > waits[i].seconds + 9)
            fail_msg("wait %zu: %s after %llu s", i, w.error ? strerrorname_np(-w.error) : "0",
                     (unsigned long long)w.seconds);
    }
}

/* RFC 5321 section 4.5.3.2, minutes. */
static void nobody_is_given_up_too_early(void **state)
{
    static const struct {
        const char *step;
        size_t timeout, setting;
        unsigned minutes;
    } rows[] = {
#define TIMEOUT(name) offsetof(struct smtp_client_timeouts, name), offsetof(struct settings, courier.name##_timeout)
        {"4.5.3.2.1 Initial 220 Message", TIMEOUT(greeting), 5},
        {"4.5.3.2.2 MAIL Command", TIMEOUT(command), 5},
        {"4.5.3.2.3 RCPT Command", TIMEOUT(command), 5},
        {"4.5.3.2.4 DATA Initiation", TIMEOUT(data), 2},
        {"4.5.3.2.5 Data Block", TIMEOUT(block), 3},
        {"4.5.3.2.6 DATA Termination", TIMEOUT(end_of_data), 10},
#undef TIMEOUT
    };
    struct buf problem;
    buf_init(&problem, 1000);
    struct settings *settings = settings_read_text("test", span_text("hostname = \"us.test\""), &problem);
    assert_non_null(settings);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned own = *(const unsigned *)((const char *)&smtp_client_timeouts_least + rows[i].timeout);
        unsigned set = *(const unsigned *)((const char *)settings + rows[i].setting);
        if (own < rows[i].minutes * 60 || set < rows[i].minutes * 60)
            fail_msg("%s: %u s, by the settings %u s, and not %u minutes", rows[i].step, own, set, rows[i].minutes);
    }
    settings_unref(settings);
    buf_release(&problem);
}

/* Each step has the time that is meant for it. */
static void each_wait_is_its_own(void **state)
{
    static const struct smtp_client_timeouts timeouts = {100, 200, 300, 400, 500};
    static const struct {
        const char *script, *calls;
        unsigned seconds;
    } rows[] = {
        {"W:\n", "o", 100},
        {GREET "W:\n", "o", 200},
        {GREET "S: 500 what?\nC: HELO us.test\nW:\n", "o", 200},
        {GREET "S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nW:\n", "ot", 200},
        {READY "C: MAIL FROM:<s@y>\nW:\n", "o1", 200},
        {READY "C: MAIL FROM:<s@y>\nS: 550 no\nC: RSET\nW:\n", "o11", 200},
        {RCPT "W:\n", "o1", 200},
        {DATA "W:\n", "o1", 300},
        {DATA TEXT "W:\n", "o1", 500},
        {GREET "S: 250-mx\nS: 250-PIPELINING\nS: 250 CHUNKING\nC: MAIL FROM:<s@y>\nC: RCPT TO:<a@x>\n"
               "C: BDAT 20 LAST\nC: Subject: t\nC: \nC: .dot\nS: 250 ok\nS: 250 ok\nW:\n",
         "o1", 500},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct waiting w = {.calls = rows[i].calls, .timeouts = &timeouts};
        run_wait(rows[i].script, false, &w);
        if (w.error != -ETIMEDOUT || w.seconds < rows[i].seconds || w.seconds > rows[i].seconds + 9)
            fail_msg("wait %zu: %s after %llu s", i, w.error ? strerrorname_np(-w.error) : "0",
                     (unsigned long long)w.seconds);
    }
}

static void a_canceled_fiber_ends_it(void **state)
{
    struct waiting w = {.calls = "o1"};
    run_wait("W:\n", true, &w);
    assert_int_equal(w.error, -ECANCELED);
}

static int set_up(void **state)
{
    struct buf problem;
    buf_init(&problem, 1000);
    buf_init(&certificate, 65536);
    buf_init(&key, 65536);
    for (size_t i = 0; i < HUGE; i++)
        huge[i] = i % 50 == 48 ? '\r' : i % 50 == 49 ? '\n' : 'x';
    if (tls_make_self_signed("mail.example", &certificate, &key) != 0)
        return -1;
    server_tls = tls_context_new(buf_span(&certificate), buf_span(&key), 12, &problem);
    client_tls = tls_client_context_new(buf_span(&certificate), 12, &problem);
    buf_release(&problem);
    return server_tls && client_tls ? 0 : -1;
}

static int tear_down(void **state)
{
    tls_context_unref(server_tls);
    tls_context_unref(client_tls);
    buf_release(&certificate);
    buf_release(&key);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_given_up_too_early),
        cmocka_unit_test(conversations),
        cmocka_unit_test(a_hundred_recipients),
        cmocka_unit_test(waits_end), /* from here on the clock is ours */
        cmocka_unit_test(each_wait_is_its_own),
        cmocka_unit_test(a_canceled_fiber_ends_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
