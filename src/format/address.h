/* Mail addresses as SMTP writes them: RFC 5321 section 4.1.2, with RFC 6531's UTF-8.
 *
 * All functions are pure. A parser that returns `const char *` returns NULL when all is well, else a short sentence in
 * lower case without a full stop that says what is wrong ("a control character in the local part"). It is a static
 * text, fit for an SMTP reply.
 *
 * Deliberate readings of the grammar:
 * - A path stands in angle brackets; without them it is refused.
 * - Source routes (<@a,@b:user@d>) are checked and dropped; `had_route` tells, as RFC 5321 appendix C asks.
 * - A local part that needed no quotes is the same with and without them: "a.b"@x equals a.b@x. The content is kept in
 * its case.
 * - An underscore may stand in a domain: such senders exist. A trailing dot may not.
 * - The local part's 64 octets (section 4.5.3.1.1) are no limit; the path's 256 are. Mailing lists and forwarders (SRS)
 * write other people's addresses into their reverse paths and pass 64 every day; and where a bounce comes back, that is
 * the forward path.
 */
#ifndef FORMAT_ADDRESS_H
#define FORMAT_ADDRESS_H

#include "base/arena.h"
#include "base/buf.h"
#include "format/ip_address.h"

#define DOMAIN_MAX 255
#define PATH_MAX_SMTP 256 /* with its angle brackets */

struct mail_path {
    struct span local_part; /* content, without quotes and backslashes; into the input or the arena */
    struct span domain; /* ASCII letters in lower case, U-labels left as given; "[192.0.2.1]" for a literal; empty for
                           <> and <Postmaster> */
    struct span text;   /* as given between the angle brackets, the route included; a bare address: all of it */
    bool is_null;       /* <> */
    bool is_literal;    /* the domain is an address in brackets: */
    struct ip_address literal;
    bool had_route;
    bool quoted;   /* the local part was given in quotes */
    bool has_utf8; /* a byte above 127: needs SMTPUTF8 */
};

enum path_kind { REVERSE_PATH, FORWARD_PATH };

/* Parses "<...>" at the start of *input and consumes it, with any spaces before it. `utf8`: bytes above 127 are let
 * through when they are valid UTF-8. REVERSE_PATH allows <>, FORWARD_PATH allows <Postmaster> (any case, domain empty).
 * On an error *input and *path are undefined. Memory: at most the path's size from `arena`; spans of *path point into
 * it and into the input, and live as long as both. */
MUST_USE const char *mail_path_parse(struct span *input, enum path_kind kind, bool utf8, struct arena *arena,
                                     struct mail_path *path);

/* A bare local@domain, all of `text`, as on the command line, in the config and in the database. No <>, no route, no
 * angle brackets. */
MUST_USE const char *mail_address_parse(struct span text, bool utf8, struct arena *arena, struct mail_path *path);

/* A domain name by itself, of the same grammar, no address literal. NULL or a sentence. */
MUST_USE const char *domain_check(struct span domain, bool utf8);

/* Lower case, U-labels turned into A-labels (IDNA 2008, UTS 46 non-transitional, libidn2). An address literal is
 * returned as it is. The result is in the arena. */
MUST_USE const char *domain_to_ascii(struct arena *arena, struct span domain, struct span *ascii);

/* local@domain, the local part in quotes where it has to be; without '@' when the domain is empty. Bytes that can't
 * stand in an address at all (controls) are left out, so the result never breaks a line. */
void mail_path_write(struct span local_part, struct span domain, struct buf *out);

#endif
