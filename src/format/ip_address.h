/* IP addresses: 16 bytes, IPv4 in its mapped form ::ffff:a.b.c.d, so that one type, one comparison and one key serve
 * both. Pure. */
#ifndef FORMAT_IP_ADDRESS_H
#define FORMAT_IP_ADDRESS_H

#include "base/buf.h"

struct sockaddr;

struct ip_address {
    unsigned char bytes[16]; /* network order */
};

/* Longest text that ip_address_write makes. */
#define IP_ADDRESS_TEXT_MAX 45

/* A dotted quad of four decimal numbers without leading zeros ("010" is refused: some read it as octal), or an IPv6
 * address in the forms of RFC 4291 section 2.2 without a zone. The whole span or nothing. False leaves *address alone.
 */
MUST_USE bool ip_address_parse(struct span text, struct ip_address *address);
/* From AF_INET or AF_INET6. False for other families. */
MUST_USE bool ip_address_from_sockaddr(const struct sockaddr *from, struct ip_address *address);
/* The dotted quad for IPv4, else RFC 5952's form. */
void ip_address_write(const struct ip_address *address, struct buf *out);
/* RFC 5321 section 4.1.3 with its brackets: "[192.0.2.1]", "[IPv6:2001:db8::1]". */
void ip_address_write_literal(const struct ip_address *address, struct buf *out);
/* The inside of such brackets, brackets included in `text`. */
MUST_USE bool ip_address_parse_literal(struct span text, struct ip_address *address);

/* Backwards, as the DNS wants it: "1.2.0.192" (RFC 1035 section 3.5), or 32 nibbles with dots between (RFC 3596 section
 * 2.5), to which the zone's name is added behind a dot. */
void ip_address_write_reversed(const struct ip_address *address, struct buf *out);
/* The nibbles also of an IPv4 address in its mapped form. */
void ip_address_write_nibbles(const struct ip_address *address, struct buf *out);

bool ip_address_is_ipv4(const struct ip_address *address);
/* 127.0.0.0/8 and ::1. */
bool ip_address_is_loopback(const struct ip_address *address);
/* An address of the open Internet: none of a private or shared network, this machine's, a link's, a multicast group's
 * or one reserved (RFC 6890), nor an IPv6 address that leads to such an IPv4 one (RFC 3056, 6052). Those of the
 * documentation pass. Connections that strangers cause go to no others. */
bool ip_address_is_public(const struct ip_address *address);
/* The bytes by which its network is counted: of a /24, or of an IPv6 /64. Borrowed from the address. */
struct span ip_address_network(const struct ip_address *address);
bool ip_address_equal(const struct ip_address *a, const struct ip_address *b);
/* What connections are counted by: an IPv4 address as it is, an IPv6 one cut to its /64, which one customer has for the
 * taking. */
struct ip_address ip_address_counting_key(const struct ip_address *address);

#endif
