#include "format/address_list.h"

/* The tokens that hide other characters. An opening without its end is an ordinary character, and then every later one
 * too: the search for an end that isn't there happens once a list, which keeps it linear. */
struct scanner {
    struct span text;
    size_t at;
    bool no_more_quotes, no_more_comments, no_more_literals;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0';
}

/* The position behind the quoted string, domain literal or (nesting) comment that starts at `at`; 0 when it has no
 * end. */
static size_t hidden_end(struct span text, size_t at, char close)
{
    char open = text.data[at];
    size_t depth = 0;
    for (size_t i = at; i < text.size; i++) {
        char c = text.data[i];
        if (c == '\\')
            i++;
        else if (c == '(' && open == '(')
            depth++;
        else if (c == close && i > at && (open != '(' || --depth == 0))
            return i + 1;
    }
    return 0;
}

/* When such a token starts here, the position behind it; else 0. */
static size_t hidden_token(struct scanner *s, size_t at)
{
    bool *none;
    char close;
    switch (s->text.data[at]) {
    case '"':
        none = &s->no_more_quotes;
        close = '"';
        break;
    case '(':
        none = &s->no_more_comments;
        close = ')';
        break;
    case '[':
        none = &s->no_more_literals;
        close = ']';
        break;
    default:
        return 0;
    }
    size_t end = *none ? 0 : hidden_end(s->text, at, close);
    *none = end == 0;
    return end;
}

/* Output never longer than the input, which is the room at `to`. */
struct cook {
    char *to;
    size_t size;
    bool space; /* white space is owed before the next word */
    bool tight; /* none around dots: a local part or domain, where only obsolete syntax has it */
};

static void cook_add(struct cook *c, char ch)
{
    bool owed = c->space && c->size;
    if (owed && !(c->tight && (ch == '.' || c->to[c->size - 1] == '.')))
        c->to[c->size++] = ' ';
    c->space = false;
    c->to[c->size++] = ch;
}

static void cook_quoted(struct cook *c, struct span inner)
{
    if (c->space && c->size)
        c->to[c->size++] = ' ';
    c->space = false;
    for (size_t i = 0; i < inner.size; i++) {
        if (inner.data[i] == '\\' && i + 1 < inner.size)
            i++;
        char ch = inner.data[i];
        if (ch != '\r' && ch != '\n' && ch != '\0')
            c->to[c->size++] = ch;
    }
}

static bool needs_cooking(struct span text)
{
    char before = 0;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (c == '"' || c == '(' || (is_space(c) && (c != ' ' || before == ' ')) || (c == '.' && before == ' ') ||
            (c == ' ' && before == '.'))
            return true;
        before = c;
    }
    return false;
}

/* The words with quotes undone, comments left out and white space made single. */
static struct span cook(struct span text, bool tight, struct arena *arena)
{
    while (text.size && is_space(text.data[0]))
        text = span_skip(text, 1);
    while (text.size && is_space(text.data[text.size - 1]))
        text.size--;
    if (text.size == 0)
        return (struct span){"", 0};
    if (!needs_cooking(text))
        return text;
    /* A space is owed at most once for each word, and each word stood behind at least one byte that is not copied. */
    struct cook c = {.to = arena_alloc(arena, text.size), .tight = tight};
    if (!c.to)
        return (struct span){NULL, 0};
    struct scanner s = {.text = text};
    while (s.at < text.size) {
        char ch = text.data[s.at];
        size_t end = ch == '[' ? 0 : hidden_token(&s, s.at);
        if (end == 0) {
            if (is_space(ch))
                c.space = true;
            else
                cook_add(&c, ch);
            s.at++;
            continue;
        }
        if (ch == '"')
            cook_quoted(&c, span_from(text.data + s.at + 1, end - s.at - 2));
        else
            c.space = true;
        s.at = end;
    }
    return (struct span){c.to, c.size};
}

static void link_address(struct address_list *list, struct address *address)
{
    if (list->last)
        list->last->next = address;
    else
        list->first = address;
    list->last = address;
}

static struct address *add(struct address_list *list, struct arena *arena, enum address_kind kind)
{
    struct address *address = NULL;
    if (list->count < ADDRESS_LIST_MAX)
        address = arena_alloc(arena, sizeof *address);
    if (!address) {
        list->truncated = true;
        return NULL;
    }
    address->kind = kind;
    link_address(list, address);
    list->count++;
    return address;
}

/* The end is taken from the arena with the start: a group that was opened can always be closed. */
static struct address *add_group(struct address_list *list, struct span name, struct arena *arena)
{
    struct address *end = list->count + 1 < ADDRESS_LIST_MAX ? arena_alloc(arena, sizeof *end) : NULL;
    struct address *start = end ? add(list, arena, ADDRESS_GROUP_START) : NULL;
    if (!start) {
        list->truncated = true;
        return NULL;
    }
    start->name = name;
    end->kind = ADDRESS_GROUP_END;
    list->count++;
    return end;
}

static void end_group(struct address_list *list, struct address **group)
{
    if (*group)
        link_address(list, *group);
    *group = NULL;
}

/* What stands from `from` to the first of `stops` that isn't hidden in quotes, comments or literals. */
struct stretch {
    struct span text;
    struct span comment; /* the inside of the last comment */
    size_t at_sign;      /* of the last '@' in text; text.size when there is none */
    char stop;           /* 0 at the end of the input */
};

static struct stretch take_stretch(struct scanner *s, const char *stops)
{
    size_t from = s->at, at_sign = SIZE_MAX;
    struct stretch stretch = {.text = {NULL, 0}};
    while (s->at < s->text.size) {
        char c = s->text.data[s->at];
        size_t end = hidden_token(s, s->at);
        if (end) {
            if (c == '(')
                stretch.comment = span_from(s->text.data + s->at + 1, end - s->at - 2);
            s->at = end;
            continue;
        }
        if (c && strchr(stops, c)) {
            stretch.stop = c;
            break;
        }
        if (c == '@')
            at_sign = s->at - from;
        s->at++;
    }
    stretch.text = span_from(s->text.data + from, s->at - from);
    stretch.at_sign = at_sign == SIZE_MAX ? stretch.text.size : at_sign;
    if (stretch.stop)
        s->at++;
    return stretch;
}

static void set_addr_spec(struct address *a, struct span text, size_t at_sign, struct arena *arena)
{
    a->mailbox = cook(span_head(text, at_sign), true, arena);
    a->host = cook(span_skip(text, at_sign + 1), true, arena);
}

/* Behind '<'. Without a '>' the address ends at the comma. */
static void take_angle(struct scanner *s, struct address *a, struct arena *arena)
{
    struct span route = {NULL, 0};
    while (s->at < s->text.size && is_space(s->text.data[s->at]))
        s->at++;
    if (s->at < s->text.size && s->text.data[s->at] == '@') {
        struct stretch before = take_stretch(s, ":>");
        if (before.stop == '>') {
            a->host = cook(span_skip(before.text, 1), true, arena);
            return;
        }
        route = cook(before.text, true, arena);
    }
    struct stretch spec = take_stretch(s, ">,");
    a->route = route;
    set_addr_spec(a, spec.text, spec.at_sign, arena);
    if (spec.stop == ',')
        s->at--;
}

/* An address without angle brackets, or none at all between two commas. */
static void add_bare(const struct stretch *bare, struct address_list *list, struct arena *arena)
{
    struct span words = cook(bare->text, true, arena);
    if (words.size == 0)
        return;
    struct address *a = add(list, arena, ADDRESS_MAILBOX);
    if (!a)
        return;
    bool has_at = bare->at_sign < bare->text.size;
    if (!has_at && memchr(words.data, ' ', words.size))
        a->name = cook(bare->text, false, arena); /* several words are somebody's name, one is a local user's */
    else
        set_addr_spec(a, bare->text, bare->at_sign, arena);
    if (bare->comment.size && a->name.size == 0)
        a->name = cook(bare->comment, false, arena);
}

static void add_angle(struct scanner *s, struct span name, struct address_list *list, struct arena *arena, char *stop)
{
    struct address *a = add(list, arena, ADDRESS_MAILBOX);
    *stop = 0;
    if (!a)
        return;
    a->name = cook(name, false, arena);
    take_angle(s, a, arena);
    /* What stands between '>' and the comma is noise, but for a comment that holds the name, the next address of a
     * list that forgot its comma, and the end of a group. */
    struct stretch behind = take_stretch(s, ",;<");
    if (a->name.size == 0)
        a->name = cook(behind.comment, false, arena);
    if (behind.stop == '<')
        s->at--;
    *stop = behind.stop;
}

void address_list_parse(struct span value, struct arena *arena, struct address_list *list)
{
    struct scanner s = {.text = value};
    struct address *group = NULL; /* the end of the one that is open */
    while (s.at < value.size && !list->truncated) {
        struct stretch next = take_stretch(&s, group ? "<,;" : "<,;:");
        char stop = next.stop;
        if (stop == '<')
            add_angle(&s, next.text, list, arena, &stop);
        else if (stop == ':')
            group = add_group(list, cook(next.text, false, arena), arena);
        else
            add_bare(&next, list, arena);
        if (stop == ';')
            end_group(list, &group);
    }
    end_group(list, &group);
}
