#include "format/mime.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct row {
    const char *name;
    struct span message;
    /* A line for each part: depth dots, type/subtype, "body" (with CR and LF as $ and /), number of lines. */
    const char *expected;
};

#define MULTI(boundary) "Content-Type: multipart/mixed; boundary=" boundary "\r\n\r\n"

static const struct row rows[] = {
    {"empty", SPAN(""), "text/plain \"\" 0\n"},
    {"header only", SPAN("A: b\r\n"), "text/plain \"\" 0\n"},
    {"no header", SPAN("\r\nhello\r\n"), "text/plain \"hello$/\" 1\n"},
    {"last line without its end", SPAN("\r\na\r\nb"), "text/plain \"a$/b\" 2\n"},
    {"lf only", SPAN("Content-Type: text/html\n\na\nb\n"), "text/html \"a/b/\" 2\n"},
    {"broken type", SPAN("Content-Type: nonsense\r\n\r\nx"), "text/plain \"x\" 1\n"},
    {"second type serves when the first is broken",
     SPAN("Content-Type: nonsense\r\nContent-Type: a/b\r\nContent-Type: c/d\r\n\r\nx"), "a/b \"x\" 1\n"},
    {"two parts", SPAN(MULTI("x") "pre\r\n--x\r\n\r\none\r\n--x\r\nContent-Type: a/b\r\n\r\ntwo\r\n--x--\r\nepilogue"),
     "multipart/mixed \"pre$/--x$/$/one$/--x$/Content-Type: a/b$/$/two$/--x--$/epilogue\" 10\n"
     ".text/plain \"one\" 1\n.a/b \"two\" 1\n"},
    {"lf parts", SPAN("Content-Type: multipart/mixed; boundary=x\n\n--x\n\none\n--x--\n"),
     "multipart/mixed \"--x//one/--x--/\" 4\n.text/plain \"one\" 1\n"},
    {"blank line before a boundary belongs to the body", SPAN(MULTI("x") "--x\r\n\r\none\r\n\r\n--x--"),
     "multipart/mixed \"--x$/$/one$/$/--x--\" 5\n.text/plain \"one$/\" 1\n"},
    {"empty part", SPAN(MULTI("x") "--x\r\n\r\n--x--\r\n"),
     "multipart/mixed \"--x$/$/--x--$/\" 3\n.text/plain \"\" 0\n"},
    {"boundary in a header", SPAN(MULTI("x") "--x\r\nContent-Type: a/b\r\n--x\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: a/b$/--x$/--x--$/\" 4\n.a/b \"\" 0\n.text/plain \"\" 0\n"},
    {"never closed", SPAN(MULTI("x") "--x\r\n\r\none\r\n"),
     "multipart/mixed \"--x$/$/one$/\" 3\n.text/plain \"one$/\" 1\n"},
    {"blanks behind a boundary", SPAN(MULTI("x") "--x \t\r\n\r\none\r\n--x-- \r\n"),
     "multipart/mixed \"--x \t$/$/one$/--x-- $/\" 4\n.text/plain \"one\" 1\n"},
    {"longer lines are no boundary", SPAN(MULTI("x") "--x\r\n\r\n--xy\r\n--x-\r\n-x\r\n--\r\n----\r\n--x--"),
     "multipart/mixed \"--x$/$/--xy$/--x-$/-x$/--$/----$/--x--\" 8\n.text/plain \"--xy$/--x-$/-x$/--$/----\" 5\n"},
    {"no boundary parameter", SPAN("Content-Type: multipart/mixed\r\n\r\n--x\r\n"), "text/plain \"--x$/\" 1\n"},
    {"empty boundary", SPAN(MULTI("\"\"") "--\r\n\r\nx"), "text/plain \"--$/$/x\" 3\n"},
    {"no part at all", SPAN(MULTI("x") "just text\r\n"), "text/plain \"just text$/\" 1\n"},
    {"closed before it began", SPAN(MULTI("x") "--x--\r\n--x\r\n"), "text/plain \"--x--$/--x$/\" 2\n"},
    {"nested", SPAN(MULTI("x") "--x\r\n" MULTI("y") "--y\r\n\r\none\r\n--y--\r\n\r\n--x\r\n\r\ntwo\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: multipart/mixed; boundary=y$/$/--y$/$/one$/--y--$/$/--x$/$/two$/--x--$/\" "
     "12\n"
     ".multipart/mixed \"--y$/$/one$/--y--$/\" 4\n..text/plain \"one\" 1\n.text/plain \"two\" 1\n"},
    {"inner never closed", SPAN(MULTI("x") "--x\r\n" MULTI("y") "--y\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: multipart/mixed; boundary=y$/$/--y$/$/one$/--x$/$/two$/--x--$/\" 10\n"
     ".multipart/mixed \"--y$/$/one\" 3\n..text/plain \"one\" 1\n.text/plain \"two\" 1\n"},
    {"a boundary that starts as the outer does",
     SPAN(MULTI("x") "--x\r\n" MULTI("xy") "--xy\r\n\r\none\r\n--xy--\r\n--x--"),
     "multipart/mixed \"--x$/Content-Type: multipart/mixed; boundary=xy$/$/--xy$/$/one$/--xy--$/--x--\" 8\n"
     ".multipart/mixed \"--xy$/$/one$/--xy--\" 4\n..text/plain \"one\" 1\n"},
    {"the outer's boundary again inside",
     SPAN(MULTI("x") "--x\r\n" MULTI("x") "--x\r\n\r\none\r\n--x--\r\n--x\r\n\r\ntwo\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: multipart/mixed; boundary=x$/$/--x$/$/one$/--x--$/--x$/$/two$/--x--$/\" 11\n"
     ".multipart/mixed \"--x$/$/one$/--x--\" 4\n..text/plain \"one\" 1\n.text/plain \"two\" 1\n"},
    {"message", SPAN("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n"),
     "message/rfc822 \"Subject: in$/$/body$/\" 3\n.text/plain \"body$/\" 1\n"},
    {"message in a multipart",
     SPAN(MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n" MULTI(
         "y") "--y\r\n\r\none\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: message/rfc822$/$/Subject: in$/Content-Type: multipart/mixed; "
     "boundary=y$/$/--y$/$/one$/--x--$/\" 10\n"
     ".message/rfc822 \"Subject: in$/Content-Type: multipart/mixed; boundary=y$/$/--y$/$/one\" 6\n"
     "..multipart/mixed \"--y$/$/one\" 3\n...text/plain \"one\" 1\n"},
    {"encoded message is a file", SPAN("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nQQ=="),
     "application/octet-stream \"QQ==\" 1\n"},
    {"digest", SPAN("Content-Type: multipart/digest; boundary=x\r\n\r\n--x\r\n\r\nSubject: in\r\n\r\nbody\r\n--x--"),
     "multipart/digest \"--x$/$/Subject: in$/$/body$/--x--\" 6\n.message/rfc822 \"Subject: in$/$/body\" 3\n"
     "..text/plain \"body\" 1\n"},
    {"message that is a header only",
     SPAN(MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n\r\nnot a header\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: message/rfc822$/$/not a header$/--x--$/\" 5\n"
     ".message/rfc822 \"not a header\" 1\n..text/plain \"\" 0\n"},
    {"message that is nothing", SPAN(MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: message/rfc822$/--x--$/\" 3\n.message/rfc822 \"\" 0\n..text/plain \"\" 0\n"},
    {"outer boundary behind an inner one", SPAN(MULTI("x") "--x\r\n" MULTI("y") "--y\r\n--x\r\n--x--\r\n"),
     "multipart/mixed \"--x$/Content-Type: multipart/mixed; boundary=y$/$/--y$/--x$/--x--$/\" 6\n"
     ".multipart/mixed \"--y\" 1\n..text/plain \"\" 0\n.text/plain \"\" 0\n"},
    {"mbox line in front", SPAN("From a@b Tue Jan 12 10:20:30 2021\nContent-Type: a/b\n\nx\n"), "a/b \"x/\" 1\n"},
};

static void write_tree(const struct mime_part *root, struct span message, struct buf *out)
{
    for (const struct mime_part *part = root; part; part = mime_next(part)) {
        for (const struct mime_part *up = part->parent; up; up = up->parent)
            buf_add_char(out, '.');
        buf_add_span(out, part->type.type);
        buf_add_char(out, '/');
        buf_add_span(out, part->type.subtype);
        buf_add_text(out, " \"");
        struct span body = span_head(span_skip(message, part->offset + part->header_size), part->body_size);
        for (size_t i = 0; i < body.size; i++)
            buf_add_char(out, body.data[i] == '\r' ? '$' : body.data[i] == '\n' ? '/' : body.data[i]);
        buf_printf(out, "\" %llu\n", (unsigned long long)part->lines);
    }
    buf_add_char(out, 0);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct buf out;
        bool truncated = false;
        arena_init(&arena, 100000);
        buf_init(&out, 10000);
        struct mime_part *root = mime_parse(rows[i].message, &arena, &truncated);
        assert_non_null(root);
        write_tree(root, rows[i].message, &out);
        if (strcmp(out.data, rows[i].expected) != 0)
            print_message("row: %s\n", rows[i].name);
        assert_string_equal(out.data, rows[i].expected);
        assert_false(truncated);
        buf_release(&out);
        arena_release(&arena);
    }
}

static void test_fields(void **state)
{
    (void)state;
    struct span message = SPAN("Received: x\r\nDate: Sat, 21 Nov 2026 23:41:38 +0000\r\nSUBJECT: one\r\n two\r\n"
                               "Subject: ignored\r\nFrom: a@b\r\nFrom: ignored@b\r\nTo: c@d\r\nTo: e@f\r\n"
                               "Message-Id: <1@x>\r\nIn-Reply-To: <0@x>\r\nContent-ID: <id>\r\n"
                               "Content-Description: words\r\nContent-Transfer-Encoding: Base64 (or so)\r\n"
                               "Content-MD5: sum\r\nContent-Language: en, de\r\nContent-Location: http://x.test/\r\n"
                               "Content-Disposition: attachment; filename=f\r\n\r\nbody");
    struct arena arena;
    bool truncated = false;
    arena_init(&arena, 100000);
    struct mime_part *root = mime_parse(message, &arena, &truncated);
    assert_non_null(root);
    const struct message_envelope *e = root->envelope;
    assert_true(span_is(e->date, "Sat, 21 Nov 2026 23:41:38 +0000"));
    assert_true(span_is(e->subject, "one two"));
    assert_true(span_is(e->message_id, "<1@x>"));
    assert_true(span_is(e->in_reply_to, "<0@x>"));
    assert_int_equal(e->from.count, 1);
    assert_true(span_is(e->from.first->mailbox, "a"));
    assert_int_equal(e->to.count, 2);
    assert_true(span_is(e->to.last->host, "f"));
    assert_null(e->cc.first);
    assert_true(span_is(root->id, "<id>"));
    assert_true(span_is(root->description, "words"));
    assert_true(span_is(root->encoding, "Base64"));
    assert_true(span_is(root->md5, "sum"));
    assert_true(span_is(root->language, "en, de"));
    assert_true(span_is(root->location, "http://x.test/"));
    assert_true(span_is(root->disposition.kind, "attachment"));
    assert_true(span_is(content_parameter_find(root->disposition.parameters, "FILENAME")->value, "f"));
    assert_true(span_is(content_parameter_find(root->type.parameters, "charset")->value, "us-ascii"));
    assert_int_equal(root->header_size, message.size - 4);
    arena_release(&arena);
}

/* Every part lies within its parent, behind its elder; the caps hold. */
static size_t check_tree(const struct mime_part *root, size_t message_size)
{
    size_t parts = 0;
    assert_int_equal(root->offset, 0);
    assert_int_equal(root->header_size + root->body_size, message_size);
    for (const struct mime_part *part = root; part; part = mime_next(part), parts++) {
        uint64_t at = part->offset + part->header_size, end = at + part->body_size;
        size_t depth = 0;
        for (const struct mime_part *child = part->first_child; child; child = child->next) {
            assert_true(child->offset >= at);
            at = child->offset + child->header_size + child->body_size;
            assert_true(at <= end);
            assert_ptr_equal(child->parent, part);
            assert_int_equal(child->envelope != NULL, part->kind == MIME_MESSAGE);
        }
        assert_int_equal(part->first_child != NULL, part->kind != MIME_LEAF);
        if (part->kind == MIME_MESSAGE)
            assert_null(part->first_child->next);
        for (const struct mime_part *up = part->parent; up; up = up->parent)
            depth++;
        assert_true(depth <= MIME_DEPTH_MAX);
        assert_true(part->type.type.size && part->type.subtype.size);
        assert_true(part->lines <= part->body_size);
    }
    assert_true(parts <= MIME_PARTS_MAX);
    return parts;
}

static size_t parse_and_check(struct span message, bool *truncated)
{
    struct arena arena;
    arena_init(&arena, (size_t)8 << 20);
    struct mime_part *root = mime_parse(message, &arena, truncated);
    assert_non_null(root);
    size_t parts = check_tree(root, message.size);
    arena_release(&arena);
    return parts;
}

static void test_nested_100000_deep(void **state)
{
    (void)state;
    struct buf message;
    buf_init(&message, (size_t)100 << 20);
    for (unsigned i = 0; i < 100000; i++)
        buf_printf(&message, "Content-Type: multipart/mixed; boundary=\"b%u\"\r\n\r\n--b%u\r\n", i, i);
    buf_add_text(&message, "\r\ntext\r\n");
    for (unsigned i = 100000; i-- > 0;)
        buf_printf(&message, "--b%u--\r\n", i);
    assert_false(buf_failed(&message));
    bool truncated = false;
    assert_int_equal(parse_and_check(buf_span(&message), &truncated), MIME_DEPTH_MAX + 1);
    assert_true(truncated);

    buf_reset(&message);
    for (unsigned i = 0; i < 100000; i++)
        buf_add_text(&message, "Content-Type: message/rfc822\r\n\r\n");
    truncated = false;
    assert_int_equal(parse_and_check(buf_span(&message), &truncated), MIME_DEPTH_MAX + 1);
    assert_true(truncated);
    buf_release(&message);
}

static void test_too_many_parts(void **state)
{
    (void)state;
    struct buf message;
    buf_init(&message, (size_t)100 << 20);
    buf_add_text(&message, MULTI("x"));
    for (unsigned i = 0; i < 500000; i++)
        buf_add_text(&message, "--x\r\n\r\n");
    buf_add_text(&message, "--x--\r\n");
    bool truncated = false;
    assert_int_equal(parse_and_check(buf_span(&message), &truncated), MIME_PARTS_MAX);
    assert_true(truncated);
    buf_release(&message);
}

/* Would take hours if a line cost more than its length: all levels open, all boundaries of one length and start. */
static void test_boundary_like_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {"--\r\n", "--------\n", "--x--\r\n", "-\n", "--%s", "--%s!\r\n", "--%.100s\n"};
    char boundary[201];
    memset(boundary, 'b', 200);
    for (size_t row = 0; row < sizeof lines / sizeof *lines; row++) {
        struct buf message;
        buf_init(&message, (size_t)16 << 20);
        for (unsigned i = 0; i < MIME_DEPTH_MAX; i++) {
            boundary[200] = 0;
            boundary[198] = (char)('0' + i / 10);
            boundary[199] = (char)('0' + i % 10);
            buf_printf(&message, "Content-Type: multipart/mixed; boundary=\"%s\"\r\n\r\n--%s\r\n", boundary, boundary);
        }
        boundary[199] = '!';
        char line[300];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof line, lines[row], boundary);
#pragma GCC diagnostic pop
        while (message.size < (size_t)10 << 20)
            buf_add_text(&message, line);
        bool truncated = false;
        assert_int_equal(parse_and_check(buf_span(&message), &truncated), MIME_DEPTH_MAX + 1);
        assert_false(truncated);
        buf_release(&message);
    }
}

/* With any arena there is a sound tree, or none. */
static void test_small_arenas(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t limit = 0; limit < 6000; limit += 64) {
            struct arena arena;
            bool truncated = false;
            arena_init(&arena, limit);
            struct mime_part *root = mime_parse(rows[i].message, &arena, &truncated);
            if (root)
                check_tree(root, rows[i].message.size);
            else
                assert_true(limit < 2000);
            arena_release(&arena);
        }
}

/* A message cut at any byte is a message too. */
static void test_every_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t size = 0; size < rows[i].message.size; size++) {
            /* In memory of its own, so that a read behind the end is seen. */
            char *copy = malloc(size ? size : 1);
            assert_non_null(copy);
            memcpy(copy, rows[i].message.data, size);
            bool truncated = false;
            parse_and_check(span_from(copy, size), &truncated);
            assert_false(truncated);
            free(copy);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_nested_100000_deep),
        cmocka_unit_test(test_too_many_parts),
        cmocka_unit_test(test_boundary_like_lines),
        cmocka_unit_test(test_small_arenas),
        cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
