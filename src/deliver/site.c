/* Where mail goes: how many connections at a time, and for how long none at all. */
#include "base/clock.h"
#include "deliver/internal.h"

#include <errno.h>
#include <stdlib.h>

#define WINDOW_FIRST 5
#define WINDOW_UNGREETED 2
#define CLOSED_MAX (15 * 60 * NANOSECONDS)
#define ROUTE_MEMORY 4096

/* ---- The table ---- */

static void site_free(struct site *site)
{
    map_remove(&site->courier->sites, span_text(site->key));
    if (site->is_starving)
        list_remove(&site->starving_node);
    host_list_unref(site->hosts);
    free(site->closed_reply);
    free((char *)(uintptr_t)site->route.host);
    free(site->key);
    free(site);
}

static bool is_used(const struct site *site)
{
    return site->sources || site->runners || site->job_count;
}

bool site_is_closed(const struct site *site)
{
    return site->closed_until > clock_monotonic();
}

void site_leave(struct site *site)
{
    if (!is_used(site) && (!site_is_closed(site) || site->courier->is_stopping))
        site_free(site);
}

/* The memory of sites that are down is bounded; what is forgotten is found out again. */
static void make_room(struct courier *c)
{
    struct span key;
    void *value;
    size_t position = 0;
    struct site *victim = NULL;
    if (c->sites.count < SITES_MAX)
        return;
    while (map_next(&c->sites, &position, &key, &value)) {
        struct site *site = value;
        if (!is_used(site) && (!victim || site->closed_until < victim->closed_until))
            victim = site;
    }
    if (victim)
        site_free(victim);
}

static void key_write(const struct site_route *route, struct span destination, struct buf *key)
{
    if (route->kind == SITE_SMART_HOST)
        buf_printf(key, "=%s:%u", route->host, (unsigned)route->port);
    else
        buf_add_span(key, destination);
    buf_add_char(key, 0);
}

static struct site *site_new(struct courier *c, const struct site_route *route, const char *key)
{
    struct site *site = calloc(1, sizeof *site);
    if (!site)
        return NULL;
    site->courier = c;
    site->route = *route;
    site->route.host = strdup(route->host);
    site->key = strdup(key);
    site->window = WINDOW_FIRST;
    list_init(&site->jobs);
    list_init(&site->starving_node);
    condition_init(&site->work);
    if (site->route.host && site->key && map_put(&c->sites, span_text(site->key), site) == 0)
        return site;
    free((char *)(uintptr_t)site->route.host);
    free(site->key);
    free(site);
    return NULL;
}

/* NULL where it is not known and not to be made, or without memory. */
static struct site *find_site(struct courier *c, struct span destination, bool is_made)
{
    struct arena memory;
    struct site_route route;
    struct buf key;
    struct site *site = NULL;
    arena_init(&memory, ROUTE_MEMORY);
    buf_init(&key, ROUTE_MEMORY);
    /* What nobody can make sense of is a site all the same: its entries fail with a reason. */
    if (!site_route_parse(destination, c->settings, &memory, &route))
        route = (struct site_route){.kind = SITE_LITERAL, .host = ""};
    key_write(&route, destination, &key);
    if (!buf_failed(&key) && !memory.is_starved) {
        site = map_get(&c->sites, span_text(key.data));
        if (!site && is_made) {
            make_room(c);
            site = site_new(c, &route, key.data);
        }
    }
    buf_release(&key);
    arena_release(&memory);
    return site;
}

struct site *site_get(struct courier *c, struct span destination)
{
    return find_site(c, destination, true);
}

void site_open(struct courier *c, struct span destination)
{
    struct site *site = find_site(c, destination, false);
    if (site)
        site->closed_until = 0;
}

void site_open_all(struct courier *c)
{
    struct span key;
    void *value;
    for (size_t position = 0; map_next(&c->sites, &position, &key, &value);)
        ((struct site *)value)->closed_until = 0;
}

/* ---- Jobs and runners ---- */

static unsigned window_of(const struct site *site)
{
    unsigned most = site->courier->settings->courier.connections_per_destination;
    /* A peer that keeps everybody waiting before it greets holds few of the connections that all share. */
    if (!site->connected && site->route.kind != SITE_LOCAL && most > WINDOW_UNGREETED)
        most = WINDOW_UNGREETED;
    return site->window < most ? site->window : most;
}

void site_add(struct site *site, struct job *job)
{
    list_append(&site->jobs, &job->node);
    site->job_count++;
    site_schedule(site);
}

void site_put_back(struct site *site, struct job *job)
{
    list_append(site->jobs.next, &job->node);
    site->job_count++;
    condition_wake_one(&site->work);
}

void site_narrow(struct site *site)
{
    unsigned half = site->window / 2;
    site->window = half < site->connected ? half : site->connected;
    site->window += !site->window;
    host_list_unref(site->hosts);
    site->hosts = NULL;
}

struct job *site_take(struct site *site)
{
    struct list_node *node = list_take_first(&site->jobs);
    if (!node)
        return NULL;
    site->job_count--;
    return container_of(node, struct job, node);
}

static void starve(struct site *site)
{
    struct courier *c = site->courier;
    if (site->is_starving)
        return;
    site->is_starving = true;
    list_append(&c->starving, &site->starving_node);
    /* Connections that idle for others give way. */
    struct span key;
    void *value;
    size_t position = 0;
    while (map_next(&c->sites, &position, &key, &value)) {
        struct site *other = value;
        if (other->idle && !other->job_count)
            condition_wake_all(&other->work);
    }
}

static void start_runner(struct site *site)
{
    void (*program)(struct fiber *, void *) = site->route.kind == SITE_LOCAL ? local_main : runner_main;
    if (!fiber_start(site->courier->loop, "runner", program, site)) {
        log_write(LOG_PROBLEM, "courier", NULL, "no memory for a connection site=%s", log_quote(span_text(site->key)));
        return;
    }
    site->runners++;
    site->courier->runners++;
}

void site_schedule(struct site *site)
{
    struct courier *c = site->courier;
    for (unsigned i = 0; i < site->idle && i < site->job_count; i++)
        condition_wake_one(&site->work);
    size_t wanted = site->job_count > site->idle ? site->job_count - site->idle : 0;
    while (wanted-- && site->runners < window_of(site) && !c->is_stopping) {
        if (c->runners >= c->settings->courier.connections) {
            starve(site);
            return;
        }
        unsigned before = site->runners;
        start_runner(site);
        if (site->runners == before)
            return;
    }
}

bool courier_has_starving(const struct courier *c)
{
    return !list_is_empty(&c->starving);
}

void courier_feed_starving(struct courier *c)
{
    while (courier_has_starving(c) && c->runners < c->settings->courier.connections) {
        struct site *site = container_of(list_take_first(&c->starving), struct site, starving_node);
        unsigned before = site->runners;
        site->is_starving = false;
        /* One for each in turn. */
        if (site->job_count > site->idle && site->runners < window_of(site) && !c->is_stopping) {
            start_runner(site);
            if (site->runners == before)
                return;
            if (site->job_count > site->idle + site->runners) {
                site->is_starving = true;
                list_append(&c->starving, &site->starving_node);
            }
        }
    }
}

/* ---- Success and failure ---- */

void site_succeeded(struct site *site)
{
    site->failures = 0;
    site->closed_until = 0;
    if (site->window < site->courier->settings->courier.connections_per_destination)
        site->window++;
    site_schedule(site);
}

void site_failed(struct site *site, const struct verdict *verdict, struct span reply)
{
    struct courier *c = site->courier;
    /* Several connections that failed at the same time are one failure. */
    if (site_is_closed(site))
        return;
    struct schedule schedule = courier_schedule(c);
    uint64_t wait = schedule_wait(&schedule, ++site->failures, random_number());
    site->window = site->window > 1 ? site->window / 2 : 1;
    site->closed_until = clock_monotonic() + (wait < CLOSED_MAX ? wait : CLOSED_MAX);
    site->closed_verdict = *verdict;
    free(site->closed_reply);
    site->closed_reply = strndup(reply.size ? reply.data : "", reply.size);
    host_list_unref(site->hosts);
    site->hosts = NULL;
}
