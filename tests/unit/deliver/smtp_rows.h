/* The conversations of test_smtp_client.c. */
#ifndef TEST_DELIVER_SMTP_ROWS_H
#define TEST_DELIVER_SMTP_ROWS_H

#include <stddef.h>

struct smtp_row {
    const char *name;
    const char *script; /* peer.h */
    /* What the client does, a letter each:
     *   o open   t STARTTLS   v STARTTLS with a verified certificate   w the same for another host
     *   a AUTH   p probe      q close
     *   1 a message to a@x    3 one to a@x, b@x, c@x      0 one of no octets     m one without its last line end
     *   8 one with 8-bit      s one that may have 8-bit   L one of 100 000 octets
     *   u one of SMTPUTF8     d one with DSN's parameters h one with addresses that can't be sent
     *   c one with passcodes
     *   f one whose reading fails
     * A letter whose call fails is the last. */
    const char *calls;
    const char *expected; /* what became of each */
};

extern const struct smtp_row smtp_rows[];
extern const size_t smtp_row_count;

#endif
