/* The rule: the database holds, in the transaction of each batch, the end of the volume that this batch reached. What a
 * volume has behind that end belongs to a batch whose transaction did not commit; its senders got no answer and will
 * send again, so it is cut off, whole or torn.
 *
 * That tail can be of one batch only, since a batch begins after the commit of the one before. A tail with records of
 * several batches, or a volume the database has never heard of, means that the database is older than the volumes (a
 * restored backup): cutting would then destroy acknowledged mail, so the store does not start and names `ostiary store
 * rebuild` instead. */
#include "store/recovery.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define REBUILD_HINT "Run `ostiary store rebuild` to make the database anew from the volumes."

static int is_older(struct buf *problem, const char *what, uint32_t number)
{
    buf_printf(
        problem,
        "The database is older than the volumes (%s, volume %04u), as after restoring a backup of it. " REBUILD_HINT,
        what, number);
    return -EPROTO;
}

/* Looks at what stands behind the committed end. */
static int tail_check(const struct store *s, int fd, uint32_t number, uint64_t end, uint64_t file_end,
                      struct buf *problem)
{
    struct buf memory;
    buf_init(&memory, RECORD_FACTS_MAX);
    struct record record;
    uint64_t position = end, batch = 0;
    int rc;
    while ((rc = record_read(fd, number, s->volumes.mark, position, file_end, &memory, &record)) == 0) {
        if (batch == 0)
            batch = record.header.batch;
        if (record.header.batch != batch || batch > s->volumes.lsn) {
            rc = is_older(problem, "records of later batches", number);
            break;
        }
        position += record_size(&record.header);
    }
    buf_release(&memory);
    if (rc == -ENODATA || rc == -EBADMSG)
        return 0;
    if (rc != -EPROTO)
        buf_printf(problem, "Volume %04u cannot be read: %s.", number, strerror(-rc));
    return rc;
}

static int volume_cut_tail(struct store *s, uint32_t number, uint64_t end, bool *is_short, struct buf *problem)
{
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    struct stat st;
    int fd = openat(s->volumes.directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int error = errno;
        buf_printf(
            problem,
            "Volume %s, which the database refers to, cannot be opened: %s. Put it back; if it is lost, " REBUILD_HINT,
            name, strerror(error));
        if (fd >= 0)
            close(fd);
        return -error;
    }
    uint64_t size = (uint64_t)st.st_size;
    *is_short = size < end;
    int rc = 0;
    if (*is_short)
        log_write(LOG_CRASH, "store", NULL,
                  "volume is shorter than what was written to it; messages are lost volume=%u bytes=%ju expected=%ju",
                  number, (uintmax_t)size, (uintmax_t)end);
    if (size > end) {
        rc = tail_check(s, fd, number, end, size, problem);
        if (rc == 0 && (ftruncate(fd, (off_t)end) != 0 || fsync(fd) != 0)) {
            rc = -errno;
            buf_printf(problem, "The unfinished end of volume %s cannot be cut off: %s.", name, strerror(-rc));
        } else if (rc == 0) {
            s->counts.tail_bytes_cut += size - end;
            log_write(LOG_MAJOR, "store", NULL, "cut off what was written and never acknowledged volume=%u bytes=%ju",
                      number, (uintmax_t)(size - end));
        }
    }
    close(fd);
    return rc;
}

struct known_volume {
    uint64_t number, end, state;
};

static int volumes_known(struct store *s, struct known_volume **known, size_t *count)
{
    struct statement *st = database_query(s->db, "SELECT number, end_position, state FROM volume ORDER BY number", "");
    int rc;
    *known = NULL;
    *count = 0;
    while ((rc = database_step(st)) > 0) {
        struct known_volume *more = realloc(*known, (*count + 1) * sizeof(**known));
        if (!more) {
            rc = -ENOMEM;
            break;
        }
        *known = more;
        more[(*count)++] = (struct known_volume){database_u64(st, 0), database_u64(st, 1), database_u64(st, 2)};
    }
    database_end(st);
    return rc;
}

/* A file that the database does not know: the one volume that was being begun when the process died, which can hold no
 * more than its own first record, or evidence that the database is older. */
static int unknown_file(struct store *s, uint32_t number, uint64_t newest, struct buf *problem)
{
    if (s->volumes.mark == 0) {
        buf_printf(problem, "The database is empty and there are volumes (%04u). " REBUILD_HINT, number);
        return -EPROTO;
    }
    int fd = volume_open(s->volumes.directory, number);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        buf_printf(problem, "Volume %04u cannot be opened: %s.", number, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -EIO;
    }
    bool begun = (uint64_t)st.st_size <= VOLUME_RECORD_SIZE;
    close(fd);
    if (number != newest + 1 || !begun)
        return is_older(problem, "a volume it does not know", number);
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    if (unlinkat(s->volumes.directory, name, 0) == 0)
        return 0;
    buf_printf(problem, "The unfinished volume %s cannot be removed: %s.", name, strerror(errno));
    return -errno;
}

static int removal_finish(struct store *s, uint64_t number, struct buf *problem)
{
    char name[VOLUME_NAME_SIZE];
    volume_name((uint32_t)number, name);
    int rc = unlinkat(s->volumes.directory, name, 0) != 0 && errno != ENOENT ? -errno : 0;
    /* The file is gone for good before the database forgets it; else a power cut could bring it back as an unknown one.
     */
    if (rc == 0 && fsync(s->volumes.directory) != 0)
        rc = -errno;
    if (rc == 0)
        rc = database_run(s->db, "DELETE FROM volume WHERE number = $1", "u", number);
    if (rc != 0)
        buf_printf(problem, "The compacted volume %s cannot be removed: %s.", name, strerror(-rc));
    return rc;
}

static int files_compare(struct store *s, const struct known_volume *known, size_t count, struct buf *problem)
{
    uint32_t *numbers;
    size_t files;
    int rc = volume_list(s->volumes.directory, &numbers, &files);
    if (rc != 0)
        buf_printf(problem, "The directory of the volumes cannot be read: %s.", strerror(-rc));
    for (size_t i = 0, k = 0; rc == 0 && i < files; i++) {
        while (k < count && known[k].number < numbers[i])
            k++;
        if (k == count || known[k].number != numbers[i])
            rc = unknown_file(s, numbers[i], count ? known[count - 1].number : 0, problem);
    }
    free(numbers);
    return rc;
}

/* A store's first start: its mark and its first volume. */
static int first_start(struct store *s, struct buf *problem)
{
    uint64_t mark;
    if (getrandom(&mark, sizeof(mark), 0) != sizeof(mark)) {
        buf_add_text(problem, "The system gives no random numbers.");
        return -EIO;
    }
    s->volumes.mark = (mark >> 1) | 1;
    s->volumes.lsn = 1;
    int rc = database_begin(s->db);
    if (rc == 0)
        rc =
            database_run(s->db, "INSERT INTO meta (name, value) VALUES ('mark', $1), ('lsn', 1)", "u", s->volumes.mark);
    if (rc == 0)
        rc = database_commit(s->db);
    if (rc != 0)
        buf_printf(problem, "The new database cannot be written: %s.", strerror(-rc));
    return rc;
}

static int volumes_recover(struct store *s, const struct known_volume *known, size_t count, struct buf *problem)
{
    bool seal = false;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        bool is_short = false;
        if (known[i].state == VOLUME_REMOVED)
            rc = removal_finish(s, known[i].number, problem);
        else
            rc = volume_cut_tail(s, (uint32_t)known[i].number, known[i].end, &is_short, problem);
        if (i + 1 == count)
            seal = is_short || known[i].state != VOLUME_OPEN;
    }
    if (rc != 0)
        return rc;
    const struct known_volume *newest = count ? &known[count - 1] : NULL;
    if (newest && !seal) {
        rc = volume_continue(&s->volumes, (uint32_t)newest->number, newest->end);
    } else {
        /* store_begin() makes the next one, since this is full from the start. */
        s->volumes.number = newest ? (uint32_t)newest->number : 0;
        s->volumes.position = UINT64_MAX;
        rc = store_begin(s);
        if (rc == 0)
            rc = store_commit(s);
    }
    if (rc != 0)
        buf_printf(problem, "The newest volume cannot be opened for writing: %s.", strerror(-rc));
    return rc;
}

int store_recover(struct store *s, struct buf *problem)
{
    struct known_volume *known;
    size_t count;
    int rc = volumes_known(s, &known, &count);
    int marked = rc ? rc : database_find(s->db, &s->volumes.mark, "SELECT value FROM meta WHERE name = 'mark'", "");
    if (marked > 0)
        marked = database_find(s->db, &s->volumes.lsn, "SELECT value FROM meta WHERE name = 'lsn'", "");
    if (marked < 0) {
        rc = marked;
        buf_printf(problem, "The database cannot be read: %s.", strerror(-rc));
        goto out;
    }
    rc = files_compare(s, known, count, problem);
    if (rc == 0 && marked == 0)
        rc = first_start(s, problem);
    if (rc == 0)
        rc = volumes_recover(s, known, count, problem);
    s->committed_end = s->volumes.position;
    s->committed_lsn = s->volumes.lsn;
out:
    free(known);
    return rc;
}
