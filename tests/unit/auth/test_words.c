#include "auth/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define LONGEST_PASSWORD 511

struct password_row {
    struct span given;
    bool good;
    const char *made;
};

static void test_password(void **state)
{
    static const struct password_row rows[] = {
        {SPAN(""), false, ""},
        {SPAN("sandbox"), true, "sandbox"},
        {SPAN(" with spaces "), true, " with spaces "},
        {SPAN("p\xc3\xa4sswort"), true, "p\xc3\xa4sswort"},
        {SPAN("a\xc2\xa0z"), true, "a z"},
        {SPAN("a\xe1\x9a\x80z"), true, "a z"},
        {SPAN("a\xe2\x80\x80\xe2\x80\x8az"), true, "a  z"},
        {SPAN("a\xe2\x80\x8bz"), true, "a\xe2\x80\x8bz"}, /* zero width space is no space */
        {SPAN("a\xe2\x80\xafz"), true, "a z"},
        {SPAN("a\xe2\x81\x9fz"), true, "a z"},
        {SPAN("a\xe3\x80\x80z"), true, "a z"},
        {SPAN("caf\xe9"), false, ""}, /* Latin-1 */
        {SPAN("a\xc0\xafz"), false, ""},
        {SPAN("a\0z"), false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct password password;
        assert_int_equal(password_parse(rows[i].given, &password), rows[i].good);
        assert_string_equal(password.text, rows[i].made);
        assert_int_equal(password.size, strlen(rows[i].made));
    }
}

static void test_password_size(void **state)
{
    char text[LONGEST_PASSWORD + 1];
    struct password password;
    memset(text, 'x', sizeof text);
    assert_true(password_parse(span_from(text, LONGEST_PASSWORD), &password));
    assert_int_equal(password.size, LONGEST_PASSWORD);
    assert_false(password_parse(span_from(text, LONGEST_PASSWORD + 1), &password));
    assert_int_equal(password.size, 0);
}

static void test_wipe(void **state)
{
    static const struct span secret = SPAN("sandbox");
    struct password password;
    assert_true(password_parse(secret, &password));
    password_wipe(&password);
    for (size_t i = 0; i < sizeof password; i++)
        assert_int_equal(((const unsigned char *)&password)[i], 0);
}

static void test_login(void **state)
{
    static const struct password_row rows[] = {
        {SPAN("Alice@Example.TEST"), true, "alice@example.test"},
        {SPAN("J\xc3\xbcrgen"), true, "j\xc3\xbcrgen"},
        {SPAN(""), false, ""},
        {SPAN("a\nb"), false, ""},
        {SPAN("a\0b"), false, ""},
        {SPAN("a\x7f"), false, ""},
        {SPAN("a\xff"), false, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct login login;
        assert_int_equal(login_parse(rows[i].given, &login), rows[i].good);
        assert_string_equal(login.text, rows[i].made);
    }
    char text[LOGIN_MAX + 1];
    struct login login;
    memset(text, 'a', sizeof text);
    assert_true(login_parse(span_from(text, LOGIN_MAX), &login));
    assert_false(login_parse(span_from(text, LOGIN_MAX + 1), &login));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_password), cmocka_unit_test(test_password_size),
                                       cmocka_unit_test(test_wipe), cmocka_unit_test(test_login)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
