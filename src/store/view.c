#include "store/view.h"

#include "base/log.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define WINDOW_MAX RECORD_FACTS_MAX /* of a message to very many; else a fetch's bytes */
#define SWEEP_TURNS 256

static int open_files(struct view *v, const char *data_directory, struct buf *problem)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/store.db", data_directory);
    if (size < 0 || (size_t)size >= sizeof(path)) {
        buf_add_text(problem, "The data directory's path is too long.");
        return -ENAMETOOLONG;
    }
    v->db = database_open(path, DATABASE_READ, problem);
    if (!v->db)
        return -EIO;
    uint64_t version;
    int rc = database_find(v->db, &version, "SELECT MAX(version) FROM schema_version", "");
    if (rc > 0 && version == SCHEMA_VERSION)
        rc = database_find(v->db, &v->mark, "SELECT value FROM meta WHERE name = 'mark'", "");
    else if (rc >= 0)
        rc = -EPROTO;
    if (rc <= 0) {
        buf_printf(problem, "The database %s is not one that this program can read: %s.", path,
                   rc ? strerror(-rc) : "it is empty");
        return rc ? rc : -EPROTO;
    }
    size = snprintf(path, sizeof(path), "%s/volumes", data_directory);
    v->directory = size > 0 && (size_t)size < sizeof(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (v->directory >= 0)
        return 0;
    buf_printf(problem, "The directory %s cannot be opened: %s.", path, strerror(errno));
    return -errno;
}

int view_open(struct view *v, const char *data_directory, struct buf *problem)
{
    *v = (struct view){.directory = -1};
    buf_init(&v->window, WINDOW_MAX);
    int rc = open_files(v, data_directory, problem);
    if (rc != 0)
        view_release(v);
    return rc;
}

void view_release(struct view *v)
{
    for (size_t i = 0; i < VIEW_FILES_MAX; i++)
        if (v->files[i].number)
            close(v->files[i].fd);
    int rc = database_close(v->db);
    if (rc != 0)
        log_write(LOG_PROBLEM, "store", NULL, "the database was not closed cleanly error=%s", strerror(-rc));
    if (v->directory >= 0)
        close(v->directory);
    buf_release(&v->window);
    *v = (struct view){.directory = -1};
}

int view_mailbox_owner(struct view *v, uint64_t mailbox_id, uint64_t *account_id, uint32_t *uidvalidity)
{
    if (mailbox_id > INT64_MAX)
        return 0;
    struct statement *st =
        database_query(v->db, "SELECT account_id, uidvalidity FROM mailbox WHERE id = $1", "u", mailbox_id);
    int rc = database_step(st);
    if (rc > 0) {
        *account_id = database_u64(st, 0);
        *uidvalidity = (uint32_t)database_u64(st, 1);
    }
    database_end(st);
    return rc;
}

int view_maildrop(struct view *v, uint64_t mailbox_id, uint32_t from_uid, struct buf *out, uint32_t *count,
                  uint32_t *next_uid)
{
    *count = *next_uid = 0;
    struct statement *st =
        database_query(v->db, "SELECT uid, size FROM entry WHERE mailbox_id = $1 AND uid >= $2 ORDER BY uid", "uu",
                       mailbox_id, (uint64_t)from_uid);
    int rc;
    while ((rc = database_step(st)) > 0) {
        struct {
            uint64_t size;
            uint32_t uid, zero;
        } entry = {database_u64(st, 1), (uint32_t)database_u64(st, 0), 0};
        _Static_assert(sizeof(entry) == MAILDROP_ENTRY_SIZE, "as in store_read.proto");
        if (out->limit - out->size < sizeof(entry)) {
            *next_uid = entry.uid;
            break;
        }
        buf_add(out, &entry, sizeof(entry));
        ++*count;
    }
    database_end(st);
    return rc < 0 ? rc : buf_failed(out) ? -ENOMEM : 0;
}

/* ---- Volumes ---- */

/* Files of compacted volumes are let go, so that the disk gets its space back. */
static void sweep(struct view *v)
{
    for (size_t i = 0; i < VIEW_FILES_MAX; i++) {
        struct stat st;
        if (v->files[i].number && (fstat(v->files[i].fd, &st) != 0 || st.st_nlink == 0)) {
            close(v->files[i].fd);
            v->files[i].number = 0;
        }
    }
}

static int file_of(struct view *v, uint32_t number)
{
    if (++v->turn % SWEEP_TURNS == 0)
        sweep(v);
    struct view_file *oldest = &v->files[0];
    for (size_t i = 0; i < VIEW_FILES_MAX; i++) {
        struct view_file *f = &v->files[i];
        if (f->number == number) {
            f->used = v->turn;
            return f->fd;
        }
        if (f->number == 0 || (oldest->number != 0 && f->used < oldest->used))
            oldest = f;
    }
    int fd = volume_open(v->directory, number);
    if (fd < 0)
        return fd;
    if (oldest->number)
        close(oldest->fd);
    *oldest = (struct view_file){number, fd, v->turn};
    return fd;
}

struct wanted {
    uint32_t uid, volume;
    uint64_t message_id, position, stored, size;
    bool gone;
};

/* What a fetch read at once: records that lie side by side come with one system call. */
struct window {
    uint32_t volume;
    uint64_t position;
};

static int read_bytes(int fd, struct buf *out, uint64_t position, uint64_t size)
{
    buf_reset(out);
    char *place = buf_reserve(out, size);
    if (!place)
        return -ENOMEM;
    while (out->size < size) {
        ssize_t n = pread(fd, out->data + out->size, size - out->size, (off_t)(position + out->size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EBADMSG;
        out->size += (size_t)n;
    }
    return 0;
}

/* How far the records that are wanted next lie behind this one without much between them. */
static uint64_t run_end(const struct wanted *w, size_t count)
{
    uint64_t end = w->position + w->stored;
    for (size_t i = 1; i < count && w[i].volume == w->volume && !w[i].gone; i++) {
        if (w[i].position < end || w[i].position - end > 16384 || w[i].position + w[i].stored - w->position > FETCH_MAX)
            break;
        end = w[i].position + w[i].stored;
    }
    return end;
}

static int whole_message(struct view *v, const struct wanted *w, size_t count, struct window *window, struct buf *out)
{
    int fd = file_of(v, w->volume);
    if (fd < 0)
        return fd;
    if (window->volume != w->volume || w->position < window->position ||
        w->position + w->stored > window->position + v->window.size) {
        window->volume = 0;
        int rc = read_bytes(fd, &v->window, w->position, run_end(w, count) - w->position);
        if (rc != 0)
            return rc;
        *window = (struct window){w->volume, w->position};
    }
    struct span bytes = span_head(span_skip(buf_span(&v->window), w->position - window->position), w->stored);
    struct record_header h;
    if (!record_header_parse(bytes, &h) || h.type != RECORD_MESSAGE || h.mark != v->mark || h.volume != w->volume ||
        record_size(&h) != w->stored || h.body_size != w->size ||
        !record_facts_match(&h, span_head(span_skip(bytes, RECORD_HEADER_SIZE), h.facts_size)))
        return -EBADMSG;
    return body_read_memory(span_skip(bytes, RECORD_HEADER_SIZE + h.facts_size), &h, w->message_id, 0, h.body_size,
                            out);
}

static int part_of_message(struct view *v, const struct wanted *w, uint64_t offset, uint64_t size, struct buf *out)
{
    int fd = file_of(v, w->volume);
    struct record record;
    int rc =
        fd < 0 ? fd : record_read(fd, w->volume, v->mark, w->position, w->position + w->stored, &v->window, &record);
    if (rc == 0 && (record.header.type != RECORD_MESSAGE || record.header.body_size != w->size))
        rc = -EBADMSG;
    return rc ? rc : body_read(fd, &record, w->message_id, offset, size, out);
}

/* All rows of one moment, and before the first byte is read: a record whose row was seen is complete on the disk. */
static int look_up(struct view *v, uint64_t mailbox_id, const uint32_t *uids, size_t count, struct wanted *wanted)
{
    int rc = database_begin_read(v->db);
    if (rc != 0)
        return rc;
    for (size_t i = 0; rc >= 0 && i < count; i++) {
        struct statement *st =
            database_query(v->db,
                           "SELECT m.id, m.volume, m.position, m.stored, m.size FROM entry e"
                           " JOIN message m ON m.id = e.message_id WHERE e.mailbox_id = $1 AND e.uid = $2",
                           "uu", mailbox_id, (uint64_t)uids[i]);
        rc = database_step(st);
        wanted[i] = (struct wanted){.uid = uids[i], .gone = rc == 0};
        if (rc > 0) {
            wanted[i].message_id = database_u64(st, 0);
            wanted[i].volume = (uint32_t)database_u64(st, 1);
            wanted[i].position = database_u64(st, 2);
            wanted[i].stored = database_u64(st, 3);
            wanted[i].size = database_u64(st, 4);
        }
        database_end(st);
    }
    int ended = database_commit(v->db);
    if (ended != 0)
        database_rollback(v->db);
    return rc < 0 ? rc : ended;
}

int view_message_damaged(const struct view_message *m, int error)
{
    log_write(LOG_CRASH, "store", NULL,
              "a message cannot be read; its bytes are not handed out: run `ostiary store check` message=%ju volume=%u "
              "position=%ju error=%s",
              (uintmax_t)m->message_id, m->volume, (uintmax_t)m->position,
              error == -EBADMSG ? "damaged" : strerror(-error));
    return -EIO;
}

/* Says so where the message itself is the trouble; any other error (no descriptor, no memory) passes. */
static int judge(const struct view_message *m, int error)
{
    return error == -EBADMSG || error == -EIO || error == -ENOENT ? view_message_damaged(m, error) : error;
}

static int judge_wanted(const struct wanted *w, int error)
{
    struct view_message m = {w->volume, w->message_id, w->position, w->stored, w->size};
    return judge(&m, error);
}

/* How many of the rows fit: the first always, as a piece where it is larger. */
static size_t how_many(const struct wanted *wanted, size_t count, uint64_t offset, uint32_t max_bytes)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += wanted[i].size - (i == 0 ? offset : 0);
        if (bytes > max_bytes)
            return i ? i : 1;
    }
    return count;
}

static int read_pieces(struct view *v, const struct wanted *wanted, size_t count, uint64_t offset, uint32_t max_bytes,
                       struct piece *pieces, size_t *piece_count, struct buf *out)
{
    struct window window = {0, 0};
    *piece_count = how_many(wanted, count, offset, max_bytes);
    for (size_t i = 0; i < *piece_count; i++) {
        const struct wanted *w = &wanted[i];
        uint64_t from = i == 0 ? offset : 0, size = w->size - from > max_bytes ? max_bytes : w->size - from;
        pieces[i] = (struct piece){w->uid, (uint32_t)size, from, w->size, w->gone};
        size_t before = out->size;
        int rc = 0;
        if (!w->gone && size == w->size && w->stored <= FETCH_MAX)
            rc = whole_message(v, w, *piece_count - i, &window, out);
        else if (!w->gone) {
            window.volume = 0;
            rc = part_of_message(v, w, from, size, out);
        }
        if (rc == -ENOENT && i == 0)
            return -EAGAIN;
        /* What was asked for first is here; one that can't be read is told of when it is asked for itself. */
        if (rc != 0 && rc != -ENOMEM && i > 0) {
            buf_truncate(out, before);
            *piece_count = i;
            return 0;
        }
        if (rc != 0)
            return judge_wanted(w, rc);
    }
    return 0;
}

int view_fetch(struct view *v, uint64_t mailbox_id, const uint32_t *uids, size_t uid_count, uint64_t offset,
               uint32_t max_bytes, struct piece *pieces, size_t *piece_count, struct buf *out)
{
    enum { MOST = 1024 };
    struct wanted wanted[MOST];
    wanted[0] = (struct wanted){0};
    size_t room = *piece_count, start = out->size;
    size_t count = uid_count < room ? uid_count : room;
    count = count < MOST ? count : MOST;
    max_bytes = max_bytes > FETCH_MAX ? FETCH_MAX : max_bytes;
    *piece_count = 0;
    if (count == 0 || max_bytes == 0)
        return -EINVAL;
    int rc = -EAGAIN;
    /* A volume that was compacted between the look-up and the reading: the second look finds the message's new place.
     */
    for (int attempt = 0; rc == -EAGAIN && attempt < 3; attempt++) {
        buf_truncate(out, start);
        rc = look_up(v, mailbox_id, uids, count, wanted);
        if (rc == 0 && !wanted[0].gone && offset > wanted[0].size)
            rc = -EINVAL;
        if (rc == 0 && wanted[0].gone)
            offset = 0;
        if (rc == 0)
            rc = read_pieces(v, wanted, count, offset, max_bytes, pieces, piece_count, out);
    }
    return rc == -EAGAIN ? judge_wanted(&wanted[0], -ENOENT) : rc;
}

/* ---- One message, by its id ---- */

int view_message_find(struct view *v, uint64_t message_id, struct view_message *m)
{
    struct statement *st = database_query(
        v->db, "SELECT volume, position, stored, size FROM message WHERE id = $1 AND living > 0", "u", message_id);
    int rc = database_step(st);
    if (rc > 0)
        *m = (struct view_message){(uint32_t)database_u64(st, 0), message_id, database_u64(st, 1), database_u64(st, 2),
                                   database_u64(st, 3)};
    database_end(st);
    return rc;
}

int view_message_read(struct view *v, const struct view_message *m, uint64_t offset, uint32_t max_bytes,
                      struct span *facts, struct buf *out)
{
    struct wanted w = {.volume = m->volume,
                       .message_id = m->message_id,
                       .position = m->position,
                       .stored = m->stored,
                       .size = m->size};
    struct window window = {0, 0};
    struct record_header h;
    int rc;
    if (offset == 0 && m->size <= max_bytes && m->stored <= FETCH_MAX) {
        rc = whole_message(v, &w, 1, &window, out);
        if (rc == 0 && record_header_parse(buf_span(&v->window), &h))
            *facts = span_head(span_skip(buf_span(&v->window), RECORD_HEADER_SIZE), h.facts_size);
    } else {
        uint64_t rest = m->size - offset;
        rc = part_of_message(v, &w, offset, rest < max_bytes ? rest : max_bytes, out);
        *facts = buf_span(&v->window);
    }
    return rc == -ENOENT ? -EAGAIN : judge(m, rc);
}
