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
    if (!scram_client_take(s, nonce, password, message))
        return false;
    while (!scram_client_work(s))
        ;
    scram_client_prove(s, out);
    return true;
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

/* As OpenSSL has it: few and many iterations, short and long passwords, salts of any size. */
static void slices_make_the_same(void **state)
{
    char bytes[200];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    const unsigned counts[] = {1, 2, 999, 1000, 1001, 2500};
    const size_t sizes[] = {0, 1, 63, 64, 65, 200};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++) {
            struct span password = span_from(bytes, sizes[j]), salt = span_from(bytes, 1 + sizes[j] / 2);
            unsigned char whole[SHA256_SIZE];
            struct digest_hi hi;
            digest_pbkdf2_sha256(password, salt, counts[i], whole);
            digest_hi_begin(&hi, password, salt, counts[i]);
            while (!digest_hi_work(&hi, 1000))
                ;
            assert_memory_equal(hi.sum, whole, SHA256_SIZE);
            digest_hi_release(&hi);
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
        cmocka_unit_test(slices_make_the_same),
        cmocka_unit_test(names_are_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
