/* The maildrop: the INBOX as one POP3 session sees it, from login to QUIT. Pure; where its entries come from is in
 * open.c.
 *
 * Sixteen bytes a message, so that 100,000 messages cost 1.6 MB. Message numbers are 1 to `count` and never change
 * within a session (RFC 1939 section 4); what arrives meanwhile shows at the next login.
 *
 * There is no lock on a maildrop, unlike RFC 1939 section 4 imagines: several sessions may be open at once, beside mail
 * that arrives. That is safe because each session numbers its own snapshot, and because QUIT deletes by UID, which is
 * never given twice: deleting the same message again, or a message that another session deleted, does nothing, and no
 * session can delete what it has not listed.
 */
#ifndef POP3_MAILDROP_H
#define POP3_MAILDROP_H

#include "base/buf.h"

#define POP3_MESSAGES_MAX (4u << 20) /* of one session: 64 MiB; the rest shows when these are gone */
#define POP3_UNIQUE_ID_SIZE 17       /* with its NUL */

struct pop3_message {
    uint64_t size; /* octets, before dot-stuffing */
    uint32_t uid;
    uint32_t is_deleted;
};

struct pop3_maildrop {
    struct pop3_message *messages; /* NULL when there are none */
    uint32_t count;
    uint32_t deleted;
    uint64_t octets; /* of the messages that are not deleted */
    uint64_t mailbox_id;
    uint32_t uidvalidity;
};

/* Appends a page of the store's listing (store_read.proto, MaildropEntry). 0; -EPROTO when it is not one: not whole
 * entries, UIDs that do not rise, sizes that no message has; -ENOMEM; -ENOSPC past POP3_MESSAGES_MAX (those before it
 * were taken). */
MUST_USE int pop3_maildrop_add(struct pop3_maildrop *maildrop, struct span entries);
void pop3_maildrop_release(struct pop3_maildrop *maildrop);

/* NULL when there is no such number or the message is marked as deleted. */
struct pop3_message *pop3_maildrop_get(const struct pop3_maildrop *maildrop, uint32_t number);
/* Marks one of its messages. Once only. */
void pop3_maildrop_delete(struct pop3_maildrop *maildrop, struct pop3_message *message);
/* Takes all marks away: RSET. */
void pop3_maildrop_reset(struct pop3_maildrop *maildrop);

/* UIDL's unique-id: UIDVALIDITY and UID, eight hexadecimal digits each. Both are rebuilt from the volumes, so it never
 * changes while the message lives. */
void pop3_unique_id(const struct pop3_maildrop *maildrop, const struct pop3_message *message,
                    char out[POP3_UNIQUE_ID_SIZE]);

#endif
