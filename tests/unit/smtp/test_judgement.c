/* Who is let in: our own black list and the return-path's domain, asked once and only when it is needed. */
#include "auth.pb-c.h"
#include "fixture.h"
#include "policy/blacklist.h"
#include "policy/blacklist_compile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS(table) (sizeof(table) / sizeof *(table))
#define HELLO "EHLO client.test\r\n"
#define LOGIN "AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n"
#define ALICE "RCPT TO:<alice@example.test>\r\n"
#define BOB "RCPT TO:<bob@example.test>\r\n"
#define POSTMASTER "RCPT TO:<Postmaster@example.test>\r\n"
#define ABUSE "RCPT TO:<abuse@example.test>\r\n"
#define QUIT "QUIT\r\n"
#define MAIL(sender) "MAIL FROM:<" sender ">\r\n"
#define FINE "250 2.1.5 Recipient fine\r\n"
#define OPENED "250 2.1.0 Sender fine\r\n"
#define REFUSED(code, who, sentence) code " " who "@example.test does not take this: " sentence ". Reference R\r\n"
#define LISTED(who) \
    REFUSED("554 5.7.1", who, "your address 127.0.0.1 is listed by this site's black list: spam ?? source")
#define NAMED(who) REFUSED("554 5.7.1", who, "your host's name client.dial.test is listed by this site's black list")
#define CHECK "smtp.check_sender=true\n"

/* A list of these lines; freed with blacklist_close() and *blob. */
static struct blacklist *compile(const char *lines, struct buf *blob)
{
    struct blacklist_builder builder;
    struct buf problem;
    struct span rest = span_text(lines);
    size_t dropped;
    blacklist_builder_init(&builder);
    buf_init(&problem, 1000);
    buf_init(blob, 1u << 20);
    int file = blacklist_add_file(&builder, span_text("list.txt"));
    assert_int_equal(file, 0);
    for (uint32_t number = 1; rest.size; number++) {
        struct blacklist_entry entry;
        enum blacklist_line kind = blacklist_line_parse(span_cut(&rest, '\n'), &entry, &problem);
        assert_int_equal(blacklist_add(&builder, kind, &entry, 0, number), 0);
    }
    assert_int_equal(blacklist_compile(&builder, blob, &dropped), 0);
    blacklist_builder_release(&builder);
    buf_release(&problem);
    struct blacklist *list = blacklist_open(buf_span(blob));
    assert_non_null(list);
    return list;
}

static void test_verdicts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *list, *settings;
        enum service_kind service;
        bool window;
        const char *input, *output; /* the latter from the first MAIL's reply on */
        int refused;
        unsigned questions;
    } rows[] = {
        {"listed", "127.0.0.1 spam \xc3\xa9 source\n", "", SERVICE_SMTP, false, MAIL("s@b.test") ALICE BOB,
         OPENED LISTED("alice") LISTED("bob"), AUTH__REFUSED__REFUSED_RECIPIENT, 0},
        {"who hears everybody", "127.0.0.0/8 spam\n", CHECK, SERVICE_SMTP, false, MAIL("s@none.test") POSTMASTER ABUSE,
         OPENED FINE FINE, 0, 0},
        {"an unknown name comes first", "127.0.0.0/8 spam\n", "", SERVICE_SMTP, false,
         MAIL("s@b.test") "RCPT TO:<x@elsewhere.test>\r\n",
         OPENED "550 5.7.1 <x@elsewhere.test>: relaying is not allowed\r\n", AUTH__REFUSED__REFUSED_RECIPIENT, 0},
        {"an exception", "127.0.0.0/8 spam\n!127.0.0.1\n", "", SERVICE_SMTP, false, MAIL("s@b.test") ALICE, OPENED FINE,
         0, 0},
        {"another's address", "127.0.0.2 spam\n", "", SERVICE_SMTP, false, MAIL("s@b.test") ALICE, OPENED FINE, 0, 0},
        {"a client network", "127.0.0.1 spam\n", CHECK "client_networks=127.0.0.0/8\n", SERVICE_SMTP, false,
         MAIL("s@none.test") ALICE, OPENED FINE, 0, 0},
        {"a member", "127.0.0.1 spam\n", CHECK, SERVICE_SUBMISSION, false, MAIL("alice@example.test") ALICE,
         OPENED FINE, 0, 0},
        {"a window", "127.0.0.1 spam\n", CHECK "submission.pop_before_smtp=true\n", SERVICE_SMTP, true,
         MAIL("alice@example.test") ALICE, OPENED FINE, 0, 0},
        {"beside a window", "127.0.0.1 spam \xc3\xa9 source\n", "submission.pop_before_smtp=true\n", SERVICE_SMTP, true,
         MAIL("x@elsewhere.test") ALICE, OPENED LISTED("alice"), AUTH__REFUSED__REFUSED_RECIPIENT, 0},
        /* PTR, then A of the name; once a connection. */
        {"by name", ".dial.test\n", "", SERVICE_SMTP, false, MAIL("s@b.test") ALICE BOB,
         OPENED NAMED("alice") NAMED("bob"), AUTH__REFUSED__REFUSED_RECIPIENT, 2},
        {"excepted by name", "127.0.0.0/8\n!client.dial.test\n", "", SERVICE_SMTP, false, MAIL("s@b.test") ALICE BOB,
         OPENED FINE FINE, 0, 2},
        {"another's name", "*.cable.test\n", "", SERVICE_SMTP, false,
         MAIL("s@b.test") ALICE "RSET\r\n" MAIL("s@b.test") BOB, OPENED FINE "250 2.0.0 Flushed\r\n" OPENED FINE, 0, 2},
        {"return-path", "", CHECK, SERVICE_SMTP, false, MAIL("s@elsewhere.test") ALICE BOB, OPENED FINE FINE, 0, 1},
        {"our own", "", CHECK, SERVICE_SMTP, false, MAIL("s@example.test") ALICE, OPENED FINE, 0, 0},
        {"nobody", "", CHECK, SERVICE_SMTP, false, MAIL("") ALICE, OPENED FINE, 0, 0},
        {"a literal", "", CHECK, SERVICE_SMTP, false, MAIL("s@[192.0.2.9]") ALICE, OPENED FINE, 0, 0},
        {"switched off", "", "", SERVICE_SMTP, false, MAIL("s@none.test") ALICE, OPENED FINE, 0, 0},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        struct buf blob;
        char input[2000], expected[2000];
        struct blacklist *list = compile(rows[i].list, &blob);
        fixture_init(&f, rows[i].settings);
        f.blacklist = list;
        f.window = rows[i].window;
        snprintf(input, sizeof input, HELLO "%s%s" QUIT, rows[i].service == SERVICE_SUBMISSION ? LOGIN : "",
                 rows[i].input);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", rows[i].output);
        const char *output = strstr(fixture_talk(&f, rows[i].service, span_text(input)), OPENED);
        if (!output || strcmp(output, expected) != 0 || f.refused != rows[i].refused ||
            f.questions != rows[i].questions)
            fail_msg("%s: refused %d, %u questions, got\n%s", rows[i].name, f.refused, f.questions, output);
        fixture_release(&f);
        blacklist_close(list);
        buf_release(&blob);
    }
}

/* Which of the DNS's answers means what. A name that is not ours is asked for after the reader said so. */
static void test_return_paths(void **state)
{
    (void)state;
    static const struct {
        const char *sender, *output; /* behind the address */
        int refused;
    } rows[] = {
        {"elsewhere.test", NULL, 0},
        {"host.elsewhere.test", NULL, 0},
        {"null.elsewhere.test",
         "550 5.7.27 alice@example.test does not take this: your return-path <s@null.elsewhere.test> has a domain that "
         "takes no mail",
         1},
        {"none.elsewhere.test",
         "550 5.1.8 alice@example.test does not take this: your return-path <s@none.elsewhere.test> has a domain "
         "without MX",
         1},
        {"none.broken.test",
         "451 4.4.3 alice@example.test does not take this now: your return-path <s@none.broken.test> could not be "
         "checked",
         1},
        {"trouble.elsewhere.test",
         "451 4.4.3 alice@example.test does not take this now: your return-path <s@trouble.elsewhere.test> could not "
         "be checked",
         1},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[500];
        fixture_init(&f, CHECK);
        f.sources.return_paths = return_path_cache_new();
        assert_non_null(f.sources.return_paths);
        snprintf(input, sizeof input, HELLO "MAIL FROM:<s@%s>\r\n" ALICE QUIT, rows[i].sender);
        for (unsigned round = 0; round < 2; round++) {
            const char *output = strstr(fixture_talk(&f, SERVICE_SMTP, span_text(input)), OPENED) + strlen(OPENED);
            const char *begin = rows[i].output ? rows[i].output : FINE;
            if (strncmp(output, begin, strlen(begin)) != 0 || f.refused != rows[i].refused)
                fail_msg("%s: refused %d, got\n%s", rows[i].sender, f.refused, output);
        }
        /* What is fine is remembered; what is not is asked again. */
        if (i == 0)
            assert_int_equal(f.questions, 1);
        if (strstr(rows[i].sender, "broken"))
            assert_int_equal(f.questions, 0);
        else if (rows[i].refused)
            assert_true(f.questions >= 2);
        return_path_cache_free(f.sources.return_paths);
        fixture_release(&f);
    }
}

/* What the session and the store know beside that reaches the rules. */
static void test_facts_of_rules(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum lie lie;
        const char *rules, *protects;
        enum service_kind service;
        const char *input, *output; /* the latter from the first MAIL's reply on */
    } rows[] = {
        {"a denied name", READ_DENIED_NAMES, "", NULL, SERVICE_SMTP, HELLO MAIL("s@b.test") ALICE,
         OPENED REFUSED("550 5.7.1", "alice",
                        "hosts called like dial are not let in here (yours is client.dial.test)")},
        {"no denied names", HONEST, "", NULL, SERVICE_SMTP, HELLO MAIL("s@b.test") ALICE, OPENED FINE},
        {"our name", HONEST, "2 helo-sane=on\n", NULL, SERVICE_SMTP, "EHLO MX.example.test\r\n" MAIL("s@b.test") ALICE,
         OPENED REFUSED("550 5.7.1", "alice", "your server calls itself MX.example.test, which is us")},
        {"another's name", HONEST, "2 helo-sane=on\n", NULL, SERVICE_SMTP, HELLO MAIL("s@b.test") ALICE, OPENED FINE},
        {"no full name", HONEST, "2 helo-sane=on\n", NULL, SERVICE_SMTP, "EHLO client\r\n" MAIL("s@b.test") ALICE,
         OPENED REFUSED("550 5.7.1", "alice", "your server calls itself client, which is no full name")},
        {"an address", HONEST, "2 helo-not-ip=on\n2 helo-sane=on\n", NULL, SERVICE_SMTP,
         "EHLO [192.0.2.7]\r\n" MAIL("s@b.test") ALICE,
         OPENED REFUSED("550 5.7.1", "alice", "your server calls itself [192.0.2.7], which is no name")},
        {"a protected sender", HONEST, "", "alice@example.test", SERVICE_SMTP, HELLO MAIL("alice@example.test") ALICE,
         OPENED REFUSED("530 5.7.0", "alice",
                        "mail from <alice@example.test> is taken only from its owner: please log in first")},
        {"its owner", HONEST, "", "alice@example.test", SERVICE_SUBMISSION,
         HELLO LOGIN MAIL("alice@example.test") ALICE, OPENED FINE},
        {"another member", HONEST, "", "carol@example.test", SERVICE_SUBMISSION,
         HELLO LOGIN MAIL("carol@example.test") ALICE,
         OPENED REFUSED("553 5.7.1", "alice", "the address <carol@example.test> belongs to somebody else here")},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[1000], expected[1000];
        /* With it the fixture is a gate, as who takes mail from strangers is. */
        fixture_init(&f, rows[i].service == SERVICE_SMTP ? "submission.pop_before_smtp=true\n" : "");
        f.lie = rows[i].lie;
        f.rules = rows[i].rules;
        f.protects = rows[i].protects;
        snprintf(input, sizeof input, "%s" QUIT, rows[i].input);
        snprintf(expected, sizeof expected, "%s221 2.0.0 mx.example.test says goodbye\r\n", rows[i].output);
        const char *output = strstr(fixture_talk(&f, rows[i].service, span_text(input)), OPENED);
        if (!output || strcmp(output, expected) != 0)
            fail_msg("%s: got\n%s", rows[i].name, output);
        fixture_release(&f);
    }
}

#define GATE "call_back.timeout=20\n"
#define CARL "RCPT TO:<carl@example.test>\r\n"

/* What is asked of others: once, however many recipients want it, and only of what is still open. */
static void test_call_outs(void **state)
{
    (void)state;
    static const struct {
        const char *name, *rules, *input;
        int verdict;
        bool is_silent;
        unsigned greylist_wait, call_backs, whoises, greylists;
        const char *codes; /* of the recipients */
    } rows[] = {
        {"nothing is wanted", "", ALICE BOB, 2, false, 60, 0, 0, 0, "250 250 "},
        {"refused there", "2 verify-sender=on\n", ALICE BOB, 2, false, 0, 1, 0, 0, "550 550 "},
        {"taken there", "2 verify-sender=on\n", ALICE BOB, 1, false, 0, 1, 0, 0, "250 250 "},
        {"it does not say", "2 verify-sender=on\n", ALICE BOB, 3, false, 0, 1, 0, 0, "451 451 "},
        {"the courier dies", "2 verify-sender=on\n", ALICE BOB, 1, true, 0, 1, 0, 0, "451 451 "},
        {"no opinion", "2 verify-sender=on\n2 verify-sender.on-unknown=pass\n", ALICE, 3, false, 0, 1, 0, 0, "250 "},
        {"a country", "2 whois=on\n2 whois.countries=zz\n", ALICE BOB CARL, 0, false, 0, 0, 1, 0, "550 550 550 "},
        {"both at once", "2 whois=on\n2 whois.countries=xx\n2 verify-sender=on\n", ALICE BOB, 1, false, 0, 1, 1, 0,
         "250 250 "},
        {"the whois dies", "2 whois=on\n2 whois.countries=zz\n", ALICE, 0, true, 0, 0, 1, 0, "250 "},
        {"greylisted, each for itself", "2 greylist=on\n", ALICE BOB, 0, false, 60, 0, 0, 2, "451 451 "},
        {"greylisted before", "2 greylist=on\n", ALICE BOB, 0, false, 0, 0, 0, 2, "250 250 "},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[1000], codes[100] = "";
        fixture_init(&f, GATE);
        f.rules = rows[i].rules;
        f.verdict = rows[i].verdict;
        f.courier_is_silent = rows[i].is_silent;
        f.greylist_wait = rows[i].greylist_wait;
        snprintf(input, sizeof input, HELLO MAIL("s@b.test") "%s" QUIT, rows[i].input);
        const char *output = strstr(fixture_talk(&f, SERVICE_SMTP, span_text(input)), OPENED) + strlen(OPENED);
        for (const char *at = output; strncmp(at, "221", 3) != 0; at = strchr(at, '\n') + 1)
            strncat(codes, at, 4);
        if (strcmp(codes, rows[i].codes) != 0 || f.call_backs != rows[i].call_backs || f.whoises != rows[i].whoises ||
            f.greylists != rows[i].greylists)
            fail_msg("%s: %u call-backs, %u whois, %u greylist, got\n%s", rows[i].name, f.call_backs, f.whoises,
                     f.greylists, output);
        fixture_release(&f);
    }
}

/* A passcode is looked at only as long as auth allows guessing; a wrong one is told to auth as such. */
static void test_passcodes(void **state)
{
    (void)state;
    static const struct {
        const char *digits;
        bool may_guess;
        unsigned guesses;
        int refused;
        const char *code;
    } rows[] = {
        {" 4711", true, 1, 0, "250"},
        {" 4712", true, 1, AUTH__REFUSED__REFUSED_PASSCODE, "550"},
        {" 4711", false, 1, AUTH__REFUSED__REFUSED_RECIPIENT, "4"},
        {"", true, 0, AUTH__REFUSED__REFUSED_RECIPIENT, "550"},
    };
    for (size_t i = 0; i < ROWS(rows); i++) {
        struct fixture f;
        char input[500];
        fixture_init(&f, GATE);
        f.rules = "2 passcode=on\n";
        f.may_guess = rows[i].may_guess;
        snprintf(input, sizeof input, HELLO MAIL("s@b.test") "RCPT TO:<alice@example.test>%s\r\n" QUIT, rows[i].digits);
        const char *output = strstr(fixture_talk(&f, SERVICE_SMTP, span_text(input)), OPENED) + strlen(OPENED);
        if (strncmp(output, rows[i].code, strlen(rows[i].code)) != 0 || f.guesses != rows[i].guesses ||
            f.refused != rows[i].refused)
            fail_msg("%zu: %u guesses, refused %d, got\n%s", i, f.guesses, f.refused, output);
        fixture_release(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_verdicts), cmocka_unit_test(test_return_paths),
                                       cmocka_unit_test(test_facts_of_rules), cmocka_unit_test(test_call_outs),
                                       cmocka_unit_test(test_passcodes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
