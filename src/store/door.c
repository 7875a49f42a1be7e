#include "store/door.h"

#include "base/clock.h"
#include "store/remote_seen.h"

#include <errno.h>

static int say(struct buf *problem, struct span text, const char *what)
{
    if (problem)
        buf_printf(problem, "'%.*s' %s", SPAN_ARG(text), what);
    return 0;
}

static int find_domain(const struct directory *d, struct span name, struct arena *arena, struct door_owner *owner,
                       struct buf *problem)
{
    struct directory_domain domain;
    struct span lower = directory_lower(arena, name);
    if (!lower.data)
        return -ENOMEM;
    int rc = directory_domain(d->db, lower, arena, &domain);
    if (rc <= 0)
        return rc < 0 ? rc : say(problem, name, "is not a domain of ours: 'ostiary domain list' shows them");
    *owner = (struct door_owner){LEVEL_DOMAIN, domain.id, {"", 0}};
    return 1;
}

static int find_account(const struct directory *d, uint64_t domain_id, struct span name, uint64_t *id)
{
    return database_find(d->db, id, "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2", "ut", domain_id,
                         name);
}

/* An account, or an address of one that has a detail. */
static int find_address(const struct directory *d, struct span text, struct arena *arena, struct door_owner *owner,
                        struct buf *problem)
{
    struct directory_domain domain;
    struct span local_part, name;
    if (text.size > 2 * DIRECTORY_ADDRESS_MAX || !directory_split(text, &local_part, &name))
        return say(problem, text, "is not an address like name@example.org");
    struct span lower = directory_lower(arena, local_part), home = directory_lower(arena, name);
    if (!lower.data || !home.data)
        return -ENOMEM;
    int rc = directory_domain(d->db, home, arena, &domain);
    if (rc <= 0)
        return rc < 0 ? rc : say(problem, name, "is not a domain of ours: 'ostiary domain list' shows them");
    uint64_t id = 0;
    rc = find_account(d, domain.id, lower, &id);
    *owner = (struct door_owner){LEVEL_ACCOUNT, id, {"", 0}};
    size_t plain = directory_plain_size(d, lower);
    if (rc == 0 && plain + 1 < lower.size) {
        rc = find_account(d, domain.id, span_head(lower, plain), &id);
        *owner = (struct door_owner){LEVEL_ADDRESS, id, span_skip(lower, plain + 1)};
    }
    if (rc == 0 && problem)
        buf_printf(problem, "there is no account %.*s: doors belong to accounts, 'ostiary account list' shows them",
                   SPAN_ARG(text));
    return rc;
}

int door_owner_find(const struct directory *d, enum rule_level level, struct span text, struct arena *arena,
                    struct door_owner *owner, struct buf *problem)
{
    static const char *const wanted[] = {
        [LEVEL_SITE] = "is not the site, which has no name here",
        [LEVEL_DOMAIN] = "is not a domain like example.org",
        [LEVEL_ACCOUNT] = "is not the main address of an account",
        [LEVEL_ADDRESS] = "is not an account's address with a detail, like name+shop@example.org",
    };
    int rc = 1;
    if (text.size == 0)
        *owner = (struct door_owner){LEVEL_SITE, 0, {"", 0}};
    else if (text.data[0] == '@' || span_find(text, '@') == text.size)
        rc = find_domain(d, text.data[0] == '@' ? span_skip(text, 1) : text, arena, owner, problem);
    else
        rc = find_address(d, text, arena, owner, problem);
    if (rc <= 0 || level == LEVEL_DEFAULT || level == owner->level)
        return rc;
    if (level > LEVEL_ADDRESS)
        return say(problem, text, "is asked for at a level that there is not");
    return say(problem, text, wanted[level]);
}

int door_owner_text(const struct directory *d, const struct door_owner *owner, struct arena *arena, struct span *text)
{
    char separator = d->detail_separator.size ? d->detail_separator.data[0] : '+';
    struct span mark = owner->level == LEVEL_ADDRESS ? span_from(&separator, 1) : (struct span){"", 0};
    struct statement *st = owner->level == LEVEL_DOMAIN
                               ? database_query(d->db, "SELECT name FROM domain WHERE id = $1", "u", owner->id)
                               : database_query(d->db,
                                                "SELECT a.local_part || $2 || $3 || '@' || d.name FROM account a"
                                                " JOIN domain d ON d.id = a.domain_id WHERE a.id = $1",
                                                "utt", owner->id, mark, owner->detail);
    int rc = database_step(st);
    *text = arena_copy(arena, rc > 0 ? database_bytes(st, 0) : (struct span){"", 0});
    database_end(st);
    return rc < 0 ? rc : text->data ? 0 : -ENOMEM;
}

int door_domain_of(struct database *db, uint64_t account_id, uint64_t *domain_id)
{
    return database_find(db, domain_id, "SELECT domain_id FROM account WHERE id = $1", "u", account_id);
}

bool door_read(struct statement *st, struct arena *arena, struct door_item *item)
{
    *item = (struct door_item){.id = database_u64(st, 0),
                               .kind = (uint32_t)database_u64(st, 1),
                               .level = (uint32_t)database_u64(st, 2),
                               .owner_id = database_u64(st, 3),
                               .detail = arena_copy(arena, database_bytes(st, 4)),
                               .name = arena_copy(arena, database_bytes(st, 5)),
                               .value = arena_copy(arena, database_bytes(st, 6)),
                               .expires_at = database_u64(st, 7),
                               .locked = database_u64(st, 8) != 0,
                               .set_at = database_u64(st, 9),
                               .set_by = arena_copy(arena, database_bytes(st, 10))};
    return item->detail.data && item->name.data && item->value.data && item->set_by.data;
}

/* The statement's one row. */
static int read_one(struct statement *st, struct arena *arena, struct door_item *item)
{
    int rc = database_step(st);
    if (rc > 0 && !door_read(st, arena, item))
        rc = -ENOMEM;
    database_end(st);
    return rc;
}

int door_get(struct database *db, const struct door_owner *owner, enum door_kind kind, struct span name,
             struct arena *arena, struct door_item *item)
{
    return read_one(database_query(db,
                                   "SELECT " DOOR_COLUMNS " FROM door_item WHERE owner_id = $1 AND level = $2"
                                   " AND detail = $3 AND kind = $4 AND name = $5",
                                   "uutut", owner->id, (uint64_t)owner->level, owner->detail, (uint64_t)kind, name),
                    arena, item);
}

int door_has(struct database *db, const struct door_owner *owner, enum door_kind kind)
{
    uint64_t id;
    return database_find(db, &id,
                         "SELECT id FROM door_item WHERE owner_id = $1 AND level = $2 AND detail = $3 AND kind = $4"
                         " LIMIT 1",
                         "uutu", owner->id, (uint64_t)owner->level, owner->detail, (uint64_t)kind);
}

static int append(struct store *s, enum record_type type)
{
    struct record_place place;
    return store_append(s, type, NULL, &place);
}

int door_put(struct store *s, struct door_item *item)
{
    if (item->id == 0)
        item->id = s->volumes.lsn;
    int rc =
        database_run(s->db,
                     "INSERT INTO door_item (" DOOR_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
                     " ON CONFLICT (id) DO UPDATE SET value = excluded.value, expires_at = excluded.expires_at,"
                     " locked = excluded.locked, set_at = excluded.set_at, set_by = excluded.set_by",
                     "uuuutttuuut", item->id, (uint64_t)item->kind, (uint64_t)item->level, item->owner_id, item->detail,
                     item->name, item->value, item->expires_at, (uint64_t)item->locked, item->set_at, item->set_by);
    if (rc == 0 && item->kind == DOOR_REMOTE)
        rc = remote_seen_rejoin(s->db, item->id);
    if (rc != 0)
        return rc;
    door_facts_write(&s->facts, item);
    return append(s, RECORD_DOOR_ITEM);
}

int door_remove(struct store *s, uint64_t id)
{
    int rc = remote_seen_part(s->db, id, clock_steady());
    rc = rc ? rc : database_run(s->db, "DELETE FROM door_item WHERE id = $1", "u", id);
    if (rc != 0)
        return rc;
    id_facts_write(&s->facts, id);
    return append(s, RECORD_DOOR_ITEM_REMOVED);
}

int door_touch(struct store *s)
{
    return database_run(s->db, "UPDATE meta SET value = value + 1 WHERE name = 'door_version'", "");
}

int door_forget_account(struct database *db, uint64_t account_id)
{
    static const char *const statements[] = {
        ("DELETE FROM remote_seen WHERE remote_id IN"
         " (SELECT id FROM door_item WHERE owner_id = $1 AND level = 2 AND detail = '' AND kind = 11)"),
        "DELETE FROM door_item WHERE owner_id = $1 AND level IN (2, 3)",
        "DELETE FROM door_history WHERE owner_id = $1 AND level IN (2, 3)",
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(statements) / sizeof(statements[0]); i++)
        rc = database_run(db, statements[i], "u", account_id);
    return rc;
}

int door_forget_domain(struct database *db, uint64_t domain_id)
{
    int rc = database_run(db, "DELETE FROM door_item WHERE owner_id = $1 AND level = 1", "u", domain_id);
    return rc ? rc : database_run(db, "DELETE FROM door_history WHERE owner_id = $1 AND level = 1", "u", domain_id);
}

int change_log_door_item(struct store *s, uint64_t id)
{
    struct door_item item;
    int rc = read_one(database_query(s->db, "SELECT " DOOR_COLUMNS " FROM door_item WHERE id = $1", "u", id), &s->arena,
                      &item);
    if (rc <= 0)
        return rc;
    door_facts_write(&s->facts, &item);
    return append(s, RECORD_DOOR_ITEM);
}

int door_setting(struct database *db, uint64_t account_id, const char *name, struct arena *arena, struct span *value)
{
    struct door_owner owners[] = {
        {LEVEL_SITE, 0, {"", 0}}, {LEVEL_ACCOUNT, account_id, {"", 0}}, {LEVEL_DOMAIN, 0, {"", 0}}};
    struct door_item item, site;
    int has_site = door_get(db, &owners[0], DOOR_RULE, span_text(name), arena, &site);
    if (has_site < 0)
        return has_site;
    *value = has_site ? site.value : (struct span){"", 0};
    uint64_t locked;
    struct span rule = span_head(span_text(name), span_find(span_text(name), '.'));
    /* A lock holds all settings of the rule. */
    int rc = database_find(db, &locked,
                           "SELECT id FROM door_item WHERE owner_id = 0 AND level = 0 AND detail = '' AND kind = 1"
                           " AND (name = $1 OR substr(name, 1, length($1) + 1) = $1 || '.') AND locked = 1 LIMIT 1",
                           "t", rule);
    if (rc != 0)
        return rc < 0 ? rc : has_site;
    rc = door_domain_of(db, account_id, &owners[2].id);
    for (int i = 1; rc >= 0 && i < 3; i++) {
        rc = door_get(db, &owners[i], DOOR_RULE, span_text(name), arena, &item);
        if (rc <= 0)
            continue;
        *value = item.value;
        return 1;
    }
    return rc < 0 ? rc : has_site;
}
