#include "store/directory.h"

#include "format/srs.h"
#include "format/verp.h"

#include <errno.h>

#define ADDRESS_BYTES (2 * DIRECTORY_ADDRESS_MAX + 4)

/* An alias that was followed. Those that are still being followed form the way to where the walk is. */
struct step {
    uint64_t domain_id;
    struct span local_part;
    const struct place *place; /* while it is open */
    const struct route_guard *by;
    bool is_open, keeps_copy;
};

struct resolver {
    const struct directory *directory;
    const struct directory_query *query;
    struct arena *arena;
    struct routing *routing;
    struct step *steps; /* made with the first alias: most addresses are accounts' */
    size_t step_count, target_room;
    struct span sender; /* the reverse path in lower case, made when first asked for */
    bool found, any_enabled, any_room, is_refused;
    const struct route_guard *by; /* who forwards what is being looked up */
    bool is_passing_by;           /* query->sent_on_to: what is found on the way is no target */
};

/* An address on its way: where it is looked up. */
struct place {
    struct directory_domain domain;
    struct span local_part; /* lower case */
    struct span forwarder;  /* of ours, empty where nobody sent it on */
    int depth;
};

/* ---- Targets ---- */

/* Room for one target more; most addresses have just one. */
static bool make_room(struct resolver *r)
{
    if (r->routing->count < r->target_room)
        return true;
    size_t room = r->target_room ? DIRECTORY_TARGETS_MAX : 1;
    struct route_target *targets = arena_array(r->arena, room, sizeof(*targets));
    if (!targets)
        return false;
    for (size_t i = 0; i < r->routing->count; i++)
        targets[i] = r->routing->targets[i];
    r->routing->targets = targets;
    r->target_room = room;
    return true;
}

/* Two people who forward to one place want one copy there, though each has a door before it. */
static bool is_same(const struct resolver *r, const struct route_target *a, const struct route_target *b)
{
    return (!r->query->each_way || a->by == b->by) && a->kind == b->kind && a->account_id == b->account_id &&
           a->list_id == b->list_id && span_equal(a->address, b->address);
}

/* Whoever keeps a copy is not asked twice. */
static const struct route_guard *guard_of(const struct resolver *r, const struct route_target *target)
{
    bool is_own = target->kind == TARGET_MAILBOX && r->by && r->by->account_id == target->account_id;
    return is_own ? r->by->outer : r->by;
}

/* 1, or -ENOMEM. */
static int add_target(struct resolver *r, struct route_target *target, bool enabled)
{
    if (r->is_passing_by)
        return 1;
    target->by = guard_of(r, target);
    r->found = true;
    r->any_enabled |= enabled;
    if (!enabled)
        return 1;
    r->any_room |= target->kind != TARGET_MAILBOX || target->quota_left > 0;
    for (size_t i = 0; i < r->routing->count; i++)
        if (is_same(r, &r->routing->targets[i], target))
            return 1;
    if (r->routing->count == DIRECTORY_TARGETS_MAX)
        return 1;
    if (!make_room(r))
        return -ENOMEM;
    r->routing->targets[r->routing->count++] = *target;
    return 1;
}

static int add_sender_on(struct resolver *r);

static int add_remote(struct resolver *r, struct span local_part, struct span domain, struct span forwarder,
                      struct span next_hop, bool verify)
{
    size_t size = local_part.size + 1 + domain.size;
    char *address = arena_alloc(r->arena, size);
    if (!address)
        return -ENOMEM;
    memcpy(address, local_part.data, local_part.size);
    address[local_part.size] = '@';
    memcpy(address + local_part.size + 1, domain.data, domain.size);
    if (r->is_passing_by && span_equal_nocase(span_from(address, size), r->query->sent_on_to))
        return add_sender_on(r);
    struct route_target target = {.kind = TARGET_REMOTE,
                                  .address = span_from(address, size),
                                  .forwarder = forwarder,
                                  .next_hop = next_hop,
                                  .verify = verify};
    return add_target(r, &target, true);
}

/* ---- What may stand at an address. Each gives 1 when it is there, 0 when not, or a negative errno. ---- */

static int lookup(struct resolver *r, struct span address, struct span forwarder, int depth);

static int try_account(struct resolver *r, const struct place *p, struct span local_part)
{
    struct statement *st = database_query(
        r->directory->db,
        "SELECT a.id, a.enabled, a.quota, m.id,"
        " CASE a.quota WHEN 0 THEN 0 ELSE (SELECT SUM(o.bytes) FROM mailbox o WHERE o.account_id = a.id) END"
        " FROM account a JOIN mailbox m ON m.account_id = a.id AND m.name = 'INBOX'"
        " WHERE a.domain_id = $1 AND a.local_part = $2",
        "ut", p->domain.id, local_part);
    int rc = database_step(st);
    if (rc > 0) {
        uint64_t quota = database_u64(st, 2), used = database_u64(st, 4);
        struct route_target target = {.account_id = database_u64(st, 0),
                                      .mailbox_id = database_u64(st, 3),
                                      .domain_id = p->domain.id,
                                      .domain_name = p->domain.name,
                                      .name = local_part};
        target.quota_left = quota == 0 ? UINT64_MAX : used < quota ? quota - used : 0;
        rc = add_target(r, &target, database_u64(st, 1) != 0);
    }
    database_end(st);
    return rc;
}

/* The walk is where mail was sent on to: the last account on the way has it. 1, or a negative errno. */
static int add_sender_on(struct resolver *r)
{
    int rc = 0;
    r->is_passing_by = false;
    for (size_t i = r->step_count; rc == 0 && i-- > 0;)
        if (r->steps[i].is_open)
            rc = try_account(r, r->steps[i].place, r->steps[i].local_part);
    r->is_passing_by = true;
    return rc < 0 ? rc : 1;
}

/* Nobody sends it on there any more: whose is the address itself? */
static int add_namesake(struct resolver *r, const struct place *p)
{
    size_t plain = directory_plain_size(r->directory, p->local_part);
    r->is_passing_by = false;
    int rc = try_account(r, p, p->local_part);
    if (rc == 0 && plain < p->local_part.size)
        rc = try_account(r, p, span_head(p->local_part, plain));
    return rc < 0 ? rc : 0;
}

/* 1, or a negative errno. */
static int read_targets(struct resolver *r, uint64_t alias, const struct span **targets, size_t *count)
{
    uint64_t most = 0;
    int rc =
        database_find(r->directory->db, &most, "SELECT COUNT(*) FROM alias_target WHERE alias_id = $1", "u", alias);
    most = most < DIRECTORY_TARGETS_MAX ? most : DIRECTORY_TARGETS_MAX;
    struct span *made = rc < 0 ? NULL : arena_array(r->arena, most + 1, sizeof(*made));
    if (!made)
        return rc < 0 ? rc : -ENOMEM;
    *targets = made;
    struct statement *st = database_query(
        r->directory->db, "SELECT address FROM alias_target WHERE alias_id = $1 ORDER BY place", "u", alias);
    while (*count < most && (rc = database_step(st)) > 0) {
        made[*count] = arena_copy(r->arena, database_bytes(st, 0));
        if (!made[(*count)++].data) {
            rc = -ENOMEM;
            break;
        }
    }
    database_end(st);
    return rc < 0 ? rc : 1;
}

/* The targets of an alias. 1, 0, or a negative errno. */
static int find_alias(struct resolver *r, const struct place *p, struct span local_part, const struct span **targets,
                      size_t *count)
{
    const struct directory_alias *pending = r->directory->pending;
    if (pending && pending->domain_id == p->domain.id && span_equal(pending->local_part, local_part)) {
        *targets = pending->targets;
        *count = pending->target_count;
        return 1;
    }
    uint64_t alias;
    int rc = database_find(r->directory->db, &alias, "SELECT id FROM alias WHERE domain_id = $1 AND local_part = $2",
                           "ut", p->domain.id, local_part);
    return rc <= 0 ? rc : read_targets(r, alias, targets, count);
}

/* The alias was followed before. Where that is still under way the walk runs in a circle: mail would go nowhere, unless
 * somebody on that circle keeps a copy. */
static void note_circle(struct resolver *r, size_t from)
{
    bool keeps_copy = !r->steps[from].is_open;
    for (size_t i = from; i < r->step_count; i++)
        keeps_copy |= r->steps[i].is_open && r->steps[i].keeps_copy;
    r->routing->is_loop |= !keeps_copy;
}

static bool is_of(struct span target, const struct place *p, struct span local_part)
{
    struct span name, domain;
    return directory_split(target, &name, &domain) && span_equal(name, local_part) &&
           span_equal(domain, p->domain.name);
}

/* Is it an account's own address that the alias has: does that person forward? */
static int note_forwarder(struct resolver *r, const struct place *p, struct span local_part)
{
    struct statement *st = database_query(r->directory->db,
                                          "SELECT a.id, m.id FROM account a JOIN mailbox m ON m.account_id = a.id AND"
                                          " m.name = 'INBOX' WHERE a.domain_id = $1 AND a.local_part = $2",
                                          "ut", p->domain.id, local_part);
    int rc = database_step(st);
    struct route_guard *by = rc > 0 ? arena_alloc(r->arena, sizeof(*by)) : NULL;
    if (by)
        *by = (struct route_guard){database_u64(st, 0), database_u64(st, 1), p->domain.id,
                                   p->domain.name,      local_part,          r->by};
    else if (rc > 0)
        rc = -ENOMEM;
    r->by = by ? by : r->by;
    database_end(st);
    return rc < 0 ? rc : 1;
}

static int follow(struct resolver *r, const struct place *p, struct span local_part, const struct span *targets,
                  size_t count)
{
    const struct route_guard *before = r->by;
    struct step *step = &r->steps[r->step_count++];
    *step =
        (struct step){.domain_id = p->domain.id, .local_part = local_part, .place = p, .by = before, .is_open = true};
    for (size_t i = 0; i < count; i++)
        step->keeps_copy |= is_of(targets[i], p, local_part);
    int rc = r->directory->past_forwarding ? try_account(r, p, local_part) : 1;
    rc = rc < 0 ? rc : note_forwarder(r, p, local_part);
    for (size_t i = 0; rc >= 0 && i < count; i++)
        rc = is_of(targets[i], p, local_part) ? try_account(r, p, local_part)
                                              : lookup(r, targets[i], p->domain.name, p->depth + 1);
    step->is_open = false;
    r->by = before;
    return rc < 0 ? rc : 1;
}

/* Was it followed, so that it is not to be again? Somebody else who forwards there is a way of its own, as long as
 * there is room for the step. */
static bool was_followed(struct resolver *r, const struct place *p, struct span local_part)
{
    bool is_known = false;
    for (size_t i = 0; i < r->step_count; i++) {
        const struct step *step = &r->steps[i];
        if (step->domain_id != p->domain.id || !span_equal(step->local_part, local_part))
            continue;
        if (step->is_open)
            note_circle(r, i);
        is_known |= step->is_open || !r->query->each_way || step->by == r->by || r->step_count == DIRECTORY_TARGETS_MAX;
    }
    return is_known;
}

static int try_alias(struct resolver *r, const struct place *p, struct span local_part)
{
    const struct span *targets = NULL;
    size_t count = 0;
    if (was_followed(r, p, local_part))
        return 1;
    int rc = find_alias(r, p, local_part, &targets, &count);
    if (rc <= 0)
        return rc;
    if (p->depth >= DIRECTORY_ALIAS_DEPTH || r->step_count == DIRECTORY_TARGETS_MAX) {
        r->routing->is_loop = true;
        return 1;
    }
    if (!r->steps && !(r->steps = arena_array(r->arena, DIRECTORY_TARGETS_MAX, sizeof(*r->steps))))
        return -ENOMEM;
    return follow(r, p, local_part, targets, count);
}

/* ---- Mailing lists ---- */

struct list_row {
    uint64_t id, posting; /* 0 everybody, 1 members, 2 the owner */
    struct span owner;
};

static int find_list(struct resolver *r, const struct place *p, struct span local_part, struct list_row *list)
{
    struct statement *st =
        database_query(r->directory->db, "SELECT id, posting, owner FROM list WHERE domain_id = $1 AND local_part = $2",
                       "ut", p->domain.id, local_part);
    int rc = database_step(st);
    if (rc > 0) {
        *list =
            (struct list_row){database_u64(st, 0), database_u64(st, 1), arena_copy(r->arena, database_bytes(st, 2))};
        rc = list->owner.data ? 1 : -ENOMEM;
    }
    database_end(st);
    return rc;
}

/* May the sender post? What has no sender is a bounce or an answer of a machine, and never a post. */
static int may_post(struct resolver *r, const struct list_row *list)
{
    uint64_t number;
    if (r->query->reverse_path.size == 0)
        return 0;
    if (list->posting == 0)
        return 1;
    if (!r->sender.data && !(r->sender = directory_lower(r->arena, r->query->reverse_path)).data)
        return -ENOMEM;
    if (list->owner.size && span_equal(r->sender, list->owner))
        return 1;
    if (list->posting != 1)
        return 0;
    return database_find(r->directory->db, &number,
                         "SELECT number FROM list_member WHERE list_id = $1 AND address = $2", "ut", list->id,
                         r->sender);
}

/* A bounce of a list's copy. One whose hash is not ours is nobody's, not even that of who catches all: a stranger wants
 * a member suspended. */
static int try_bounce(struct resolver *r, const struct place *p, struct span local_part)
{
    struct verp verp;
    struct list_row list;
    if (!r->directory->srs_key.size || !verp_parse(local_part, &verp))
        return 0;
    int rc = find_list(r, p, verp.list, &list);
    if (rc <= 0 || !verp_is_right(&verp, p->domain.name, r->directory->srs_key))
        return rc;
    struct route_target target = {.kind = TARGET_LIST_BOUNCE, .list_id = list.id, .list_member = verp.member};
    return add_target(r, &target, true);
}

static int try_owner(struct resolver *r, const struct place *p, struct span local_part)
{
    static const struct span mark = SPAN("-owner");
    struct list_row list;
    if (local_part.size <= mark.size || !span_ends_nocase(local_part, mark) || p->depth >= DIRECTORY_ALIAS_DEPTH)
        return 0;
    int rc = find_list(r, p, span_head(local_part, local_part.size - mark.size), &list);
    if (rc <= 0 || list.owner.size == 0)
        return rc < 0 ? rc : 0;
    return lookup(r, list.owner, p->domain.name, p->depth + 1);
}

static int try_list(struct resolver *r, const struct place *p, struct span local_part)
{
    struct list_row list;
    int rc = find_list(r, p, local_part, &list);
    if (rc == 0)
        rc = try_bounce(r, p, local_part);
    else if (rc > 0) {
        rc = may_post(r, &list);
        if (rc > 0)
            return add_target(r, &(struct route_target){.kind = TARGET_LIST, .list_id = list.id}, true);
        r->is_refused |= rc == 0;
        return rc < 0 ? rc : 1;
    }
    return rc != 0 ? rc : try_owner(r, p, local_part);
}

/* ---- The order ---- */

static int lookup_exact(struct resolver *r, const struct place *p, struct span local_part)
{
    int rc = try_alias(r, p, local_part);
    rc = rc != 0 ? rc : try_account(r, p, local_part);
    return rc != 0 ? rc : try_list(r, p, local_part);
}

/* RFC 2142 section 4: complaints reach somebody in every domain of ours that has a postmaster. */
static int lookup_abuse(struct resolver *r, const struct place *p, size_t plain)
{
    bool is_abuse = span_is(span_head(p->local_part, plain), "abuse");
    return is_abuse && p->domain.kind == 0 ? lookup_exact(r, p, (struct span)SPAN("postmaster")) : 0;
}

/* Names that nobody has. */
static int lookup_rest(struct resolver *r, const struct place *p)
{
    int rc = try_alias(r, p, (struct span){"", 0});
    if (rc != 0 || (p->domain.kind == 0 && p->domain.next_hop.size == 0))
        return rc;
    return add_remote(r, p->local_part, p->domain.name, p->forwarder, p->domain.next_hop, p->domain.next_hop.size > 0);
}

static int lookup_in(struct resolver *r, const struct place *p)
{
    size_t plain = directory_plain_size(r->directory, p->local_part);
    int rc = lookup_exact(r, p, p->local_part);
    if (rc == 0 && plain < p->local_part.size)
        rc = lookup_exact(r, p, span_head(p->local_part, plain));
    rc = rc != 0 ? rc : lookup_rest(r, p);
    return rc != 0 ? rc : lookup_abuse(r, p, plain);
}

/* An address that an alias or a list names. */
static int lookup(struct resolver *r, struct span address, struct span forwarder, int depth)
{
    struct place p = {.forwarder = forwarder, .depth = depth};
    struct span name, domain;
    if (!directory_split(address, &name, &domain))
        return 0;
    p.local_part = directory_lower(r->arena, name);
    struct span home = directory_lower(r->arena, domain);
    if (!p.local_part.data || !home.data)
        return -ENOMEM;
    int rc = directory_domain(r->directory->db, home, r->arena, &p.domain);
    return rc < 0 ? rc : rc == 0 ? add_remote(r, name, home, forwarder, (struct span){"", 0}, false) : lookup_in(r, &p);
}

/* A bounce to an address that the courier made. 1: its way is known, or there is none; 0: it is an ordinary name. */
static int lookup_srs(struct resolver *r, const struct place *p)
{
    struct buf address;
    if (r->directory->srs_key.size == 0 || p->domain.kind != 0)
        return 0;
    buf_init(&address, ADDRESS_BYTES);
    /* As it was given: the sender's local part keeps its case. */
    enum srs_result result =
        srs_reverse(r->query->local_part, r->directory->srs_key, r->directory->wall_seconds, &address);
    int rc = result != SRS_NONE;
    if (result == SRS_RIGHT && !buf_failed(&address)) {
        struct span copy = arena_copy(r->arena, buf_span(&address));
        rc = copy.data ? lookup(r, copy, (struct span){"", 0}, 1) : -ENOMEM;
        rc = rc < 0 ? rc : 1;
    }
    buf_release(&address);
    return rc;
}

/* <postmaster> without a domain: RFC 5321 section 4.5.1. */
static int bare_domain(const struct directory *d, struct arena *arena, struct span *domain)
{
    *domain = directory_lower(arena, d->default_domain);
    if (domain->size)
        return 1;
    struct statement *st =
        database_query(d->db, "SELECT name FROM domain WHERE kind = 0 AND alias_of = 0 ORDER BY id LIMIT 1", "");
    int rc = database_step(st);
    if (rc > 0)
        *domain = arena_copy(arena, database_bytes(st, 0));
    database_end(st);
    return rc;
}

/* A list that refuses the sender among other targets refuses the address: who writes to it is to hear that not all of
 * them get it, and hears it in the conversation rather than by a report to a sender who may be forged. But what nobody
 * sent (a bounce) goes to the others: there is nobody to hear it, and it is never a post. */
static enum route decide(const struct resolver *r)
{
    if (r->is_refused && r->query->reverse_path.size && !r->query->sent_on_to.size)
        return ROUTED_LIST_REFUSES;
    if (r->any_enabled)
        return r->any_room ? ROUTED_LOCAL : ROUTED_OVER_QUOTA;
    return r->is_refused ? ROUTED_LIST_REFUSES : r->found ? ROUTED_DISABLED : ROUTED_NO_USER;
}

int directory_resolve(const struct directory *d, const struct directory_query *query, struct arena *arena,
                      struct routing *routing)
{
    *routing = (struct routing){.route = ROUTED_NOT_OURS};
    if (query->local_part.size > DIRECTORY_ADDRESS_MAX || query->domain.size > DIRECTORY_ADDRESS_MAX ||
        query->reverse_path.size > 2 * DIRECTORY_ADDRESS_MAX)
        return 0;
    struct resolver *r = arena_alloc(arena, sizeof(*r));
    if (!r)
        return -ENOMEM;
    *r = (struct resolver){.directory = d, .query = query, .arena = arena, .routing = routing};
    r->is_passing_by = query->sent_on_to.size > 0;
    struct place p = {.local_part = directory_lower(arena, query->local_part), .forwarder = {"", 0}};
    struct span home = directory_lower(arena, query->domain);
    if (!p.local_part.data || !home.data)
        return -ENOMEM;
    if (home.size == 0) {
        int rc = span_is(p.local_part, "postmaster") ? bare_domain(d, arena, &home) : 0;
        if (rc <= 0)
            return rc;
    }
    int rc = directory_domain(d->db, home, arena, &p.domain);
    if (rc <= 0)
        return rc;
    routing->domain_id = p.domain.id;
    routing->local_part = p.local_part;
    rc = lookup_srs(r, &p);
    if (rc == 0 && p.local_part.size)
        rc = lookup_in(r, &p);
    if (rc >= 0 && r->is_passing_by && !r->found)
        rc = add_namesake(r, &p);
    if (rc < 0)
        return rc;
    routing->route = decide(r);
    if (routing->route != ROUTED_LOCAL && routing->route != ROUTED_OVER_QUOTA)
        routing->count = 0;
    return 0;
}
