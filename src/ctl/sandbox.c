#include "ctl/sandbox.h"

#include "auth/credentials.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/listing.h"
#include "ctl/ready.h"
#include "policy/door_item.h"
#include "proc/supervisor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

static const char *const people[] = {"alice", "bob", "carol"};
#define PEOPLE (sizeof people / sizeof *people)
#define ADDRESS_ROOM 64

/* ---- Domain, accounts, alias ---- */

struct fill_work {
    struct store_work work;
    struct credential_set credentials;
    bool with_rules;
};

struct presence {
    struct listing listing;
    bool found;
};

static void note_presence(struct listing *listing, const StoreWrite__ListReply *reply)
{
    struct presence *presence = container_of(listing, struct presence, listing);
    presence->found |= reply->n_domains || reply->n_accounts || reply->n_aliases;
}

/* Is there one already? With `match` empty: any at all. */
static int look_for(struct fiber *self, struct store_client *client, StoreWrite__ListKind kind, struct span match,
                    bool *found)
{
    struct presence presence = {.listing = {.kind = kind, .match = match, .page = note_presence}};
    int status = listing_run(self, client, &presence.listing);
    *found = presence.found;
    return status;
}

static int add_account(struct fiber *self, struct store_client *client, struct fill_work *fill, struct span address)
{
    StoreWrite__StoredCredential stored[CREDENTIALS_MAX], *list[CREDENTIALS_MAX];
    StoreWrite__Account account = STORE_WRITE__ACCOUNT__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    for (size_t i = 0; i < fill->credentials.count; i++) {
        store_write__stored_credential__init(&stored[i]);
        stored[i].kind = (char *)(uintptr_t)fill->credentials.items[i].kind;
        stored[i].value = binary_from_span(buf_span(&fill->credentials.items[i].value));
        list[i] = &stored[i];
    }
    account.address = binary_from_span(address);
    account.enabled = true;
    request.change = STORE_WRITE__CHANGE__ACCOUNT_ADD;
    request.account = &account;
    request.credentials = list;
    request.n_credentials = fill->credentials.count;
    return store_client_change(self, client, &request.base, NULL);
}

static int add_alias(struct fiber *self, struct store_client *client)
{
    ProtobufCBinaryData target = binary_from_span(span_text("alice@" SANDBOX_DOMAIN));
    StoreWrite__Alias alias = STORE_WRITE__ALIAS__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    alias.address = binary_from_span(span_text("postmaster@" SANDBOX_DOMAIN));
    alias.targets = &target;
    alias.n_targets = 1;
    request.change = STORE_WRITE__CHANGE__ALIAS_PUT;
    request.alias = &alias;
    return store_client_change(self, client, &request.base, NULL);
}

/* What each of the three has set: one wants to know who writes, one puts doubtful mail aside, one takes everything. */
static const struct {
    unsigned person;
    enum door_kind kind;
    const char *name, *value;
} doors[] = {
    {0, DOOR_RULE, "white-list", "on"},         {0, DOOR_RULE, "white-list.learn", "on"},
    {0, DOOR_WHITE, "@friends.example", ""},    {1, DOOR_RULE, "sender-tld", "file"},
    {1, DOOR_BLACK, "spammer@far.example", ""}, {2, DOOR_RULE, "accept-all", "on"},
};
#define DOORS (sizeof doors / sizeof *doors)

static int add_doors(struct fiber *self, struct store_client *client, struct ctl *ctl)
{
    char owners[PEOPLE][ADDRESS_ROOM];
    StoreWrite__DoorItem items[DOORS], *list[DOORS];
    StoreWrite__DoorChangeRequest request = STORE_WRITE__DOOR_CHANGE_REQUEST__INIT;
    struct answer answer;
    for (size_t i = 0; i < PEOPLE; i++)
        snprintf(owners[i], sizeof owners[i], "%s@%s", people[i], SANDBOX_DOMAIN);
    for (size_t i = 0; i < DOORS; i++) {
        store_write__door_item__init(&items[i]);
        items[i].kind = doors[i].kind;
        items[i].level = LEVEL_ACCOUNT;
        items[i].owner = binary_from_span(span_text(owners[doors[i].person]));
        items[i].name = binary_from_span(span_text(doors[i].name));
        items[i].value = binary_from_span(span_text(doors[i].value));
        list[i] = &items[i];
    }
    request.items = list;
    request.n_items = DOORS;
    request.by = binary_from_span((struct span)SPAN("sandbox"));
    request.words = binary_from_span((struct span)SPAN("three people, three doors"));
    int status = store_client_call(self, client, STORE_WRITE_DOOR_CHANGE, &request.base, &answer);
    if (status)
        return status;
    const char *problem = ((const StoreWrite__DoorChangeReply *)answer.message)->problem;
    if (*problem)
        status = ctl_fail(ctl, EX_DATAERR, "%s", problem);
    answer_release(&answer);
    return status;
}

static int add_domain(struct fiber *self, struct store_client *client)
{
    StoreWrite__Domain domain = STORE_WRITE__DOMAIN__INIT;
    StoreWrite__ChangeRequest request = STORE_WRITE__CHANGE_REQUEST__INIT;
    domain.name = binary_from_span(span_text(SANDBOX_DOMAIN));
    request.change = STORE_WRITE__CHANGE__DOMAIN_ADD;
    request.domain = &domain;
    return store_client_change(self, client, &request.base, NULL);
}

/* A store that has a domain is somebody's already and stays as they made it. */
static int run_fill(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct fill_work *fill = container_of(work, struct fill_work, work);
    bool found;
    int status = look_for(self, client, STORE_WRITE__LIST_KIND__LIST_ALIASES,
                          (struct span)SPAN("postmaster@" SANDBOX_DOMAIN), &found);
    if (status || found)
        return status;
    status = look_for(self, client, STORE_WRITE__LIST_KIND__LIST_DOMAINS, (struct span){NULL, 0}, &found);
    if (status == EX_OK && !found)
        status = add_domain(self, client);
    for (size_t i = 0; i < PEOPLE && status == EX_OK; i++) {
        char address[ADDRESS_ROOM];
        int size = snprintf(address, sizeof address, "%s@%s", people[i], SANDBOX_DOMAIN);
        struct span text = span_from(address, (size_t)size);
        status = look_for(self, client, STORE_WRITE__LIST_KIND__LIST_ACCOUNTS, text, &found);
        if (status == EX_OK && !found)
            status = add_account(self, client, fill, text);
    }
    if (status == EX_OK && fill->with_rules)
        status = add_doors(self, client, work->ctl);
    /* Last, as its presence says that all the others were made. */
    return status == EX_OK ? add_alias(self, client) : status;
}

int sandbox_fill(struct sandbox *s)
{
    struct fill_work fill = {.work = {run_fill, s->ctl, s->settings}, .with_rules = ctl_option(s->ctl, "rules")};
    if (store_client_has_server(s->settings))
        return ctl_fail(s->ctl, EX_TEMPFAIL, "a server runs in %s already", s->directory);
    int status = EX_DATAERR;
    if (credentials_make(s->settings, span_text(SANDBOX_PASSWORD), &fill.credentials, &s->ctl->problem) == 0)
        status = store_client_run(&fill.work);
    credentials_release(&fill.credentials);
    return status;
}

/* ---- The server ---- */

static unsigned port_of(const struct sandbox *s, enum service_kind service)
{
    for (size_t i = 0; i < s->settings->listener_count; i++)
        if (s->settings->listeners[i].service == service)
            return s->settings->listeners[i].port;
    return 0;
}

static void write_greeting(const struct sandbox *s, struct buf *out)
{
    buf_printf(out, "\nOstiary's sandbox is ready. It listens on 127.0.0.1:\n");
    for (size_t i = 0; i < s->settings->listener_count; i++)
        buf_printf(out, "  %-12s %u\n", service_kind_name(s->settings->listeners[i].service),
                   s->settings->listeners[i].port);
    buf_add_text(out, "Accounts:");
    for (size_t i = 0; i < PEOPLE; i++)
        buf_printf(out, " %s@%s", people[i], SANDBOX_DOMAIN);
    buf_printf(out, "\nPassword: %s (the same for all three); postmaster@%s goes to alice\n", SANDBOX_PASSWORD,
               SANDBOX_DOMAIN);
    buf_printf(out, "Send:     swaks --server 127.0.0.1:%u --from you@example.net --to alice@%s\n",
               port_of(s, SERVICE_SMTP), SANDBOX_DOMAIN);
    buf_printf(out,
               "Submit:   swaks --server 127.0.0.1:%u -tls --auth-user alice@%s --auth-password %s --from alice@%s "
               "--to bob@%s\n",
               port_of(s, SERVICE_SUBMISSION), SANDBOX_DOMAIN, SANDBOX_PASSWORD, SANDBOX_DOMAIN, SANDBOX_DOMAIN);
    buf_printf(out, "Read:     curl -k --ssl-reqd --user alice@%s:%s pop3://127.0.0.1:%u/1\n", SANDBOX_DOMAIN,
               SANDBOX_PASSWORD, port_of(s, SERVICE_POP3));
    if (ctl_option(s->ctl, "rules"))
        buf_printf(
            out,
            "Rules:    alice takes mail of people she knows (@friends.example), bob puts what does not end in .com "
            "and the like\n          into Junk (which POP3 does not show: ostiary mail export --account bob@%s DIR), "
            "carol "
            "takes\n          everything: ostiary rules show alice@%s --config '%.*s'\n",
            SANDBOX_DOMAIN, SANDBOX_DOMAIN, (int)s->config_path.size - 1, s->config_path.data);
    buf_printf(out, "Manage:   ostiary account list --config '%.*s'\n", (int)s->config_path.size - 1,
               s->config_path.data);
    buf_printf(out, "My door:  ostiary my rules show --login alice@%s --config '%.*s'\n", SANDBOX_DOMAIN,
               (int)s->config_path.size - 1, s->config_path.data);
    buf_printf(out, "Files:    %s%s\n", s->directory, s->temporary ? " (removed at the end)" : "");
    buf_add_text(out, "Ctrl-C ends it. Its log follows.\n\n");
}

static void ready(void *context)
{
    const struct sandbox *s = context;
    struct buf text;
    buf_init(&text, 1 << 16);
    write_greeting(s, &text);
    printf("%.*s", SPAN_ARG(buf_span(&text)));
    fflush(stdout);
    buf_release(&text);
    ready_tell(s->ready_fd);
}

static int parse_options(struct sandbox *s)
{
    const char *base = ctl_option(s->ctl, "port-base");
    uint64_t number = SANDBOX_PORT_BASE;
    s->has_base = base;
    if (base && !span_parse_u64(span_text(base), SANDBOX_PORT_BASE_MAX, &number))
        return ctl_fail(s->ctl, EX_USAGE, "--port-base takes a whole number from 0 to %d, not '%.20s'",
                        SANDBOX_PORT_BASE_MAX, base);
    s->port_base = (unsigned)number;
    return ready_parse(s->ctl, &s->ready_fd);
}

/* Until the server listens to them, signals wait: a temporary directory is removed at every end. */
static void hold_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

int ctl_sandbox(struct ctl *ctl)
{
    struct sandbox s = {.ctl = ctl, .ready_fd = -1};
    buf_init(&s.config_path, 8192);
    int status = parse_options(&s);
    hold_signals();
    if (status == EX_OK)
        status = sandbox_make_files(&s);
    if (status == EX_OK)
        status = sandbox_fill(&s);
    if (status == EX_OK) {
        const struct supervisor_options options = {ready, &s};
        status = supervisor_run(s.config_path.data, settings_ref(s.settings), &options);
    }
    if (s.temporary)
        sandbox_remove_files(&s);
    settings_unref(s.settings);
    buf_release(&s.config_path);
    free(s.directory);
    return status;
}
