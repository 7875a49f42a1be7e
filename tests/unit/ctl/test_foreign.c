#include "ctl/foreign.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void rows(void **state)
{
    static const struct {
        struct span text;
        bool has_lines;
        const char *shown;
    } all[] = {
        {SPAN("plain"), false, "plain"},
        {SPAN(""), false, ""},
        {SPAN("\033[31mred\033[0m"), false, "?[31mred?[0m"},
        {SPAN("a\0b\177"), false, "a?b?"},
        {SPAN("a\r\nb\tc"), false, "a??b?c"},
        {SPAN("a\r\nb\tc"), true, "a\nb\tc"},
        {SPAN("J\303\266rg \302\240 \302\251"), false, "J\303\266rg \302\240 \302\251"},
        {SPAN("\302\233"
              "31m \302\205 \302\200 \302\237"),
         true, "?31m ? ? ?"},
        {SPAN("\233"
              "31m J\366rg"),
         true, "?31m J?rg"},
        {SPAN("\302"), true, "?"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct buf out;
        buf_init(&out, 100);
        foreign_write(all[i].text, all[i].has_lines, &out);
        buf_add_char(&out, 0);
        assert_string_equal(out.data, all[i].shown);
        buf_release(&out);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
