#include "auth/greylist.h"

#include "base/buf.h"
#include "base/clock.h"

#include <stdlib.h>

/* An address longer than this is told apart by its beginning only. */
#define ADDRESS_BYTES_MAX 512
/* A full table makes room by dropping those that had so long to come back. */
#define PATIENCE_SECONDS 3600

struct greylist_entry {
    struct list_node node;
    uint64_t key, at;
};

static struct span key_span(const uint64_t *key)
{
    return span_from(key, sizeof *key);
}

static void forget(struct greylist_table *t, struct greylist_entry *entry)
{
    list_remove(&entry->node);
    map_remove(&t->entries, key_span(&entry->key));
    free(entry);
}

static struct greylist_entry *oldest(const struct greylist_table *t)
{
    return list_is_empty(&t->by_age) ? NULL : container_of(t->by_age.next, struct greylist_entry, node);
}

static bool is_older(const struct greylist_entry *entry, uint64_t seconds, uint64_t now)
{
    return entry && now - entry->at >= seconds * NANOSECONDS;
}

static void drop_older(struct greylist_table *t, uint64_t seconds, uint64_t now)
{
    while (is_older(oldest(t), seconds, now))
        forget(t, oldest(t));
}

/* False without memory. */
static bool note(struct greylist_table *t, uint64_t key, uint64_t now)
{
    struct greylist_entry *entry = malloc(sizeof *entry);
    if (!entry)
        return false;
    *entry = (struct greylist_entry){.key = key, .at = now};
    list_init(&entry->node);
    if (map_put(&t->entries, key_span(&key), entry)) {
        free(entry);
        return false;
    }
    list_append(&t->by_age, &entry->node);
    return true;
}

static void table_init(struct greylist_table *t)
{
    map_init(&t->entries);
    list_init(&t->by_age);
}

static void table_release(struct greylist_table *t)
{
    list_each_safe (node, &t->by_age)
        forget(t, container_of(node, struct greylist_entry, node));
    map_release(&t->entries);
}

void greylist_init(struct greylist *g)
{
    table_init(&g->waiting);
    table_init(&g->known);
}

void greylist_release(struct greylist *g)
{
    table_release(&g->waiting);
    table_release(&g->known);
}

/* ---- Keys ---- */

/* With its size before it, so that no two lists of parts run together to the same. */
static void add_part(struct buf *out, struct span part)
{
    part = span_head(part, ADDRESS_BYTES_MAX);
    buf_add_char(out, (char)(part.size >> 8));
    buf_add_char(out, (char)part.size);
    for (size_t i = 0; i < part.size; i++)
        buf_add_char(out, ascii_lower(part.data[i]));
}

/* False without memory. */
static bool make_key(const struct greylist_attempt *attempt, struct span sender, struct span recipient, uint64_t *key)
{
    struct buf bytes;
    buf_init(&bytes, 3 * (ADDRESS_BYTES_MAX + 2));
    struct span network = ip_address_network(&attempt->from);
    buf_add_char(&bytes, (char)network.size);
    buf_add_span(&bytes, network);
    add_part(&bytes, sender);
    add_part(&bytes, recipient);
    bool good = !buf_failed(&bytes);
    *key = good ? hash_bytes(buf_span(&bytes)) : 0;
    buf_release(&bytes);
    return good;
}

/* ---- The decision ---- */

static bool is_known(struct greylist *g, uint64_t key, uint64_t now)
{
    drop_older(&g->known, GREYLIST_KNOWN_SECONDS, now);
    struct greylist_entry *entry = map_get(&g->known.entries, key_span(&key));
    if (!entry)
        return false;
    entry->at = now;
    list_remove(&entry->node);
    list_append(&g->known.by_age, &entry->node);
    return true;
}

static void become_known(struct greylist *g, uint64_t key, uint64_t now)
{
    if (g->known.entries.count >= GREYLIST_KNOWN_MAX)
        forget(&g->known, oldest(&g->known));
    (void)note(&g->known, key, now); /* without memory it waits once more the next time */
}

/* The first attempt of its kind. */
static unsigned begin_wait(struct greylist *g, uint64_t key, unsigned wait, uint64_t now)
{
    struct greylist_table *t = &g->waiting;
    if (t->entries.count >= GREYLIST_WAITING_MAX && is_older(oldest(t), PATIENCE_SECONDS, now))
        forget(t, oldest(t));
    if (t->entries.count >= GREYLIST_WAITING_MAX || !note(t, key, now))
        return 0;
    return wait;
}

unsigned greylist_check(struct greylist *g, const struct greylist_attempt *attempt, uint64_t now)
{
    unsigned wait = attempt->wait_seconds < GREYLIST_WAIT_MAX ? attempt->wait_seconds : GREYLIST_WAIT_MAX;
    struct span sender = attempt->reverse_path, nobody = {0};
    uint64_t known_key, key;
    if (!wait || !make_key(attempt, span_skip(sender, span_find_last(sender, '@')), nobody, &known_key) ||
        !make_key(attempt, sender, attempt->recipient, &key))
        return 0;
    if (is_known(g, known_key, now))
        return 0;
    drop_older(&g->waiting, GREYLIST_RETRY_SECONDS, now);
    struct greylist_entry *entry = map_get(&g->waiting.entries, key_span(&key));
    if (!entry)
        return begin_wait(g, key, wait, now);
    /* A part of a second is a second: who comes when told to may pass. */
    uint64_t waited = now - entry->at, whole = (uint64_t)wait * NANOSECONDS;
    if (waited < whole)
        return (unsigned)((whole - waited + NANOSECONDS - 1) / NANOSECONDS);
    forget(&g->waiting, entry);
    become_known(g, known_key, now);
    return 0;
}
