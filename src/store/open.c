#include "store/core.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/compact.h"
#include "store/mailbox.h"
#include "store/queue.h"
#include "store/recovery.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FACTS_LIMIT (RECORD_FACTS_MAX + 1)
#define OPERATION_LIMIT (64u << 20)

int store_lock(int data_directory, struct buf *problem)
{
    int fd = openat(data_directory, "store.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        buf_printf(problem, "The lock file store.lock in the data directory cannot be opened: %s.", strerror(errno));
        return -errno;
    }
    char holder[24] = "";
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        ssize_t n = pread(fd, holder, sizeof(holder) - 1, 0);
        buf_printf(problem, "The data directory is in use by process %.*s: stop that server first.",
                   n > 0 ? (int)strcspn(holder, "\n") : 1, n > 0 ? holder : "?");
        close(fd);
        return error == EWOULDBLOCK ? -EBUSY : -error;
    }
    int size = snprintf(holder, sizeof(holder), "%ld\n", (long)getpid());
    /* Who holds it is a help to a person; the lock itself is what counts. */
    if (ftruncate(fd, 0) != 0 || pwrite(fd, holder, (size_t)size, 0) != size)
        log_write(LOG_PROBLEM, "store", NULL, "store.lock cannot be written error=%s", strerror(errno));
    return fd;
}

static int open_directory(int at, const char *path, struct buf *problem)
{
    if (mkdirat(at, path, 0700) != 0 && errno != EEXIST) {
        buf_printf(problem, "The directory %s cannot be made: %s.", path, strerror(errno));
        return -errno;
    }
    int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(problem, "The directory %s cannot be opened: %s.", path, strerror(errno));
        return -errno;
    }
    return fd;
}

static int open_files(struct store *s, const char *path, struct buf *problem)
{
    s->data_directory = open_directory(AT_FDCWD, path, problem);
    if (s->data_directory < 0)
        return s->data_directory;
    s->ledger.reject_log.directory = s->data_directory;
    s->lock = store_lock(s->data_directory, problem);
    if (s->lock < 0)
        return s->lock;
    int spool = open_directory(s->data_directory, "spool", problem);
    if (spool < 0)
        return spool;
    close(spool);
    s->volumes.directory = open_directory(s->data_directory, "volumes", problem);
    if (s->volumes.directory < 0)
        return s->volumes.directory;
    /* The names in it have to be durable before anything behind them is acknowledged. */
    if (fsync(s->data_directory) != 0) {
        buf_printf(problem, "The data directory %s cannot be synced: %s.", path, strerror(errno));
        return -errno;
    }
    char file[PATH_MAX];
    int size = snprintf(file, sizeof(file), "%s/store.db", path);
    if (size < 0 || (size_t)size >= sizeof(file)) {
        buf_add_text(problem, "The data directory's path is too long.");
        return -ENAMETOOLONG;
    }
    s->db = database_open(file, DATABASE_WRITE, problem);
    return s->db ? 0 : -EIO;
}

int store_set_settings(struct store *s, const struct settings *settings)
{
    char *detail_separator = strdup(settings->smtp.detail_separator ? settings->smtp.detail_separator : "");
    if (!detail_separator)
        return -ENOMEM;
    free(s->detail_separator);
    s->detail_separator = detail_separator;
    s->volumes.compress_from = settings->store.compress_from;
    s->volume_size = settings->store.volume_size;
    /* What a session adds (Received:, Return-Path:) must not make a message too large that was just small enough. */
    s->message_max = settings->smtp.message_size + (1u << 20);
    if (s->message_max > RECORD_BODY_MAX)
        s->message_max = RECORD_BODY_MAX;
    s->compact_dead_percent = settings->store.compact_dead_percent;
    s->daily_recipients = settings->submission.daily_recipients;
    s->list_bounces = settings->courier.list_bounces;
    s->queue_wait = settings->courier.retry_longest * NANOSECONDS;
    s->queue_life = settings->courier.give_up * NANOSECONDS;
    ledger_set_settings(&s->ledger, settings);
    return 0;
}

struct store *store_open(const struct settings *settings, struct buf *problem)
{
    struct store *s = calloc(1, sizeof(*s));
    if (!s) {
        buf_add_text(problem, "There is no memory to open the store.");
        return NULL;
    }
    s->data_directory = s->lock = -1;
    volume_writer_init(&s->volumes, -1);
    map_init(&s->mailboxes);
    map_init(&s->accounts);
    list_init(&s->dirty);
    queue_news_init(&s->news);
    buf_init(&s->facts, FACTS_LIMIT);
    arena_init(&s->arena, OPERATION_LIMIT);
    ledger_init(&s->ledger, -1);
    int rc = store_set_settings(s, settings);
    if (rc == 0)
        rc = open_files(s, settings->data_directory, problem);
    if (rc == 0)
        rc = schema_migrate(s->db, problem);
    if (rc == 0)
        rc = store_recover(s, problem);
    if (rc == 0 && (rc = queue_count(s)) != 0)
        buf_printf(problem, "The queue cannot be counted: %s.", strerror(-rc));
    if (rc == 0)
        return s;
    store_close(s);
    return NULL;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_abort(s);
    compaction_free(s);
    /* The log of the database stays where this fails; the next start reads it. */
    if (s->db && !s->broken && database_checkpoint(s->db) != 0)
        log_write(LOG_PROBLEM, "store", NULL,
                  "the database's log could not be moved into it; the next start does that");
    int rc = database_close(s->db);
    if (rc != 0)
        log_write(LOG_CRASH, "store", NULL, "the database was not closed cleanly error=%s", strerror(-rc));
    volume_writer_release(&s->volumes);
    mailboxes_clear(s);
    map_release(&s->mailboxes);
    map_release(&s->accounts);
    queue_news_release(&s->news);
    buf_release(&s->facts);
    arena_release(&s->arena);
    ledger_release(&s->ledger);
    free(s->detail_separator);
    if (s->data_directory >= 0)
        close(s->data_directory);
    if (s->lock >= 0)
        close(s->lock);
    free(s);
}
