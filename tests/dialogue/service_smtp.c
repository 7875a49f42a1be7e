#include "facts/gather.h"
#include "facts/rules_memo.h"
#include "service.h"
#include "smtp/session.h"

#include <stdlib.h>

static void run_as(struct fiber *self, struct stream *stream, const struct visit *visit, enum service_kind service,
                   struct peers *peers)
{
    struct facts_sources sources = {.peers = peers, .rules = rules_memo_new()};
    struct smtp_context context = {
        .settings = visit->house->settings, .peers = peers, .tls = visit->house->tls, .facts = &sources};
    struct smtp_peer peer = {.service = service, .session = visit->session_id};
    memcpy(peer.ip.bytes, visit->address_bytes, sizeof peer.ip.bytes);
    if (!sources.rules)
        abort();
    smtp_session_run(self, stream, &context, &peer);
    rules_memo_free(sources.rules);
}

static void run_smtp(struct fiber *self, struct stream *stream, const struct visit *visit)
{
    run_as(self, stream, visit, SERVICE_SMTP, &visit->house->gate);
}

static void run_submission(struct fiber *self, struct stream *stream, const struct visit *visit)
{
    run_as(self, stream, visit, visit->implicit_tls ? SERVICE_SUBMISSIONS : SERVICE_SUBMISSION, &visit->house->desk);
}

const struct dialogue_service service_smtp = {"smtp", run_smtp};
const struct dialogue_service service_submission = {"submission", run_submission};
