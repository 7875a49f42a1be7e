#include "summary_checks.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    struct span message;
    const char *envelope, *structure, *body;
};

static const struct row rows[] = {
    {SPAN(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0 NIL NIL NIL NIL)",
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0)"},
    {SPAN("Date: Wed, 17 Jul 1996 02:23:25 -0700\r\nFrom: Terry Gray <gray@cac.test>\r\n"
          "Subject: IMAP4rev2 \"WG\" mtg\r\nTo: imap@cac.test\r\n"
          "cc: minutes@cnri.test, \"John Klensin\" <klensin@mit.test>\r\nMessage-Id: <B27397@cac.test>\r\n"
          "In-Reply-To: <a@b>\r\nContent-Type: text/plain; charset=UTF-8; format=flowed\r\n"
          "Content-Transfer-Encoding: 8bit\r\nContent-Language: en\r\nContent-MD5: Q2hlY2s=\r\n\r\none\r\ntwo\r\n"),
     "(\"Wed, 17 Jul 1996 02:23:25 -0700\" \"IMAP4rev2 \\\"WG\\\" mtg\" ((\"Terry Gray\" NIL \"gray\" \"cac.test\")) "
     "((\"Terry Gray\" NIL \"gray\" \"cac.test\")) ((\"Terry Gray\" NIL \"gray\" \"cac.test\")) "
     "((NIL NIL \"imap\" \"cac.test\")) "
     "((NIL NIL \"minutes\" \"cnri.test\")(\"John Klensin\" NIL \"klensin\" \"mit.test\")) NIL \"<a@b>\" "
     "\"<B27397@cac.test>\")",
     "(\"text\" \"plain\" (\"charset\" \"UTF-8\" \"format\" \"flowed\") NIL NIL \"8bit\" 10 2 \"Q2hlY2s=\" NIL \"en\" "
     "NIL)",
     "(\"text\" \"plain\" (\"charset\" \"UTF-8\" \"format\" \"flowed\") NIL NIL \"8bit\" 10 2)"},
    {SPAN("From: a@b\r\nSender: c@d\r\nReply-To: Undisclosed:;\r\nTo: G: <@r:x@y>, z;\r\nSubject: b\\s "
          "\xC3\xBC\r\n\r\n"),
     "(NIL {6}\r\nb\\s \xC3\xBC ((NIL NIL \"a\" \"b\")) ((NIL NIL \"c\" \"d\")) "
     "((NIL NIL \"Undisclosed\" NIL)(NIL NIL NIL NIL)) "
     "((NIL NIL \"G\" NIL)(NIL \"@r\" \"x\" \"y\")(NIL NIL \"z\" \"\")(NIL NIL NIL NIL)) NIL NIL NIL NIL)",
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 0 0 NIL NIL NIL NIL)", NULL},
    {SPAN("Content-Type: multipart/mixed; boundary=x\r\nContent-Language: en, de\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
          "Content-Type: image/png; name=\"a b\"\r\nContent-ID: <i>\r\nContent-Description: d\r\n"
          "Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename*0=a; filename*1=b\r\n"
          "Content-Location: l\r\n\r\nQQ==\r\n--x--\r\n"),
     "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 3 1 NIL NIL NIL NIL)"
     "(\"image\" \"png\" (\"name\" \"a b\") \"<i>\" \"d\" \"base64\" 4 NIL (\"attachment\" (\"filename\" \"ab\")) NIL "
     "\"l\") \"mixed\" (\"boundary\" \"x\") NIL (\"en\" \"de\") NIL)",
     "((\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 3 1)"
     "(\"image\" \"png\" (\"name\" \"a b\") \"<i>\" \"d\" \"base64\" 4) \"mixed\")"},
    {SPAN("Content-Type: message/rfc822\r\nContent-Disposition: inline\r\n\r\nSubject: in\r\nFrom: a@b\r\n\r\none\r\n"),
     "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)",
     "(\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 31 (NIL \"in\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) "
     "((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL NIL) "
     "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7BIT\" 5 1 NIL NIL NIL NIL) 4 NIL (\"inline\" NIL) NIL "
     "NIL)",
     NULL},
};

/* Into *bytes; both in place for the caller to release. */
static void make_and_parse(struct span message, struct arena *arena, struct buf *bytes, struct summary *summary)
{
    struct arena scratch;
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    arena_init(arena, SUMMARY_ARENA_MAX);
    buf_init(bytes, SUMMARY_SIZE_MAX);
    assert_int_equal(summary_make(message, &scratch, bytes), 0);
    arena_release(&scratch);
    assert_true(summary_parse(buf_span(bytes), arena, summary));
    assert_true(tree_is_sound(summary->root, message.size));
    assert_int_equal(summary->message_size, message.size);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct buf bytes, out;
        struct summary summary;
        make_and_parse(rows[i].message, &arena, &bytes, &summary);
        assert_int_equal(summary.flags, 0);
        const char *expected[] = {rows[i].envelope, rows[i].structure, rows[i].body};
        buf_init(&out, 10000);
        for (int form = 0; form < 3; form++) {
            buf_reset(&out);
            if (form == 0)
                summary_write_envelope(&summary, &out);
            else
                summary_write_bodystructure(&summary, form == 1, &out);
            buf_add_char(&out, 0);
            if (expected[form])
                assert_string_equal(out.data, expected[form]);
        }
        buf_release(&out);
        buf_release(&bytes);
        arena_release(&arena);
    }
}

static void test_dates(void **state)
{
    (void)state;
    static const struct {
        struct span message;
        bool has_date;
        int64_t seconds;
    } dates[] = {
        {SPAN("Date: Wed, 17 Jul 1996 02:23:25 -0700\r\n\r\n"), true, 837595405},
        {SPAN("Date: Thu, 1 Jan 1970 00:00:00 +0100\r\n\r\n"), true, -3600},
        {SPAN("Date: not a date\r\n\r\n"), false, 0},
        {SPAN("\r\n"), false, 0},
    };
    for (size_t i = 0; i < sizeof dates / sizeof *dates; i++) {
        struct arena arena;
        struct buf bytes;
        struct summary summary;
        make_and_parse(dates[i].message, &arena, &bytes, &summary);
        assert_int_equal(summary.has_date, dates[i].has_date);
        assert_int_equal(summary.date_seconds, dates[i].seconds);
        buf_release(&bytes);
        arena_release(&arena);
    }
}

static const struct span nested =
    SPAN("Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
         "Content-Type: message/rfc822\r\n\r\nSubject: leaf\r\n\r\ntwo\r\n--x\r\n"
         "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n"
         "--y\r\n\r\nthree\r\n--y\r\nContent-Type: a/b\r\n\r\nfour\r\n--y--\r\n--x--\r\n");

static void test_part_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t numbers[4];
        size_t count;
        const char *body; /* how it begins; NULL when there is no such part */
    } parts[] = {
        {{0}, 0, "--x"},       {{1}, 1, "one"},      {{2}, 1, "Subject: leaf"}, {{2, 1}, 2, "two"},
        {{3}, 1, "Content-T"}, {{3, 1}, 2, "three"}, {{3, 2}, 2, "four"},       {{1, 1}, 2, NULL},
        {{2, 2}, 2, NULL},     {{2, 1, 1}, 3, NULL}, {{3, 3}, 2, NULL},         {{4}, 1, NULL},
        {{3, 0}, 2, NULL},     {{0}, 1, NULL},       {{UINT32_MAX}, 1, NULL},
    };
    struct arena arena;
    struct buf bytes;
    struct summary summary;
    make_and_parse(nested, &arena, &bytes, &summary);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct mime_part *part = summary_find_part(&summary, parts[i].numbers, parts[i].count);
        assert_int_equal(part != NULL, parts[i].body != NULL);
        if (!part)
            continue;
        struct span body = span_head(span_skip(nested, part->offset + part->header_size), part->body_size);
        assert_true(span_equal(span_head(body, strlen(parts[i].body)), span_text(parts[i].body)));
    }
    buf_release(&bytes);
    arena_release(&arena);

    struct span plain = SPAN("Subject: x\r\n\r\nbody");
    make_and_parse(plain, &arena, &bytes, &summary);
    assert_ptr_equal(summary_find_part(&summary, (const uint32_t[]){1}, 1), summary.root);
    assert_null(summary_find_part(&summary, (const uint32_t[]){2}, 1));
    buf_release(&bytes);
    arena_release(&arena);
}

static void fill(struct buf *b, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        buf_add_text(b, text);
}

/* What doesn't fit is cut: first strings and lists, then the parts. The IMAP text stays sound. */
static void check_cut(const struct buf *message, unsigned flags)
{
    struct arena arena;
    struct buf bytes, out;
    struct summary summary;
    assert_false(buf_failed(message));
    make_and_parse(buf_span(message), &arena, &bytes, &summary);
    assert_true(bytes.size <= SUMMARY_SIZE_MAX);
    assert_int_equal(summary.flags, flags);
    buf_init(&out, (size_t)8 << 20);
    write_all(&summary, &out);
    assert_false(buf_failed(&out));
    assert_true(imap_text_is_sound(buf_span(&out)));
    buf_release(&out);
    buf_release(&bytes);
    arena_release(&arena);
}

static void test_too_complex(void **state)
{
    (void)state;
    struct buf message;
    buf_init(&message, (size_t)64 << 20);
    buf_add_text(&message, "Subject: ");
    fill(&message, "\xC3\xBC", 200000);
    buf_add_text(&message, "\r\nTo: Group: ");
    fill(&message, "Some Body <somebody@example.test>, ", 300);
    buf_add_text(&message, "\r\n\r\nbody");
    check_cut(&message, SUMMARY_STRINGS_CUT);

    buf_reset(&message);
    buf_add_text(&message, "To: ");
    fill(&message, "Some Body <somebody@example.test>, ", 3000);
    buf_add_text(&message, "\r\n\r\nbody");
    check_cut(&message, SUMMARY_TRUNCATED);

    buf_reset(&message);
    buf_add_text(&message, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
    for (unsigned i = 0; i < 900; i++) {
        buf_add_text(&message, "--x\r\nContent-Type: a/b; name=\"");
        fill(&message, "long name ", 100);
        buf_add_text(&message, "\"\r\n\r\n");
    }
    check_cut(&message, SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED);

    buf_reset(&message);
    for (unsigned i = 0; i < 6; i++) {
        static const char *const names[] = {"From", "Sender", "Reply-To", "To", "Cc", "Bcc"};
        buf_add_text(&message, names[i]);
        buf_add_text(&message, ": ");
        for (unsigned address = 0; address < 500; address++) {
            fill(&message, "long name ", 110);
            buf_add_text(&message, "<");
            fill(&message, "long.local-part.", 70);
            buf_add_text(&message, "@");
            fill(&message, "long.domain.", 90);
            buf_add_text(&message, ">,");
        }
        buf_add_text(&message, "\r\n");
    }
    check_cut(&message, SUMMARY_STRINGS_CUT | SUMMARY_PARTS_DROPPED);
    buf_release(&message);
}

/* The parsed summary says what the parsed message says. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        struct span message = i ? rows[i - 1].message : nested;
        struct arena arena, direct_arena;
        struct buf bytes, first, second;
        struct summary summary, direct = {.message_size = message.size};
        bool truncated = false;
        make_and_parse(message, &arena, &bytes, &summary);
        arena_init(&direct_arena, SUMMARY_ARENA_MAX);
        direct.root = mime_parse(message, &direct_arena, &truncated);
        assert_non_null(direct.root);
        buf_init(&first, 100000);
        buf_init(&second, 100000);
        write_all(&summary, &first);
        write_all(&direct, &second);
        assert_int_equal(first.size, second.size);
        assert_memory_equal(first.data, second.data, first.size);
        assert_true(imap_text_is_sound(buf_span(&first)));
        const struct mime_part *a = summary.root, *b = direct.root;
        for (; a && b; a = mime_next(a), b = mime_next(b)) {
            assert_int_equal(a->offset, b->offset);
            assert_int_equal(a->header_size, b->header_size);
            assert_int_equal(a->body_size, b->body_size);
            assert_int_equal(a->lines, b->lines);
        }
        assert_true(!a && !b);
        buf_release(&first);
        buf_release(&second);
        buf_release(&bytes);
        arena_release(&arena);
        arena_release(&direct_arena);
    }
}

/* Damaged bytes are refused, or still keep every promise. In memory of their own, so that a read behind is seen. */
static bool check_damaged(struct span bytes)
{
    struct arena arena;
    struct summary summary;
    char *copy = malloc(bytes.size ? bytes.size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.data, bytes.size);
    arena_init(&arena, SUMMARY_ARENA_MAX);
    bool parsed = summary_parse(span_from(copy, bytes.size), &arena, &summary);
    if (parsed) {
        struct buf out;
        assert_true(tree_is_sound(summary.root, summary.message_size));
        buf_init(&out, 100000);
        write_all(&summary, &out);
        assert_true(buf_failed(&out) || imap_text_is_sound(buf_span(&out)));
        buf_release(&out);
    }
    arena_release(&arena);
    free(copy);
    return parsed;
}

static void test_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i <= sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct buf bytes;
        struct summary summary;
        make_and_parse(i ? rows[i - 1].message : nested, &arena, &bytes, &summary);
        for (size_t size = 0; size < bytes.size; size++)
            assert_false(check_damaged(span_head(buf_span(&bytes), size)));
        static const char changes[] = {1, 2, 4, 8, 16, 32, 64, (char)128, (char)255};
        for (size_t at = 0; at < bytes.size; at++)
            for (size_t change = 0; change < sizeof changes; change++) {
                bytes.data[at] ^= changes[change];
                bool parsed = check_damaged(buf_span(&bytes));
                assert_false(parsed && at < 2); /* the magic and the version */
                bytes.data[at] ^= changes[change];
            }
        buf_add_char(&bytes, 0);
        assert_false(check_damaged(buf_span(&bytes)));
        buf_release(&bytes);
        arena_release(&arena);
    }
}

static void test_no_room(void **state)
{
    (void)state;
    for (size_t limit = 0; limit < 4000; limit += 16) {
        struct arena arena;
        struct buf out;
        arena_init(&arena, limit);
        buf_init(&out, 10000);
        buf_add_text(&out, "before");
        int result = summary_make(nested, &arena, &out);
        assert_true(result == 0 || result == -ENOMEM);
        assert_int_equal(result != 0, buf_failed(&out));
        if (result)
            assert_int_equal(out.size, 6);
        else
            assert_true(check_damaged(span_skip(buf_span(&out), 6)));
        buf_release(&out);
        arena_release(&arena);
    }
    for (size_t limit = 6; limit < 600; limit++) {
        struct arena arena;
        struct buf out;
        arena_init(&arena, SUMMARY_ARENA_MAX);
        buf_init(&out, limit);
        buf_add_text(&out, "before");
        int result = summary_make(nested, &arena, &out);
        assert_int_equal(result != 0, buf_failed(&out));
        assert_int_equal(out.limit, limit);
        assert_memory_equal(out.data, "before", 6);
        if (result)
            assert_int_equal(out.size, 6);
        else
            assert_true(check_damaged(span_skip(buf_span(&out), 6)));
        buf_release(&out);
        arena_release(&arena);
    }
}

static void test_unread(void **state)
{
    static const uint64_t sizes[] = {0, 1, 4096, 1ull << 40};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct arena arena;
        struct buf out;
        struct summary summary;
        arena_init(&arena, SUMMARY_ARENA_MAX);
        buf_init(&out, SUMMARY_SIZE_MAX);
        assert_int_equal(summary_make_unread(sizes[i], &out), 0);
        assert_true(summary_parse(buf_span(&out), &arena, &summary));
        assert_int_equal(summary.message_size, sizes[i]);
        assert_int_equal(summary.flags, SUMMARY_PARTS_DROPPED);
        assert_int_equal(summary.root->kind, MIME_LEAF);
        assert_int_equal(summary.root->envelope->subject.size, 0);
        buf_release(&out);
        arena_release(&arena);
    }
    struct buf small;
    buf_init(&small, 5);
    assert_int_equal(summary_make_unread(1, &small), -ENOMEM);
    buf_release(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_dates),      cmocka_unit_test(test_part_numbers),
        cmocka_unit_test(test_too_complex), cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_room),     cmocka_unit_test(test_unread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
