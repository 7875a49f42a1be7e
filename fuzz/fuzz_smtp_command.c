/* Command lines from a stranger, with everything that is made of them: parameters, replies, trace fields. */
#include "format/base64.h"
#include "format/smtp_command.h"
#include "format/trace.h"
#include "format/xtext.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct smtp_abilities abilities = {
    .size = true, .size_max = 1 << 20, .eight_bit_mime = true, .smtputf8 = true, .dsn = true, .auth = true};

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* A problem is a reply: one short line of printable ASCII. */
static bool is_problem(const struct smtp_problem *problem)
{
    if (!problem)
        return false;
    require(problem->code >= 450 && problem->code <= 555 && strlen(problem->text) < 490);
    require(problem->enhanced[0] == (problem->code >= 500 ? '5' : '4'));
    for (const char *p = problem->text; *p; p++)
        require(*p >= ' ' && *p <= '~');
    return true;
}

static void check_mail(struct span argument, struct arena *arena)
{
    struct smtp_mail mail;

    if (is_problem(smtp_mail_parse(argument, &abilities, arena, &mail)))
        return;
    require(!mail.path.has_utf8 || mail.smtputf8);
    require(!mail.has_size || mail.size <= abilities.size_max);
    require(mail.has_envid == (mail.envid.size > 0) && mail.envid.size <= SMTP_ENVID_MAX);
    require(xtext_is_valid(mail.envid));
}

static void check_rcpt(struct span argument, bool utf8, struct arena *arena)
{
    struct smtp_rcpt rcpt;
    uint64_t number;

    if (is_problem(smtp_rcpt_parse(argument, &abilities, utf8, arena, &rcpt)))
        return;
    require(!rcpt.path.is_null && rcpt.path.local_part.size > 0 && (utf8 || !rcpt.path.has_utf8));
    require(rcpt.notify <= 14 && (!(rcpt.notify & SMTP_NOTIFY_NEVER) || rcpt.notify == SMTP_NOTIFY_NEVER));
    require(rcpt.passcode.size <= 20);
    if (rcpt.passcode.size && rcpt.passcode.size < 20)
        require(span_parse_u64(rcpt.passcode, UINT64_MAX, &number));
    require(rcpt.has_orcpt == (rcpt.orcpt_type.size > 0) && rcpt.has_orcpt == (rcpt.orcpt_address.size > 0));
    for (size_t i = 0; i < rcpt.orcpt_address.size; i++)
        require((unsigned char)rcpt.orcpt_address.data[i] >= 32);
}

/* Whatever the peer calls itself: one field, every line end ours, every further line a folded one. */
static void check_received(struct span name)
{
    struct trace_received received = {.helo = name,
                                      .ptr = name,
                                      .host = SPAN("mail.example.test"),
                                      .protocol = SPAN("SMTP"),
                                      .id = SPAN("1-2"),
                                      .recipient = span_head(name, 254)};
    struct buf out;

    buf_init(&out, 8192);
    trace_received_write(&received, &out);
    require(!buf_failed(&out) && span_starts_nocase(buf_span(&out), span_text("Received: from")));
    for (size_t i = 0; i < out.size; i++) {
        if (out.data[i] == '\r')
            require(i + 1 < out.size && out.data[i + 1] == '\n');
        else if (out.data[i] == '\n')
            require(out.data[i - 1] == '\r' && (i + 1 == out.size || out.data[i + 1] == '\t'));
        else
            require(out.data[i] != 0);
    }
    buf_release(&out);
}

static void check_codings(struct span bytes, struct arena *arena)
{
    struct span decoded;
    struct buf text, again;

    buf_init(&text, 1 << 20);
    buf_init(&again, 1 << 20);
    xtext_write(bytes, &text);
    require(xtext_parse(buf_span(&text), arena, &decoded) && span_equal(decoded, bytes));
    buf_reset(&text);
    if (base64_parse(bytes, &text)) {
        base64_write(buf_span(&text), &again);
        require(span_equal(buf_span(&again), bytes));
    }
    buf_release(&text);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span line = span_from(data, size), mechanism, initial;
    struct smtp_command command;
    struct smtp_helo helo;
    struct arena arena;
    uint64_t chunk;
    bool flag;

    if (size > 8192)
        return 0;
    arena_init(&arena, 1 << 20);
    if (!is_problem(smtp_command_parse(line, &command)))
        require(command.word.size + command.argument.size <= size);
    struct span argument = command.argument.size ? command.argument : line;
    check_mail(argument, &arena);
    check_rcpt(argument, size & 1, &arena);
    (void)is_problem(smtp_bdat_parse(argument, &chunk, &flag));
    if (!is_problem(smtp_helo_parse(argument, &helo)))
        require(helo.name.size > 0 && helo.name.size <= 255);
    if (!is_problem(smtp_auth_parse(argument, &mechanism, &flag, &initial)))
        require(mechanism.size > 0 && (flag || initial.size == 0));
    check_received(argument);
    check_codings(argument, &arena);
    arena_release(&arena);
    return 0;
}
