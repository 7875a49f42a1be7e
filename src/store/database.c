#include "store/database.h"

#include "base/log.h"
#include "store/sqlite.h"

#include <errno.h>

struct statement_head {
    struct database *database;
};

static const struct database_driver *driver_of(struct statement *st)
{
    return ((struct statement_head *)st)->database->driver;
}

struct database *database_open(const char *path, enum database_mode mode, struct buf *problem)
{
    return sqlite_driver.open(path, mode, problem);
}

int database_close(struct database *db)
{
    return db ? db->driver->close(db) : 0;
}

/* clang 14's analyser takes a va_list parameter for one that nobody started.
 * NOLINTBEGIN(clang-analyzer-valist.Uninitialized) */
static struct statement *query(struct database *db, const char *sql, const char *format, va_list args)
{
    struct statement *st = db->driver->prepare(db, sql);
    if (!st)
        return NULL;
    for (int n = 1; *format; n++, format++) {
        if (*format == 'u')
            db->driver->bind_u64(st, n, va_arg(args, uint64_t));
        else if (*format == 't')
            db->driver->bind_text(st, n, va_arg(args, struct span));
        else
            db->driver->bind_bytes(st, n, va_arg(args, struct span));
    }
    return st;
}
/* NOLINTEND(clang-analyzer-valist.Uninitialized) */

struct statement *database_query(struct database *db, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct statement *st = query(db, sql, format, args);
    va_end(args);
    return st;
}

int database_step(struct statement *st)
{
    return st ? driver_of(st)->step(st) : -EIO;
}

uint64_t database_u64(struct statement *st, int column)
{
    return driver_of(st)->u64(st, column);
}

struct span database_bytes(struct statement *st, int column)
{
    return driver_of(st)->bytes(st, column);
}

void database_end(struct statement *st)
{
    if (st)
        driver_of(st)->end(st);
}

int database_run(struct database *db, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct statement *st = query(db, sql, format, args);
    va_end(args);
    int rc;
    while ((rc = database_step(st)) > 0)
        ;
    database_end(st);
    return rc;
}

int database_find(struct database *db, uint64_t *value, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct statement *st = query(db, sql, format, args);
    va_end(args);
    int rc = database_step(st);
    if (rc > 0)
        *value = database_u64(st, 0);
    database_end(st);
    return rc;
}

int database_script(struct database *db, const char *sql)
{
    return db->driver->script(db, sql);
}

int database_settle(struct database *db)
{
    if (!db->driver->is_in_transaction(db))
        return 0;
    int rc = database_run(db, db->driver->rollback, "");
    log_write(LOG_PROBLEM, "store", NULL, "a transaction had been left open, %s",
              rc ? "and can't be ended now" : "and is ended");
    return rc;
}

/* No transaction with a promise begins before the one without has been left for good. */
static int sync_again(struct database *db)
{
    int rc = db->is_unsynced ? database_script(db, db->driver->synced) : 0;
    db->is_unsynced = db->is_unsynced && rc != 0;
    return rc;
}

int database_begin(struct database *db)
{
    int rc = database_settle(db);
    if (rc == 0)
        rc = sync_again(db);
    return rc ? rc : database_run(db, db->driver->begin_write, "");
}

int database_begin_unsynced(struct database *db)
{
    int rc = database_settle(db);
    if (rc)
        return rc;
    db->is_unsynced = true;
    rc = database_script(db, db->driver->unsynced);
    return rc ? rc : database_run(db, db->driver->begin_write, "");
}

int database_begin_read(struct database *db)
{
    int rc = database_settle(db);
    return rc ? rc : database_run(db, db->driver->begin_read, "");
}

int database_commit(struct database *db)
{
    int rc = database_run(db, db->driver->commit, "");
    return rc ? rc : sync_again(db);
}

void database_rollback(struct database *db)
{
    /* It fails where the database has already rolled back by itself after a disk error: nothing is left to undo then.
     */
    int rc = database_run(db, db->driver->rollback, "");
    (void)rc;
    /* Where this fails, the next database_begin() tries it again, and fails if it can't. */
    rc = sync_again(db);
    (void)rc;
}

int database_checkpoint(struct database *db)
{
    return db->driver->checkpoint ? database_run(db, db->driver->checkpoint, "") : 0;
}
