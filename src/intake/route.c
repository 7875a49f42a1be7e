#include "intake/route.h"

#include "base/clock.h"
#include "base/map.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define CACHE_MAX 4096
#define CACHE_LIFE NANOSECONDS
#define CACHE_ROOM \
    (256u << 20) /* only a mailbox with this much room left: then the size of a message decides nothing */
#define ADDRESS_TEXT_MAX 1024

struct cached_route {
    struct intake_target target; /* a mailbox: no spans */
    uint64_t until;
};

/* Full: it is emptied whole. A second's worth of routes is quickly asked again. */
struct intake_route_cache {
    struct map map;
    struct cached_route entries[CACHE_MAX];
};

struct intake_route_cache *intake_route_cache_new(void)
{
    struct intake_route_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

void intake_route_cache_free(struct intake_route_cache *cache)
{
    if (!cache)
        return;
    map_release(&cache->map);
    free(cache);
}

static void remember(struct intake_route_cache *cache, struct span key, const struct intake_route *route)
{
    if (!cache || route->kind != INTAKE_ROUTE_LOCAL || route->count != 1 ||
        route->targets[0].kind != INTAKE_TARGET_MAILBOX || route->targets[0].quota_left < CACHE_ROOM)
        return;
    struct cached_route *entry = map_get(&cache->map, key);
    if (!entry && cache->map.count == CACHE_MAX) {
        map_release(&cache->map);
        map_init(&cache->map);
    }
    if (!entry)
        entry = &cache->entries[cache->map.count];
    *entry = (struct cached_route){route->targets[0], clock_monotonic() + CACHE_LIFE};
    if (map_put(&cache->map, key, entry))
        entry->until = 0;
}

static bool recall(const struct intake_route_cache *cache, struct arena *arena, struct span key,
                   struct intake_route *route)
{
    struct cached_route *entry = cache ? map_get(&cache->map, key) : NULL;
    if (!entry || entry->until < clock_monotonic())
        return false;
    struct intake_target *target = arena_alloc(arena, sizeof *target);
    if (!target)
        return false;
    *target = entry->target;
    *route = (struct intake_route){INTAKE_ROUTE_LOCAL, target, 1};
    return true;
}

/* The forms by which the relays of the 1990s were talked into relaying. */
static bool names_another_host(struct span local_part)
{
    return span_find(local_part, '%') < local_part.size || span_find(local_part, '!') < local_part.size ||
           span_find(local_part, '@') < local_part.size;
}

/* ---- The reader's answer ---- */

static const enum intake_route_kind kinds[] = {
    [STORE_READ__ROUTE__ROUTE_LOCAL] = INTAKE_ROUTE_LOCAL,
    [STORE_READ__ROUTE__ROUTE_NO_USER] = INTAKE_ROUTE_NO_USER,
    [STORE_READ__ROUTE__ROUTE_NOT_OURS] = INTAKE_ROUTE_NOT_OURS,
    [STORE_READ__ROUTE__ROUTE_OVER_QUOTA] = INTAKE_ROUTE_OVER_QUOTA,
    [STORE_READ__ROUTE__ROUTE_DISABLED] = INTAKE_ROUTE_DISABLED,
    [STORE_READ__ROUTE__ROUTE_LIST_REFUSES] = INTAKE_ROUTE_LIST_REFUSES,
};

_Static_assert((int)INTAKE_TARGET_MAILBOX == STORE_READ__TARGET_KIND__TARGET_MAILBOX &&
                   (int)INTAKE_TARGET_REMOTE == STORE_READ__TARGET_KIND__TARGET_REMOTE &&
                   (int)INTAKE_TARGET_LIST == STORE_READ__TARGET_KIND__TARGET_LIST &&
                   (int)INTAKE_TARGET_LIST_BOUNCE == STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE,
               "the same order as in the contract");

/* A target that lacks what its kind needs: the writer would call it gone, and the sender would be told so for ever. */
static bool is_whole(const StoreRead__Target *t)
{
    switch (t->kind) {
    case STORE_READ__TARGET_KIND__TARGET_MAILBOX:
        return t->account_id && t->mailbox_id;
    case STORE_READ__TARGET_KIND__TARGET_REMOTE: {
        size_t at = span_find_last(binary_span(t->address), '@');
        return at > 0 && at + 1 < t->address.len && t->address.len < ADDRESS_TEXT_MAX && t->next_hop.len <= 270 &&
               t->forwarder.len <= DOMAIN_MAX;
    }
    case STORE_READ__TARGET_KIND__TARGET_LIST:
        return t->list_id != 0;
    case STORE_READ__TARGET_KIND__TARGET_LIST_BOUNCE:
        return t->list_id;
    default:
        return false;
    }
}

static int read_target(struct arena *arena, const StoreRead__Target *from, struct intake_target *to)
{
    if (!is_whole(from))
        return -EPROTO;
    *to = (struct intake_target){.kind = (enum intake_target_kind)from->kind};
    switch (to->kind) {
    case INTAKE_TARGET_MAILBOX:
        to->account_id = from->account_id;
        to->mailbox_id = from->mailbox_id;
        to->quota_left = from->quota_left;
        return 0;
    case INTAKE_TARGET_REMOTE:
        to->address = arena_copy(arena, binary_span(from->address));
        to->next_hop = arena_copy(arena, binary_span(from->next_hop));
        to->forwarder = arena_copy(arena, binary_span(from->forwarder));
        to->verify = from->verify;
        return to->address.data && to->next_hop.data && to->forwarder.data ? 0 : -ENOMEM;
    case INTAKE_TARGET_LIST_BOUNCE:
        to->list_member = from->list_member;
        to->list_id = from->list_id;
        return 0;
    case INTAKE_TARGET_LIST:
        to->list_id = from->list_id;
        return 0;
    }
    return -EPROTO;
}

static int read_reply(struct arena *arena, const StoreRead__ResolveReply *reply, struct intake_route *route)
{
    unsigned kind = (unsigned)reply->route;
    if (kind == STORE_READ__ROUTE__ROUTE_UNSET || kind >= sizeof kinds / sizeof *kinds ||
        reply->n_targets > INTAKE_ROUTE_TARGETS_MAX)
        return -EPROTO;
    if (reply->intake_paused) {
        *route = (struct intake_route){.kind = INTAKE_ROUTE_PAUSED};
        return 0;
    }
    struct intake_target *targets = arena_array(arena, reply->n_targets, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < reply->n_targets; i++) {
        int error = read_target(arena, reply->targets[i], &targets[i]);
        if (error)
            return error;
    }
    *route = (struct intake_route){kinds[kind], targets, reply->n_targets};
    return route->kind == INTAKE_ROUTE_LOCAL && route->count == 0 ? -EPROTO : 0;
}

/* ---- Asking ---- */

/* Is it nobody's here, or sent on under the very name that was asked for, to a server that knows the names and trusts
 * us: we would bring it what it refuses from strangers. A local name with such a character that does exist is none. */
static bool is_relay_form(const struct intake_route *route, struct span local_part)
{
    if (!names_another_host(local_part))
        return false;
    for (size_t i = 0; i < route->count; i++) {
        struct span address = route->targets[i].address;
        if (span_equal_nocase(span_head(address, span_find_last(address, '@')), local_part))
            return true;
    }
    return route->kind == INTAKE_ROUTE_NO_USER;
}

static int ask(struct fiber *self, const struct intake *intake, struct arena *arena,
               const struct intake_question *question, struct span domain, uint64_t deadline,
               struct intake_route *route)
{
    StoreRead__ResolveRequest request = STORE_READ__RESOLVE_REQUEST__INIT;
    request.local_part = binary_from_span(question->path->local_part);
    request.domain = binary_from_span(domain);
    request.reverse_path = binary_from_span(question->reverse_path);
    request.authenticated = question->authenticated;
    struct answer answer;
    struct channel *reader;
    int error;
    /* A question may be asked twice. */
    do {
        reader = intake_channel(self, intake, ROLE_READER);
        error = channel_call(self, reader, STORE_READ_RESOLVE, &request.base, (struct span){0}, -1, deadline, &answer);
    } while (error == -EPIPE && reader && clock_monotonic() < intake->patient_until);
    if (error)
        return error;
    error = read_reply(arena, (const StoreRead__ResolveReply *)answer.message, route);
    answer_release(&answer);
    if (!error && is_relay_form(route, question->path->local_part))
        *route = (struct intake_route){.kind = INTAKE_ROUTE_RELAY_FORM};
    return error;
}

/* An address of this machine: what is sent there would come back to us, or reach what listens for this machine only. */
static bool is_own_address(const struct settings *settings, const struct ip_address *address)
{
    static const struct ip_address none4 = {.bytes = {[10] = 255, [11] = 255}}, none6;
    if (ip_address_is_loopback(address) || ip_address_equal(address, &none4) || ip_address_equal(address, &none6))
        return true;
    for (size_t i = 0; i < settings->listener_count; i++) {
        struct ip_address own;
        if (ip_address_parse(span_text(settings->listeners[i].address), &own) && ip_address_equal(address, &own))
            return true;
    }
    return false;
}

/* The postmaster is reached at our address, too, when our name is in no DNS: RFC 5321 section 4.5.1. */
static bool is_own_postmaster(const struct settings *settings, const struct mail_path *path)
{
    return span_is_nocase(path->local_part, "postmaster") && is_own_address(settings, &path->literal);
}

int intake_route_find(struct fiber *self, const struct intake *intake, struct arena *arena,
                      const struct intake_question *question, uint64_t deadline, struct intake_route *route)
{
    const struct mail_path *path = question->path;
    struct span domain = {0}; /* empty for <Postmaster> alone: RFC 5321 section 4.5.1 */
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NOT_OURS};
    if (path->is_literal && !is_own_postmaster(intake->settings, path))
        return 0;
    if (path->domain.size && !path->is_literal && domain_to_ascii(arena, path->domain, &domain) != NULL)
        return 0; /* a name that can't be in the DNS is nobody's */
    struct buf key;
    buf_init(&key, ADDRESS_TEXT_MAX);
    buf_add_span(&key, path->local_part);
    buf_add_char(&key, '@');
    buf_add_span(&key, domain);
    int error = buf_failed(&key) ? -ENOMEM : 0;
    if (!error && !recall(intake->routes, arena, buf_span(&key), route)) {
        error = ask(self, intake, arena, question, domain, deadline, route);
        if (!error)
            remember(intake->routes, buf_span(&key), route);
    }
    buf_release(&key);
    return error;
}

int intake_route_relay(const struct settings *settings, struct arena *arena, const struct mail_path *path,
                       bool literals, struct intake_route *route)
{
    struct span domain;
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NOT_OURS};
    if (path->is_literal && (!literals || is_own_address(settings, &path->literal)))
        return 0;
    if (path->domain.size == 0 || domain_to_ascii(arena, path->domain, &domain) != NULL)
        return 0;
    struct buf text;
    buf_init(&text, ADDRESS_TEXT_MAX);
    mail_path_write(path->local_part, domain, &text);
    struct intake_target *target = arena_alloc(arena, sizeof *target);
    struct span address = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !target || !address.data;
    buf_release(&text);
    if (failed)
        return -ENOMEM;
    *target = (struct intake_target){.kind = INTAKE_TARGET_REMOTE, .address = address};
    *route = (struct intake_route){INTAKE_ROUTE_LOCAL, target, 1};
    return 0;
}
