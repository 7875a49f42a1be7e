#include "store/remote_seen.h"

#include "base/clock.h"

#include <errno.h>

int remote_seen_find(struct database *db, uint64_t remote_id, struct span uidl, uint64_t *seen_at)
{
    return database_find(db, seen_at, "SELECT seen_at FROM remote_seen WHERE remote_id = $1 AND uidl = $2", "ut",
                         remote_id, uidl);
}

int remote_seen_insert(struct database *db, uint64_t remote_id, struct span uidl, uint64_t seen_at)
{
    return database_run(db,
                        "INSERT INTO remote_seen (remote_id, uidl, seen_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        "utu", remote_id, uidl, seen_at);
}

static int forget_one(struct database *db, uint64_t remote_id, struct span uidl)
{
    return database_run(db, "DELETE FROM remote_seen WHERE remote_id = $1 AND uidl = $2", "ut", remote_id, uidl);
}

int remote_seen_replay(struct database *db, const struct remote_seen_facts *f)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < f->count; i++)
        rc = f->forget ? forget_one(db, f->remote_id, f->items[i].uidl)
                       : remote_seen_insert(db, f->remote_id, f->items[i].uidl, f->items[i].seen_at);
    return rc;
}

int remote_seen_keep(struct database *db, struct remote_seen_facts *f, bool is_lowest)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t seen_at = 0;
        int rc = remote_seen_find(db, f->remote_id, f->items[i].uidl, &seen_at);
        if (rc < 0)
            return rc;
        /* What was forgotten is told again as long as an older record may say that it was seen. */
        if (f->forget ? rc == 0 && !is_lowest : rc > 0)
            f->items[kept++] = f->items[i];
    }
    f->count = kept;
    return 0;
}

/* ---- Accounts that were removed: rows of the table meta, their names this prefix and the id, their values when ----
 */

#define PARTED "remote-removed:"

int remote_seen_drop_parted(struct database *db, uint64_t now)
{
    const uint64_t days = (uint64_t)REMOTE_SEEN_UNDO_DAYS * 86400 * NANOSECONDS;
    uint64_t until = now > days ? now - days : 0;
    if (!clock_is_trusted())
        return 0;
    int rc = database_run(db,
                          "DELETE FROM remote_seen WHERE remote_id IN (SELECT CAST(substr(name, 16) AS BIGINT) FROM"
                          " meta WHERE name > '" PARTED "' AND name < 'remote-removed;' AND value <= $1)",
                          "u", until);
    return rc ? rc
              : database_run(db,
                             "DELETE FROM meta WHERE name > '" PARTED "' AND name < 'remote-removed;' AND value <= $1",
                             "u", until);
}

int remote_seen_part(struct database *db, uint64_t item_id, uint64_t now)
{
    return database_run(db,
                        "INSERT INTO meta (name, value) SELECT '" PARTED "' || CAST($1 AS TEXT), $2"
                        " WHERE EXISTS (SELECT 1 FROM remote_seen WHERE remote_id = $1)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        "uu", item_id, now);
}

int remote_seen_rejoin(struct database *db, uint64_t remote_id)
{
    return database_run(db, "DELETE FROM meta WHERE name = '" PARTED "' || CAST($1 AS TEXT)", "u", remote_id);
}

/* The account's number of notes is bounded, since its provider drives it. */
static int check_room(struct store *s, uint64_t remote_id, size_t count)
{
    uint64_t there = 0;
    int rc = database_find(s->db, &there, "SELECT COUNT(*) FROM remote_seen WHERE remote_id = $1", "u", remote_id);
    return rc < 0 ? store_fail(s, rc) : there + count > REMOTE_SEEN_MAX ? -EDQUOT : 0;
}

bool remote_seen_is_uidl(struct span uidl)
{
    return uidl.size > 0 && uidl.size <= UIDL_MAX && !memchr(uidl.data, 0, uidl.size);
}

static bool is_possible(uint64_t remote_id, const struct span *uidls, size_t count)
{
    for (size_t i = 0; i < count && i < REMOTE_SEEN_BATCH; i++)
        if (!remote_seen_is_uidl(uidls[i]))
            return false;
    return count <= REMOTE_SEEN_BATCH && remote_id > 0 && remote_id <= INT64_MAX;
}

/* Those that are not so already. */
static int choose(struct store *s, const struct span *uidls, size_t count, struct remote_seen_facts *f)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t seen_at;
        int rc = remote_seen_find(s->db, f->remote_id, uidls[i], &seen_at);
        if (rc < 0)
            return store_fail(s, rc);
        if ((rc > 0) == f->forget)
            f->items[f->count++] = (struct remote_seen){uidls[i], clock_steady()};
    }
    return 0;
}

int store_remote_seen(struct store *s, uint64_t remote_id, const struct span *uidls, size_t count, bool forget)
{
    uint64_t id;
    if (!is_possible(remote_id, uidls, count))
        return -EINVAL;
    arena_reset(&s->arena);
    int rc = database_find(s->db, &id, "SELECT id FROM door_item WHERE id = $1 AND kind = 11", "u", remote_id);
    if (rc <= 0)
        return rc < 0 ? store_fail(s, rc) : 0;
    struct remote_seen_facts f = {.remote_id = remote_id, .forget = forget};
    f.items = arena_array(&s->arena, count + 1, sizeof(*f.items));
    rc = f.items ? choose(s, uidls, count, &f) : -ENOMEM;
    if (rc == 0 && !forget && f.count)
        rc = check_room(s, remote_id, f.count);
    if (rc != 0 || f.count == 0)
        return rc;
    remote_seen_facts_write(&s->facts, &f);
    struct record_place place;
    rc = store_append(s, RECORD_REMOTE_SEEN, NULL, &place);
    if (rc == 0 && (rc = remote_seen_replay(s->db, &f)) != 0)
        rc = store_fail(s, rc);
    return rc;
}
