#include "store/door_list.h"

#include "store/door_change_internal.h"

#include <errno.h>

/* What a person may know of the site's and their domain's door: not whom the site has codes for. */
#define KINDS_FOR_ALL ((1u << DOOR_RULE) | (1u << DOOR_WHITE) | (1u << DOOR_BLACK))
#define NOBODY UINT64_C(0x7fffffffffffffff) /* no id is so large */

struct listing {
    const struct directory *directory;
    const struct door_list_query *query;
    struct arena *arena;
    struct door_listed *items;
    size_t count, room, bytes;
    struct door_owner owner;
    uint64_t domain_id, account_id; /* whose rows are wanted; NOBODY: no such ones */
    bool site, account, addresses;  /* the site's, the account's own, all its addresses' */
    bool more;
};

static bool is_everybodys(const struct door_list_query *q)
{
    return q->everything && q->account_id == 0 && q->owner.size == 0;
}

static int add(struct listing *l, const struct door_item *item)
{
    struct door_owner owner = {(enum rule_level)item->level, item->owner_id, item->detail};
    struct door_listed *listed = &l->items[l->count];
    listed->item = *item;
    if (l->count > 0 && l->items[l->count - 1].item.owner_id == owner.id &&
        span_equal(l->items[l->count - 1].item.detail, owner.detail)) {
        listed->owner = l->items[l->count - 1].owner;
    } else {
        int rc = owner.level == LEVEL_SITE ? 0 : door_owner_text(l->directory, &owner, l->arena, &listed->owner);
        if (rc)
            return rc;
    }
    l->bytes += item->name.size + item->value.size + item->set_by.size + listed->owner.size + 64;
    l->count++;
    return 0;
}

static int choose_owners(struct listing *l, struct buf *problem)
{
    const struct door_list_query *q = l->query;
    l->domain_id = l->account_id = NOBODY;
    l->owner = (struct door_owner){LEVEL_ACCOUNT, q->account_id, {"", 0}};
    int rc = 1;
    if (q->account_id == 0 || q->owner.size)
        rc = door_owner_find(l->directory, LEVEL_DEFAULT, q->owner, l->arena, &l->owner, problem);
    if (rc <= 0)
        return rc < 0 ? rc : SAID;
    if (q->account_id && (l->owner.level < LEVEL_ACCOUNT || l->owner.id != q->account_id)) {
        buf_printf(problem, "'%.*s' is not yours", SPAN_ARG(q->owner));
        return SAID;
    }
    if (l->owner.level >= LEVEL_ACCOUNT) {
        l->account_id = l->owner.id;
        l->account = l->owner.level == LEVEL_ACCOUNT || q->levels_above;
        l->addresses = q->everything;
        if (q->levels_above)
            rc = door_domain_of(l->directory->db, l->owner.id, &l->domain_id);
    } else if (l->owner.level == LEVEL_DOMAIN) {
        l->domain_id = l->owner.id;
    }
    l->site = l->owner.level == LEVEL_SITE || q->levels_above;
    return rc < 0 ? rc : 0;
}

static int add_forward(struct listing *l)
{
    struct door_owner owner = {LEVEL_ACCOUNT, l->account_id, {"", 0}};
    struct door_item items[3];
    size_t count;
    const struct door_list_query *q = l->query;
    if (!l->account || q->after_id || (q->kinds && !(q->kinds & 1u << DOOR_RULE)))
        return 0;
    int rc = door_forward_items(l->directory, &owner, l->arena, items, &count);
    if (rc == 0 && count)
        rc = door_history_tell(l->directory->db, &owner, l->arena, items, count);
    for (size_t i = 0; rc == 0 && i < count && l->count < l->room; i++)
        if (q->match.size == 0 || span_equal(q->match, items[i].name))
            rc = add(l, &items[i]);
    return rc;
}

static struct statement *ask(const struct listing *l)
{
    const struct door_list_query *q = l->query;
    struct span match = q->match, tail = {"", 0};
    if (match.size && (match.data[0] == '@' || match.data[0] == '*'))
        tail = match.data[0] == '*' ? span_skip(match, 1) : match;
    uint64_t kinds = q->kinds ? q->kinds : UINT32_MAX, limit = l->room - l->count + 1;
    if (is_everybodys(q))
        return database_query(l->directory->db,
                              "SELECT " DOOR_COLUMNS " FROM door_item WHERE id > $1 AND ($2 >> kind) & 1 = 1"
                              " AND ($3 = '' OR name = $3 OR ($4 <> '' AND substr(name, -length($4)) = $4))"
                              " ORDER BY id LIMIT $5",
                              "uuttu", q->after_id, kinds, match, tail, limit);
    return database_query(l->directory->db,
                          "SELECT " DOOR_COLUMNS
                          " FROM door_item WHERE owner_id IN ($6, $7, $8) AND id > $1 AND ($2 >> kind) & 1 = 1"
                          " AND ($3 = '' OR name = $3 OR ($4 <> '' AND substr(name, -length($4)) = $4))"
                          " AND (level > 1 OR $9 = 0 OR ($9 >> kind) & 1 = 1)"
                          " AND (level < 2 OR (level = 2 AND $10 = 1) OR (level = 3 AND ($11 = 1 OR detail = $12)))"
                          " ORDER BY id LIMIT $5",
                          "uuttuuuuuuut", q->after_id, kinds, match, tail, limit, l->site ? (uint64_t)0 : NOBODY,
                          l->domain_id, l->account_id, q->account_id ? (uint64_t)KINDS_FOR_ALL : (uint64_t)0,
                          (uint64_t)l->account, (uint64_t)l->addresses, l->owner.detail);
}

static int add_rows(struct listing *l)
{
    struct statement *st = ask(l);
    int rc;
    while ((rc = database_step(st)) > 0) {
        struct door_item item;
        l->more = l->count == l->room || l->bytes > DOOR_PAGE_BYTES;
        if (l->more)
            break;
        rc = door_read(st, l->arena, &item) ? add(l, &item) : -ENOMEM;
        if (rc < 0)
            break;
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

int door_list(const struct directory *d, const struct door_list_query *query, struct arena *arena,
              struct door_listed **items, size_t *count, bool *more, struct buf *problem)
{
    struct listing l = {.directory = d, .query = query, .arena = arena};
    l.room = query->limit == 0 || query->limit > DOOR_PAGE ? DOOR_PAGE : query->limit;
    l.items = arena_array(arena, l.room + 1, sizeof(*l.items));
    *count = 0;
    *more = false;
    if (!l.items)
        return -ENOMEM;
    if (query->after_id > INT64_MAX)
        return 0;
    int rc = is_everybodys(query) ? 0 : choose_owners(&l, problem);
    rc = rc ? rc : add_forward(&l);
    rc = rc ? rc : add_rows(&l);
    if (rc)
        return rc < 0 ? rc : 0;
    *items = l.items;
    *count = l.count;
    *more = l.more;
    return 0;
}
