/* Which manifests are taken. */
#include "store/backup_manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SUM "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define HEAD "ostiary-backup 1\nmark 7\ntime 8\n"
#define DB "file 4096 " SUM " store.db.1\n"
#define V1 "file 10 " SUM " volumes/0001.vol\n"
#define V2 "file 10 " SUM " volumes/0002.vol\n"

static void test_texts(void **state)
{
    static const struct {
        const char *text;
        bool good;
    } rows[] = {
        {HEAD DB "end 1\n", true},
        {HEAD DB V1 V2 "file 0 " SUM " ostiary.conf\nfile 1 " SUM " blacklist.txt\nend 5\n", true},
        {HEAD DB V1 "file 1 " SUM " volumes/0002.vol.2\nfile 0 " SUM " ostiary.conf.3\nend 4\n", true},
        {HEAD DB V1 "file 1 " SUM " volumes/0001.vol.2\nend 3\n", false},
        {HEAD DB "file 0 " SUM " ostiary.conf\nfile 0 " SUM " ostiary.conf.2\nend 3\n", false},
        {HEAD DB "file 0 " SUM " ostiary.conf.2.2\nend 2\n", false},
        {HEAD DB "file 0 " SUM " .2\nend 2\n", false},
        {"", false},
        {HEAD DB, false},
        {HEAD DB "end 1", false},
        {HEAD DB "end 2\n", false},
        {HEAD DB "end 1\nmore", false},
        {HEAD "end 0\n", false},
        {HEAD DB DB "end 2\n", false},
        {HEAD DB V2 V1 "end 3\n", false},
        {HEAD DB V1 V1 "end 3\n", false},
        {HEAD DB "file 0 " SUM " ostiary.conf\nfile 0 " SUM " ostiary.conf\nend 3\n", false},
        {"ostiary-backup 2\nmark 7\ntime 8\n" DB "end 1\n", false},
        {"ostiary-backup 1\ntime 8\nmark 7\n" DB "end 1\n", false},
        {HEAD DB "file 1 " SUM " ../x\nend 2\n", false},
        {HEAD DB "file 1 " SUM " volumes/../x.vol\nend 2\n", false},
        {HEAD DB "file 1 " SUM " volumes/1.vol\nend 2\n", false},
        {HEAD DB "file 1 " SUM " /etc/passwd\nend 2\n", false},
        {HEAD "file 1 " SUM " store.db\nend 1\n", false},
        {HEAD "file 1 " SUM "0 store.db.1\nend 1\n", false},
        {HEAD "file 1 00112233 store.db.1\nend 1\n", false},
        {HEAD "file -1 " SUM " store.db.1\nend 1\n", false},
        {HEAD "file 99999999999999999999 " SUM " store.db.1\nend 1\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct arena arena;
        struct buf problem, out;
        struct backup_manifest m;
        arena_init(&arena, 1 << 20);
        buf_init(&problem, 1000);
        buf_init(&out, 10000);
        bool good = backup_manifest_parse(span_text(rows[i].text), &arena, &m, &problem);
        if (good != rows[i].good)
            fail_msg("row %zu", i);
        assert_int_equal(good, problem.size == 0);
        if (good) {
            backup_manifest_write(&m, &out);
            assert_true(span_is(buf_span(&out), rows[i].text));
            assert_int_equal(m.files[0].checksum[1], 0x11);
        }
        buf_release(&problem);
        buf_release(&out);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
