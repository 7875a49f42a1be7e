#include "format/automatic.h"

/* cmocka.h wants these first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void headers(void **state)
{
    static const struct {
        const char *header;
        bool automatic;
    } cases[] = {
        {"", false},
        {"From: a@b.test\r\nSubject: hello\r\n\r\nAuto-Submitted: auto-replied\r\n", false},
        {"Auto-Submitted: no\r\n\r\n", false},
        {"auto-submitted: NO (by hand)\r\n\r\n", false},
        {"Auto-Submitted: auto-generated; x=y\r\n\r\n", true},
        {"Auto-Submitted:\r\n auto-replied\r\n\r\n", true},
        {"Auto-Submitted:\r\n\r\n", false},
        {"List-Id: <a.b.test>\r\n", true},
        {"Precedence: bulk\r\n", true},
        {"Precedence: LIST\n\n", true},
        {"Precedence: first-class\r\n", false},
        {"Precedence: first-class\r\nPrecedence: bulk\r\n", false},
        {"Auto-Submitted: no\r\nAuto-Submitted: auto-replied\r\n", false},
        {"Auto-Submitted: no\r\nPrecedence: junk\r\n", true},
        {"Precedence: first-class\r\nAuto-Submitted: no\r\nList-Id: <a.b.test>\r\n", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (header_is_automatic(span_text(cases[i].header)) != cases[i].automatic)
            fail_msg("case %zu: %s", i, cases[i].header);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
