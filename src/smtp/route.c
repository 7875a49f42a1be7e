#include "smtp/route.h"

#include "base/clock.h"
#include "base/map.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "smtp/session_internal.h"
#include "store_read.pb-c.h"

#include <errno.h>
#include <stdlib.h>

#define CACHE_MAX 4096
#define CACHE_LIFE NANOSECONDS
#define CACHE_ROOM \
    (256u << 20) /* only a mailbox with this much room left: then the size of a message decides nothing */
#define ASK_SECONDS 30

struct cached_route {
    struct smtp_route_target target;
    uint64_t until;
};

/* Full: it is emptied whole. A second's worth of routes is quickly asked again. */
struct smtp_route_cache {
    struct map map;
    struct cached_route entries[CACHE_MAX];
};

struct smtp_route_cache *smtp_route_cache_new(void)
{
    struct smtp_route_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

void smtp_route_cache_free(struct smtp_route_cache *cache)
{
    if (!cache)
        return;
    map_release(&cache->map);
    free(cache);
}

static void remember(struct smtp_route_cache *cache, struct span key, const struct smtp_route *route)
{
    if (!cache || route->kind != SMTP_ROUTE_LOCAL || route->count != 1 || route->targets[0].quota_left < CACHE_ROOM)
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

static bool recall(const struct smtp_session *s, struct arena *arena, struct span key, struct smtp_route *route)
{
    struct cached_route *entry = s->context->routes ? map_get(&s->context->routes->map, key) : NULL;
    if (!entry || entry->until < clock_monotonic())
        return false;
    struct smtp_route_target *target = arena_alloc(arena, sizeof *target);
    if (!target)
        return false;
    *target = entry->target;
    *route = (struct smtp_route){SMTP_ROUTE_LOCAL, target, 1};
    return true;
}

/* The forms by which the relays of the 1990s were talked into relaying. A local name with such a character that does
 * exist is no relay form. */
static bool names_another_host(struct span local_part)
{
    return span_find(local_part, '%') < local_part.size || span_find(local_part, '!') < local_part.size ||
           span_find(local_part, '@') < local_part.size;
}

static const enum smtp_route_kind kinds[] = {
    [STORE_READ__ROUTE__ROUTE_LOCAL] = SMTP_ROUTE_LOCAL,
    [STORE_READ__ROUTE__ROUTE_NO_USER] = SMTP_ROUTE_NO_USER,
    [STORE_READ__ROUTE__ROUTE_NOT_OURS] = SMTP_ROUTE_NOT_OURS,
    [STORE_READ__ROUTE__ROUTE_OVER_QUOTA] = SMTP_ROUTE_OVER_QUOTA,
    [STORE_READ__ROUTE__ROUTE_DISABLED] = SMTP_ROUTE_DISABLED,
};

static int read_reply(struct arena *arena, const StoreRead__ResolveReply *reply, struct smtp_route *route)
{
    unsigned kind = (unsigned)reply->route;
    if (kind == STORE_READ__ROUTE__ROUTE_UNSET || kind >= sizeof kinds / sizeof *kinds ||
        reply->n_targets > SMTP_ROUTE_TARGETS_MAX)
        return -EPROTO;
    struct smtp_route_target *targets = arena_array(arena, reply->n_targets, sizeof *targets);
    if (!targets)
        return -ENOMEM;
    for (size_t i = 0; i < reply->n_targets; i++) {
        if (!reply->targets[i]->account_id || !reply->targets[i]->mailbox_id)
            return -EPROTO; /* the writer would call it gone, and the sender would be told so for ever */
        targets[i] = (struct smtp_route_target){reply->targets[i]->account_id, reply->targets[i]->mailbox_id,
                                                reply->targets[i]->quota_left};
    }
    *route = (struct smtp_route){kinds[kind], targets, reply->n_targets};
    return route->kind == SMTP_ROUTE_LOCAL && route->count == 0 ? -EPROTO : 0;
}

int smtp_route_find(struct fiber *self, struct smtp_session *s, struct arena *arena, const struct mail_path *path,
                    struct smtp_route *route)
{
    struct span domain = {0}; /* empty for <Postmaster> alone: RFC 5321 section 4.5.1 */
    *route = (struct smtp_route){.kind = SMTP_ROUTE_NOT_OURS};
    if (path->is_literal)
        return 0;
    if (path->domain.size && domain_to_ascii(arena, path->domain, &domain) != NULL)
        return 0; /* a name that can't be in the DNS is nobody's */
    struct buf key;
    buf_init(&key, 1024);
    buf_add_span(&key, path->local_part);
    buf_add_char(&key, '@');
    buf_add_span(&key, domain);
    struct answer answer = {.fd = -1};
    int error = buf_failed(&key) ? -ENOMEM : 0;
    if (error || recall(s, arena, buf_span(&key), route))
        goto out;
    StoreRead__ResolveRequest request = STORE_READ__RESOLVE_REQUEST__INIT;
    request.local_part = binary_from_span(path->local_part);
    request.domain = binary_from_span(domain);
    error = channel_call(self, peers_get(s->context->peers, ROLE_READER), STORE_READ_RESOLVE, &request.base,
                         (struct span){0}, -1, smtp_deadline(s, ASK_SECONDS), &answer);
    if (error)
        goto out;
    error = read_reply(arena, (const StoreRead__ResolveReply *)answer.message, route);
    if (!error && route->kind == SMTP_ROUTE_NO_USER && names_another_host(path->local_part))
        route->kind = SMTP_ROUTE_RELAY_FORM;
    if (!error)
        remember(s->context->routes, buf_span(&key), route);
out:
    answer_release(&answer);
    buf_release(&key);
    return error;
}
