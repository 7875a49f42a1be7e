#include "auth/windows.h"

#include "base/clock.h"

#include <stdlib.h>

void windows_init(struct windows *w)
{
    map_init(&w->by_ip);
    list_init(&w->by_age);
}

static struct window *window_of(struct list_node *node)
{
    return container_of(node, struct window, node);
}

static struct span key_of(const struct ip_address *ip)
{
    return span_from(ip->bytes, sizeof ip->bytes);
}

static void close_window(struct windows *w, struct window *window)
{
    list_remove(&window->node);
    map_remove(&w->by_ip, key_of(&window->ip));
    free(window);
}

void windows_release(struct windows *w)
{
    list_each_safe (node, &w->by_age)
        close_window(w, window_of(node));
    map_release(&w->by_ip);
}

void windows_open(struct windows *w, const struct ip_address *ip, uint64_t account_id, struct span address,
                  unsigned seconds, uint64_t now)
{
    struct window *old = map_get(&w->by_ip, key_of(ip));
    if (old)
        close_window(w, old);
    if (!seconds)
        return;
    windows_sweep(w, now);
    if (w->by_ip.count >= WINDOWS_MAX)
        close_window(w, window_of(w->by_age.next));
    struct window *window = malloc(sizeof *window + address.size);
    if (!window)
        return;
    *window = (struct window){
        .ip = *ip, .account_id = account_id, .closes_at = now + seconds * NANOSECONDS, .address_size = address.size};
    memcpy(window->address, address.data, address.size);
    list_init(&window->node);
    if (map_put(&w->by_ip, key_of(ip), window)) {
        free(window);
        return;
    }
    list_append(&w->by_age, &window->node);
}

const struct window *windows_get(struct windows *w, const struct ip_address *ip, uint64_t now)
{
    struct window *window = map_get(&w->by_ip, key_of(ip));
    if (!window || now < window->closes_at)
        return window;
    close_window(w, window);
    return NULL;
}

struct span window_address(const struct window *window)
{
    return span_from(window->address, window->address_size);
}

unsigned windows_close_account(struct windows *w, uint64_t account_id)
{
    unsigned count = 0;
    list_each_safe (node, &w->by_age) {
        if (window_of(node)->account_id != account_id)
            continue;
        close_window(w, window_of(node));
        count++;
    }
    return count;
}

bool window_matches(const struct window *window, struct span text)
{
    struct ip_address ip;
    if (!text.size)
        return true;
    if (ip_address_parse(text, &ip))
        return ip_address_equal(&ip, &window->ip);
    return span_equal_nocase(text, window_address(window));
}

unsigned windows_close_matching(struct windows *w, struct span text)
{
    unsigned count = 0;
    list_each_safe (node, &w->by_age) {
        if (!window_matches(window_of(node), text))
            continue;
        close_window(w, window_of(node));
        count++;
    }
    return count;
}

/* Opened in the order in which they close, but for a reload that changed the time: the few that are then out of order
 * are closed when they are asked for, or when those before them are gone. */
void windows_sweep(struct windows *w, uint64_t now)
{
    while (!list_is_empty(&w->by_age) && now >= window_of(w->by_age.next)->closes_at)
        close_window(w, window_of(w->by_age.next));
}
