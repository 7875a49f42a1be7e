#include "format/srs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define DAY 86400ull
#define NOW (20000 * DAY)

static const struct span key = SPAN("0123456789abcdef0123456789abcdef");
static const struct span other_key = SPAN("0123456789abcdef0123456789abcdeF");
static const struct span forwarder = SPAN("forward.example");

static struct span local_of(const struct buf *address)
{
    return span_head(buf_span(address), span_find_last(buf_span(address), '@'));
}

static struct buf forward(struct span local, const char *domain)
{
    struct buf out;
    buf_init(&out, 1000);
    srs_forward_write(local, span_text(domain), forwarder, key, NOW, &out);
    assert_false(buf_failed(&out));
    return out;
}

static void there_and_back(void **state)
{
    static const struct {
        const char *local, *domain, *back;
    } rows[] = {
        {"alice", "example.org", "alice@example.org"},
        {"Alice", "example.org", "Alice@example.org"},
        {"a=b=c", "example.org", "a=b=c@example.org"},
        {"a+b-c", "sub.example.org", "a+b-c@sub.example.org"},
        {"two words", "example.org", "\"two words\"@example.org"},
        {"x", "[192.0.2.1]", "x@[192.0.2.1]"},
        {"J\xc3\xb6rg", "example.org", "J\xc3\xb6rg@example.org"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = forward(span_text(rows[i].local), rows[i].domain), back;
        buf_init(&back, 1000);
        assert_true(span_starts_nocase(span_skip(buf_span(&out), out.data[0] == '"'), span_text("SRS0=")));
        assert_true(span_ends_nocase(buf_span(&out), span_text("@forward.example")));
        /* What stands between quotes is the local part. */
        struct span local = local_of(&out);
        if (local.data[0] == '"')
            local = span_head(span_skip(local, 1), local.size - 2);
        assert_int_equal(srs_reverse(local, key, NOW, &back), SRS_RIGHT);
        assert_string_equal((buf_add_char(&back, 0), back.data), rows[i].back);
        buf_release(&out);
        buf_release(&back);
    }
}

static void through_three_forwarders(void **state)
{
    struct buf second, third, back;
    buf_init(&back, 1000);
    second = forward(span_text("SRS0=abcd=xy=example.org=alice"), "first.example");
    assert_true(span_starts_nocase(buf_span(&second), span_text("SRS1=")));
    assert_int_equal(srs_reverse(local_of(&second), key, NOW, &back), SRS_RIGHT);
    assert_true(span_is(buf_span(&back), "SRS0=abcd=xy=example.org=alice@first.example"));
    third = forward(local_of(&second), "second.example");
    buf_reset(&back);
    assert_int_equal(srs_reverse(local_of(&third), key, NOW, &back), SRS_RIGHT);
    assert_true(span_is(buf_span(&back), "SRS0=abcd=xy=example.org=alice@first.example"));
    /* Another separator behind the tag is kept. */
    buf_release(&second);
    second = forward(span_text("SRS0+abcd=xy=example.org=alice"), "first.example");
    buf_reset(&back);
    assert_int_equal(srs_reverse(local_of(&second), key, NOW, &back), SRS_RIGHT);
    assert_true(span_is(buf_span(&back), "SRS0+abcd=xy=example.org=alice@first.example"));
    buf_release(&second);
    buf_release(&third);
    buf_release(&back);
}

static void the_case_may_change_nothing_else(void **state)
{
    struct buf out = forward(span_text("alice"), "example.org"), back;
    struct span local = local_of(&out);
    buf_init(&back, 1000);
    for (size_t i = 0; i < local.size; i++) {
        char *place = out.data + i, old = *place;
        *place = old >= 'a' && old <= 'z' ? (char)(old - 32) : ascii_lower(old);
        buf_reset(&back);
        assert_int_equal(srs_reverse(local, key, NOW, &back), SRS_RIGHT);
        *place = old == 'x' ? 'y' : 'x';
        buf_reset(&back);
        enum srs_result result = srs_reverse(local, key, NOW, &back);
        assert_true(result == SRS_WRONG || (i < 5 && result == SRS_NONE));
        assert_int_equal(back.size, 0);
        *place = old;
    }
    assert_int_equal(srs_reverse(local, other_key, NOW, &back), SRS_WRONG);
    buf_release(&out);
    buf_release(&back);
}

/* A path has 256 octets with its brackets; what would pass that stays as it was. */
static void long_senders(void **state)
{
    char local[300];
    struct buf out;
    memset(local, 'a', sizeof local);
    buf_init(&out, 1000);
    size_t room = 254 - strlen("SRS0=hhhhhh=dd=example.org=@forward.example");
    srs_forward_write(span_from(local, room), span_text("example.org"), forwarder, key, NOW, &out);
    assert_int_equal(out.size, 254);
    buf_reset(&out);
    srs_forward_write(span_from(local, room + 1), span_text("example.org"), forwarder, key, NOW, &out);
    assert_int_equal(out.size, 0);
    assert_false(buf_failed(&out));
    buf_release(&out);
}

static void it_ends(void **state)
{
    struct buf out = forward(span_text("alice"), "example.org"), back;
    buf_init(&back, 1000);
    assert_int_equal(srs_reverse(local_of(&out), key, NOW + SRS_DAYS * DAY, &back), SRS_RIGHT);
    assert_int_equal(srs_reverse(local_of(&out), key, NOW + (SRS_DAYS + 1) * DAY, &back), SRS_OLD);
    assert_int_equal(srs_reverse(local_of(&out), key, NOW - DAY, &back), SRS_RIGHT);
    assert_int_equal(srs_reverse(local_of(&out), key, NOW - 2 * DAY, &back), SRS_OLD);
    buf_release(&out);
    buf_release(&back);
}

static void others(void **state)
{
    static const struct {
        const char *local;
        enum srs_result result;
    } rows[] = {
        {"alice", SRS_NONE},
        {"SRS0", SRS_NONE},
        {"SRS2=a=b=c=d", SRS_NONE},
        {"srs0x=a", SRS_NONE},
        {"SRS0=", SRS_WRONG},
        {"SRS0=aaaaaa", SRS_WRONG},
        {"SRS0=aaaaaa=aa=example.org=alice", SRS_WRONG},
        {"SRS0=aaaaaa=aa==alice", SRS_WRONG},
        {"SRS1=aaaaaa=example.org=aaaa=aa=b=c", SRS_WRONG},
        {"SRS1=aaaaaa==", SRS_WRONG},
        {"SRS1=", SRS_WRONG},
    };
    struct buf back;
    buf_init(&back, 1000);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(srs_reverse(span_text(rows[i].local), key, NOW, &back), rows[i].result);
    assert_int_equal(back.size, 0);
    srs_forward_write(span_text("alice"), (struct span){0}, forwarder, key, NOW, &back);
    assert_int_equal(back.size, 0);
    buf_release(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(through_three_forwarders),
        cmocka_unit_test(the_case_may_change_nothing_else),
        cmocka_unit_test(long_senders),
        cmocka_unit_test(it_ends),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
