#include "ipc/services.h"
#include "pop3/state.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define EXPUNGE_MAX 1000 /* UIDs of one call: nobody's mail waits longer than for that many */

/* The next UIDs that are marked, from *number on. */
static size_t collect(const struct pop3_maildrop *maildrop, uint32_t *number, uint32_t *uids, size_t room)
{
    size_t n = 0;
    for (; *number < maildrop->count && n < room; ++*number)
        if (maildrop->messages[*number].is_deleted)
            uids[n++] = maildrop->messages[*number].uid;
    return n;
}

/* The UPDATE state: each call is all or nothing and durable. A large clean-up goes in several, between which others'
 * mail is stored; when a later one fails the client hears that some are still there (RFC 1939 section 6). */
static int expunge(struct fiber *self, struct pop3_session *s)
{
    size_t room = s->maildrop.deleted < EXPUNGE_MAX ? s->maildrop.deleted : EXPUNGE_MAX;
    uint32_t *uids = malloc(room * sizeof *uids);
    if (!uids)
        return -ENOMEM;
    int result = 0;
    uint32_t number = 0;
    size_t n;
    while (!result && (n = collect(&s->maildrop, &number, uids, room))) {
        StoreWrite__ExpungeRequest request = STORE_WRITE__EXPUNGE_REQUEST__INIT;
        request.grant = (ProtobufCBinaryData){GRANT_SIZE, s->grant};
        request.mailbox_id = s->maildrop.mailbox_id;
        request.uids = uids;
        request.n_uids = n;
        struct answer answer;
        result = pop3_call(self, s, ROLE_WRITER, STORE_WRITE_EXPUNGE, &request.base, &answer);
        if (result)
            break;
        const StoreWrite__ExpungeReply *reply = (const StoreWrite__ExpungeReply *)answer.message;
        s->expunged += reply->expunged;
        answer_release(&answer);
    }
    free(uids);
    return result;
}

int pop3_do_quit(struct fiber *self, struct pop3_session *s, const struct pop3_command *command)
{
    (void)command;
    /* To the session's end, so that the client hears what became of it. */
    pop3_set_in_hand(s, true);
    int result = s->maildrop.deleted ? expunge(self, s) : 0;
    if (result == -ECANCELED)
        return result;
    pop3_close(s, "quit");
    if (result) {
        log_write(LOG_MAJOR, "pop3", s->peer->session_id, "deleting failed account=%s error=\"%s\"",
                  log_quote(buf_span(&s->account)), strerror(-result));
        pop3_error(s, "[SYS/TEMP] some deleted messages were not removed; they are there at the next login");
        return 0;
    }
    if (s->expunged)
        pop3_ok(s, "bye, %u message%s removed", s->expunged, s->expunged == 1 ? "" : "s");
    else
        pop3_ok(s, "bye");
    return 0;
}
