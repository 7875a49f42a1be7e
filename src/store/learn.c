#include "store/learn.h"

#include "base/clock.h"
#include "store/door.h"

#include <errno.h>

#define SETTING "white-list.learn"
#define FORGET_AT_ONCE 100
/* Who is written to often is noted again now and then, so that the oldest are those who were not written to. */
#define NOTED_AGAIN (30ull * 86400 * NANOSECONDS)

static bool is_on_by_default(void)
{
    unsigned rule, parameter;
    return rule_parameter_find(span_text(SETTING), &rule, &parameter) &&
           strcmp(rules[rule].parameters[parameter].fallback, "on") == 0;
}

/* 1, 0 or a negative errno. */
static int is_on(struct store *s, uint64_t account_id)
{
    struct span value;
    int rc = door_setting(s->db, account_id, SETTING, &s->arena, &value);
    return rc < 0 ? rc : rc > 0 ? span_is(value, "on") : is_on_by_default();
}

static int forget_oldest(struct store *s, uint64_t account_id)
{
    uint64_t count = 0, ids[FORGET_AT_ONCE];
    size_t found = 0;
    int rc = database_find(
        s->db, &count, "SELECT COUNT(*) FROM door_item WHERE owner_id = $1 AND level = 2 AND detail = '' AND kind = 4",
        "u", account_id);
    if (rc < 0 || count < LEARN_MAX)
        return rc < 0 ? rc : 0;
    struct statement *st =
        database_query(s->db,
                       "SELECT id FROM door_item WHERE owner_id = $1 AND level = 2 AND detail = '' AND kind = 4"
                       " ORDER BY set_at, id LIMIT $2",
                       "uu", account_id, (uint64_t)FORGET_AT_ONCE);
    while (found < FORGET_AT_ONCE && (rc = database_step(st)) > 0)
        ids[found++] = database_u64(st, 0);
    database_end(st);
    for (size_t i = 0; rc >= 0 && i < found; i++)
        rc = door_remove(s, ids[i]);
    return rc < 0 ? rc : 0;
}

static int learn_one(struct store *s, uint64_t account_id, struct span address)
{
    struct door_owner owner = {LEVEL_ACCOUNT, account_id, {"", 0}};
    struct span name, value;
    struct door_item item;
    struct buf unsaid;
    buf_init(&unsaid, 4096);
    bool good =
        door_item_check(DOOR_KNOWN, LEVEL_ACCOUNT, address, (struct span){"", 0}, &s->arena, &name, &value, &unsaid);
    buf_release(&unsaid);
    /* An address that no list can hold is not learned; its mail goes all the same. */
    if (!good)
        return 0;
    uint64_t now = clock_steady();
    int rc = door_get(s->db, &owner, DOOR_KNOWN, name, &s->arena, &item);
    if (rc < 0 || (rc > 0 && now < item.set_at + NOTED_AGAIN))
        return rc < 0 ? rc : 0;
    if (rc == 0) {
        item = (struct door_item){.kind = DOOR_KNOWN,
                                  .level = LEVEL_ACCOUNT,
                                  .owner_id = account_id,
                                  .detail = {"", 0},
                                  .name = name,
                                  .value = value,
                                  .set_by = span_text("learned")};
        rc = forget_oldest(s, account_id);
    }
    item.set_at = now;
    return rc < 0 ? rc : door_put(s, &item);
}

static bool is_letter(const struct delivery *d)
{
    for (size_t i = 0; i < d->recipient_count && i < LEARN_RECIPIENTS_MAX; i++)
        if (d->recipients[i].kind == DELIVERY_LIST)
            return false;
    return d->facts.sender_account_id != 0 && d->facts.reverse_path.size > 0 && !d->automatic && d->result_count == 0 &&
           d->recipient_count <= LEARN_RECIPIENTS_MAX;
}

int learn_recipients(struct store *s, const struct delivery *d)
{
    int rc = is_letter(d) ? is_on(s, d->facts.sender_account_id) : 0;
    if (rc <= 0)
        return rc < 0 ? store_fail(s, rc) : 0;
    rc = 0;
    for (size_t i = 0; rc == 0 && i < d->recipient_count; i++)
        if (d->recipients[i].outcome == DELIVERY_STORED)
            rc = learn_one(s, d->facts.sender_account_id, d->recipients[i].address);
    return rc ? store_fail(s, rc) : 0;
}
