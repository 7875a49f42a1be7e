/* The gate: strangers' SMTP on port 25. Holds their connections, asks the reader where mail leads, hands it to the
 * writer; opens nothing. */
#include "base/log.h"
#include "intake/route.h"
#include "proc/acceptor.h"
#include "smtp/dns_lists.h"
#include "smtp/judgement.h"
#include "smtp/session.h"

#include <errno.h>

static struct smtp_context context;

static void run(struct fiber *self, struct stream *stream, struct connection *c, void *unused)
{
    struct smtp_peer peer = {
        .service = c->service, .ip = c->ip, .session = c->session, .in_hand = &c->in_hand, .board = c->board};
    smtp_session_run(self, stream, &context, &peer);
}

static const char *refuse(enum service_kind service, enum refusal why)
{
    return why == REFUSE_ADDRESS ? smtp_refusal_too_many_from_address() : smtp_refusal_busy();
}

static void update(struct child *child)
{
    context.settings = child->settings;
    context.tls = child->tls;
    if (dns_lists_set_settings(context.dns_lists, child->settings))
        log_write(LOG_PROBLEM, "gate", NULL, "no memory for the DNS lists; those of before stay");
    context.blacklist = child->blacklist;
}

static int start(struct child *child, struct buf *problem)
{
    static const struct acceptor_events events = {run, refuse};
    struct acceptor *acceptor = acceptor_new(child, &events, NULL);
    context.routes = intake_route_cache_new();
    context.dns_lists = dns_lists_new(child->loop, &child->peers);
    context.domains = smtp_domain_cache_new();
    if (!acceptor || !context.routes || !context.dns_lists || !context.domains)
        return -ENOMEM;
    child->part = acceptor;
    context.peers = &child->peers;
    context.stopping = acceptor_stopping(acceptor);
    update(child);
    return 0;
}

static int adopt(struct child *child, struct control_frame *frame)
{
    return acceptor_adopt(child->part, frame);
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    acceptor_stop(self, child->part, deadline);
}

const struct child_part gate_part = {.start = start, .adopt = adopt, .update = update, .stop = stop};
