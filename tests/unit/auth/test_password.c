#include "auth/credentials.h"
#include "auth/password.h"
#include "auth/scram.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct password password_of(const char *text)
{
    struct password password;
    assert_true(password_parse(span_text(text), &password));
    return password;
}

static void test_every_kind(void **state)
{
    static const struct {
        const char *prefix;
        unsigned cost;
    } rows[] = {{"$y$", 1},    {"$gy$", 1}, {"$7$", 6},    {"$2b$", 4}, {"$6$", 1000},
                {"$5$", 1000}, {"$1$", 0},  {"$sha1$", 4}, {"$md5", 0}};
    struct password right = password_of("sandbox"), wrong = password_of("Sandbox");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf hash, other;
        buf_init(&hash, 1024);
        buf_init(&other, 1024);
        assert_int_equal(password_hash(&right, rows[i].prefix, rows[i].cost, &hash), 0);
        assert_int_equal(password_hash(&right, rows[i].prefix, rows[i].cost, &other), 0);
        assert_memory_equal(hash.data, rows[i].prefix, strlen(rows[i].prefix));
        assert_false(span_equal(buf_span(&hash), buf_span(&other))); /* the salt is fresh */
        assert_int_equal(password_verify(&right, buf_span(&hash)), 0);
        assert_int_equal(password_verify(&right, buf_span(&other)), 0);
        assert_int_equal(password_verify(&wrong, buf_span(&hash)), -EACCES);
        /* Nobody's is made and compared in the same way, and is no password's. */
        buf_reset(&other);
        assert_int_equal(password_nobodys(rows[i].prefix, rows[i].cost, &other), 0);
        assert_int_equal(password_verify(&right, buf_span(&other)), -EACCES);
        buf_release(&hash);
        buf_release(&other);
    }
}

/* Hashes that another library made. */
static void test_known_hashes(void **state)
{
    static const struct {
        const char *password, *hash;
        int outcome;
    } rows[] = {
        {"Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", 0},
        {"Hello world!",
         "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", 0},
        {"Hello world?", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", -EACCES},
        {"U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", 0},
        {"sandbox", "", -EINVAL},
        {"sandbox", "!", -EINVAL},
        {"sandbox", "*", -EINVAL},
        {"sandbox", "*0", -EINVAL},
        {"sandbox", "$unknown$salt$hash", -EINVAL},
        {"sandbox", "sandbox", -EACCES}, /* a plain text is taken for traditional DES, which it does not match */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct password password = password_of(rows[i].password);
        assert_int_equal(password_verify(&password, span_text(rows[i].hash)), rows[i].outcome);
    }
    char too_long[600];
    memset(too_long, 'a', sizeof too_long);
    struct password password = password_of("sandbox");
    static const struct span with_nul = SPAN("$5$salt\0string");
    assert_int_equal(password_verify(&password, span_from(too_long, sizeof too_long)), -EINVAL);
    assert_int_equal(password_verify(&password, with_nul), -EINVAL);
}

static void test_refused_hashes(void **state)
{
    char text[101];
    struct buf hash;
    buf_init(&hash, 1024);
    struct password ordinary = password_of("sandbox"), empty = {0};
    memset(text, 'x', 100);
    text[100] = 0;
    struct password hundred = password_of(text);
    assert_int_equal(password_hash(&ordinary, "$nonsense$", 0, &hash), -EINVAL);
    assert_int_equal(password_hash(&ordinary, "", 0, &hash), -EINVAL);
    assert_int_equal(password_hash(&ordinary, "$2b$", 99, &hash), -EINVAL);
    assert_int_equal(password_nobodys("$nonsense$", 0, &hash), -EINVAL);
    assert_int_equal(password_nobodys("", 0, &hash), -EINVAL);
    assert_int_equal(password_nobodys("$2b$", 99, &hash), -EINVAL);
    assert_int_equal(password_nobodys("$y$", 99, &hash), -EINVAL);
    assert_int_equal(password_hash(&empty, "$5$", 1000, &hash), -EINVAL);
    assert_int_equal(password_hash(&hundred, "$2b$", 4, &hash), -EINVAL); /* bcrypt would cut it at 72 */
    assert_int_equal(password_hash(&hundred, "$5$", 1000, &hash), 0);
    assert_int_equal(password_verify(&empty, buf_span(&hash)), -EACCES);
    buf_release(&hash);
}

static void test_credentials(void **state)
{
    struct settings settings = {.auth = {.password_hash = "$5$", .hash_cost = 1000}};
    static const struct span text = SPAN("s\xc3\xa4nd\xc2\xa0"
                                         "box");
    for (int apop = 0; apop < 2; apop++) {
        struct credential_set set;
        struct buf problem;
        struct password password;
        struct scram_verifier stored, again;
        buf_init(&problem, 1024);
        settings.pop3.apop = apop;
        assert_int_equal(credentials_make(&settings, text, &set, &problem), 0);
        assert_int_equal(set.count, apop ? 3 : 2);
        assert_true(password_parse(text, &password));
        assert_string_equal(set.items[0].kind, "crypt");
        assert_int_equal(password_verify(&password, buf_span(&set.items[0].value)), 0);
        assert_string_equal(set.items[1].kind, "scram-sha-256");
        assert_true(scram_verifier_parse(buf_span(&set.items[1].value), &stored));
        scram_verifier_make(password_span(&password), span_from(stored.salt, stored.salt_size), stored.iterations,
                            &again);
        assert_memory_equal(stored.stored_key, again.stored_key, SHA256_SIZE);
        assert_memory_equal(stored.server_key, again.server_key, SHA256_SIZE);
        if (apop) {
            assert_string_equal(set.items[2].kind, "apop");
            assert_true(span_is(buf_span(&set.items[2].value), "s\xc3\xa4nd box"));
        }
        assert_int_equal(problem.size, 0);
        credentials_release(&set);
        assert_int_equal(set.count, 0);
    }
}

static void test_credentials_refused(void **state)
{
    static const struct {
        struct span password;
        const char *prefix, *problem;
    } rows[] = {{SPAN(""), "$5$", "a password has 1 to 511 bytes"},
                {SPAN("caf\xe9"), "$5$", "a password has 1 to 511 bytes"},
                {SPAN("sandbox"), "$x$", "auth.password_hash \"$x$\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings settings = {.auth = {.password_hash = rows[i].prefix}};
        struct credential_set set;
        struct buf problem;
        buf_init(&problem, 1024);
        assert_int_equal(credentials_make(&settings, rows[i].password, &set, &problem), -EINVAL);
        assert_int_equal(set.count, 0);
        assert_true(span_starts_nocase(buf_span(&problem), span_text(rows[i].problem)));
        buf_release(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),          cmocka_unit_test(test_known_hashes),
        cmocka_unit_test(test_refused_hashes),      cmocka_unit_test(test_credentials),
        cmocka_unit_test(test_credentials_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
