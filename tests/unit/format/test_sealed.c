#include "format/sealed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static unsigned char private_key[SEALED_KEY_SIZE], public_key[SEALED_KEY_SIZE];
static const struct span context = SPAN("remote pop.example.net 995 pop3s alice");

static int make_keys(void **state)
{
    return sealed_key_make(private_key, public_key);
}

static void seal(struct span secret, struct buf *text)
{
    buf_init(text, SEALED_TEXT_MAX);
    assert_int_equal(sealed_write(public_key, context, secret, text), 0);
}

static bool opens(struct span text, struct span with, const unsigned char *key, struct span expected)
{
    struct buf secret;
    buf_init(&secret, SEALED_SECRET_MAX);
    bool good = sealed_open(key, with, text, &secret);
    if (good)
        assert_true(span_equal(buf_span(&secret), expected));
    else
        assert_int_equal(secret.size, 0);
    buf_release(&secret);
    return good;
}

static void what_is_sealed_opens(void **state)
{
    static char longest[SEALED_SECRET_MAX];
    memset(longest, 'x', sizeof longest);
    const struct span secrets[] = {SPAN("wonderland"), SPAN(""),      SPAN("\0\xff\n"),         {longest, 61},
                                   {longest, 62},      {longest, 63}, {longest, sizeof longest}};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
        struct buf text;
        seal(secrets[i], &text);
        assert_true(opens(buf_span(&text), context, private_key, secrets[i]));
        buf_release(&text);
    }
    struct buf text;
    buf_init(&text, SEALED_TEXT_MAX);
    static char more[SEALED_SECRET_MAX + 1];
    assert_int_equal(sealed_write(public_key, context, span_from(more, sizeof more), &text), -EMSGSIZE);
    buf_init(&text, 40);
    assert_int_equal(sealed_write(public_key, context, secrets[0], &text), -ENOMEM);
    buf_release(&text);
}

static void sealed_twice_is_not_the_same_and_tells_no_length(void **state)
{
    struct buf a, b;
    seal((struct span)SPAN("a"), &a);
    seal((struct span)SPAN("a much longer password"), &b);
    assert_int_equal(a.size, b.size);
    buf_release(&b);
    seal((struct span)SPAN("a"), &b);
    assert_false(span_equal(buf_span(&a), buf_span(&b)));
    buf_release(&a);
    buf_release(&b);
}

static void nothing_else_opens_it(void **state)
{
    const struct span secret = SPAN("wonderland");
    unsigned char other_private[SEALED_KEY_SIZE], other_public[SEALED_KEY_SIZE];
    struct buf text;
    seal(secret, &text);
    assert_int_equal(sealed_key_make(other_private, other_public), 0);
    assert_false(opens(buf_span(&text), context, other_private, secret));
    assert_false(opens(buf_span(&text), (struct span)SPAN("remote evil.example 110 none alice"), private_key, secret));
    for (size_t i = 0; i < text.size; i++) {
        char before = text.data[i];
        text.data[i] = before == 'A' ? 'B' : 'A';
        assert_false(opens(buf_span(&text), context, private_key, secret));
        text.data[i] = before;
        assert_false(opens(span_head(buf_span(&text), i), context, private_key, secret));
    }
    assert_true(opens(buf_span(&text), context, private_key, secret));
    buf_release(&text);
}

static void keys_have_a_text(void **state)
{
    unsigned char read[SEALED_KEY_SIZE], again[SEALED_KEY_SIZE];
    struct buf text;
    buf_init(&text, 100);
    sealed_key_write(private_key, &text);
    assert_true(sealed_key_parse(buf_span(&text), read));
    assert_memory_equal(read, private_key, sizeof read);
    assert_int_equal(sealed_key_public(read, again), 0);
    assert_memory_equal(again, public_key, sizeof again);
    assert_false(sealed_key_parse((struct span)SPAN("AAAA\n"), read));
    assert_false(sealed_key_parse((struct span)SPAN(""), read));
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens),
        cmocka_unit_test(sealed_twice_is_not_the_same_and_tells_no_length),
        cmocka_unit_test(nothing_else_opens_it),
        cmocka_unit_test(keys_have_a_text),
    };
    return cmocka_run_group_tests(tests, make_keys, NULL);
}
