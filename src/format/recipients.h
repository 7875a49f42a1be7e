/* Recipients out of a message's own header, for submission without an envelope (POP3's XTND XMIT, `sendmail -t`).
 *
 * Where the header has Resent- fields, only those of the topmost block count (RFC 5322 section 3.6.6): who resends a
 * letter sends it to the new recipients only. Pure, linear in the header; all memory is the arena's.
 */
#ifndef FORMAT_RECIPIENTS_H
#define FORMAT_RECIPIENTS_H

#include "base/arena.h"
#include "format/address.h"

#define HEADER_RECIPIENTS_MAX 10000

struct header_recipient {
    struct header_recipient *next;
    struct mail_path path; /* of a right one */
    struct span text;      /* local@domain as it was written, for people; on one line */
    const char *problem;   /* NULL, or a static sentence why it is no address */
};

struct header_recipients {
    struct header_recipient *first, *last;
    size_t count;       /* each address once, without regard to ASCII case */
    bool is_incomplete; /* too many, one that is too long, or the arena was full */
    bool out_of_memory; /* some may be missing or called wrong, for no fault of the message's */
};

/* `header` may have the body behind it. `default_domain` completes names without a domain; empty: they are a problem.
 */
void header_recipients_find(struct span header, struct span default_domain, struct arena *arena,
                            struct header_recipients *found);

/* Takes the Bcc and Resent-Bcc fields out of the message at `message`, in place: nobody else may read them (RFC 5322
 * section 3.6.3). Returns the size that is left; what stood behind the header is moved up. */
size_t header_remove_bcc(char *message, size_t size);

#endif
