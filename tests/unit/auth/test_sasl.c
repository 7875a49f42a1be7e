#include "auth/sasl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct span fake_key = SPAN("a key of the process"), secret = SPAN("tanstaaf");

struct step_row {
    enum mechanism_id mechanism;
    struct span data[2]; /* .data NULL: no data */
    unsigned steps;
    enum sasl_outcome outcome;
    const char *login, *password, *out;
};

#define D(text) SPAN(text)
#define NONE \
    {        \
        0    \
    }

static const struct step_row rows[] = {
    /* RFC 4616 */
    {MECHANISM_PLAIN, {D("\0tim\0tanstaaf")}, 1, SASL_LOOKUP, "tim", "tanstaaf", ""},
    {MECHANISM_PLAIN, {NONE, D("\0tim\0tanstaaf")}, 2, SASL_LOOKUP, "tim", "tanstaaf", ""},
    {MECHANISM_PLAIN, {NONE}, 1, SASL_CHALLENGE, "", "", ""},
    {MECHANISM_PLAIN, {NONE, NONE}, 2, SASL_MALFORMED, "", "", ""},
    {MECHANISM_PLAIN, {D("Tim\0tim\0tanstaaf")}, 1, SASL_LOOKUP, "tim", "tanstaaf", ""},
    {MECHANISM_PLAIN, {D("Ursel\0Kurt\0xipj3plmq")}, 1, SASL_REFUSED, "kurt", "", ""},
    {MECHANISM_PLAIN, {D("")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_PLAIN, {D("tim\0tanstaaf")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_PLAIN, {D("\0tim\0tan\0staaf")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_PLAIN, {D("\0tim\0")}, 1, SASL_REFUSED, "tim", "", ""},
    {MECHANISM_PLAIN, {D("\0\0tanstaaf")}, 1, SASL_REFUSED, "", "", ""},
    {MECHANISM_PLAIN, {D("\0tim\0caf\xe9")}, 1, SASL_REFUSED, "tim", "", ""},
    {MECHANISM_LOGIN, {NONE}, 1, SASL_CHALLENGE, "", "", "Username:"},
    {MECHANISM_LOGIN, {D("tim")}, 1, SASL_CHALLENGE, "tim", "", "Password:"},
    {MECHANISM_LOGIN, {D("tim"), D("tanstaaf")}, 2, SASL_LOOKUP, "tim", "tanstaaf", "Password:"},
    {MECHANISM_LOGIN, {NONE, D("tim")}, 2, SASL_CHALLENGE, "tim", "", "Username:Password:"},
    {MECHANISM_LOGIN, {D("tim"), NONE}, 2, SASL_MALFORMED, "tim", "", "Password:"},
    {MECHANISM_LOGIN, {D("tim"), D("")}, 2, SASL_REFUSED, "tim", "", "Password:"},
    {MECHANISM_LOGIN, {D("")}, 1, SASL_REFUSED, "", "", ""},
    /* RFC 1939 section 7 */
    {MECHANISM_APOP, {D("mrose c4c9334bac560ecc979e58001b3e22fb")}, 1, SASL_LOOKUP, "mrose", "", ""},
    {MECHANISM_APOP, {D("m rose c4c9334bac560ecc979e58001b3e22fb")}, 1, SASL_LOOKUP, "m rose", "", ""},
    {MECHANISM_APOP, {D("mrose c4c9334bac560ecc979e58001b3e22f")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_APOP, {D("c4c9334bac560ecc979e58001b3e22fb")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_APOP, {D("")}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_APOP, {NONE}, 1, SASL_MALFORMED, "", "", ""},
    {MECHANISM_SCRAM_SHA_256, {NONE}, 1, SASL_CHALLENGE, "", "", ""},
    {MECHANISM_SCRAM_SHA_256, {D("n,,n=tim,r=abc")}, 1, SASL_LOOKUP, "tim", "", ""},
    {MECHANISM_SCRAM_SHA_256, {NONE, D("n,,n=tim,r=abc")}, 2, SASL_LOOKUP, "tim", "", ""},
    {MECHANISM_SCRAM_SHA_256, {D("n,,n=tim")}, 1, SASL_MALFORMED, "tim", "", ""},
    {MECHANISM_SCRAM_SHA_256_PLUS, {D("n,,n=tim,r=abc")}, 1, SASL_REFUSED, "tim", "", ""},
};

static void test_steps(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct step_row *row = &rows[i];
        struct sasl_exchange x;
        struct buf out;
        enum sasl_outcome outcome = SASL_MALFORMED;
        buf_init(&out, 1024);
        sasl_exchange_init(&x, row->mechanism);
        for (unsigned step = 0; step < row->steps; step++) {
            struct sasl_input input = {.has_data = row->data[step].data != NULL,
                                       .data = row->data[step],
                                       .apop_timestamp = SPAN("<1896.697170952@dbc.mtview.ca.us>")};
            outcome = sasl_step(&x, &input, &out);
        }
        assert_int_equal(outcome, row->outcome);
        assert_string_equal(x.login.text, row->login);
        assert_string_equal(x.password.text, row->password);
        assert_true(span_is(buf_span(&out), row->out));
        sasl_exchange_release(&x);
        buf_release(&out);
    }
}

static void test_apop(void **state)
{
    static const struct {
        const char *digest;
        bool found, has_secret;
        enum sasl_outcome outcome;
    } cases[] = {
        {"mrose c4c9334bac560ecc979e58001b3e22fb", true, true, SASL_PROVEN},
        {"mrose C4C9334BAC560ECC979E58001B3E22FB", true, true, SASL_PROVEN},
        {"mrose c4c9334bac560ecc979e58001b3e22fc", true, true, SASL_REFUSED},
        {"mrose c4c9334bac560ecc979e58001b3e22fb", true, false, SASL_REFUSED},
        {"mrose c4c9334bac560ecc979e58001b3e22fb", false, false, SASL_REFUSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sasl_exchange x;
        struct buf out;
        struct sasl_input input = {true, span_text(cases[i].digest),
                                   .apop_timestamp = SPAN("<1896.697170952@dbc.mtview.ca.us>")};
        struct sasl_account account = {.found = cases[i].found, .fake_key = fake_key};
        if (cases[i].has_secret)
            account.apop = secret;
        buf_init(&out, 1024);
        sasl_exchange_init(&x, MECHANISM_APOP);
        assert_int_equal(sasl_step(&x, &input, &out), SASL_LOOKUP);
        assert_int_equal(sasl_credentials(&x, &account, &out), cases[i].outcome);
        assert_int_equal(out.size, 0);
        sasl_exchange_release(&x);
        buf_release(&out);
    }
}

/* The digest of an unknown name is made of the fake key: knowing that must not help either. */
static void test_apop_never_takes_the_fake_key(void **state)
{
    struct sasl_exchange x;
    struct buf out;
    char text[5 + MD5_HEX_SIZE] = "mary ";
    digest_md5_hex(span_text("<1@x>"), fake_key, text + 5);
    struct sasl_input input = {true, span_from(text, sizeof text), .apop_timestamp = SPAN("<1@x>")};
    struct sasl_account account = {.fake_key = fake_key};
    buf_init(&out, 1024);
    sasl_exchange_init(&x, MECHANISM_APOP);
    assert_int_equal(sasl_step(&x, &input, &out), SASL_LOOKUP);
    assert_int_equal(sasl_credentials(&x, &account, &out), SASL_REFUSED);
    sasl_exchange_release(&x);
    buf_release(&out);
}

static void test_too_large(void **state)
{
    char text[SASL_MESSAGE_MAX + 1];
    struct sasl_exchange x;
    struct buf out;
    memset(text, 'a', sizeof text);
    buf_init(&out, 1024);
    for (enum mechanism_id id = 0; id < MECHANISM_COUNT; id++) {
        struct sasl_input input = {true, span_from(text, sizeof text)};
        sasl_exchange_init(&x, id);
        assert_int_equal(sasl_step(&x, &input, &out), SASL_MALFORMED);
        sasl_exchange_release(&x);
    }
    buf_release(&out);
}

static void test_release_wipes(void **state)
{
    struct sasl_exchange x;
    struct buf out;
    struct sasl_input input = {true, SPAN("\0tim\0tanstaaf")};
    buf_init(&out, 1024);
    sasl_exchange_init(&x, MECHANISM_PLAIN);
    assert_int_equal(sasl_step(&x, &input, &out), SASL_LOOKUP);
    sasl_exchange_release(&x);
    for (size_t i = 0; i < sizeof x; i++)
        assert_int_equal(((const unsigned char *)&x)[i], 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_apop),
        cmocka_unit_test(test_apop_never_takes_the_fake_key),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_release_wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
