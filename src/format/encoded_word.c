#include "format/encoded_word.h"

#include <errno.h>
#include <iconv.h>

#define REPLACEMENT "\xEF\xBF\xBD"
#define CHARSET_NAME_MAX 40

/* What iconv may be asked for, by the start of the name. */
static const char *const converted[] = {
    "iso-8859-", "iso8859-",  "iso_8859-", "windows-125", "windows-874", "windows-936", "windows-949", "windows-31j",
    "cp125",     "cp437",     "cp850",     "cp852",       "cp866",       "cp932",       "cp936",       "cp949",
    "cp950",     "koi8-",     "gb2312",    "gbk",         "gb18030",     "big5",        "euc-jp",      "euc-kr",
    "euc-tw",    "shift_jis", "shift-jis", "sjis",        "ks_c_5601-",  "tis-620",     "macintosh",   "utf-16",
    "utf-32",    "utf-7",     "utf7",      "viscii",      "ibm8",
};
/* Stateful ones by their whole name: ISO-2022-CN-EXT and its like are not wanted. */
static const char *const converted_exactly[] = {"iso-2022-jp", "iso-2022-kr", "hz-gb-2312"};

static void add_code_point(struct buf *out, unsigned c)
{
    char bytes[2] = {(char)c, 0};
    if (c < 0x80) {
        buf_add(out, bytes, 1);
        return;
    }
    bytes[0] = (char)(0xC0 | c >> 6);
    bytes[1] = (char)(0x80 | (c & 0x3F));
    buf_add(out, bytes, 2);
}

/* The bytes of the UTF-8 character at the start of s (RFC 3629); 0 when it is none. */
static size_t utf8_character(struct span s)
{
    const unsigned char *p = (const unsigned char *)s.data;
    if (!p)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t n = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : 0;
    if (n == 0 || n > s.size)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xF0 && p[1] < 0x90);
    bool surrogate = p[0] == 0xED && p[1] > 0x9F;
    bool too_high = p[0] == 0xF4 && p[1] > 0x8F;
    return overlong || surrogate || too_high ? 0 : n;
}

static void add_utf8(struct span s, struct buf *out)
{
    size_t good = 0;
    while (good < s.size && !out->failed) {
        size_t n = utf8_character(span_skip(s, good));
        if (n) {
            good += n;
            continue;
        }
        buf_add(out, s.data, good);
        buf_add_text(out, REPLACEMENT);
        s = span_skip(s, good + 1);
        good = 0;
    }
    buf_add(out, s.data, good);
}

static void add_unknown(struct span s, struct buf *out)
{
    for (size_t i = 0; i < s.size && !out->failed; i++) {
        if ((unsigned char)s.data[i] < 0x80)
            buf_add_char(out, s.data[i]);
        else
            buf_add_text(out, REPLACEMENT);
    }
}

static void add_latin1(struct span s, struct buf *out)
{
    for (size_t i = 0; i < s.size && !out->failed; i++)
        add_code_point(out, (unsigned char)s.data[i]);
}

static bool is_converted(struct span charset)
{
    /* Only letters, digits and these: a '/' would hand options to iconv. */
    for (size_t i = 0; i < charset.size; i++) {
        char c = ascii_lower(charset.data[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    if (charset.size >= CHARSET_NAME_MAX)
        return false;
    for (size_t i = 0; i < sizeof converted / sizeof *converted; i++)
        if (span_starts_nocase(charset, span_text(converted[i])))
            return true;
    for (size_t i = 0; i < sizeof converted_exactly / sizeof *converted_exactly; i++)
        if (span_is_nocase(charset, converted_exactly[i]))
            return true;
    return false;
}

/* iconv's own output is checked again: a converter that passes on surrogates must not make us write them. */
static void run_iconv(iconv_t converter, struct span s, struct buf *out)
{
    char *in = (char *)(uintptr_t)s.data;
    size_t left = s.size;
    bool flushed = false;
    while (!out->failed && !flushed) {
        char piece[1024];
        char *to = piece;
        size_t room = sizeof piece;
        flushed = left == 0;
        size_t result = iconv(converter, flushed ? NULL : &in, &left, &to, &room);
        int error = result == (size_t)-1 ? errno : 0;
        add_utf8(span_from(piece, sizeof piece - room), out);
        if (error == E2BIG)
            flushed = false;
        if (error == 0 || error == E2BIG)
            continue;
        buf_add_text(out, REPLACEMENT);
        if (left) {
            in++;
            left--;
        }
    }
}

void charset_to_utf8(struct span charset, struct span bytes, struct buf *out)
{
    static const char *const utf8_names[] = {"", "utf-8", "utf8", "us-ascii", "ascii"};
    static const char *const latin1_names[] = {"iso-8859-1", "iso8859-1", "latin1", "iso_8859-1"};
    for (size_t i = 0; i < sizeof utf8_names / sizeof *utf8_names; i++)
        if (span_is_nocase(charset, utf8_names[i])) {
            add_utf8(bytes, out);
            return;
        }
    for (size_t i = 0; i < sizeof latin1_names / sizeof *latin1_names; i++)
        if (span_is_nocase(charset, latin1_names[i])) {
            add_latin1(bytes, out);
            return;
        }
    iconv_t converter = (iconv_t)-1;
    if (is_converted(charset)) {
        char name[CHARSET_NAME_MAX];
        memcpy(name, charset.data, charset.size);
        name[charset.size] = 0;
        converter = iconv_open("UTF-8", name);
    }
    if (converter == (iconv_t)-1) {
        add_unknown(bytes, out);
        return;
    }
    run_iconv(converter, bytes, out);
    iconv_close(converter);
}

struct word {
    struct span charset, text;
    bool base64;
    size_t size; /* with =? and ?= */
};

/* =?charset[*language]?B|Q?text?= at the start of s: RFC 2047 2, RFC 2231 5. Longer than the 75 characters allowed
 * there is fine, but the search for its parts ends at the first space, '?' or line end. */
static bool word_parse(struct span s, struct word *word)
{
    struct span rest = span_skip(s, 2);
    size_t charset = 0, text = 0;
    while (charset < rest.size && charset < CHARSET_NAME_MAX + 20 && rest.data[charset] > 32 &&
           rest.data[charset] != '?')
        charset++;
    if (charset == 0 || rest.size < charset + 3 || rest.data[charset] != '?' || rest.data[charset + 2] != '?')
        return false;
    char encoding = ascii_lower(rest.data[charset + 1]);
    if (encoding != 'b' && encoding != 'q')
        return false;
    struct span name = span_head(rest, charset);
    rest = span_skip(rest, charset + 3);
    /* Broken programs leave spaces in a Q text. */
    while (text < rest.size && rest.data[text] != '?' && rest.data[text] != '\n' && rest.data[text] != '\r')
        text++;
    if (text + 1 >= rest.size || rest.data[text] != '?' || rest.data[text + 1] != '=')
        return false;
    *word = (struct word){.charset = span_head(name, span_find(name, '*')),
                          .text = span_head(rest, text),
                          .base64 = encoding == 'b',
                          .size = 2 + charset + 3 + text + 2};
    return true;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void decode_q(struct span text, struct buf *out)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int high = c == '=' && i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
        if (low >= 0) {
            buf_add_char(out, (char)(high * 16 + low));
            i += 2;
        } else {
            buf_add_char(out, c == '_' ? ' ' : c);
        }
    }
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Leniently, unlike base64.h: no padding needed, other characters passed over (RFC 2045 6.8). */
static void decode_base64(struct span text, struct buf *out)
{
    unsigned bits = 0, have = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = base64_digit(text.data[i]);
        if (digit < 0)
            continue;
        bits = (bits << 6 | (unsigned)digit) & 0xFFFF;
        have += 6;
        if (have >= 8) {
            have -= 8;
            buf_add_char(out, (char)(bits >> have & 0xFF));
        }
    }
}

/* The bytes of neighbouring words of one charset, not converted yet. */
struct pending {
    struct span charset;
    struct buf bytes;
};

static void flush(struct pending *pending, struct buf *out)
{
    if (pending->bytes.size)
        charset_to_utf8(pending->charset, buf_span(&pending->bytes), out);
    if (pending->bytes.failed)
        out->failed = true;
    buf_reset(&pending->bytes);
}

static bool is_all_space(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (s.data[i] != ' ' && s.data[i] != '\t' && s.data[i] != '\r' && s.data[i] != '\n')
            return false;
    return true;
}

/* The position of the next encoded word, s.size when there is none. A failed try costs only the length up to the next
 * '?' twice at most, as a later one starts behind it. */
static size_t find_word(struct span s, struct word *word)
{
    size_t at = 0;
    while (at + 1 < s.size) {
        at += span_find(span_skip(s, at), '=');
        if (at + 1 < s.size && s.data[at + 1] == '?' && word_parse(span_skip(s, at), word))
            return at;
        at++;
    }
    return s.size;
}

void encoded_word_decode(struct span text, struct buf *out)
{
    struct pending pending = {.charset = {NULL, 0}};
    buf_init(&pending.bytes, text.size);
    bool after_word = false;
    while (text.size && !out->failed) {
        struct word word = {.size = 0};
        size_t at = find_word(text, &word);
        struct span plain = span_head(text, at);
        bool found = at < text.size;
        if (!(found && after_word && is_all_space(plain))) {
            flush(&pending, out);
            add_utf8(plain, out);
        }
        text = span_skip(text, at + word.size);
        if (!found)
            break;
        if (!span_equal_nocase(pending.charset, word.charset))
            flush(&pending, out);
        pending.charset = word.charset;
        if (word.base64)
            decode_base64(word.text, &pending.bytes);
        else
            decode_q(word.text, &pending.bytes);
        after_word = true;
    }
    flush(&pending, out);
    buf_release(&pending.bytes);
}
