#include "policy/sentence.h"

#include <stdio.h>

static char printable(char c)
{
    return c >= ' ' && c < 127 ? c : '?';
}

struct clean clean(struct span s)
{
    struct clean out;
    size_t size = s.size > CLEAN_MAX ? CLEAN_MAX : s.size;
    for (size_t i = 0; i < size; i++)
        out.text[i] = printable(s.data[i]);
    if (s.size > CLEAN_MAX)
        memcpy(out.text + CLEAN_MAX - 3, "...", 3);
    out.text[size] = '\0';
    return out;
}

struct clean clean_ip(const struct ip_address *ip)
{
    struct clean out = {""};
    struct buf text;
    buf_init(&text, IP_ADDRESS_TEXT_MAX);
    ip_address_write(ip, &text);
    if (!buf_failed(&text))
        out = clean(buf_span(&text));
    buf_release(&text);
    return out;
}

void clean_write(struct span s, size_t most, struct buf *out)
{
    size_t size = s.size > most ? most - 3 : s.size;
    for (size_t i = 0; i < size; i++)
        buf_add_char(out, printable(s.data[i]));
    if (s.size > most)
        buf_add_text(out, "...");
}

/* A text that did not fit ends in "...". */
static void __attribute__((format(printf, 3, 0))) put(char *out, size_t room, const char *format, va_list arguments)
{
    int size = vsnprintf(out, room, format, arguments);
    if (size < 0)
        out[0] = '\0';
    for (size_t i = 0; out[i]; i++)
        out[i] = printable(out[i]);
    if (size >= 0 && (size_t)size >= room)
        memcpy(out + room - 4, "...", 3);
}

static void __attribute__((format(printf, 6, 0)))
fill(struct verdict *v, enum verdict_kind kind, unsigned code, const char *enhanced, const struct clean *evidence,
     const char *format, va_list arguments)
{
    v->kind = kind;
    v->code = code;
    span_write_text(span_text(enhanced), v->enhanced, sizeof v->enhanced);
    span_write_text(span_text(evidence->text), v->evidence, sizeof v->evidence);
    put(v->sentence, sizeof v->sentence, format, arguments);
}

void verdict_refuse(struct verdict *verdict, unsigned code, const char *enhanced, struct clean evidence,
                    const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(verdict, VERDICT_REFUSE, code, enhanced, &evidence, format, arguments);
    va_end(arguments);
}

void verdict_defer(struct verdict *verdict, const char *enhanced, struct clean evidence, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(verdict, VERDICT_DEFER, 451, enhanced, &evidence, format, arguments);
    va_end(arguments);
}

void verdict_accept(struct verdict *verdict, struct clean evidence, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(verdict, VERDICT_ACCEPT, 0, "", &evidence, format, arguments);
    va_end(arguments);
}
