#include "policy/host_name.h"

#include "policy/pattern.h"

#include <stdio.h>

static bool consists_of(struct span s, const char *characters)
{
    for (size_t i = 0; i < s.size; i++)
        if (!s.data[i] || !strchr(characters, ascii_lower(s.data[i])))
            return false;
    return s.size > 0;
}

/* Four numbers with dots: also those that are no address, since they are no name either. */
static bool looks_like_quad(struct span s)
{
    unsigned parts = 0;
    if (!consists_of(s, "0123456789."))
        return false;
    while (s.size) {
        parts += span_find(s, '.') > 0;
        (void)span_cut(&s, '.');
    }
    return parts == 4;
}

bool host_name_is_address(struct span name, struct ip_address *ip)
{
    memset(ip, 0, sizeof *ip);
    if (name.size > 1 && name.data[name.size - 1] == '.') /* "192.0.2.7.", which is no more of a name */
        name = span_head(name, name.size - 1);
    if (ip_address_parse(name, ip) || ip_address_parse_literal(name, ip))
        return true;
    if (name.size >= 2 && name.data[0] == '[' && name.data[name.size - 1] == ']') {
        struct span inner = {name.data + 1, name.size - 2};
        if (ip_address_parse(inner, ip)) /* an IPv6 address without its tag */
            return true;
        return looks_like_quad(inner) || span_starts_nocase(inner, (struct span)SPAN("ipv6:")) ||
               (consists_of(inner, "0123456789abcdef:.") && span_find(inner, ':') < inner.size);
    }
    return looks_like_quad(name);
}

static struct span without_last_dot(struct span name)
{
    return name.size && name.data[name.size - 1] == '.' ? span_head(name, name.size - 1) : name;
}

struct span host_name_last_label(struct span name)
{
    name = without_last_dot(name);
    size_t dot = span_find_last(name, '.');
    return dot == name.size ? name : span_skip(name, dot + 1);
}

/* The address's four numbers, in either order, with dots or hyphens between or as hexadecimal digits. */
static bool has_numbers_of(struct span name, const struct ip_address *ip)
{
    const unsigned char *b = ip->bytes + 12;
    char pattern[40];
    static const char separators[] = {'-', '.', '_'};
    if (!ip_address_is_ipv4(ip))
        return false;
    for (unsigned i = 0; i < sizeof separators; i++) {
        char s = separators[i];
        snprintf(pattern, sizeof pattern, "*%u%c%u%c%u%c%u*", b[0], s, b[1], s, b[2], s, b[3]);
        if (pattern_matches(span_text(pattern), name))
            return true;
        snprintf(pattern, sizeof pattern, "*%u%c%u%c%u%c%u*", b[3], s, b[2], s, b[1], s, b[0]);
        if (pattern_matches(span_text(pattern), name))
            return true;
    }
    snprintf(pattern, sizeof pattern, "*%02x%02x%02x%02x*", b[0], b[1], b[2], b[3]);
    return pattern_matches(span_text(pattern), name);
}

/* A part of a label: what stands between hyphens, underscores and digits. */
static bool is_dynamic_word(struct span word)
{
    static const struct span words = SPAN("adsl cable cust customer dhcp dial dialin dialup dsl dyn dynamic "
                                          "dynamicip fttb fttc ftth hsd ip ipd pool ppp pppoe res residential "
                                          "vdsl wifi wimax xdsl");
    return words_have(words, word);
}

bool host_name_looks_dynamic(struct span name, const struct ip_address *ip)
{
    size_t start = 0;
    if (has_numbers_of(name, ip))
        return true;
    for (size_t i = 0; i <= name.size; i++) {
        bool letter = i < name.size && ascii_lower(name.data[i]) >= 'a' && ascii_lower(name.data[i]) <= 'z';
        if (letter)
            continue;
        if (is_dynamic_word((struct span){name.data + start, i - start}))
            return true;
        start = i + 1;
    }
    return false;
}

static struct span last_two_labels(struct span name)
{
    name = without_last_dot(name);
    size_t last = span_find_last(name, '.');
    if (last == name.size)
        return name;
    size_t second = span_find_last(span_head(name, last), '.');
    return second == last ? name : span_skip(name, second + 1);
}

bool host_name_fits(struct span helo, struct span name)
{
    return span_equal_nocase(last_two_labels(helo), last_two_labels(name));
}
