/* Questions to the DNS, asked of the resolver process: typed, so that callers never see wire forms.
 *
 * All results are in the arena that the caller gives, names are in lower case, as A-labels and without the last dot. A
 * status says how the DNS answered; where the resolver can't be reached, does not answer until the deadline, or the
 * waiting fiber was canceled, it is DNS_TROUBLE, with a sentence: what depends on it is then to be tried later. Nothing
 * here fails in another way. What comes from the DNS is hostile: records that can't be read, or that name what is no
 * host name, are left out; no more than DNS_RECORDS_MAX are taken.
 */
#ifndef DNS_LOOKUP_H
#define DNS_LOOKUP_H

#include "base/arena.h"
#include "format/ip_address.h"
#include "ipc/peers.h"
#include "run/fiber.h"

#define DNS_RECORDS_MAX 64

enum dns_status {
    DNS_ANSWERED, /* there are records */
    DNS_NO_DATA,  /* the name exists, such records do not */
    DNS_NO_NAME,  /* NXDOMAIN: the name does not exist */
    DNS_TROUBLE,  /* no answer, or one that is not to be believed: try later */
};

/* RFC 1035, 3596 */
enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_MX = 15,
    DNS_TXT = 16,
    DNS_AAAA = 28
};

struct dns_answer {
    enum dns_status status;
    struct span *records; /* RDATA in wire form, names in it uncompressed; none unless DNS_ANSWERED */
    size_t count;
    uint32_t ttl;        /* seconds that it may be remembered, also of "there is none"; 0 with DNS_TROUBLE */
    bool secure;         /* DNSSEC says so */
    const char *trouble; /* a sentence with DNS_TROUBLE, else "" */
};

struct dns_question {
    struct span name; /* A-labels, without the last dot. What is no DNS name gets DNS_NO_NAME unasked */
    unsigned type;    /* enum dns_type, or any other number */
    struct dns_answer answer;
};

/* Asks all of them at the same time and waits until all are answered or the deadline came (CLOCK_NEVER: the resolver's
 * own time-out, setting dns.timeout, ends it). */
void dns_query(struct fiber *self, struct peers *peers, struct dns_question *questions, size_t count, uint64_t deadline,
               struct arena *memory);

struct dns_mx_host {
    unsigned
        preference; /* lowest first; equal ones in the order of the answer: shuffle them yourself (RFC 5321, 5.1) */
    const char *name;
};

struct dns_mx {
    enum dns_status status;
    struct dns_mx_host *hosts; /* at least one with DNS_ANSWERED unless is_null */
    size_t count;
    bool is_null;     /* RFC 7505: this domain takes no mail */
    bool is_implicit; /* there is no MX: the domain itself is the host (RFC 5321 section 5.1); status is DNS_ANSWERED */
    uint32_t ttl;
    bool secure;
    const char *trouble;
};
/* DNS_NO_DATA never comes: the domain is then its own host, is_implicit, and its addresses say whether there is one.
 * DNS_ANSWERED without hosts and not null: all its records are unusable. */
void dns_mx(struct fiber *self, struct peers *peers, struct span domain, uint64_t deadline, struct arena *memory,
            struct dns_mx *mx);

struct dns_addresses {
    enum dns_status status;       /* DNS_TROUBLE only when no address at all was found */
    struct ip_address *addresses; /* IPv6 first, in the order of the answers */
    size_t count;
    uint32_t ttl;
    bool secure;
    const char *trouble;
};
#define DNS_IPV4 1u
#define DNS_IPV6 2u
/* `families` is a mask of these two; both are asked at the same time. An address literal without brackets is its own
 * answer. */
void dns_addresses(struct fiber *self, struct peers *peers, struct span host, unsigned families, uint64_t deadline,
                   struct arena *memory, struct dns_addresses *addresses);

struct dns_txt {
    enum dns_status status;
    struct span *texts; /* the strings of a record run together (RFC 7208 section 3.3); any bytes */
    size_t count;
    uint32_t ttl;
    bool secure;
    const char *trouble;
};
void dns_txt(struct fiber *self, struct peers *peers, struct span name, uint64_t deadline, struct arena *memory,
             struct dns_txt *txt);

#define DNS_PTR_NAMES_MAX 8 /* more are not looked at */

struct dns_ptr {
    enum dns_status status; /* of the PTR question */
    const char **names;
    size_t count;
    const char *confirmed; /* the first name whose addresses have this one among them; NULL: there is none */
    bool uncertain;        /* none was confirmed, but the addresses of some could not be asked for */
    const char *trouble;
};
/* Asks for the names, then for the addresses of all of them at the same time. */
void dns_ptr(struct fiber *self, struct peers *peers, const struct ip_address *ip, uint64_t deadline,
             struct arena *memory, struct dns_ptr *ptr);

enum dns_mail_domain {
    DNS_MAIL_YES,       /* it has an MX that is no null MX, or an address */
    DNS_MAIL_NO_DOMAIN, /* no such domain, or neither MX nor address: 5.1.8 */
    DNS_MAIL_NULL_MX,   /* it says that it takes no mail: 5.7.27 (RFC 7505 section 4.2) */
    DNS_MAIL_TROUBLE,   /* try later: 4.4.3 */
};
/* Could mail be sent to this domain? `problem` (may be NULL) gets the sentence of DNS_MAIL_TROUBLE. */
enum dns_mail_domain dns_can_receive_mail(struct fiber *self, struct peers *peers, struct span domain,
                                          uint64_t deadline, struct buf *problem);

#endif
