#include "intake/route_cache.h"

#include "base/clock.h"
#include "base/map.h"

#include <stdlib.h>

#define CACHE_MAX 4096
#define CACHE_LIFE NANOSECONDS
#define CACHE_ROOM \
    (256u << 20)             /* only a mailbox with this much room left: then the size of a message decides nothing */
#define RULES_MAX_BYTES 4096 /* of a door that is remembered */

struct cached_route {
    struct intake_target target; /* a mailbox: no spans */
    uint64_t until;
    bool has_door;
    uint64_t door_account;
    char *texts; /* the door's address, then its rules */
    size_t address_size, rules_size;
};

/* Full: it is emptied whole. A second's worth of routes is quickly asked again. */
struct intake_route_cache {
    struct map map;
    struct cached_route entries[CACHE_MAX];
    bool has_approved_names, has_denied_names;
};

struct intake_route_cache *intake_route_cache_new(void)
{
    struct intake_route_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

static void empty_routes(struct intake_route_cache *cache)
{
    for (size_t i = 0; i < cache->map.count; i++) {
        free(cache->entries[i].texts);
        cache->entries[i] = (struct cached_route){0};
    }
    map_release(&cache->map);
    map_init(&cache->map);
}

void intake_route_cache_free(struct intake_route_cache *cache)
{
    if (!cache)
        return;
    empty_routes(cache);
    map_release(&cache->map);
    free(cache);
}

static bool is_plain(const struct intake_route *route)
{
    return route->kind == INTAKE_ROUTE_LOCAL && route->count == 1 && route->targets[0].kind == INTAKE_TARGET_MAILBOX &&
           route->targets[0].quota_left >= CACHE_ROOM;
}

/* False without memory: the door is asked for then. */
static bool keep_door(struct cached_route *entry, const struct intake_door *door)
{
    entry->texts = malloc(door->address.size + door->rules.size + 1);
    if (!entry->texts)
        return false;
    if (door->address.size)
        memcpy(entry->texts, door->address.data, door->address.size);
    if (door->rules.size)
        memcpy(entry->texts + door->address.size, door->rules.data, door->rules.size);
    entry->address_size = door->address.size;
    entry->rules_size = door->rules.size;
    entry->door_account = door->account_id;
    return true;
}

void intake_route_remember(struct intake_route_cache *cache, struct span key, const struct intake_question *question,
                           const struct intake_route *route, bool by_address_only)
{
    if (!cache)
        return;
    if (question->judged) {
        cache->has_approved_names = route->has_approved_names;
        cache->has_denied_names = route->has_denied_names;
    }
    if (!is_plain(route))
        return;
    struct cached_route *entry = map_get(&cache->map, key);
    if (!entry && cache->map.count == CACHE_MAX)
        empty_routes(cache);
    if (!entry)
        entry = &cache->entries[cache->map.count];
    free(entry->texts);
    *entry = (struct cached_route){.target = route->targets[0], .until = clock_monotonic() + CACHE_LIFE};
    const struct intake_door *door = route->targets[0].door ? &route->doors[route->targets[0].door - 1] : NULL;
    if (by_address_only && door && !route->sender.is_protected && question->passcode.size == 0 &&
        door->rules.size <= RULES_MAX_BYTES)
        entry->has_door = keep_door(entry, door);
    if (map_put(&cache->map, key, entry)) {
        free(entry->texts);
        *entry = (struct cached_route){0};
    }
}

static struct intake_door *recall_door(struct arena *arena, const struct cached_route *entry)
{
    struct intake_door *door = arena_alloc(arena, sizeof *door);
    struct span texts = arena_copy(arena, span_from(entry->texts, entry->address_size + entry->rules_size));
    if (!door || !texts.data)
        return NULL;
    *door = (struct intake_door){.account_id = entry->door_account,
                                 .address = span_head(texts, entry->address_size),
                                 .rules = span_skip(texts, entry->address_size)};
    return door;
}

bool intake_route_recall(struct intake_route_cache *cache, struct arena *arena, struct span key,
                         const struct intake_question *question, struct intake_route *route)
{
    const struct cached_route *entry = cache ? map_get(&cache->map, key) : NULL;
    if (!entry || entry->until < clock_monotonic())
        return false;
    if (question->judged && (!entry->has_door || question->passcode.size))
        return false;
    struct intake_target *target = arena_alloc(arena, sizeof *target);
    struct intake_door *door = question->judged ? recall_door(arena, entry) : NULL;
    if (!target || (question->judged && !door))
        return false;
    *target = entry->target;
    target->door = door != NULL;
    *route = (struct intake_route){.kind = INTAKE_ROUTE_LOCAL,
                                   .targets = target,
                                   .count = 1,
                                   .doors = door,
                                   .door_count = door != NULL,
                                   .has_approved_names = cache->has_approved_names,
                                   .has_denied_names = cache->has_denied_names};
    return true;
}
