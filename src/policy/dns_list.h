/* DNS lists (RFC 5782): the names that they are asked by, and what their answers mean. Pure. */
#ifndef POLICY_DNS_LIST_H
#define POLICY_DNS_LIST_H

#include "format/ip_address.h"

/* The name to ask about an address: "7.2.0.192.bl.example.org" (section 2.1), nibbles for IPv6 (section 2.4). */
void dns_list_write_name(const struct ip_address *ip, const char *zone, struct buf *out);

/* Answers that count. */
struct dns_list_range {
    struct ip_address first, last;
};
/* "127.0.0.2" or "127.0.0.4-127.0.0.11", with both ends in 127.0.0.0/8. */
MUST_USE bool dns_list_range_parse(struct span word, struct dns_list_range *range);

enum dns_list_meaning {
    DNS_LIST_NOT_LISTED, /* listed for other reasons than those that count */
    DNS_LIST_LISTED,
    DNS_LIST_ERROR, /* 127.255.255.x says what is wrong with the question; 127.0.0.1 and all outside of 127.0.0.0/8 come
                       from a domain that is no list any more: nobody is listed by them */
};
/* One address of an answer. Without ranges all of 127.0.0.0/8 count. */
enum dns_list_meaning dns_list_judge(const struct ip_address *answer, const struct dns_list_range *ranges,
                                     size_t range_count);
/* Of all addresses of an answer: an error outweighs a listing. */
enum dns_list_meaning dns_list_combine(enum dns_list_meaning a, enum dns_list_meaning b);

/* Section 5: what every list lists, and what none does. The one proves that it is there, the other that it does not
 * list the whole world. */
struct dns_list_test {
    struct ip_address ip;
    bool ipv6; /* asked by nibbles: the IPv4-mapped form */
    bool is_listed;
};
#define DNS_LIST_TESTS 4
extern const struct dns_list_test dns_list_tests[DNS_LIST_TESTS];
void dns_list_write_test_name(const struct dns_list_test *test, const char *zone, struct buf *out);

#define DNS_LIST_REASON_MAX 200
/* The TXT record as it may stand in a reply line and in the log: what is not printable ASCII becomes "?", and what is
 * too long is cut. */
void dns_list_write_reason(struct span text, struct buf *out);

#endif
