#include "format/content_type.h"

#include "format/encoded_word.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* Over white space and comments; an unclosed comment ends the input. */
static struct span skip_space(struct span s)
{
    while (s.size) {
        size_t depth = 0, i = 0;
        if (is_space(s.data[0])) {
            s = span_skip(s, 1);
            continue;
        }
        if (s.data[0] != '(')
            return s;
        do {
            if (s.data[i] == '\\')
                i++;
            else if (s.data[i] == '(')
                depth++;
            else if (s.data[i] == ')')
                depth--;
            i++;
        } while (depth && i < s.size);
        s = span_skip(s, i);
    }
    return s;
}

static struct span trim_end(struct span s)
{
    while (s.size && is_space(s.data[s.size - 1]))
        s.size--;
    return s;
}

/* A word up to white space or one of RFC 2045's separators that matter here. */
static struct span take_word(struct span *rest)
{
    *rest = skip_space(*rest);
    size_t n = 0;
    while (n < rest->size && !is_space(rest->data[n]) && !strchr("/;=(\"", rest->data[n]))
        n++;
    struct span word = span_head(*rest, n);
    *rest = span_skip(*rest, n);
    return word;
}

/* Line ends inside a value are folds: they go. */
static struct span without_folds(struct span s, struct arena *arena)
{
    if (s.size == 0 || (!memchr(s.data, '\r', s.size) && !memchr(s.data, '\n', s.size) && !memchr(s.data, 0, s.size)))
        return s;
    char *to = arena_alloc(arena, s.size);
    size_t n = 0;
    for (size_t i = 0; to && i < s.size; i++)
        if (s.data[i] != '\r' && s.data[i] != '\n' && s.data[i] != '\0')
            to[n++] = s.data[i];
    return (struct span){to, n};
}

/* Behind the opening quote. Without a closing one the value goes up to the end. */
static struct span take_quoted(struct span *rest, struct arena *arena)
{
    size_t n = 0;
    bool escaped = false;
    while (n < rest->size && rest->data[n] != '"') {
        bool pair = rest->data[n] == '\\' && n + 1 < rest->size;
        escaped |= pair;
        n += pair ? 2 : 1;
    }
    struct span raw = span_head(*rest, n);
    *rest = span_skip(*rest, n + 1);
    raw = without_folds(raw, arena);
    char *to = escaped ? arena_alloc(arena, raw.size) : NULL;
    if (!to)
        return raw;
    size_t size = 0;
    for (size_t i = 0; i < raw.size; i++) {
        if (raw.data[i] == '\\' && i + 1 < raw.size)
            i++;
        to[size++] = raw.data[i];
    }
    return (struct span){to, size};
}

/* A value without quotes: to the next ';', as unquoted file names with spaces are common; but not over a comment. */
static struct span take_unquoted(struct span *rest, struct arena *arena)
{
    size_t n = 0;
    while (n < rest->size && rest->data[n] != ';' && !(rest->data[n] == '(' && n && is_space(rest->data[n - 1])))
        n++;
    struct span value = trim_end(span_head(*rest, n));
    *rest = span_skip(*rest, n);
    return without_folds(value, arena);
}

struct parameters {
    struct content_parameter *first, *last;
    size_t count;
    bool in_pieces;
};

static void add_parameter(struct parameters *all, struct span name, struct span value, struct arena *arena)
{
    struct content_parameter *p = all->count < CONTENT_PARAMETERS_MAX ? arena_alloc(arena, sizeof *p) : NULL;
    if (!p)
        return;
    p->name = name;
    p->value = value.data ? value : (struct span){"", 0};
    if (all->last)
        all->last->next = p;
    else
        all->first = p;
    all->last = p;
    all->count++;
    size_t star = span_find(name, '*');
    all->in_pieces |= star + 1 < name.size;
}

/* A parameter's name taken apart: base*index* (RFC 2231 3 and 4.1). */
struct piece {
    struct span base, value;
    uint64_t index;
    bool is_piece, is_extended;
};

static struct piece piece_of(struct span name)
{
    struct piece piece = {.base = span_head(name, span_find(name, '*'))};
    struct span rest = span_skip(name, piece.base.size + 1);
    if (piece.base.size == 0 || piece.base.size == name.size)
        return piece;
    piece.is_extended = rest.size == 0;
    if (rest.size && rest.data && rest.data[rest.size - 1] == '*') {
        piece.is_extended = true;
        rest.size--;
    }
    piece.is_piece = span_parse_u64(rest, CONTENT_PARAMETERS_MAX, &piece.index);
    return piece;
}

struct pieces {
    struct piece at[CONTENT_PARAMETERS_MAX];
    size_t count;
};

static const struct piece *find_piece(const struct pieces *all, struct span base, uint64_t index)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].is_piece && all->at[i].index == index && span_equal_nocase(all->at[i].base, base))
            return &all->at[i];
    return NULL;
}

static void add_percent_encoded(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c > 32 && c < 127 && !strchr("*'%()<>@,;:\\\"/[]?=", c))
            buf_add_char(out, (char)c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

/* Puts the pieces of one parameter together. When the first is extended, the charset in it rules all of them. */
static struct span join_pieces(const struct pieces *all, const struct piece *head, struct arena *arena)
{
    const struct piece *piece;
    size_t size = 0;
    for (uint64_t i = 0; (piece = find_piece(all, head->base, i)) != NULL; i++)
        size += piece->value.size;
    struct buf joined;
    buf_init(&joined, size * 3);
    for (uint64_t i = 0; (piece = find_piece(all, head->base, i)) != NULL; i++) {
        if (head->is_extended && !piece->is_extended)
            add_percent_encoded(&joined, piece->value);
        else
            buf_add_span(&joined, piece->value);
    }
    struct span value = {NULL, 0};
    if (!buf_failed(&joined))
        value = arena_copy(arena, buf_span(&joined));
    buf_release(&joined);
    return value;
}

static void add_joined(struct parameters *joined, const struct pieces *all, const struct piece *head,
                       struct arena *arena)
{
    struct span name = head->base;
    if (head->is_extended) {
        char *to = arena_alloc(arena, name.size + 1);
        if (!to)
            return;
        memcpy(to, name.data, name.size);
        to[name.size] = '*';
        name = span_from(to, name.size + 1);
    }
    add_parameter(joined, name, join_pieces(all, head, arena), arena);
}

/* A new list with the pieces joined. They may come in any order; those without a piece 0 stay as they are. */
static struct content_parameter *join_all(const struct content_parameter *first, struct arena *arena)
{
    struct parameters joined = {.first = NULL};
    struct pieces all;
    all.count = 0;
    for (const struct content_parameter *p = first; p; p = p->next) {
        all.at[all.count] = piece_of(p->name);
        all.at[all.count++].value = p->value;
    }
    size_t i = 0;
    for (const struct content_parameter *p = first; p; p = p->next, i++) {
        const struct piece *zero = all.at[i].is_piece ? find_piece(&all, all.at[i].base, 0) : NULL;
        if (!zero)
            add_parameter(&joined, p->name, p->value, arena);
        else if (zero == &all.at[i])
            add_joined(&joined, &all, zero, arena);
    }
    return joined.first;
}

/* Behind the type: parameters, each with a semicolon in front, which may be missing behind a quote. */
static struct content_parameter *parse_parameters(struct span rest, struct arena *arena)
{
    struct parameters all = {.first = NULL};
    while (rest.size && all.count < CONTENT_PARAMETERS_MAX) {
        rest = skip_space(rest);
        if (rest.size && strchr("/;=\"", rest.data[0])) {
            rest = span_skip(rest, 1);
            continue;
        }
        struct span name = take_word(&rest);
        rest = skip_space(rest);
        if (name.size == 0 || rest.size == 0 || rest.data[0] != '=')
            continue;
        rest = skip_space(span_skip(rest, 1));
        struct span value;
        if (rest.size && rest.data[0] == '"') {
            rest = span_skip(rest, 1);
            value = take_quoted(&rest, arena);
        } else {
            value = take_unquoted(&rest, arena);
        }
        add_parameter(&all, name, value, arena);
    }
    return all.in_pieces ? join_all(all.first, arena) : all.first;
}

bool content_type_parse(struct span value, struct arena *arena, struct content_type *type)
{
    struct span rest = value;
    struct content_type parsed = {.type = take_word(&rest)};
    rest = skip_space(rest);
    if (parsed.type.size == 0 || rest.size == 0 || rest.data[0] != '/')
        return false;
    rest = span_skip(rest, 1);
    parsed.subtype = take_word(&rest);
    if (parsed.subtype.size == 0)
        return false;
    parsed.parameters = parse_parameters(rest, arena);
    *type = parsed;
    return true;
}

bool content_disposition_parse(struct span value, struct arena *arena, struct content_disposition *disposition)
{
    struct span rest = value;
    struct content_disposition parsed = {.kind = take_word(&rest)};
    if (parsed.kind.size == 0)
        return false;
    parsed.parameters = parse_parameters(rest, arena);
    *disposition = parsed;
    return true;
}

const struct content_parameter *content_parameter_find(const struct content_parameter *first, const char *name)
{
    for (; first; first = first->next)
        if (span_is_nocase(first->name, name))
            return first;
    return NULL;
}

static int hex_digit(char c)
{
    c = ascii_lower(c);
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 2231 4: charset'language'percent-encoded. */
static void decode_extended(struct span value, struct buf *out)
{
    struct span charset = {NULL, 0}, text = value;
    size_t first = span_find(value, '\'');
    struct span behind = span_skip(value, first + 1);
    size_t second = span_find(behind, '\'');
    if (second < behind.size) {
        charset = span_head(value, first);
        text = span_skip(behind, second + 1);
    }
    struct buf bytes;
    buf_init(&bytes, text.size);
    for (size_t i = 0; text.data && i < text.size; i++) {
        int high = text.data[i] == '%' && i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.data[i + 2]) : -1;
        if (low >= 0)
            i += 2;
        buf_add_char(&bytes, low >= 0 ? (char)(high * 16 + low) : text.data[i]);
    }
    if (buf_failed(&bytes))
        out->failed = true;
    charset_to_utf8(charset, buf_span(&bytes), out);
    buf_release(&bytes);
}

bool content_parameter_decode(const struct content_parameter *first, const char *name, struct buf *out)
{
    struct span wanted = span_text(name);
    for (const struct content_parameter *p = first; p; p = p->next)
        if (p->name.size == wanted.size + 1 && p->name.data[wanted.size] == '*' &&
            span_starts_nocase(p->name, wanted)) {
            decode_extended(p->value, out);
            return true;
        }
    const struct content_parameter *plain = content_parameter_find(first, name);
    if (plain)
        encoded_word_decode(plain->value, out);
    return plain != NULL;
}
