#include "deliver/courier.h"

#include "base/clock.h"
#include "deliver/call_back.h"
#include "deliver/internal.h"
#include "deliver/whois.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define PASSWORD_MAX 1024
#define ASK_SECONDS 30

/* ---- Small things ---- */

struct schedule courier_schedule(const struct courier *c)
{
    return (struct schedule){.first = c->settings->courier.retry_first,
                             .longest = c->settings->courier.retry_longest,
                             .warn_after = c->settings->courier.warn_after,
                             .give_up = c->settings->courier.give_up};
}

const char *queue_id(uint64_t message_id, char text[QUEUE_ID_MAX])
{
    snprintf(text, QUEUE_ID_MAX, "%llx", (unsigned long long)message_id);
    return text;
}

uint64_t random_number(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        abort();
    return number;
}

/* ---- The key of SRS addresses ---- */

static int ask_secrets(struct fiber *self, struct courier *c)
{
    StoreRead__SecretsRequest request = STORE_READ__SECRETS_REQUEST__INIT;
    struct answer answer;
    int error = channel_call(self, peers_get(c->peers, ROLE_READER), STORE_READ_SECRETS, &request.base,
                             (struct span){0}, -1, clock_in_seconds(ASK_SECONDS), &answer);
    if (error)
        return error;
    const StoreRead__SecretsReply *reply = (const StoreRead__SecretsReply *)answer.message;
    c->has_srs_key = reply->srs_key.len == sizeof c->srs_key;
    if (c->has_srs_key)
        memcpy(c->srs_key, reply->srs_key.data, sizeof c->srs_key);
    answer_release(&answer);
    return c->has_srs_key ? 0 : -EPROTO;
}

/* Nothing is taken up before: what is sent on without its SRS address would lose its bounces. */
static void start_main(struct fiber *self, void *argument)
{
    struct courier *c = argument;
    int error;
    while ((error = ask_secrets(self, c)) != 0 && error != -ECANCELED) {
        /* At the start the reader may come a moment later. */
        if (error != -EPIPE)
            log_write(LOG_PROBLEM, "courier", NULL, "the store can't be asked, tried again error=%s", strerror(-error));
        if (fiber_sleep(self, clock_monotonic() + RETRY_PAUSE / 5))
            return;
    }
    if (!error && !c->is_stopping &&
        (!fiber_start(c->loop, "work", work_wait_main, c) || !fiber_start(c->loop, "scan", work_scan_main, c))) {
        log_write(LOG_CRASH, "courier", NULL, "no memory to begin with");
        loop_stop(c->loop);
    }
}

/* ---- Settings ---- */

static int take_password(struct courier *c, struct span password)
{
    struct buf fresh;
    buf_init(&fresh, PASSWORD_MAX);
    buf_add_span(&fresh, password);
    if (buf_failed(&fresh))
        return -ENOMEM;
    if (c->password.data)
        explicit_bzero(c->password.data, c->password.size);
    buf_release(&c->password);
    c->password = fresh;
    return 0;
}

int courier_set_settings(struct courier *c, struct settings *settings, struct span authorities, struct span password,
                         struct buf *problem)
{
    struct tls_context *tls = tls_client_context_new(authorities, (int)settings->tls.oldest, problem);
    if (!tls)
        return -EINVAL;
    int error = take_password(c, password);
    if (error) {
        tls_context_unref(tls);
        buf_add_text(problem, "no memory for the smart host's password");
        return error;
    }
    tls_context_unref(c->tls);
    c->tls = tls;
    settings_ref(settings);
    settings_unref(c->settings);
    c->settings = settings;
    site_open_all(c); /* what kept them closed may be mended */
    return 0;
}

/* ---- Those who ask us ---- */

static void called(void *context, struct call *call)
{
    static void (*const does[])(struct courier * c, struct call * call) = {
        [COURIER_PROBE] = probe_start,
        [COURIER_CALL_BACK] = call_back_start,
        [COURIER_WHOIS] = whois_start,
    };
    struct courier *c = context;
    bool is_about_fetching = call->method == COURIER_FETCH_NOW || call->method == COURIER_FETCH_STATE;
    if (call->method < sizeof does / sizeof *does)
        does[call->method](c, call);
    else if (is_about_fetching && c->pass_on)
        c->pass_on(c->pass_on_context, call);
    else
        call_fail(call, -EOPNOTSUPP);
}

void courier_pass_on(struct courier *c, void (*pass_on)(void *context, struct call *call), void *context)
{
    c->pass_on = pass_on;
    c->pass_on_context = context;
}

int courier_attach(struct courier *c, int fd, enum role peer)
{
    return attachments_add(&c->clients, fd, peer);
}

/* ---- Start and end ---- */

struct courier *courier_new(struct loop *loop, struct settings *settings, struct peers *peers, struct span authorities,
                            struct span password, struct buf *problem)
{
    bool ready = OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1;
    struct courier *c = ready ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        buf_add_text(problem, "no memory for the courier");
        return NULL;
    }
    c->loop = loop;
    c->peers = peers;
    map_init(&c->in_hand);
    map_init(&c->sources);
    map_init(&c->sites);
    list_init(&c->starving);
    list_init(&c->results);
    list_init(&c->reports);
    attachments_init(&c->clients, loop, &courier_service, called, c);
    condition_init(&c->room);
    condition_init(&c->scan);
    condition_init(&c->results_changed);
    buf_init(&c->password, PASSWORD_MAX);
    c->probes = probes_new();
    c->call_backs = call_backs_new();
    c->whois = whois_new();
    if (c->probes && c->call_backs && c->whois &&
        courier_set_settings(c, settings, authorities, password, problem) == 0 &&
        fiber_start(loop, "start", start_main, c) && fiber_start(loop, "results", results_main, c))
        return c;
    if (!problem->size)
        buf_add_text(problem, "no memory for the courier");
    return NULL; /* the process ends */
}

static bool is_at_rest(const struct courier *c)
{
    return !c->runners && !c->reporters && list_is_empty(&c->results) && !c->results_under_way;
}

void courier_stop(struct fiber *self, struct courier *c, uint64_t deadline)
{
    struct span key;
    void *value;
    c->is_stopping = true;
    work_scan_soon(c);
    for (size_t position = 0; map_next(&c->sites, &position, &key, &value);) {
        struct site *site = value;
        for (struct job *job; (job = site_take(site));)
            job_put_back(job);
        condition_wake_all(&site->work);
    }
    int error = 0;
    while (!error && !is_at_rest(c))
        error = condition_wait(self, &c->room, deadline);
    if (error)
        log_write(LOG_PROBLEM, "courier", NULL, "stopped with mail in hand, which stays in the queue connections=%u",
                  c->runners);
    explicit_bzero(c->password.data ? c->password.data : (char *)c->srs_key, c->password.size);
    explicit_bzero(c->srs_key, sizeof c->srs_key);
}
