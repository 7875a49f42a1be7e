#include "facts/gather.h"

#include "auth.pb-c.h"
#include "base/log.h"
#include "courier.pb-c.h"
#include "dns/lookup.h"
#include "facts/dns_lists.h"
#include "intake/route.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/blacklist.h"
#include "policy/rule.h"
#include "script.pb-c.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define DNS_SECONDS 30
#define STORE_SECONDS 30
#define AUTH_SECONDS 5
#define SPARE_SECONDS 10 /* beyond what a source may take by its own settings: it has a queue */
#define MEMORY_MAX (2u << 20)
#define TEXT_MAX 400 /* bytes of what another server or a list said */
#define WHOIS_MAX (64u << 10)

/* What is fetched at one time. It belongs to the one who waits and to each fiber that fetches: who waits may be gone
 * (the client hung up, the process stops) before they are. */
struct gathering {
    unsigned references;
    struct arena memory; /* of what was asked with, and of what was found */
    struct condition changed;
    unsigned under_way;
    /* asked with */
    struct facts_sources sources;
    struct settings *settings;
    char session[64];
    struct ip_address ip;
    struct span ip_text, reverse_path, recipient, blob;
    struct mail_path sender;
    unsigned greylist_seconds;
    bool has_approved_names, has_denied_names;
    /* found */
    struct facts facts;
    struct recipient_facts r;
};

/* One fact of it. */
struct fetch {
    struct gathering *gathering;
    enum fact fact;
    struct fiber *fiber; /* NULL: it is done */
};

static void unref(struct gathering *g)
{
    if (--g->references)
        return;
    settings_unref(g->settings);
    arena_release(&g->memory);
    free(g);
}

static struct span keep(struct gathering *g, struct span text, size_t most)
{
    return arena_copy(&g->memory, span_head(text, most));
}

/* ---- The sources, one function each: they fill in g->facts or g->r and say what is known now ---- */

static enum fact_state fetch_name_hits(struct fiber *self, struct gathering *g, struct span name, bool proven)
{
    StoreRead__NameHitsRequest request = STORE_READ__NAME_HITS_REQUEST__INIT;
    request.name = binary_from_span(name);
    request.proven = proven;
    struct answer answer;
    int error = channel_call(self, peers_get(g->sources.peers, ROLE_READER), STORE_READ_NAME_HITS, &request.base,
                             (struct span){0}, -1, clock_in_seconds(STORE_SECONDS), &answer);
    if (error)
        return FACT_UNKNOWN;
    const StoreRead__NameHitsReply *reply = (const StoreRead__NameHitsReply *)answer.message;
    size_t room = sizeof g->facts.ptr.hits / sizeof *g->facts.ptr.hits;
    for (size_t i = 0; i < reply->n_hits && g->facts.ptr.hit_count < room; i++) {
        const StoreRead__ListHit *hit = reply->hits[i];
        if ((hit->kind != LIST_KIND_APPROVED && hit->kind != LIST_KIND_DENIED_NAME) || hit->level >= LEVEL_COUNT)
            continue;
        g->facts.ptr.hits[g->facts.ptr.hit_count++] =
            (struct list_hit){(enum list_kind)hit->kind, hit->level, keep(g, binary_span(hit->entry), TEXT_MAX)};
    }
    answer_release(&answer);
    return FACT_KNOWN;
}

/* The client's name by DNS, and what the site's lists of names say of it. */
static enum fact_state fetch_ptr(struct fiber *self, struct gathering *g)
{
    struct dns_ptr ptr;
    dns_ptr(self, g->sources.peers, &g->ip, clock_in_seconds(DNS_SECONDS), &g->memory, &ptr);
    if (ptr.status != DNS_ANSWERED || ptr.count == 0)
        return ptr.status == DNS_TROUBLE ? FACT_UNKNOWN : FACT_ABSENT;
    if (ptr.confirmed)
        g->facts.ptr.name = span_text(ptr.confirmed);
    else
        g->facts.ptr.claimed = span_text(ptr.names[0]);
    enum fact_state state = !ptr.confirmed && ptr.uncertain ? FACT_UNKNOWN : FACT_KNOWN;
    bool is_wanted = g->has_denied_names || (g->has_approved_names && ptr.confirmed);
    if (is_wanted && state == FACT_KNOWN)
        state =
            fetch_name_hits(self, g, ptr.confirmed ? g->facts.ptr.name : g->facts.ptr.claimed, ptr.confirmed != NULL);
    return state;
}

static enum fact_state fetch_dns_lists(struct fiber *self, struct gathering *g)
{
    int error =
        dns_lists_check(self, g->sources.dns_lists, &g->ip, &g->memory, &g->facts.dns_lists, &g->facts.dns_list_count);
    return error ? FACT_UNKNOWN : FACT_KNOWN;
}

static enum fact_state fetch_return_path(struct fiber *self, struct gathering *g)
{
    const struct intake intake = {g->sources.peers, g->settings, g->sources.routes};
    return return_path_ask(self, g->sources.return_paths, &intake, &g->sender, g->session,
                           clock_in_seconds(DNS_SECONDS), &g->facts.return_path);
}

static enum fact_state fetch_greylist(struct fiber *self, struct gathering *g)
{
    Auth__GreylistRequest request = AUTH__GREYLIST_REQUEST__INIT;
    request.peer_address = binary_from_span(g->ip_text);
    request.reverse_path = binary_from_span(g->reverse_path);
    request.recipient = binary_from_span(g->recipient);
    request.wait_seconds = g->greylist_seconds;
    struct answer answer;
    int error = channel_call(self, peers_get(g->sources.peers, ROLE_AUTH), AUTH_GREYLIST, &request.base,
                             (struct span){0}, -1, clock_in_seconds(AUTH_SECONDS), &answer);
    if (error)
        return FACT_UNKNOWN;
    g->r.greylist_wait = ((const Auth__GreylistReply *)answer.message)->wait_seconds;
    answer_release(&answer);
    return FACT_KNOWN;
}

static enum fact_state fetch_whois(struct fiber *self, struct gathering *g)
{
    static const enum fact_state states[] = {[COURIER__WHOIS_STATUS__WHOIS_UNSET] = FACT_UNKNOWN,
                                             [COURIER__WHOIS_STATUS__WHOIS_FOUND] = FACT_KNOWN,
                                             [COURIER__WHOIS_STATUS__WHOIS_NOTHING] = FACT_ABSENT,
                                             [COURIER__WHOIS_STATUS__WHOIS_TROUBLE] = FACT_UNKNOWN};
    Courier__WhoisRequest request = COURIER__WHOIS_REQUEST__INIT;
    request.ip = binary_from_span(span_from(g->ip.bytes, sizeof g->ip.bytes));
    struct answer answer;
    int error =
        channel_call(self, peers_get(g->sources.peers, ROLE_COURIER), COURIER_WHOIS, &request.base, (struct span){0},
                     -1, clock_in_seconds(g->settings->whois.timeout + SPARE_SECONDS), &answer);
    if (error)
        return FACT_UNKNOWN;
    const Courier__WhoisReply *reply = (const Courier__WhoisReply *)answer.message;
    unsigned status = (unsigned)reply->status;
    g->facts.whois = (struct whois_fact){.text = keep(g, binary_span(reply->text), WHOIS_MAX),
                                         .country = keep(g, binary_span(reply->country), TEXT_MAX),
                                         .registry = keep(g, binary_span(reply->registry), TEXT_MAX),
                                         .network = keep(g, binary_span(reply->network), TEXT_MAX),
                                         .as_ = keep(g, binary_span(reply->as_number), TEXT_MAX)};
    answer_release(&answer);
    return status < sizeof states / sizeof *states ? states[status] : FACT_UNKNOWN;
}

static enum fact_state call_back(struct fiber *self, struct gathering *g, struct span ip, enum call_back_result *result,
                                 struct span *said)
{
    Courier__CallBackRequest request = COURIER__CALL_BACK_REQUEST__INIT;
    request.sender = binary_from_span(g->reverse_path);
    request.ip = binary_from_span(ip);
    struct answer answer;
    int error =
        channel_call(self, peers_get(g->sources.peers, ROLE_COURIER), COURIER_CALL_BACK, &request.base,
                     (struct span){0}, -1, clock_in_seconds(g->settings->call_back.timeout + SPARE_SECONDS), &answer);
    if (error)
        return FACT_UNKNOWN;
    const Courier__CallBackReply *reply = (const Courier__CallBackReply *)answer.message;
    enum fact_state state = FACT_UNKNOWN;
    if (reply->verdict == COURIER__VERDICT__VERDICT_UNSET) {
        state = FACT_ABSENT;
    } else if (reply->verdict == COURIER__VERDICT__VERDICT_TAKES ||
               reply->verdict == COURIER__VERDICT__VERDICT_REFUSES) {
        state = FACT_KNOWN;
        *result = reply->verdict == COURIER__VERDICT__VERDICT_TAKES ? CALL_BACK_TAKES : CALL_BACK_REFUSES;
    }
    *said = keep(g, binary_span(reply->reply), TEXT_MAX);
    answer_release(&answer);
    return state;
}

static enum fact_state fetch_call_back(struct fiber *self, struct gathering *g)
{
    if (g->reverse_path.size == 0)
        return FACT_ABSENT;
    return call_back(self, g, (struct span){0}, &g->facts.call_back.result, &g->facts.call_back.reply);
}

static enum fact_state fetch_reverse_call_back(struct fiber *self, struct gathering *g)
{
    if (g->reverse_path.size == 0)
        return FACT_ABSENT;
    return call_back(self, g, span_from(g->ip.bytes, sizeof g->ip.bytes), &g->facts.reverse_call_back.result,
                     &g->facts.reverse_call_back.reply);
}

static enum fact_state ask_script(struct fiber *self, struct gathering *g, struct script_fact *found)
{
    static const enum script_result results[] = {[SCRIPT__RESULT__RESULT_NOTHING] = SCRIPT_NOTHING,
                                                 [SCRIPT__RESULT__RESULT_ACCEPT] = SCRIPT_ACCEPT,
                                                 [SCRIPT__RESULT__RESULT_REFUSE] = SCRIPT_REFUSE,
                                                 [SCRIPT__RESULT__RESULT_DEFER] = SCRIPT_DEFER,
                                                 [SCRIPT__RESULT__RESULT_FILE] = SCRIPT_FILE};
    Script__CheckRequest request = SCRIPT__CHECK_REQUEST__INIT;
    if (g->settings->script.file[0] == 0)
        return FACT_ABSENT;
    request.facts = binary_from_span(g->blob);
    struct answer answer;
    int error =
        channel_call(self, peers_get(g->sources.peers, ROLE_SCRIPT), SCRIPT_CHECK, &request.base, (struct span){0}, -1,
                     clock_in_seconds(g->settings->script.seconds + SPARE_SECONDS), &answer);
    if (error) {
        /* The supervisor says why, and how often; a line for each mail would say no more. */
        log_write(LOG_ALL, "facts", g->session, "the site's script gave no answer error=%s",
                  log_quote(span_text(strerror(-error))));
        return FACT_UNKNOWN;
    }
    const Script__CheckReply *reply = (const Script__CheckReply *)answer.message;
    bool is_known = (unsigned)reply->result < sizeof results / sizeof *results && reply->problem.len == 0;
    if (is_known)
        *found = (struct script_fact){results[reply->result], keep(g, binary_span(reply->text), TEXT_MAX)};
    else /* which its own process has told at level Problem */
        log_write(LOG_ALL, "facts", g->session, "the site's script has no opinion problem=%s",
                  log_quote(binary_span(reply->problem)));
    answer_release(&answer);
    return is_known ? FACT_KNOWN : FACT_UNKNOWN;
}

static enum fact_state fetch_script(struct fiber *self, struct gathering *g)
{
    return ask_script(self, g, &g->r.script);
}

static enum fact_state fetch_script_content(struct fiber *self, struct gathering *g)
{
    return ask_script(self, g, &g->r.script_content);
}

static enum fact_state (*const sources[FACT_COUNT])(struct fiber *self, struct gathering *g) = {
    [FACT_PTR] = fetch_ptr,
    [FACT_DNS_LISTS] = fetch_dns_lists,
    [FACT_RETURN_PATH] = fetch_return_path,
    [FACT_GREYLIST] = fetch_greylist,
    [FACT_WHOIS] = fetch_whois,
    [FACT_SCRIPT] = fetch_script,
    [FACT_CALL_BACK] = fetch_call_back,
    [FACT_REVERSE_CALL_BACK] = fetch_reverse_call_back,
    [FACT_SCRIPT_CONTENT] = fetch_script_content,
};
/* Those that are shown what else is known: they come behind the others. */
#define SCRIPTS (FACT_BIT(FACT_SCRIPT) | FACT_BIT(FACT_SCRIPT_CONTENT))

/* ---- Several at a time ---- */

static void fetch_one(struct fiber *self, struct gathering *g, enum fact fact)
{
    /* What has no source is there already or comes with the message: it can't be fetched. */
    fact_state_set(&g->facts, &g->r, fact, sources[fact] ? sources[fact](self, g) : FACT_UNKNOWN);
}

static void fetch_main(struct fiber *self, void *argument)
{
    struct fetch *fetch = argument;
    struct gathering *g = fetch->gathering;
    fetch_one(self, g, fetch->fact);
    fetch->fiber = NULL;
    g->under_way--;
    condition_wake_all(&g->changed);
    unref(g); /* with the memory that `fetch` is in */
}

/* All of `mask`: the last one by whoever waits, the others on fibers of their own. */
static int fetch_all(struct fiber *self, struct gathering *g, uint32_t mask)
{
    struct fetch *fetches = arena_array(&g->memory, FACT_COUNT, sizeof *fetches);
    if (!fetches)
        return -ENOMEM;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++) {
        if (!(mask & FACT_BIT(fact)))
            continue;
        mask &= ~FACT_BIT(fact);
        if (!mask) {
            fetch_one(self, g, (enum fact)fact);
            break;
        }
        fetches[fact] = (struct fetch){.gathering = g, .fact = (enum fact)fact};
        fetches[fact].fiber = fiber_start(fiber_loop(self), fact_name((enum fact)fact), fetch_main, &fetches[fact]);
        if (!fetches[fact].fiber) {
            fetch_one(self, g, (enum fact)fact); /* slower, that is all */
            continue;
        }
        g->references++;
        g->under_way++;
    }
    int error = 0;
    while (g->under_way && !error)
        error = condition_wait(self, &g->changed, CLOCK_NEVER); /* each has a deadline of its own */
    for (unsigned fact = 0; error && fact < FACT_COUNT; fact++)
        if (fetches[fact].fiber)
            fiber_cancel(fetches[fact].fiber);
    return error;
}

/* ---- To and fro ---- */

static bool copy_path(struct gathering *g, const struct mail_path *path)
{
    g->sender = *path;
    g->sender.text = arena_copy(&g->memory, path->text);
    g->sender.local_part = arena_copy(&g->memory, path->local_part);
    g->sender.domain = arena_copy(&g->memory, path->domain);
    return g->sender.text.data && g->sender.local_part.data && g->sender.domain.data;
}

static bool write_ip(struct gathering *g)
{
    struct buf text;
    buf_init(&text, IP_ADDRESS_TEXT_MAX);
    ip_address_write(&g->ip, &text);
    g->ip_text = arena_copy(&g->memory, buf_span(&text));
    bool good = !buf_failed(&text) && g->ip_text.data;
    buf_release(&text);
    return good;
}

static bool write_blob(struct gathering *g, const struct attempt *a, const struct recipient_facts *r)
{
    struct buf blob;
    buf_init(&blob, FACTS_SIZE_MAX);
    facts_write(&a->facts, r, true, &blob);
    g->blob = arena_copy(&g->memory, buf_span(&blob));
    bool good = !buf_failed(&blob) && g->blob.data;
    buf_release(&blob);
    return good;
}

static struct gathering *gathering_new(const struct attempt *a, const struct recipient_facts *r, uint32_t mask,
                                       unsigned greylist_seconds)
{
    struct gathering *g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->references = 1;
    g->settings = settings_ref(a->settings);
    arena_init(&g->memory, MEMORY_MAX);
    condition_init(&g->changed);
    g->sources = *a->sources;
    g->ip = a->facts.ip;
    g->greylist_seconds = greylist_seconds;
    g->has_approved_names = a->has_approved_names;
    g->has_denied_names = a->has_denied_names;
    for (size_t i = 0; a->session && i + 1 < sizeof g->session && a->session[i]; i++)
        g->session[i] = a->session[i];
    g->reverse_path = arena_copy(&g->memory, a->facts.reverse_path);
    g->recipient = arena_copy(&g->memory, r->recipient);
    if (g->reverse_path.data && g->recipient.data && write_ip(g) && (!a->sender || copy_path(g, a->sender)) &&
        (!(mask & SCRIPTS) || write_blob(g, a, r)))
        return g;
    unref(g);
    return NULL;
}

/* Moves a text over; false where the arena has no room. */
static bool take(struct arena *arena, struct span *text)
{
    if (text->size == 0)
        *text = (struct span){0};
    else
        *text = arena_copy(arena, *text);
    return text->size == 0 || text->data;
}

static bool take_hits(struct arena *arena, struct list_hit *hits, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!take(arena, &hits[i].entry))
            return false;
    return true;
}

static bool take_dns_lists(struct arena *arena, const struct facts *from, struct facts *to)
{
    to->dns_lists = arena_array(arena, from->dns_list_count, sizeof *to->dns_lists);
    to->dns_list_count = to->dns_lists ? from->dns_list_count : 0;
    for (size_t i = 0; i < to->dns_list_count; i++) {
        to->dns_lists[i] = from->dns_lists[i];
        if (!take(arena, &to->dns_lists[i].zone) || !take(arena, &to->dns_lists[i].reason))
            return false;
    }
    return to->dns_lists != NULL;
}

/* Copies what was found of one fact to where it stays. False where there is no room for it: it may then be half there.
 */
static bool copy_fact(struct attempt *a, struct recipient_facts *r, const struct gathering *g, enum fact fact)
{
    struct facts *to = &a->facts;
    struct arena *connection = a->connection, *transaction = a->transaction;
    switch (fact) {
    case FACT_PTR:
        to->ptr = g->facts.ptr;
        return take(connection, &to->ptr.name) && take(connection, &to->ptr.claimed) &&
               take_hits(connection, to->ptr.hits, to->ptr.hit_count);
    case FACT_DNS_LISTS:
        return take_dns_lists(connection, &g->facts, to);
    case FACT_RETURN_PATH:
        to->return_path = g->facts.return_path;
        return true;
    case FACT_GREYLIST:
        r->greylist_wait = g->r.greylist_wait;
        return true;
    case FACT_WHOIS:
        to->whois = g->facts.whois;
        return take(connection, &to->whois.text) && take(connection, &to->whois.country) &&
               take(connection, &to->whois.registry) && take(connection, &to->whois.network) &&
               take(connection, &to->whois.as_);
    case FACT_SCRIPT:
        r->script = g->r.script;
        return take(transaction, &r->script.text);
    case FACT_SCRIPT_CONTENT:
        r->script_content = g->r.script_content;
        return take(transaction, &r->script_content.text);
    case FACT_CALL_BACK:
        to->call_back = g->facts.call_back;
        return take(transaction, &to->call_back.reply);
    case FACT_REVERSE_CALL_BACK:
        to->reverse_call_back = g->facts.reverse_call_back;
        return take(transaction, &to->reverse_call_back.reply);
    default:
        return false;
    }
}

/* False where there is no room for it, and then nothing of it is left: what was copied so far stands beside spans into
 * memory that is about to go. */
static bool take_over(struct attempt *a, struct recipient_facts *r, const struct gathering *g, enum fact fact)
{
    if (copy_fact(a, r, g, fact))
        return true;
    switch (fact) {
    case FACT_PTR:
        memset(&a->facts.ptr, 0, sizeof a->facts.ptr);
        break;
    case FACT_DNS_LISTS:
        a->facts.dns_list_count = 0;
        break;
    case FACT_WHOIS:
        a->facts.whois = (struct whois_fact){.text = {0}};
        break;
    case FACT_SCRIPT:
        r->script = (struct script_fact){SCRIPT_NOTHING, {0}};
        break;
    case FACT_SCRIPT_CONTENT:
        r->script_content = (struct script_fact){SCRIPT_NOTHING, {0}};
        break;
    case FACT_CALL_BACK:
        a->facts.call_back.reply = (struct span){0};
        break;
    case FACT_REVERSE_CALL_BACK:
        a->facts.reverse_call_back.reply = (struct span){0};
        break;
    default:
        break;
    }
    return false;
}

static int fetch_mask(struct fiber *self, struct attempt *a, struct recipient_facts *r, uint32_t mask,
                      unsigned greylist_seconds)
{
    if (!mask)
        return 0;
    struct gathering *g = gathering_new(a, r, mask, greylist_seconds);
    int error = g ? fetch_all(self, g, mask) : -ENOMEM;
    if (!error && fiber_is_canceled(self))
        error = -ECANCELED;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++) {
        if (!(mask & FACT_BIT(fact)))
            continue;
        enum fact_state state = error ? FACT_UNKNOWN : fact_state_get(&g->facts, &g->r, (enum fact)fact);
        if (state != FACT_UNKNOWN && !take_over(a, r, g, (enum fact)fact))
            state = FACT_UNKNOWN;
        fact_state_set(&a->facts, r, (enum fact)fact, state);
    }
    if (g)
        unref(g);
    return error == -ECANCELED ? error : 0;
}

/* ---- What needs no waiting ---- */

/* Of fetched mail: the first of the provider's own hops that is listed. */
static void look_at_hops(struct attempt *a)
{
    a->facts.hop_list.result = OWN_LIST_NOTHING;
    for (size_t i = 0; i < a->facts.hop_count; i++) {
        struct blacklist_hit hit;
        blacklist_find_address(a->blacklist, a->facts.hops[i].bytes, &hit);
        if (hit.verdict != BLACKLIST_LISTED)
            continue;
        a->facts.hop_list.result = OWN_LIST_LISTED;
        a->facts.hop_list.hop = a->facts.hops[i];
        a->facts.hop_list.reason = arena_copy(a->connection, span_head(hit.reason, TEXT_MAX));
        return;
    }
}

static void look_at_own_list(struct attempt *a)
{
    static const enum own_list_fact results[] = {[BLACKLIST_NOTHING] = OWN_LIST_NOTHING,
                                                 [BLACKLIST_LISTED] = OWN_LIST_LISTED,
                                                 [BLACKLIST_EXCEPTED] = OWN_LIST_EXCEPTED};
    struct blacklist_hit by_address, by_name = {.verdict = BLACKLIST_NOTHING};
    blacklist_find_address(a->blacklist, a->facts.ip.bytes, &by_address);
    if (a->facts.ptr.name.size)
        blacklist_find_name(a->blacklist, a->facts.ptr.name, &by_name);
    const struct blacklist_hit *hit = blacklist_decide(&by_address, &by_name);
    a->facts.own_list.result = results[hit->verdict];
    if (hit == &by_name && hit->verdict == BLACKLIST_LISTED)
        a->facts.own_list.result = OWN_LIST_NAME_LISTED;
    struct span reason = {0};
    if (hit->verdict != BLACKLIST_NOTHING)
        reason = arena_copy(a->connection, span_head(hit->reason, TEXT_MAX));
    a->facts.own_list.reason = reason;
    a->facts.state[FACT_OWN_LIST] = FACT_KNOWN;
}

static void recall_dns_lists(struct attempt *a)
{
    if (dns_lists_recall(a->sources->dns_lists, &a->facts.ip, a->connection, &a->facts.dns_lists,
                         &a->facts.dns_list_count))
        a->facts.state[FACT_DNS_LISTS] = FACT_KNOWN;
}

static void recall_return_path(struct attempt *a)
{
    a->facts.state[FACT_RETURN_PATH] =
        a->sender ? return_path_recall(a->sources->return_paths, a->sender, &a->facts.return_path) : FACT_UNKNOWN;
}

static uint32_t still_needed(const struct attempt *a, const struct recipient_facts *r, uint32_t needs)
{
    uint32_t mask = 0;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if (needs & FACT_BIT(fact) && fact_state_get(&a->facts, r, (enum fact)fact) == FACT_NOT_ASKED)
            mask |= FACT_BIT(fact);
    return mask;
}

int facts_gather(struct fiber *self, struct attempt *a, struct recipient_facts *r, uint32_t needs,
                 unsigned greylist_seconds)
{
    uint32_t mask = still_needed(a, r, needs);
    bool own_list = mask & FACT_BIT(FACT_OWN_LIST);
    /* The client's name matters to our own list only where that has names. */
    if (own_list && blacklist_name_count(a->blacklist))
        mask |= still_needed(a, r, FACT_BIT(FACT_PTR));
    if (mask & FACT_BIT(FACT_DNS_LISTS))
        recall_dns_lists(a);
    if (mask & FACT_BIT(FACT_RETURN_PATH))
        recall_return_path(a);
    if (mask & FACT_BIT(FACT_CONTENT))
        a->facts.state[FACT_CONTENT] = FACT_UNKNOWN;
    mask = still_needed(a, r, mask & ~FACT_BIT(FACT_OWN_LIST));
    int error = fetch_mask(self, a, r, mask & ~SCRIPTS, greylist_seconds);
    /* The process may have got a new list while the DNS was asked: it is looked up only now. */
    if (own_list && !error) {
        look_at_own_list(a);
        look_at_hops(a);
    }
    return error ? error : fetch_mask(self, a, r, mask & SCRIPTS, 0);
}

void facts_end_transaction(struct facts *facts)
{
    static const enum fact of_transaction[] = {FACT_RETURN_PATH, FACT_CALL_BACK, FACT_REVERSE_CALL_BACK, FACT_CONTENT};
    for (size_t i = 0; i < sizeof of_transaction / sizeof *of_transaction; i++)
        facts->state[of_transaction[i]] = FACT_NOT_ASKED;
    facts->reverse_path = facts->sender_account = (struct span){0};
    facts->declared_size = 0;
    memset(&facts->call_back, 0, sizeof facts->call_back);
    memset(&facts->reverse_call_back, 0, sizeof facts->reverse_call_back);
    facts->content = (struct content_fact){0};
}
