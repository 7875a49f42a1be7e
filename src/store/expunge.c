#include "store/core.h"

#include "store/mailbox.h"

#include <errno.h>

int store_message_release(struct store *s, uint64_t message_id)
{
    struct statement *st = database_query(
        s->db, "UPDATE message SET living = living - 1 WHERE id = $1 AND living > 0 RETURNING living, volume, stored",
        "u", message_id);
    int rc = database_step(st);
    uint64_t living = 1, volume = 0, stored = 0;
    if (rc > 0) {
        living = database_u64(st, 0);
        volume = database_u64(st, 1);
        stored = database_u64(st, 2);
    }
    database_end(st);
    if (rc <= 0)
        return rc < 0 ? rc : -EIO;
    if (living > 0)
        return 0;
    return database_run(s->db, "UPDATE volume SET dead_bytes = dead_bytes + $2 WHERE number = $1", "uu", volume,
                        stored);
}

/* 1 when the entry was there. */
static int entry_remove(struct store *s, struct mailbox_state *m, uint32_t uid, struct expunged *item)
{
    struct statement *st =
        database_query(s->db, "DELETE FROM entry WHERE mailbox_id = $1 AND uid = $2 RETURNING message_id, size", "uu",
                       m->id, (uint64_t)uid);
    int rc = database_step(st);
    uint64_t size = 0;
    if (rc > 0) {
        *item = (struct expunged){.uid = uid, .message_id = database_u64(st, 0)};
        size = database_u64(st, 1);
    }
    database_end(st);
    if (rc <= 0)
        return rc;
    /* Counters that are wrong already must not run below zero, where the database would refuse them for ever. */
    m->messages -= m->messages > 0;
    m->bytes -= size < m->bytes ? size : m->bytes;
    m->account->used -= size < m->account->used ? size : m->account->used;
    rc = store_message_release(s, item->message_id);
    return rc == 0 ? 1 : rc;
}

int store_expunge(struct store *s, uint64_t account_id, uint64_t mailbox_id, const uint32_t *uids, size_t count,
                  uint32_t *expunged)
{
    *expunged = 0;
    struct mailbox_state *m;
    int rc = mailbox_get(s, mailbox_id, &m);
    if (rc < 0)
        return store_fail(s, rc);
    if (rc == 0 || m->account->id != account_id)
        return -ENOENT;
    arena_reset(&s->arena);
    struct expunge_facts facts = {.mailbox_id = mailbox_id, .modseq = m->highest_modseq + 1};
    facts.items = arena_array(&s->arena, count + 1, sizeof(*facts.items));
    if (!facts.items || count > RECORD_FACTS_MAX / 16)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        rc = entry_remove(s, m, uids[i], &facts.items[facts.count]);
        if (rc < 0)
            return store_fail(s, rc);
        facts.count += (uint32_t)rc;
    }
    if (facts.count == 0)
        return 0;
    m->highest_modseq++;
    mailbox_touch(s, m);
    expunge_facts_write(&s->facts, &facts);
    struct record_place place;
    rc = store_append(s, RECORD_EXPUNGE, NULL, &place);
    if (rc == 0)
        *expunged = facts.count;
    return rc;
}

int account_entries_release(struct store *s, uint64_t account_id)
{
    struct statement *st = database_query(
        s->db, "SELECT e.message_id FROM mailbox m JOIN entry e ON e.mailbox_id = m.id WHERE m.account_id = $1", "u",
        account_id);
    int rc = 0, released = 0;
    while (released == 0 && (rc = database_step(st)) > 0)
        released = store_message_release(s, database_u64(st, 0));
    database_end(st);
    if (released != 0 || rc < 0)
        return released ? released : rc;
    return database_run(s->db, "DELETE FROM entry WHERE mailbox_id IN (SELECT id FROM mailbox WHERE account_id = $1)",
                        "u", account_id);
}

int store_set_flags(struct store *s, uint64_t mailbox_id, uint32_t uid, uint64_t flags)
{
    struct mailbox_state *m;
    int rc = flags > INT64_MAX ? -EINVAL : mailbox_get(s, mailbox_id, &m);
    if (rc < 0)
        return rc == -EINVAL ? rc : store_fail(s, rc);
    if (rc == 0)
        return -ENOENT;
    struct entry_facts facts = {.mailbox_id = mailbox_id, .uid = uid, .modseq = m->highest_modseq + 1, .flags = flags};
    rc = database_find(
        s->db, &facts.message_id,
        "UPDATE entry SET flags = $3, modseq = $4 WHERE mailbox_id = $1 AND uid = $2 RETURNING message_id", "uuuu",
        mailbox_id, (uint64_t)uid, flags, facts.modseq);
    if (rc < 0)
        return store_fail(s, rc);
    if (rc == 0)
        return -ENOENT;
    m->highest_modseq++;
    mailbox_touch(s, m);
    entry_facts_write(&s->facts, &facts);
    struct record_place place;
    return store_append(s, RECORD_ENTRY, NULL, &place);
}
