/* The ways to log in, and which of them a session may offer. Pure; for the sessions as much as for auth.
 */
#ifndef AUTH_MECHANISMS_H
#define AUTH_MECHANISMS_H

#include "base/buf.h"

enum mechanism_id {
    MECHANISM_SCRAM_SHA_256_PLUS, /* RFC 5802, RFC 7677, with channel binding */
    MECHANISM_SCRAM_SHA_256,
    MECHANISM_PLAIN, /* RFC 4616; also carries POP3's USER and PASS */
    MECHANISM_LOGIN, /* no RFC: two prompts, for old clients */
    MECHANISM_APOP,  /* RFC 1939 section 7: a POP3 command, not a SASL mechanism */
    MECHANISM_COUNT
};

struct mechanism {
    const char *name;
    bool needs_secure;  /* only under TLS or from a trusted network */
    bool needs_binding; /* only where the channel has binding data */
    bool is_sasl;       /* stands in AUTH and SASL lists */
};

/* In the order of preference. */
extern const struct mechanism mechanisms[MECHANISM_COUNT];

/* MECHANISM_COUNT when there is none of that name. ASCII case does not matter (RFC 4954 section 4). */
enum mechanism_id mechanism_parse(struct span name);
/* May the mechanism be used on such a connection? `secure`: TLS is on, or the client is in trusted_networks. `binding`:
 * the TLS connection gives channel binding data. */
bool mechanism_fits(enum mechanism_id id, bool secure, bool binding);

/* Appends the names to offer, best first, a space between them: for EHLO's AUTH line (RFC 4954) and CAPA's SASL line
 * (RFC 5034). Appends nothing where none may be used: then the line is left out. APOP is not among them. */
void sasl_mechanism_list(bool secure, bool binding, struct buf *out);

#endif
