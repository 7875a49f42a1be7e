#include "store/sqlite.h"

#include "base/log.h"
#include "base/map.h"
#include "store/checksum_vfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARAMETERS_MAX 32
#define RENEW_PAGES_MAX 65536 /* 256 MiB */

struct sqlite {
    struct database base;
    sqlite3 *handle;
    enum database_mode mode;
    struct map statements; /* address of the SQL text -> struct statement */
};

struct statement {
    struct database *database; /* first: database.c looks here */
    sqlite3_stmt *handle;
    int error;
    int places[PARAMETERS_MAX + 1]; /* SQLite takes $2 for a name and numbers the names as they appear */
};

static struct sqlite *sqlite_of(struct database *db)
{
    return (struct sqlite *)db;
}

static int sqlite_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    default:
        return -EIO;
    }
}

static int sqlite_failed(struct sqlite *db, int rc, const char *sql)
{
    log_write(LOG_CRASH, "store", NULL, "database error code=%d text=%s sql=%s", rc,
              log_quote(span_text(sqlite3_errmsg(db->handle))), log_quote(span_text(sql)));
    return sqlite_errno(rc);
}

static int sqlite_script(struct database *base, const char *sql)
{
    struct sqlite *db = sqlite_of(base);
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : sqlite_failed(db, rc, sql);
}

static int sqlite_close(struct database *base)
{
    struct sqlite *db = sqlite_of(base);
    size_t position = 0;
    struct span key;
    void *value;
    while (map_next(&db->statements, &position, &key, &value)) {
        struct statement *st = value;
        sqlite3_finalize(st->handle);
        free(st);
    }
    map_release(&db->statements);
    int rc = sqlite3_close(db->handle);
    free(db);
    return rc == SQLITE_OK ? 0 : sqlite_errno(rc);
}

/* Debian 12's SQLite 3.40 can damage a database when one connection resets the write-ahead log while ANOTHER connection
 * writes or checkpoints it. Here that can't happen: exactly one connection in the whole system is opened DATABASE_WRITE
 * (a lock file sees to it), it alone writes and checkpoints, and all others are SQLITE_OPEN_READONLY, which never
 * checkpoint. mmap_size is 0, since an I/O error on a mapping would be a signal. secure_delete, which Debian's has by
 * default: pages that are freed before they were ever written are written all the same, so that zeros in the file are
 * damage. PERSIST_WAL keeps the log and its index when the writer closes, so that a reader whose directory is read-only
 * can still open. */
static const char *sqlite_pragmas(enum database_mode mode)
{
    switch (mode) {
    case DATABASE_WRITE:
        return "PRAGMA journal_mode=WAL; PRAGMA secure_delete=ON; PRAGMA synchronous=FULL; PRAGMA mmap_size=0; PRAGMA "
               "cache_size=-32768;"
               "PRAGMA wal_autocheckpoint=4000; PRAGMA journal_size_limit=67108864; PRAGMA temp_store=MEMORY;"
               "PRAGMA trusted_schema=OFF";
    case DATABASE_REBUILD:
        return "PRAGMA journal_mode=DELETE; PRAGMA secure_delete=ON; PRAGMA synchronous=FULL; PRAGMA mmap_size=0; "
               "PRAGMA cache_size=-65536;"
               "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF";
    default:
        return "PRAGMA query_only=ON; PRAGMA mmap_size=0; PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY;"
               "PRAGMA trusted_schema=OFF";
    }
}

/* The database has password hashes in it. The log and its index take the file's mode when they are made. */
static int make_private(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
        char name[PATH_MAX];
        int size = snprintf(name, sizeof(name), "%s%s", path, ends[i]);
        if (size < 0 || (size_t)size >= sizeof(name))
            return -ENAMETOOLONG;
        int fd = open(name, O_RDWR | O_CLOEXEC | (i == 0 ? O_CREAT : 0), 0600);
        if (fd < 0 && i > 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            return -errno;
        rc = fchmod(fd, 0600) != 0 ? -errno : 0;
        close(fd);
    }
    return rc;
}

static struct statement *sqlite_prepare(struct database *base, const char *sql);

/* Who has no memory left can still end a transaction. */
static bool prepare_ends(struct database *db)
{
    const struct database_driver *d = db->driver;
    return sqlite_prepare(db, d->commit) && sqlite_prepare(db, d->rollback);
}

static struct database *sqlite_open(const char *path, enum database_mode mode, struct buf *problem)
{
    struct sqlite *db = calloc(1, sizeof(*db));
    if (!db) {
        buf_add_text(problem, "There is no memory to open the database.");
        return NULL;
    }
    db->base.driver = &sqlite_driver;
    db->mode = mode;
    map_init(&db->statements);
    int private = mode == DATABASE_READ ? 0 : make_private(path);
    if (private != 0) {
        buf_printf(problem, "The database %s cannot be opened: %s.", path, strerror(-private));
        sqlite_close(&db->base);
        return NULL;
    }
    int flags = mode == DATABASE_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
    int rc = checksum_vfs_register();
    if (rc == SQLITE_OK)
        rc = sqlite3_open_v2(path, &db->handle, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, CHECKSUM_VFS);
    if (rc == SQLITE_OK && mode != DATABASE_READ)
        rc = checksum_vfs_want(db->handle);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(db->handle, 1);
        /* The writer never meets another writer; a reader may meet the moment in which the log is made anew. */
        sqlite3_busy_timeout(db->handle, 5000);
        int persist = 1;
        if (mode == DATABASE_WRITE)
            sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
        rc = sqlite3_exec(db->handle, sqlite_pragmas(mode), NULL, NULL, NULL);
    }
    if (rc == SQLITE_OK && !prepare_ends(&db->base))
        rc = SQLITE_NOMEM;
    if (rc != SQLITE_OK) {
        buf_printf(problem, "The database %s cannot be opened: %s.", path,
                   db->handle ? sqlite3_errmsg(db->handle) : "no memory");
        sqlite_close(&db->base);
        return NULL;
    }
    return &db->base;
}

static struct statement *sqlite_prepare(struct database *base, const char *sql)
{
    struct sqlite *db = sqlite_of(base);
    struct span key = span_from(&sql, sizeof(sql));
    struct statement *st = map_get(&db->statements, key);
    if (st) {
        st->error = 0;
        return st;
    }
    st = calloc(1, sizeof(*st));
    if (!st)
        return NULL;
    st->database = base;
    int rc = sqlite3_prepare_v3(db->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &st->handle, NULL);
    if (rc != SQLITE_OK || map_put(&db->statements, key, st) != 0) {
        sqlite_failed(db, rc, sql);
        sqlite3_finalize(st->handle);
        free(st);
        return NULL;
    }
    for (int n = 1; n <= PARAMETERS_MAX; n++) {
        char name[16];
        snprintf(name, sizeof(name), "$%d", n);
        st->places[n] = sqlite3_bind_parameter_index(st->handle, name);
    }
    return st;
}

/* Place 0 is out of SQLite's range: binding what the statement does not have is an error. */
static int place(const struct statement *st, int n)
{
    return n <= PARAMETERS_MAX ? st->places[n] : 0;
}

static void sqlite_bound(struct statement *st, int rc)
{
    if (rc != SQLITE_OK)
        st->error = sqlite_failed(sqlite_of(st->database), rc, sqlite3_sql(st->handle));
}

static void sqlite_bind_u64(struct statement *st, int n, uint64_t value)
{
    sqlite_bound(st,
                 value > INT64_MAX ? SQLITE_RANGE : sqlite3_bind_int64(st->handle, place(st, n), (sqlite3_int64)value));
}

static void sqlite_bind_text(struct statement *st, int n, struct span s)
{
    sqlite_bound(
        st, sqlite3_bind_text64(st->handle, place(st, n), s.size ? s.data : "", s.size, SQLITE_STATIC, SQLITE_UTF8));
}

static void sqlite_bind_bytes(struct statement *st, int n, struct span s)
{
    sqlite_bound(st, sqlite3_bind_blob64(st->handle, place(st, n), s.size ? s.data : "", s.size, SQLITE_STATIC));
}

static int sqlite_step(struct statement *st)
{
    if (st->error)
        return st->error;
    int rc = sqlite3_step(st->handle);
    if (rc == SQLITE_ROW)
        return 1;
    if (rc == SQLITE_DONE)
        return 0;
    st->error = sqlite_failed(sqlite_of(st->database), rc, sqlite3_sql(st->handle));
    return st->error;
}

static bool sqlite_is_in_transaction(struct database *base)
{
    return !sqlite3_get_autocommit(sqlite_of(base)->handle);
}

static uint64_t sqlite_u64(struct statement *st, int column)
{
    return (uint64_t)sqlite3_column_int64(st->handle, column);
}

static struct span sqlite_bytes(struct statement *st, int column)
{
    const void *data = sqlite3_column_blob(st->handle, column);
    return span_from(data, (size_t)sqlite3_column_bytes(st->handle, column));
}

static void sqlite_end(struct statement *st)
{
    /* Its result is the error of the last step, which was reported there. */
    sqlite3_reset(st->handle);
}

/* In the transaction that this connection has begun, so what is copied is that moment. It writes to the other file
 * only: the database itself is read. */
static int sqlite_copy(struct database *base, const char *path, struct buf *problem)
{
    struct sqlite *db = sqlite_of(base);
    sqlite3 *copy = NULL;
    sqlite3_backup *backup = NULL;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = fd < 0 ? SQLITE_CANTOPEN
                    : sqlite3_open_v2(path, &copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, CHECKSUM_VFS);
    if (rc == SQLITE_OK && checksum_vfs_is_on(db->handle))
        rc = checksum_vfs_want(copy);
    if (rc == SQLITE_OK)
        backup = sqlite3_backup_init(copy, "main", db->handle, "main");
    if (backup) {
        rc = sqlite3_backup_step(backup, -1);
        int finished = sqlite3_backup_finish(backup);
        rc = rc == SQLITE_DONE ? finished : rc;
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_errcode(copy);
    }
    if (rc != SQLITE_OK)
        buf_printf(problem, "The database can't be copied to %s: %s.", path,
                   fd < 0 ? strerror(errno) : sqlite3_errstr(rc));
    sqlite3_close(copy);
    if (fd >= 0)
        close(fd);
    return rc == SQLITE_OK ? 0 : sqlite_errno(rc);
}

/* SQLite makes all pages anew, in memory: of a large database that is for `ostiary store rebuild` to do. */
static int sqlite_renew(struct database *base, bool *is_done)
{
    struct sqlite *db = sqlite_of(base);
    uint64_t pages = 0;
    int rc = 0;
    *is_done = checksum_vfs_is_on(db->handle);
    if (*is_done)
        return 0;
    rc = database_find(base, &pages, "PRAGMA page_count", "");
    if (rc <= 0 || pages > RENEW_PAGES_MAX)
        return rc < 0 ? rc : 0;
    rc = sqlite_script(base, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)");
    *is_done = rc == 0 && checksum_vfs_is_on(db->handle);
    return rc;
}

const struct database_driver sqlite_driver = {
    .name = "sqlite",
    .key_type = "INTEGER PRIMARY KEY",
    .bytes_type = "BLOB",
    .clustered = "WITHOUT ROWID",
    .begin_write = "BEGIN IMMEDIATE", /* waits for the lock now, not at the first change */
    .begin_read = "BEGIN",
    .commit = "COMMIT",
    .rollback = "ROLLBACK",
    /* Of the log of the database: in WAL mode NORMAL syncs it only before a checkpoint. */
    .unsynced = "PRAGMA synchronous=NORMAL",
    .synced = "PRAGMA synchronous=FULL",
    .checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)",
    .integrity = "PRAGMA integrity_check",
    .open = sqlite_open,
    .close = sqlite_close,
    .prepare = sqlite_prepare,
    .bind_u64 = sqlite_bind_u64,
    .bind_text = sqlite_bind_text,
    .bind_bytes = sqlite_bind_bytes,
    .step = sqlite_step,
    .u64 = sqlite_u64,
    .bytes = sqlite_bytes,
    .end = sqlite_end,
    .is_in_transaction = sqlite_is_in_transaction,
    .script = sqlite_script,
    .copy = sqlite_copy,
    .renew = sqlite_renew,
};
