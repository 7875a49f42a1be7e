#include "auth/service.h"

#include "auth/password.h"
#include "auth/process.h"
#include "ipc/services.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>

static void sweep(struct timer *timer)
{
    struct auth_process *a = container_of(timer, struct auth_process, sweep);
    uint64_t next = exchanges_sweep(&a->exchanges, clock_monotonic());
    if (next != CLOCK_NEVER && timer_start(a->loop, &a->sweep, next) != 0)
        log_write(LOG_PROBLEM, "auth", NULL, "no memory for a timer; abandoned logins stay until the next one ends");
}

/* What is compared where there is no hash: of the kind that new passwords get. */
static int make_dummy(const struct settings *settings, struct buf *hash, struct buf *problem)
{
    int error = password_nobodys(settings->auth.password_hash, settings->auth.hash_cost, hash);
    if (error)
        buf_printf(problem, "auth.password_hash \"%s\" with auth.hash_cost %u makes no hash; see crypt(5)",
                   settings->auth.password_hash, settings->auth.hash_cost);
    return error;
}

/* The salts of unknown names hang on the key of the grants, not on this process's life: a salt that changes when auth
 * is restarted would give them away. */
static void derive_fake_key(struct auth_process *a)
{
    static const struct span label = SPAN("ostiary unknown names");
    digest_hmac_sha256(span_from(a->grant_key, GRANT_KEY_SIZE), label, a->fake_key);
}

struct auth_process *auth_process_new(struct loop *loop, struct settings *settings, struct peers *peers,
                                      const unsigned char grant_key[GRANT_KEY_SIZE], struct buf *problem)
{
    /* The sandbox lets nobody open openssl.cnf, and the digests need none of it. */
    bool ready = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1;
    struct auth_process *a = ready ? calloc(1, sizeof *a) : NULL;
    if (!a) {
        buf_add_text(problem, "no memory for the auth process");
        return NULL;
    }
    buf_init(&a->dummy_hash, 1024);
    if (make_dummy(settings, &a->dummy_hash, problem) != 0) {
        buf_release(&a->dummy_hash);
        free(a);
        return NULL;
    }
    a->loop = loop;
    a->settings = settings_ref(settings);
    a->peers = peers;
    memcpy(a->grant_key, grant_key, GRANT_KEY_SIZE);
    derive_fake_key(a);
    failures_init(&a->logins);
    failures_init(&a->harvest);
    failures_init(&a->passcodes);
    guesses_init(&a->guesses);
    greylist_init(&a->greylist);
    windows_init(&a->windows);
    events_init(&a->events);
    condition_init(&a->happened);
    recent_init(&a->recent);
    turnstile_init(&a->turnstile);
    exchanges_init(&a->exchanges);
    a->sweep.fire = sweep;
    list_init(&a->clients);
    return a;
}

int auth_process_set_settings(struct auth_process *a, struct settings *settings, struct buf *problem)
{
    struct buf dummy;
    buf_init(&dummy, a->dummy_hash.limit);
    int error = make_dummy(settings, &dummy, problem);
    if (error) {
        buf_release(&dummy);
        return error;
    }
    buf_release(&a->dummy_hash);
    a->dummy_hash = dummy;
    settings_ref(settings);
    settings_unref(a->settings);
    a->settings = settings;
    if (!settings->submission.pop_before_smtp)
        windows_close_matching(&a->windows, (struct span){NULL, 0});
    return 0;
}

struct auth_client *auth_client_get(struct auth_process *a, uint64_t id)
{
    list_each (node, &a->clients) {
        struct auth_client *client = container_of(node, struct auth_client, node);
        if (channel_id(client->channel) == id)
            return client;
    }
    return NULL;
}

static void client_free(struct auth_client *client)
{
    list_remove(&client->node);
    exchange_owner_release(&client->process->exchanges, &client->exchanges);
    channel_free(client->channel);
    free(client);
}

static void called(void *context, struct call *call)
{
    static void (*const does[])(struct auth_process * a, struct call * call) = {
        [AUTH_STEP] = auth_step_start, [AUTH_CHANGE_PASSWORD] = auth_change_start,
        [AUTH_REPORT] = auth_report,   [AUTH_WINDOW] = auth_window,
        [AUTH_CLIENTS] = auth_clients, [AUTH_WATCH] = auth_watch_start,
        [AUTH_GUESS] = auth_guess,     [AUTH_GREYLIST] = auth_greylist,
    };
    struct auth_client *client = context;
    does[call->method](client->process, call); /* the channel lets no other method through */
}

static void closed(void *context, struct channel *channel)
{
    client_free(context);
}

int auth_process_attach(struct auth_process *a, int fd, enum role peer)
{
    static const struct channel_events events = {.called = called, .closed = closed};
    struct auth_client *client = calloc(1, sizeof *client);
    /* channel_new takes the descriptor even where there is no client to own the channel. */
    struct channel *channel = channel_new(a->loop, fd, &auth_service, peer, &events, client);
    if (!client || !channel) {
        channel_free(channel);
        free(client);
        return -ENOMEM;
    }
    client->process = a;
    client->channel = channel;
    exchange_owner_init(&client->exchanges);
    list_append(&a->clients, &client->node);
    return 0;
}

int auth_process_show_board(struct auth_process *a, int fd, unsigned columns)
{
    if (a->board_count == BOARDS_MAX)
        return -ENOSPC;
    struct session_board *board = session_board_map(fd, columns, SESSION_BOARD_READ);
    if (!board)
        return -ENOMEM;
    a->boards[a->board_count++] = board;
    return 0;
}

size_t auth_process_steps(const struct auth_process *a)
{
    return a->steps;
}

void auth_process_free(struct auth_process *a)
{
    if (!a)
        return;
    if (a->steps)
        abort(); /* their fibers would go on in freed memory */
    list_each_safe (node, &a->clients)
        client_free(container_of(node, struct auth_client, node));
    timer_stop(a->loop, &a->sweep);
    exchanges_release(&a->exchanges);
    recent_release(&a->recent);
    for (size_t i = 0; i < a->board_count; i++)
        session_board_unmap(a->boards[i]);
    events_release(&a->events);
    windows_release(&a->windows);
    greylist_release(&a->greylist);
    guesses_release(&a->guesses);
    failures_release(&a->passcodes);
    failures_release(&a->harvest);
    failures_release(&a->logins);
    buf_release(&a->dummy_hash);
    settings_unref(a->settings);
    explicit_bzero(a, sizeof *a);
    free(a);
}
