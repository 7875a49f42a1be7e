#include "config/source.h"

enum word_kind { WORD_END, WORD_NAME, WORD_TEXT, WORD_SIGN };

struct word {
    enum word_kind kind;
    struct span text; /* of a WORD_TEXT: without its quotes */
    unsigned line;
    char sign; /* '=' never stands for "==" */
};

struct reader {
    const char *at, *end;
    unsigned line;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char peek(const struct reader *r, size_t ahead)
{
    return (size_t)(r->end - r->at) > ahead ? r->at[ahead] : 0;
}

static void skip(struct reader *r)
{
    r->line += *r->at == '\n';
    r->at++;
}

/* The level of a long bracket "[==[" that begins here, or -1 (Lua 5.4 manual, section 3.1). */
static int long_bracket(const struct reader *r)
{
    size_t level = 0;
    if (peek(r, 0) != '[')
        return -1;
    while (level < 1000 && peek(r, 1 + level) == '=')
        level++;
    return peek(r, 1 + level) == '[' ? (int)level : -1;
}

static bool closes(const struct reader *r, size_t level)
{
    if (peek(r, 0) != ']' || peek(r, 1 + level) != ']')
        return false;
    for (size_t i = 0; i < level; i++)
        if (peek(r, 1 + i) != '=')
            return false;
    return true;
}

static struct span read_long_bracket(struct reader *r, size_t level)
{
    r->at += level + 2;
    const char *start = r->at;
    while (r->at < r->end && !closes(r, level))
        skip(r);
    struct span text = span_from(start, (size_t)(r->at - start));
    r->at = (size_t)(r->end - r->at) < level + 2 ? r->end : r->at + level + 2;
    return text;
}

static struct span read_quoted(struct reader *r)
{
    char quote = *r->at;
    r->at++;
    const char *start = r->at;
    while (r->at < r->end && *r->at != quote && *r->at != '\n') {
        if (*r->at == '\\' && r->at + 1 < r->end)
            skip(r);
        skip(r);
    }
    struct span text = span_from(start, (size_t)(r->at - start));
    if (r->at < r->end && *r->at == quote)
        r->at++;
    return text;
}

static void skip_comment(struct reader *r)
{
    r->at += 2;
    int level = long_bracket(r);
    if (level >= 0) {
        read_long_bracket(r, (size_t)level);
        return;
    }
    while (r->at < r->end && *r->at != '\n')
        r->at++;
}

static void skip_blanks(struct reader *r)
{
    for (; r->at < r->end;) {
        if (peek(r, 0) == '-' && peek(r, 1) == '-')
            skip_comment(r);
        else if ((unsigned char)*r->at <= ' ')
            skip(r);
        else
            return;
    }
}

static struct word next_word(struct reader *r)
{
    skip_blanks(r);
    struct word word = {.line = r->line};
    if (r->at >= r->end)
        return word;
    int level = long_bracket(r);
    if (level >= 0 || *r->at == '"' || *r->at == '\'') {
        word.kind = WORD_TEXT;
        word.text = level >= 0 ? read_long_bracket(r, (size_t)level) : read_quoted(r);
    } else if (is_name_char(*r->at)) {
        word.kind = WORD_NAME;
        const char *start = r->at;
        while (r->at < r->end && is_name_char(*r->at))
            r->at++;
        word.text = span_from(start, (size_t)(r->at - start));
    } else {
        word.kind = WORD_SIGN;
        word.sign = *r->at;
        bool two = peek(r, 1) == '=' && (word.sign == '=' || word.sign == '<' || word.sign == '>' || word.sign == '~');
        if (two)
            word.sign = '?';
        r->at += two ? 2 : 1;
    }
    return word;
}

static bool is_sign(const struct word *word, char sign)
{
    return word->kind == WORD_SIGN && word->sign == sign;
}

static int depth_change(const struct word *word)
{
    if (word->kind != WORD_SIGN)
        return 0;
    return word->sign == '{' || word->sign == '(' || word->sign == '['   ? 1
           : word->sign == '}' || word->sign == ')' || word->sign == ']' ? -1
                                                                         : 0;
}

/* The last "NAME =" outside of brackets that begins at or before last_line; *r then stands behind its "=". The line, or
 * 0. */
static unsigned find_statement(struct reader *r, unsigned last_line, struct span name)
{
    struct reader found = *r, here = *r;
    unsigned line = 0;
    int depth = 0;
    struct word before = {0}, word = next_word(&here);
    while (word.kind != WORD_END && word.line <= last_line) {
        struct reader behind = here;
        struct word next = next_word(&behind);
        bool assigned = depth == 0 && word.kind == WORD_NAME && span_equal(word.text, name) && is_sign(&next, '=');
        bool global = !is_sign(&before, '.') && !(before.kind == WORD_NAME && span_is(before.text, "local"));
        if (assigned && global) {
            line = word.line;
            found = behind;
        }
        depth += depth_change(&word);
        before = word;
        word = next;
        here = behind;
    }
    *r = found;
    return line;
}

/* The key of the entry that begins with `word`, empty for a list item. *r is put behind the "=" when there is a key. */
static struct span read_key(struct reader *r, const struct word *word)
{
    struct reader ahead = *r;
    struct word next = next_word(&ahead);
    if (word->kind == WORD_NAME && is_sign(&next, '=')) {
        *r = ahead;
        return word->text;
    }
    if (!is_sign(word, '[') || next.kind != WORD_TEXT)
        return span_from(NULL, 0);
    struct word bracket = next_word(&ahead), equals = next_word(&ahead);
    if (!is_sign(&bracket, ']') || !is_sign(&equals, '='))
        return span_from(NULL, 0);
    *r = ahead;
    return next.text;
}

/* Goes on behind the value of an entry: to the comma, semicolon or closing brace. False at the table's end. `word` is
 * the first of the value. */
static bool skip_value(struct reader *r, struct word word)
{
    for (int depth = 0; word.kind != WORD_END; word = next_word(r)) {
        if (depth == 0 && (is_sign(&word, ',') || is_sign(&word, ';')))
            return true;
        depth += depth_change(&word);
        if (depth < 0)
            return false;
    }
    return false;
}

/* With *r before a table's "{": puts it before the value of the entry, and returns the entry's line. 0 when it isn't
 * shown. */
static unsigned find_entry(struct reader *r, const struct source_step *step)
{
    struct word word = next_word(r);
    if (!is_sign(&word, '{'))
        return 0;
    size_t items = 0;
    for (bool more = true; more;) {
        struct reader before = *r;
        word = next_word(r);
        if (word.kind == WORD_END || is_sign(&word, '}'))
            return 0;
        unsigned line = word.line;
        struct span key = read_key(r, &word);
        bool found = key.size ? span_equal(key, step->key) : step->key.size == 0 && ++items == step->item;
        if (found && !key.size)
            *r = before;
        if (found)
            return line;
        more = skip_value(r, key.size ? next_word(r) : word);
    }
    return 0;
}

unsigned source_find(struct span text, unsigned last_line, const struct source_step *steps, size_t count)
{
    if (text.size == 0 || count == 0)
        return last_line;
    struct reader r = {text.data, text.data + text.size, 1};
    unsigned line = find_statement(&r, last_line, steps[0].key);
    if (!line)
        return last_line;
    for (size_t i = 1; i < count; i++) {
        unsigned next = find_entry(&r, &steps[i]);
        if (!next)
            return line;
        line = next;
    }
    return line;
}
