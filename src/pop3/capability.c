#include "auth/mechanisms.h"
#include "pop3/state.h"

#include <errno.h>

static void write_sasl(struct pop3_session *s, struct buf *out)
{
    size_t before = out->size;
    buf_add_text(out, "SASL ");
    size_t named = out->size;
    sasl_mechanism_list(pop3_is_secure(s), pop3_has_binding(s), out);
    if (out->size == named)
        buf_truncate(out, before);
    else
        buf_add_text(out, "\r\n");
}

/* RFC 2449 section 5. What differs between the states is what can't be used any more after login. */
int pop3_do_capa(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self, (void)command;
    pop3_ok(s, "what can be done here");
    struct buf *out = stream_output(s->stream);
    buf_add_text(out, "TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\nEXPIRE NEVER\r\n");
    if (s->settings->pop3.login_delay)
        buf_printf(out, "LOGIN-DELAY %u\r\n", s->settings->pop3.login_delay);
    if (s->state == POP3_AUTHORIZATION) {
        if (pop3_is_secure(s))
            buf_add_text(out, "USER\r\n");
        write_sasl(s, out);
        if (s->context->tls && !stream_is_tls(s->stream))
            buf_add_text(out, "STLS\r\n");
    }
    buf_add_text(out, "UTF8 USER\r\nLANG\r\nIMPLEMENTATION Ostiary-" OSTIARY_VERSION "\r\n.\r\n");
    return 0;
}

/* RFC 2595 section 4. */
int pop3_do_stls(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    if (stream_is_tls(s->stream)) {
        pop3_wrong(s, "TLS is on already");
        return 0;
    }
    if (!s->context->tls) {
        pop3_wrong(s, "TLS is not set up on this server");
        return 0;
    }
    if (s->utf8) {
        /* RFC 6856 section 2.1 */
        pop3_wrong(s, "STLS comes before UTF8");
        return 0;
    }
    pop3_ok(s, "begin TLS");
    /* What was learnt in the clear may have been put there by somebody else. */
    buf_release(&s->user);
    struct tls_context *tls = tls_context_ref(s->context->tls);
    int result = stream_accept_tls(self, s->stream, tls, pop3_line_deadline(s));
    tls_context_unref(tls);
    return result;
}

/* RFC 6856 section 2.1. Names and passwords in UTF-8 are taken without it ("UTF8 USER"), and messages are sent as they
 * are stored in either mode. */
int pop3_do_utf8(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self, (void)command;
    s->utf8 = true;
    pop3_ok(s, "UTF-8 it is");
    return 0;
}

/* RFC 6856 section 3. There is one language, and no reply here is translated; i-default (RFC 2277 section 4.5) is the
 * same one. */
static const struct {
    const char *tag, *name;
} languages[] = {{"en", "English"}, {"i-default", "Default language"}};

int pop3_do_lang(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)self;
    const size_t count = sizeof languages / sizeof *languages;
    if (!command->arguments) {
        pop3_ok(s, "languages:");
        for (size_t i = 0; i < count; i++)
            buf_printf(stream_output(s->stream), "%s %s\r\n", languages[i].tag, languages[i].name);
        buf_add_text(stream_output(s->stream), ".\r\n");
        return 0;
    }
    struct span tag = command->argument[0];
    for (size_t i = 0; i < count; i++)
        if (span_is_nocase(tag, languages[i].tag) || span_is(tag, "*")) {
            pop3_ok(s, "%s English it is", languages[i].tag);
            return 0;
        }
    pop3_error(s, "this language is not spoken here");
    return 0;
}
