#include "format/maildir_name.h"

#include "format/utf8.h"

static const struct {
    char letter;
    unsigned mark;
} letters[] = {
    {'D', MAIL_DRAFT}, {'F', MAIL_FLAGGED}, {'R', MAIL_ANSWERED}, {'S', MAIL_SEEN}, {'T', MAIL_DELETED},
};
#define LETTERS (sizeof letters / sizeof *letters)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

unsigned maildir_name_marks(struct span name)
{
    static const struct span info = SPAN("2,");
    unsigned marks = 0;
    struct span tail = span_skip(name, span_find_last(name, ':') + 1);
    if (!span_equal(span_head(tail, info.size), info))
        return 0;
    for (size_t i = info.size; i < tail.size; i++)
        for (size_t l = 0; l < LETTERS; l++)
            marks |= tail.data[i] == letters[l].letter ? letters[l].mark : 0;
    return marks;
}

void maildir_name_write_marks(unsigned marks, struct buf *out)
{
    buf_add_text(out, ":2,");
    for (size_t l = 0; l < LETTERS; l++)
        if (marks & letters[l].mark)
            buf_add_char(out, letters[l].letter);
}

static void write_utf8(uint32_t c, struct buf *out)
{
    if (c < 0x80) {
        buf_add_char(out, (char)c);
        return;
    }
    unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char heads[] = {0, 0xc0, 0xe0, 0xf0};
    buf_add_char(out, (char)(heads[more] | c >> (6 * more)));
    while (more-- > 0)
        buf_add_char(out, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

/* What stands between "&" and "-": UTF-16 in base64. */
static bool decode(struct span text, struct buf *out)
{
    uint32_t bits = 0, high = 0;
    unsigned have = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
        if (!digit)
            return false;
        bits = (bits << 6 | (uint32_t)(digit - digits)) & 0x3fffff;
        have += 6;
        if (have < 16)
            continue;
        have -= 16;
        uint32_t unit = bits >> have & 0xffff;
        bool is_high = unit >= 0xd800 && unit < 0xdc00, is_low = unit >= 0xdc00 && unit < 0xe000;
        if (is_low != (high != 0))
            return false;
        if (!is_high)
            write_utf8(high ? 0x10000 + ((high & 0x3ff) << 10 | (unit & 0x3ff)) : unit, out);
        high = is_high ? unit : 0;
    }
    return !high && have < 6 && !(bits & ((1u << have) - 1));
}

bool maildir_folder_parse(struct span folder, struct buf *mailbox)
{
    if (folder.size < 2 || folder.data[0] != '.' || folder.data[1] == '.')
        return false;
    for (size_t i = 1; i < folder.size; i++) {
        char c = folder.data[i];
        if (c != '&') {
            buf_add_char(mailbox, c == '.' ? '/' : c);
            continue;
        }
        struct span coded = span_skip(folder, i + 1);
        coded = span_head(coded, span_find(coded, '-'));
        if (i + 1 + coded.size == folder.size)
            return false;
        if (!coded.size)
            buf_add_char(mailbox, '&');
        else if (!decode(coded, mailbox))
            return false;
        i += coded.size + 1;
    }
    return !buf_failed(mailbox) && utf8_is_valid(buf_span(mailbox));
}

/* The next character of valid UTF-8. */
static uint32_t next_character(struct span *s)
{
    unsigned char c = (unsigned char)s->data[0];
    unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    uint32_t value = more ? c & (0x3fu >> more) : c;
    for (unsigned i = 1; i <= more && i < s->size; i++)
        value = value << 6 | ((unsigned char)s->data[i] & 0x3fu);
    *s = span_skip(*s, more + 1);
    return value;
}

struct encoder {
    struct buf *out;
    uint32_t bits;
    unsigned have;
};

static void encode_unit(struct encoder *e, uint32_t unit)
{
    e->bits = e->bits << 16 | unit;
    e->have += 16;
    for (; e->have >= 6; e->have -= 6)
        buf_add_char(e->out, digits[e->bits >> (e->have - 6) & 63]);
    e->bits &= (1u << e->have) - 1;
}

/* All of the characters at the front that are not ASCII. */
static void encode(struct span *s, struct buf *out)
{
    struct encoder e = {.out = out};
    buf_add_char(out, '&');
    while (s->size && (unsigned char)s->data[0] >= 0x80) {
        uint32_t c = next_character(s);
        if (c >= 0x10000) {
            encode_unit(&e, 0xd800 | (c - 0x10000) >> 10);
            encode_unit(&e, 0xdc00 | ((c - 0x10000) & 0x3ff));
        } else {
            encode_unit(&e, c);
        }
    }
    if (e.have)
        buf_add_char(out, digits[e.bits << (6 - e.have) & 63]);
    buf_add_char(out, '-');
}

bool maildir_folder_write(struct span mailbox, struct buf *folder)
{
    if (span_is(mailbox, "INBOX"))
        return true;
    if (!mailbox.size || !utf8_is_valid(mailbox) || span_find(mailbox, '.') < mailbox.size)
        return false;
    buf_add_char(folder, '.');
    while (mailbox.size) {
        char c = mailbox.data[0];
        if ((unsigned char)c >= 0x80) {
            encode(&mailbox, folder);
            continue;
        }
        if (c == '&')
            buf_add_text(folder, "&-");
        else
            buf_add_char(folder, c == '/' ? '.' : c);
        mailbox = span_skip(mailbox, 1);
    }
    return !buf_failed(folder);
}
