#include "store/replay.h"

#include "store/directory.h"
#include "store/door.h"
#include "store/queue.h"
#include "store/remote_seen.h"

#include <errno.h>

static int note_removed(struct replay *r, uint64_t id)
{
    return map_put(&r->removed, span_from(&id, sizeof(id)), r);
}

static bool is_removed(const struct replay *r, uint64_t id)
{
    return map_get(&r->removed, span_from(&id, sizeof(id))) != NULL;
}

/* ---- Pass 1 ---- */

static int put_domain(struct replay *r, const struct domain_facts *f)
{
    int rc = database_run(r->db, "DELETE FROM domain WHERE name = $2 AND id <> $1", "ut", f->id, f->name);
    return rc ? rc
              : database_run(r->db,
                             "INSERT INTO domain (id, name, kind, alias_of, next_hop) VALUES ($1, $2, $3, $4, $5)"
                             " ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind,"
                             " alias_of = excluded.alias_of, next_hop = excluded.next_hop",
                             "utuut", f->id, f->name, (uint64_t)f->kind, f->alias_of, f->next_hop);
}

static int replay_domain(struct replay *r, const struct record *record)
{
    struct domain_facts f;
    return domain_facts_parse(record->facts, &f) ? put_domain(r, &f) : -EBADMSG;
}

static int remove_account(struct replay *r, uint64_t id)
{
    static const char *const statements[] = {
        "DELETE FROM keyword WHERE mailbox_id IN (SELECT id FROM mailbox WHERE account_id = $1)",
        "DELETE FROM mailbox WHERE account_id = $1",
        "DELETE FROM credential WHERE account_id = $1",
        "DELETE FROM account WHERE id = $1",
    };
    int rc = note_removed(r, id);
    for (size_t i = 0; rc == 0 && i < sizeof(statements) / sizeof(statements[0]); i++)
        rc = database_run(r->db, statements[i], "u", id);
    return rc ? rc : door_forget_account(r->db, id);
}

/* A name can only be one's: an older claim is of something whose removal is logged elsewhere. */
static int free_address(struct replay *r, uint64_t id, uint64_t domain_id, struct span local_part)
{
    uint64_t older;
    int rc =
        database_find(r->db, &older, "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2 AND id <> $3",
                      "utu", domain_id, local_part, id);
    return rc <= 0 ? rc : remove_account(r, older);
}

static int put_account(struct replay *r, const struct account_facts *f)
{
    int rc = free_address(r, f->id, f->domain_id, f->local_part);
    if (rc == 0)
        rc = database_run(
            r->db,
            "INSERT INTO account (id, domain_id, local_part, name, enabled, quota, created_at, version)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET domain_id = excluded.domain_id,"
            " local_part = excluded.local_part, name = excluded.name, enabled = excluded.enabled, quota = "
            "excluded.quota,"
            " created_at = excluded.created_at, version = excluded.version",
            "uuttuuuu", f->id, f->domain_id, f->local_part, f->name, (uint64_t)f->enabled, f->quota, f->created_at,
            f->version);
    if (rc == 0)
        rc = database_run(r->db, "DELETE FROM credential WHERE account_id = $1", "u", f->id);
    for (uint32_t i = 0; rc == 0 && i < f->credential_count; i++)
        rc = database_run(r->db,
                          "INSERT INTO credential (account_id, kind, value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                          "utb", f->id, f->credentials[i].kind, f->credentials[i].value);
    return rc;
}

static int replay_account(struct replay *r, const struct record *record)
{
    struct account_facts f;
    return account_facts_parse(record->facts, &r->arena, &f) ? put_account(r, &f) : -EBADMSG;
}

static int remove_alias(struct replay *r, uint64_t id)
{
    int rc = database_run(r->db, "DELETE FROM alias_target WHERE alias_id = $1", "u", id);
    return rc ? rc : database_run(r->db, "DELETE FROM alias WHERE id = $1", "u", id);
}

static int replay_alias(struct replay *r, const struct record *record)
{
    struct alias_facts f;
    uint64_t older;
    if (!alias_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    int rc = database_find(r->db, &older, "SELECT id FROM alias WHERE domain_id = $1 AND local_part = $2", "ut",
                           f.domain_id, f.local_part);
    if (rc > 0)
        rc = remove_alias(r, older);
    if (rc == 0)
        rc = remove_alias(r, f.id);
    if (rc == 0)
        rc = database_run(r->db, "INSERT INTO alias (id, domain_id, local_part) VALUES ($1, $2, $3)", "uut", f.id,
                          f.domain_id, f.local_part);
    for (uint32_t i = 0; rc == 0 && i < f.target_count; i++)
        rc = database_run(r->db, "INSERT INTO alias_target (alias_id, place, address) VALUES ($1, $2, $3)", "uut", f.id,
                          (uint64_t)i, f.targets[i]);
    return rc;
}

static int remove_list(struct replay *r, uint64_t id)
{
    int rc = database_run(r->db, "DELETE FROM list_member WHERE list_id = $1", "u", id);
    return rc ? rc : database_run(r->db, "DELETE FROM list WHERE id = $1", "u", id);
}

static int replay_list(struct replay *r, const struct record *record)
{
    struct mailing_list_facts f;
    uint64_t older;
    if (!mailing_list_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    int rc = database_find(r->db, &older, "SELECT id FROM list WHERE domain_id = $1 AND local_part = $2", "ut",
                           f.domain_id, f.local_part);
    if (rc > 0)
        rc = remove_list(r, older);
    if (rc == 0)
        rc = remove_list(r, f.id);
    if (rc == 0)
        rc = database_run(
            r->db, "INSERT INTO list (id, domain_id, local_part, name, owner, posting) VALUES ($1, $2, $3, $4, $5, $6)",
            "uutttu", f.id, f.domain_id, f.local_part, f.name, f.owner, (uint64_t)f.posting);
    for (uint32_t i = 0; rc == 0 && i < f.member_count; i++)
        rc = database_run(r->db,
                          "INSERT INTO list_member (list_id, number, address, bounces, suspended)"
                          " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                          "uutuu", f.id, f.members[i].number, f.members[i].address, (uint64_t)f.members[i].bounces,
                          (uint64_t)f.members[i].suspended);
    return rc;
}

static int put_mailbox(struct replay *r, const struct mailbox_facts *f)
{
    int rc = database_run(r->db, "DELETE FROM mailbox WHERE account_id = $1 AND name = $2 AND id <> $3", "utu",
                          f->account_id, f->name, f->id);
    if (rc == 0)
        rc = database_run(r->db,
                          "INSERT INTO mailbox (id, account_id, name, uidvalidity, uidnext, highest_modseq, "
                          "special_use, messages, bytes)"
                          " VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0) ON CONFLICT (id) DO UPDATE SET account_id = "
                          "excluded.account_id,"
                          " name = excluded.name, uidvalidity = excluded.uidvalidity, uidnext = excluded.uidnext,"
                          " highest_modseq = excluded.highest_modseq, special_use = excluded.special_use",
                          "uutuuuu", f->id, f->account_id, f->name, (uint64_t)f->uidvalidity, (uint64_t)f->uidnext,
                          f->highest_modseq, (uint64_t)f->special_use);
    if (rc == 0)
        rc = database_run(r->db, "DELETE FROM keyword WHERE mailbox_id = $1", "u", f->id);
    for (uint32_t i = 0; rc == 0 && i < f->keyword_count; i++)
        if (f->keywords[i].size)
            rc = database_run(r->db, "INSERT INTO keyword (mailbox_id, bit, name) VALUES ($1, $2, $3)", "uut", f->id,
                              (uint64_t)i, f->keywords[i]);
    return rc;
}

static int replay_mailbox(struct replay *r, const struct record *record)
{
    struct mailbox_facts f;
    return mailbox_facts_parse(record->facts, &r->arena, &f) ? put_mailbox(r, &f) : -EBADMSG;
}

/* A later item of the same name is the one that counts. */
static int replay_door_item(struct replay *r, const struct record *record)
{
    struct door_item f;
    if (!door_facts_parse(record->facts, &f))
        return -EBADMSG;
    int rc = database_run(r->db,
                          "DELETE FROM door_item WHERE id = $1 OR (owner_id = $2 AND level = $3 AND detail = $4 AND"
                          " kind = $5 AND name = $6)",
                          "uuutut", f.id, f.owner_id, (uint64_t)f.level, f.detail, (uint64_t)f.kind, f.name);
    return rc ? rc
              : database_run(r->db,
                             "INSERT INTO door_item (" DOOR_COLUMNS
                             ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
                             "uuuutttuuut", f.id, (uint64_t)f.kind, (uint64_t)f.level, f.owner_id, f.detail, f.name,
                             f.value, f.expires_at, (uint64_t)f.locked, f.set_at, f.set_by);
}

static int replay_removal(struct replay *r, const struct record *record)
{
    uint64_t id;
    if (!id_facts_parse(record->facts, &id))
        return -EBADMSG;
    switch (record->header.type) {
    case RECORD_ACCOUNT_REMOVED:
        return remove_account(r, id);
    case RECORD_ALIAS_REMOVED:
        return remove_alias(r, id);
    case RECORD_DOMAIN_REMOVED: {
        int rc = database_run(r->db, "DELETE FROM domain WHERE id = $1", "u", id);
        return rc ? rc : door_forget_domain(r->db, id);
    }
    case RECORD_DOOR_ITEM_REMOVED:
        return database_run(r->db, "DELETE FROM door_item WHERE id = $1", "u", id);
    case RECORD_MAILING_LIST_REMOVED:
        return remove_list(r, id);
    default: {
        int rc = note_removed(r, id);
        if (rc == 0)
            rc = database_run(r->db, "DELETE FROM keyword WHERE mailbox_id = $1", "u", id);
        return rc ? rc : database_run(r->db, "DELETE FROM mailbox WHERE id = $1", "u", id);
    }
    }
}

int replay_directory(struct replay *r, const struct record *record)
{
    static int (*const steps[RECORD_TYPE_COUNT])(struct replay *, const struct record *) = {
        [RECORD_MAILBOX] = replay_mailbox,     [RECORD_MAILBOX_REMOVED] = replay_removal,
        [RECORD_DOMAIN] = replay_domain,       [RECORD_DOMAIN_REMOVED] = replay_removal,
        [RECORD_ACCOUNT] = replay_account,     [RECORD_ACCOUNT_REMOVED] = replay_removal,
        [RECORD_ALIAS] = replay_alias,         [RECORD_ALIAS_REMOVED] = replay_removal,
        [RECORD_MAILING_LIST] = replay_list,   [RECORD_MAILING_LIST_REMOVED] = replay_removal,
        [RECORD_DOOR_ITEM] = replay_door_item, [RECORD_DOOR_ITEM_REMOVED] = replay_removal,
    };
    arena_reset(&r->arena);
    return steps[record->header.type] ? steps[record->header.type](r, record) : 0;
}

int replay_look_for_orphans(struct replay *r)
{
    uint64_t count = 0;
    int rc = database_find(
        r->db, &count,
        "SELECT (SELECT COUNT(*) FROM account a WHERE NOT EXISTS (SELECT 1 FROM domain d WHERE d.id = a.domain_id))"
        " + (SELECT COUNT(*) FROM mailbox m WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = m.account_id))",
        "");
    r->has_orphans = count > 0;
    return rc < 0 ? rc : 0;
}

/* ---- Pass 2 ---- */

/* The record of an account says what its domain was called. A name that is in use by now stays where it is. */
static int make_domain_again(struct replay *r, const struct record *record)
{
    struct account_facts f;
    uint64_t id;
    if (!r->has_orphans)
        return 0;
    if (!account_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    int rc =
        database_find(r->db, &id, "SELECT id FROM account WHERE id = $1 AND domain_id = $2", "uu", f.id, f.domain_id);
    if (rc <= 0 || f.domain.size == 0)
        return rc < 0 ? rc : 0;
    rc = database_find(r->db, &id, "SELECT id FROM domain WHERE id = $1 OR name = $2 LIMIT 1", "ut", f.domain_id,
                       f.domain);
    return rc ? (rc < 0 ? rc : 0) : put_domain(r, &(struct domain_facts){.id = f.domain_id, .name = f.domain});
}

/* Where the record of an account or mailbox is lost with a damaged volume, its messages still say what it was called.
 * The account comes back closed, without a password; a name that is in use by now is not taken from its owner. */
static int make_again(struct replay *r, const struct message_entry *e, bool has_mailbox)
{
    struct span local_part, domain;
    uint64_t domain_id = 0, taken;
    if (is_removed(r, e->mailbox_id) || is_removed(r, e->account_id) ||
        !directory_split(e->account, &local_part, &domain))
        return 0;
    int rc = database_find(r->db, &domain_id, "SELECT id FROM domain WHERE name = $1", "t", domain);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        domain_id = r->next_lsn++;
        rc = put_domain(r, &(struct domain_facts){.id = domain_id, .name = domain});
    } else {
        rc =
            database_find(r->db, &taken, "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2 AND id <> $3",
                          "utu", domain_id, local_part, e->account_id);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    if (rc == 0)
        rc = database_run(r->db,
                          "INSERT INTO account (id, domain_id, local_part, name, enabled, quota, created_at, version)"
                          " VALUES ($1, $2, $3, '', 0, 0, 0, $1) ON CONFLICT DO NOTHING",
                          "uut", e->account_id, domain_id, local_part);
    if (rc || has_mailbox)
        return rc;
    struct mailbox_facts mailbox = {.id = e->mailbox_id,
                                    .account_id = e->account_id,
                                    .name = e->mailbox,
                                    .uidvalidity = e->uidvalidity,
                                    .uidnext = e->uid + 1,
                                    .highest_modseq = e->modseq};
    return put_mailbox(r, &mailbox);
}

/* 1 when the mailbox exists; its counters are then past the entry's. */
static int reach_mailbox(struct replay *r, uint64_t mailbox_id, uint32_t uid, uint64_t modseq)
{
    uint64_t id;
    return database_find(
        r->db, &id,
        "UPDATE mailbox SET uidnext = CASE WHEN uidnext > $2 THEN uidnext ELSE $2 + 1 END,"
        " highest_modseq = CASE WHEN highest_modseq > $3 THEN highest_modseq ELSE $3 END WHERE id = $1 RETURNING id",
        "uuu", mailbox_id, (uint64_t)uid, modseq);
}

/* 1 when it exists, made again where it was lost. */
static int reach_home(struct replay *r, const struct message_entry *e)
{
    int rc = reach_mailbox(r, e->mailbox_id, e->uid, e->modseq);
    if (rc < 0 || (rc > 0 && !r->has_orphans))
        return rc;
    int made = make_again(r, e, rc > 0);
    return made ? made : rc > 0 ? rc : reach_mailbox(r, e->mailbox_id, e->uid, e->modseq);
}

static int put_entry(struct replay *r, const struct entry_facts *f, uint64_t size)
{
    return database_run(
        r->db,
        "INSERT INTO entry (mailbox_id, uid, size, flags, modseq, message_id) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (mailbox_id, uid) DO UPDATE SET flags = excluded.flags, modseq = excluded.modseq",
        "uuuuuu", f->mailbox_id, (uint64_t)f->uid, size, f->flags, f->modseq, f->message_id);
}

static int replay_message(struct replay *r, const struct record *record)
{
    struct message_facts f;
    if (!message_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    uint64_t size = record->header.body_size;
    int rc = database_run(r->db,
                          "INSERT INTO message (id, volume, position, stored, size, living, received_at)"
                          " VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT (id) DO UPDATE SET volume = excluded.volume,"
                          " position = excluded.position, stored = excluded.stored",
                          "uuuuuu", f.message_id, (uint64_t)record->header.volume, record->position,
                          record_size(&record->header), size, f.received_at);
    if (rc == 0)
        rc = queue_replay(r->db, &f, size);
    if (rc == 0 && f.remote_id)
        rc = remote_seen_insert(r->db, f.remote_id, f.uidl, f.received_at);
    for (uint32_t i = 0; rc == 0 && i < f.entry_count; i++) {
        const struct message_entry *e = &f.entries[i];
        rc = reach_home(r, e);
        if (rc == 0 && !is_removed(r, e->mailbox_id) && !is_removed(r, e->account_id))
            r->unplaced++;
        if (rc > 0) {
            struct entry_facts entry = {f.message_id, e->mailbox_id, e->uid, e->modseq, e->flags};
            rc = put_entry(r, &entry, size);
        }
    }
    return rc;
}

static int replay_entry(struct replay *r, const struct record *record)
{
    struct entry_facts f;
    if (!entry_facts_parse(record->facts, &f))
        return -EBADMSG;
    uint64_t size = 0;
    int rc = reach_mailbox(r, f.mailbox_id, f.uid, f.modseq);
    if (rc <= 0)
        return rc;
    /* Its message may stand further behind, carried over by a compaction: the size is set right in the end. */
    rc = database_find(r->db, &size, "SELECT size FROM message WHERE id = $1", "u", f.message_id);
    return rc < 0 ? rc : put_entry(r, &f, size);
}

static int replay_expunge(struct replay *r, const struct record *record)
{
    struct expunge_facts f;
    if (!expunge_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    int rc = 0;
    for (uint32_t i = 0; rc >= 0 && i < f.count; i++) {
        rc = reach_mailbox(r, f.mailbox_id, f.items[i].uid, f.modseq);
        if (rc >= 0)
            rc = database_run(r->db, "DELETE FROM entry WHERE mailbox_id = $1 AND uid = $2", "uu", f.mailbox_id,
                              (uint64_t)f.items[i].uid);
    }
    return rc < 0 ? rc : 0;
}

static int replay_queue(struct replay *r, const struct record *record)
{
    struct queue_facts f;
    if (!queue_facts_parse(record->facts, &r->arena, &f))
        return -EBADMSG;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < f.count; i++) {
        uint64_t id = f.items[i].message_id, number = f.items[i].number;
        if (f.change == QUEUE_CHANGE_DONE)
            rc = database_run(r->db, "DELETE FROM queue WHERE message_id = $1 AND number = $2", "uu", id, number);
        else
            rc = database_run(r->db, "UPDATE queue SET state = $3 WHERE message_id = $1 AND number = $2", "uuu", id,
                              number, (uint64_t)(f.change == QUEUE_CHANGE_HELD ? QUEUE_STATE_HELD : QUEUE_STATE_DUE));
    }
    return rc;
}

static int replay_remote_seen(struct replay *r, const struct record *record)
{
    struct remote_seen_facts f;
    return remote_seen_facts_parse(record->facts, &r->arena, &f) ? remote_seen_replay(r->db, &f) : -EBADMSG;
}

int replay_mail(struct replay *r, const struct record *record)
{
    arena_reset(&r->arena);
    switch (record->header.type) {
    case RECORD_MESSAGE:
        return replay_message(r, record);
    case RECORD_ENTRY:
        return replay_entry(r, record);
    case RECORD_EXPUNGE:
        return replay_expunge(r, record);
    case RECORD_QUEUE:
        return replay_queue(r, record);
    case RECORD_REMOTE_SEEN:
        return replay_remote_seen(r, record);
    case RECORD_ACCOUNT:
        return make_domain_again(r, record);
    default:
        return 0;
    }
}

int replay_finish(struct replay *r)
{
    static const char *const statements[] = {
        "DELETE FROM entry WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.id = entry.message_id)",
        /* Of an account whose record is lost, and which had no mail that would tell of it. */
        "DELETE FROM keyword WHERE mailbox_id IN (SELECT m.id FROM mailbox m WHERE NOT EXISTS"
        " (SELECT 1 FROM account a WHERE a.id = m.account_id) AND NOT EXISTS"
        " (SELECT 1 FROM entry e WHERE e.mailbox_id = m.id))",
        "DELETE FROM mailbox WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = mailbox.account_id)"
        " AND NOT EXISTS (SELECT 1 FROM entry e WHERE e.mailbox_id = mailbox.id)",
        "UPDATE entry SET size = (SELECT m.size FROM message m WHERE m.id = entry.message_id)",
        "CREATE TABLE rebuilt AS SELECT t.message_id AS message_id, COUNT(*) AS living FROM"
        " (SELECT message_id FROM entry UNION ALL SELECT message_id FROM queue) t GROUP BY t.message_id",
        "CREATE UNIQUE INDEX rebuilt_key ON rebuilt (message_id)",
        "UPDATE message SET living = COALESCE((SELECT b.living FROM rebuilt b WHERE b.message_id = message.id), 0)",
        "DROP TABLE rebuilt",
        "UPDATE mailbox SET messages = (SELECT COUNT(*) FROM entry e WHERE e.mailbox_id = mailbox.id),"
        " bytes = (SELECT COALESCE(SUM(e.size), 0) FROM entry e WHERE e.mailbox_id = mailbox.id)",
        "UPDATE volume SET dead_bytes = (SELECT COALESCE(SUM(m.stored), 0) FROM message m WHERE m.volume = "
        "volume.number AND m.living = 0)",
        "DELETE FROM door_item WHERE (level = 1 AND NOT EXISTS (SELECT 1 FROM domain d WHERE d.id = owner_id))"
        " OR (level > 1 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = owner_id))",
        "DELETE FROM remote_seen WHERE NOT EXISTS (SELECT 1 FROM door_item i WHERE i.id = remote_id)",
        "INSERT INTO meta (name, value) SELECT 'uidvalidity', COALESCE(MAX(uidvalidity), 0) FROM mailbox",
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(statements) / sizeof(statements[0]); i++)
        rc = database_script(r->db, statements[i]);
    if (rc == 0)
        rc = database_run(r->db, "INSERT INTO meta (name, value) VALUES ('mark', $1), ('lsn', $2)", "uu", r->mark,
                          r->next_lsn);
    return rc;
}
