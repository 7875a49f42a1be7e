#include "store/schema.h"

#include "base/log.h"

#include <errno.h>

/* {key}, {bytes} and {clustered} are the driver's words. Every id is the lsn of the volume record that made the thing.
 *
 * message: where it lies. Its row stays, with living = 0, until its volume is compacted, since the log's expunges are
 * needed as long as its record exists. entry:   a message in a mailbox. Clustered by (mailbox, uid) with the size
 * beside it: a maildrop is one walk through neighbours. volume:  end_position is where the last committed record ends;
 * what lies behind it was never acknowledged. */
static const char version_1[] =
    "CREATE TABLE meta (name TEXT NOT NULL PRIMARY KEY, value BIGINT NOT NULL) {clustered};"
    "CREATE TABLE domain (id {key}, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE account (id {key}, domain_id BIGINT NOT NULL, local_part TEXT NOT NULL, name TEXT NOT NULL,"
    "  enabled BIGINT NOT NULL, quota BIGINT NOT NULL, created_at BIGINT NOT NULL, version BIGINT NOT NULL,"
    "  UNIQUE (domain_id, local_part));"
    "CREATE TABLE credential (account_id BIGINT NOT NULL, kind TEXT NOT NULL, value {bytes} NOT NULL,"
    "  PRIMARY KEY (account_id, kind)) {clustered};"
    "CREATE TABLE alias (id {key}, domain_id BIGINT NOT NULL, local_part TEXT NOT NULL, UNIQUE (domain_id, "
    "local_part));"
    "CREATE TABLE alias_target (alias_id BIGINT NOT NULL, place BIGINT NOT NULL, address TEXT NOT NULL,"
    "  PRIMARY KEY (alias_id, place)) {clustered};"
    "CREATE TABLE mailbox (id {key}, account_id BIGINT NOT NULL, name TEXT NOT NULL, uidvalidity BIGINT NOT NULL,"
    "  uidnext BIGINT NOT NULL, highest_modseq BIGINT NOT NULL, special_use BIGINT NOT NULL, messages BIGINT NOT NULL,"
    "  bytes BIGINT NOT NULL, UNIQUE (account_id, name));"
    "CREATE TABLE keyword (mailbox_id BIGINT NOT NULL, bit BIGINT NOT NULL, name TEXT NOT NULL,"
    "  PRIMARY KEY (mailbox_id, bit)) {clustered};"
    "CREATE TABLE message (id {key}, volume BIGINT NOT NULL, position BIGINT NOT NULL, stored BIGINT NOT NULL,"
    "  size BIGINT NOT NULL, living BIGINT NOT NULL, received_at BIGINT NOT NULL);"
    "CREATE TABLE entry (mailbox_id BIGINT NOT NULL, uid BIGINT NOT NULL, size BIGINT NOT NULL, flags BIGINT NOT NULL,"
    "  modseq BIGINT NOT NULL, message_id BIGINT NOT NULL, PRIMARY KEY (mailbox_id, uid)) {clustered};"
    "CREATE TABLE volume (number {key}, end_position BIGINT NOT NULL, dead_bytes BIGINT NOT NULL, state BIGINT NOT "
    "NULL);";

/* The queue, what members sent today, domains that are more than our own, mailing lists.
 *
 * queue: one row a recipient that is still to be served; state is enum queue_state. Two indexes hold only what is due:
 * by destination, so that the courier finds a destination's next entries in one seek however many there are; and by
 * time, so that it knows which destinations fell due. The third is for counting what is held. domain.kind: 0 our own, 1
 * backup. list.posting: 0 everybody, 1 members, 2 the owner. sent.day: since 1970, UTC. */
static const char version_2[] =
    "CREATE TABLE queue (message_id BIGINT NOT NULL, number BIGINT NOT NULL, kind BIGINT NOT NULL,"
    "  state BIGINT NOT NULL, next_at BIGINT NOT NULL, attempts BIGINT NOT NULL, created_at BIGINT NOT NULL,"
    "  warned BIGINT NOT NULL, give_up BIGINT NOT NULL, notify BIGINT NOT NULL, list_id BIGINT NOT NULL,"
    "  account_id BIGINT NOT NULL, size BIGINT NOT NULL, destination TEXT NOT NULL, address TEXT NOT NULL,"
    "  original TEXT NOT NULL, orcpt TEXT NOT NULL, forwarder TEXT NOT NULL, reverse_path TEXT NOT NULL,"
    "  reply TEXT NOT NULL, PRIMARY KEY (message_id, number)) {clustered};"
    "CREATE INDEX queue_due ON queue (destination, next_at, message_id, number) WHERE state = 0;"
    "CREATE INDEX queue_next ON queue (next_at, destination) WHERE state = 0;"
    "CREATE INDEX queue_held ON queue (message_id, number) WHERE state = 1;"
    "CREATE TABLE sent (account_id BIGINT NOT NULL, day BIGINT NOT NULL, recipients BIGINT NOT NULL,"
    "  PRIMARY KEY (account_id, day)) {clustered};"
    "ALTER TABLE domain ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE domain ADD COLUMN alias_of BIGINT NOT NULL DEFAULT 0;"
    "ALTER TABLE domain ADD COLUMN next_hop TEXT NOT NULL DEFAULT '';"
    "CREATE TABLE list (id {key}, domain_id BIGINT NOT NULL, local_part TEXT NOT NULL, name TEXT NOT NULL,"
    "  owner TEXT NOT NULL, posting BIGINT NOT NULL, UNIQUE (domain_id, local_part));"
    "CREATE TABLE list_member (list_id BIGINT NOT NULL, number BIGINT NOT NULL, address TEXT NOT NULL,"
    "  bounces BIGINT NOT NULL, suspended BIGINT NOT NULL, PRIMARY KEY (list_id, number),"
    "  UNIQUE (list_id, address)) {clustered};"
    "INSERT INTO meta (name, value) VALUES ('paused_in', 0), ('paused_out', 0);";

/* Everybody's door: what is set (policy/door_item.h), its history, the ledger, and what of remote accounts was dealt
 * with.
 *
 * door_item: owner_id is 0 for the site, a domain's or an account's id; detail is what an address has behind its
 * separator, empty but at the level of an address. Its id is an lsn: each row is a record of the volumes, too. The
 * ledger and the history are not: they are kept for weeks, and a database made anew from the volumes begins them anew.
 * door_history: `undoes` is the number of the change that this one took back, or 0; undone: a later one took this one
 * back. meta's door_version rises with each change of what readers keep in memory (store/door_cache.h).
 * ledger: reference is 0 for mail that nobody kept out or put aside; ids rise with time, so the oldest rows are the
 * first ones. */
static const char version_3[] =
    "CREATE TABLE door_item (id {key}, kind BIGINT NOT NULL, level BIGINT NOT NULL, owner_id BIGINT NOT NULL,"
    "  detail TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, expires_at BIGINT NOT NULL,"
    "  locked BIGINT NOT NULL, set_at BIGINT NOT NULL, set_by TEXT NOT NULL,"
    "  UNIQUE (owner_id, level, detail, kind, name));"
    "CREATE INDEX door_item_kind ON door_item (kind, id);"
    "CREATE TABLE door_history (number {key}, at BIGINT NOT NULL, made_by TEXT NOT NULL, words TEXT NOT NULL,"
    "  level BIGINT NOT NULL, owner_id BIGINT NOT NULL, detail TEXT NOT NULL, undone BIGINT NOT NULL,"
    "  undoes BIGINT NOT NULL, before {bytes} NOT NULL, after {bytes} NOT NULL);"
    "CREATE INDEX door_history_owner ON door_history (owner_id, number);"
    "CREATE TABLE ledger (id {key}, reference BIGINT NOT NULL, at BIGINT NOT NULL, attempts BIGINT NOT NULL,"
    "  last_at BIGINT NOT NULL, account_id BIGINT NOT NULL, fetched BIGINT NOT NULL, stage BIGINT NOT NULL,"
    "  verdict BIGINT NOT NULL, rule TEXT NOT NULL, level BIGINT NOT NULL, ip TEXT NOT NULL, ptr TEXT NOT NULL,"
    "  helo TEXT NOT NULL, reverse_path TEXT NOT NULL, recipient TEXT NOT NULL, subject TEXT NOT NULL,"
    "  header_message_id TEXT NOT NULL, evidence TEXT NOT NULL, sentence TEXT NOT NULL, reply TEXT NOT NULL,"
    "  message_id BIGINT NOT NULL, mailbox_id BIGINT NOT NULL, uid BIGINT NOT NULL, asked BIGINT NOT NULL,"
    "  facts {bytes} NOT NULL);"
    "CREATE INDEX ledger_reference ON ledger (reference) WHERE reference != 0;"
    "CREATE INDEX ledger_account ON ledger (account_id, id);"
    "CREATE TABLE remote_seen (remote_id BIGINT NOT NULL, uidl TEXT NOT NULL, seen_at BIGINT NOT NULL,"
    "  PRIMARY KEY (remote_id, uidl)) {clustered};"
    "INSERT INTO meta (name, value) VALUES ('door_version', 1);";

static const char *const versions[SCHEMA_VERSION] = {version_1, version_2, version_3};

static void expand(struct buf *out, const struct database_driver *driver, const char *text)
{
    const struct {
        const char *word, *meaning;
    } words[] = {{"{key}", driver->key_type}, {"{bytes}", driver->bytes_type}, {"{clustered}", driver->clustered}};
    while (*text) {
        size_t plain = strcspn(text, "{");
        buf_add(out, text, plain);
        text += plain;
        if (!*text)
            break;
        size_t i = 0, count = sizeof(words) / sizeof(words[0]);
        while (i < count && strncmp(text, words[i].word, strlen(words[i].word)) != 0)
            i++;
        buf_add_text(out, i < count ? words[i].meaning : "{");
        text += i < count ? strlen(words[i].word) : 1;
    }
    buf_add_char(out, '\0');
}

int schema_version(struct database *db)
{
    int rc = database_script(db, "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)");
    uint64_t version = 0;
    if (rc == 0)
        rc = database_find(db, &version, "SELECT COALESCE(MAX(version), 0) FROM schema_version", "");
    if (rc < 0)
        return rc;
    return version > INT32_MAX ? -EPROTO : (int)version;
}

static int apply(struct database *db, unsigned version)
{
    struct buf sql;
    buf_init(&sql, 1 << 20);
    expand(&sql, db->driver, versions[version - 1]);
    int rc = buf_failed(&sql) ? -ENOMEM : database_begin(db);
    if (rc == 0) {
        rc = database_script(db, sql.data);
        if (rc == 0)
            rc = database_run(db, "DELETE FROM schema_version", "");
        if (rc == 0)
            rc = database_run(db, "INSERT INTO schema_version (version) VALUES ($1)", "u", (uint64_t)version);
        if (rc == 0)
            rc = database_commit(db);
        if (rc != 0)
            database_rollback(db);
    }
    buf_release(&sql);
    return rc;
}

/* What an older program made has no checksums in its pages. It serves without. */
static void renew(struct database *db)
{
    bool is_done = false;
    int rc = db->driver->renew(db, &is_done);
    if (!is_done)
        log_write(
            LOG_PROBLEM, "store", NULL,
            "the database has no checksums in its pages yet: \"ostiary store rebuild\" makes it anew with them%s%s",
            rc ? " error=" : "", rc ? strerror(-rc) : "");
}

int schema_migrate_to(struct database *db, unsigned version, struct buf *problem)
{
    int now = schema_version(db);
    if (now < 0) {
        buf_add_text(problem, "The database's schema version cannot be read.");
        return now;
    }
    if (now > SCHEMA_VERSION) {
        buf_printf(problem,
                   "The database has schema version %d, and this program knows versions up to %d: start the newer "
                   "program that made it.",
                   now, SCHEMA_VERSION);
        return -EPROTO;
    }
    for (unsigned next = (unsigned)now + 1; next <= version; next++) {
        int rc = apply(db, next);
        if (rc != 0) {
            buf_printf(problem, "The database cannot be brought to schema version %u: %s. Nothing was changed.", next,
                       strerror(-rc));
            return rc;
        }
    }
    return 0;
}

int schema_migrate(struct database *db, struct buf *problem)
{
    int rc = schema_migrate_to(db, SCHEMA_VERSION, problem);
    if (rc == 0)
        renew(db);
    return rc;
}
