#include "service.h"
#include "smtp/session.h"

static void run_as(struct fiber *self, struct stream *stream, const struct visit *visit, enum service_kind service,
                   struct peers *peers)
{
    struct smtp_context context = {.settings = visit->house->settings, .peers = peers, .tls = visit->house->tls};
    struct smtp_peer peer = {.service = service, .session = visit->session_id};
    memcpy(peer.ip.bytes, visit->address_bytes, sizeof peer.ip.bytes);
    smtp_session_run(self, stream, &context, &peer);
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
