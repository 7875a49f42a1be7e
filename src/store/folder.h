/* Mailboxes by name: those that mail is filed into, made where they are missing. No function waits but for the disk. */
#ifndef STORE_FOLDER_H
#define STORE_FOLDER_H

#include "store/core.h"

#define FOLDER_NAME_MAX 255      /* bytes */
#define FOLDERS_BY_DELIVERY 1000 /* an account that has so many gets no more of them by its mail */

/* RFC 9051 section 5.1: UTF-8 without control characters; levels are parted by '/', with something between. */
bool folder_is_name(struct span name);
/* The mailbox of that name, made where it is missing, with its special use where the name tells (Junk, Archive …: RFC
 * 6154). 0; -EDQUOT: the account has FOLDERS_BY_DELIVERY (`by_delivery` only); another negative errno: the batch is
 * lost. In a batch. */
MUST_USE int folder_reach(struct store *s, uint64_t account_id, struct span name, bool by_delivery, uint64_t *id);

#endif
