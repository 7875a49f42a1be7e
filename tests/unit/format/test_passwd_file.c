#include "format/passwd_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_lines(void **state)
{
    static const struct {
        const char *line, *user, *password, *name;
        bool has_quota;
        uint64_t quota;
        const char *problem;
    } rows[] = {
        {"alice:{PLAIN}secret", "alice", "{PLAIN}secret", "", false, 0, NULL},
        {"alice@example.test:$1$x$y:1000:1000:Alice Lee,room 1:/home/alice:/bin/sh", "alice@example.test", "$1$x$y",
         "Alice Lee", false, 0, NULL},
        {"bob:{SHA}x::::::userdb_quota_rule=*:storage=1G userdb_mail=maildir:~/Maildir\r", "bob", "{SHA}x", "", true,
         1ull << 30, NULL},
        {"bob:x::::::userdb_quota_rule=*:bytes=5000:messages=10", "bob", "x", "", true, 5000, NULL},
        {"bob:x::::::userdb_quota_rule=*:storage=512", "bob", "x", "", true, 512 * 1024, NULL},
        {"bob:x::::::userdb_quota_rule=*:messages=10", "bob", "x", "", false, 0, NULL},
        {"bob:x::::::userdb_quota_rule=Trash:storage=1M allow_nets=127.0.0.1", "bob", "x", "", false, 0, NULL},
        {"bob:x::::::userdb_quota_storage_size=2M", "bob", "x", "", true, 2 << 20, NULL},
        {"bob:x::::::userdb_quota_rule=*:storage=lots", "bob", "x", "", false, 0, "a quota with a unit"},
        {"bob:x::::::userdb_quota_rule=*:storage=M", "bob", "x", "", false, 0, "a quota that is no number"},
        {"bob:x::::::userdb_quota_rule=*:storage=99999999999999T", "bob", "x", "", false, 0, "a quota that is no"},
        {"bob:", "bob", "", "", false, 0, NULL},
        {"bob", NULL, NULL, NULL, false, 0, "no colon"},
        {":x", NULL, NULL, NULL, false, 0, "no name"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct passwd_line line;
        const char *problem = passwd_line_parse(span_text(rows[i].line), &line);
        if (rows[i].problem) {
            assert_true(problem && strncmp(problem, rows[i].problem, strlen(rows[i].problem)) == 0);
            continue;
        }
        if (problem)
            fail_msg("%s: %s", rows[i].line, problem);
        assert_true(span_is(line.user, rows[i].user) && span_is(line.password, rows[i].password));
        assert_true(span_is(line.name, rows[i].name));
        assert_int_equal(line.has_quota, rows[i].has_quota);
        assert_int_equal(line.quota, rows[i].quota);
    }
    assert_true(passwd_line_is_blank(span_text("")));
    assert_true(passwd_line_is_blank(span_text("  # a comment")));
    assert_false(passwd_line_is_blank(span_text("a:b")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lines)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
