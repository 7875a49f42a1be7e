#include "policy/blacklist_zone.h"

#include "format/ip_address.h"

/* IPv4 addresses are names of four numbers, IPv6 addresses of 32 nibbles, in one zone: "1.0.0.2" may be a whole IPv4
 * address or the end of an IPv6 one. A wildcard of one family must not answer for the other. So
 * - IPv6 wildcards have at least four nibbles: no IPv4 address has a name below them;
 * - an IPv4 wildcard below numbers of one digit only ("*.0.2") gets a name beside it for each nibble, which takes the
 *   IPv6 addresses out of it: for 0 to 9 the IPv4 addresses there, for a to f a TXT that says nothing. */
#define IPV6_WILDCARD_NIBBLES 4
#define TXT_MAX 255

struct writer {
    struct buf *out;
    struct span reason;
};

static void write_txt(struct buf *out, struct span text)
{
    text = span_head(text, TXT_MAX);
    buf_add_text(out, "\tTXT\t\"");
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            buf_add_char(out, '\\');
        if (c < 0x20 || c > 0x7e)
            buf_printf(out, "\\%03u", c);
        else
            buf_add_char(out, (char)c);
    }
    buf_add_text(out, "\"\n");
}

/* The records of the name that was just written. */
static void write_listed(struct writer *w)
{
    buf_add_text(w->out, "\tA\t127.0.0.2\n");
    if (w->reason.size)
        write_txt(w->out, w->reason);
}

/* ---- IPv4 ---- */

/* The first `count` octets of `number`, the last of them first. */
static void write_octets(struct buf *out, uint32_t number, unsigned count)
{
    for (unsigned i = count; i-- > 0;)
        buf_printf(out, i ? "%u." : "%u", number >> (24 - 8 * i) & 255);
}

static bool is_like_nibbles(uint32_t number, unsigned octets)
{
    for (unsigned i = 0; i < octets; i++)
        if ((number >> (24 - 8 * i) & 255) > 9)
            return false;
    return true;
}

/* The network of `octets` (1 to 4) whole octets. */
static void write_network4(struct writer *w, uint32_t number, unsigned octets)
{
    if (octets < 4)
        buf_add_text(w->out, "*.");
    write_octets(w->out, number, octets);
    write_listed(w);
    if (octets == 4 || !is_like_nibbles(number, octets))
        return;
    for (unsigned i = 0; i < 10; i++)
        write_network4(w, number | i << (24 - 8 * octets), octets + 1);
    for (const char *letter = "abcdef"; *letter; letter++) {
        buf_printf(w->out, "%c.", *letter);
        write_octets(w->out, number, octets);
        write_txt(w->out, span_text("not listed"));
    }
}

static void write_range4(struct writer *w, uint32_t first, uint32_t last)
{
    uint64_t at = first;
    while (at <= last) {
        unsigned octets = 4;
        uint64_t size = 1;
        while (octets > 1 && at % (size << 8) == 0 && at + (size << 8) - 1 <= last) {
            size <<= 8;
            octets--;
        }
        write_network4(w, (uint32_t)at, octets);
        at += size;
    }
}

/* Without 127.0.0.0/8: there only the test entry is. */
static void write_clipped4(struct writer *w, uint32_t first, uint32_t last)
{
    const uint32_t from = 127u << 24, to = from | 0xffffff;
    if (last < from || first > to) {
        write_range4(w, first, last);
        return;
    }
    if (first < from)
        write_range4(w, first, from - 1);
    if (last > to)
        write_range4(w, to + 1, last);
}

/* ---- IPv6 ---- */

static unsigned nibble(const unsigned char address[16], unsigned place)
{
    return place % 2 ? address[place / 2] & 15u : address[place / 2] >> 4;
}

static void write_network6(struct writer *w, const unsigned char address[16], unsigned nibbles)
{
    if (nibbles < 32)
        buf_add_text(w->out, "*.");
    for (unsigned i = nibbles; i-- > 0;)
        buf_printf(w->out, i ? "%x." : "%x", nibble(address, i));
    write_listed(w);
}

/* Sets all nibbles from `place` on to `value`. */
static void fill(unsigned char address[16], unsigned place, unsigned value)
{
    for (; place < 32; place++) {
        unsigned char *byte = &address[place / 2];
        *byte = (unsigned char)(place % 2 ? (*byte & 0xf0u) | value : (*byte & 0x0fu) | value << 4);
    }
}

/* The fewest nibbles of a network that begins at `at` and ends at `last` or before; *end is its last address. */
static unsigned largest_network(const unsigned char at[16], const unsigned char last[16], unsigned char end[16])
{
    unsigned nibbles = 32;
    memcpy(end, at, 16);
    while (nibbles > IPV6_WILDCARD_NIBBLES && nibble(at, nibbles - 1) == 0) {
        unsigned char wider[16];
        memcpy(wider, at, 16);
        fill(wider, nibbles - 1, 15);
        if (memcmp(wider, last, 16) > 0)
            break;
        memcpy(end, wider, 16);
        nibbles--;
    }
    return nibbles;
}

static void write_range6(struct writer *w, const unsigned char first[16], const unsigned char last[16])
{
    unsigned char at[16], end[16];
    memcpy(at, first, 16);
    for (;;) {
        write_network6(w, at, largest_network(at, last, end));
        if (memcmp(end, last, 16) >= 0)
            return;
        memcpy(at, end, 16);
        for (int i = 15; i >= 0 && ++at[i] == 0; i--)
            ;
    }
}

/* ---- The zone ---- */

static uint32_t ipv4_number(const unsigned char a[16])
{
    return (uint32_t)a[12] << 24 | (uint32_t)a[13] << 16 | (uint32_t)a[14] << 8 | (uint32_t)a[15];
}

static void write_head(const struct blacklist_zone *zone, struct buf *out)
{
    static const unsigned char test[16] = {[10] = 0xff, 0xff, 127, 0, 0, 2};
    struct writer w = {out, SPAN("test entry (RFC 5782)")};
    buf_printf(out, "$ORIGIN %.*s.\n$TTL 3600\n", SPAN_ARG(zone->zone));
    buf_printf(out, "@\tSOA\t%.*s. postmaster.%.*s. %u 3600 900 604800 900\n", SPAN_ARG(zone->name_server),
               SPAN_ARG(zone->name_server), zone->serial);
    buf_printf(out, "\tNS\t%.*s.\n", SPAN_ARG(zone->name_server));
    write_octets(out, 127u << 24 | 2, 4);
    write_listed(&w);
    write_network6(&w, test, 32);
}

void blacklist_zone_write(const struct blacklist *list, const struct blacklist_zone *zone, struct buf *out)
{
    write_head(zone, out);
    for (size_t i = 0; i < blacklist_range_count(list) && !buf_failed(out); i++) {
        unsigned char first[16], last[16];
        struct ip_address address;
        struct blacklist_hit hit;
        blacklist_range_get(list, i, first, last, &hit);
        struct writer w = {out, hit.reason};
        memcpy(address.bytes, first, 16);
        if (hit.verdict != BLACKLIST_LISTED)
            continue;
        if (ip_address_is_ipv4(&address))
            write_clipped4(&w, ipv4_number(first), ipv4_number(last));
        else
            write_range6(&w, first, last);
    }
}
