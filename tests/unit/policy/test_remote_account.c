#include "policy/remote_account.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct {
    const char *text, *written, *problem; /* written NULL: as text; problem: how it begins, NULL for none */
} rows[] = {
    {"host=pop.example.net port=995 login=alice secret=AbC", NULL, NULL},
    {"secret=AbC login=alice host=POP.example.NET", "host=pop.example.net port=995 login=alice secret=AbC", NULL},
    {"host=192.0.2.1 tls=stls login=alice secret=AbC", "host=192.0.2.1 port=110 tls=stls login=alice secret=AbC", NULL},
    {"host=h.example port=995 login=al+20ice+2B method=scram verify=no interval=15m leave=yes delete-after=7d "
     "folder=A+20B split=example.org headers=delivered-to+20x-original-to servers=google.com enabled=no secret=AbC",
     NULL, NULL},
    {"host=h.example interval=3600 login=a secret=A", "host=h.example port=995 login=a interval=1h secret=A", NULL},
    {"", NULL, "host is missing"},
    {"host=h.example login=a", NULL, "the password is missing"},
    {"host=h.example secret=A", NULL, "login is missing"},
    {"host=h.example login=a secret=A delete-after=7d", NULL, "delete-after makes sense"},
    {"host=h.example login=a secret=A tls=none method=plain", NULL, "without TLS"},
    {"host=h.example port=110 tls=none login=a method=plain clear-password=yes secret=A", NULL, NULL},
    {"host=h.example login=a secret=A colour=red", NULL, "a remote account has no 'colour'"},
    {"host=-x- login=a secret=A", NULL, "host can't be '-x-'"},
    {"host=h.example login=a secret=A port=0", NULL, "port can't be '0': a number"},
    {"host=h.example login=a secret=A port=65536", NULL, "port can't be"},
    {"host=h.example login=a secret=A tls=yes", NULL, "tls can't be 'yes': pop3s, stls or none is expected"},
    {"host=h.example login=a secret=A leave=maybe", NULL, "leave can't be 'maybe': yes or no"},
    {"host=h.example login=a secret=A interval=5s", NULL, "interval can't be '5s'"},
    {"host=h.example login=a+0Ab secret=A", NULL, "login can't be"},
    {"host=h.example login secret=A", NULL, "'login' is not of the form"},
    {"host=h.example login=a=b secret=A", NULL, "'login=a=b' is not of the form"},
};

static void texts_are_read_and_written(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct remote_account account;
        struct arena arena;
        struct buf problem, text;
        arena_init(&arena, 65536);
        buf_init(&problem, 1000);
        buf_init(&text, REMOTE_ACCOUNT_TEXT_MAX);
        bool good = remote_account_parse(span_text(rows[i].text), &arena, &account, &problem);
        if (good != !rows[i].problem)
            print_error("%s: %.*s\n", rows[i].text, SPAN_ARG(buf_span(&problem)));
        assert_int_equal(good, !rows[i].problem);
        if (good) {
            remote_account_write(&account, &text);
            buf_add_char(&text, 0);
            assert_string_equal(text.data, rows[i].written ? rows[i].written : rows[i].text);
        } else {
            assert_true(span_starts_nocase(buf_span(&problem), span_text(rows[i].problem)));
        }
        arena_release(&arena);
        buf_release(&problem);
        buf_release(&text);
    }
}

static void the_secret_is_for_one_place_only(void **state)
{
    static const char *const texts[] = {
        "host=h.example login=a secret=A",
        "host=i.example login=a secret=A",
        "host=h.example login=b secret=A",
        "host=h.example login=a secret=A port=1995",
        "host=h.example login=a secret=A tls=stls port=995",
        "host=h.example login=a secret=A verify=no",
        "host=h.example login=a secret=A tls=none port=995",
        "host=h.example login=a secret=A tls=none port=995 clear-password=yes",
    };
    char seen[sizeof texts / sizeof *texts][400];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct remote_account account;
        struct arena arena;
        struct buf out;
        arena_init(&arena, 65536);
        buf_init(&out, 399);
        assert_true(remote_account_parse(span_text(texts[i]), &arena, &account, &out));
        remote_account_context(&account, &out);
        assert_false(buf_failed(&out));
        memset(seen[i], 0, sizeof seen[i]);
        memcpy(seen[i], out.data, out.size);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(seen[i], seen[j]);
        arena_release(&arena);
        buf_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_read_and_written),
        cmocka_unit_test(the_secret_is_for_one_place_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
