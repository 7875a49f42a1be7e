/* Which hosts take mail for a destination: RFC 5321 section 5.1, RFC 7505. */
#ifndef DELIVER_HOSTS_H
#define DELIVER_HOSTS_H

#include "config/settings.h"
#include "dns/lookup.h"
#include "queue/verdict.h"

enum site_kind {
    SITE_DOMAIN,     /* by its MX records, or its addresses */
    SITE_LITERAL,    /* [192.0.2.1] */
    SITE_NEXT_HOP,   /* a host and a port that the directory names */
    SITE_SMART_HOST, /* the same, of the settings */
    SITE_LOCAL,      /* mailing lists, reports, recipients of ours: nobody is connected to */
};

struct site_route {
    enum site_kind kind;
    const char *host; /* domain, host name or address without brackets */
    uint16_t port;
};

/* From the queue's destination: "example.org", "[192.0.2.1]", "mx.example.org:2525", "[::1]:25", "*local"; by the smart
 * host where there is one. The host is in `memory`. False when it is none of these. Pure. */
MUST_USE bool site_route_parse(struct span destination, const struct settings *settings, struct arena *memory,
                               struct site_route *route);

#define HOST_WORDS_MAX 500

struct host {
    const char *name; /* as the DNS has it, for TLS, logs and reports */
    struct ip_address ip;
    uint16_t port;
    unsigned preference;
    bool without_tls; /* a handshake failed: it is tried in the clear */
    bool is_down;     /* it did not answer, or sent us away, while this list was in use: */
    struct verdict verdict;
    bool is_theirs; /* the words are its own */
    char words[HOST_WORDS_MAX];
};

#define HOSTS_MAX 16

/* Counted by reference: shared by the connections of a site, until it is too old. */
struct host_list {
    unsigned references;
    struct arena memory;
    struct host hosts[HOSTS_MAX]; /* in the order in which they are to be tried */
    size_t count;
    enum verdict_trouble trouble; /* with count 0: why */
    const char *problem;          /* a sentence for the log, "" for none */
    uint64_t until;               /* monotonic: use it no longer */
};

/* Waits for the resolver. NULL only without memory. */
MUST_USE struct host_list *hosts_find(struct fiber *self, struct peers *peers, const struct settings *settings,
                                      const struct site_route *route, uint64_t random);
struct host_list *host_list_ref(struct host_list *list);
void host_list_unref(struct host_list *list);

/* Is this address and port one of our own listeners for other sites' mail? Pure. */
bool host_is_ours(const struct settings *settings, const struct ip_address *ip, uint16_t port);

/* Pure: the order of MX hosts: by preference, by chance inside one. */
void mx_shuffle(struct dns_mx_host *hosts, size_t count, uint64_t random);
/* Pure: how many of the hosts, in their order, are left when this server is among them: all of worse or the same
 * preference are dropped (RFC 5321 section 5.1). */
size_t mx_cut_loop(const struct dns_mx_host *hosts, size_t count, const char *our_name);
/* Pure: IPv6 and IPv4 by turns, each in their order. */
void addresses_alternate(struct ip_address *addresses, size_t count);

#endif
