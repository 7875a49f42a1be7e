#include "format/smtp_reply.h"

/* ---- Codes ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* One to three digits and what ends them: a dot, which is consumed, or the end. */
static bool take_number(struct span *text, bool is_last, unsigned short *value)
{
    size_t n = 0;
    unsigned number = 0;
    for (; n < text->size && n < 3 && is_digit(text->data[n]); n++)
        number = number * 10 + (unsigned)(text->data[n] - '0');
    bool ends = is_last ? n == text->size : n < text->size && text->data[n] == '.';
    if (n == 0 || !ends)
        return false;
    *value = (unsigned short)number;
    *text = span_skip(*text, n + !is_last);
    return true;
}

bool smtp_enhanced_parse(struct span text, struct smtp_enhanced *enhanced)
{
    unsigned short numbers[3];
    for (size_t i = 0; i < 3; i++)
        if (!take_number(&text, i == 2, &numbers[i]))
            return false;
    if (numbers[0] != 2 && numbers[0] != 4 && numbers[0] != 5)
        return false;
    *enhanced = (struct smtp_enhanced){(unsigned char)numbers[0], numbers[1], numbers[2]};
    return true;
}

/* ---- Texts ---- */

static void add_text(struct smtp_reply *reply, struct span text)
{
    if (reply->size > 0 && text.size > 0 && reply->size < SMTP_REPLY_TEXT_MAX)
        reply->text[reply->size++] = ' ';
    for (size_t i = 0; i < text.size && reply->size < SMTP_REPLY_TEXT_MAX; i++) {
        char c = text.data[i];
        reply->text[reply->size++] = c == '\t' ? ' ' : c >= ' ' && c <= '~' ? c : '?';
    }
}

void smtp_reply_set(struct smtp_reply *reply, unsigned code, const char *enhanced, const char *text)
{
    *reply = (struct smtp_reply){.code = code, .is_ours = true};
    if (!smtp_enhanced_parse(span_text(enhanced), &reply->enhanced))
        reply->enhanced = (struct smtp_enhanced){0};
    add_text(reply, span_text(text));
}

void smtp_reply_write(const struct smtp_reply *reply, struct buf *out)
{
    if (!reply->code)
        return;
    buf_add_u64(out, reply->code);
    if (reply->enhanced.klass)
        buf_printf(out, " %u.%u.%u", reply->enhanced.klass, reply->enhanced.subject, reply->enhanced.detail);
    if (reply->size > 0)
        buf_add_char(out, ' ');
    buf_add_span(out, smtp_reply_text(reply));
}

/* ---- Reading ---- */

void smtp_reply_start(struct smtp_reply_reader *reader, struct smtp_reply *reply)
{
    *reply = (struct smtp_reply){0};
    *reader = (struct smtp_reply_reader){.reply = reply};
}

/* 0 when the line starts with no code. */
static unsigned parse_code(struct span line)
{
    if (line.size < 3 || line.data[0] < '2' || line.data[0] > '5' || !is_digit(line.data[1]) || !is_digit(line.data[2]))
        return 0;
    return (unsigned)(line.data[0] - '0') * 100 + (unsigned)(line.data[1] - '0') * 10 + (unsigned)(line.data[2] - '0');
}

/* What stands behind an enhanced code that fits the reply, which is noted from the first line. */
static struct span skip_enhanced(struct smtp_reply_reader *reader, struct span text)
{
    struct smtp_enhanced enhanced;
    size_t end = span_find(text, ' ');
    if (!smtp_enhanced_parse(span_head(text, end), &enhanced) || enhanced.klass != reader->reply->code / 100)
        return text;
    if (reader->lines == 1)
        reader->reply->enhanced = enhanced;
    return span_skip(text, end);
}

enum smtp_reply_status smtp_reply_add_line(struct smtp_reply_reader *reader, struct span line, struct span *text)
{
    *text = (struct span){0};
    unsigned code = parse_code(line);
    reader->total += line.size + 2;
    reader->lines++;
    if (!code || line.size > SMTP_REPLY_LINE_MAX || reader->lines > SMTP_REPLY_LINES_MAX ||
        reader->total > SMTP_REPLY_TOTAL_MAX || (reader->lines > 1 && code != reader->reply->code))
        return SMTP_REPLY_BAD;
    char separator = line.size > 3 ? line.data[3] : ' ';
    if (separator != ' ' && separator != '-')
        return SMTP_REPLY_BAD;
    reader->reply->code = code;
    *text = span_skip(line, 4);
    add_text(reader->reply, span_trim(skip_enhanced(reader, span_trim(*text))));
    return separator == '-' ? SMTP_REPLY_MORE : SMTP_REPLY_END;
}

/* ---- EHLO ---- */

static void add_mechanisms(struct smtp_extensions *extensions, struct span rest)
{
    while (rest.size > 0) {
        struct span word = span_cut(&rest, ' ');
        if (span_is_nocase(word, "PLAIN"))
            extensions->mechanisms |= SMTP_AUTH_PLAIN;
        else if (span_is_nocase(word, "LOGIN"))
            extensions->mechanisms |= SMTP_AUTH_LOGIN;
        else if (span_is_nocase(word, "SCRAM-SHA-256"))
            extensions->mechanisms |= SMTP_AUTH_SCRAM_SHA_256;
    }
}

static void add_limits(struct smtp_extensions *extensions, struct span rest)
{
    while (rest.size > 0) {
        struct span word = span_cut(&rest, ' ');
        struct span name = span_cut(&word, '=');
        uint64_t value;
        if (!span_parse_u64(word, UINT32_MAX, &value))
            continue;
        if (span_is_nocase(name, "RCPTMAX"))
            extensions->rcpt_max = value;
        else if (span_is_nocase(name, "MAILMAX"))
            extensions->mail_max = value;
    }
}

static void add_size(struct smtp_extensions *extensions, struct span rest)
{
    extensions->size = true;
    if (!span_parse_u64(span_trim(rest), UINT64_MAX, &extensions->size_max))
        extensions->size_max = 0;
}

static const struct {
    const char *keyword;
    size_t offset; /* of the bool */
} simple[] = {
    {"PIPELINING", offsetof(struct smtp_extensions, pipelining)},
    {"8BITMIME", offsetof(struct smtp_extensions, eight_bit_mime)},
    {"SMTPUTF8", offsetof(struct smtp_extensions, smtputf8)},
    {"DSN", offsetof(struct smtp_extensions, dsn)},
    {"CHUNKING", offsetof(struct smtp_extensions, chunking)},
    {"STARTTLS", offsetof(struct smtp_extensions, starttls)},
    {"ENHANCEDSTATUSCODES", offsetof(struct smtp_extensions, enhanced_status_codes)},
};

void smtp_extensions_add_line(struct smtp_extensions *extensions, struct span text)
{
    struct span rest = span_trim(text);
    struct span keyword = span_cut(&rest, ' ');
    if (span_is_nocase(keyword, "SIZE"))
        add_size(extensions, rest);
    else if (span_is_nocase(keyword, "AUTH"))
        add_mechanisms(extensions, rest);
    else if (span_starts_nocase(keyword,
                                span_text("AUTH="))) /* from before RFC 2554, still said beside the right one */
        add_mechanisms(extensions, span_skip(span_trim(text), 5));
    else if (span_is_nocase(keyword, "LIMITS"))
        add_limits(extensions, rest);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (span_is_nocase(keyword, simple[i].keyword))
            *(bool *)((char *)extensions + simple[i].offset) = true;
}
