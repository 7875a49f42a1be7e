#include "house.h"

#include "auth/credentials.h"
#include "auth/service.h"
#include "ipc/services.h"
#include "store/reader.h"
#include "store/writer.h"
#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define CALL_SECONDS 600 /* of the clock that stands still: in fact the player's patience */

/* ---- Channels ---- */

typedef int attach(struct house *house, int fd, enum role peer);

static int attach_writer(struct house *house, int fd, enum role peer)
{
    return store_writer_attach(house->writer, fd, peer);
}

static int attach_reader(struct house *house, int fd, enum role peer)
{
    return store_reader_attach(house->reader, fd, peer);
}

static int attach_auth(struct house *house, int fd, enum role peer)
{
    return auth_process_attach(house->auth, fd, peer);
}

static const struct process {
    const char *name;
    enum role role;
    const struct service *service;
    attach *attach;
    uint32_t callers; /* mask of ROLE_BIT() */
} processes[] = {
    {"writer", ROLE_WRITER, &store_write_service, attach_writer,
     ROLE_BIT(ROLE_GATE) | ROLE_BIT(ROLE_DESK) | ROLE_BIT(ROLE_AUTH)},
    {"reader", ROLE_READER, &store_read_service, attach_reader,
     ROLE_BIT(ROLE_GATE) | ROLE_BIT(ROLE_DESK) | ROLE_BIT(ROLE_AUTH)},
    {"auth", ROLE_AUTH, &auth_service, attach_auth, ROLE_BIT(ROLE_GATE) | ROLE_BIT(ROLE_DESK)},
};

/* A fresh channel to a service for somebody of the role. */
static struct channel *connect_to(struct house *house, const struct process *process, enum role caller)
{
    int fds[2];
    if (channel_pair(fds))
        return NULL;
    if (process->attach(house, fds[0], caller)) {
        close(fds[1]);
        return NULL;
    }
    return channel_new(house->loop, fds[1], process->service, process->role, NULL, NULL);
}

static const struct process *find_process(struct span name)
{
    for (size_t i = 0; i < sizeof processes / sizeof *processes; i++)
        if (span_is(name, processes[i].name))
            return &processes[i];
    return NULL;
}

/* The peers of everybody in the house who calls others. */
static const enum role callers[] = {ROLE_GATE, ROLE_DESK, ROLE_AUTH};

static struct peers *peers_of(struct house *house, enum role caller)
{
    return caller == ROLE_GATE ? &house->gate : caller == ROLE_DESK ? &house->desk : &house->auth_peers;
}

static bool connect_callers(struct house *house, const struct process *process)
{
    for (size_t i = 0; i < sizeof callers / sizeof *callers; i++) {
        if (!(process->callers & ROLE_BIT(callers[i])))
            continue;
        struct channel *channel = connect_to(house, process, callers[i]);
        if (!channel)
            return false;
        peers_set(peers_of(house, callers[i]), process->role, 0, channel);
    }
    return true;
}

bool house_break(struct house *house, struct span name)
{
    const struct process *process = find_process(name);
    for (size_t i = 0; process && i < sizeof callers / sizeof *callers; i++)
        peers_set(peers_of(house, callers[i]), process->role, 0, NULL);
    return process != NULL;
}

bool house_mend(struct house *house, struct span name)
{
    const struct process *process = find_process(name);
    return process && connect_callers(house, process);
}

/* ---- Start and end ---- */

static bool read_settings(struct house *house, struct span overrides, struct buf *problem)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    /* The cheapest hash that crypt has: a script is about what is said. */
    buf_printf(&text,
               "hostname=mx.example.test\ndata_directory=%s\nauth.password_hash=$5$\nauth.default_domain=example.test\n"
               "store.default_quota=0\nsmtp.check_sender=false\n",
               house->directory);
    buf_add_span(&text, overrides);
    house->settings = settings_parse(buf_span(&text), problem);
    buf_release(&text);
    return house->settings != NULL;
}

static bool make_tls(struct house *house, struct buf *problem)
{
    struct buf certificate, key;
    buf_init(&certificate, 65536);
    buf_init(&key, 65536);
    if (tls_make_self_signed(house->settings->hostname, &certificate, &key))
        buf_add_text(problem, "no certificate could be made");
    else
        house->tls = tls_context_new(buf_span(&certificate), buf_span(&key), 12, problem);
    buf_release(&certificate);
    buf_release(&key);
    return house->tls != NULL;
}

static bool start_services(struct house *house, struct buf *problem)
{
    house->writer = store_writer_new(house->loop, house->settings, house->grant_key, problem);
    if (!house->writer)
        return false;
    house->reader = store_reader_new(house->loop, house->settings, house->grant_key, problem);
    if (!house->reader)
        return false;
    house->auth = auth_process_new(house->loop, house->settings, &house->auth_peers, house->grant_key, problem);
    if (!house->auth)
        return false;
    house->admin = connect_to(house, &processes[0], ROLE_ADMIN);
    bool good = house->admin != NULL;
    for (size_t i = 0; good && i < sizeof processes / sizeof *processes; i++)
        good = connect_callers(house, &processes[i]);
    if (!good)
        buf_add_text(problem, "a channel could not be made");
    return good;
}

static bool open_log(struct house *house)
{
    snprintf(house->log_path, sizeof house->log_path, "%s.log", house->directory);
    house->log_fd = open(house->log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_EXCL, 0600);
    if (house->log_fd < 0)
        return false;
    log_open(LOG_TO_FD, house->log_fd);
    log_set_level(LOG_ALL);
    return true;
}

struct house *house_new(struct fiber *self, struct span overrides, bool with_tls, struct buf *problem)
{
    struct house *house = calloc(1, sizeof *house);
    if (!house) {
        buf_add_text(problem, "out of memory");
        return NULL;
    }
    house->loop = fiber_loop(self);
    house->log_fd = -1;
    const char *base = getenv("TMPDIR");
    snprintf(house->directory, sizeof house->directory, "%.40s/ostiary-dialogue-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(house->directory)) {
        buf_printf(problem, "no temporary directory: %s", strerror(errno));
        free(house);
        return NULL;
    }
    if (getrandom(house->grant_key, sizeof house->grant_key, 0) != (ssize_t)sizeof house->grant_key || !open_log(house))
        buf_add_text(problem, "no log or no key");
    else if (read_settings(house, overrides, problem) && (!with_tls || make_tls(house, problem)) &&
             start_services(house, problem))
        return house;
    house_free(self, house);
    return NULL;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

static void stop_services(struct fiber *self, struct house *house)
{
    /* A refusal may still be waiting for its delay. */
    while (house->auth && auth_process_steps(house->auth) && !fiber_yield(self))
        clock_fake_advance(NANOSECONDS / 100);
    peers_release(&house->gate);
    peers_release(&house->desk);
    channel_free(house->admin);
    auth_process_free(house->auth);
    peers_release(&house->auth_peers);
    if (house->reader)
        store_reader_free(house->reader);
    if (house->writer)
        store_writer_stop(house->writer);
    store_writer_free(house->writer);
    while (loop_fiber_count(house->loop) > 1 && !fiber_yield(self))
        continue;
}

void house_free(struct fiber *self, struct house *house)
{
    if (!house)
        return;
    stop_services(self, house);
    if (house->tls)
        tls_context_unref(house->tls);
    if (house->settings)
        settings_unref(house->settings);
    log_open(LOG_TO_FD, STDERR_FILENO);
    if (house->log_fd >= 0) {
        close(house->log_fd);
        unlink(house->log_path);
    }
    if (nftw(house->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS))
        fprintf(stderr, "# %s could not be removed: %s\n", house->directory, strerror(errno));
    free(house);
}

void house_read_log(struct house *house, struct buf *out, bool forget)
{
    log_flush();
    char piece[4096];
    off_t at = 0;
    ssize_t n;
    while ((n = pread(house->log_fd, piece, sizeof piece, at)) > 0) {
        buf_add(out, piece, (size_t)n);
        at += n;
    }
    if (forget && ftruncate(house->log_fd, 0))
        buf_add_text(out, "(the log could not be emptied)\n");
}

/* ---- What lives in it ---- */

static ProtobufCBinaryData binary(struct span s)
{
    return (ProtobufCBinaryData){s.size, (uint8_t *)(uintptr_t)s.data};
}

/* One change. False with the service's sentence. */
static bool change(struct fiber *self, struct house *house, const StoreWrite__ChangeRequest *request,
                   struct buf *problem)
{
    struct answer answer;
    int result = channel_call(self, house->admin, STORE_WRITE_CHANGE, &request->base, (struct span){NULL, 0}, -1,
                              clock_in_seconds(CALL_SECONDS), &answer);
    if (result) {
        buf_printf(problem, "the change failed: %s", strerror(-result));
        return false;
    }
    const StoreWrite__ChangeReply *reply = (const StoreWrite__ChangeReply *)answer.message;
    bool good = !reply->problem[0];
    if (!good)
        buf_add_text(problem, reply->problem);
    answer_release(&answer);
    return good;
}

static struct span domain_of(struct span address)
{
    size_t at = span_find_last(address, '@');
    return span_skip(address, at + 1);
}

/* The domain, unless it is there already. */
static void add_domain(struct fiber *self, struct house *house, struct span name)
{
    StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
    domain.name = binary(name);
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = STORE_WRITE__CHANGE__DOMAIN_ADD;
    request.domain = &domain;
    struct buf ignored; /* a domain that can't be added shows at the account */
    buf_init(&ignored, 4096);
    if (!change(self, house, &request, &ignored))
        log_write(LOG_ALL, "dialogue", NULL, "domain not added reason=%s", log_quote(buf_span(&ignored)));
    buf_release(&ignored);
}

bool house_add_account(struct fiber *self, struct house *house, struct span address, struct span password,
                       struct buf *problem)
{
    struct credential_set set;
    if (credentials_make(house->settings, password, &set, problem))
        return false;
    StoreWrite__StoredCredential stored[CREDENTIALS_MAX], *pointers[CREDENTIALS_MAX];
    for (size_t i = 0; i < set.count; i++) {
        stored[i] = (StoreWrite__StoredCredential)STORE_WRITE__STORED_CREDENTIAL__INIT;
        stored[i].kind = (char *)(uintptr_t)set.items[i].kind;
        stored[i].value = binary(buf_span(&set.items[i].value));
        pointers[i] = &stored[i];
    }
    add_domain(self, house, domain_of(address));
    StoreWrite__Account account = STORE_WRITE__ACCOUNT__INIT;
    account.address = binary(address);
    account.enabled = true;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = STORE_WRITE__CHANGE__ACCOUNT_ADD;
    request.account = &account;
    request.credentials = pointers;
    request.n_credentials = set.count;
    bool good = change(self, house, &request, problem);
    credentials_release(&set);
    return good;
}

bool house_enable_account(struct fiber *self, struct house *house, struct span address, bool enabled,
                          struct buf *problem)
{
    StoreWrite__Account account = STORE_WRITE__ACCOUNT__INIT;
    account.address = binary(address);
    account.enabled = enabled;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    request.change = STORE_WRITE__CHANGE__ACCOUNT_SET;
    request.account = &account;
    request.set_enabled = true;
    return change(self, house, &request, problem);
}

/* Where the address leads. The answer is the caller's to release when this is true. */
static bool resolve(struct fiber *self, struct house *house, struct span address, struct answer *answer,
                    struct buf *problem)
{
    StoreRead__ResolveRequest request = STORE_READ__RESOLVE_REQUEST__INIT;
    struct span domain = domain_of(address);
    request.local_part = binary(span_head(address, address.size - domain.size - (domain.size ? 1 : 0)));
    request.domain = binary(domain);
    int result = channel_call(self, peers_get(&house->gate, ROLE_READER), STORE_READ_RESOLVE, &request.base,
                              (struct span){NULL, 0}, -1, clock_in_seconds(CALL_SECONDS), answer);
    if (result) {
        buf_printf(problem, "resolving failed: %s", strerror(-result));
        return false;
    }
    const StoreRead__ResolveReply *reply = (const StoreRead__ResolveReply *)answer->message;
    if (reply->route == STORE_READ__ROUTE__ROUTE_LOCAL && reply->n_targets == 1)
        return true;
    buf_printf(problem, "%.*s leads nowhere (route %d)", SPAN_ARG(address), (int)reply->route);
    answer_release(answer);
    return false;
}

bool house_deliver(struct fiber *self, struct house *house, struct span address, struct span body, struct buf *problem)
{
    struct answer answer;
    if (!resolve(self, house, address, &answer, problem))
        return false;
    const StoreRead__Target *target = ((const StoreRead__ResolveReply *)answer.message)->targets[0];
    StoreWrite__Recipient recipient = STORE_WRITE__RECIPIENT__INIT, *recipients = &recipient;
    recipient.account_id = target->account_id;
    recipient.mailbox_id = target->mailbox_id;
    recipient.address = binary(address);
    answer_release(&answer);

    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    request.reverse_path = binary(span_text("sender@example.org"));
    request.recipients = &recipients;
    request.n_recipients = 1;
    request.received_at = clock_wall();
    request.peer_address = binary(span_text("192.0.2.1"));
    request.helo = binary(span_text("client.example.org"));
    char protocol[] = "ESMTP";
    request.protocol = protocol;
    int result = channel_call(self, peers_get(&house->gate, ROLE_WRITER), STORE_WRITE_DELIVER, &request.base, body, -1,
                              clock_in_seconds(CALL_SECONDS), &answer);
    if (result) {
        buf_printf(problem, "delivering failed: %s", strerror(-result));
        return false;
    }
    const StoreWrite__DeliverReply *reply = (const StoreWrite__DeliverReply *)answer.message;
    bool good = reply->n_outcomes == 1 && reply->outcomes[0] == STORE_WRITE__OUTCOME__OUTCOME_STORED;
    if (!good)
        buf_add_text(problem, "the message was not stored");
    answer_release(&answer);
    return good;
}
