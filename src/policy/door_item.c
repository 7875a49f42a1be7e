#include "policy/door_item.h"

#include "format/address.h"
#include "format/utf8.h"
#include "policy/pattern.h"
#include "policy/remote_account.h"

#include <stdio.h>

static const char *const kind_names[DOOR_KIND_COUNT] = {
    [DOOR_RULE] = "rule",
    [DOOR_WHITE] = "white",
    [DOOR_BLACK] = "black",
    [DOOR_KNOWN] = "known",
    [DOOR_APPROVED] = "approved",
    [DOOR_DENIED] = "denied",
    [DOOR_DENIED_NAME] = "denied-name",
    [DOOR_PASSCODE] = "passcode",
    [DOOR_CODE_FOR] = "code-for",
    [DOOR_ADDRESS] = "address",
    [DOOR_REMOTE] = "remote",
};

const char *door_kind_name(enum door_kind kind)
{
    return (unsigned)kind < DOOR_KIND_COUNT && kind_names[kind] ? kind_names[kind] : "?";
}

bool door_kind_parse(struct span name, enum door_kind *kind)
{
    for (unsigned i = 1; i < DOOR_KIND_COUNT; i++) {
        if (span_is(name, kind_names[i])) {
            *kind = (enum door_kind)i;
            return true;
        }
    }
    return false;
}

/* What is checked, and what becomes of it. */
struct check {
    enum door_kind kind;
    enum rule_level level;
    struct span name, value; /* both trimmed */
    struct arena *arena;
    struct span *checked_name, *checked_value;
    struct buf *problem;
};

static bool no_memory(struct check *c)
{
    buf_add_text(c->problem, "there is no memory for it");
    return false;
}

static bool keep(struct check *c, struct span *to, struct span s)
{
    *to = arena_copy(c->arena, s);
    return to->data || no_memory(c);
}

static bool keep_buf(struct check *c, struct span *to, struct buf *b)
{
    bool kept = !buf_failed(b) && keep(c, to, buf_span(b));
    if (buf_failed(b))
        no_memory(c);
    buf_release(b);
    return kept;
}

static struct span lower(struct arena *arena, struct span s)
{
    char *copy = arena_text(arena, s);
    for (size_t i = 0; copy && i < s.size; i++)
        copy[i] = ascii_lower(copy[i]);
    return (struct span){copy, copy ? s.size : 0};
}

static bool is_text(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 127)
            return false;
    return utf8_is_valid(s);
}

/* ---- Names ---- */

/* A domain in lower-case A-labels, or with a "*." before it. */
static bool is_domain(struct check *c, struct span text, struct span *ascii)
{
    return text.size && !domain_check(text, true) && !domain_to_ascii(c->arena, text, ascii);
}

static bool sender_name(struct check *c, struct span text, struct buf *out)
{
    struct mail_path path;
    struct span domain;
    bool is_pattern = text.size > 2 && text.data[0] == '*' && text.data[1] == '.';
    bool has_local = text.size && text.data[0] != '@' && span_find_last(text, '@') < text.size;
    if (has_local) {
        if (mail_address_parse(text, true, c->arena, &path) || domain_to_ascii(c->arena, path.domain, &domain))
            return false;
        mail_path_write(lower(c->arena, path.local_part), domain, out);
        return true;
    }
    /* "bob", where bob@example.net was meant, would be a domain that lets nobody in. */
    if (!is_pattern && text.size && text.data[0] != '@' && span_find(text, '.') == text.size)
        return false;
    if (!is_domain(c, span_skip(text, is_pattern ? 2 : text.size && text.data[0] == '@'), &domain))
        return false;
    buf_add_text(out, is_pattern ? "*." : "@");
    buf_add_span(out, domain);
    return true;
}

/* "192.0.2.0/24" without host bits; an address by itself stays one. */
static bool network_write(struct span text, struct buf *out)
{
    struct ip_address ip;
    struct span rest = text;
    struct span address = span_cut(&rest, '/');
    uint64_t bits;
    bool has_bits = address.size < text.size;
    if (!ip_address_parse(address, &ip))
        return false;
    bool is_ipv4 = ip_address_is_ipv4(&ip);
    uint64_t most = is_ipv4 ? 32 : 128;
    if (!has_bits)
        bits = most;
    else if (!span_parse_u64(rest, most, &bits))
        return false;
    for (uint64_t bit = bits + (is_ipv4 ? 96 : 0); bit < 128; bit++)
        ip.bytes[bit / 8] &= (unsigned char)~(0x80u >> (bit % 8));
    ip_address_write(&ip, out);
    if (bits < most)
        buf_printf(out, "/%u", (unsigned)bits);
    return true;
}

/* What the keys of senders have (door_keys.c): single addresses, and networks of these sizes. */
#define FROM_IPV4_BITS 24
#define FROM_IPV6_BITS 64

static bool is_from_network(struct span written)
{
    struct span rest = written, address = span_cut(&rest, '/');
    bool is_ipv6 = span_find(address, ':') < address.size;
    uint64_t bits;
    return address.size == written.size ||
           (span_parse_u64(rest, 128, &bits) && bits == (is_ipv6 ? FROM_IPV6_BITS : FROM_IPV4_BITS));
}

/* "a@b.example from 192.0.2.0/24". Only whole addresses: of a domain nobody has to say where its mail comes from. */
static bool sender_from(struct check *c, struct span text, size_t at, struct buf *out)
{
    struct span sender = span_trim(span_head(text, at));
    size_t word = span_find_last(sender, ' '), local = span_find_last(span_head(sender, word), '@');
    struct span before = span_trim(span_head(sender, word));
    size_t start;
    if (word == sender.size || !span_is_nocase(span_skip(sender, word + 1), "from") || local == word || !local ||
        !sender_name(c, before, out))
        return false;
    buf_add_text(out, " from ");
    start = out->size;
    return network_write(span_skip(text, at + 1), out) && is_from_network(span_skip(buf_span(out), start));
}

static bool check_sender(struct check *c)
{
    struct buf out;
    buf_init(&out, DOOR_NAME_MAX);
    /* Behind the last blank of a mere address there is an @, also where its local part stands in quotes. */
    size_t at = span_find_last(c->name, ' ');
    bool has_from = at < c->name.size && span_find(span_skip(c->name, at), '@') == c->name.size - at;
    bool may_have_from = c->kind == DOOR_WHITE || c->kind == DOOR_BLACK;
    if (has_from ? may_have_from && sender_from(c, c->name, at, &out) : sender_name(c, c->name, &out))
        return keep_buf(c, c->checked_name, &out);
    buf_release(&out);
    buf_printf(c->problem,
               "\"%.*s\" is no sender: expected an address like bob@example.org, a domain like "
               "@example.org, or *.example.org for all domains below it",
               SPAN_ARG(span_head(c->name, 100)));
    if (has_from && may_have_from)
        buf_add_text(c->problem, "; behind \"from\" of an address stands where it may come from: an IP address, or the "
                                 "network of one, which is a /24 (IPv6: a /64)");
    return false;
}

static bool host_write(struct check *c, struct span text, struct buf *out)
{
    struct span domain;
    bool is_pattern = text.size > 2 && text.data[0] == '*' && text.data[1] == '.';
    if (!is_domain(c, is_pattern ? span_skip(text, 2) : text, &domain))
        return false;
    buf_add_text(out, is_pattern ? "*." : "");
    buf_add_span(out, domain);
    return true;
}

static bool check_server(struct check *c)
{
    struct buf out;
    buf_init(&out, DOOR_NAME_MAX);
    struct span name = c->name;
    if (c->kind == DOOR_DENIED && name.size && name.data[0] == '@') /* as a sender's domain is written elsewhere */
        name = span_skip(name, 1);
    if (network_write(name, &out) || host_write(c, name, &out))
        return keep_buf(c, c->checked_name, &out);
    buf_release(&out);
    buf_printf(c->problem,
               "\"%.*s\" is no server: expected an address like 192.0.2.7, a network like 192.0.2.0/24, a "
               "host name like mx.example.org, or *.example.org",
               SPAN_ARG(span_head(c->name, 100)));
    return false;
}

static bool is_name_pattern(struct span s)
{
    size_t label = 0, letters = 0;
    for (size_t i = 0; i < s.size; i++) {
        char ch = s.data[i];
        bool is_letter = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
        if (ch == '.' ? label == 0 : !is_letter && ch != '*')
            return false;
        label = ch == '.' ? 0 : label + 1;
        letters += is_letter;
    }
    return label && letters && s.size <= 253;
}

static bool check_denied_name(struct check *c)
{
    struct span name = lower(c->arena, c->name);
    if (c->name.size && !name.data)
        return no_memory(c);
    if (is_name_pattern(name)) {
        *c->checked_name = name;
        return true;
    }
    buf_printf(c->problem,
               "\"%.*s\" is no part of a host name: expected labels like dsl.example, with * for parts of "
               "a label, like dyn*",
               SPAN_ARG(span_head(c->name, 100)));
    return false;
}

/* Whatever a person calls it. */
static bool check_label(struct check *c)
{
    if (c->name.size && c->name.size <= 100 && is_text(c->name))
        return keep(c, c->checked_name, c->name);
    buf_add_text(c->problem, "expected a name of 1 to 100 bytes, without control characters");
    return false;
}

/* What stands behind "+" in the local part. */
static bool check_detail(struct check *c)
{
    struct span name = lower(c->arena, c->name);
    bool is_good = name.size && name.size <= 64;
    for (size_t i = 0; is_good && i < name.size; i++) {
        char ch = name.data[i];
        is_good = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' ||
                  (ch == '.' && i && i + 1 < name.size && name.data[i - 1] != '.');
    }
    if (is_good) {
        *c->checked_name = name;
        return true;
    }
    buf_printf(c->problem,
               "\"%.*s\" can't stand behind the + of an address: expected letters, digits, hyphens, at "
               "most 64",
               SPAN_ARG(span_head(c->name, 100)));
    return false;
}

static bool check_setting_name(struct check *c)
{
    unsigned rule, parameter;
    if (!rule_parameter_find(c->name, &rule, &parameter)) {
        buf_printf(c->problem, "there is no rule setting \"%.*s\"", SPAN_ARG(span_head(c->name, 100)));
        return false;
    }
    const char *name = rules[rule].parameters[parameter].name;
    struct buf out;
    buf_init(&out, DOOR_NAME_MAX);
    buf_add_text(&out, rules[rule].name); /* also where SimbeyMail's name was given */
    buf_printf(&out, "%s%s", *name ? "." : "", name);
    return keep_buf(c, c->checked_name, &out);
}

/* ---- Values ---- */

static bool check_remark(struct check *c)
{
    if (c->value.size <= 500 && is_text(c->value))
        return keep(c, c->checked_value, c->value);
    buf_add_text(c->problem, "expected a remark of at most 500 bytes, without control characters");
    return false;
}

static bool check_digits(struct check *c)
{
    bool is_good = c->value.size >= 1 && c->value.size <= 20;
    for (size_t i = 0; is_good && i < c->value.size; i++)
        is_good = c->value.data[i] >= '0' && c->value.data[i] <= '9';
    if (is_good)
        return keep(c, c->checked_value, c->value);
    buf_add_text(c->problem, "expected a passcode of 1 to 20 digits");
    return false;
}

/* One that is given out here has to be hard to guess. */
static bool check_passcode(struct check *c)
{
    if (c->value.size >= 4)
        return check_digits(c);
    buf_add_text(c->problem, "expected a passcode of 4 to 20 digits");
    return false;
}

static bool check_entries(struct check *c)
{
    struct buf out;
    struct span rest = c->value;
    buf_init(&out, DOOR_VALUE_MAX);
    for (struct span word = words_next(&rest); word.size; word = words_next(&rest)) {
        if (out.size)
            buf_add_char(&out, ' ');
        if (sender_name(c, word, &out))
            continue;
        buf_release(&out);
        buf_printf(c->problem,
                   "\"%.*s\" is no sender: expected addresses or domains like bob@example.org "
                   "@example.org *.example.org",
                   SPAN_ARG(span_head(word, 100)));
        return false;
    }
    return keep_buf(c, c->checked_value, &out);
}

static bool check_setting(struct check *c)
{
    unsigned rule, parameter;
    struct rule_value value = {.level = c->level};
    struct buf problem;
    if (!rule_parameter_find(c->name, &rule, &parameter))
        return false; /* check_setting_name has said so */
    buf_init(&problem, 1000);
    bool is_good = rule_value_parse(&rules[rule].parameters[parameter], c->value, c->arena, &value, &problem);
    if (is_good)
        *c->checked_value = value.text;
    else
        buf_printf(c->problem, "%.*s=%.*s: %.*s", SPAN_ARG(*c->checked_name), SPAN_ARG(span_head(c->value, 100)),
                   SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return is_good;
}

static bool check_nothing(struct check *c)
{
    if (c->value.size == 0)
        return keep(c, c->checked_value, c->value);
    buf_add_text(c->problem, "nothing may stand behind the name");
    return false;
}

/* What could not be fetched from later is not kept now, whoever asks for it. */
static bool check_remote(struct check *c)
{
    struct remote_account account;
    if (!is_text(c->value)) {
        buf_add_text(c->problem, "a control character stands in the value");
        return false;
    }
    return remote_account_parse(c->value, c->arena, &account, c->problem) && keep(c, c->checked_value, c->value);
}

/* ---- Kinds ---- */

#define AT(level) (1u << (level))
#define ANYWHERE (AT(LEVEL_SITE) | AT(LEVEL_DOMAIN) | AT(LEVEL_ACCOUNT) | AT(LEVEL_ADDRESS))

static const struct {
    bool (*name)(struct check *c);
    bool (*value)(struct check *c);
    unsigned levels;
    const char *owners;
} kinds[DOOR_KIND_COUNT] = {
    [DOOR_RULE] = {check_setting_name, check_setting, ANYWHERE, "anybody"},
    [DOOR_WHITE] = {check_sender, check_remark, ANYWHERE, "anybody"},
    [DOOR_BLACK] = {check_sender, check_remark, ANYWHERE, "anybody"},
    [DOOR_KNOWN] = {check_sender, check_nothing, AT(LEVEL_ACCOUNT), "an account"},
    [DOOR_APPROVED] = {check_server, check_remark, AT(LEVEL_SITE), "the site"},
    [DOOR_DENIED] = {check_server, check_remark, AT(LEVEL_SITE), "the site"},
    [DOOR_DENIED_NAME] = {check_denied_name, check_remark, AT(LEVEL_SITE), "the site"},
    [DOOR_PASSCODE] = {check_label, check_passcode, AT(LEVEL_ACCOUNT) | AT(LEVEL_ADDRESS), "an account or an address"},
    [DOOR_CODE_FOR] = {check_sender, check_digits, AT(LEVEL_SITE) | AT(LEVEL_ACCOUNT), "the site or an account"},
    [DOOR_ADDRESS] = {check_detail, check_entries, AT(LEVEL_ACCOUNT), "an account"},
    [DOOR_REMOTE] = {check_label, check_remote, AT(LEVEL_ACCOUNT), "an account"},
};

bool door_item_check(enum door_kind kind, enum rule_level level, struct span name, struct span value,
                     struct arena *arena, struct span *checked_name, struct span *checked_value, struct buf *problem)
{
    struct check c = {.kind = kind,
                      .level = level,
                      .name = span_trim(name),
                      .value = span_trim(value),
                      .arena = arena,
                      .checked_name = checked_name,
                      .checked_value = checked_value,
                      .problem = problem};
    if ((unsigned)kind >= DOOR_KIND_COUNT || !kinds[kind].name) {
        buf_printf(problem, "there is no kind %u of door items", (unsigned)kind);
        return false;
    }
    if ((unsigned)level >= LEVEL_DEFAULT || !(kinds[kind].levels & AT(level))) {
        bool is_sites = kinds[kind].levels == AT(LEVEL_SITE);
        buf_printf(problem, "%s items belong to %s%s", door_kind_name(kind), kinds[kind].owners,
                   is_sites ? " (--site)" : "");
        return false;
    }
    if (name.size > DOOR_NAME_MAX || value.size > DOOR_VALUE_MAX) {
        buf_printf(problem, "a name may have %d bytes and what stands behind it %d", DOOR_NAME_MAX, DOOR_VALUE_MAX);
        return false;
    }
    return kinds[kind].name(&c) && kinds[kind].value(&c);
}
