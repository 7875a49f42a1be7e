/* What bringing a message into the store is made of, for those that do it: store_deliver() and store_import(). */
#ifndef STORE_DELIVER_H
#define STORE_DELIVER_H

#include "store/mailbox.h"

/* The body of bytes in memory (fd < 0) or of a whole regular file. 0, -EINVAL (not one), -EMSGSIZE, -errno. */
MUST_USE int delivery_body(const struct store *s, struct span bytes, int fd, struct body *body);
/* Appends the record of f and inserts the rows of its entries, which are in `mailboxes` in the same order, and of its
 * queue entries. -EINVAL, -EBADMSG: the body cannot be read, nothing was done; another negative errno: the batch is
 * lost. */
MUST_USE int delivery_append(struct store *s, struct message_facts *f, struct body *body,
                             struct mailbox_state **mailboxes);

#endif
