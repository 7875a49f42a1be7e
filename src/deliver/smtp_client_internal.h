/* What the parts of the SMTP client know of one another. Private to deliver/. */
#ifndef DELIVER_SMTP_CLIENT_INTERNAL_H
#define DELIVER_SMTP_CLIENT_INTERNAL_H

#include "deliver/smtp_client.h"

/* Seconds for the reply to QUIT; all other times are in struct smtp_client_timeouts. */
#define SMTP_CLIENT_QUIT_SECONDS 10

/* Ends the conversation for `error` while at c->step, and returns it. */
int smtp_client_fail(struct smtp_client *c, int error);
/* The same for a reply that can't stand here. */
int smtp_client_fail_reply(struct smtp_client *c, const struct smtp_reply *reply);

/* So many seconds from now, but not beyond c->deadline. */
uint64_t smtp_client_deadline(const struct smtp_client *c, unsigned seconds);

/* Sends what is gathered and reads one reply. `step` (static): to what. A refusal is noted in c->reply. 421 ends the
 * conversation; the reply is there then, too. */
MUST_USE int smtp_client_read_reply(struct fiber *self, struct smtp_client *c, const char *step, unsigned seconds,
                                    struct smtp_reply *reply);
/* EHLO, or HELO when it is refused. What was known of the peer is forgotten. */
MUST_USE int smtp_client_hello(struct fiber *self, struct smtp_client *c);

/* ---- A transaction under way ---- */

struct smtp_client_transaction {
    struct smtp_client *client;
    const struct smtp_client_message *message;
    struct smtp_client_recipient *recipients;
    size_t count;
    struct smtp_client_outcome *outcome;

    bool reset_owed, mail_owed; /* these were sent, their replies not read */
    size_t asked, answered;     /* recipients, from the first on; those that we refused ourselves are passed over */
    size_t accepted;            /* by RCPT: their `final` is still empty */
    bool mail_refused;          /* then that reply is everybody's */
    bool is_probe;              /* what RCPT says is final, whatever it says */
};

/* smtp_client_envelope.c: refuses what needs no asking. 0, or what ended the conversation. How many recipients are left
 * is for smtp_client_is_anybody_left to say. */
MUST_USE int smtp_client_check(struct fiber *self, struct smtp_client_transaction *t);
bool smtp_client_is_anybody_left(const struct smtp_client_transaction *t);
/* RSET where it is due, MAIL and all RCPTs. With PIPELINING replies may be left to read. */
MUST_USE int smtp_client_send_envelope(struct fiber *self, struct smtp_client_transaction *t);
/* Reads those. */
MUST_USE int smtp_client_finish_envelope(struct fiber *self, struct smtp_client_transaction *t);

/* smtp_client_data.c: the rest, from behind smtp_client_send_envelope on. outcome->data is the reply to the end of the
 * data, or the one that kept it from being sent. */
MUST_USE int smtp_client_send_data(struct fiber *self, struct smtp_client_transaction *t);

#endif
