#include "store/mailbox.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define STATES_MAX 100000 /* a few dozen megabytes */

static struct span key_of(const uint64_t *id)
{
    return span_from(id, sizeof(*id));
}

/* `st` stands on a row of the query in mailbox_get. */
static struct account_state *account_load(struct store *s, struct statement *st)
{
    uint64_t id = database_u64(st, 7);
    struct account_state *account = map_get(&s->accounts, key_of(&id));
    if (account)
        return account;
    struct span local_part = database_bytes(st, 10), domain = database_bytes(st, 11);
    account = calloc(1, sizeof(*account) + local_part.size + 1 + domain.size + 1);
    if (!account)
        return NULL;
    char *address = (char *)(account + 1);
    memcpy(address, local_part.data, local_part.size);
    address[local_part.size] = '@';
    memcpy(address + local_part.size + 1, domain.data, domain.size);
    account->id = id;
    account->quota = database_u64(st, 8);
    account->used = database_u64(st, 9);
    account->address = span_from(address, local_part.size + 1 + domain.size);
    if (map_put(&s->accounts, key_of(&id), account) != 0) {
        free(account);
        return NULL;
    }
    return account;
}

static int mailbox_load(struct store *s, struct statement *st, uint64_t id, struct mailbox_state **mailbox)
{
    struct account_state *account = account_load(s, st);
    struct span name = database_bytes(st, 6);
    struct mailbox_state *m = account ? calloc(1, sizeof(*m) + name.size + 1) : NULL;
    if (!m)
        return -ENOMEM;
    char *name_copy = (char *)(m + 1);
    if (name.size)
        memcpy(name_copy, name.data, name.size);
    list_init(&m->dirty);
    m->id = id;
    m->uidvalidity = (uint32_t)database_u64(st, 0);
    m->uidnext = (uint32_t)database_u64(st, 1);
    m->highest_modseq = database_u64(st, 2);
    m->special_use = (uint32_t)database_u64(st, 3);
    m->messages = database_u64(st, 4);
    m->bytes = database_u64(st, 5);
    m->name = span_from(name_copy, name.size);
    m->account = account;
    int rc = map_put(&s->mailboxes, key_of(&id), m);
    if (rc != 0)
        free(m);
    else
        *mailbox = m;
    return rc;
}

int mailbox_get(struct store *s, uint64_t id, struct mailbox_state **mailbox)
{
    *mailbox = map_get(&s->mailboxes, key_of(&id));
    if (*mailbox)
        return 1;
    if (id == 0 || id > INT64_MAX)
        return 0;
    /* What the cache knows and has not written yet counts for the account's sum. */
    int rc = mailboxes_flush(s);
    if (rc != 0)
        return rc;
    struct statement *st = database_query(
        s->db,
        "SELECT m.uidvalidity, m.uidnext, m.highest_modseq, m.special_use, m.messages, m.bytes, m.name, a.id, a.quota,"
        " (SELECT COALESCE(SUM(o.bytes), 0) FROM mailbox o WHERE o.account_id = a.id), a.local_part, d.name"
        " FROM mailbox m JOIN account a ON a.id = m.account_id JOIN domain d ON d.id = a.domain_id WHERE m.id = $1",
        "u", id);
    rc = database_step(st);
    if (rc > 0) {
        int loaded = mailbox_load(s, st, id, mailbox);
        rc = loaded < 0 ? loaded : 1;
    }
    database_end(st);
    return rc;
}

void mailbox_touch(struct store *s, struct mailbox_state *m)
{
    if (m->is_dirty)
        return;
    m->is_dirty = true;
    list_append(&s->dirty, &m->dirty);
}

int mailboxes_flush(struct store *s)
{
    struct list_node *node;
    while ((node = list_take_first(&s->dirty)) != NULL) {
        struct mailbox_state *m = container_of(node, struct mailbox_state, dirty);
        m->is_dirty = false;
        int rc = database_run(
            s->db, "UPDATE mailbox SET uidnext = $2, highest_modseq = $3, messages = $4, bytes = $5 WHERE id = $1",
            "uuuuu", m->id, (uint64_t)m->uidnext, m->highest_modseq, m->messages, m->bytes);
        if (rc != 0)
            return store_fail(s, rc);
    }
    return 0;
}

void mailboxes_trim(struct store *s)
{
    if (s->mailboxes.count > STATES_MAX)
        mailboxes_clear(s);
}

void mailboxes_clear(struct store *s)
{
    struct map *maps[2] = {&s->mailboxes, &s->accounts};
    for (int i = 0; i < 2; i++) {
        size_t position = 0;
        struct span key;
        void *value;
        while (map_next(maps[i], &position, &key, &value))
            free(value);
        map_release(maps[i]);
        map_init(maps[i]);
    }
    list_init(&s->dirty);
}

/* Rises also when a mailbox of that name is made again within a second, or the clock went back: RFC 3501
 * section 2.3.1.1. */
static int next_uidvalidity(struct store *s, uint64_t *uidvalidity)
{
    uint64_t last = 0, now = clock_steady() / NANOSECONDS;
    int rc = database_find(s->db, &last, "SELECT value FROM meta WHERE name = 'uidvalidity'", "");
    if (rc < 0)
        return rc;
    *uidvalidity = now > last ? now : last + 1;
    return database_run(s->db,
                        "INSERT INTO meta (name, value) VALUES ('uidvalidity', $1)"
                        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                        "u", *uidvalidity);
}

int mailbox_create(struct store *s, uint64_t account_id, struct span name, uint32_t special_use, uint64_t *id)
{
    uint64_t uidvalidity;
    int rc = next_uidvalidity(s, &uidvalidity);
    if (rc != 0)
        return store_fail(s, rc);
    struct mailbox_facts facts = {.id = s->volumes.lsn,
                                  .account_id = account_id,
                                  .name = name,
                                  .uidvalidity = (uint32_t)uidvalidity,
                                  .uidnext = 1,
                                  .special_use = special_use,
                                  .highest_modseq = 1};
    mailbox_facts_write(&s->facts, &facts);
    struct record_place place;
    rc = store_append(s, RECORD_MAILBOX, NULL, &place);
    if (rc != 0)
        return rc;
    *id = place.lsn;
    rc = database_run(
        s->db,
        "INSERT INTO mailbox (id, account_id, name, uidvalidity, uidnext, highest_modseq, special_use, messages, bytes)"
        " VALUES ($1, $2, $3, $4, 1, 1, $5, 0, 0)",
        "uutuu", *id, account_id, name, uidvalidity, (uint64_t)special_use);
    return rc == 0 ? 0 : store_fail(s, rc);
}

static int keywords_read(struct store *s, uint64_t id, struct mailbox_facts *facts)
{
    facts->keywords = arena_array(&s->arena, KEYWORDS_MAX, sizeof(*facts->keywords));
    if (!facts->keywords)
        return -ENOMEM;
    struct statement *st =
        database_query(s->db, "SELECT bit, name FROM keyword WHERE mailbox_id = $1 ORDER BY bit", "u", id);
    int rc;
    while ((rc = database_step(st)) > 0) {
        uint64_t bit = database_u64(st, 0);
        if (bit >= KEYWORDS_MAX)
            continue;
        facts->keywords[bit] = arena_copy(&s->arena, database_bytes(st, 1));
        facts->keyword_count = (uint32_t)bit + 1;
    }
    database_end(st);
    return rc;
}

int mailbox_log(struct store *s, uint64_t id)
{
    struct mailbox_state *m;
    int rc = mailbox_get(s, id, &m);
    if (rc <= 0)
        return rc;
    struct mailbox_facts facts = {.id = id,
                                  .account_id = m->account->id,
                                  .name = m->name,
                                  .uidvalidity = m->uidvalidity,
                                  .uidnext = m->uidnext,
                                  .special_use = m->special_use,
                                  .highest_modseq = m->highest_modseq};
    rc = keywords_read(s, id, &facts);
    if (rc != 0)
        return rc;
    mailbox_facts_write(&s->facts, &facts);
    struct record_place place;
    return store_append(s, RECORD_MAILBOX, NULL, &place);
}
