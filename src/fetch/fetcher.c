#include "base/clock.h"
#include "base/log.h"
#include "facts/dns_lists.h"
#include "facts/ledger.h"
#include "facts/rules_memo.h"
#include "fetch/internal.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/random.h>

#define LIST_SECONDS 20 /* so often the store is asked which accounts there are */
#define ASK_SECONDS 60
#define PAGE 500
#define FIRST_SPREAD 60 /* seconds over which the first visits after a start are spread */
#define BACK_OFF_FIRST 60
#define BACK_OFF_LAST 3600
#define PROVIDERS_MAX 10000
#define PERSONS_PART 3 /* of the places: what one person's accounts may take */
#define REFUSALS_MAX 3 /* logins refused without a code before they count as wrong */

uint64_t fetch_random(void)
{
    uint64_t number;
    if (getrandom(&number, sizeof number, 0) != sizeof number)
        abort();
    return number;
}

/* ---- What rules ask for ---- */

/* Not before the first message: the DNS lists make their self-tests then, and many sites fetch nothing. */
const struct facts_sources *fetcher_sources(struct fetcher *f)
{
    struct facts_sources *s = &f->sources;
    s->peers = f->peers;
    if (!s->dns_lists) {
        s->dns_lists = dns_lists_new(f->loop, f->peers);
        if (s->dns_lists && dns_lists_set_settings(s->dns_lists, f->settings)) {
            dns_lists_free(s->dns_lists);
            s->dns_lists = NULL;
        }
    }
    if (!s->return_paths)
        s->return_paths = return_path_cache_new();
    if (!s->rules)
        s->rules = rules_memo_new();
    if (!f->ledger)
        f->ledger = ledger_new(f->loop, f->peers);
    return s->dns_lists && s->return_paths && s->rules && f->ledger ? s : NULL;
}

/* ---- The accounts ---- */

static struct span key_of(const uint64_t *id)
{
    return span_from(id, sizeof *id);
}

struct remote *fetcher_find(const struct fetcher *f, uint64_t id)
{
    return map_get(&f->remotes, key_of(&id));
}

static void forget_skipped(struct remote *r)
{
    map_release(&r->skipped);
    map_release(&r->put_off);
    map_init(&r->skipped);
    map_init(&r->put_off);
}

static void remote_free(struct remote *r)
{
    map_release(&r->skipped);
    map_release(&r->put_off);
    free(r->account);
    free(r->name);
    free(r->value);
    free(r->provider);
    free(r);
}

static char *copy_text(struct span s)
{
    char *copy = malloc(s.size + 1);
    if (copy) {
        if (s.size)
            memcpy(copy, s.data, s.size);
        copy[s.size] = 0;
    }
    return copy;
}

/* The first visits after a start are spread, those of an account that somebody made or changed just now are at once. */
static uint64_t first_visit(const struct fetcher *f)
{
    uint64_t spread = f->settings->remote.interval < FIRST_SPREAD ? f->settings->remote.interval : FIRST_SPREAD;
    return clock_monotonic() + (f->has_listed ? 0 : fetch_random() % (spread * NANOSECONDS + 1));
}

/* What the schedule needs to know of it. One that makes no sense is told so at its first visit. */
static void read_value(struct remote *r)
{
    struct remote_account account;
    struct arena memory;
    struct buf text;
    arena_init(&memory, 64u << 10);
    buf_init(&text, PROBLEM_MAX);
    free(r->provider);
    r->provider = NULL;
    r->interval = 0;
    r->is_off = false;
    if (remote_account_parse(span_text(r->value), &memory, &account, &text)) {
        buf_printf(&text, "%.*s:%u:%d", SPAN_ARG(account.host), account.port, (int)account.tls);
        r->provider = copy_text(buf_span(&text));
        r->interval = account.interval;
        r->is_off = !account.enabled;
    }
    buf_release(&text);
    arena_release(&memory);
}

static int fill(struct remote *r, const StoreRead__Remote *from)
{
    char *account = copy_text(binary_span(from->account)), *name = copy_text(binary_span(from->name)),
         *value = copy_text(binary_span(from->value));
    if (!account || !name || !value) {
        free(account);
        free(name);
        free(value);
        return -ENOMEM;
    }
    free(r->account);
    free(r->name);
    free(r->value);
    r->account = account;
    r->name = name;
    r->value = value;
    r->version = from->version;
    r->account_id = from->account_id;
    r->is_stopped = false;
    r->failures = r->refusals = 0;
    r->next_at = first_visit(r->fetcher);
    r->rests_until = 0;
    read_value(r);
    forget_skipped(r);
    return 0;
}

/* A visit under way reads its account's texts at its beginning only. */
static int take_remote(struct fetcher *f, const StoreRead__Remote *from)
{
    struct remote *r = fetcher_find(f, from->id);
    if (r && r->version == from->version) {
        r->listing = f->listing;
        r->is_listed = true;
        return 0;
    }
    if (!r && f->remotes.count >= REMOTES_MAX)
        return 0;
    bool is_new = !r;
    if (is_new && !(r = calloc(1, sizeof *r)))
        return -ENOMEM;
    if (is_new) {
        r->fetcher = f;
        r->id = from->id;
        map_init(&r->skipped);
        map_init(&r->put_off);
    }
    int error = fill(r, from);
    if (!error && is_new)
        error = map_put(&f->remotes, key_of(&r->id), r);
    r->listing = f->listing;
    r->is_listed = true;
    if (error && is_new)
        remote_free(r);
    return error;
}

/* Those that the listing did not name. */
static void drop_unlisted(struct fetcher *f)
{
    struct list_node gone;
    struct span key;
    void *value;
    list_init(&gone);
    for (size_t position = 0; map_next(&f->remotes, &position, &key, &value);) {
        struct remote *r = value;
        if (r->listing == f->listing)
            continue;
        r->is_listed = false;
        if (r->fiber)
            fiber_cancel(r->fiber); /* dropped when it has ended */
        else
            list_append(&gone, &r->visiting);
    }
    list_each_safe (node, &gone) {
        struct remote *r = container_of(node, struct remote, visiting);
        map_remove(&f->remotes, key_of(&r->id));
        remote_free(r);
    }
}

static int list_page(struct fiber *self, struct fetcher *f, uint64_t *after, bool *more)
{
    StoreRead__RemotesRequest request = STORE_READ__REMOTES_REQUEST__INIT;
    struct answer answer;
    request.after = *after;
    request.limit = PAGE;
    int error = channel_call(self, peers_get(f->peers, ROLE_READER), STORE_READ_REMOTES, &request.base,
                             (struct span){0}, -1, clock_in_seconds(ASK_SECONDS), &answer);
    if (error)
        return error;
    const StoreRead__RemotesReply *reply = (const StoreRead__RemotesReply *)answer.message;
    for (size_t i = 0; !error && i < reply->n_remotes; i++) {
        error = take_remote(f, reply->remotes[i]);
        *after = reply->remotes[i]->id > *after ? reply->remotes[i]->id : *after;
    }
    *more = reply->more && reply->n_remotes;
    answer_release(&answer);
    return error;
}

int fetcher_list(struct fiber *self, struct fetcher *f)
{
    uint64_t after = 0;
    bool more = true;
    int error = 0;
    /* One after the other: each drops what it did not see itself. */
    while (f->is_listing && !error)
        error = condition_wait(self, &f->listed, CLOCK_NEVER);
    if (error)
        return error;
    f->is_listing = true;
    f->listing++;
    while (more && !error)
        error = list_page(self, f, &after, &more);
    f->is_listing = false;
    condition_wake_all(&f->listed);
    if (error) /* who was not named yet may be there all the same */
        return error;
    drop_unlisted(f);
    f->has_listed = true;
    return 0;
}

/* ---- When ---- */

static struct provider *provider_of(struct fetcher *f, const struct remote *r, bool make)
{
    struct span key = span_text(r->provider);
    struct provider *p = key.size ? map_get(&f->providers, key) : NULL;
    if (p || !make || !key.size || f->providers.count >= PROVIDERS_MAX)
        return p;
    p = calloc(1, sizeof *p);
    if (!p || map_put(&f->providers, key, p) == 0)
        return p;
    free(p);
    return NULL;
}

static uint64_t back_off(unsigned failures, uint64_t interval)
{
    uint64_t wait = BACK_OFF_FIRST;
    for (unsigned i = 1; i < failures && wait < BACK_OFF_LAST; i++)
        wait *= 2;
    wait = wait < BACK_OFF_LAST ? wait : BACK_OFF_LAST;
    return wait > interval ? wait : interval;
}

/* Nine to eleven tenths of it, so that a thousand accounts do not come at once for ever. */
static uint64_t with_jitter(uint64_t seconds)
{
    uint64_t whole = seconds * NANOSECONDS;
    return whole - whole / 10 + fetch_random() % (whole / 5 + 1);
}

static void note_provider(struct remote *r, bool failed)
{
    struct provider *p = provider_of(r->fetcher, r, failed);
    if (p && failed) {
        p->failures++;
        p->closed_until = clock_monotonic() + back_off(p->failures, 0) * NANOSECONDS;
    } else if (p) {
        map_remove(&r->fetcher->providers, span_text(r->provider));
        free(p);
    }
}

static void note_end(struct remote *r, enum visit_end end, uint64_t version)
{
    bool failed = end != VISIT_DONE;
    uint64_t interval = r->interval ? r->interval : r->fetcher->settings->remote.interval;
    r->last_at = clock_wall();
    r->visits++;
    if (!failed)
        r->problem[0] = 0;
    /* What became of a visit with the settings of before says nothing of those of now. */
    if (r->version != version)
        return;
    r->rests_until = clock_in_seconds(REST_SECONDS);
    note_provider(r, end == VISIT_PROVIDER_FAILED);
    r->failures = failed ? r->failures + 1 : 0;
    r->refusals = end == VISIT_REFUSED ? r->refusals + 1 : 0;
    r->is_stopped = end == VISIT_IMPOSSIBLE || r->refusals >= REFUSALS_MAX;
    r->next_at = clock_monotonic() + with_jitter(failed ? back_off(r->failures, interval) : interval);
    if (!failed && r->is_unfinished)
        r->next_at = clock_monotonic(); /* behind all that wait already */
    if (r->is_stopped)
        log_write(LOG_PROBLEM, "fetch", NULL,
                  "nothing is fetched any more until it is changed account=%s name=%s problem=%s",
                  log_quote(span_text(r->account)), log_quote(span_text(r->name)), log_quote(span_text(r->problem)));
    else if (failed)
        log_write(r->failures == 1 ? LOG_PROBLEM : LOG_LOW, "fetch", NULL,
                  "a visit failed account=%s name=%s failures=%u problem=%s", log_quote(span_text(r->account)),
                  log_quote(span_text(r->name)), r->failures, log_quote(span_text(r->problem)));
}

static void visit_main(struct fiber *self, void *argument)
{
    struct remote *r = argument;
    struct fetcher *f = r->fetcher;
    uint64_t version = r->version;
    r->is_unfinished = false;
    enum visit_end end = visit_run(self, r);
    note_end(r, end, version);
    r->fiber = NULL;
    list_remove(&r->visiting);
    f->visits--;
    if (!r->is_listed) {
        map_remove(&f->remotes, key_of(&r->id));
        remote_free(r);
    }
    condition_wake_all(&f->changed);
    condition_wake_all(&f->progress);
}

/* A provider that failed for one account is left alone for all of them, but for those that somebody asks for. */
static bool is_due(struct remote *r)
{
    if (r->fiber || r->is_off || !r->is_listed || (!r->is_asked && (r->is_stopped || r->next_at > clock_monotonic())))
        return false;
    const struct provider *p = r->is_asked ? NULL : provider_of(r->fetcher, r, false);
    if (p && p->closed_until > clock_monotonic()) {
        r->next_at = p->closed_until + fetch_random() % (10 * NANOSECONDS);
        return false;
    }
    return true;
}

static void start_visit(struct fetcher *f, struct remote *r)
{
    r->is_asked = false;
    r->progress = (struct fetch_progress){0};
    r->fiber = fiber_start(f->loop, "fetch", visit_main, r);
    if (r->fiber) {
        list_append(&f->visiting, &r->visiting);
        f->visits++;
    } else {
        r->next_at = clock_in_seconds(BACK_OFF_FIRST);
    }
}

/* Somebody whose providers are slow, or hostile, keeps no more than a third of the places from the others. */
static bool has_share(struct fetcher *f, const struct remote *r)
{
    unsigned share = (f->settings->remote.connections + PERSONS_PART - 1) / PERSONS_PART, count = 0;
    list_each (node, &f->visiting)
        count += container_of(node, struct remote, visiting)->account_id == r->account_id;
    return count < share;
}

static bool is_before(const struct remote *a, const struct remote *b)
{
    return !b || (a->is_asked != b->is_asked ? a->is_asked : a->next_at < b->next_at);
}

/* The one to be visited now: what is asked for before what is due, and of these who has waited longest. NULL: none, and
 * *next is when the next one will be. */
static struct remote *find_due(struct fetcher *f, uint64_t *next)
{
    struct remote *first = NULL;
    struct span key;
    void *value;
    *next = CLOCK_NEVER;
    for (size_t position = 0; map_next(&f->remotes, &position, &key, &value);) {
        struct remote *r = value;
        if (is_due(r)) {
            if (is_before(r, first) && has_share(f, r))
                first = r;
        } else if (!r->fiber && !r->is_stopped && !r->is_off && r->next_at < *next) {
            *next = r->next_at;
        }
    }
    return first;
}

/* Starts what is due. The time of the next one; where places are what is lacking the end of a visit wakes us. */
static uint64_t start_due(struct fetcher *f)
{
    uint64_t next = CLOCK_NEVER;
    while (f->visits < f->settings->remote.connections) {
        struct remote *r = find_due(f, &next);
        if (!r)
            return next;
        start_visit(f, r);
    }
    return CLOCK_NEVER;
}

static void schedule_main(struct fiber *self, void *argument)
{
    struct fetcher *f = argument;
    uint64_t list_at = 0;
    int error = 0;
    while (error != -ECANCELED && !f->is_stopping) {
        if (f->wants_list || list_at <= clock_monotonic()) {
            f->wants_list = false;
            error = fetcher_list(self, f);
            list_at = clock_in_seconds(error ? 1 : LIST_SECONDS);
            if (error == -ECANCELED)
                return;
            if (error && error != -EPIPE)
                log_write(LOG_PROBLEM, "fetch", NULL, "the store can't be asked for the remote accounts error=%s",
                          strerror(-error));
        }
        uint64_t next = start_due(f);
        error = condition_wait(self, &f->changed, next < list_at ? next : list_at);
    }
}

/* ---- Start and end ---- */

/* To read the certificates of some 150 authorities takes tens of milliseconds and a megabyte, and most servers fetch
 * no mail: so it is done at the first visit. */
struct tls_context *fetcher_tls(struct fetcher *f, struct buf *problem)
{
    if (!f->tls)
        f->tls = tls_client_context_new(buf_span(&f->authorities), (int)f->settings->tls.oldest, problem);
    return f->tls;
}

int fetch_set_settings(struct fetcher *f, struct settings *settings, struct span authorities, struct buf *problem)
{
    struct buf copy;
    buf_init(&copy, authorities.size + 1);
    buf_add_span(&copy, authorities);
    if (buf_failed(&copy)) {
        buf_release(&copy);
        buf_add_text(problem, "no memory for the certificates of authorities");
        return -ENOMEM;
    }
    buf_release(&f->authorities);
    f->authorities = copy;
    tls_context_unref(f->tls);
    f->tls = NULL;
    settings_ref(settings);
    settings_unref(f->settings);
    f->settings = settings;
    if (f->sources.dns_lists && dns_lists_set_settings(f->sources.dns_lists, settings))
        log_write(LOG_PROBLEM, "fetch", NULL, "no memory for the DNS lists; those of before stay");
    condition_wake_all(&f->changed);
    return 0;
}

void fetch_set_blacklist(struct fetcher *f, const struct blacklist *blacklist)
{
    f->blacklist = blacklist;
}

struct fetcher *fetch_new(struct loop *loop, struct settings *settings, struct peers *peers, struct span authorities,
                          const unsigned char private_key[SEALED_KEY_SIZE], struct buf *problem)
{
    struct fetcher *f = calloc(1, sizeof *f);
    if (!f) {
        buf_add_text(problem, "no memory for fetching mail");
        return NULL;
    }
    f->loop = loop;
    f->peers = peers;
    buf_init(&f->authorities, 0);
    memcpy(f->private_key, private_key, SEALED_KEY_SIZE);
    map_init(&f->remotes);
    map_init(&f->providers);
    list_init(&f->runs);
    list_init(&f->visiting);
    condition_init(&f->listed);
    condition_init(&f->changed);
    condition_init(&f->progress);
    if (fetch_set_settings(f, settings, authorities, problem) == 0 && fiber_start(loop, "fetcher", schedule_main, f))
        return f;
    if (!problem->size)
        buf_add_text(problem, "no memory for fetching mail");
    return NULL; /* the process ends */
}

void fetch_called(void *fetcher, struct call *call)
{
    control_called(fetcher, call);
}

void fetch_stop(struct fiber *self, struct fetcher *f, uint64_t deadline)
{
    f->is_stopping = true;
    condition_wake_all(&f->changed);
    condition_wake_all(&f->progress);
    int error = 0;
    while (!error && f->visits)
        error = condition_wait(self, &f->changed, deadline);
    if (f->ledger)
        ledger_stop(self, f->ledger, deadline);
    explicit_bzero(f->private_key, sizeof f->private_key);
}
