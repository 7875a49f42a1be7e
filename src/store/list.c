#include "store/list.h"

#include "store/directory.h"

#include <errno.h>

/* One row more than a page is asked for: it says that there are more. */
#define ROWS ((uint64_t)LIST_PAGE + 1)
#define PAGE_BYTES (400u << 10)

int list_domains(struct database *db, struct span after, struct span match, struct arena *arena,
                 struct listed_domain **items, size_t *count, bool *more)
{
    *count = 0;
    *items = arena_array(arena, ROWS, sizeof(**items));
    if (!*items)
        return -ENOMEM;
    match = match.size && match.data[0] == '@' ? span_skip(match, 1) : match;
    struct span wanted = directory_lower(arena, match);
    struct statement *st =
        database_query(db,
                       "SELECT d.id, d.name, (SELECT COUNT(*) FROM account a WHERE a.domain_id = d.id), d.kind,"
                       " COALESCE((SELECT o.name FROM domain o WHERE o.id = d.alias_of), ''), d.next_hop FROM domain d"
                       " WHERE d.name > $1 AND ($2 = '' OR d.name = $2) ORDER BY d.name LIMIT $3",
                       "ttu", after, wanted, ROWS);
    int rc = 0;
    while (*count < ROWS && (rc = database_step(st)) > 0)
        (*items)[(*count)++] = (struct listed_domain){.id = database_u64(st, 0),
                                                      .name = arena_copy(arena, database_bytes(st, 1)),
                                                      .accounts = database_u64(st, 2),
                                                      .kind = database_u64(st, 3),
                                                      .alias_of = arena_copy(arena, database_bytes(st, 4)),
                                                      .next_hop = arena_copy(arena, database_bytes(st, 5))};
    database_end(st);
    *more = *count > LIST_PAGE;
    *count -= *more;
    return rc < 0 ? rc : 0;
}

/* What an address must be (with a domain) or end in. */
static void parse_match(struct arena *arena, struct span match, struct span *local_part, struct span *domain)
{
    size_t at = span_find_last(match, '@');
    *local_part = directory_lower(arena, span_head(match, at));
    *domain = directory_lower(arena, span_skip(match, at + 1));
}

int list_accounts(struct database *db, struct span after, struct span match, struct arena *arena,
                  struct listed_account **items, size_t *count, bool *more)
{
    struct span local_part, domain;
    *count = 0;
    *items = arena_array(arena, ROWS, sizeof(**items));
    if (!*items)
        return -ENOMEM;
    parse_match(arena, match, &local_part, &domain);
    struct statement *st = database_query(
        db,
        "SELECT a.id, a.local_part || '@' || d.name AS address, a.name, a.enabled, a.quota, a.created_at,"
        " (SELECT COALESCE(SUM(bytes), 0) FROM mailbox m WHERE m.account_id = a.id),"
        " (SELECT COALESCE(SUM(messages), 0) FROM mailbox m WHERE m.account_id = a.id)"
        " FROM account a JOIN domain d ON d.id = a.domain_id"
        " WHERE a.local_part || '@' || d.name > $1 AND ($2 = '' OR a.local_part = $2) AND ($3 = '' OR d.name = $3)"
        " ORDER BY address LIMIT $4",
        "tttu", after, local_part, domain, ROWS);
    int rc = 0;
    while (*count < ROWS && (rc = database_step(st)) > 0)
        (*items)[(*count)++] = (struct listed_account){.id = database_u64(st, 0),
                                                       .address = arena_copy(arena, database_bytes(st, 1)),
                                                       .name = arena_copy(arena, database_bytes(st, 2)),
                                                       .enabled = database_u64(st, 3) != 0,
                                                       .quota = database_u64(st, 4),
                                                       .created_at = database_u64(st, 5),
                                                       .used = database_u64(st, 6),
                                                       .messages = database_u64(st, 7)};
    database_end(st);
    *more = *count > LIST_PAGE;
    *count -= *more;
    return rc < 0 ? rc : 0;
}

static int alias_targets(struct database *db, uint64_t id, struct arena *arena, struct listed_alias *alias)
{
    uint64_t count = 0;
    int rc = database_find(db, &count, "SELECT COUNT(*) FROM alias_target WHERE alias_id = $1", "u", id);
    alias->targets = rc > 0 ? arena_array(arena, count + 1, sizeof(*alias->targets)) : NULL;
    if (!alias->targets)
        return rc < 0 ? rc : -ENOMEM;
    struct statement *st =
        database_query(db, "SELECT address FROM alias_target WHERE alias_id = $1 ORDER BY place", "u", id);
    while (alias->target_count < count && (rc = database_step(st)) > 0)
        alias->targets[alias->target_count++] = arena_copy(arena, database_bytes(st, 0));
    database_end(st);
    return rc < 0 ? rc : 0;
}

int list_aliases(struct database *db, struct span after, struct span match, struct arena *arena,
                 struct listed_alias **items, size_t *count, bool *more)
{
    struct span local_part, domain;
    *count = 0;
    *items = arena_array(arena, ROWS, sizeof(**items));
    if (!*items)
        return -ENOMEM;
    parse_match(arena, match, &local_part, &domain);
    struct statement *st = database_query(
        db,
        "SELECT a.id, a.local_part || '@' || d.name AS address FROM alias a JOIN domain d ON d.id = a.domain_id"
        " WHERE a.local_part || '@' || d.name > $1 AND ($2 = '' OR a.local_part = $2) AND ($3 = '' OR d.name = $3)"
        " ORDER BY address LIMIT $4",
        "tttu", after, local_part, domain, ROWS);
    int rc;
    size_t before = arena->used;
    *more = false;
    while ((rc = database_step(st)) > 0) {
        /* Aliases may be long: a page of them has to fit a frame. */
        *more = *count == LIST_PAGE || arena->used - before >= PAGE_BYTES;
        if (*more)
            break;
        struct listed_alias *alias = &(*items)[(*count)++];
        alias->address = arena_copy(arena, database_bytes(st, 1));
        rc = alias_targets(db, database_u64(st, 0), arena, alias);
        if (rc < 0)
            break;
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

/* The members behind one, by address; *more when the page is full. */
static int list_members(struct database *db, struct span after, struct arena *arena, struct listed_list *list,
                        bool *more)
{
    list->members = arena_array(arena, ROWS, sizeof(*list->members));
    if (!list->members)
        return -ENOMEM;
    struct statement *st = database_query(db,
                                          "SELECT number, address, bounces, suspended FROM list_member"
                                          " WHERE list_id = $1 AND address > $2 ORDER BY address LIMIT $3",
                                          "utu", list->id, after, ROWS);
    int rc = 0;
    while (list->listed < ROWS && (rc = database_step(st)) > 0)
        list->members[list->listed++] = (struct listed_member){.number = database_u64(st, 0),
                                                               .address = arena_copy(arena, database_bytes(st, 1)),
                                                               .bounces = database_u64(st, 2),
                                                               .suspended = database_u64(st, 3) != 0};
    database_end(st);
    *more = list->listed > LIST_PAGE;
    list->listed -= *more;
    return rc < 0 ? rc : 0;
}

int list_lists(struct database *db, struct span after, struct span match, struct arena *arena,
               struct listed_list **items, size_t *count, bool *more)
{
    struct span local_part, domain, member = after, first = span_cut(&member, ' ');
    *count = 0;
    *items = arena_array(arena, ROWS, sizeof(**items));
    if (!*items)
        return -ENOMEM;
    parse_match(arena, match, &local_part, &domain);
    bool is_one = local_part.size && domain.size;
    struct statement *st = database_query(
        db,
        "SELECT l.id, l.local_part || '@' || d.name AS address, l.name, l.owner, l.posting,"
        " (SELECT COUNT(*) FROM list_member m WHERE m.list_id = l.id) FROM list l JOIN domain d ON d.id = l.domain_id"
        " WHERE l.local_part || '@' || d.name > $1 AND ($2 = '' OR l.local_part = $2) AND ($3 = '' OR d.name = $3)"
        " ORDER BY address LIMIT $4",
        "tttu", is_one ? (struct span){"", 0} : first, local_part, domain, ROWS);
    int rc = 0;
    while (*count < ROWS && (rc = database_step(st)) > 0)
        (*items)[(*count)++] = (struct listed_list){.id = database_u64(st, 0),
                                                    .address = arena_copy(arena, database_bytes(st, 1)),
                                                    .name = arena_copy(arena, database_bytes(st, 2)),
                                                    .owner = arena_copy(arena, database_bytes(st, 3)),
                                                    .posting = database_u64(st, 4),
                                                    .member_count = database_u64(st, 5)};
    database_end(st);
    *more = *count > LIST_PAGE;
    *count -= *more;
    if (rc >= 0 && is_one && *count == 1)
        rc = list_members(db, member, arena, *items, more);
    return rc < 0 ? rc : 0;
}
