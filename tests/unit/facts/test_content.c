/* What the rules are told of a message. */
#include "facts/content.h"
#include "format/summary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define HEAD "Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\nFrom: A <a@b.example>\r\nX-Mailer: Mutt\r\n"
#define MULTIPART HEAD "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"

struct read {
    struct arena arena;
    struct content_fact content;
};

static void read_message(struct read *r, struct span message, bool with_header)
{
    struct arena scratch;
    struct buf summary;
    arena_init(&r->arena, 4 << 20);
    arena_init(&scratch, SUMMARY_ARENA_MAX);
    buf_init(&summary, SUMMARY_SIZE_MAX);
    assert_int_equal(summary_make(message, &scratch, &summary), 0);
    assert_int_equal(facts_fill_content(&r->content, message, 0, buf_span(&summary), false, with_header, &r->arena), 0);
    buf_release(&summary);
    arena_release(&scratch);
}

static void add_part(struct buf *message, const char *name, const char *filename)
{
    buf_add_text(message, "--b\r\nContent-Type: application/octet-stream");
    if (name)
        buf_printf(message, "; name=\"%s\"", name);
    if (filename)
        buf_printf(message, "\r\nContent-Disposition: attachment; filename=\"%s\"", filename);
    buf_add_text(message, "\r\n\r\nx\r\n");
}

static void test_texts(void **state)
{
    struct read r;
    for (int with_header = 0; with_header < 2; with_header++) {
        read_message(&r, (struct span)SPAN(HEAD "\r\nbody\r\n"), with_header);
        assert_true(span_is(r.content.subject, "gr\xc3\xbc\xc3\x9f"
                                               "e") &&
                    span_is(r.content.from, "A <a@b.example>"));
        assert_true(span_is(r.content.user_agent, "Mutt"));
        assert_int_equal(r.content.attachment_count, 0);
        assert_int_equal(r.content.header.size, with_header ? strlen(HEAD "\r\n") : 0);
        assert_false(r.content.has_more_attachments);
        arena_release(&r.arena);
    }
}

/* Programs differ in which of two names they go by. */
static void test_names(void **state)
{
    static const struct {
        const char *name, *filename, *names;
    } rows[] = {
        {"a.txt", NULL, "a.txt|"},          {NULL, "a.txt", "a.txt|"}, {"a.txt", "a.txt", "a.txt|"},
        {"b.exe", "a.txt", "a.txt|b.exe|"}, {NULL, NULL, "|"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct read r;
        struct buf message, names;
        buf_init(&message, 1 << 20);
        buf_init(&names, 1000);
        buf_add_text(&message, MULTIPART);
        add_part(&message, rows[i].name, rows[i].filename);
        buf_add_text(&message, "--b--\r\n");
        read_message(&r, buf_span(&message), false);
        for (size_t k = 0; k < r.content.attachment_count; k++)
            buf_printf(&names, "%.*s|", SPAN_ARG(r.content.attachments[k].name));
        if (!span_is(buf_span(&names), rows[i].names))
            print_error("%.*s\n", SPAN_ARG(buf_span(&names)));
        assert_true(span_is(buf_span(&names), rows[i].names));
        assert_false(r.content.has_more_attachments);
        arena_release(&r.arena);
        buf_release(&message);
        buf_release(&names);
    }
}

/* So many, or with such a name, that one could hide among them: then it is said. */
static void test_more(void **state)
{
    static const struct {
        size_t parts, name_size;
        bool has_more;
    } rows[] = {{150, 5, false}, {250, 5, true}, {1100, 5, true}, {1, 900, false}, {1, 3000, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct read r;
        struct buf message;
        char name[3001];
        memset(name, 'a', rows[i].name_size);
        name[rows[i].name_size] = '\0';
        buf_init(&message, 1 << 20);
        buf_add_text(&message, MULTIPART);
        for (size_t k = 0; k < rows[i].parts; k++)
            add_part(&message, NULL, name);
        buf_add_text(&message, "--b--\r\n");
        assert_false(buf_failed(&message));
        read_message(&r, buf_span(&message), false);
        assert_int_equal(r.content.has_more_attachments, rows[i].has_more);
        assert_in_range(r.content.attachment_count, 1, ATTACHMENT_FACTS_MAX);
        arena_release(&r.arena);
        buf_release(&message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
