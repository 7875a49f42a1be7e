#include "house.h"

#include "auth/credentials.h"
#include "auth/service.h"
#include "base/clock.h"
#include "base/log.h"
#include "deliver/courier.h"
#include "dns/service.h"
#include "fetch/fetch.h"
#include "ipc/binary.h"
#include "ipc/grant.h"
#include "ipc/peers.h"
#include "message_maker.h"
#include "my/service.h"
#include "run/loop.h"
#include "script/service.h"
#include "store/change.h"
#include "store/reader.h"
#include "store/writer.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALLS_MAX 16
#define ATTACHMENT_MAX 4096
#define ATTACHED_TOTAL_MAX (64u << 20) /* in one store: a long run must not fill the disk */
#define METHODS_MAX 32
#define PICTURE_MAX (64u << 10)
#define PEOPLE 3
#define DOMAIN "example.test"

static const char config[] = "hostname = \"mx.example.test\"\n"
                             "data_directory = \"%s\"\n"
                             "listeners = { { service = \"smtp\", address = \"127.0.0.1\", port = 1 } }\n"
                             "auth = { password_hash = \"$5$\", hash_cost = 1000 }\n"
                             "dns = { servers = { \"127.0.0.1@9\" } }\n";

static const char script_text[] =
    "function check(mail) if mail.sender == 'bad@example.test' then return 'reject', mail.helo end end";

static const char *const people[PEOPLE] = {"alice@" DOMAIN, "bob@" DOMAIN, "carol@" DOMAIN};

/* What a service may be asked with: the three grants come behind these. */
static const char *const words[] = {
    "",
    "alice@example.test",
    "bob@example.test",
    "carol@example.test",
    "example.test",
    "alice",
    "alice+shop@example.test",
    "list@example.test",
    "@example.test",
    "x@elsewhere.test",
    "elsewhere.test",
    "192.0.2.7",
    "2001:db8::1",
    "127.0.0.1",
    "white-list=on",
    "white-list",
    "forward.to=x@elsewhere.test",
    "dnsbl=on\ndnsbl.lists=zen.example",
    "passcode=on",
    "secret",
    "PLAIN",
    "SCRAM-SHA-256",
    "n,,n=alice@example.test,r=abcdef",
    "Junk",
    "INBOX",
    "pop.elsewhere.test:110",
    "host=pop.elsewhere.test\nlogin=alice\nprotocol=pop3\ntls=none",
    "crypt",
    "*local",
    "NOTIFY=NEVER",
    "rfc822;x@elsewhere.test",
};
#define WORDS (sizeof words / sizeof *words)

static struct house {
    struct loop *loop;
    struct settings *settings;
    unsigned char grant_key[GRANT_KEY_SIZE], grants[PEOPLE][GRANT_SIZE];
    struct store_writer *writer;
    struct store_reader *reader;
    struct auth_process *auth;
    struct courier *courier;
    struct script_service *script;
    struct my_service *my;
    struct resolver *resolver;
    struct peers auth_peers, courier_peers, my_peers;
    struct credential_set credentials; /* of each of the people */
    struct channel *clients[HOUSE_SERVICES][ROLE_COUNT];
    struct span words[WORDS + PEOPLE];
    struct buf people; /* what the reader says of them in a new store */
    size_t attached;   /* since it was made */
    int file, pipe_end;
    char directory[64];
} house;

/* The input under way, and of all inputs what became of the calls of each method. A program plays one service. */
static struct {
    enum house_service service;
    unsigned calls[METHODS_MAX], answered[METHODS_MAX];
    struct maker maker;
    struct arena arena;
    bool has_worn_it; /* the house: it needs a new store */
} play;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "house: %s\n", what);
    abort();
}

/* ---- Building it ---- */

static int attach(enum house_service service, int fd, enum role peer)
{
    switch (service) {
    case HOUSE_READER:
        return store_reader_attach(house.reader, fd, peer);
    case HOUSE_WRITER:
        return store_writer_attach(house.writer, fd, peer);
    case HOUSE_AUTH:
        return auth_process_attach(house.auth, fd, peer);
    case HOUSE_COURIER:
        return courier_attach(house.courier, fd, peer);
    case HOUSE_SCRIPT:
        return script_service_attach(house.script, fd, peer);
    case HOUSE_MY:
        return my_service_attach(house.my, fd);
    case HOUSE_RESOLVER:
        return resolver_attach(house.resolver, fd, peer);
    default:
        abort();
    }
}

static const struct house_row {
    const struct service *contract;
    enum role role;
} rows[HOUSE_SERVICES] = {
    [HOUSE_READER] = {&store_read_service, ROLE_READER},
    [HOUSE_WRITER] = {&store_write_service, ROLE_WRITER},
    [HOUSE_AUTH] = {&auth_service, ROLE_AUTH},
    [HOUSE_COURIER] = {&courier_service, ROLE_COURIER},
    [HOUSE_SCRIPT] = {&script_service, ROLE_SCRIPT},
    [HOUSE_MY] = {&my_service, ROLE_DESK},
    [HOUSE_RESOLVER] = {&resolver_service, ROLE_RESOLVER},
};

static struct channel *connect_to(enum house_service service, enum role caller)
{
    int fds[2];
    require(!channel_pair(fds) && !attach(service, fds[0], caller), "a service could not be attached");
    struct channel *c = channel_new(house.loop, fds[1], rows[service].contract, rows[service].role, NULL, NULL);
    require(c, "no memory for a channel");
    return c;
}

/* The DNS says what the input says. */
static void dns_called(void *context, struct call *call)
{
    const ProtobufCMessage *reply = maker_message(&play.maker, resolver_service.methods[call->method].reply);
    if (reply && play.maker.rest.size)
        call_reply(call, reply, (struct span){0}, -1);
    else
        call_fail(call, -EAGAIN);
}

static struct channel *make_dns(void)
{
    static const struct channel_events events = {.called = dns_called};
    int fds[2];
    require(!channel_pair(fds) && channel_new(house.loop, fds[0], &resolver_service, ROLE_COURIER, &events, NULL),
            "no memory for a channel");
    struct channel *c = channel_new(house.loop, fds[1], &resolver_service, ROLE_RESOLVER, NULL, NULL);
    require(c, "no memory for a channel");
    return c;
}

static void make_people(struct store *store, struct buf *problem)
{
    struct credential_facts facts[CHANGE_CREDENTIALS_MAX];
    uint64_t id;
    for (size_t i = 0; i < house.credentials.count; i++)
        facts[i] = (struct credential_facts){span_text(house.credentials.items[i].kind),
                                             buf_span(&house.credentials.items[i].value)};
    require(!store_begin(store), "no batch");
    require(
        !store_change(store, &(struct change){.kind = CHANGE_DOMAIN_ADD, .subject = span_text(DOMAIN)}, &id, problem),
        "no domain");
    for (size_t i = 0; i < PEOPLE; i++) {
        struct change change = {.kind = CHANGE_ACCOUNT_ADD,
                                .subject = span_text(people[i]),
                                .credentials = facts,
                                .credential_count = house.credentials.count};
        require(!store_change(store, &change, &id, problem) && id, "no account");
        grant_make(house.grant_key, id, UINT32_MAX, house.grants[i]);
        house.words[WORDS + i] = span_from(house.grants[i], GRANT_SIZE);
    }
    require(!store_commit(store), "no commit");
}

static int remove_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

static void remove_directory(void)
{
    if (nftw(house.directory, remove_file, 8, FTW_DEPTH | FTW_PHYS))
        fprintf(stderr, "house: %s stays\n", house.directory);
}

/* tools/run_fuzz.py reads it. */
static void tell_calls(void)
{
    const struct service *contract = rows[play.service].contract;
    for (size_t i = 0; i < contract->count; i++)
        printf("house: %s: %u of %u calls answered\n", contract->methods[i].name, play.answered[i], play.calls[i]);
}

static void make_store(struct buf *problem)
{
    struct store *store = store_open(house.settings, problem);
    require(store, "no store");
    make_people(store, problem);
    store_close(store);
    house.writer = store_writer_new(house.loop, house.settings, house.grant_key, problem);
    require(house.writer, "no writer");
    house.reader = store_reader_new(house.loop, house.settings, house.grant_key, problem);
    require(house.reader, "no reader");
    peers_set(&house.auth_peers, ROLE_READER, 0, connect_to(HOUSE_READER, ROLE_AUTH));
    peers_set(&house.auth_peers, ROLE_WRITER, 0, connect_to(HOUSE_WRITER, ROLE_AUTH));
    peers_set(&house.courier_peers, ROLE_READER, 0, connect_to(HOUSE_READER, ROLE_COURIER));
    peers_set(&house.courier_peers, ROLE_WRITER, 0, connect_to(HOUSE_WRITER, ROLE_COURIER));
    peers_set(&house.my_peers, ROLE_WRITER, 0, connect_to(HOUSE_WRITER, ROLE_DESK));
    house.attached = 0;
    buf_reset(&house.people);
}

/* To the others it looks as if the writer and the reader had died and come back. */
static void renew_store(void)
{
    struct buf problem;
    for (enum role role = 0; role < ROLE_COUNT; role++) {
        channel_free(house.clients[HOUSE_WRITER][role]);
        channel_free(house.clients[HOUSE_READER][role]);
        house.clients[HOUSE_WRITER][role] = house.clients[HOUSE_READER][role] = NULL;
    }
    store_reader_free(house.reader);
    store_writer_free(house.writer);
    remove_directory();
    require(!mkdir(house.directory, 0700), "no directory");
    buf_init(&problem, 4096);
    make_store(&problem);
    buf_release(&problem);
}

static void make_settings(struct buf *problem)
{
    char text[sizeof config + 128];
    snprintf(house.directory, sizeof house.directory, "%s/ostiary-fuzz-XXXXXX",
             access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
    require(mkdtemp(house.directory), "no directory");
    atexit(remove_directory);
    atexit(tell_calls);
    snprintf(text, sizeof text, config, house.directory);
    house.settings = settings_read_text("house", span_text(text), problem);
    if (!house.settings)
        fprintf(stderr, "%.*s\n", SPAN_ARG(buf_span(problem)));
    require(house.settings, "bad settings");
    require(!credentials_make(house.settings, span_text("secret"), &house.credentials, problem), "no password hashes");
}

static void make_services(struct buf *problem)
{
    static const unsigned char private_key[SEALED_KEY_SIZE] = {1};
    static unsigned char public_key[SEALED_KEY_SIZE];
    house.auth = auth_process_new(house.loop, house.settings, &house.auth_peers, house.grant_key, problem);
    house.script = script_service_new(house.loop, house.settings, span_text(script_text), problem);
    require(house.auth && house.script, "no auth or script");
    peers_set(&house.courier_peers, ROLE_SCRIPT, 0, connect_to(HOUSE_SCRIPT, ROLE_COURIER));
    peers_set(&house.courier_peers, ROLE_RESOLVER, 0, make_dns());
    house.courier =
        courier_new(house.loop, house.settings, &house.courier_peers, (struct span){0}, (struct span){0}, problem);
    struct fetcher *fetcher =
        fetch_new(house.loop, house.settings, &house.courier_peers, (struct span){0}, private_key, problem);
    require(house.courier && fetcher, "no courier");
    courier_pass_on(house.courier, fetch_called, fetcher);
    peers_set(&house.my_peers, ROLE_AUTH, 0, connect_to(HOUSE_AUTH, ROLE_DESK));
    peers_set(&house.my_peers, ROLE_COURIER, 0, connect_to(HOUSE_COURIER, ROLE_DESK));
    require(!sealed_key_public(private_key, public_key), "no key");
    house.my = my_service_new(house.loop, house.settings, &house.my_peers, span_from(public_key, sizeof public_key));
    require(house.my, "no my");
    house.resolver = resolver_new(house.loop, house.settings, (struct span){0}, problem);
    require(house.resolver, "no resolver");
}

static void make_house(void)
{
    struct buf problem;
    int ends[2];
    buf_init(&problem, 4096);
    log_set_level(LOG_CRASH);
    for (size_t i = 0; i < WORDS; i++)
        house.words[i] = span_text(words[i]);
    memset(house.grant_key, 7, sizeof house.grant_key);
    buf_init(&house.people, PICTURE_MAX);
    make_settings(&problem);
    house.loop = loop_new();
    house.file = memfd_create("body", 0);
    require(house.loop && house.file >= 0 && !pipe2(ends, O_NONBLOCK) &&
                write(house.file, "Subject: x\r\n\r\ny\r\n", 17) == 17,
            "no descriptors");
    house.pipe_end = ends[0];
    make_store(&problem);
    make_services(&problem);
    buf_release(&problem);
}

/* ---- Playing in it ---- */

/* Anybody who may: that the others are refused is another target's. */
static enum role choose_caller(uint32_t callers)
{
    enum role role = maker_byte(&play.maker) % ROLE_COUNT;
    while (!(callers & ROLE_BIT(role)))
        role = (role + 1) % ROLE_COUNT;
    return role;
}

static struct channel *client(enum house_service service, enum role caller)
{
    struct channel **place = &house.clients[service][caller];
    if (*place && !channel_is_open(*place)) {
        channel_free(*place);
        *place = NULL;
    }
    if (!*place)
        *place = connect_to(service, caller);
    return *place;
}

/* ---- What wears out ---- */

static void ask_reader(struct fiber *self, enum role caller, size_t method, const ProtobufCMessage *request,
                       struct buf *out)
{
    uint64_t deadline = clock_monotonic() + 30 * NANOSECONDS;
    struct answer answer;
    require(!channel_call(self, client(HOUSE_READER, caller), method, request, (struct span){0}, -1, deadline, &answer),
            "the reader does not know the people");
    char *place = buf_reserve(out, protobuf_c_message_get_packed_size(answer.message));
    require(place, "the people do not fit");
    out->size += protobuf_c_message_pack(answer.message, (uint8_t *)place);
    answer_release(&answer);
}

/* Appends all that decides what the grants are good for and where mail for the people goes. */
static void describe_people(struct fiber *self, struct buf *out)
{
    for (size_t i = 0; i < PEOPLE; i++) {
        StoreRead__CredentialsRequest login = STORE_READ__CREDENTIALS_REQUEST__INIT;
        StoreRead__ResolveRequest address = STORE_READ__RESOLVE_REQUEST__INIT;
        struct span local_part = span_head(span_text(people[i]), strlen(people[i]) - strlen("@" DOMAIN));
        login.login = binary_from_span(span_text(people[i]));
        address.local_part = binary_from_span(local_part);
        address.domain = binary_from_span(span_text(DOMAIN));
        ask_reader(self, ROLE_AUTH, STORE_READ_CREDENTIALS, &login.base, out);
        ask_reader(self, ROLE_GATE, STORE_READ_RESOLVE, &address.base, out);
    }
}

/* Accounts that are made anew have other ids, so the grants would stay invalid for good, and all later inputs would
 * only meet "no such account". */
static bool is_worn(struct fiber *self)
{
    struct buf now;
    buf_init(&now, PICTURE_MAX);
    describe_people(self, &now);
    bool is_same = span_equal(buf_span(&now), buf_span(&house.people));
    buf_release(&now);
    return !is_same || house.attached >= ATTACHED_TOTAL_MAX;
}

/* ---- The calls ---- */

/* Calls that wait for something to happen, or for the network, are not waited for long, unless somebody wants to know
 * what becomes of them (tools/run_fuzz.py). */
static bool may_take_long(size_t method)
{
    if (getenv("HOUSE_IS_PATIENT"))
        return false;
    return play.service == HOUSE_COURIER || play.service == HOUSE_MY || play.service == HOUSE_SCRIPT ||
           play.service == HOUSE_RESOLVER || (play.service == HOUSE_WRITER && method == STORE_WRITE_QUEUE_WAIT) ||
           (play.service == HOUSE_AUTH && method == AUTH_WATCH);
}

static void play_call(struct fiber *self)
{
    const struct service *contract = rows[play.service].contract;
    size_t method = maker_byte(&play.maker) % contract->count;
    enum role caller = choose_caller(contract->methods[method].callers);
    unsigned char extra = maker_byte(&play.maker);
    struct span attachment = {0};
    int fd = extra % 8 == 1 ? house.file : extra % 8 == 2 ? house.pipe_end : -1;
    struct answer answer;
    if (extra >= 128)
        attachment = maker_bytes(&play.maker, extra == 255 ? ATTACHMENT_MAX : extra - 128u);
    house.attached += attachment.size;
    const ProtobufCMessage *request = maker_message(&play.maker, contract->methods[method].request);
    if (!request)
        return;
    bool is_long = may_take_long(method);
    uint64_t deadline = clock_monotonic() + (is_long ? NANOSECONDS / 100 : 30 * NANOSECONDS);
    int error = channel_call(self, client(play.service, caller), method, request, attachment, fd, deadline, &answer);
    play.calls[method]++;
    play.answered[method] += error == 0 || error == -ENOENT; /* what is asked for need not be there */
    require(error <= 0, "a call ended with a positive number");
    if (error == -ETIMEDOUT && !is_long) {
        fprintf(stderr, "house: %s of %s\n", contract->methods[method].name, contract->name);
        require(false, "a service did not answer");
    }
    answer_release(&answer);
}

static void play_calls(struct fiber *self, void *argument)
{
    if (!house.people.size)
        describe_people(self, &house.people);
    for (size_t i = 0; i < CALLS_MAX && play.maker.rest.size; i++)
        play_call(self);
    require(!store_writer_is_broken(house.writer), "the store is broken");
    play.has_worn_it = is_worn(self);
    loop_stop(house.loop);
}

int house_play(enum house_service service, const uint8_t *data, size_t size)
{
    if (!house.loop)
        make_house();
    play.service = service;
    arena_init(&play.arena, 8u << 20);
    play.maker = (struct maker){
        .rest = span_from(data, size), .arena = &play.arena, .words = house.words, .word_count = WORDS + PEOPLE};
    require(fiber_start(house.loop, "play", play_calls, NULL) && !loop_run(house.loop), "the loop failed");
    play.maker.rest = (struct span){0};
    arena_release(&play.arena);
    if (play.has_worn_it)
        renew_store();
    return 0;
}
