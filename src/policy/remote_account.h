/* A remote account: where mail is fetched from for a person, as one line of text (the value of a door item, see
 * policy/door_item.h). Pure.
 *
 *     host=pop.example.net login=alice secret=AXyz... tls=pop3s leave=yes delete-after=7d folder=Work
 *
 * Words of the form name=value with blanks between them; values in xtext (RFC 3461 section 4). What is not said has the
 * default of the table in remote_account.c. Unknown names are an error: a newer program's account is better left alone
 * than half understood.
 */
#ifndef POLICY_REMOTE_ACCOUNT_H
#define POLICY_REMOTE_ACCOUNT_H

#include "base/arena.h"
#include "base/buf.h"

enum remote_tls {
    REMOTE_TLS_POP3S, /* from the first byte, port 995 */
    REMOTE_TLS_STLS,  /* nothing is said before STLS */
    REMOTE_TLS_NONE,
};
enum remote_method {
    REMOTE_METHOD_AUTO, /* the best that is offered; without TLS only what does not show the password */
    REMOTE_METHOD_SCRAM,
    REMOTE_METHOD_APOP,
    REMOTE_METHOD_PLAIN, /* AUTH PLAIN */
    REMOTE_METHOD_LOGIN, /* USER and PASS, or AUTH LOGIN */
};

struct remote_account {
    struct span host; /* name in A-labels, or an address */
    uint16_t port;
    enum remote_tls tls;
    struct span login;
    struct span secret; /* format/sealed.h, with remote_account_context() */
    enum remote_method method;
    bool clear_password;   /* the password may be shown without TLS: said by the person, never a default */
    uint32_t interval;     /* seconds; 0: remote.interval */
    bool leave;            /* on the server */
    uint32_t delete_after; /* seconds after it was fetched; 0: never; with leave */
    struct span folder;    /* mailbox for what is fetched; empty: INBOX */
    struct span split;   /* the mailbox is this whole domain's: each message goes to whom its header names; or empty */
    struct span headers; /* names of the fields that say for whom a message was, blanks between them */
    struct span servers; /* domains of the provider's own servers beside the host's, blanks between them */
    bool enabled;
    bool verify; /* the certificate has to be right */
};

#define REMOTE_ACCOUNT_TEXT_MAX 4096
#define REMOTE_INTERVAL_LEAST 60u
#define REMOTE_INTERVAL_MOST (7u * 86400)

/* Sets one of them from what a person says: name and value in plain text. False with a sentence. The value is copied
 * into the arena where it is kept. */
MUST_USE bool remote_account_set(struct remote_account *account, struct arena *arena, struct span name,
                                 struct span value, struct buf *problem);
void remote_account_init(struct remote_account *account);
/* Of the whole line. False with a sentence. Spans are in the arena. Checks the whole as remote_account_check does. */
MUST_USE bool remote_account_parse(struct span text, struct arena *arena, struct remote_account *account,
                                   struct buf *problem);
/* Do its parts fit one another: is there a host, a login, a secret? */
MUST_USE bool remote_account_check(const struct remote_account *account, struct buf *problem);
/* The canonical text; fails like any append. */
void remote_account_write(const struct remote_account *account, struct buf *out);
/* What the secret is sealed with: the host, port, kind of TLS and login that it is for. Whoever changes one of them has
 * to know the password. */
void remote_account_context(const struct remote_account *account, struct buf *out);
/* The names, in the order of the text, with an explanation each; NULL behind the last. For help and lists. */
const char *remote_account_field_name(size_t i);
const char *remote_account_field_help(size_t i);
/* Its value in plain text. False: nothing is written, as it is the default. */
bool remote_account_field_write(const struct remote_account *account, size_t i, struct buf *out);

#endif
