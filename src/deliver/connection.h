/* A connection to some host of a site, ready for transactions: greeted, encrypted and logged in as the settings ask. */
#ifndef DELIVER_CONNECTION_H
#define DELIVER_CONNECTION_H

#include "deliver/internal.h"
#include "deliver/smtp_client.h"

#define CONNECTION_REPLY_MAX 700

struct connection {
    bool is_open;
    struct smtp_client client;
    struct settings *settings; /* those it began with */
    uint64_t deadline;
    struct host_list *list;
    struct host *host; /* in the list */
    /* Why there is none: for the entries that wait for it. */
    struct verdict verdict;
    bool is_loop;          /* the way leads to this server itself */
    char failed_host[256]; /* whose words they are; "" when they are ours */
    char reply[CONNECTION_REPLY_MAX];
};

/* Tries the hosts of the site in their order. 0; -EHOSTUNREACH: none will, see the verdict (deferred or failed) and
 * reply; -ECANCELED. Nothing waits beyond the deadline. Afterwards it is due to be closed. */
MUST_USE int connection_open(struct fiber *self, struct site *site, uint64_t deadline, struct connection *conn);
/* With QUIT where that makes sense. Twice does no harm. */
void connection_close(struct fiber *self, struct connection *conn);
/* The host ended the conversation (client.reply): it is passed over by those who share its list. */
void connection_sent_away(struct connection *conn);
/* The host kept us waiting too long in a transaction: it is passed over for a while where another one may do (RFC 5321
 * section 5.1). False: there is no other. */
MUST_USE bool connection_pass_over(struct connection *conn, struct site *site);
/* The verdict and the words of a reply that a peer gave. */
struct verdict verdict_of_smtp_reply(enum verdict_stage stage, const struct smtp_reply *reply, bool others);

#endif
