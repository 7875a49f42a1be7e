#include "store/schema.h"

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

static const char *const versions[SCHEMA_VERSION] = {version_1};

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
    return schema_migrate_to(db, SCHEMA_VERSION, problem);
}
