#include "ctl/config_look.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define TLS "tls = { certificate = '/c', key = '/k' }\n"
#define POP3 "listeners = { { service = 'pop3', address = '::', port = 110 } }\n"

static void test_advice(void **state)
{
    static const struct {
        const char *text, *notes;
    } rows[] = {
        {TLS, ""},
        {"trusted_networks = { '10.0.0.0/8' }", ""},
        {"", "nobody can log in: passwords are taken over TLS only; set tls.certificate and tls.key\n"},
        {"listeners = { { service = 'smtp', address = '::', port = 25 } }", ""},
        {TLS "courier = { smart_host = 'mx.example.net', smart_host_user = 'us' }",
         "courier.smart_host_user is set without courier.smart_host_password_file: the login there will fail\n"},
        {TLS POP3, "no listener has the service smtp: no mail comes in from elsewhere\n"},
        {TLS "smtp = { message_size = '65535', header_size = '1K' }",
         "smtp.message_size is below the 64K that RFC 5321 asks for\n"},
        {TLS "smtp = { message_size = '64K', header_size = '1K', line_length = 998, recipients = 100 }", ""},
        {TLS "smtp = { recipients = 99, line_length = 997 }",
         "smtp.recipients is below the 100 that RFC 5321 asks for\n"
         "smtp.line_length is below the 998 that RFC 5321 asks for\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf text, notes;
        buf_init(&text, 4096);
        buf_init(&notes, 4096);
        buf_printf(&text, "hostname = 'mx.example.org'\n%s", rows[i].text);
        struct settings *settings = settings_read_text("t.conf", buf_span(&text), &notes);
        if (!settings)
            fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&notes)));
        config_advise(settings, &notes);
        if (!span_is(buf_span(&notes), rows[i].notes))
            fail_msg("row %zu: %.*s", i, SPAN_ARG(buf_span(&notes)));
        settings_unref(settings);
        buf_release(&text);
        buf_release(&notes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_advice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
