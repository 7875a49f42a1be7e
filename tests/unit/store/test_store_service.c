#include "services.h"

#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct house {
    struct fixture fixture;
    struct services services;
    struct channel *gate, *desk, *admin, *auth, *read_gate, *read_desk, *read_auth;
    unsigned char grant[GRANT_SIZE];
    uint64_t account_id, mailbox_id;
    int delivered, lost;
};

static void resolve(struct fiber *self, struct house *h)
{
    StoreRead__ResolveRequest q = STORE_READ__RESOLVE_REQUEST__INIT;
    struct answer answer;
    q.local_part = binary("ALICE+x");
    q.domain = binary("example.test");
    assert_int_equal(ask(self, h->read_gate, STORE_READ_RESOLVE, &q.base, &answer), 0);
    const StoreRead__ResolveReply *r = (const StoreRead__ResolveReply *)answer.message;
    assert_int_equal(r->route, STORE_READ__ROUTE__ROUTE_LOCAL);
    assert_int_equal(r->n_targets, 1);
    h->account_id = r->targets[0]->account_id;
    h->mailbox_id = r->targets[0]->mailbox_id;
    assert_true(r->targets[0]->quota_left == UINT64_MAX);
    grant_make(services_key, h->account_id, 4000000000u, h->grant);
    answer_release(&answer);
}

static int deliver(struct fiber *self, struct house *h, struct span body, int fd, StoreWrite__Outcome wanted)
{
    StoreWrite__DeliverRequest q = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__Recipient r = STORE_WRITE__RECIPIENT__INIT, *list = &r;
    struct answer answer;
    q.reverse_path = binary("x@y.test");
    q.n_recipients = 1;
    q.recipients = &list;
    r.account_id = h->account_id;
    r.mailbox_id = wanted == STORE_WRITE__OUTCOME__OUTCOME_GONE ? 4711 : h->mailbox_id;
    r.address = binary("alice@example.test");
    int rc = channel_call(self, h->gate, STORE_WRITE_DELIVER, &q.base, body, fd, clock_in_seconds(60), &answer);
    if (rc == 0) {
        const StoreWrite__DeliverReply *reply = (const StoreWrite__DeliverReply *)answer.message;
        assert_int_equal(reply->n_outcomes, 1);
        assert_int_equal(reply->outcomes[0], wanted);
    }
    answer_release(&answer);
    return rc;
}

static void spooled(struct fiber *self, struct house *h)
{
    StoreWrite__SpoolRequest q = STORE_WRITE__SPOOL_REQUEST__INIT;
    struct answer answer;
    assert_int_equal(ask(self, h->gate, STORE_WRITE_SPOOL, &q.base, &answer), 0);
    int fd = answer_take_fd(&answer);
    answer_release(&answer);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "from the spool", 14), 14);
    assert_int_equal(deliver(self, h, (struct span){NULL, 0}, fd, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
    close(fd);
    /* What is no regular file is refused, and nobody else suffers. */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(deliver(self, h, (struct span){NULL, 0}, ends[0], STORE_WRITE__OUTCOME__OUTCOME_STORED), -EINVAL);
    close(ends[0]);
    close(ends[1]);
}

static void read_back(struct fiber *self, struct house *h)
{
    StoreRead__MaildropRequest m = STORE_READ__MAILDROP_REQUEST__INIT;
    struct answer answer;
    m.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    assert_int_equal(ask(self, h->read_desk, STORE_READ_MAILDROP, &m.base, &answer), 0);
    const StoreRead__MaildropReply *reply = (const StoreRead__MaildropReply *)answer.message;
    assert_int_equal(reply->count, 2);
    assert_int_equal(reply->next_uid, 0);
    assert_int_equal(answer.attachment.size, 32);
    assert_true(reply->mailbox_id == h->mailbox_id && reply->uidvalidity > 0);
    answer_release(&answer);

    StoreRead__FetchRequest q = STORE_READ__FETCH_REQUEST__INIT;
    uint32_t uids[] = {1, 9, 2};
    q.grant = m.grant;
    q.mailbox_id = h->mailbox_id;
    q.n_uids = 3;
    q.uids = uids;
    q.max_bytes = 1 << 20;
    assert_int_equal(ask(self, h->read_desk, STORE_READ_FETCH, &q.base, &answer), 0);
    const StoreRead__FetchReply *f = (const StoreRead__FetchReply *)answer.message;
    assert_int_equal(f->n_pieces, 3);
    assert_true(f->pieces[1]->gone);
    assert_true(span_is(answer.attachment, "hellofrom the spool"));
    answer_release(&answer);
    /* Another's mailbox, or a forged grant, is nothing for this desk. */
    q.mailbox_id += 2;
    assert_int_equal(ask(self, h->read_desk, STORE_READ_FETCH, &q.base, &answer), -EACCES);
    h->grant[GRANT_SIZE - 1] ^= 1;
    assert_int_equal(ask(self, h->read_desk, STORE_READ_MAILDROP, &m.base, &answer), -EACCES);
    h->grant[GRANT_SIZE - 1] ^= 1;
}

static void expunge(struct fiber *self, struct house *h)
{
    StoreWrite__ExpungeRequest q = STORE_WRITE__EXPUNGE_REQUEST__INIT;
    struct answer answer;
    uint32_t uids[] = {1, 1, 77};
    q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    q.mailbox_id = h->mailbox_id;
    q.n_uids = 3;
    q.uids = uids;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_EXPUNGE, &q.base, &answer), 0);
    assert_int_equal(((const StoreWrite__ExpungeReply *)answer.message)->expunged, 1);
    answer_release(&answer);
    q.mailbox_id += 2;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_EXPUNGE, &q.base, &answer), -EACCES);
}

static void administer(struct fiber *self, struct house *h)
{
    StoreWrite__ChangeRequest q = STORE_WRITE__CHANGE_REQUEST__INIT;
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    ProtobufCBinaryData target = binary("Alice@example.test");
    struct answer answer;
    q.change = STORE_WRITE__CHANGE__ALIAS_PUT;
    q.alias = &alias;
    alias.address = binary("postmaster@example.test");
    alias.n_targets = 1;
    alias.targets = &target;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_CHANGE, &q.base, &answer), 0);
    assert_string_equal(((const StoreWrite__ChangeReply *)answer.message)->problem, "");
    answer_release(&answer);
    target = binary("alicce@example.test");
    assert_int_equal(ask(self, h->admin, STORE_WRITE_CHANGE, &q.base, &answer), 0);
    assert_non_null(
        strstr(((const StoreWrite__ChangeReply *)answer.message)->problem, "neither an account nor an alias"));
    answer_release(&answer);
    StoreWrite__ListRequest l = STORE_WRITE__LIST_REQUEST__INIT;
    l.kind = STORE_WRITE__LIST_KIND__LIST_ALIASES;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_LIST, &l.base, &answer), 0);
    assert_int_equal(((const StoreWrite__ListReply *)answer.message)->n_aliases, 1);
    assert_false(((const StoreWrite__ListReply *)answer.message)->more);
    answer_release(&answer);
    l.kind = STORE_WRITE__LIST_KIND__LIST_ACCOUNTS;
    l.match = binary("alice@example.test");
    assert_int_equal(ask(self, h->admin, STORE_WRITE_LIST, &l.base, &answer), 0);
    const StoreWrite__ListReply *accounts = (const StoreWrite__ListReply *)answer.message;
    assert_int_equal(accounts->n_accounts, 1);
    assert_int_equal(accounts->accounts[0]->messages, 1);
    assert_int_equal(accounts->accounts[0]->used, 14);
    answer_release(&answer);
}

static void credentials(struct fiber *self, struct house *h)
{
    StoreRead__CredentialsRequest q = STORE_READ__CREDENTIALS_REQUEST__INIT;
    struct answer answer;
    q.login = binary("Alice");
    assert_int_equal(ask(self, h->read_auth, STORE_READ_CREDENTIALS, &q.base, &answer), 0);
    const StoreRead__CredentialsReply *r = (const StoreRead__CredentialsReply *)answer.message;
    assert_true(r->found && r->enabled);
    assert_int_equal(r->n_credentials, 1);
    assert_string_equal(r->credentials[0]->kind, "crypt");
    answer_release(&answer);
    StoreRead__MaySendRequest m = STORE_READ__MAY_SEND_REQUEST__INIT;
    m.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    m.domain = binary("example.test");
    static const struct {
        const char *local_part;
        bool allowed;
    } rows[] = {{"alice", true}, {"alice+x", true}, {"postmaster", true}, {"bob", false}, {"nobody", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        m.local_part = binary(rows[i].local_part);
        assert_int_equal(ask(self, h->read_desk, STORE_READ_MAY_SEND, &m.base, &answer), 0);
        assert_int_equal(((const StoreRead__MaySendReply *)answer.message)->allowed, rows[i].allowed);
        answer_release(&answer);
    }
}

/* What auth has stored for a person replaces all that was there, and is there when the answer comes. */
static void new_password(struct fiber *self, struct house *h)
{
    StoreWrite__CredentialsRequest q = STORE_WRITE__CREDENTIALS_REQUEST__INIT;
    StoreWrite__StoredCredential crypt = STORE_WRITE__STORED_CREDENTIAL__INIT, *list = &crypt;
    char kind[] = "scram-sha-256";
    struct answer answer;
    crypt.kind = kind;
    crypt.value = binary("another secret");
    q.account_id = h->account_id;
    q.credentials = &list;
    assert_int_equal(ask(self, h->auth, STORE_WRITE_CREDENTIALS, &q.base, &answer), -EINVAL); /* none at all */
    q.n_credentials = 1;
    assert_int_equal(ask(self, h->auth, STORE_WRITE_CREDENTIALS, &q.base, &answer), 0);
    assert_string_equal(((const StoreWrite__ChangeReply *)answer.message)->problem, "");
    answer_release(&answer);
    StoreRead__CredentialsRequest r = STORE_READ__CREDENTIALS_REQUEST__INIT;
    r.login = binary("alice@example.test");
    assert_int_equal(ask(self, h->read_auth, STORE_READ_CREDENTIALS, &r.base, &answer), 0);
    const StoreRead__CredentialsReply *now = (const StoreRead__CredentialsReply *)answer.message;
    assert_int_equal(now->n_credentials, 1);
    assert_string_equal(now->credentials[0]->kind, kind);
    assert_true(span_is(span_from(now->credentials[0]->value.data, now->credentials[0]->value.len), "another secret"));
    assert_true(now->version > h->account_id); /* an account begins with its id as the version */
    answer_release(&answer);
    q.account_id = 4711;
    assert_int_equal(ask(self, h->auth, STORE_WRITE_CREDENTIALS, &q.base, &answer), 0);
    assert_string_equal(((const StoreWrite__ChangeReply *)answer.message)->problem, "The account is gone.");
    answer_release(&answer);
    q.account_id = 0;
    assert_int_equal(ask(self, h->auth, STORE_WRITE_CREDENTIALS, &q.base, &answer), -EINVAL);
    /* A desk that tries it itself loses its channel. */
    q.account_id = h->account_id;
    struct channel *desk = services_attach(&h->services, ROLE_DESK, true);
    assert_int_equal(ask(self, desk, STORE_WRITE_CREDENTIALS, &q.base, &answer), -EPIPE);
    services_detach(&h->services, desk);
}

static void compact(struct fiber *self, struct house *h)
{
    StoreWrite__CompactRequest q = STORE_WRITE__COMPACT_REQUEST__INIT;
    struct answer answer;
    q.min_dead_percent = 1;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_COMPACT, &q.base, &answer), 0);
    const StoreWrite__CompactReply *r = (const StoreWrite__CompactReply *)answer.message;
    assert_int_equal(r->volumes_removed, 1);
    assert_true(r->bytes_freed > 0);
    answer_release(&answer);
    StoreRead__FetchRequest f = STORE_READ__FETCH_REQUEST__INIT;
    uint32_t uid = 2;
    f.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    f.mailbox_id = h->mailbox_id;
    f.n_uids = 1;
    f.uids = &uid;
    f.max_bytes = 1 << 20;
    assert_int_equal(ask(self, h->read_desk, STORE_READ_FETCH, &f.base, &answer), 0);
    assert_true(span_is(answer.attachment, "from the spool"));
    answer_release(&answer);
}

static void whole_way(struct fiber *self, void *argument)
{
    struct house *h = argument;
    resolve(self, h);
    assert_int_equal(deliver(self, h, span_text("hello"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
    spooled(self, h);
    assert_int_equal(deliver(self, h, span_text("nowhere"), -1, STORE_WRITE__OUTCOME__OUTCOME_GONE), 0);
    read_back(self, h);
    expunge(self, h);
    administer(self, h);
    credentials(self, h);
    new_password(self, h);
    compact(self, h);
    loop_stop(h->services.loop);
}

static void house_start(struct house *h)
{
    memset(h, 0, sizeof(*h));
    fixture_start(&h->fixture);
    services_start(&h->services, &h->fixture);
    /* A second writer is told who has it. */
    struct buf problem;
    char pid[32];
    buf_init(&problem, 4096);
    assert_null(store_writer_new(h->services.loop, &h->fixture.settings, services_key, &problem));
    snprintf(pid, sizeof(pid), "process %ld:", (long)getpid());
    buf_add_char(&problem, '\0');
    assert_non_null(strstr(problem.data, pid));
    buf_release(&problem);
    h->gate = services_attach(&h->services, ROLE_GATE, true);
    h->desk = services_attach(&h->services, ROLE_DESK, true);
    h->admin = services_attach(&h->services, ROLE_ADMIN, true);
    h->auth = services_attach(&h->services, ROLE_AUTH, true);
    h->read_gate = services_attach(&h->services, ROLE_GATE, false);
    h->read_desk = services_attach(&h->services, ROLE_DESK, false);
    h->read_auth = services_attach(&h->services, ROLE_AUTH, false);
}

static void house_stop(struct house *h)
{
    services_stop(&h->services);
    fixture_stop(&h->fixture);
}

static void service(void **state)
{
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "client", whole_way, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

#define CLIENTS 64

static void one_delivery(struct fiber *self, void *argument)
{
    struct house *h = argument;
    if (h->account_id == 0)
        resolve(self, h);
    assert_int_equal(deliver(self, h, span_text("one of many"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
    if (++h->delivered == CLIENTS)
        loop_stop(h->services.loop);
}

static void check_status(struct fiber *self, void *argument)
{
    struct house *h = argument;
    StoreWrite__StatusRequest q = STORE_WRITE__STATUS_REQUEST__INIT;
    struct answer answer;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_STATUS, &q.base, &answer), 0);
    const StoreWrite__StatusReply *r = (const StoreWrite__StatusReply *)answer.message;
    assert_int_equal(r->delivered, CLIENTS);
    assert_int_equal(r->messages, CLIENTS);
    /* One sync a batch, and far fewer batches than messages. */
    assert_true(r->syncs <= r->batches + 1);
    assert_true(r->batches <= CLIENTS / 4);
    answer_release(&answer);
    loop_stop(h->services.loop);
}

static void gathers(void **state)
{
    struct house h;
    house_start(&h);
    for (int i = 0; i < CLIENTS; i++)
        assert_non_null(fiber_start(h.services.loop, "client", one_delivery, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    assert_non_null(fiber_start(h.services.loop, "status", check_status, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- The courier's and the administrator's side of the queue ---- */

struct waiter {
    struct house *h;
    struct channel *courier;
    uint32_t seconds;
    int rc;
    bool rescan, ended;
    char names[100];
};

static void wait_for_news(struct fiber *self, void *argument)
{
    struct waiter *w = argument;
    StoreWrite__QueueWaitRequest q = STORE_WRITE__QUEUE_WAIT_REQUEST__INIT;
    struct answer answer;
    size_t size = 0;
    q.wait_seconds = w->seconds;
    w->names[0] = '\0';
    w->rescan = false;
    w->rc = ask(self, w->courier, STORE_WRITE_QUEUE_WAIT, &q.base, &answer);
    if (w->rc == 0) {
        const StoreWrite__QueueWaitReply *r = (const StoreWrite__QueueWaitReply *)answer.message;
        w->rescan = r->rescan;
        for (size_t i = 0; i < r->n_destinations; i++)
            size += (size_t)snprintf(w->names + size, sizeof(w->names) - size, "%.*s ",
                                     SPAN_ARG(span_from(r->destinations[i].data, r->destinations[i].len)));
        answer_release(&answer);
    }
    w->ended = true;
}

static void start_waiting(struct fiber *self, struct waiter *w, uint32_t seconds)
{
    w->seconds = seconds;
    w->ended = false;
    assert_non_null(fiber_start(w->h->services.loop, "waiter", wait_for_news, w));
    /* A call behind it on the same channel is answered behind it, so that it has arrived. */
    StoreWrite__SpoolRequest spool = STORE_WRITE__SPOOL_REQUEST__INIT;
    struct answer answer;
    assert_int_equal(fiber_yield(self), 0);
    assert_int_equal(ask(self, w->courier, STORE_WRITE_SPOOL, &spool.base, &answer), 0);
    answer_release(&answer);
}

static void until_ended(struct fiber *self, struct waiter *w)
{
    while (!w->ended)
        assert_int_equal(fiber_yield(self), 0);
}

static uint64_t send_out(struct fiber *self, struct house *h, StoreWrite__Outcome wanted)
{
    StoreWrite__DeliverRequest q = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__Recipient r = STORE_WRITE__RECIPIENT__INIT, *list = &r;
    struct answer answer;
    q.reverse_path = binary("alice@example.test");
    q.envid = binary("e");
    q.sender_account_id = h->account_id;
    q.n_recipients = 1;
    q.recipients = &list;
    r.kind = STORE_WRITE__RECIPIENT_KIND__RECIPIENT_REMOTE;
    r.address = binary("x@b.test");
    r.target = binary("x@b.test");
    assert_int_equal(channel_call(self, h->gate, STORE_WRITE_DELIVER, &q.base, span_text("Subject: s\r\n\r\nbody"), -1,
                                  clock_in_seconds(60), &answer),
                     0);
    const StoreWrite__DeliverReply *reply = (const StoreWrite__DeliverReply *)answer.message;
    assert_int_equal(reply->outcomes[0], wanted);
    uint64_t id = reply->message_id;
    answer_release(&answer);
    return id;
}

static uint64_t change_queue(struct fiber *self, struct house *h, StoreWrite__QueueAction action, uint64_t message_id)
{
    StoreWrite__QueueChangeRequest q = STORE_WRITE__QUEUE_CHANGE_REQUEST__INIT;
    struct answer answer;
    q.action = action;
    q.message_id = message_id;
    q.all_numbers = true;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_QUEUE_CHANGE, &q.base, &answer), 0);
    const StoreWrite__QueueChangeReply *r = (const StoreWrite__QueueChangeReply *)answer.message;
    assert_string_equal(r->problem, "");
    uint64_t changed = r->changed;
    answer_release(&answer);
    return changed;
}

static void read_queue(struct fiber *self, struct channel *reader, uint64_t id, bool give_up)
{
    StoreRead__QueueDueRequest d = STORE_READ__QUEUE_DUE_REQUEST__INIT;
    StoreRead__QueueEntriesRequest e = STORE_READ__QUEUE_ENTRIES_REQUEST__INIT;
    StoreRead__QueueFetchRequest f = STORE_READ__QUEUE_FETCH_REQUEST__INIT;
    struct answer answer;
    d.now = e.now = clock_wall();
    d.limit = e.limit = 10;
    assert_int_equal(ask(self, reader, STORE_READ_QUEUE_DUE, &d.base, &answer), 0);
    const StoreRead__QueueDueReply *due = (const StoreRead__QueueDueReply *)answer.message;
    assert_true(due->n_destinations == 1 && !due->more && !due->paused && due->next_at == 0);
    answer_release(&answer);
    e.destination = binary("b.test");
    assert_int_equal(ask(self, reader, STORE_READ_QUEUE_ENTRIES, &e.base, &answer), 0);
    const StoreRead__QueueEntriesReply *entries = (const StoreRead__QueueEntriesReply *)answer.message;
    assert_int_equal(entries->n_entries, 1);
    assert_true(entries->entries[0]->message_id == id && entries->entries[0]->give_up == give_up &&
                entries->entries[0]->kind == STORE_READ__QUEUE_KIND__QUEUE_REMOTE);
    answer_release(&answer);
    f.message_id = id;
    f.max_bytes = 100;
    assert_int_equal(ask(self, reader, STORE_READ_QUEUE_FETCH, &f.base, &answer), 0);
    assert_true(span_is(answer.attachment, "Subject: s\r\n\r\nbody"));
    answer_release(&answer);
}

static int report_done(struct fiber *self, struct channel *c, uint64_t id)
{
    StoreWrite__DeliverRequest q = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__QueueResult r = STORE_WRITE__QUEUE_RESULT__INIT, *list = &r;
    struct answer answer;
    q.n_results = 1;
    q.results = &list;
    r.message_id = id;
    r.number = 1;
    r.outcome = STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE;
    int rc = ask(self, c, STORE_WRITE_DELIVER, &q.base, &answer);
    answer_release(&answer);
    return rc;
}

static void queue_way(struct fiber *self, void *argument)
{
    struct house *h = argument;
    struct channel *courier = services_attach(&h->services, ROLE_COURIER, true),
                   *reader = services_attach(&h->services, ROLE_COURIER, false);
    struct waiter w = {.h = h, .courier = courier};
    resolve(self, h);
    /* A new courier looks at everything. */
    start_waiting(self, &w, 1000);
    until_ended(self, &w);
    assert_true(w.rc == 0 && w.rescan);
    /* News come after the commit. */
    start_waiting(self, &w, 1000);
    assert_false(w.ended);
    uint64_t id = send_out(self, h, STORE_WRITE__OUTCOME__OUTCOME_STORED);
    until_ended(self, &w);
    assert_true(w.rc == 0 && !w.rescan);
    assert_string_equal(w.names, "b.test ");
    read_queue(self, reader, id, false);
    send_out(self, h, STORE_WRITE__OUTCOME__OUTCOME_OVER_SENDING_QUOTA);
    /* What was news while nobody waited is told at once; nothing is, when the time is over. */
    assert_int_equal(change_queue(self, h, STORE_WRITE__QUEUE_ACTION__QUEUE_BOUNCE, id), 1);
    start_waiting(self, &w, 1000);
    until_ended(self, &w);
    assert_string_equal(w.names, "b.test ");
    read_queue(self, reader, id, true);
    start_waiting(self, &w, 0);
    until_ended(self, &w);
    assert_true(w.rc == 0 && !w.rescan && w.names[0] == '\0');
    change_queue(self, h, STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_OUT, 0);
    start_waiting(self, &w, 1000);
    until_ended(self, &w);
    assert_true(w.rescan);
    /* Only the courier knows what became of entries. */
    assert_int_equal(report_done(self, h->gate, id), -EINVAL);
    assert_int_equal(report_done(self, courier, id), 0);
    assert_int_equal(report_done(self, courier, id), 0);
    assert_int_equal(change_queue(self, h, STORE_WRITE__QUEUE_ACTION__QUEUE_RETRY, id), 0);
    services_detach(&h->services, courier);
    services_detach(&h->services, reader);
    loop_stop(h->services.loop);
}

static void queue(void **state)
{
    struct house h;
    house_start(&h);
    /* As a reload would. */
    h.fixture.settings.submission.daily_recipients = 1;
    assert_int_equal(store_writer_set_settings(h.services.writer, &h.fixture.settings), 0);
    assert_non_null(fiber_start(h.services.loop, "client", queue_way, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- Frames that no honest peer sends: each has its answer, and the service lives on ---- */

static int deliver_to(struct fiber *self, struct house *h, const StoreWrite__Recipient *recipient, size_t count,
                      uint64_t received_at, StoreWrite__Outcome wanted)
{
    StoreWrite__DeliverRequest q = STORE_WRITE__DELIVER_REQUEST__INIT;
    StoreWrite__Recipient **list = calloc(count + 1, sizeof(StoreWrite__Recipient *)), copy = *recipient;
    struct answer answer;
    assert_non_null(list);
    for (size_t i = 0; i < count; i++)
        list[i] = &copy;
    q.n_recipients = count;
    q.recipients = list;
    q.received_at = received_at;
    int rc = ask(self, h->gate, STORE_WRITE_DELIVER, &q.base, &answer);
    if (rc == 0) {
        const StoreWrite__DeliverReply *reply = (const StoreWrite__DeliverReply *)answer.message;
        assert_int_equal(reply->n_outcomes, count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(reply->outcomes[i], wanted);
    }
    answer_release(&answer);
    free(list);
    return rc;
}

static void hostile_deliveries(struct fiber *self, struct house *h)
{
    const struct {
        uint64_t account_id, mailbox_id;
        size_t count;
        uint64_t received_at;
        int rc;
        StoreWrite__Outcome outcome;
    } rows[] = {
        {h->account_id, h->mailbox_id, 0, 1, -EINVAL, 0},
        {h->account_id, h->mailbox_id, 10001, 1, -EINVAL, 0},
        {h->account_id, h->mailbox_id, 10000, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_STORED},
        {h->account_id, h->mailbox_id, 1, UINT64_MAX, -EINVAL, 0},
        {h->account_id, UINT64_MAX, 3, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_GONE},
        {h->account_id, (uint64_t)INT64_MAX + 1, 1, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_GONE},
        {h->account_id, 0, 1, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_GONE},
        {UINT64_MAX, h->mailbox_id, 1, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_GONE},
        {0, h->mailbox_id, 1, 1, 0, STORE_WRITE__OUTCOME__OUTCOME_GONE},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        StoreWrite__Recipient r = STORE_WRITE__RECIPIENT__INIT;
        r.account_id = rows[i].account_id;
        r.mailbox_id = rows[i].mailbox_id;
        assert_int_equal(deliver_to(self, h, &r, rows[i].count, rows[i].received_at, rows[i].outcome), rows[i].rc);
    }
    StoreWrite__SpoolRequest spool = STORE_WRITE__SPOOL_REQUEST__INIT;
    struct answer answer;
    spool.expected_size = UINT64_MAX;
    assert_int_equal(ask(self, h->gate, STORE_WRITE_SPOOL, &spool.base, &answer), -EMSGSIZE);
    /* The ten thousand were one mailbox: one message. */
    StoreWrite__StatusRequest status = STORE_WRITE__STATUS_REQUEST__INIT;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_STATUS, &status.base, &answer), 0);
    assert_int_equal(((const StoreWrite__StatusReply *)answer.message)->messages, 1);
    answer_release(&answer);
}

static void hostile_expunges(struct fiber *self, struct house *h)
{
    unsigned char foreign[GRANT_SIZE], expired[GRANT_SIZE];
    static const unsigned char other_key[GRANT_KEY_SIZE] = "a key that somebody else made up";
    grant_make(other_key, h->account_id, 4000000000u, foreign);
    grant_make(services_key, h->account_id, 1, expired);
    uint32_t none[] = {0, UINT32_MAX, 77};
    const struct {
        const unsigned char *grant;
        size_t size;
        uint64_t mailbox_id;
        int rc;
    } rows[] = {
        {foreign, GRANT_SIZE, h->mailbox_id, -EACCES},
        {expired, GRANT_SIZE, h->mailbox_id, -EACCES},
        {h->grant, 0, h->mailbox_id, -EACCES},
        {h->grant, GRANT_SIZE - 1, h->mailbox_id, -EACCES},
        {h->grant, GRANT_SIZE, h->mailbox_id + 2, -EACCES},
        {h->grant, GRANT_SIZE, UINT64_MAX, -EACCES},
        {h->grant, GRANT_SIZE, 0, -EACCES},
        {h->grant, GRANT_SIZE, h->mailbox_id, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        StoreWrite__ExpungeRequest q = STORE_WRITE__EXPUNGE_REQUEST__INIT;
        struct answer answer;
        q.grant = (ProtobufCBinaryData){rows[i].size, (uint8_t *)(uintptr_t)rows[i].grant};
        q.mailbox_id = rows[i].mailbox_id;
        q.n_uids = 3;
        q.uids = none;
        assert_int_equal(ask(self, h->desk, STORE_WRITE_EXPUNGE, &q.base, &answer), rows[i].rc);
        if (rows[i].rc == 0)
            assert_int_equal(((const StoreWrite__ExpungeReply *)answer.message)->expunged, 0);
        answer_release(&answer);
    }
}

static void hostile_changes(struct fiber *self, struct house *h)
{
    static const struct {
        int change;
        const char *sentence;
    } rows[] = {
        {STORE_WRITE__CHANGE__CHANGE_UNSET, "no such change"},
        {99, "no such change"},
        {-1, "no such change"},
        {STORE_WRITE__CHANGE__DOMAIN_ADD, "not a domain name"},
        {STORE_WRITE__CHANGE__DOMAIN_REMOVE, "not one of ours"},
        {STORE_WRITE__CHANGE__ACCOUNT_ADD, "not an address"},
        {STORE_WRITE__CHANGE__ACCOUNT_REMOVE, "not an address"},
        {STORE_WRITE__CHANGE__ALIAS_PUT, "not an address"},
    };
    struct answer answer;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        StoreWrite__ChangeRequest q = STORE_WRITE__CHANGE_REQUEST__INIT;
        q.change = (StoreWrite__Change)rows[i].change;
        assert_int_equal(ask(self, h->admin, STORE_WRITE_CHANGE, &q.base, &answer), 0);
        const char *problem = ((const StoreWrite__ChangeReply *)answer.message)->problem;
        if (!strstr(problem, rows[i].sentence))
            fail_msg("change %d: %s", rows[i].change, problem);
        answer_release(&answer);
    }
    StoreWrite__ListRequest l = STORE_WRITE__LIST_REQUEST__INIT;
    l.kind = (StoreWrite__ListKind)77;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_LIST, &l.base, &answer), -EINVAL);
    StoreWrite__CompactRequest c = STORE_WRITE__COMPACT_REQUEST__INIT;
    c.min_dead_percent = UINT32_MAX;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_COMPACT, &c.base, &answer), 0);
    answer_release(&answer);
}

static void hostile_readings(struct fiber *self, struct house *h)
{
    static uint32_t uids[5000];
    const struct {
        size_t uids;
        uint64_t offset;
        uint32_t max_bytes;
        int rc;
        size_t pieces;
    } rows[] = {
        {0, 0, 1000, -EINVAL, 0}, {1, 0, 0, -EINVAL, 0}, {1, UINT64_MAX, 1000, -EINVAL, 0},
        {1, 1, 1000, -EINVAL, 0}, {5000, 0, 1, 0, 1024}, {5000, 0, UINT32_MAX, 0, 1024},
    };
    struct answer answer;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        StoreRead__FetchRequest q = STORE_READ__FETCH_REQUEST__INIT;
        uids[0] = 1;
        q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
        q.mailbox_id = h->mailbox_id;
        q.n_uids = rows[i].uids;
        q.uids = uids;
        q.offset = rows[i].offset;
        q.max_bytes = rows[i].max_bytes;
        assert_int_equal(ask(self, h->read_desk, STORE_READ_FETCH, &q.base, &answer), rows[i].rc);
        if (rows[i].rc == 0)
            assert_int_equal(((const StoreRead__FetchReply *)answer.message)->n_pieces, rows[i].pieces);
        answer_release(&answer);
    }
    StoreRead__MaildropRequest m = STORE_READ__MAILDROP_REQUEST__INIT;
    m.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    m.from_uid = UINT32_MAX;
    assert_int_equal(ask(self, h->read_desk, STORE_READ_MAILDROP, &m.base, &answer), 0);
    assert_int_equal(((const StoreRead__MaildropReply *)answer.message)->count, 0);
    answer_release(&answer);
    StoreRead__ResolveRequest r = STORE_READ__RESOLVE_REQUEST__INIT;
    char *text = calloc(1, 100000);
    assert_non_null(text);
    r.local_part = (ProtobufCBinaryData){100000, (uint8_t *)text};
    r.domain = binary("example.test");
    assert_int_equal(ask(self, h->read_gate, STORE_READ_RESOLVE, &r.base, &answer), 0);
    assert_int_equal(((const StoreRead__ResolveReply *)answer.message)->n_targets, 0);
    answer_release(&answer);
    StoreRead__CredentialsRequest c = STORE_READ__CREDENTIALS_REQUEST__INIT;
    c.login = r.local_part;
    assert_int_equal(ask(self, h->read_auth, STORE_READ_CREDENTIALS, &c.base, &answer), 0);
    assert_false(((const StoreRead__CredentialsReply *)answer.message)->found);
    answer_release(&answer);
    free(text);
}

static void be_hostile(struct fiber *self, void *argument)
{
    struct house *h = argument;
    struct answer answer;
    resolve(self, h);
    hostile_deliveries(self, h);
    hostile_expunges(self, h);
    hostile_changes(self, h);
    hostile_readings(self, h);
    /* What its role may not call costs a peer its channel, and nobody else anything. */
    StoreWrite__ExpungeRequest e = STORE_WRITE__EXPUNGE_REQUEST__INIT;
    assert_int_equal(ask(self, h->gate, STORE_WRITE_EXPUNGE, &e.base, &answer), -EPIPE);
    StoreRead__CredentialsRequest c = STORE_READ__CREDENTIALS_REQUEST__INIT;
    assert_int_equal(ask(self, h->read_gate, STORE_READ_CREDENTIALS, &c.base, &answer), -EPIPE);
    services_detach(&h->services, h->gate);
    h->gate = services_attach(&h->services, ROLE_GATE, true);
    assert_int_equal(deliver(self, h, span_text("after all that"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
    loop_stop(h->services.loop);
}

static void hostile_frames(void **state)
{
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "client", be_hostile, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- A peer that dies with calls outstanding ---- */

static void deliver_and_lose(struct fiber *self, void *argument)
{
    struct house *h = argument;
    int rc = deliver(self, h, span_text("from a peer that dies"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED);
    assert_true(rc == 0 || rc == -EPIPE);
    h->lost += rc != 0;
    h->delivered++;
}

static void peer_dies(struct fiber *self, void *argument)
{
    struct house *h = argument;
    resolve(self, h);
    for (int round = 0; round < 8; round++) {
        h->delivered = 0;
        for (int i = 0; i < CLIENTS; i++)
            assert_non_null(fiber_start(h->services.loop, "client", deliver_and_lose, h));
        /* In each round the calls have come further. */
        for (int i = 0; i < round; i++)
            assert_int_equal(fiber_yield(self), 0);
        services_detach(&h->services, h->gate);
        h->gate = NULL;
        while (h->delivered < CLIENTS)
            assert_int_equal(fiber_yield(self), 0);
        h->gate = services_attach(&h->services, ROLE_GATE, true);
        assert_int_equal(deliver(self, h, span_text("the next one"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
    }
    assert_true(h->lost > 0);
    loop_stop(h->services.loop);
}

static void calls_outlive_their_peer(void **state)
{
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.services.loop, "peer", peer_dies, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    house_stop(&h);
}

/* ---- Compaction by itself ---- */

static uint64_t dead_bytes(struct fiber *self, struct house *h, uint64_t *volumes)
{
    StoreWrite__StatusRequest q = STORE_WRITE__STATUS_REQUEST__INIT;
    struct answer answer;
    assert_int_equal(ask(self, h->admin, STORE_WRITE_STATUS, &q.base, &answer), 0);
    uint64_t dead = ((const StoreWrite__StatusReply *)answer.message)->dead_bytes;
    *volumes = ((const StoreWrite__StatusReply *)answer.message)->volumes;
    answer_release(&answer);
    return dead;
}

static void fill_and_empty(struct fiber *self, void *argument)
{
    struct house *h = argument;
    uint32_t uids[40];
    uint64_t volumes = 0;
    resolve(self, h);
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(deliver(self, h, span_text("soon gone"), -1, STORE_WRITE__OUTCOME__OUTCOME_STORED), 0);
        uids[i] = i + 1;
    }
    StoreWrite__ExpungeRequest q = STORE_WRITE__EXPUNGE_REQUEST__INIT;
    struct answer answer;
    q.grant = (ProtobufCBinaryData){GRANT_SIZE, h->grant};
    q.mailbox_id = h->mailbox_id;
    q.n_uids = 39;
    q.uids = uids;
    assert_int_equal(ask(self, h->desk, STORE_WRITE_EXPUNGE, &q.base, &answer), 0);
    answer_release(&answer);
    /* Nobody asks for it, and nothing else comes in. */
    uint64_t dead = dead_bytes(self, h, &volumes), deadline = clock_in_seconds(60);
    while (dead > 0 && clock_monotonic() < deadline)
        dead = dead_bytes(self, h, &volumes);
    assert_int_equal(dead, 0);
    assert_int_equal(volumes, 1);
    loop_stop(h->services.loop);
}

static void compacts_by_itself(void **state)
{
    struct house h;
    house_start(&h);
    struct settings small = h.fixture.settings;
    small.references = 1000; /* this test's, not freed */
    small.store.volume_size = 8000;
    assert_int_equal(store_writer_set_settings(h.services.writer, &small), 0);
    assert_non_null(fiber_start(h.services.loop, "client", fill_and_empty, &h));
    assert_int_equal(loop_run(h.services.loop), 0);
    assert_int_equal(store_writer_set_settings(h.services.writer, &h.fixture.settings), 0);
    house_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile_frames),
        cmocka_unit_test(calls_outlive_their_peer),
        cmocka_unit_test(compacts_by_itself),
        cmocka_unit_test(service),
        cmocka_unit_test(gathers),
        cmocka_unit_test(queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
