#include "fixture.h"

#include "ipc/channel.h"
#include "ipc/services.h"
#include "run/fiber.h"
#include "store/reader.h"
#include "store/writer.h"

#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const unsigned char key[GRANT_KEY_SIZE] = "a key that only the house holds";

struct house {
    struct fixture fixture;
    struct loop *loop;
    struct store_writer *writer;
    struct store_reader *reader;
    struct channel *gate, *desk, *admin, *auth, *read_gate, *read_desk, *read_auth;
    unsigned char grant[GRANT_SIZE];
    uint64_t account_id, mailbox_id;
    int delivered;
};

static ProtobufCBinaryData binary(const char *text)
{
    return (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static struct channel *attach(struct house *h, enum role role, bool to_writer)
{
    int fds[2];
    assert_int_equal(channel_pair(fds), 0);
    if (to_writer)
        assert_int_equal(store_writer_attach(h->writer, fds[0], role), 0);
    else
        assert_int_equal(store_reader_attach(h->reader, fds[0], role), 0);
    struct channel *c = channel_new(h->loop, fds[1], to_writer ? &store_write_service : &store_read_service,
                                    to_writer ? ROLE_WRITER : ROLE_READER, NULL, NULL);
    assert_non_null(c);
    return c;
}

static int ask(struct fiber *self, struct channel *c, size_t method, const ProtobufCMessage *request,
               struct answer *answer)
{
    return channel_call(self, c, method, request, (struct span){NULL, 0}, -1, clock_in_seconds(60), answer);
}

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
    grant_make(key, h->account_id, 4000000000u, h->grant);
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
    struct channel *desk = attach(h, ROLE_DESK, true);
    assert_int_equal(ask(self, desk, STORE_WRITE_CREDENTIALS, &q.base, &answer), -EPIPE);
    channel_free(desk);
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
    loop_stop(h->loop);
}

static void house_start(struct house *h)
{
    struct buf problem;
    memset(h, 0, sizeof(*h));
    fixture_start(&h->fixture);
    fixture_close(&h->fixture);
    h->fixture.settings.references = 1;
    h->loop = loop_new();
    assert_non_null(h->loop);
    buf_init(&problem, 4096);
    h->writer = store_writer_new(h->loop, &h->fixture.settings, key, &problem);
    assert_non_null(h->writer);
    h->reader = store_reader_new(h->loop, &h->fixture.settings, key, &problem);
    if (!h->reader)
        fail_msg("store_reader_new: %.*s", SPAN_ARG(buf_span(&problem)));
    /* A second writer is told who has it. */
    assert_null(store_writer_new(h->loop, &h->fixture.settings, key, &problem));
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld:", (long)getpid());
    buf_add_char(&problem, '\0');
    assert_non_null(strstr(problem.data, pid));
    buf_release(&problem);
    h->gate = attach(h, ROLE_GATE, true);
    h->desk = attach(h, ROLE_DESK, true);
    h->admin = attach(h, ROLE_ADMIN, true);
    h->auth = attach(h, ROLE_AUTH, true);
    h->read_gate = attach(h, ROLE_GATE, false);
    h->read_desk = attach(h, ROLE_DESK, false);
    h->read_auth = attach(h, ROLE_AUTH, false);
}

/* Until the fibers of the freed channels have ended. */
static void wait_for_all(struct fiber *self, void *argument)
{
    struct house *h = argument;
    while (loop_fiber_count(h->loop) > 1)
        assert_int_equal(fiber_yield(self), 0);
    loop_stop(h->loop);
}

static void house_stop(struct house *h)
{
    struct channel *channels[] = {h->gate, h->desk, h->admin, h->auth, h->read_gate, h->read_desk, h->read_auth};
    for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++)
        channel_free(channels[i]);
    store_writer_stop(h->writer);
    store_reader_stop(h->reader);
    store_writer_free(h->writer);
    store_reader_free(h->reader);
    assert_non_null(fiber_start(h->loop, "end", wait_for_all, h));
    assert_int_equal(loop_run(h->loop), 0);
    loop_free(h->loop);
    fixture_stop(&h->fixture);
}

static void service(void **state)
{
    struct house h;
    house_start(&h);
    assert_non_null(fiber_start(h.loop, "client", whole_way, &h));
    assert_int_equal(loop_run(h.loop), 0);
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
        loop_stop(h->loop);
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
    loop_stop(h->loop);
}

static void gathers(void **state)
{
    struct house h;
    house_start(&h);
    for (int i = 0; i < CLIENTS; i++)
        assert_non_null(fiber_start(h.loop, "client", one_delivery, &h));
    assert_int_equal(loop_run(h.loop), 0);
    assert_non_null(fiber_start(h.loop, "status", check_status, &h));
    assert_int_equal(loop_run(h.loop), 0);
    house_stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service),
        cmocka_unit_test(gathers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
