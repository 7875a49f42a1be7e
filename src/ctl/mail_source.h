/* Another program's mail, message by message: a Maildir with its folders (Maildir++), or an mbox file. Blocks on the
 * disk. */
#ifndef CTL_MAIL_SOURCE_H
#define CTL_MAIL_SOURCE_H

#include "ctl/ctl.h"

struct mail_source;

struct mail_item {
    char place[4200];          /* the file, or file and message number, for what is told about it */
    char mailbox[600];         /* "INBOX", "Archive/2019" */
    unsigned marks;            /* enum mail_mark */
    uint64_t received_seconds; /* since 1970 */
    char sender[320];          /* "" when nobody knows */
    struct buf text;           /* with CRLF line ends; the item's, to be initialised before the first use */
};

enum mail_source_format { MAIL_SOURCE_GUESS, MAIL_SOURCE_MAILDIR, MAIL_SOURCE_MBOX };

/* `mailbox`: where the messages of an mbox, or of the Maildir itself, go; folders go below it unless it is "INBOX".
 * NULL with the sentence in ctl->problem. */
MUST_USE struct mail_source *mail_source_open(struct ctl *ctl, const char *path, enum mail_source_format format,
                                              const char *mailbox);
void mail_source_close(struct mail_source *s);
/* 1: *item is the next message; 0: there are no more; -1: this one can't be read, *problem says why and item->place
 * where: go on. */
int mail_source_next(struct mail_source *s, struct mail_item *item, struct buf *problem);
/* How far it is, for the progress. */
void mail_source_progress(const struct mail_source *s, uint64_t *done, uint64_t *all);

#endif
