#include "pwd/session.h"
#include "service.h"

static void run(struct fiber *self, struct stream *stream, const struct visit *visit)
{
    struct pwd_context context = {
        .settings = visit->house->settings, .peers = &visit->house->desk, .tls = visit->house->tls};
    struct pwd_peer peer = {
        .address = visit->address, .session_id = visit->session_id, .implicit_tls = visit->implicit_tls};
    memcpy(peer.address_bytes, visit->address_bytes, sizeof peer.address_bytes);
    pwd_session_run(self, stream, &context, &peer);
}

const struct dialogue_service service_pwd = {"pwd", run};
