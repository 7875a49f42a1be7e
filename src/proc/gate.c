/* The gate: strangers' SMTP on port 25. Holds their connections, asks the reader where mail leads, hands it to the
 * writer; opens nothing. */
#include "base/log.h"
#include "facts/dns_lists.h"
#include "facts/gather.h"
#include "facts/ledger.h"
#include "facts/pregreet.h"
#include "facts/rules_memo.h"
#include "intake/route.h"
#include "proc/acceptor.h"
#include "smtp/session.h"

#include <errno.h>

static struct smtp_context context;
static struct facts_sources sources;

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
    if (dns_lists_set_settings(sources.dns_lists, child->settings))
        log_write(LOG_PROBLEM, "gate", NULL, "no memory for the DNS lists; those of before stay");
    context.blacklist = child->blacklist;
}

static int start(struct child *child, struct buf *problem)
{
    static const struct acceptor_events events = {run, refuse};
    struct acceptor *acceptor = acceptor_new(child, &events, NULL);
    sources = (struct facts_sources){.peers = &child->peers,
                                     .dns_lists = dns_lists_new(child->loop, &child->peers),
                                     .return_paths = return_path_cache_new(),
                                     .routes = intake_route_cache_new(),
                                     .rules = rules_memo_new(),
                                     .pregreet = pregreet_new()};
    context.facts = &sources;
    context.routes = sources.routes;
    context.ledger = ledger_new(child->loop, &child->peers);
    if (!acceptor || !sources.dns_lists || !sources.return_paths || !sources.routes || !sources.rules ||
        !sources.pregreet || !context.ledger)
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
    ledger_stop(self, context.ledger, deadline);
}

const struct child_part gate_part = {.start = start, .adopt = adopt, .update = update, .stop = stop};
