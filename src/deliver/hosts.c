#include "deliver/hosts.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <stdlib.h>

#define LIST_MEMORY (64u << 10)
#define LIST_SECONDS 60
#define MX_MAX 10
#define SMTPS_PORT 465

/* ---- Pure ---- */

static bool port_parse(struct span text, uint16_t *port)
{
    uint64_t number = 0;
    if (!span_parse_u64(text, UINT16_MAX, &number) || !number)
        return false;
    *port = (uint16_t)number;
    return true;
}

/* "host", "host:port", "[address]:port". */
static bool hop_parse(struct span text, uint16_t standard_port, struct arena *memory, struct site_route *route)
{
    struct ip_address ip;
    size_t colon = span_find_last(text, ':');
    struct span host = text;
    route->port = standard_port;
    bool bare_ipv6 = colon < text.size && ip_address_parse(text, &ip);
    if (colon < text.size && !bare_ipv6 && text.data[text.size - 1] != ']') {
        if (!port_parse(span_skip(text, colon + 1), &route->port))
            return false;
        host = span_head(text, colon);
    }
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        host = span_head(span_skip(host, 1), host.size - 2);
    route->host = host.size ? arena_text(memory, host) : NULL;
    return route->host != NULL;
}

bool site_route_parse(struct span destination, const struct settings *settings, struct arena *memory,
                      struct site_route *route)
{
    struct ip_address ip;
    struct span smart_host = span_text(settings->courier.smart_host);
    *route = (struct site_route){.kind = SITE_DOMAIN, .port = (uint16_t)settings->courier.port, .host = ""};
    if (span_is(destination, "*local")) {
        route->kind = SITE_LOCAL;
        return true;
    }
    bool is_literal =
        destination.size > 2 && destination.data[0] == '[' && destination.data[destination.size - 1] == ']';
    if (!is_literal && span_find(destination, ':') < destination.size) {
        route->kind = SITE_NEXT_HOP;
        return hop_parse(destination, route->port, memory, route);
    }
    if (smart_host.size) {
        bool implicit = settings->courier.smart_host_tls == SMART_HOST_TLS_IMPLICIT;
        route->kind = SITE_SMART_HOST;
        return hop_parse(smart_host, implicit ? SMTPS_PORT : route->port, memory, route);
    }
    if (is_literal) {
        struct buf text;
        buf_init(&text, IP_ADDRESS_TEXT_MAX + 1);
        bool valid = ip_address_parse_literal(destination, &ip);
        route->kind = SITE_LITERAL;
        if (valid)
            ip_address_write(&ip, &text);
        route->host = valid ? arena_text(memory, buf_span(&text)) : NULL;
        buf_release(&text);
        return route->host != NULL;
    }
    route->host = destination.size ? arena_text(memory, destination) : NULL;
    return route->host != NULL;
}

static bool is_any(const struct ip_address *ip)
{
    static const unsigned char none[16];
    static const unsigned char none_ipv4[16] = {[10] = 0xff, [11] = 0xff};
    return memcmp(ip->bytes, none, 16) == 0 || memcmp(ip->bytes, none_ipv4, 16) == 0;
}

bool host_is_ours(const struct settings *settings, const struct ip_address *ip, uint16_t port)
{
    for (size_t i = 0; i < settings->listener_count; i++) {
        const struct listener_setting *l = &settings->listeners[i];
        struct ip_address own;
        if (l->service != SERVICE_SMTP || l->port != port || !ip_address_parse(span_text(l->address), &own))
            continue;
        /* Who listens everywhere listens on the loopback; other addresses of this machine show when they are connected
         * to: both ends are the same then. */
        if (ip_address_equal(&own, ip) || (is_any(&own) && (ip_address_is_loopback(ip) || is_any(ip))))
            return true;
    }
    return false;
}

void mx_shuffle(struct dns_mx_host *hosts, size_t count, uint64_t random)
{
    /* By insertion, which is stable; there are few. */
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j && hosts[j - 1].preference > hosts[j].preference; j--) {
            struct dns_mx_host swapped = hosts[j];
            hosts[j] = hosts[j - 1];
            hosts[j - 1] = swapped;
        }
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && hosts[end].preference == hosts[begin].preference; end++)
            ;
        for (size_t left = end - begin; left > 1; left--) {
            random = random * 6364136223846793005ull + 1442695040888963407ull;
            size_t chosen = begin + (size_t)((random >> 33) % left), last = begin + left - 1;
            struct dns_mx_host swapped = hosts[chosen];
            hosts[chosen] = hosts[last];
            hosts[last] = swapped;
        }
    }
}

size_t mx_cut_loop(const struct dns_mx_host *hosts, size_t count, const char *our_name)
{
    for (size_t i = 0; i < count; i++) {
        if (!span_is_nocase(span_text(hosts[i].name), our_name))
            continue;
        while (i && hosts[i - 1].preference == hosts[i].preference)
            i--;
        return i;
    }
    return count;
}

void addresses_alternate(struct ip_address *addresses, size_t count)
{
    /* They come with IPv6 first. */
    for (size_t i = 1; i < count; i++) {
        bool wants_ipv4 = i % 2 == 1;
        size_t j = i;
        while (j < count && ip_address_is_ipv4(&addresses[j]) != wants_ipv4)
            j++;
        if (j == count)
            return;
        struct ip_address found = addresses[j];
        memmove(&addresses[i + 1], &addresses[i], (j - i) * sizeof *addresses);
        addresses[i] = found;
    }
}

/* ---- Asking ---- */

struct search {
    struct peers *peers;
    const struct settings *settings;
    struct host_list *list;
    bool had_trouble, had_loop;
};

static unsigned families(const struct settings *settings)
{
    return settings->courier.families == FAMILIES_IPV4   ? DNS_IPV4
           : settings->courier.families == FAMILIES_IPV6 ? DNS_IPV6
                                                         : DNS_IPV4 | DNS_IPV6;
}

/* False when this server itself is among them: nothing of worse preference may be tried. */
static bool add_addresses(struct fiber *self, struct search *s, const char *name, uint16_t port, unsigned preference,
                          enum dns_status *status)
{
    struct host_list *list = s->list;
    struct dns_addresses found;
    dns_addresses(self, s->peers, span_text(name), families(s->settings), CLOCK_NEVER, &list->memory, &found);
    *status = found.status;
    if (found.status == DNS_TROUBLE) {
        s->had_trouble = true;
        list->problem = found.trouble;
    }
    for (size_t i = 0; i < found.count; i++)
        if (host_is_ours(s->settings, &found.addresses[i], port)) {
            s->had_loop = true;
            return false;
        }
    addresses_alternate(found.addresses, found.count);
    for (size_t i = 0; i < found.count && list->count < HOSTS_MAX; i++)
        list->hosts[list->count++] =
            (struct host){.name = name, .ip = found.addresses[i], .port = port, .preference = preference};
    return true;
}

static void find_by_mx(struct fiber *self, struct search *s, const struct site_route *route, uint64_t random)
{
    struct host_list *list = s->list;
    struct dns_mx mx;
    dns_mx(self, s->peers, span_text(route->host), CLOCK_NEVER, &list->memory, &mx);
    list->trouble = mx.status == DNS_TROUBLE ? TROUBLE_DNS : TROUBLE_NO_DOMAIN;
    if (mx.status != DNS_ANSWERED) {
        list->problem = mx.status == DNS_TROUBLE ? mx.trouble : "";
        return;
    }
    list->trouble = mx.is_null ? TROUBLE_NULL_MX : TROUBLE_NO_ADDRESS;
    if (mx.is_null)
        return;
    mx_shuffle(mx.hosts, mx.count, random);
    size_t count = mx.is_implicit ? mx.count : mx_cut_loop(mx.hosts, mx.count, s->settings->hostname);
    s->had_loop = count < mx.count;
    enum dns_status status = DNS_ANSWERED;
    for (size_t i = 0; i < count && i < MX_MAX && list->count < HOSTS_MAX; i++) {
        size_t before = list->count;
        if (add_addresses(self, s, mx.hosts[i].name, route->port, mx.hosts[i].preference, &status))
            continue;
        /* Those of the same preference that stand before it by chance go as well. */
        while (before && list->hosts[before - 1].preference == mx.hosts[i].preference)
            before--;
        list->count = before;
        break;
    }
    if (s->had_loop)
        list->trouble = TROUBLE_LOOP;
    if (s->had_trouble)
        list->trouble = TROUBLE_DNS;
    else if (mx.is_implicit && status == DNS_NO_NAME)
        list->trouble = TROUBLE_NO_DOMAIN;
}

static void find_by_name(struct fiber *self, struct search *s, const struct site_route *route)
{
    enum dns_status status;
    if (!add_addresses(self, s, route->host, route->port, 0, &status)) {
        s->list->count = 0;
        s->list->trouble = route->kind == SITE_LITERAL ? TROUBLE_LOOP : TROUBLE_UNREACHABLE;
        s->list->problem = route->kind == SITE_LITERAL ? "" : "the next hop is this server itself";
        return;
    }
    /* What the administrator named: when its name is not in the DNS that is a mistake to be mended, not the mail's. */
    s->list->trouble = TROUBLE_DNS;
    if (status != DNS_TROUBLE && !s->list->count)
        s->list->problem = "the next hop's name has no address";
}

struct host_list *hosts_find(struct fiber *self, struct peers *peers, const struct settings *settings,
                             const struct site_route *route, uint64_t random)
{
    struct host_list *list = calloc(1, sizeof *list);
    if (!list)
        return NULL;
    list->references = 1;
    list->problem = "";
    arena_init(&list->memory, LIST_MEMORY);
    struct search s = {.peers = peers, .settings = settings, .list = list};
    /* The caller's route may go while we wait. */
    struct site_route own = *route;
    own.host = arena_text(&list->memory, span_text(route->host));
    if (!own.host) {
        host_list_unref(list);
        return NULL;
    }
    if (own.kind == SITE_DOMAIN)
        find_by_mx(self, &s, &own, random);
    else
        find_by_name(self, &s, &own);
    list->until = clock_in_seconds(LIST_SECONDS);
    return list;
}

struct host_list *host_list_ref(struct host_list *list)
{
    list->references++;
    return list;
}

void host_list_unref(struct host_list *list)
{
    if (!list || --list->references)
        return;
    arena_release(&list->memory);
    free(list);
}
