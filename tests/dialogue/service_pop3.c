#include "facts/gather.h"
#include "facts/rules_memo.h"
#include "pop3/session.h"
#include "service.h"

#include <stdlib.h>

static void run(struct fiber *self, struct stream *stream, const struct visit *visit)
{
    struct facts_sources sources = {.peers = &visit->house->desk, .rules = rules_memo_new()};
    struct pop3_context context = {
        .settings = visit->house->settings, .peers = &visit->house->desk, .tls = visit->house->tls, .facts = &sources};
    struct pop3_peer peer = {
        .address = visit->address, .session_id = visit->session_id, .implicit_tls = visit->implicit_tls};
    memcpy(peer.address_bytes, visit->address_bytes, sizeof peer.address_bytes);
    if (!sources.rules)
        abort();
    pop3_session_run(self, stream, &context, &peer);
    rules_memo_free(sources.rules);
}

const struct dialogue_service service_pop3 = {"pop3", run};
