/* Names in Maildirs and Maildir++ folders. Pure. */
#ifndef FORMAT_MAILDIR_NAME_H
#define FORMAT_MAILDIR_NAME_H

#include "format/mbox.h"

/* The marks in a file's name: "1790000000.M1P2.host,S=123:2,FRS". Those of what is unknown: none. */
unsigned maildir_name_marks(struct span name);
/* Appends ":2," and the letters, in the order of the alphabet. */
void maildir_name_write_marks(unsigned marks, struct buf *out);
/* The mailbox's name of a folder ".Archive.2019": "Archive/2019", in UTF-8 where it is written in modified UTF-7 (RFC
 * 3501 section 5.1.3). False when it is no folder's name, or no UTF-7. */
MUST_USE bool maildir_folder_parse(struct span folder, struct buf *mailbox);
/* The folder of a mailbox, "" for INBOX. False when no folder can have that name: it has a dot. */
MUST_USE bool maildir_folder_write(struct span mailbox, struct buf *folder);

#endif
