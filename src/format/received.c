#include "format/received.h"

#include "format/header.h"

/* ---- Words ----
 * A value is words and comments: "from helo (ptr [192.0.2.1]) by host with ESMTP id x for <a@b>; date". */

#define COMMENTS_MAX 4 /* of one clause; more are not looked at */
#define LINE_MAX_BYTES 8192

struct token {
    bool is_comment;
    struct span text; /* of a comment without its brackets */
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The size of the comment at the start of s, its brackets included; comments nest (RFC 5322 section 3.2.2). */
static size_t comment_size(struct span s)
{
    unsigned depth = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '\\')
            i++;
        else if (s.data[i] == '(')
            depth++;
        else if (s.data[i] == ')' && --depth == 0)
            return i + 1;
    }
    return s.size;
}

/* A word ends at a blank, a bracket or the semicolon; inside quotes and <> none of these do. */
static size_t word_size(struct span s)
{
    char until = 0;
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (until && c == until)
            until = 0;
        else if (!until && c == '"')
            until = '"';
        else if (!until && c == '<')
            until = '>';
        else if (!until && (is_blank(c) || c == '(' || c == ';'))
            return i;
    }
    return s.size;
}

static bool next_token(struct span *rest, struct token *token)
{
    while (rest->size && is_blank(rest->data[0]))
        *rest = span_skip(*rest, 1);
    if (!rest->size || rest->data[0] == ';')
        return false;
    token->is_comment = rest->data[0] == '(';
    size_t size = token->is_comment ? comment_size(*rest) : word_size(*rest);
    token->text = span_head(*rest, size);
    if (token->is_comment) {
        token->text = span_skip(token->text, 1);
        if (token->text.size && token->text.data[token->text.size - 1] == ')')
            token->text.size--;
    }
    *rest = span_skip(*rest, size);
    return true;
}

/* ---- The client ---- */

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

bool received_take_host_name(struct span word, struct span *name)
{
    if (word.size && word.data[word.size - 1] == '.')
        word.size--;
    struct ip_address ip;
    if (word.size < 3 || word.size > 255 || span_find(word, '.') == word.size || ip_address_parse(word, &ip))
        return false;
    for (size_t i = 0; i < word.size; i++)
        if (!is_name_byte(word.data[i]))
            return false;
    *name = word;
    return true;
}

/* "[192.0.2.1]", "[IPv6:2001:db8::1]", "[192.0.2.1]:4711", or without brackets. */
static bool take_ip(struct span word, struct ip_address *ip)
{
    if (word.size && word.data[0] == '[') {
        size_t end = span_find(word, ']');
        struct span inside = span_head(span_skip(word, 1), end < word.size ? end - 1 : word.size);
        if (end == word.size)
            return false;
        return ip_address_parse(inside, ip) || ip_address_parse_literal(span_head(word, end + 1), ip);
    }
    return ip_address_parse(word, ip) ||
           (span_starts_nocase(word, (struct span)SPAN("IPv6:")) && ip_address_parse(span_skip(word, 5), ip));
}

static bool has_words(struct span comment, const char *words)
{
    struct span wanted = span_text(words);
    for (size_t i = 0; i + wanted.size <= comment.size; i++)
        if (span_equal_nocase(span_head(span_skip(comment, i), wanted.size), wanted))
            return true;
    return false;
}

/* "helo=name", "HELO name", "EHLO name". True: the word was one of these, or the name behind it. */
static bool take_helo(struct received *r, struct span word, bool *expects_helo)
{
    static const struct span keys[] = {SPAN("helo="), SPAN("ehlo=")};
    for (size_t i = 0; i < 2; i++)
        if (span_starts_nocase(word, keys[i])) {
            r->helo = span_skip(word, keys[i].size);
            return true;
        }
    if (*expects_helo) {
        r->helo = word;
        *expects_helo = false;
        return true;
    }
    *expects_helo = span_is_nocase(word, "HELO") || span_is_nocase(word, "EHLO");
    return *expects_helo;
}

/* A comment behind "from": "ptr [ip]", "[ip]", "ident@ptr [ip] (may be forged)", "HELO name", "[ip] helo=name", "ip".
 */
static void read_comment(struct received *r, struct span comment, bool *told_helo)
{
    bool forged = has_words(comment, "may be forged"), expects_helo = false;
    struct span rest = comment, name = {0};
    while (rest.size) {
        struct span word = span_cut(&rest, ' ');
        struct ip_address ip;
        struct span host;
        while (word.size && (word.data[word.size - 1] == ',' || word.data[word.size - 1] == ')'))
            word.size--;
        if (!word.size)
            continue;
        if (take_helo(r, word, &expects_helo)) {
            *told_helo = true;
            continue;
        }
        size_t at = span_find_last(word, '@');
        word = at < word.size ? span_skip(word, at + 1) : word;
        if (!r->has_ip && take_ip(word, &ip)) {
            r->has_ip = true;
            r->ip = ip;
        } else if (!name.size && received_take_host_name(word, &host)) {
            name = host;
        }
    }
    if (name.size && !forged && !r->ptr.size)
        r->ptr = name;
}

/* Servers that tell the HELO in the comment put the name by DNS before it (Exim, qmail); the others the HELO. */
static void settle_names(struct received *r, struct span literal, bool told_helo, bool has_comment)
{
    struct span name;
    struct ip_address ip;
    /* "from name [192.0.2.1] by": only where no comment tells it, as a client may put blanks into its HELO. */
    if (!r->has_ip && (take_ip(literal, &ip) || take_ip(r->from, &ip))) {
        r->has_ip = true;
        r->ip = ip;
    }
    if (!told_helo) {
        r->helo = r->from;
        return;
    }
    if (!r->ptr.size && has_comment && received_take_host_name(r->from, &name))
        r->ptr = name;
}

/* ---- The line ---- */

enum clause { CLAUSE_NONE, CLAUSE_FROM, CLAUSE_BY, CLAUSE_VIA, CLAUSE_WITH, CLAUSE_ID, CLAUSE_FOR, CLAUSE_COUNT };

static enum clause clause_of(struct span word)
{
    static const char *const names[CLAUSE_COUNT] = {"", "from", "by", "via", "with", "id", "for"};
    for (size_t i = 1; i < CLAUSE_COUNT; i++)
        if (span_is_nocase(word, names[i]))
            return (enum clause)i;
    return CLAUSE_NONE;
}

static struct span without_brackets(struct span s)
{
    if (s.size > 1 && s.data[0] == '<' && s.data[s.size - 1] == '>')
        return span_head(span_skip(s, 1), s.size - 2);
    return s;
}

static void take_word(struct received *r, enum clause clause, struct span word)
{
    struct span *const places[CLAUSE_COUNT] = {
        [CLAUSE_FROM] = &r->from, [CLAUSE_BY] = &r->by,         [CLAUSE_WITH] = &r->with,
        [CLAUSE_ID] = &r->id,     [CLAUSE_FOR] = &r->recipient,
    };
    if (places[clause] && !places[clause]->size)
        *places[clause] = clause == CLAUSE_FOR ? without_brackets(word) : word;
}

bool received_parse(struct span value, struct arena *arena, struct received *r)
{
    *r = (struct received){0};
    struct span rest = header_text(span_head(value, LINE_MAX_BYTES), arena);
    struct token token;
    enum clause clause = CLAUSE_NONE;
    struct span literal = {0};
    bool has_value = true, told_helo = false;
    size_t comments = 0;
    while (rest.data && next_token(&rest, &token)) {
        enum clause next = token.is_comment || !has_value ? CLAUSE_NONE : clause_of(token.text);
        if (next) {
            clause = next;
            has_value = false;
        } else if (!token.is_comment) {
            if (clause == CLAUSE_FROM && r->from.size && !literal.size && token.text.data[0] == '[')
                literal = token.text;
            take_word(r, clause, token.text);
            has_value = true;
        } else if (clause == CLAUSE_FROM && comments < COMMENTS_MAX) {
            read_comment(r, token.text, &told_helo);
            comments++;
        }
    }
    settle_names(r, literal, told_helo, comments > 0);
    return r->from.size || r->by.size;
}

/* ---- Names ---- */

bool received_is_below(struct span name, struct span domain)
{
    if (!domain.size || name.size < domain.size || !span_ends_nocase(name, domain))
        return false;
    return name.size == domain.size || name.data[name.size - domain.size - 1] == '.';
}
