/* The desk: members' connections, submission, POP3 and PWD. As the gate, and acts for whom auth gave it a grant. */
#include "facts/gather.h"
#include "facts/ledger.h"
#include "facts/rules_memo.h"
#include "intake/route.h"
#include "my/service.h"
#include "pop3/session.h"
#include "proc/acceptor.h"
#include "proc/admin_socket.h"
#include "pwd/session.h"
#include "smtp/session.h"

#include <errno.h>

static struct facts_sources sources;
static struct smtp_context smtp;
static struct pop3_context pop3;
static struct pwd_context pwd;
static struct my_service *my;
static struct admin_socket my_socket;

static void run_smtp(struct fiber *self, struct stream *stream, struct connection *c)
{
    struct smtp_peer peer = {
        .service = c->service, .ip = c->ip, .session = c->session, .in_hand = &c->in_hand, .board = c->board};
    smtp_session_run(self, stream, &smtp, &peer);
}

static void write_address(const struct connection *c, char text[IP_ADDRESS_TEXT_MAX + 1])
{
    struct buf address;
    buf_init(&address, IP_ADDRESS_TEXT_MAX);
    ip_address_write(&c->ip, &address);
    memcpy(text, address.data, address.size);
    text[address.size] = 0;
    buf_release(&address);
}

static void run_pop3(struct fiber *self, struct stream *stream, struct connection *c)
{
    char text[IP_ADDRESS_TEXT_MAX + 1];
    write_address(c, text);
    struct pop3_peer peer = {.address = text,
                             .session_id = c->session,
                             .implicit_tls = c->service == SERVICE_POP3S,
                             .in_hand = &c->in_hand,
                             .board = c->board};
    memcpy(peer.address_bytes, c->ip.bytes, sizeof peer.address_bytes);
    pop3_session_run(self, stream, &pop3, &peer);
}

static void run_pwd(struct fiber *self, struct stream *stream, struct connection *c)
{
    char text[IP_ADDRESS_TEXT_MAX + 1];
    write_address(c, text);
    struct pwd_peer peer = {.address = text,
                            .session_id = c->session,
                            .implicit_tls = c->service == SERVICE_PWDS,
                            .in_hand = &c->in_hand,
                            .board = c->board};
    memcpy(peer.address_bytes, c->ip.bytes, sizeof peer.address_bytes);
    pwd_session_run(self, stream, &pwd, &peer);
}

/* Rows by service. */
static const struct {
    void (*run)(struct fiber *self, struct stream *stream, struct connection *connection);
    const char *busy, *too_many; /* NULL: the words of SMTP. "": TLS comes first, nothing can be said */
} services[SERVICE_KIND_COUNT] = {
    [SERVICE_SUBMISSION] = {run_smtp, NULL, NULL},
    [SERVICE_SUBMISSIONS] = {run_smtp, "", ""},
    [SERVICE_POP3] = {run_pop3, "-ERR [SYS/TEMP] Too many connections, please try again later\r\n",
                      "-ERR [SYS/TEMP] Too many connections from your address, please try again later\r\n"},
    [SERVICE_POP3S] = {run_pop3, "", ""},
    [SERVICE_PWDS] = {run_pwd, "", ""},
    [SERVICE_PWD] = {run_pwd, "500 too many connections, please try again later\r\n",
                     "500 too many connections from your address, please try again later\r\n"},
};

static void run(struct fiber *self, struct stream *stream, struct connection *c, void *unused)
{
    if (services[c->service].run)
        services[c->service].run(self, stream, c);
}

static const char *refuse(enum service_kind service, enum refusal why)
{
    const char *own = why == REFUSE_ADDRESS ? services[service].too_many : services[service].busy;
    if (own)
        return own;
    return why == REFUSE_ADDRESS ? smtp_refusal_too_many_from_address() : smtp_refusal_busy();
}

static void update(struct child *child)
{
    smtp.settings = pop3.settings = pwd.settings = child->settings;
    smtp.tls = pop3.tls = pwd.tls = child->tls;
    my_service_set_settings(my, child->settings);
}

static int attach(struct child *child, int fd, enum role peer)
{
    return my_service_attach(my, fd);
}

static int start(struct child *child, struct buf *problem)
{
    static const struct acceptor_events events = {run, refuse};
    struct acceptor *acceptor = acceptor_new(child, &events, NULL);
    smtp.routes = intake_route_cache_new();
    pop3.routes = smtp.routes;
    /* Members' mail is judged, too, but by no DNS list. */
    sources = (struct facts_sources){.peers = &child->peers,
                                     .return_paths = return_path_cache_new(),
                                     .routes = smtp.routes,
                                     .rules = rules_memo_new()};
    smtp.facts = pop3.facts = &sources;
    smtp.ledger = pop3.ledger = ledger_new(child->loop, &child->peers);
    my = my_service_new(child->loop, child->settings, &child->peers,
                        span_from(child->remote_key, sizeof child->remote_key));
    if (!acceptor || !smtp.routes || !sources.return_paths || !sources.rules || !smtp.ledger || !my)
        return -ENOMEM;
    child->part = acceptor;
    smtp.peers = pop3.peers = pwd.peers = &child->peers;
    smtp.stopping = pop3.stopping = pwd.stopping = acceptor_stopping(acceptor);
    update(child);
    return 0;
}

static int adopt(struct child *child, struct control_frame *frame)
{
    int error = admin_socket_adopt(&my_socket, child, frame);
    return error ? error : acceptor_adopt(child->part, frame);
}

static void stop(struct fiber *self, struct child *child, uint64_t deadline)
{
    admin_socket_stop(&my_socket);
    my_service_stop(self, my, deadline);
    acceptor_stop(self, child->part, deadline);
    ledger_stop(self, smtp.ledger, deadline);
}

const struct child_part desk_part = {.start = start, .attach = attach, .adopt = adopt, .update = update, .stop = stop};
