#include "auth/guesses.h"

#include "base/clock.h"

#include <stdlib.h>

/* A ring of times: `next` is the place of the oldest one, once all places are taken. */
struct guess_entry {
    struct list_node node;
    unsigned count, next;
    size_t key_size;
    uint64_t at[];
};

static char *key_of(struct guess_entry *entry, unsigned most)
{
    return (char *)&entry->at[most];
}

static void table_init(struct guess_table *t, unsigned most)
{
    map_init(&t->entries);
    list_init(&t->by_age);
    t->most = most;
}

static void forget(struct guess_table *t, struct list_node *node)
{
    struct guess_entry *entry = container_of(node, struct guess_entry, node);
    list_remove(node);
    map_remove(&t->entries, span_from(key_of(entry, t->most), entry->key_size));
    free(entry);
}

static void table_release(struct guess_table *t)
{
    list_each_safe (node, &t->by_age)
        forget(t, node);
    map_release(&t->entries);
}

static struct guess_entry *make(struct guess_table *t, struct span key)
{
    if (t->entries.count >= GUESS_KEYS_MAX)
        forget(t, t->by_age.next);
    struct guess_entry *entry = malloc(sizeof *entry + t->most * sizeof *entry->at + key.size);
    if (!entry)
        return NULL;
    *entry = (struct guess_entry){.key_size = key.size};
    if (key.size)
        memcpy(key_of(entry, t->most), key.data, key.size);
    list_init(&entry->node);
    if (!map_put(&t->entries, key, entry))
        return entry;
    free(entry);
    return NULL;
}

static void table_add(struct guess_table *t, struct span key, uint64_t now)
{
    struct guess_entry *entry = map_get(&t->entries, key);
    if (!entry && !(entry = make(t, key)))
        return; /* no memory: the other table, and the delays, still count it */
    entry->at[entry->next] = now;
    entry->next = (entry->next + 1) % t->most;
    entry->count += entry->count < t->most;
    list_remove(&entry->node);
    list_append(&t->by_age, &entry->node);
}

static bool table_is_full(const struct guess_table *t, struct span key, uint64_t now)
{
    const struct guess_entry *entry = map_get(&t->entries, key);
    return entry && entry->count == t->most && now - entry->at[entry->next] < GUESS_SECONDS * NANOSECONDS;
}

void guesses_init(struct guesses *g)
{
    table_init(&g->networks, GUESSES_OF_NETWORK);
    table_init(&g->recipients, GUESSES_OF_RECIPIENT);
}

void guesses_release(struct guesses *g)
{
    table_release(&g->networks);
    table_release(&g->recipients);
}

void guesses_add(struct guesses *g, const struct ip_address *from, struct span recipient, uint64_t now)
{
    table_add(&g->networks, ip_address_network(from), now);
    table_add(&g->recipients, recipient, now);
}

bool guesses_is_allowed(const struct guesses *g, const struct ip_address *from, struct span recipient, uint64_t now)
{
    return !table_is_full(&g->networks, ip_address_network(from), now) &&
           !table_is_full(&g->recipients, recipient, now);
}
