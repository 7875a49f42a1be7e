#include "store/change_internal.h"

#include <errno.h>

#define JOIN_MAX 10000 /* members in one change */

static struct directory directory_of(const struct edit *e)
{
    return (struct directory){.db = e->s->db, .detail_separator = span_text(e->s->detail_separator)};
}

/* An address that the list writes to or is told by: not the list itself. Compared without case, so kept without. */
static int take_person(struct edit *e, struct span given, struct span *address)
{
    struct directory directory = directory_of(e);
    struct span kept, local_part, domain;
    struct routing routing = {0};
    int rc = edit_take_target(e, &directory, given, &kept, &routing);
    if (rc)
        return rc;
    *address = directory_lower(&e->s->arena, kept);
    if (!address->data)
        return -ENOMEM;
    if (directory_split(*address, &local_part, &domain) && span_equal(local_part, e->local_part) &&
        span_equal(domain, e->domain)) {
        buf_printf(e->problem, "%.*s can't be a member or the owner of itself.", SPAN_ARG(*address));
        return SAID;
    }
    return 0;
}

static int need_list(struct edit *e)
{
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    if (rc)
        return rc;
    rc = edit_find_row(e, FIND_LIST);
    if (rc != 0)
        return no_memory_or(rc);
    return edit_say_unknown(e, "mailing list",
                            "SELECT local_part FROM list WHERE domain_id = $1 ORDER BY local_part LIMIT $2");
}

static int make(struct edit *e, struct span owner)
{
    int rc = edit_need_free(e, FIND_ACCOUNT, FIND_ALIAS, FIND_LIST);
    if (rc)
        return rc;
    e->id = e->s->volumes.lsn;
    return database_run(
        e->s->db,
        "INSERT INTO list (id, domain_id, local_part, name, owner, posting) VALUES ($1, $2, $3, $4, $5, "
        "$6)",
        "uutttu", e->id, e->domain_id, e->local_part, e->change->name, owner, (uint64_t)e->change->posting);
}

static int alter(struct edit *e, struct span owner)
{
    const struct change *c = e->change;
    int rc = need_list(e);
    if (rc == 0 && c->set_name)
        rc = database_run(e->s->db, "UPDATE list SET name = $2 WHERE id = $1", "ut", e->id, c->name);
    if (rc == 0 && c->set_owner)
        rc = database_run(e->s->db, "UPDATE list SET owner = $2 WHERE id = $1", "ut", e->id, owner);
    if (rc == 0 && c->set_posting)
        rc = database_run(e->s->db, "UPDATE list SET posting = $2 WHERE id = $1", "uu", e->id, (uint64_t)c->posting);
    return rc;
}

int edit_list_put(struct edit *e)
{
    const struct change *c = e->change;
    struct span owner = {"", 0};
    int rc = edit_take_address(e);
    rc = rc ? rc : edit_find_domain(e);
    if (rc == 0 && c->owner.size)
        rc = take_person(e, c->owner, &owner);
    if (rc)
        return rc;
    if (c->posting > 2) {
        buf_add_text(e->problem, "Everybody, the members or the owner may post; nothing else.");
        return SAID;
    }
    rc = c->set_name || c->set_owner || c->set_posting ? alter(e, owner) : make(e, owner);
    return rc ? rc : change_log_list(e->s, e->id);
}

int edit_list_remove(struct edit *e)
{
    int rc = need_list(e);
    if (rc == 0)
        rc = database_run(e->s->db, "DELETE FROM list_member WHERE list_id = $1", "u", e->id);
    if (rc == 0)
        rc = database_run(e->s->db, "DELETE FROM list WHERE id = $1", "u", e->id);
    return rc ? rc : edit_log_removal(e, RECORD_MAILING_LIST_REMOVED);
}

static int check_count(struct edit *e)
{
    if (e->change->target_count > 0 && e->change->target_count <= JOIN_MAX)
        return 0;
    buf_printf(e->problem, "Between 1 and %d members can be named at once.", JOIN_MAX);
    return SAID;
}

static int check_room(struct edit *e)
{
    uint64_t now = 0;
    int rc = database_find(e->s->db, &now, "SELECT COUNT(*) FROM list_member WHERE list_id = $1", "u", e->id);
    if (rc < 0 || now + e->change->target_count <= CHANGE_LIST_MEMBERS_MAX)
        return no_memory_or(rc);
    buf_printf(e->problem, "A mailing list has at most %d members, and this one has %ju.", CHANGE_LIST_MEMBERS_MAX,
               (uintmax_t)now);
    return SAID;
}

int edit_list_join(struct edit *e)
{
    const struct change *c = e->change;
    uint64_t number = 0;
    int rc = need_list(e);
    rc = rc ? rc : check_count(e);
    rc = rc ? rc : check_room(e);
    if (rc)
        return rc;
    struct span *members = arena_array(&e->s->arena, c->target_count, sizeof(*members));
    rc = members ? 0 : -ENOMEM;
    for (size_t i = 0; rc == 0 && i < c->target_count; i++)
        rc = take_person(e, c->targets[i], &members[i]);
    if (rc)
        return rc;
    rc = database_find(e->s->db, &number, "SELECT COALESCE(MAX(number), 0) + 1 FROM list_member WHERE list_id = $1",
                       "u", e->id);
    /* Not one that a member had who left: bounces of old copies may still come. */
    number = number > e->s->volumes.lsn ? number : e->s->volumes.lsn;
    rc = no_memory_or(rc);
    for (size_t i = 0; rc == 0 && i < c->target_count; i++)
        rc = database_run(
            e->s->db,
            "INSERT INTO list_member (list_id, number, address, bounces, suspended) VALUES ($1, $2, $3, 0, 0)"
            " ON CONFLICT (list_id, address) DO UPDATE SET bounces = 0, suspended = 0",
            "uut", e->id, number + i, members[i]);
    return rc ? rc : change_log_list(e->s, e->id);
}

static int leave(struct edit *e, struct span member, bool really)
{
    uint64_t number;
    struct span address = directory_lower(&e->s->arena, member);
    if (!address.data)
        return -ENOMEM;
    if (really)
        return database_run(e->s->db, "DELETE FROM list_member WHERE list_id = $1 AND address = $2", "ut", e->id,
                            address);
    int rc = database_find(e->s->db, &number, "SELECT number FROM list_member WHERE list_id = $1 AND address = $2",
                           "ut", e->id, address);
    if (rc != 0)
        return no_memory_or(rc);
    buf_printf(e->problem, "%.*s is not a member of %.*s@%.*s.", SPAN_ARG(address), SPAN_ARG(e->local_part),
               SPAN_ARG(e->domain));
    return SAID;
}

int edit_list_leave(struct edit *e)
{
    int rc = need_list(e);
    rc = rc ? rc : check_count(e);
    for (int really = 0; really <= 1; really++)
        for (size_t i = 0; rc == 0 && i < e->change->target_count; i++)
            rc = leave(e, e->change->targets[i], really);
    return rc ? rc : change_log_list(e->s, e->id);
}
