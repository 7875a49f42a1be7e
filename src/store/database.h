/* The database: a driver is a struct of functions, SQL is written once.
 *
 * SQL uses $1 … parameters, RETURNING and ON CONFLICT, so that PostgreSQL can follow; what differs (types of keys,
 * clustered tables) is in the driver. Statements are prepared once and kept by the address of their text: pass string
 * literals only. Numbers are unsigned here and signed 64-bit there: never above INT64_MAX. No function waits for
 * anything but the disk.
 */
#ifndef STORE_DATABASE_H
#define STORE_DATABASE_H

#include "base/buf.h"

#include <stdarg.h>

struct statement;

enum database_mode {
    DATABASE_WRITE,   /* the one writer: also does every checkpoint */
    DATABASE_READ,    /* never writes, never checkpoints */
    DATABASE_REBUILD, /* a new file nobody else knows: synced once, by database_close */
};

struct database {
    const struct database_driver *driver;
    bool is_unsynced; /* the running transaction is not synced by its commit */
};

struct database_driver {
    const char *name;
    const char *key_type; /* of an id column that is the primary key */
    const char *bytes_type;
    const char *clustered; /* behind a table that lives in its primary key */
    const char *begin_write, *begin_read;
    const char *commit, *rollback; /* prepared by open: an end needs no memory */
    const char *unsynced, *synced; /* outside of transactions: commits are not synced; they are again */
    const char *checkpoint;        /* moves a log of the database into it; NULL where there is none to move */
    const char *integrity;         /* a query whose rows are what is wrong inside the database itself, or "ok" */
    struct database *(*open)(const char *path, enum database_mode mode, struct buf *problem);
    int (*close)(struct database *db);
    struct statement *(*prepare)(struct database *db, const char *sql);
    void (*bind_u64)(struct statement *st, int n, uint64_t value);
    void (*bind_text)(struct statement *st, int n, struct span text);
    void (*bind_bytes)(struct statement *st, int n, struct span bytes);
    int (*step)(struct statement *st);
    uint64_t (*u64)(struct statement *st, int column);
    struct span (*bytes)(struct statement *st, int column);
    void (*end)(struct statement *st);
    bool (*is_in_transaction)(struct database *db);
    int (*script)(struct database *db, const char *sql);
    /* All that the running read transaction sees, into a new file at `path`. 0, or a negative errno with a sentence. */
    int (*copy)(struct database *db, const char *path, struct buf *problem);
    /* Brings a file that an older program made into the form that a new one has. *is_done: it is so now, or was. */
    int (*renew)(struct database *db, bool *is_done);
};

/* A file at `path`, made where it is missing (not for DATABASE_READ). NULL with a sentence. */
MUST_USE struct database *database_open(const char *path, enum database_mode mode, struct buf *problem);
/* 0, or a negative errno when the last sync of a rebuilt file failed. NULL-safe. */
int database_close(struct database *db);

/* A statement with its parameters bound by `format`, one letter each: u (uint64_t), t (struct span: text), b (struct
 * span: bytes). Spans must live until database_end(). NULL when it can't be prepared (logged); every function takes
 * that NULL as a failed statement. A statement that is running must not be queried again before its end. */
MUST_USE struct statement *database_query(struct database *db, const char *sql, const char *format, ...);
/* 1: a row is there; 0: no more; -EIO, -ENOSPC, -EBUSY, -EINVAL: it failed (logged). Columns count from 0. */
MUST_USE int database_step(struct statement *st);
uint64_t database_u64(struct statement *st, int column);
struct span database_bytes(struct statement *st, int column); /* until the next step or end */
void database_end(struct statement *st);
/* Query, steps to the end, end. 0 or a negative errno. */
MUST_USE int database_run(struct database *db, const char *sql, const char *format, ...);
/* The first column of the first row: 1 with *value set, 0 without a row, or a negative errno. */
MUST_USE int database_find(struct database *db, uint64_t *value, const char *sql, const char *format, ...);
/* Several statements without parameters. */
MUST_USE int database_script(struct database *db, const char *sql);

/* Each begin ends first, undone, what an end that failed has left open. */
MUST_USE int database_begin(struct database *db); /* to write */
/* To write what may be lost in a power cut: its commit is atomic and does not wait for the disk; the next ordinary one
 * makes it durable with its own. */
MUST_USE int database_begin_unsynced(struct database *db);
MUST_USE int database_begin_read(struct database *db); /* all that is read until the commit is of one moment */
MUST_USE int database_commit(struct database *db);
void database_rollback(struct database *db);
/* The same end, for whoever reads without a transaction: it would go on in the one that was left open, and never see
 * what came since. Call it between two transactions. 0, or a negative errno while it can't be ended. */
MUST_USE int database_settle(struct database *db);
/* Moves the log of the database into its file and empties it. DATABASE_WRITE only. */
MUST_USE int database_checkpoint(struct database *db);

#endif
