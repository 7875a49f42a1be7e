/* Who may send to other sites, as whom, and how much; lists, the next hop's word, and what is told to auth. */
#include "auth.pb-c.h"
#include "courier.pb-c.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define HELLO "EHLO client.test\r\n"
#define LOGIN "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
#define MAIL "MAIL FROM:<alice@example.test>\r\n"
#define STRANGER "MAIL FROM:<s@elsewhere.test>\r\n"
#define AWAY "RCPT TO:<x@elsewhere.test>\r\n"
#define ALICE "RCPT TO:<alice@example.test>\r\n"
#define BOB "RCPT TO:<bob@example.test>\r\n"
#define DATA "DATA\r\nSubject: x\r\n\r\nbody\r\n.\r\n"
#define QUIT "QUIT\r\n"
#define FINE "250 2.1.5 Recipient fine\r\n"
#define STORED FINE "354 Go ahead, end with CRLF.CRLF\r\n250 2.0.0 Stored, ab\r\n"
#define DENIED "550 5.7.1 <x@elsewhere.test>: relaying is not allowed\r\n"
#define TEMPORARY "451 4.3.0 Temporary failure on our side, please try again later\r\n"
#define CLIENT "client_networks=127.0.0.0/8\n"
#define WINDOW "submission.pop_before_smtp=true\n"
#define ENOUGH                                                                                                     \
    "452 4.7.1 You have sent to as many recipients at other sites as are allowed in a day, 2; the rest tomorrow, " \
    "please\r\n"
#define LIMIT "submission.daily_recipients=2\n"

struct row {
    const char *name, *settings;
    enum service_kind service;
    enum lie lie;
    bool window;
    uint32_t left;
    const char *input, *output; /* the latter behind MAIL's reply */
    unsigned deliveries, remote;
    uint64_t account;
};

static const struct row rows[] = {
    {"a stranger", "", SERVICE_SMTP, HONEST, false, UINT32_MAX, MAIL AWAY, DENIED, 0, 0, 0},
    {"a stranger, one of two", "", SERVICE_SMTP, HONEST, false, UINT32_MAX, STRANGER AWAY ALICE DATA, DENIED STORED, 1,
     0, 0},
    {"a window that nobody asks about", "", SERVICE_SMTP, HONEST, true, UINT32_MAX, MAIL AWAY, DENIED, 0, 0, 0},
    {"a client network", CLIENT, SERVICE_SMTP, HONEST, false, UINT32_MAX, STRANGER AWAY DATA, STORED, 1, 1, 0},
    {"a client network, from nobody", CLIENT, SERVICE_SMTP, HONEST, false, UINT32_MAX, "MAIL FROM:<>\r\n" AWAY DATA,
     STORED, 1, 1, 0},
    {"a client network, a literal", CLIENT, SERVICE_SMTP, HONEST, false, UINT32_MAX, MAIL "RCPT TO:<x@[192.0.2.1]>\r\n",
     "550 5.7.1 <x@[192.0.2.1]>: relaying is not allowed\r\n", 0, 0, 0},
    {"a window", WINDOW, SERVICE_SMTP, HONEST, true, UINT32_MAX, MAIL AWAY DATA, STORED, 1, 1, 97001},
    {"a window that is shut", WINDOW, SERVICE_SMTP, HONEST, false, UINT32_MAX, MAIL AWAY, DENIED, 0, 0, 0},
    {"a window, another's sender", WINDOW, SERVICE_SMTP, HONEST, true, UINT32_MAX, STRANGER AWAY ALICE DATA,
     DENIED STORED, 1, 0, 0},
    {"a window, nobody", WINDOW, SERVICE_SMTP, HONEST, true, UINT32_MAX, "MAIL FROM:<>\r\n" AWAY ALICE DATA,
     DENIED STORED, 1, 0, 0},
    {"a window, a literal", WINDOW, SERVICE_SMTP, HONEST, true, UINT32_MAX, MAIL "RCPT TO:<x@[192.0.2.1]>\r\n",
     "550 5.7.1 <x@[192.0.2.1]>: relaying is not allowed\r\n", 0, 0, 0},
    {"a window's account is closed", WINDOW, SERVICE_SMTP, MAY_NOT_SEND, true, UINT32_MAX, MAIL AWAY, DENIED, 0, 0, 0},
    {"auth does not say", WINDOW, SERVICE_SMTP, WINDOW_FAILS, true, UINT32_MAX, MAIL AWAY ALICE DATA, TEMPORARY STORED,
     1, 0, 0},
    {"the reader does not say", WINDOW, SERVICE_SMTP, MAY_SEND_FAILS, true, UINT32_MAX, MAIL AWAY ALICE DATA,
     TEMPORARY STORED, 1, 0, 0},
    {"a window ends with its transaction", WINDOW, SERVICE_SMTP, HONEST, true, UINT32_MAX,
     MAIL "RSET\r\n" STRANGER AWAY, "250 2.0.0 Flushed\r\n250 2.1.0 Sender fine\r\n" DENIED, 0, 0, 0},
    {"a window's limit", WINDOW LIMIT, SERVICE_SMTP, HONEST, true, 0, MAIL AWAY ALICE DATA, ENOUGH STORED, 1, 0, 97001},
    {"a member", "", SERVICE_SUBMISSION, HONEST, false, UINT32_MAX, MAIL AWAY DATA, STORED, 1, 1, 97001},
    {"a member, here and there", "", SERVICE_SUBMISSION, HONEST, false, UINT32_MAX, MAIL AWAY ALICE BOB DATA,
     FINE FINE STORED, 1, 1, 97001},
    {"a member, the same twice", "", SERVICE_SUBMISSION, HONEST, false, UINT32_MAX, MAIL AWAY AWAY DATA, FINE STORED, 1,
     1, 97001},
    {"a member, a literal", "", SERVICE_SUBMISSION, HONEST, false, UINT32_MAX, MAIL "RCPT TO:<x@[192.0.2.1]>\r\n" DATA,
     STORED, 1, 1, 97001},
    {"a member, our own literal", "", SERVICE_SUBMISSION, HONEST, false, UINT32_MAX, MAIL "RCPT TO:<x@[127.0.0.1]>\r\n",
     "550 5.7.1 <x@[127.0.0.1]>: relaying is not allowed\r\n", 0, 0, 0},
    {"a member's limit", LIMIT, SERVICE_SUBMISSION, HONEST, false, 2,
     MAIL AWAY "RCPT TO:<y@elsewhere.test>\r\nRCPT TO:<z@elsewhere.test>\r\n" ALICE DATA, FINE FINE ENOUGH STORED, 1, 2,
     97001},
    {"no limit", "submission.daily_recipients=0\n", SERVICE_SUBMISSION, HONEST, false, 0, MAIL AWAY DATA, STORED, 1, 1,
     97001},
    {"the limit at the end", LIMIT, SERVICE_SUBMISSION, STORE_SENT_ENOUGH, false, 2, MAIL AWAY DATA,
     FINE
     "354 Go ahead, end with CRLF.CRLF\r\n452 4.7.1 That is more recipients at other sites than are allowed in a day; "
     "please send it tomorrow\r\n",
     1, 1, 97001},
    {"the limit for some only", LIMIT, SERVICE_SUBMISSION, STORE_LAST_SENT_ENOUGH, false, 2, MAIL ALICE AWAY DATA,
     FINE FINE "354 Go ahead, end with CRLF.CRLF\r\n" TEMPORARY, 1, 1, 97001},
    {"an alias to elsewhere", "", SERVICE_SMTP, READ_REMOTE, false, UINT32_MAX, STRANGER ALICE DATA, STORED, 1, 1, 0},
    {"a limit and an alias to elsewhere", LIMIT, SERVICE_SUBMISSION, READ_REMOTE, false, 0, MAIL ALICE, ENOUGH, 0, 0,
     0},
    {"intake paused", "", SERVICE_SMTP, READ_PAUSED, false, UINT32_MAX, STRANGER ALICE,
     "452 4.3.2 No mail is taken in for the moment, please try again later\r\n", 0, 0, 0},
    {"a list that refuses", "", SERVICE_SMTP, READ_LIST_REFUSES, false, UINT32_MAX, STRANGER ALICE,
     "550 5.7.2 <alice@example.test>: you may not post to this mailing list\r\n", 0, 0, 0},
    {"a list", "", SERVICE_SMTP, READ_LIST, false, UINT32_MAX, STRANGER ALICE DATA, STORED, 1, 0, 0},
    {"a list's bounce", "", SERVICE_SMTP, READ_LIST_BOUNCE, false, UINT32_MAX, "MAIL FROM:<>\r\n" ALICE DATA, STORED, 1,
     0, 0},
};

static const char *behind(const char *output, const char *last)
{
    const char *at = strstr(output, last);
    assert_non_null(at);
    at = strstr(at, "\r\n");
    assert_non_null(at);
    return at + 2;
}

static const char *talk(struct fixture *f, enum service_kind service, const char *input)
{
    char text[2000];
    snprintf(text, sizeof text, HELLO "%s%s" QUIT, service == SERVICE_SUBMISSION ? LOGIN : "", input);
    return behind(fixture_talk(f, service, span_text(text)), "250 2.1.0");
}

static void test_relaying(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char expected[2000];
        fixture_init(&f, rows[i].settings);
        f.lie = rows[i].lie;
        f.window = rows[i].window;
        f.recipients_left = rows[i].left;
        const char *output = talk(&f, rows[i].service, rows[i].input);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", rows[i].output);
        if (strcmp(output, expected) != 0 || f.deliveries != rows[i].deliveries || f.kinds[1] != rows[i].remote ||
            f.sender_account != rows[i].account)
            fail_msg("%s: %u deliveries, %u remote, account %llu, got\n%s", rows[i].name, f.deliveries, f.kinds[1],
                     (unsigned long long)f.sender_account, output);
        fixture_release(&f);
    }
}

/* What the store is handed for another site, for an alias and for lists. */
static void test_targets(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        const char *input, *target, *next_hop, *forwarder;
        unsigned kind;
    } table[] = {
        {HONEST, MAIL "RCPT TO:<X@ELSEWHERE.test>\r\n" DATA, "X@elsewhere.test", "", "", 1},
        {READ_REMOTE, MAIL ALICE DATA, "a@next.test", "hop.test:2525", "example.test", 1},
        {READ_LIST, MAIL ALICE DATA, "", "", "", 2},
        {READ_LIST_BOUNCE, MAIL ALICE DATA, "", "", "", 3},
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct fixture f;
        fixture_init(&f, "");
        f.lie = table[i].lie;
        talk(&f, SERVICE_SUBMISSION, table[i].input);
        assert_int_equal(f.deliveries, 1);
        assert_int_equal(f.kinds[table[i].kind], 1);
        assert_string_equal(f.target, table[i].target);
        assert_string_equal(f.next_hop, table[i].next_hop);
        assert_string_equal(f.forwarder, table[i].forwarder);
        assert_true(f.asked_authenticated);
        assert_string_equal(f.asked_for, "alice@example.test");
        fixture_release(&f);
    }
    struct fixture f;
    fixture_init(&f, "");
    talk(&f, SERVICE_SMTP, MAIL ALICE);
    assert_false(f.asked_authenticated);
    fixture_release(&f);
}

/* What a next hop says at RCPT: a refusal is the client's, anything else is no obstacle. */
static void test_probe(void **state)
{
    (void)state;
    static const struct {
        enum lie lie;
        int verdict;
        const char *output;
        unsigned probes;
    } table[] = {
        {READ_VERIFY, COURIER__VERDICT__VERDICT_TAKES, FINE, 1},
        {READ_VERIFY, COURIER__VERDICT__VERDICT_UNKNOWN, FINE, 1},
        {READ_VERIFY, COURIER__VERDICT__VERDICT_UNSET, FINE, 1},
        {READ_VERIFY, 77, FINE, 1},
        {READ_VERIFY, COURIER__VERDICT__VERDICT_REFUSES,
         "550 5.1.1 <alice@example.test>: the server of this person says 550 5.1.1 never heard of?? it\r\n", 1},
        {READ_REMOTE, COURIER__VERDICT__VERDICT_REFUSES, FINE, 0},
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct fixture f;
        char expected[500];
        fixture_init(&f, "");
        f.lie = table[i].lie;
        f.verdict = table[i].verdict;
        const char *output = talk(&f, SERVICE_SMTP, STRANGER ALICE);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", table[i].output);
        assert_string_equal(output, expected);
        assert_int_equal(f.probes, table[i].probes);
        fixture_release(&f);
    }
}

/* Every refusal is told to auth, whose delay comes before the reply; without auth nobody waits. */
static void test_reports(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum service_kind service;
        enum lie lie;
        const char *input;
        int refused;
        uint64_t account;
    } table[] = {
        {"unknown user", SERVICE_SMTP, READ_NO_USER, STRANGER ALICE, AUTH__REFUSED__REFUSED_UNKNOWN_USER, 0},
        {"relaying", SERVICE_SMTP, HONEST, STRANGER AWAY, AUTH__REFUSED__REFUSED_RECIPIENT, 0},
        {"syntax", SERVICE_SMTP, HONEST, STRANGER "RCPT TO:<a@@b>\r\n", AUTH__REFUSED__REFUSED_RECIPIENT, 0},
        {"sender's syntax", SERVICE_SMTP, HONEST, STRANGER "RSET\r\nMAIL FROM:<a@@b>\r\n",
         AUTH__REFUSED__REFUSED_RETURN_PATH, 0},
        {"message", SERVICE_SMTP, HONEST, STRANGER ALICE "DATA\r\na\nb\r\n.\r\n", AUTH__REFUSED__REFUSED_MESSAGE, 0},
        {"chunk", SERVICE_SMTP, HONEST, STRANGER ALICE "BDAT 3\r\na\nb", AUTH__REFUSED__REFUSED_MESSAGE, 0},
        {"full", SERVICE_SMTP, STORE_FULL, STRANGER ALICE DATA, AUTH__REFUSED__REFUSED_MESSAGE, 0},
        {"a member", SERVICE_SUBMISSION, READ_NO_USER, MAIL ALICE, AUTH__REFUSED__REFUSED_UNKNOWN_USER, 97001},
        {"auth fails", SERVICE_SMTP, HONEST, STRANGER AWAY, AUTH__REFUSED__REFUSED_RECIPIENT, 0},
    };
    for (size_t i = 0; i < ROWS(table); i++) {
        struct fixture f;
        fixture_init(&f, "");
        f.lie = i + 1 == ROWS(table) ? REPORT_FAILS : table[i].lie;
        f.delay_ms = 20;
        uint64_t start = clock_monotonic();
        talk(&f, table[i].service, table[i].input);
        uint64_t took = clock_monotonic() - start;
        if (f.reports != 1 || f.refused != table[i].refused || f.reported_account != table[i].account ||
            (f.lie != REPORT_FAILS && took < 20 * NANOSECONDS / 1000))
            fail_msg("%s: %u reports, %d, account %llu, after %llu ns", table[i].name, f.reports, f.refused,
                     (unsigned long long)f.reported_account, (unsigned long long)took);
        fixture_release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relaying),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
