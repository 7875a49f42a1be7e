#include "store/door_judge.h"

#include "base/log.h"
#include "store/door_lookup.h"

#include <errno.h>

#define SENDER_LISTS (DOOR_KIND_BIT(DOOR_WHITE) | DOOR_KIND_BIT(DOOR_BLACK))
#define SERVER_LISTS (DOOR_KIND_BIT(DOOR_APPROVED) | DOOR_KIND_BIT(DOOR_DENIED))
#define OWN_LISTS (SENDER_LISTS | DOOR_KIND_BIT(DOOR_KNOWN) | DOOR_KIND_BIT(DOOR_PASSCODE))

struct judge {
    struct door_cache *cache;
    const struct directory *directory;
    const struct door_question *question;
    struct arena *arena;
    struct door_lookup lookup; /* the keys of sender and client, made when first needed */
    struct ruleset *set;       /* scratch, made when first needed */
    size_t bytes, room;        /* of texts; of doors */
};

/* ---- One account's door ---- */

static int write_account_rules(struct judge *j, const struct door_owner *owners, size_t count,
                               const struct door_base *base, struct span *text)
{
    bool any = false;
    int rc = 0;
    if (!j->set && !(j->set = arena_alloc(j->arena, sizeof(*j->set))))
        return -ENOMEM;
    *j->set = *base->set;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = door_rules_put(j->directory->db, &owners[i], j->set, j->arena, &any);
    if (rc != 0 || !any)
        return rc;
    struct buf out;
    buf_init(&out, RULESET_TEXT_MAX);
    ruleset_write(j->set, &out);
    *text = buf_failed(&out) ? (struct span){NULL, 0} : arena_copy(j->arena, buf_span(&out));
    buf_release(&out);
    return text->data ? 0 : -ENOMEM;
}

/* The hits in the lists of everybody above the account. */
static int add_base_hits(struct judge *j, const struct door_base *base, struct list_hit *hits, size_t *count)
{
    const struct door_owner site = {LEVEL_SITE, 0, {"", 0}}, domain = {LEVEL_DOMAIN, base->domain_id, {"", 0}};
    int rc = door_lookup_senders(&j->lookup, &domain, base->kinds & SENDER_LISTS, hits, LIST_HITS_MAX, count);
    rc = rc ? rc
            : door_lookup_senders(&j->lookup, &site, j->cache->site.kinds & SENDER_LISTS, hits, LIST_HITS_MAX, count);
    return rc ? rc : door_lookup_servers(&j->lookup, j->cache, hits, LIST_HITS_MAX, count);
}

static int judge_limited(struct judge *j, const struct door_owner *account, struct span detail,
                         struct judged_door *door)
{
    struct door_item item;
    int rc = door_get(j->directory->db, account, DOOR_ADDRESS, detail, j->arena, &item);
    if (rc <= 0)
        return rc;
    door->limited = true;
    door->limited_expired = item.expires_at != 0 && item.expires_at <= j->question->now;
    door->limited_sender_fits = item.value.size == 0 || door_sender_is_among(item.value, j->question->reverse_path);
    door->only_by_sender &= item.value.size == 0;
    return 0;
}

/* What the account itself has, and its address. `kinds` are those that there are of each. */
static int judge_owner(struct judge *j, const struct door_owner *owner, uint32_t kinds, struct list_hit *hits,
                       size_t *count, struct judged_door *door)
{
    door->only_by_sender &= (kinds & OWN_LISTS) == 0;
    int rc = door_lookup_senders(&j->lookup, owner, kinds & OWN_LISTS & ~DOOR_KIND_BIT(DOOR_PASSCODE), hits,
                                 LIST_HITS_MAX, count);
    if (rc == 0 && (kinds & DOOR_KIND_BIT(DOOR_PASSCODE)))
        rc = door_lookup_passcode(&j->lookup, owner, j->question->passcode, &door->passcode, &door->passcode_name);
    return rc;
}

static int judge_account(struct judge *j, const struct door_base *base, struct span detail, struct judged_door *door,
                         struct list_hit *hits)
{
    struct door_owner owners[2] = {{LEVEL_ACCOUNT, door->account_id, {"", 0}},
                                   {LEVEL_ADDRESS, door->account_id, detail}};
    uint32_t kinds[2] = {0, 0};
    size_t count = detail.size ? 2 : 1, hit_count = 0;
    int rc = door_lookup_kinds(j->directory->db, owners, count, kinds);
    if (rc == 0 && ((kinds[0] | kinds[1]) & DOOR_KIND_BIT(DOOR_RULE)))
        rc = write_account_rules(j, owners, count, base, &door->rules);
    if (rc == 0 && detail.size && (kinds[0] & DOOR_KIND_BIT(DOOR_ADDRESS)))
        rc = judge_limited(j, &owners[0], detail, door);
    /* The narrowest first: where there are too many hits the wider ones are left out. */
    for (size_t i = count; rc == 0 && i-- > 0;)
        rc = judge_owner(j, &owners[i], kinds[i], hits, &hit_count, door);
    rc = rc ? rc : add_base_hits(j, base, hits, &hit_count);
    if (rc == 0 && j->question->passcode.size && door->passcode == PASSCODE_NONE)
        door->passcode = PASSCODE_WRONG;
    door->hits = hits;
    door->hit_count = hit_count;
    return rc;
}

static bool base_is_only_by_sender(const struct judge *j, const struct door_base *base)
{
    uint32_t lists = (base->kinds & SENDER_LISTS) | (j->cache->site.kinds & (SENDER_LISTS | SERVER_LISTS));
    return lists == 0 && j->question->passcode.size == 0 && !j->cache->anybody_protects;
}

static struct span join_address(struct arena *arena, struct span name, struct span domain)
{
    char *text = arena_alloc(arena, name.size + 1 + domain.size);
    if (!text)
        return (struct span){NULL, 0};
    memcpy(text, name.data, name.size);
    text[name.size] = '@';
    memcpy(text + name.size + 1, domain.data, domain.size);
    return span_from(text, name.size + 1 + domain.size);
}

/* What the address as given has behind its separator, where it is an address of this very account. */
static struct span detail_of(const struct judge *j, const struct routing *routing, const struct route_guard *t)
{
    struct span given = routing->local_part;
    size_t plain = directory_plain_size(j->directory, given);
    bool is_own =
        t->domain_id == routing->domain_id && plain + 1 < given.size && span_equal(t->name, span_head(given, plain));
    return is_own ? span_skip(given, plain + 1) : (struct span){"", 0};
}

/* `t` NULL: nobody's door, but the domain's. */
static int judge_target(struct judge *j, const struct routing *routing, const struct route_guard *t,
                        const struct judged_doors *before, struct judged_door *door)
{
    const struct door_base *base;
    int rc = door_cache_domain(j->cache, t ? t->domain_id : routing->domain_id, &base);
    if (rc != 0)
        return rc;
    struct list_hit *hits = arena_array(j->arena, LIST_HITS_MAX, sizeof(*hits));
    *door = (struct judged_door){.rules = base->rules, .only_by_sender = base_is_only_by_sender(j, base)};
    if (!hits)
        return -ENOMEM;
    door->hits = hits;
    if (!t) {
        rc = add_base_hits(j, base, hits, &door->hit_count);
    } else {
        door->account_id = t->account_id;
        door->mailbox_id = t->mailbox_id;
        door->address = join_address(j->arena, t->name, t->domain_name);
        rc = door->address.data ? judge_account(j, base, detail_of(j, routing, t), door, hits) : -ENOMEM;
    }
    for (size_t i = 0; door->rules.size && !door->same_rules && i < before->count; i++)
        if (before->doors[i].rules.data == door->rules.data)
            door->same_rules = (unsigned)i + 1;
    j->bytes += (door->same_rules ? 0 : door->rules.size) + door->address.size + door->passcode_name.size + 64;
    for (size_t i = 0; i < door->hit_count; i++)
        j->bytes += hits[i].entry.size + 16;
    return rc;
}

/* ---- The sender ---- */

/* The account whose address it is: by itself, with a detail, or by an alias that leads to nobody else. */
static int find_sender(struct judge *j, struct route_target *found)
{
    struct directory past = *j->directory;
    struct directory_query query = {.reverse_path = {"", 0}};
    struct directory_domain domain;
    struct routing routing;
    if (!directory_split(j->question->reverse_path, &query.local_part, &query.domain) ||
        j->question->reverse_path.size > DIRECTORY_ADDRESS_MAX)
        return 0;
    struct span home = directory_lower(j->arena, query.domain);
    int rc = home.data ? directory_domain(past.db, home, j->arena, &domain) : -ENOMEM;
    if (rc <= 0)
        return rc;
    past.past_forwarding = true;
    rc = directory_resolve(&past, &query, j->arena, &routing);
    size_t mailboxes = 0;
    for (size_t i = 0; rc == 0 && i < routing.count; i++)
        if (routing.targets[i].kind == TARGET_MAILBOX) {
            *found = routing.targets[i];
            mailboxes++;
        }
    return rc < 0 ? rc : mailboxes == 1;
}

static int judge_sender(struct judge *j, struct judged_doors *out)
{
    struct route_target sender;
    const struct door_base *base;
    bool any = false;
    if (!j->cache->anybody_protects || j->question->reverse_path.size == 0)
        return 0;
    int rc = find_sender(j, &sender);
    if (rc <= 0)
        return rc;
    rc = door_cache_domain(j->cache, sender.domain_id, &base);
    if (rc == 0 && !j->set && !(j->set = arena_alloc(j->arena, sizeof(*j->set))))
        rc = -ENOMEM;
    if (rc != 0)
        return rc;
    *j->set = *base->set;
    struct door_owner owner = {LEVEL_ACCOUNT, sender.account_id, {"", 0}};
    rc = door_rules_put(j->directory->db, &owner, j->set, j->arena, &any);
    const struct rule_value *value = ruleset_get(j->set, "protect-my-address");
    out->sender_protected = span_is(value->text, "on");
    out->sender_protected_level = value->level;
    out->sender_account = join_address(j->arena, sender.name, sender.domain_name);
    return rc ? rc : out->sender_account.data ? 0 : -ENOMEM;
}

/* ---- All of them ---- */

/* From 1; 0: it was not judged yet. */
static unsigned find_door(const struct judged_doors *out, uint64_t account_id)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->doors[i].account_id == account_id)
            return (unsigned)i + 1;
    return 0;
}

/* The door's place, judged where it was not yet; `t` NULL: that of whatever is nobody's. */
static int take_door(struct judge *j, const struct routing *routing, const struct route_guard *t,
                     struct judged_doors *out, unsigned *door)
{
    *door = find_door(out, t ? t->account_id : 0);
    if (*door)
        return 0;
    if (out->count == j->room || j->bytes > DOORS_BYTES_MAX)
        return -E2BIG;
    int rc = judge_target(j, routing, t, out, &out->doors[out->count]);
    *door = (unsigned)++out->count;
    return rc;
}

static size_t chain_size(const struct route_guard *guard)
{
    size_t size = 0;
    for (; guard; guard = guard->outer)
        size++;
    return size;
}

/* Those before `inner`, who has it last. */
static int judge_guards(struct judge *j, const struct routing *routing, const struct route_guard *inner,
                        struct judged_doors *out, struct door_guards *guards)
{
    size_t count = chain_size(inner);
    *guards = (struct door_guards){count ? arena_array(j->arena, count, sizeof(*guards->doors)) : NULL, count};
    int rc = count && !guards->doors ? -ENOMEM : 0;
    for (; rc == 0 && count && inner; inner = inner->outer)
        rc = take_door(j, routing, inner, out, &guards->doors[--count]);
    return rc;
}

/* A target's door is the mailbox's; without one, that of whoever sends it there. */
static int judge_ways(struct judge *j, const struct routing *routing, struct judged_doors *out)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < routing->count; i++) {
        const struct route_target *t = &routing->targets[i];
        const struct route_guard own = {t->account_id, t->mailbox_id, t->domain_id, t->domain_name, t->name, NULL};
        bool is_mailbox = t->kind == TARGET_MAILBOX;
        rc = take_door(j, routing, is_mailbox ? &own : t->by, out, &out->target_doors[i]);
        if (rc == 0)
            rc = judge_guards(j, routing, is_mailbox || !t->by ? t->by : t->by->outer, out, &out->target_guards[i]);
    }
    if (rc == -E2BIG || (rc == 0 && j->bytes > DOORS_BYTES_MAX)) {
        log_write(
            LOG_PROBLEM, "store", NULL,
            "an address leads to more people with rules of their own than one answer has room for, so mail for it "
            "is put off; divide it into several aliases address=%.*s targets=%zu",
            SPAN_ARG(routing->local_part), routing->count);
        rc = -E2BIG;
    }
    return rc;
}

static size_t most_doors(const struct routing *routing)
{
    size_t count = routing->count;
    for (size_t i = 0; i < routing->count && count < DIRECTORY_TARGETS_MAX; i++)
        count += chain_size(routing->targets[i].by);
    return count < DIRECTORY_TARGETS_MAX ? count : DIRECTORY_TARGETS_MAX;
}

int doors_judge(struct door_cache *c, const struct directory *d, const struct door_question *question,
                const struct routing *routing, struct arena *arena, struct judged_doors *out)
{
    struct judge j = {.cache = c, .directory = d, .question = question, .arena = arena};
    *out = (struct judged_doors){.sender_account = {"", 0}};
    int rc = door_cache_refresh(c);
    if (rc != 0)
        return rc;
    door_lookup_init(&j.lookup, d->db, arena, question->now);
    j.lookup.reverse_path = question->reverse_path;
    j.lookup.helo = question->helo;
    j.lookup.ip = question->has_ip ? &question->ip : NULL;
    j.room = most_doors(routing);
    out->doors = arena_array(arena, j.room + 1, sizeof(*out->doors));
    out->target_doors = arena_array(arena, routing->count + 1, sizeof(*out->target_doors));
    out->target_guards = arena_array(arena, routing->count + 1, sizeof(*out->target_guards));
    if (!out->doors || !out->target_doors || !out->target_guards)
        return -ENOMEM;
    rc = judge_ways(&j, routing, out);
    return rc ? rc : judge_sender(&j, out);
}
