#include "format/address.h"

#include "format/utf8.h"

#include <idn2.h>

#define LABEL_MAX 63

/* The cursor of one parse. */
struct reader {
    const char *at, *end;
    bool utf8;
    struct arena *arena;
};

static bool is_letter_or_digit(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_control(unsigned char c)
{
    return c < 32 || c == 127;
}

/* RFC 5322 section 3.2.3, RFC 6531 section 3.3. */
static bool is_atext(unsigned char c)
{
    return is_letter_or_digit(c) || c > 127 || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

static struct reader reader_over(struct span s, bool utf8, struct arena *arena)
{
    const char *at = s.data ? s.data : "";

    return (struct reader){at, at + s.size, utf8, arena};
}

static unsigned char peek(const struct reader *r)
{
    return r->at < r->end ? (unsigned char)*r->at : 0;
}

/* NULL when bytes above 127 in s are allowed and well formed. */
static const char *check_8bit(struct span s, bool utf8)
{
    if (utf8_is_ascii(s))
        return NULL;
    if (!utf8)
        return "an 8-bit character without SMTPUTF8";
    return utf8_is_valid(s) ? NULL : "bytes that are not UTF-8";
}

/* ---- The local part ---- */

/* What to say of the byte that ended a local part in the wrong place. */
static const char *wrong_local_part_byte(const struct reader *r)
{
    return is_control((unsigned char)*r->at) ? "a control character in the local part"
                                             : "a character in the local part that can't be there without quotes";
}

static const char *parse_dot_string(struct reader *r, struct span *content)
{
    const char *start = r->at;
    bool after_dot = true;

    for (; r->at < r->end; r->at++) {
        unsigned char c = (unsigned char)*r->at;
        if (c == '.') {
            if (after_dot)
                return r->at == start ? "a dot at the start of the local part" : "two dots in a row in the local part";
            after_dot = true;
        } else if (is_atext(c)) {
            after_dot = false;
        } else {
            break;
        }
    }
    if (r->at == start)
        return r->at < r->end && *r->at != '@' ? wrong_local_part_byte(r) : "the local part is missing";
    if (after_dot)
        return "a dot at the end of the local part";
    *content = span_from(start, (size_t)(r->at - start));
    return NULL;
}

/* The closing quote of the quoted string that begins at r->at, or NULL with the problem. */
static const char *find_closing_quote(const struct reader *r, bool *has_pairs, const char **problem)
{
    *has_pairs = false;
    for (const char *p = r->at + 1; p < r->end; p++) {
        if (*p == '"')
            return p;
        if (*p == '\\') {
            *has_pairs = true;
            if (++p == r->end)
                break;
        }
        if (is_control((unsigned char)*p)) {
            *problem = "a control character in the local part";
            return NULL;
        }
    }
    *problem = "a quoted local part without its closing quote";
    return NULL;
}

static const char *parse_quoted_string(struct reader *r, struct span *content)
{
    const char *problem = NULL;
    bool has_pairs;
    const char *close = find_closing_quote(r, &has_pairs, &problem);

    if (!close)
        return problem;
    *content = span_from(r->at + 1, (size_t)(close - r->at - 1));
    r->at = close + 1;
    if (content->size == 0)
        return "an empty local part";
    if (!has_pairs)
        return NULL;
    char *plain = arena_alloc(r->arena, content->size);
    size_t size = 0;
    if (!plain)
        return "no memory for the address";
    for (size_t i = 0; i < content->size; i++) {
        if (content->data[i] == '\\')
            i++;
        plain[size++] = content->data[i];
    }
    *content = span_from(plain, size);
    return NULL;
}

static const char *parse_local_part(struct reader *r, struct mail_path *path)
{
    const char *start = r->at;
    path->quoted = peek(r) == '"';
    const char *problem =
        path->quoted ? parse_quoted_string(r, &path->local_part) : parse_dot_string(r, &path->local_part);

    if (problem)
        return problem;
    struct span given = span_from(start, (size_t)(r->at - start));
    problem = check_8bit(given, r->utf8);
    if (problem)
        return problem;
    path->has_utf8 |= !utf8_is_ascii(given);
    return NULL;
}

/* ---- The domain ---- */

static const char *check_label(struct span label)
{
    if (label.size == 0)
        return "an empty label in the domain";
    if (label.size > LABEL_MAX)
        return "a label of the domain is longer than 63 octets";
    if (label.data[0] == '-' || label.data[label.size - 1] == '-')
        return "a label of the domain begins or ends with a hyphen";
    return NULL;
}

static bool is_domain_byte(unsigned char c)
{
    return is_letter_or_digit(c) || c == '-' || c == '_' || c > 127;
}

const char *domain_check(struct span domain, bool utf8)
{
    struct span rest = domain;
    const char *problem;

    if (domain.size == 0)
        return "the domain is missing";
    if (domain.size > DOMAIN_MAX)
        return "the domain is longer than 255 octets";
    for (size_t i = 0; i < domain.size; i++)
        if (domain.data[i] != '.' && !is_domain_byte((unsigned char)domain.data[i]))
            return "a character in the domain that can't be there";
    if (domain.data[domain.size - 1] == '.')
        return "a dot at the end of the domain";
    while (rest.size) {
        problem = check_label(span_cut(&rest, '.'));
        if (problem)
            return problem;
    }
    return check_8bit(domain, utf8);
}

static const char *copy_in_lower_case(struct arena *arena, struct span s, struct span *copy)
{
    char *lower = arena_alloc(arena, s.size);

    if (!lower)
        return "no memory for the address";
    for (size_t i = 0; i < s.size; i++)
        lower[i] = ascii_lower(s.data[i]);
    *copy = span_from(lower, s.size);
    return NULL;
}

static const char *parse_literal(struct reader *r, struct mail_path *path)
{
    const char *close = memchr(r->at, ']', (size_t)(r->end - r->at));

    if (!close)
        return "an address literal without its ']'";
    struct span text = span_from(r->at, (size_t)(close + 1 - r->at));
    r->at = close + 1;
    if (!ip_address_parse_literal(text, &path->literal))
        return "an address literal that is no IP address";
    path->is_literal = true;
    return copy_in_lower_case(r->arena, text, &path->domain);
}

/* The bytes that can belong to a domain name, not checked yet. */
static struct span take_domain_bytes(struct reader *r)
{
    const char *start = r->at;

    while (r->at < r->end && (*r->at == '.' || is_domain_byte((unsigned char)*r->at)))
        r->at++;
    return span_from(start, (size_t)(r->at - start));
}

static const char *parse_domain(struct reader *r, struct mail_path *path)
{
    if (peek(r) == '[')
        return parse_literal(r, path);
    struct span domain = take_domain_bytes(r);
    if (domain.size == 0 && r->at < r->end && *r->at != '>')
        return is_control((unsigned char)*r->at) ? "a control character in the domain"
                                                 : "a character in the domain that can't be there";
    const char *problem = domain_check(domain, r->utf8);
    if (problem)
        return problem;
    path->has_utf8 |= !utf8_is_ascii(domain);
    return copy_in_lower_case(r->arena, domain, &path->domain);
}

/* ---- The path ---- */

/* RFC 5321 section 4.1.2, A-d-l: "@" domain *("," "@" domain) ":". */
static const char *skip_route(struct reader *r, struct mail_path *path)
{
    struct ip_address ignored;

    for (;;) {
        if (peek(r) != '@')
            return "a source route without its '@'";
        r->at++;
        if (peek(r) == '[') {
            const char *close = memchr(r->at, ']', (size_t)(r->end - r->at));
            if (!close || !ip_address_parse_literal(span_from(r->at, (size_t)(close + 1 - r->at)), &ignored))
                return "a source route with a bad address literal";
            r->at = close + 1;
        } else {
            struct span domain = take_domain_bytes(r);
            if (domain_check(domain, r->utf8))
                return "a source route with a bad domain";
            path->has_utf8 |= !utf8_is_ascii(domain);
        }
        if (peek(r) == ':')
            break;
        if (peek(r) != ',')
            return "a source route without its ':'";
        r->at++;
    }
    r->at++;
    path->had_route = true;
    return NULL;
}

static const char *parse_mailbox(struct reader *r, struct mail_path *path)
{
    const char *problem = parse_local_part(r, path);

    if (problem)
        return problem;
    if (r->at == r->end || *r->at == '>')
        return "the domain is missing";
    if (*r->at != '@')
        return wrong_local_part_byte(r);
    r->at++;
    return parse_domain(r, path);
}

/* RFC 5321 section 4.1.1.3: "<Postmaster>", in any case, alone of all goes without a domain. */
static bool take_bare_postmaster(struct reader *r, struct mail_path *path)
{
    static const struct span postmaster = SPAN("postmaster");
    struct span rest = span_from(r->at, (size_t)(r->end - r->at));

    if (!span_starts_nocase(rest, postmaster) || rest.size == postmaster.size || rest.data[postmaster.size] != '>')
        return false;
    path->local_part = span_head(rest, postmaster.size);
    r->at += postmaster.size;
    return true;
}

static const char *parse_inside(struct reader *r, enum path_kind kind, struct mail_path *path)
{
    if (peek(r) == '>') {
        if (kind == FORWARD_PATH)
            return "an empty path";
        path->is_null = true;
        return NULL;
    }
    if (kind == FORWARD_PATH && take_bare_postmaster(r, path))
        return NULL;
    if (peek(r) == '@') {
        const char *problem = skip_route(r, path);
        if (problem)
            return problem;
    }
    return parse_mailbox(r, path);
}

const char *mail_path_parse(struct span *input, enum path_kind kind, bool utf8, struct arena *arena,
                            struct mail_path *path)
{
    struct reader r = reader_over(*input, utf8, arena);

    memset(path, 0, sizeof(*path));
    while (peek(&r) == ' ' || peek(&r) == '\t')
        r.at++;
    if (peek(&r) != '<')
        return "missing '<'";
    const char *start = ++r.at;
    const char *problem = parse_inside(&r, kind, path);
    if (problem)
        return problem;
    if (peek(&r) != '>')
        return r.at == r.end ? "missing '>'" : "a character in the path that can't be there";
    path->text = span_from(start, (size_t)(r.at - start));
    if (path->text.size + 2 > PATH_MAX_SMTP)
        return "the path is longer than 256 octets";
    *input = span_skip(*input, (size_t)(r.at + 1 - input->data));
    return NULL;
}

const char *mail_address_parse(struct span text, bool utf8, struct arena *arena, struct mail_path *path)
{
    struct reader r = reader_over(text, utf8, arena);

    memset(path, 0, sizeof(*path));
    const char *problem = parse_mailbox(&r, path);
    if (problem)
        return problem;
    if (r.at != r.end)
        return "a character in the domain that can't be there";
    if (text.size + 2 > PATH_MAX_SMTP)
        return "the address is longer than 254 octets";
    path->text = text;
    return NULL;
}

/* ---- Writing ---- */

const char *domain_to_ascii(struct arena *arena, struct span domain, struct span *ascii)
{
    const char *problem;
    char *converted = NULL;

    if (domain.size && domain.data[0] == '[')
        return copy_in_lower_case(arena, domain, ascii);
    problem = domain_check(domain, true);
    if (problem)
        return problem;
    if (utf8_is_ascii(domain))
        return copy_in_lower_case(arena, domain, ascii);
    char *text = arena_text(arena, domain);
    if (!text)
        return "no memory for the address";
    int rc = idn2_to_ascii_8z(text, &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    arena->is_starved |= rc == IDN2_MALLOC;
    if (rc != IDN2_OK)
        return "a domain that has no internationalised form";
    *ascii = arena_copy(arena, span_text(converted));
    idn2_free(converted);
    if (!ascii->data)
        return "no memory for the address";
    return domain_check(*ascii, false);
}

static bool is_dot_string(struct span s)
{
    bool after_dot = true;

    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] == '.' ? after_dot : !is_atext((unsigned char)s.data[i]))
            return false;
        after_dot = s.data[i] == '.';
    }
    return !after_dot;
}

static void write_without_controls(struct span s, bool quoted, struct buf *out)
{
    for (size_t i = 0; i < s.size; i++) {
        if (is_control((unsigned char)s.data[i]))
            continue;
        if (quoted && (s.data[i] == '"' || s.data[i] == '\\'))
            buf_add_char(out, '\\');
        buf_add_char(out, s.data[i]);
    }
}

void mail_path_write(struct span local_part, struct span domain, struct buf *out)
{
    if (is_dot_string(local_part)) {
        buf_add_span(out, local_part);
    } else {
        buf_add_char(out, '"');
        write_without_controls(local_part, true, out);
        buf_add_char(out, '"');
    }
    if (domain.size == 0)
        return;
    buf_add_char(out, '@');
    write_without_controls(domain, false, out);
}
