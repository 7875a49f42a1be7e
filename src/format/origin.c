#include "format/origin.h"

#include "format/header.h"

/* ---- Great providers, whose servers bear other names than the host that mail is fetched from ---- */

struct network {
    unsigned char start[4];
    unsigned size; /* bits, a multiple of eight */
};

static const struct provider {
    const char *domain;     /* of the host that mail is fetched from */
    const char *servers;    /* domains of its servers */
    struct network network; /* IPv6, of its servers only: they tell no name by DNS in their lines */
} providers[] = {
    {"gmail.com", "google.com googlemail.com", {{0}, 0}},
    {"googlemail.com", "google.com gmail.com", {{0}, 0}},
    {"outlook.com", "office365.com hotmail.com", {{0x26, 0x03, 0x10}, 24}},
    {"office365.com", "outlook.com hotmail.com", {{0x26, 0x03, 0x10}, 24}},
    {"hotmail.com", "outlook.com office365.com", {{0x26, 0x03, 0x10}, 24}},
    {"live.com", "outlook.com office365.com hotmail.com", {{0x26, 0x03, 0x10}, 24}},
    {"yahoo.com", "yahoodns.net", {{0}, 0}},
    {"aol.com", "yahoo.com yahoodns.net", {{0}, 0}},
    {"gmx.com", "gmx.net", {{0}, 0}},
    {"web.de", "gmx.net", {{0}, 0}},
    {"fastmail.com", "messagingengine.com", {{0}, 0}},
};

#define PROVIDERS (sizeof providers / sizeof *providers)

static bool is_below_any(struct span name, struct span words)
{
    while (words.size) {
        struct span word = span_cut(&words, ' ');
        if (received_is_below(name, word))
            return true;
    }
    return false;
}

static bool is_in(const struct network *network, const struct ip_address *ip)
{
    return network->size && memcmp(network->start, ip->bytes, network->size / 8) == 0;
}

/* ---- Whose server ---- */

struct owner {
    const struct span *domains;
    size_t domain_count;
    struct span top;          /* the domain of the first server that told its name */
    bool is_known[PROVIDERS]; /* it is one of these */
};

static void find_providers(struct owner *o)
{
    for (size_t i = 0; i < PROVIDERS; i++)
        for (size_t j = 0; j < o->domain_count; j++)
            o->is_known[i] |= received_is_below(o->domains[j], span_text(providers[i].domain));
}

static bool is_named(const struct owner *o, struct span name)
{
    for (size_t i = 0; i < o->domain_count; i++)
        if (received_is_below(name, o->domains[i]))
            return true;
    for (size_t i = 0; i < PROVIDERS; i++)
        if (o->is_known[i] && is_below_any(name, span_text(providers[i].servers)))
            return true;
    return received_is_below(name, o->top);
}

/* A client that is the provider's own: a script, a pipe, a socket, or another of its servers. */
static bool is_inside(const struct owner *o, const struct received *r)
{
    if (!r->has_ip || !ip_address_is_public(&r->ip) || is_named(o, r->ptr))
        return true;
    for (size_t i = 0; i < PROVIDERS; i++)
        if (o->is_known[i] && is_in(&providers[i].network, &r->ip))
            return true;
    return false;
}

/* A name that nobody outside could have: without a dot, below a domain that the DNS does not have (RFC 6762, ICANN's
 * "internal"), or a private address. */
static bool is_inner_name(struct span name)
{
    struct ip_address ip;
    struct span host;
    if (ip_address_parse(name, &ip) || ip_address_parse_literal(name, &ip))
        return !ip_address_is_public(&ip);
    return !received_take_host_name(name, &host) ||
           is_below_any(host, (struct span)SPAN("internal local localdomain lan intern corp home localhost"));
}

static bool is_registry_suffix(struct span domain)
{
    size_t dot = span_find(domain, '.');
    size_t last = domain.size - dot - (dot < domain.size);
    return dot >= domain.size || (dot <= 3 && last == 2 && span_find(span_skip(domain, dot + 1), '.') == last);
}

struct span origin_domain(struct span host)
{
    struct ip_address ip;
    size_t dot = span_find(host, '.');
    struct span above = span_skip(host, dot + 1);
    return ip_address_parse(host, &ip) || dot >= host.size || is_registry_suffix(above) ? host : above;
}

/* Did the provider write it? The first line, and below a client of its own what bears one of its names; the first of
 * these that is a name of the DNS tells the domain of the others. */
static bool take_by(struct owner *o, struct span by, bool is_first)
{
    struct span name;
    bool has_name = received_take_host_name(by, &name);
    if (!is_first && !by.size)
        return false;
    if (!is_first && !is_inner_name(by) && o->top.size && !is_named(o, has_name ? name : by))
        return false;
    if (!o->top.size && has_name && !is_inner_name(by))
        o->top = origin_domain(name);
    return true;
}

/* ---- The walk ---- */

static void add_hop(struct origin *o, const struct ip_address *ip)
{
    if (ip_address_is_public(ip) && o->hop_count < sizeof o->hops / sizeof *o->hops)
        o->hops[o->hop_count++] = *ip;
}

void origin_find(struct span header, const struct span *domains, size_t domain_count, struct arena *arena,
                 struct origin *o)
{
    struct header_field field;
    struct owner owner = {.domains = domains, .domain_count = domain_count};
    *o = (struct origin){0};
    find_providers(&owner);
    while (header_next(&header, &field)) {
        struct received r;
        if (!span_is_nocase(field.name, "Received"))
            continue;
        if (!received_parse(field.value, arena, &r))
            continue; /* "(qmail 7 invoked by uid 0)" */
        if (!take_by(&owner, r.by, o->lines == 0))
            return; /* whoever wrote this, it was not the provider */
        o->lines++;
        if (!is_inside(&owner, &r)) {
            o->is_known = true;
            o->line = r;
            return;
        }
        if (r.has_ip)
            add_hop(o, &r.ip);
    }
}
