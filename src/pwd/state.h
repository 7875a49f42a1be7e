/* The state of one PWD session, shared by the files of this folder and by nobody else. */
#ifndef PWD_STATE_H
#define PWD_STATE_H

#include "ipc/grant.h"
#include "pwd/command.h"
#include "pwd/session.h"

#define PWD_LINE_MAX 1024

struct pwd_session {
    struct stream *stream;
    const struct pwd_context *context;
    struct settings *settings; /* a reference */
    const struct pwd_peer *peer;

    bool is_closing;        /* the last reply is gathered */
    const char *end;        /* why it ended, for the log */
    bool plain_was_refused; /* logged already */
    unsigned errors, failures, changes;

    struct buf user;    /* USER's argument until PASS */
    struct buf account; /* the address, from PASS until NEWPASS; empty: nobody is logged in */
    unsigned char grant[GRANT_SIZE];
};

void pwd_reply(struct pwd_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* "500 " and the text. */
void pwd_refuse(struct pwd_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, counted: after settings->pwd.errors of them the session ends. */
void pwd_wrong(struct pwd_session *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the session behind the reply that is gathered. `why` is static. */
void pwd_close(struct pwd_session *s, const char *why);
/* Forgets who is logged in. */
void pwd_log_out(struct pwd_session *s);
/* May passwords be taken on this connection? */
bool pwd_is_secure(const struct pwd_session *s);

/* ---- Handlers: 0, or the error of the connection, which ends the session at once. They wipe the passwords they are
 * given, and the line that these stand in. (login.c, change.c) ---- */

typedef int pwd_handler(struct fiber *self, struct pwd_session *s, struct span argument);

pwd_handler pwd_do_user, pwd_do_pass, pwd_do_newpass;

#endif
