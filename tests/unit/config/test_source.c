#include "config/source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const char text[] = "-- hostname = 'no'\n"                 /* 1 */
                           "local hostname = 1\n"                 /* 2 */
                           "hostname = \"x\" -- smtp = {\n"       /* 3 */
                           "--[[ smtp = {\n"                      /* 4 */
                           "  errors = 1 ]]\n"                    /* 5 */
                           "smtp = {\n"                           /* 6 */
                           "  errors = 5, -- recipients\n"        /* 7 */
                           "  [\"recipients\"] =\n"               /* 8 */
                           "    f({ errors = 2 }, 'a, b'),\n"     /* 9 */
                           "  vrfy = [==[ } ]] ]==]; apop = 1,\n" /* 10 */
                           "}\n"                                  /* 11 */
                           "a.smtp = 3\n"                         /* 12 */
                           "if smtp == 3 then x = 'it\\'s' end\n" /* 13 */
                           "listeners = {\n"                      /* 14 */
                           "  { service = 's', port = 1 },\n"     /* 15 */
                           "  named = { port = 9 },\n"            /* 16 */
                           "  {\n"                                /* 17 */
                           "    address = 'x',\n"                 /* 18 */
                           "    port = 2 } }\n"                   /* 19 */
                           "smtp = nil\n";                        /* 20 */

static void test_find(void **state)
{
    static const struct {
        unsigned last_line, line;
        size_t count;
        struct source_step steps[3];
    } rows[] = {
        {20, 3, 1, {{SPAN("hostname"), 0}}},
        {11, 6, 1, {{SPAN("smtp"), 0}}},
        {20, 20, 1, {{SPAN("smtp"), 0}}},
        {11, 7, 2, {{SPAN("smtp"), 0}, {SPAN("errors"), 0}}},
        {11, 8, 2, {{SPAN("smtp"), 0}, {SPAN("recipients"), 0}}},
        {11, 10, 2, {{SPAN("smtp"), 0}, {SPAN("vrfy"), 0}}},
        {11, 10, 2, {{SPAN("smtp"), 0}, {SPAN("apop"), 0}}},
        {11, 6, 2, {{SPAN("smtp"), 0}, {SPAN("absent"), 0}}},
        {19, 15, 2, {{SPAN("listeners"), 0}, {{NULL, 0}, 1}}},
        {19, 15, 3, {{SPAN("listeners"), 0}, {{NULL, 0}, 1}, {SPAN("port"), 0}}},
        {19, 17, 2, {{SPAN("listeners"), 0}, {{NULL, 0}, 2}}},
        {19, 19, 3, {{SPAN("listeners"), 0}, {{NULL, 0}, 2}, {SPAN("port"), 0}}},
        {19, 14, 2, {{SPAN("listeners"), 0}, {{NULL, 0}, 3}}},
        {13, 13, 1, {{SPAN("nowhere"), 0}}},
        {20, 13, 1, {{SPAN("x"), 0}}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(source_find(span_text(text), rows[i].last_line, rows[i].steps, rows[i].count), rows[i].line);
}

/* Whatever is cut off, the answer is a line of the text: no read behind its end (AddressSanitizer watches the exact
 * copies). */
static void test_every_truncation(void **state)
{
    const struct source_step steps[] = {{SPAN("listeners"), 0}, {{NULL, 0}, 2}, {SPAN("port"), 0}};
    for (size_t size = 1; size < sizeof text; size++) {
        char *copy = test_malloc(size);
        memcpy(copy, text, size);
        assert_in_range(source_find(span_from(copy, size), 20, steps, 3), 1, 20);
        test_free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find), cmocka_unit_test(test_every_truncation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
