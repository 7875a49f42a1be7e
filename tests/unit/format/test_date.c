#include "format/date.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void writing(void **state)
{
    static const struct {
        uint64_t seconds;
        const char *mail, *internal;
    } rows[] = {
        {0, "Thu, 1 Jan 1970 00:00:00 +0000", "\" 1-Jan-1970 00:00:00 +0000\""},
        {1795304498, "Sat, 21 Nov 2026 23:41:38 +0000", "\"21-Nov-2026 23:41:38 +0000\""},
        {951782400, "Tue, 29 Feb 2000 00:00:00 +0000", "\"29-Feb-2000 00:00:00 +0000\""},
        {951868800, "Wed, 1 Mar 2000 00:00:00 +0000", "\" 1-Mar-2000 00:00:00 +0000\""},
        {4107542399, "Sun, 28 Feb 2100 23:59:59 +0000", "\"28-Feb-2100 23:59:59 +0000\""},
        {4107542400, "Mon, 1 Mar 2100 00:00:00 +0000", "\" 1-Mar-2100 00:00:00 +0000\""},
        {1767225599, "Wed, 31 Dec 2025 23:59:59 +0000", "\"31-Dec-2025 23:59:59 +0000\""},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        buf_reset(&out);
        date_write(rows[i].seconds * NANOSECONDS + 999999999, &out);
        assert_true(span_is(buf_span(&out), rows[i].mail));
        buf_reset(&out);
        date_write_internal(rows[i].seconds * NANOSECONDS, &out);
        assert_true(span_is(buf_span(&out), rows[i].internal));
    }
    buf_release(&out);
}

/* Every 5 days and some hours over 500 years: what was written is read back, and the C library agrees on the calendar.
 */
static void back_and_forth(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 100);
    for (uint64_t seconds = 0; seconds < 15778800000; seconds += 5 * 86400 + 12345) {
        struct tm tm;
        time_t time = (time_t)seconds;
        char expected[64];
        int64_t parsed;
        buf_reset(&out);
        date_write(seconds * NANOSECONDS, &out);
        assert_non_null(gmtime_r(&time, &tm));
        assert_true(strftime(expected, sizeof(expected), "%a, %e %b %Y %H:%M:%S +0000", &tm) > 0);
        if (expected[5] == ' ')
            memmove(expected + 5, expected + 6, strlen(expected + 6) + 1);
        assert_true(span_is(buf_span(&out), expected));
        assert_true(date_parse(buf_span(&out), &parsed));
        assert_int_equal(parsed, seconds);
    }
    buf_release(&out);
}

#define NOW 1795304498 /* Sat, 21 Nov 2026 23:41:38 UTC */

static void parsing(void **state)
{
    static const struct {
        struct span text;
        bool valid;
        int64_t seconds;
    } rows[] = {
        {SPAN("Sat, 21 Nov 2026 23:41:38 +0000"), true, NOW},
        {SPAN("21 Nov 2026 23:41:38"), true, NOW},
        {SPAN("Sun, 22 Nov 2026 01:11:38 +0130"), true, NOW},
        {SPAN("Sat, 21 Nov 2026 18:41:38 -05:00"), true, NOW},
        {SPAN("Wed, 21 Nov 2026 23:41:38 GMT"), true, NOW}, /* the weekday is wrong */
        {SPAN("Saturday, 21-November-26 23:41:38 UT"), true, NOW},
        {SPAN("Sat 21.Nov.2026 23:41:38 Z"), true, NOW},
        {SPAN("sat,21nov2026 23:41:38"), true, NOW},
        {SPAN(" (c (d\\) e) f)Sat(x), (y) 21 (z) Nov\r\n\t2026 23 : 41 : 38 (q) +0000 (UTC)"), true, NOW},
        {SPAN("21 Nov 2026, 23:41:38"), true, NOW},
        {SPAN("21 Nov 2026 18:41:38 EST"), true, NOW},
        {SPAN("21 Nov 2026 19:41:38 edt"), true, NOW},
        {SPAN("21 Nov 2026 17:41:38 CST"), true, NOW},
        {SPAN("21 Nov 2026 18:41:38 CDT"), true, NOW},
        {SPAN("21 Nov 2026 16:41:38 MST"), true, NOW},
        {SPAN("21 Nov 2026 17:41:38 MDT"), true, NOW},
        {SPAN("21 Nov 2026 15:41:38 PST"), true, NOW},
        {SPAN("21 Nov 2026 16:41:38 PDT"), true, NOW},
        {SPAN("21 Nov 2026 23:41:38 A"), true, NOW},
        {SPAN("21 Nov 2026 23:41:38 CEST"), true, NOW},
        {SPAN("21 Nov 2026 23:41:38 +0000 trailing words"), true, NOW},
        {SPAN("21 Nov 2026 23:41 +0000"), true, NOW - 38},
        {SPAN("21 Nov 2026 23:41:60 +0000"), true, NOW - 38 + 60},
        {SPAN("1 Jan 70 0:00:00 +0000"), true, 0},
        {SPAN("1 Jan 070 00:00:00 +0000"), true, 0},
        {SPAN("1 Jan 49 00:00:00 +0000"), true, 2493072000},
        {SPAN("1 Jan 50 00:00:00 +0000"), true, -631152000},
        {SPAN("31 Dec 1969 23:59:59 +0000"), true, -1},
        {SPAN("29 Feb 2024 00:00:00 +0000"), true, 1709164800},
        {SPAN("1 Jan 0001 00:00:00 +0000"), true, -62135596800},
        {SPAN("1 Jan 0000 00:00:00 +0000"), true, -62167219200},
        {SPAN("31 Dec 9999 23:59:59 +0000"), true, 253402300799},
        {SPAN("29 Feb 2023 00:00:00 +0000"), false, 0},
        {SPAN("29 Feb 1900 00:00:00 +0000"), false, 0},
        {SPAN("31 Apr 2026 00:00:00 +0000"), false, 0},
        {SPAN("0 Nov 2026 00:00:00 +0000"), false, 0},
        {SPAN("32 Jan 2026 00:00:00 +0000"), false, 0},
        {SPAN("121 Nov 2026 00:00:00 +0000"), false, 0},
        {SPAN("21 Nox 2026 00:00:00 +0000"), false, 0},
        {SPAN("21 No 2026 00:00:00 +0000"), false, 0},
        {SPAN("21 Novembers 2026 00:00:00 +0000"), false, 0},
        {SPAN("21 11 2026 00:00:00 +0000"), false, 0},
        {SPAN("21 Nov 6 00:00:00 +0000"), false, 0},
        {SPAN("21 Nov 20266 00:00:00 +0000"), false, 0},
        {SPAN("21 Nov 2026 24:00:00 +0000"), false, 0},
        {SPAN("21 Nov 2026 23:60:00 +0000"), false, 0},
        {SPAN("21 Nov 2026 23:00:61 +0000"), false, 0},
        {SPAN("21 Nov 2026 23 +0000"), false, 0},
        {SPAN("21 Nov 2026 23:xx +0000"), false, 0},
        {SPAN("21 Nov 2026 23:00:xx +0000"), false, 0},
        {SPAN("21 Nov 2026"), false, 0},
        {SPAN("21 Nov 2026 23:41:38 +000"), false, 0},
        {SPAN("21 Nov 2026 23:41:38 +0"), false, 0},
        {SPAN("21 Nov 2026 23:41:38 +"), false, 0},
        {SPAN("21 Nov 2026 23:41:38 +0060"), false, 0},
        {SPAN("21 Nov 2026 23:41:38 +00000"), false, 0},
        {SPAN("Sat, "), false, 0},
        {SPAN("(no end 21 Nov 2026 23:41:38 +0000"), false, 0},
        {SPAN("((((((((((((((((((((((((((((((((((((((((((((((((((((((((("), false, 0},
        {SPAN("(\\"), false, 0},
        {SPAN("\0"), false, 0},
        {SPAN(""), false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t seconds = 4711;
        bool valid = date_parse(rows[i].text, &seconds);
        if (valid != rows[i].valid)
            fprintf(stderr, "%.*s\n", SPAN_ARG(rows[i].text));
        assert_int_equal(valid, rows[i].valid);
        assert_int_equal(seconds, valid ? rows[i].seconds : 4711);
    }
}

static void parsing_iso(void **state)
{
    static const struct {
        struct span text;
        bool valid, has_time;
        int64_t seconds;
    } rows[] = {
        {SPAN("1970-01-01"), true, false, 0},
        {SPAN("1969-12-31"), true, false, -86400},
        {SPAN("2024-02-29"), true, false, 1709164800},
        {SPAN("2024-02-29T00:01"), true, true, 1709164860},
        {SPAN("9999-12-31T23:59"), true, true, 253402300740},
        {SPAN("2023-02-29"), false, false, 0},
        {SPAN("2026-04-31"), false, false, 0},
        {SPAN("2026-13-01"), false, false, 0},
        {SPAN("2026-00-01"), false, false, 0},
        {SPAN("2026-01-00"), false, false, 0},
        {SPAN("2026-1-05"), false, false, 0},
        {SPAN("2026-01-5"), false, false, 0},
        {SPAN("2026-01-055"), false, false, 0},
        {SPAN("20266-01-05"), false, false, 0},
        {SPAN("+026-01-05"), false, false, 0},
        {SPAN("2026-01-05T"), false, false, 0},
        {SPAN("2026-01-05T24:00"), false, false, 0},
        {SPAN("2026-01-05T23:60"), false, false, 0},
        {SPAN("2026-01-05T23:59:59"), false, false, 0},
        {SPAN("2026-01-05 23:59"), false, false, 0},
        {SPAN(" 2026-01-05"), false, false, 0},
        {SPAN("2026-01"), false, false, 0},
        {SPAN(""), false, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        int64_t seconds = 4711;
        bool has_time = !rows[i].has_time;
        bool valid = date_parse_iso(rows[i].text, &seconds, &has_time);
        if (valid != rows[i].valid)
            fprintf(stderr, "%.*s\n", SPAN_ARG(rows[i].text));
        assert_int_equal(valid, rows[i].valid);
        assert_int_equal(seconds, valid ? rows[i].seconds : 4711);
        assert_int_equal(has_time, valid ? rows[i].has_time : !rows[i].has_time);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writing),
        cmocka_unit_test(back_and_forth),
        cmocka_unit_test(parsing),
        cmocka_unit_test(parsing_iso),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
