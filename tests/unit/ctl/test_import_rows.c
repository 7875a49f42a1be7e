#include "ctl/import_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Each row as line:address|name|password (with a # before a hash)|quota|forward addresses+keep, or line!problem. */
static void describe(struct import_rows *rows, struct arena *arena, struct buf *out)
{
    struct import_row row;
    while (import_rows_next(rows, arena, &row)) {
        struct span address;
        buf_printf(out, "%zu", row.line);
        if (row.problem) {
            buf_printf(out, "!%s;", row.problem);
            continue;
        }
        buf_printf(out, ":%.*s|%.*s|%s%.*s|%.*s", SPAN_ARG(row.address), SPAN_ARG(row.name), row.is_hash ? "#" : "",
                   SPAN_ARG(row.password), SPAN_ARG(row.quota_text));
        if (row.has_quota)
            buf_add_u64(out, row.quota);
        buf_add_char(out, '|');
        for (const char *between = ""; (address = import_forward_next(&row.forward)).size; between = " ")
            buf_printf(out, "%s%.*s", between, SPAN_ARG(address));
        buf_add_text(out, row.keep ? "+;" : ";");
    }
}

static void expect(enum import_format format, const char *text, const char *expected, const char *expected_unused)
{
    struct import_rows rows;
    struct arena arena;
    struct buf out, unused, problem;
    arena_init(&arena, 1 << 20);
    buf_init(&out, 8192);
    buf_init(&unused, 1024);
    buf_init(&problem, 1024);
    assert_true(import_rows_begin(&rows, format, span_text(text), &arena, &unused, &problem));
    describe(&rows, &arena, &out);
    if (!span_is(buf_span(&out), expected) || !span_is(buf_span(&unused), expected_unused))
        fail_msg("%s\n%.*s\n%.*s", text, SPAN_ARG(buf_span(&out)), SPAN_ARG(buf_span(&unused)));
    buf_release(&out);
    buf_release(&unused);
    buf_release(&problem);
    arena_release(&arena);
}

static void tables(void **state)
{
    expect(IMPORT_CSV, "address\na@b.c\n", "2:a@b.c||#||;", "");
    expect(IMPORT_CSV, "Name, EMAIL ,password,quota,shoe,hat\nA B,a@b.c, p w ,1G,7,x\n", "2:a@b.c|A B| p w |1G|;",
           "shoe, hat");
    expect(IMPORT_CSV, "user,hash,forward,keep\na,$1$x$y,\"x@y.z, z@y.x;q@q.q\",YES\nb,,x@y.z,no\nc,,,maybe\n",
           "2:a||#$1$x$y||x@y.z z@y.x q@q.q+;3:b||#||x@y.z;4!a \"keep\" that is neither yes nor no;", "");
    expect(IMPORT_CSV, "address,password,hash\na@b.c,x,y\n,x\n\"a\n",
           "2!a password and a hash: give one of them;3!no "
           "address;4!a quote that opens a field and is never "
           "closed;",
           "");
    /* The first of two columns of a name counts. */
    expect(IMPORT_CSV, "address,address\na@b.c,d@e.f\n", "2:a@b.c||#||;", "address");
}

static void passwd_files(void **state)
{
    expect(IMPORT_PASSWD_FILE, "", "", "");
    expect(IMPORT_PASSWD_FILE,
           "# people\n\na@b.c:{SHA}x:::A B,room::\nb:{PLAIN}y::::::userdb_quota_rule=*:storage=1k\nbad\n",
           "3:a@b.c|A B|#{SHA}x||;4:b||#{PLAIN}y|1024|;5!no colon between the name and the password;", "");
}

static void headers(void **state)
{
    static const char *const rows[] = {"", "\n\n", "name,password\nx,y\n", "\"open\na@b.c\n"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct import_rows import;
        struct arena arena;
        struct buf unused, problem;
        arena_init(&arena, 1 << 20);
        buf_init(&unused, 1024);
        buf_init(&problem, 1024);
        assert_false(import_rows_begin(&import, IMPORT_CSV, span_text(rows[i]), &arena, &unused, &problem));
        assert_true(problem.size > 0);
        buf_release(&unused);
        buf_release(&problem);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tables), cmocka_unit_test(passwd_files),
                                       cmocka_unit_test(headers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
