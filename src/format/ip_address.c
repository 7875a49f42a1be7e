#include "format/ip_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static struct ip_address from_ipv4(const void *four_bytes)
{
    struct ip_address address;

    memcpy(address.bytes, mapped_prefix, sizeof(mapped_prefix));
    memcpy(address.bytes + sizeof(mapped_prefix), four_bytes, 4);
    return address;
}

bool ip_address_parse(struct span text, struct ip_address *address)
{
    char copy[IP_ADDRESS_TEXT_MAX + 1];
    unsigned char bytes[16];

    if (text.size == 0 || text.size > IP_ADDRESS_TEXT_MAX || memchr(text.data, 0, text.size))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = 0;
    if (memchr(copy, ':', text.size)) {
        if (inet_pton(AF_INET6, copy, bytes) != 1)
            return false;
        memcpy(address->bytes, bytes, sizeof(bytes));
        return true;
    }
    if (inet_pton(AF_INET, copy, bytes) != 1)
        return false;
    *address = from_ipv4(bytes);
    return true;
}

bool ip_address_from_sockaddr(const struct sockaddr *from, struct ip_address *address)
{
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        *address = from_ipv4(&in.sin_addr);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, from, sizeof(in6));
        memcpy(address->bytes, &in6.sin6_addr, sizeof(address->bytes));
        return true;
    }
    return false;
}

/* The first longest run of at least two zero groups (RFC 5952 section 4.2): its start and length, length 0 when there
 * is none. */
static size_t longest_zeros(const unsigned groups[8], size_t *start)
{
    size_t best = 0;

    *start = 8;
    for (size_t i = 0; i < 8; i++) {
        size_t length = 0;
        while (i + length < 8 && groups[i + length] == 0)
            length++;
        if (length >= 2 && length > best) {
            best = length;
            *start = i;
        }
        i += length;
    }
    return best;
}

void ip_address_write(const struct ip_address *address, struct buf *out)
{
    const unsigned char *b = address->bytes;
    unsigned groups[8];
    size_t start, length;

    if (ip_address_is_ipv4(address)) {
        buf_printf(out, "%u.%u.%u.%u", b[12], b[13], b[14], b[15]);
        return;
    }
    for (size_t i = 0; i < 8; i++)
        groups[i] = (unsigned)b[2 * i] << 8 | b[2 * i + 1];
    length = longest_zeros(groups, &start);
    for (size_t i = 0; i < 8; i++) {
        if (length && i == start) {
            buf_add_text(out, "::");
            i += length - 1;
            continue;
        }
        if (i > 0 && i != start + length)
            buf_add_char(out, ':');
        buf_printf(out, "%x", groups[i]);
    }
}

void ip_address_write_literal(const struct ip_address *address, struct buf *out)
{
    buf_add_text(out, ip_address_is_ipv4(address) ? "[" : "[IPv6:");
    ip_address_write(address, out);
    buf_add_char(out, ']');
}

bool ip_address_parse_literal(struct span text, struct ip_address *address)
{
    static const struct span tag = SPAN("IPv6:");

    if (text.size < 3 || text.data[0] != '[' || text.data[text.size - 1] != ']')
        return false;
    text = span_head(span_skip(text, 1), text.size - 2);
    /* The tag decides which form must follow: an IPv4 address has none, an IPv6 address can't go without. */
    if (!span_starts_nocase(text, tag))
        return span_find(text, ':') == text.size && ip_address_parse(text, address);
    text = span_skip(text, tag.size);
    return span_find(text, ':') < text.size && ip_address_parse(text, address);
}

bool ip_address_is_ipv4(const struct ip_address *address)
{
    return memcmp(address->bytes, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

bool ip_address_is_loopback(const struct ip_address *address)
{
    static const unsigned char one[16] = {[15] = 1};

    if (ip_address_is_ipv4(address))
        return address->bytes[12] == 127;
    return memcmp(address->bytes, one, sizeof(one)) == 0;
}

struct special_block {
    unsigned char start[16];
    unsigned bits;
};

static bool is_in_block(const unsigned char *bytes, const struct special_block *block)
{
    unsigned whole = block->bits / 8, rest = block->bits % 8;
    return memcmp(bytes, block->start, whole) == 0 &&
           (rest == 0 || (bytes[whole] ^ block->start[whole]) >> (8 - rest) == 0);
}

static bool is_public_ipv4(const unsigned char *bytes)
{
    static const struct special_block blocks[] = {
        {{0}, 8},        {{10}, 8},         {{100, 64}, 10},  {{127}, 8},      {{169, 254}, 16},
        {{172, 16}, 12}, {{192, 0, 0}, 24}, {{192, 168}, 16}, {{198, 18}, 15}, {{224}, 3},
    };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (is_in_block(bytes, &blocks[i]))
            return false;
    return true;
}

bool ip_address_is_public(const struct ip_address *address)
{
    static const struct special_block translated = {{0, 0x64, 0xff, 0x9b}, 96}, relayed = {{0x20, 0x02}, 16},
                                      global = {{0x20}, 3};
    const unsigned char *bytes = address->bytes;
    if (ip_address_is_ipv4(address) || is_in_block(bytes, &translated))
        return is_public_ipv4(bytes + 12);
    return is_in_block(bytes, &global) && (!is_in_block(bytes, &relayed) || is_public_ipv4(bytes + 2));
}

struct span ip_address_network(const struct ip_address *address)
{
    return span_from(address->bytes, ip_address_is_ipv4(address) ? 15 : 8);
}

bool ip_address_equal(const struct ip_address *a, const struct ip_address *b)
{
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

struct ip_address ip_address_counting_key(const struct ip_address *address)
{
    struct ip_address key = *address;

    if (!ip_address_is_ipv4(address))
        memset(key.bytes + 8, 0, 8);
    return key;
}

void ip_address_write_nibbles(const struct ip_address *address, struct buf *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = sizeof address->bytes; i-- > 0;) {
        char nibbles[4] = {digits[address->bytes[i] & 15], '.', digits[address->bytes[i] >> 4], '.'};
        buf_add(out, nibbles, i ? 4 : 3);
    }
}

void ip_address_write_reversed(const struct ip_address *address, struct buf *out)
{
    const unsigned char *b = address->bytes;
    if (ip_address_is_ipv4(address))
        buf_printf(out, "%u.%u.%u.%u", b[15], b[14], b[13], b[12]);
    else
        ip_address_write_nibbles(address, out);
}
