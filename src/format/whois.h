/* Answers of WHOIS servers (RFC 3912) about an address: what the five registries write (RPSL of RIPE, APNIC and
 * AFRINIC, the forms of ARIN and LACNIC), and IANA's referrals. Pure. The text is free-form and comes from anybody:
 * what does not look like what it should be is passed over.
 */
#ifndef FORMAT_WHOIS_H
#define FORMAT_WHOIS_H

#include "base/buf.h"
#include "format/ip_address.h"

#define WHOIS_PORT 43
#define WHOIS_HOST_MAX 255
#define WHOIS_NAME_MAX 100

/* A network: an address whose bits from `bits` on are zero; IPv4 in its mapped form, so with 96 more. */
struct whois_network {
    struct ip_address address;
    unsigned bits; /* 0: none was found */
};

/* All strings are NUL-terminated, printable ASCII but for `network` (UTF-8), "" where the answer does not say. */
struct whois_answer {
    char country[3];                   /* "DE" */
    char registry[16];                 /* "RIPE", "ARIN", "APNIC", "LACNIC", "AFRINIC", "IANA" */
    char network[WHOIS_NAME_MAX + 1];  /* "EXAMPLE-NET"; where none has a name, its owner's */
    char as_number[16];                /* "AS64496" */
    char referral[WHOIS_HOST_MAX + 1]; /* the server to ask next: lower case, no blanks */
    uint16_t referral_port;
    struct whois_network block; /* the narrowest that has the address in it, as the widest CIDR inside its range */
};

/* Reads one server's answer about `address`. `text` is clean (whois_clean). */
void whois_read(struct span text, const struct ip_address *address, struct whois_answer *answer);
/* Takes over from `later`, the answer of the server that was referred to, whatever that one says; its block only where
 * it lies within ours, so that no small server speaks for others' networks. */
void whois_merge(struct whois_answer *answer, const struct whois_answer *later);

/* Appends `raw` as UTF-8 with LF line ends: Latin-1 where it is no UTF-8, control characters (but for tabs and line
 * ends) and what turns a line around as "?". At most `room` bytes, cut between characters. */
void whois_clean(struct span raw, size_t room, struct buf *out);

/* "host", "host:port", "host@port", "[address]:port", "whois://host:port/", in any case. False: anything else, rwhois
 * too (RFC 2167 is another protocol). */
MUST_USE bool whois_server_parse(struct span text, char host[WHOIS_HOST_MAX + 1], uint16_t *port);

/* Is the address in the network? */
bool whois_network_has(const struct whois_network *network, const struct ip_address *address);
/* The network of so many bits that has the address in it. */
struct whois_network whois_network_of(const struct ip_address *address, unsigned bits);
/* The widest that an answer is remembered for: /16 of IPv4 (112 bits), /32 of IPv6. Inside a wider one others with
 * facts of their own are the rule. */
#define WHOIS_WIDEST_IPV4 (96 + 16)
#define WHOIS_WIDEST_IPV6 32
/* `block`, or a narrower one round the address where it is too wide, is none, or has not the address in it. */
struct whois_network whois_network_to_remember(const struct whois_network *block, const struct ip_address *address);

#endif
