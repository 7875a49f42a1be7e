#include "format/whois.h"

#include <stdio.h>

#define IPV4_BITS 96 /* of the mapped form's prefix */
#define ALL_BITS 128

/* ---- Networks ---- */

static void mask(struct ip_address *address, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
        address->bytes[i] &= keep >= 8 ? 0xffu : (unsigned char)(0xff00u >> keep);
    }
}

/* The last address of a network. */
static void fill(struct ip_address *address, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits > i * 8 ? bits - i * 8 : 0;
        address->bytes[i] |= keep >= 8 ? 0 : (unsigned char)(0xffu >> keep);
    }
}

struct whois_network whois_network_of(const struct ip_address *address, unsigned bits)
{
    struct whois_network network = {*address, bits > ALL_BITS ? ALL_BITS : bits};
    mask(&network.address, network.bits);
    return network;
}

bool whois_network_has(const struct whois_network *network, const struct ip_address *address)
{
    struct whois_network same = whois_network_of(address, network->bits);
    return network->bits && ip_address_equal(&same.address, &network->address);
}

struct whois_network whois_network_to_remember(const struct whois_network *block, const struct ip_address *address)
{
    unsigned widest = ip_address_is_ipv4(address) ? WHOIS_WIDEST_IPV4 : WHOIS_WIDEST_IPV6;
    if (!whois_network_has(block, address))
        return whois_network_of(address, ALL_BITS);
    return whois_network_of(address, block->bits > widest ? block->bits : widest);
}

/* LACNIC leaves zeros out: "200.3.12/22". */
static bool parse_base(struct span text, struct ip_address *address)
{
    char whole[IP_ADDRESS_TEXT_MAX + 1];
    size_t dots = 0;
    if (text.size > IP_ADDRESS_TEXT_MAX || span_find(text, ':') < text.size || !text.size)
        return ip_address_parse(text, address);
    for (size_t i = 0; i < text.size; i++)
        dots += text.data[i] == '.';
    int size = snprintf(whole, sizeof whole, "%.*s%s", SPAN_ARG(text), dots < 3 ? &".0.0.0"[dots * 2] : "");
    return size > 0 && (size_t)size < sizeof whole && ip_address_parse(span_from(whole, (size_t)size), address);
}

static bool parse_cidr(struct span text, struct whois_network *network)
{
    struct span rest = text, base = span_trim(span_cut(&rest, '/'));
    uint64_t bits;
    struct ip_address address;
    if (!parse_base(base, &address))
        return false;
    bool is_ipv4 = ip_address_is_ipv4(&address);
    if (!span_parse_u64(span_trim(rest), is_ipv4 ? 32 : ALL_BITS, &bits))
        return false;
    *network = whois_network_of(&address, (unsigned)bits + (is_ipv4 ? IPV4_BITS : 0));
    return network->bits > 0;
}

static int compare(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

/* The widest network round the address that lies within first..last. */
static bool fit_range(const struct ip_address *first, const struct ip_address *last, const struct ip_address *address,
                      struct whois_network *network)
{
    if (compare(address, first) < 0 || compare(address, last) > 0)
        return false;
    for (unsigned bits = 1; bits <= ALL_BITS; bits++) {
        struct whois_network candidate = whois_network_of(address, bits);
        struct ip_address end = candidate.address;
        fill(&end, bits);
        if (compare(&candidate.address, first) >= 0 && compare(&end, last) <= 0) {
            *network = candidate;
            return true;
        }
    }
    return false;
}

static bool is_same_family(const struct ip_address *a, const struct ip_address *b)
{
    return ip_address_is_ipv4(a) == ip_address_is_ipv4(b);
}

/* "192.0.2.0 - 192.0.2.255", "192.0.2.0/24", or several of these with commas between: the one with the address in it.
 */
static bool parse_networks(struct span value, const struct ip_address *address, struct whois_network *network)
{
    struct span rest = value;
    struct ip_address first, last;
    for (unsigned i = 0; rest.size && i < 16; i++) {
        struct span one = span_cut(&rest, ',');
        size_t dash = span_find(one, '-');
        if (dash == one.size) {
            if (parse_cidr(span_trim(one), network) && is_same_family(&network->address, address) &&
                whois_network_has(network, address))
                return true;
        } else if (parse_base(span_trim(span_head(one, dash)), &first) &&
                   parse_base(span_trim(span_skip(one, dash + 1)), &last) && is_same_family(&first, address) &&
                   is_same_family(&last, address) && fit_range(&first, &last, address, network)) {
            return true;
        }
    }
    return false;
}

/* ---- Words ---- */

static bool is_word(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

/* Copies it in upper case, up to the first blank. False where it does not fit or is empty. */
static bool copy_upper(struct span word, char *out, size_t room)
{
    word = span_head(word, span_find(word, ' '));
    if (!word.size || word.size >= room)
        return false;
    for (size_t i = 0; i < word.size; i++) {
        char c = ascii_lower(word.data[i]);
        if (!is_word(c))
            return false;
        out[i] = c >= 'a' && c <= 'z' ? (char)(c - ('a' - 'A')) : c;
    }
    out[word.size] = '\0';
    return true;
}

static void take_country(struct span value, char country[3])
{
    char word[3];
    bool is_code = copy_upper(value, word, sizeof word) && strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 2;
    if (!country[0] && is_code)
        memcpy(country, word, sizeof word);
}

static void take_registry(struct span value, char *registry, size_t room)
{
    static const char *const names[] = {"RIPE", "ARIN", "APNIC", "LACNIC", "AFRINIC", "IANA"};
    for (size_t i = 0; !registry[0] && i < sizeof names / sizeof *names; i++)
        if (span_starts_nocase(value, span_text(names[i])))
            snprintf(registry, room, "%s", names[i]);
}

static void take_as(struct span value, char *as_number, size_t room)
{
    size_t digits = 0;
    if (as_number[0] || !span_starts_nocase(value, span_text("AS")))
        return;
    value = span_skip(value, 2);
    while (digits < value.size && value.data[digits] >= '0' && value.data[digits] <= '9')
        digits++;
    if (digits && digits <= 10)
        snprintf(as_number, room, "AS%.*s", (int)digits, value.data);
}

/* Cut between characters. */
static void take_name(struct span value, char *name)
{
    if (name[0] || !value.size)
        return;
    size_t size = value.size > WHOIS_NAME_MAX ? WHOIS_NAME_MAX : value.size;
    while (size && size < value.size && ((unsigned char)value.data[size] & 0xc0) == 0x80)
        size--;
    memcpy(name, value.data, size);
    name[size] = '\0';
}

/* ---- Servers ---- */

static bool take_host(struct span text, char host[WHOIS_HOST_MAX + 1])
{
    struct ip_address ip;
    if (!text.size || text.size > WHOIS_HOST_MAX)
        return false;
    bool is_address = ip_address_parse(text, &ip);
    for (size_t i = 0; i < text.size; i++) {
        if (!is_word(text.data[i]) && !is_address)
            return false;
        host[i] = ascii_lower(text.data[i]);
    }
    host[text.size] = '\0';
    return text.data[0] != '.' && text.data[0] != '-';
}

bool whois_server_parse(struct span text, char host[WHOIS_HOST_MAX + 1], uint16_t *port)
{
    static const struct span scheme = SPAN("whois://");
    uint64_t number = WHOIS_PORT;
    struct ip_address ip;
    text = span_trim(text);
    if (span_starts_nocase(text, scheme))
        text = span_skip(text, scheme.size);
    text = span_head(text, span_find(text, '/'));
    struct span name = text, digits = {0};
    if (text.size && text.data[0] == '[') {
        size_t end = span_find(text, ']');
        name = span_skip(span_head(text, end), 1);
        digits = span_skip(text, end + 1);
    } else if (!ip_address_parse(text, &ip)) {
        size_t at = span_find(text, '@');
        name = span_head(text, at < text.size ? at : span_find(text, ':'));
        digits = span_skip(text, name.size);
    }
    if (digits.size && ((digits.data[0] != ':' && digits.data[0] != '@') ||
                        !span_parse_u64(span_skip(digits, 1), UINT16_MAX, &number) || !number))
        return false;
    *port = (uint16_t)number;
    return take_host(name, host);
}

static void take_referral(struct span value, struct whois_answer *answer)
{
    char host[WHOIS_HOST_MAX + 1];
    uint16_t port;
    if (answer->referral[0] || !whois_server_parse(value, host, &port))
        return;
    memcpy(answer->referral, host, sizeof answer->referral);
    answer->referral_port = port;
}

/* ---- Lines ---- */

struct reader {
    const struct ip_address *address;
    struct whois_answer *answer;
    unsigned route_bits; /* of the route that the AS number is of */
    bool is_inside;      /* the latest network that was named has the address in it */
    char owner[WHOIS_NAME_MAX + 1];
};

/* A network is named. Narrower than what was known: what follows is about it, and what was read before is not. */
static void see_network(struct reader *r, struct span value)
{
    struct whois_network network = {0};
    struct whois_answer *answer = r->answer;
    r->is_inside = parse_networks(value, r->address, &network) && network.bits >= answer->block.bits;
    if (!r->is_inside || network.bits == answer->block.bits)
        return;
    answer->block = network;
    answer->country[0] = answer->network[0] = r->owner[0] = '\0';
}

static void see_route(struct reader *r, struct span value)
{
    struct whois_network network = {0};
    bool fits = parse_networks(value, r->address, &network) && network.bits > r->route_bits;
    r->is_inside = fits;
    if (!fits)
        return;
    r->route_bits = network.bits;
    r->answer->as_number[0] = '\0';
}

static void see_line(struct reader *r, struct span key, struct span value)
{
    struct whois_answer *answer = r->answer;
    if (span_is_nocase(key, "inetnum") || span_is_nocase(key, "inet6num") || span_is_nocase(key, "NetRange") ||
        span_is_nocase(key, "CIDR"))
        see_network(r, value);
    else if (span_is_nocase(key, "route") || span_is_nocase(key, "route6"))
        see_route(r, value);
    else if (span_is_nocase(key, "refer") || span_is_nocase(key, "ReferralServer"))
        take_referral(value, answer);
    else if (span_is_nocase(key, "source"))
        take_registry(value, answer->registry, sizeof answer->registry);
    else if (!r->is_inside)
        return; /* of a network that is not the narrowest one round the address */
    else if (span_is_nocase(key, "netname"))
        take_name(value, answer->network);
    else if (span_is_nocase(key, "owner"))
        take_name(value, r->owner);
    else if (span_is_nocase(key, "country"))
        take_country(value, answer->country);
    else if (span_is_nocase(key, "origin") || span_is_nocase(key, "OriginAS") || span_is_nocase(key, "aut-num"))
        take_as(value, answer->as_number, sizeof answer->as_number);
}

/* ARIN and LACNIC do not name themselves in a field. */
static void see_comment(struct whois_answer *answer, struct span line)
{
    static const struct span arin = SPAN("# ARIN WHOIS data"), lacnic = SPAN("% Copyright LACNIC"),
                             joint = SPAN("% Joint Whois - whois.lacnic.net");
    if (span_starts_nocase(line, arin))
        take_registry(span_text("ARIN"), answer->registry, sizeof answer->registry);
    else if (span_starts_nocase(line, lacnic) || span_starts_nocase(line, joint))
        take_registry(span_text("LACNIC"), answer->registry, sizeof answer->registry);
}

void whois_read(struct span text, const struct ip_address *address, struct whois_answer *answer)
{
    struct reader r = {.address = address, .answer = answer};
    *answer = (struct whois_answer){.referral_port = WHOIS_PORT};
    while (text.size) {
        struct span line = span_cut(&text, '\n'), value = line;
        if (line.size && (line.data[0] == '#' || line.data[0] == '%')) {
            see_comment(answer, line);
            continue;
        }
        struct span key = span_trim(span_cut(&value, ':'));
        /* What stands behind a hash is a remark ("RIPE # Filtered"). */
        value = span_trim(span_head(value, span_find(value, '#')));
        if (key.size && value.size)
            see_line(&r, key, value);
    }
    take_name(span_text(r.owner), answer->network);
}

void whois_merge(struct whois_answer *answer, const struct whois_answer *later)
{
    if (later->country[0])
        memcpy(answer->country, later->country, sizeof answer->country);
    if (later->registry[0])
        memcpy(answer->registry, later->registry, sizeof answer->registry);
    if (later->network[0])
        memcpy(answer->network, later->network, sizeof answer->network);
    if (later->as_number[0])
        memcpy(answer->as_number, later->as_number, sizeof answer->as_number);
    if (!answer->block.bits ||
        (later->block.bits > answer->block.bits && whois_network_has(&answer->block, &later->block.address)))
        answer->block = later->block;
    memcpy(answer->referral, later->referral, sizeof answer->referral);
    answer->referral_port = later->referral_port;
}
