#include "fetch/scram_client.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define S(text) (struct span) SPAN(text)

/* RFC 7677 section 3. */
static const struct span nonce = SPAN("rOprNGfwEbeRWgbNEkqO");
#define BOTH "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"

static bool prove(struct scram_client *s, struct span password, struct span message, struct buf *out)
{
    struct buf first;
    buf_init(&first, 1000);
    scram_client_init(s);
    scram_client_open(s, S("user"), nonce, &first);
    assert_true(span_is(buf_span(&first), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
    buf_release(&first);
    buf_init(out, 1000);
    return scram_client_prove(s, nonce, password, message, out);
}

static void the_example_of_the_rfc(void **state)
{
    struct scram_client s;
    struct buf out;
    assert_true(prove(&s, S("pencil"), S("r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), &out));
    assert_true(span_is(buf_span(&out), "c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
    assert_true(scram_client_verify(&s, S("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_false(scram_client_verify(&s, S("v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")));
    assert_false(scram_client_verify(&s, S("e=other-error")));
    assert_false(scram_client_verify(&s, S("v=")));
    assert_false(scram_client_verify(&s, S("")));
    buf_release(&out);
    scram_client_release(&s);
}

static void other_messages_are_refused(void **state)
{
    const struct span bad[] = {
        SPAN(""),
        SPAN("r=" BOTH),
        SPAN("r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"), /* nothing of the server's */
        SPAN("r=xOprNGfwEbeRWgbNEkqOabc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"),
        SPAN("r=" BOTH ",s=,i=4096"),
        SPAN("r=" BOTH ",s=W22Z,i=4095"),   /* cheap to guess */
        SPAN("r=" BOTH ",s=W22Z,i=600001"), /* dear to answer */
        SPAN("r=" BOTH ",s=W22Z,i=-4096"),
        SPAN("r=" BOTH ",s=*,i=4096"),
        SPAN("m=x,r=" BOTH ",s=W22Z,i=4096"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct scram_client s;
        struct buf out;
        assert_false(prove(&s, S("pencil"), bad[i], &out));
        assert_int_equal(out.size, 0);
        buf_release(&out);
        scram_client_release(&s);
    }
}

static void names_are_escaped(void **state)
{
    struct scram_client s;
    struct buf first;
    buf_init(&first, 1000);
    scram_client_init(&s);
    scram_client_open(&s, S("a,b=c"), nonce, &first);
    assert_true(span_is(buf_span(&first), "n,,n=a=2Cb=3Dc,r=rOprNGfwEbeRWgbNEkqO"));
    buf_release(&first);
    scram_client_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_of_the_rfc),
        cmocka_unit_test(other_messages_are_refused),
        cmocka_unit_test(names_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
