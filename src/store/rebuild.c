#include "store/rebuild.h"

#include "base/log.h"
#include "store/core.h"
#include "store/replay.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROWS_PER_TRANSACTION 50000
#define FRESH "store.db.new"

struct rebuild {
    struct replay replay;
    struct store_rebuild_report *report;
    struct buf *problem;
    store_progress *progress;
    void *context;
    int data_directory, volumes, lock;
    uint32_t *numbers;
    size_t count;
    uint64_t done_bytes, all_bytes;
    unsigned steps;
    struct buf memory;
};

static int stat_volume(struct rebuild *r, int fd, uint64_t *size)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        buf_printf(r->problem, "A volume cannot be read: %s.", strerror(errno));
        return -errno;
    }
    *size = (uint64_t)st.st_size;
    return 0;
}

static int open_volume(struct rebuild *r, uint32_t number, uint64_t *size)
{
    int fd = volume_open(r->volumes, number);
    if (fd < 0) {
        buf_printf(r->problem, "Volume %04u cannot be opened: %s.", number, strerror(-fd));
        return fd;
    }
    int rc = stat_volume(r, fd, size);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

/* The mark of the store: of the first whole record at the beginning of a volume, or of the one behind it, whose place
 * no sender of mail can choose either. */
static int find_mark(struct rebuild *r)
{
    for (size_t i = 0; i < r->count; i++) {
        uint64_t size = 0;
        struct record record;
        int fd = open_volume(r, r->numbers[i], &size);
        if (fd < 0)
            return fd;
        int rc = record_read(fd, r->numbers[i], 0, 0, size, &r->memory, &record);
        if (rc == -EBADMSG)
            rc = record_read(fd, r->numbers[i], 0, VOLUME_RECORD_SIZE, size, &r->memory, &record);
        close(fd);
        if (rc == 0 && r->replay.mark == 0)
            r->replay.mark = record.header.mark;
        r->all_bytes += size;
    }
    if (r->replay.mark != 0)
        return 0;
    buf_add_text(r->problem, "No volume begins with a whole record: there is nothing to make a database from.");
    return -ENODATA;
}

static int step_transaction(struct rebuild *r)
{
    if (++r->steps % ROWS_PER_TRANSACTION != 0)
        return 0;
    int rc = database_commit(r->replay.db);
    return rc ? rc : database_begin(r->replay.db);
}

static int replay_one(struct rebuild *r, const struct record *record, int pass)
{
    int rc = pass == 1 ? replay_directory(&r->replay, record) : replay_mail(&r->replay, record);
    if (rc == -EBADMSG) {
        log_write(LOG_CRASH, "store", NULL, "a record does not parse and is left out volume=%u position=%ju",
                  record->header.volume, (uintmax_t)record->position);
        if (pass == 2)
            r->report->damaged_bytes += record_size(&record->header);
        rc = 0;
    }
    if (record->header.lsn >= r->replay.next_lsn)
        r->replay.next_lsn = record->header.lsn + 1;
    return rc ? rc : step_transaction(r);
}

/* All are sealed: the server begins a new volume. The newest may have a torn end, which the next start cuts off; damage
 * elsewhere stays as it is. */
static int put_volume(struct rebuild *r, uint32_t number, bool damaged, uint64_t end, uint64_t size)
{
    bool newest = number == r->numbers[r->count - 1];
    return database_run(
        r->replay.db, "INSERT INTO volume (number, end_position, dead_bytes, state) VALUES ($1, $2, 0, $3)", "uuu",
        (uint64_t)number, newest ? end : size, (uint64_t)(damaged && !newest ? VOLUME_DAMAGED : VOLUME_SEALED));
}

static int replay_volume(struct rebuild *r, uint32_t number, int pass)
{
    uint64_t size = 0, position = 0, end = 0;
    int fd = open_volume(r, number, &size);
    if (fd < 0)
        return fd;
    int rc = 0;
    bool damaged = false;
    while (rc == 0 && position < size) {
        struct record record;
        rc = record_read(fd, number, r->replay.mark, position, size, &r->memory, &record);
        if (rc == 0) {
            rc = replay_one(r, &record, pass);
            position += record_size(&record.header);
            r->report->records += pass == 2;
            end = position;
        } else if (rc == -EBADMSG) {
            uint64_t next;
            damaged = true;
            rc = record_search(fd, number, r->replay.mark, position + 1, size, &next);
            r->report->damaged_bytes += pass == 2 ? next - position : 0;
            position = next;
        }
    }
    close(fd);
    if (rc != 0) {
        buf_printf(r->problem, "Volume %04u cannot be replayed: %s.", number, strerror(-rc));
        return rc;
    }
    r->done_bytes += size;
    if (r->progress)
        r->progress(r->context, r->done_bytes / 2, r->all_bytes);
    return pass == 1 ? 0 : put_volume(r, number, damaged, end, size);
}

static int fill(struct rebuild *r)
{
    int rc = schema_migrate(r->replay.db, r->problem);
    if (rc != 0)
        return rc;
    rc = database_begin(r->replay.db);
    for (int pass = 1; rc == 0 && pass <= 2; pass++) {
        if (pass == 2)
            rc = replay_look_for_orphans(&r->replay);
        for (size_t i = 0; rc == 0 && i < r->count; i++)
            rc = replay_volume(r, r->numbers[i], pass);
    }
    if (rc == 0)
        rc = replay_finish(&r->replay);
    if (rc == 0)
        rc = database_commit(r->replay.db);
    if (rc == 0)
        rc = database_find(r->replay.db, &r->report->messages, "SELECT COUNT(*) FROM message WHERE living > 0", "") < 0
                 ? -EIO
                 : 0;
    if (rc == 0)
        rc = database_find(r->replay.db, &r->report->accounts, "SELECT COUNT(*) FROM account", "") < 0 ? -EIO : 0;
    r->report->volumes = r->count;
    r->report->unplaced = r->replay.unplaced;
    if (rc != 0 && r->problem->size == 0)
        buf_printf(r->problem, "The new database cannot be written: %s.", strerror(-rc));
    return rc;
}

static int rename_if_there(int directory, const char *from, const char *to)
{
    return renameat(directory, from, directory, to) != 0 && errno != ENOENT ? -errno : 0;
}

/* The old database steps aside with its log and the log's index, which belong to it alone. It goes first, and for good:
 * a start that found it without its log would take it for a whole one and cut off what the log tells of; one that found
 * the new database beside the old one's log would play that into it. */
static int set_aside(struct rebuild *r)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct stat st;
    char name[64];
    unsigned n = 1;
    if (fstatat(r->data_directory, "store.db", &st, 0) != 0 && fstatat(r->data_directory, "store.db-wal", &st, 0) != 0)
        return 0;
    do
        snprintf(name, sizeof(name), "store.db.broken-%u", n);
    while (fstatat(r->data_directory, name, &st, 0) == 0 && n++ < 1000000);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(ends) / sizeof(ends[0]); i++) {
        char from[32], to[80];
        snprintf(from, sizeof(from), "store.db%s", ends[i]);
        snprintf(to, sizeof(to), "%s%s", name, ends[i]);
        rc = rename_if_there(r->data_directory, from, to);
        if (rc == 0 && fsync(r->data_directory) != 0)
            rc = -errno;
    }
    snprintf(r->report->kept_as, sizeof(r->report->kept_as), "%s", name);
    return rc;
}

static int swap_in(struct rebuild *r)
{
    int rc = set_aside(r);
    if (rc == 0 && renameat(r->data_directory, FRESH, r->data_directory, "store.db") != 0)
        rc = -errno;
    if (rc == 0 && fsync(r->data_directory) != 0)
        rc = -errno;
    if (rc != 0)
        buf_printf(r->problem, "The new database (%s) cannot be put in place: %s.", FRESH, strerror(-rc));
    return rc;
}

static int remove_fresh(struct rebuild *r)
{
    static const char *const names[] = {FRESH, FRESH "-journal"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (unlinkat(r->data_directory, names[i], 0) != 0 && errno != ENOENT) {
            buf_printf(r->problem, "An older %s cannot be removed: %s.", names[i], strerror(errno));
            return -errno;
        }
    return 0;
}

static int open_all(struct rebuild *r, const char *path)
{
    r->data_directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    r->volumes = r->data_directory < 0 ? -1 : openat(r->data_directory, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r->volumes < 0) {
        buf_printf(r->problem, "The data directory %s with its volumes cannot be opened: %s.", path, strerror(errno));
        return -errno;
    }
    r->lock = store_lock(r->data_directory, r->problem);
    if (r->lock < 0)
        return r->lock;
    int rc = volume_list(r->volumes, &r->numbers, &r->count);
    if (rc == 0)
        rc = find_mark(r);
    if (rc == 0)
        rc = remove_fresh(r);
    if (rc != 0)
        return rc;
    char file[PATH_MAX];
    int size = snprintf(file, sizeof(file), "%s/" FRESH, path);
    if (size < 0 || (size_t)size >= sizeof(file))
        return -ENAMETOOLONG;
    r->replay.db = database_open(file, DATABASE_REBUILD, r->problem);
    return r->replay.db ? 0 : -EIO;
}

int store_rebuild(const char *data_directory, struct store_rebuild_report *report, store_progress *progress,
                  void *context, struct buf *problem)
{
    struct rebuild r = {.report = report,
                        .problem = problem,
                        .progress = progress,
                        .context = context,
                        .data_directory = -1,
                        .volumes = -1,
                        .lock = -1,
                        .replay.next_lsn = 1};
    *report = (struct store_rebuild_report){0};
    buf_init(&r.memory, RECORD_FACTS_MAX);
    arena_init(&r.replay.arena, 4ull * RECORD_FACTS_MAX);
    map_init(&r.replay.removed);
    int rc = open_all(&r, data_directory);
    if (rc == 0)
        rc = fill(&r);
    int closed = database_close(r.replay.db);
    if (rc == 0 && (rc = closed) != 0)
        buf_printf(problem, "The new database cannot be closed: %s.", strerror(-rc));
    if (rc == 0)
        rc = swap_in(&r);
    map_release(&r.replay.removed);
    arena_release(&r.replay.arena);
    buf_release(&r.memory);
    free(r.numbers);
    int fds[] = {r.volumes, r.data_directory, r.lock};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return rc;
}
