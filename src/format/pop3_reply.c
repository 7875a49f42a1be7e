#include "format/pop3_reply.h"

#define NUMBER_MAX 0x7fffffffu
#define TIMESTAMP_MAX 255

static struct span cut_word(struct span *rest)
{
    *rest = span_trim(*rest);
    size_t end = 0;
    while (end < rest->size && rest->data[end] != ' ' && rest->data[end] != '\t')
        end++;
    struct span word = span_head(*rest, end);
    *rest = span_trim(span_skip(*rest, end));
    return word;
}

/* ---- Status ---- */

static const struct {
    const char *name;
    enum pop3_code code;
} codes[] = {
    {"AUTH", POP3_CODE_AUTH},          {"SYS/TEMP", POP3_CODE_TEMPORARY},
    {"IN-USE", POP3_CODE_TEMPORARY},   {"LOGIN-DELAY", POP3_CODE_TEMPORARY},
    {"SYS/PERM", POP3_CODE_PERMANENT},
};

/* "[AUTH] text": RFC 2449 section 8. */
static enum pop3_code take_code(struct span *text)
{
    size_t end = span_find(*text, ']');
    if (!text->size || text->data[0] != '[' || end == text->size)
        return POP3_CODE_NONE;
    struct span name = span_head(span_skip(*text, 1), end - 1);
    *text = span_trim(span_skip(*text, end + 1));
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (span_is_nocase(name, codes[i].name))
            return codes[i].code;
    return POP3_CODE_OTHER;
}

void pop3_reply_parse(struct span line, struct pop3_reply *reply)
{
    struct span rest = line, word = cut_word(&rest);
    *reply = (struct pop3_reply){.status = POP3_BAD, .text = rest};
    if (line.size && line.data[0] == ' ')
        return;
    if (span_is_nocase(word, "+OK")) {
        reply->status = POP3_OK;
    } else if (span_is_nocase(word, "-ERR")) {
        reply->status = POP3_ERROR;
        reply->code = take_code(&reply->text);
    } else if (span_is(word, "+")) {
        reply->status = POP3_CHALLENGE;
    }
}

/* ---- Listings ---- */

static bool take_number(struct span *rest, uint64_t max, uint64_t *value)
{
    return span_parse_u64(cut_word(rest), max, value);
}

bool pop3_listing_parse(struct span line, uint32_t *number, uint64_t *size)
{
    uint64_t n = 0;
    if (!take_number(&line, NUMBER_MAX, &n) || !take_number(&line, UINT64_MAX / 2, size))
        return false;
    *number = (uint32_t)n;
    return true;
}

static bool is_uidl(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] < 0x21 || text.data[i] > 0x7e)
            return false;
    return text.size > 0 && text.size <= POP3_UIDL_MAX;
}

bool pop3_uidl_parse(struct span line, uint32_t *number, struct span *uidl)
{
    uint64_t n = 0;
    if (!take_number(&line, NUMBER_MAX, &n))
        return false;
    *number = (uint32_t)n;
    *uidl = is_uidl(line) ? line : (struct span){0};
    return true;
}

/* ---- Capabilities and the greeting ---- */

void pop3_capability_parse(struct span line, struct pop3_capabilities *c)
{
    struct span word = cut_word(&line);
    c->stls |= span_is_nocase(word, "STLS");
    c->uidl |= span_is_nocase(word, "UIDL");
    c->user |= span_is_nocase(word, "USER");
    c->utf8 |= span_is_nocase(word, "UTF8");
    c->pipelining |= span_is_nocase(word, "PIPELINING");
    if (!span_is_nocase(word, "SASL"))
        return;
    while (line.size) {
        word = cut_word(&line);
        c->plain |= span_is_nocase(word, "PLAIN");
        c->login |= span_is_nocase(word, "LOGIN");
        c->scram |= span_is_nocase(word, "SCRAM-SHA-256");
    }
}

/* RFC 1939 section 7 wants a msg-id; one without its form would let a server in the middle have chosen bytes hashed. */
struct span pop3_timestamp(struct span greeting)
{
    size_t begin = span_find(greeting, '<');
    struct span rest = span_skip(greeting, begin);
    size_t end = span_find(rest, '>');
    struct span stamp = span_head(rest, end + 1);
    if (end >= rest.size || stamp.size > TIMESTAMP_MAX || stamp.size < 5)
        return (struct span){0};
    size_t at = span_find(stamp, '@');
    for (size_t i = 0; i < stamp.size; i++)
        if (stamp.data[i] < 0x21 || stamp.data[i] > 0x7e)
            return (struct span){0};
    bool has_form = at > 1 && at + 2 < stamp.size;
    return has_form ? stamp : (struct span){0};
}
