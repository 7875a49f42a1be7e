#include "ipc/services.h"
#include "pop3/state.h"
#include "store_read.pb-c.h"

#include <errno.h>

int pop3_call(struct fiber *self, struct pop3_session *s, enum role role, size_t method,
              const ProtobufCMessage *request, struct answer *answer)
{
    int result = -EPIPE;
    /* All that is asked for may be asked for twice: reading, and expunging by UID. */
    for (unsigned attempt = 0; attempt < 2 && result == -EPIPE; attempt++) {
        struct channel *channel = peers_get(s->context->peers, role);
        result = channel_call(self, channel, method, request, (struct span){NULL, 0}, -1,
                              clock_in_seconds(POP3_CALL_SECONDS), answer);
    }
    return result;
}

static int take_page(struct pop3_session *s, const struct answer *answer, uint32_t *from_uid)
{
    const StoreRead__MaildropReply *reply = (const StoreRead__MaildropReply *)answer->message;
    struct pop3_maildrop *maildrop = &s->maildrop;
    bool is_first = *from_uid == 0;
    if (is_first) {
        maildrop->mailbox_id = reply->mailbox_id;
        maildrop->uidvalidity = reply->uidvalidity;
    }
    /* A mailbox that was made anew between two pages is no damage; the next login finds it whole. */
    if (maildrop->mailbox_id != reply->mailbox_id || maildrop->uidvalidity != reply->uidvalidity)
        return -EAGAIN;
    if (answer->attachment.size != (uint64_t)reply->count * sizeof(struct pop3_message))
        return -EPROTO;
    if (reply->next_uid && (reply->next_uid <= *from_uid || !reply->count))
        return -EPROTO;
    *from_uid = reply->next_uid;
    return pop3_maildrop_add(maildrop, answer->attachment);
}

int pop3_open_maildrop(struct fiber *self, struct pop3_session *s)
{
    int result = 0;
    uint32_t from_uid = 0;
    do {
        StoreRead__MaildropRequest request = STORE_READ__MAILDROP_REQUEST__INIT;
        request.grant = (ProtobufCBinaryData){GRANT_SIZE, s->grant};
        request.from_uid = from_uid;
        struct answer answer;
        result = pop3_call(self, s, ROLE_READER, STORE_READ_MAILDROP, &request.base, &answer);
        if (result)
            break;
        result = take_page(s, &answer, &from_uid);
        answer_release(&answer);
    } while (!result && from_uid);
    if (result == -ENOSPC) {
        log_write(LOG_PROBLEM, "pop3", s->peer->session_id, "the maildrop is cut to its first messages count=%u",
                  s->maildrop.count);
        result = 0;
    }
    if (result)
        pop3_maildrop_release(&s->maildrop);
    return result;
}
