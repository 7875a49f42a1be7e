#include "facts/return_path.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "dns/lookup.h"
#include "intake/route.h"

#include <errno.h>
#include <stdlib.h>

#define CACHE_MAX 4096
#define CACHE_LIFE (300 * NANOSECONDS)
#define SCRATCH_MEMORY (512u << 10)

/* Full: it is emptied whole. */
struct return_path_cache {
    struct map map;
    uint64_t until[CACHE_MAX];
};

struct return_path_cache *return_path_cache_new(void)
{
    struct return_path_cache *cache = calloc(1, sizeof *cache);
    if (cache)
        map_init(&cache->map);
    return cache;
}

void return_path_cache_free(struct return_path_cache *cache)
{
    if (!cache)
        return;
    map_release(&cache->map);
    free(cache);
}

static bool is_known(const struct return_path_cache *cache, struct span domain)
{
    const uint64_t *until = cache ? map_get(&cache->map, domain) : NULL;
    return until && *until >= clock_monotonic();
}

/* A cache that can't grow knows less, that is all. */
static void remember(struct return_path_cache *cache, struct span domain)
{
    if (!cache)
        return;
    uint64_t *until = map_get(&cache->map, domain);
    if (!until && cache->map.count == CACHE_MAX) {
        map_release(&cache->map);
        map_init(&cache->map);
    }
    if (!until)
        until = &cache->until[cache->map.count];
    *until = map_put(&cache->map, domain, until) ? 0 : clock_monotonic() + CACHE_LIFE;
}

enum fact_state return_path_recall(const struct return_path_cache *cache, const struct mail_path *path,
                                   enum return_path_fact *found)
{
    struct arena scratch;
    struct span domain;
    enum fact_state state = FACT_KNOWN;
    *found = RETURN_PATH_TAKES_MAIL;
    if (path->is_null || path->is_literal)
        return FACT_KNOWN;
    arena_init(&scratch, SCRATCH_MEMORY);
    bool has_form = domain_to_ascii(&scratch, path->domain, &domain) == NULL;
    if (!has_form && !scratch.is_starved)
        *found = RETURN_PATH_NO_DOMAIN; /* it can't be in the DNS */
    else if (!has_form || !is_known(cache, domain))
        state = FACT_NOT_ASKED;
    arena_release(&scratch);
    return state;
}

/* Is the domain one of ours? Then what leads to it is known here, and the DNS is not asked. */
static int is_ours(struct fiber *self, const struct intake *intake, const struct mail_path *path, struct arena *scratch,
                   uint64_t deadline, bool *ours)
{
    const struct intake_question question = {.path = path};
    struct intake_route route;
    int error = intake_route_find(self, intake, scratch, &question, deadline, &route);
    *ours = !error && route.kind != INTAKE_ROUTE_NOT_OURS && route.kind != INTAKE_ROUTE_PAUSED;
    return error;
}

/* Nothing is known: a domain of ours need not be in the DNS, and what does not answer now may do so later. */
static enum fact_state note_trouble(const char *session, struct span domain, struct span problem)
{
    log_write(LOG_PROBLEM, "facts", session, "return-path not checked domain=%s problem=%s", log_quote(domain),
              log_quote(problem));
    return FACT_UNKNOWN;
}

static enum fact_state ask_dns(struct fiber *self, const struct intake *intake, struct span domain, const char *session,
                               uint64_t deadline, enum return_path_fact *found)
{
    static const enum return_path_fact facts[] = {[DNS_MAIL_YES] = RETURN_PATH_TAKES_MAIL,
                                                  [DNS_MAIL_NO_DOMAIN] = RETURN_PATH_NO_DOMAIN,
                                                  [DNS_MAIL_NULL_MX] = RETURN_PATH_NULL_MX};
    struct buf problem;
    buf_init(&problem, 512);
    enum dns_mail_domain result = dns_can_receive_mail(self, intake->peers, domain, deadline, &problem);
    enum fact_state state = result == DNS_MAIL_TROUBLE ? note_trouble(session, domain, buf_span(&problem)) : FACT_KNOWN;
    if (state == FACT_KNOWN)
        *found = facts[result];
    buf_release(&problem);
    return state;
}

enum fact_state return_path_ask(struct fiber *self, struct return_path_cache *cache, const struct intake *intake,
                                const struct mail_path *path, const char *session, uint64_t deadline,
                                enum return_path_fact *found)
{
    struct arena scratch;
    struct span domain;
    bool ours;
    arena_init(&scratch, SCRATCH_MEMORY);
    enum fact_state state = FACT_KNOWN;
    *found = RETURN_PATH_TAKES_MAIL;
    bool has_form = domain_to_ascii(&scratch, path->domain, &domain) == NULL;
    if (!has_form && scratch.is_starved) {
        state = note_trouble(session, path->domain, span_text(strerror(ENOMEM)));
    } else if (!has_form) {
        *found = RETURN_PATH_NO_DOMAIN;
    } else {
        int error = is_ours(self, intake, path, &scratch, deadline, &ours);
        if (error)
            state = note_trouble(session, domain, span_text(strerror(-error)));
        else if (!ours)
            state = ask_dns(self, intake, domain, session, deadline, found);
        if (state == FACT_KNOWN && *found == RETURN_PATH_TAKES_MAIL)
            remember(cache, domain);
    }
    arena_release(&scratch);
    return state;
}
