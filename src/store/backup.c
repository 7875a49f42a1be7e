#include "store/backup.h"

#include "store/backup_copy.h"
#include "store/core.h"
#include "store/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How often compaction may remove a volume between the moment that is copied and the opening of its files. */
#define TRIES 20
/* Nobody else's memory: the manifest of a million volumes. */
#define ARENA_MAX (256u << 20)

struct volume_source {
    uint32_t number;
    int fd;
    uint64_t end;
};

struct backup {
    struct backup_job *job;
    struct buf *problem;
    int directory, volumes; /* of the backup, and its volumes/ */
    int source;             /* volumes/ of the store */
    struct database *db;
    struct volume_source *sources;
    size_t source_count;
    uint64_t mark;
    char database_name[BACKUP_NAME_MAX];
    struct arena arena;
    struct backup_manifest before, after; /* before.files NULL: there is none */
    struct copier copier;
};

static int say(struct backup *b, int error, const char *what)
{
    buf_printf(b->problem, "%s: %s", what, strerror(-error));
    return error;
}

/* ---- The backup before ---- */

static int read_manifest(int directory, struct buf *text)
{
    int fd = openat(directory, MANIFEST_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : 1;
    int error = fd < 0 ? -errno : 0;
    while (n > 0) {
        char *place = buf_reserve(text, 65536);
        n = place ? read(fd, place, 65536) : -1;
        if (n < 0)
            error = place ? -errno : -EFBIG;
        text->size += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

static int open_below(int at, const char *name)
{
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* What SQLite has beside a copy that it writes. */
static bool is_beside_database(struct span name)
{
    static const char *const ends[] = {"-journal", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (span_ends_nocase(name, span_text(ends[i])))
            return backup_name_is_database(span_head(name, name.size - strlen(ends[i])));
    return false;
}

static DIR *open_list(int directory)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

/* A directory that holds other things is left alone. What a first backup that was broken off left is none of those. */
static bool is_empty(int directory)
{
    static const char *const ours[] = {".", "..", "volumes", MANIFEST_NAME ".new"};
    DIR *dir = open_list(directory);
    if (!dir)
        return false;
    size_t others = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct span name = span_text(entry->d_name);
        bool is_ours = backup_name_is_good(name) || is_beside_database(name);
        for (size_t i = 0; !is_ours && i < sizeof ours / sizeof *ours; i++)
            is_ours = span_is(name, ours[i]);
        others += !is_ours;
    }
    closedir(dir);
    return others == 0;
}

static int open_target(struct backup *b)
{
    struct buf text;
    if (mkdir(b->job->directory, 0700) < 0 && errno != EEXIST)
        return say(b, -errno, "the directory for the backup can't be made");
    b->directory = open(b->job->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->directory < 0)
        return say(b, -errno, "the directory for the backup can't be opened");
    int synced = sync_name(b->job->directory);
    if (synced)
        return say(b, synced, "the directory above that of the backup can't be synced");
    buf_init(&text, MANIFEST_MAX);
    int error = read_manifest(b->directory, &text);
    if (!error && !backup_manifest_parse(buf_span(&text), &b->arena, &b->before, b->problem))
        error = -EBADMSG;
    else if (error && error != -ENOENT)
        say(b, error, "the manifest of the backup before can't be read");
    else if (error == -ENOENT && !is_empty(b->directory)) {
        error = -ENOTEMPTY;
        buf_printf(b->problem, "%s has other things in it and no backup; name an empty directory, or that of a backup",
                   b->job->directory);
    } else
        error = 0;
    buf_release(&text);
    if (error)
        return error;
    b->volumes = open_below(b->directory, "volumes");
    return b->volumes < 0 ? say(b, b->volumes, "volumes/ in the backup can't be opened") : 0;
}

/* ---- The moment ---- */

static void close_sources(struct backup *b)
{
    for (size_t i = 0; i < b->source_count; i++)
        close(b->sources[i].fd);
    free(b->sources);
    b->sources = NULL;
    b->source_count = 0;
}

static int add_source(struct backup *b, uint64_t number, uint64_t end)
{
    if ((b->source_count & (b->source_count + 1)) == 0) {
        struct volume_source *more = realloc(b->sources, (b->source_count + 1) * 2 * sizeof *more);
        if (!more)
            return -ENOMEM;
        b->sources = more;
    }
    int fd = number > UINT32_MAX ? -EBADMSG : volume_open(b->source, (uint32_t)number);
    if (fd < 0)
        return fd;
    b->sources[b->source_count++] = (struct volume_source){(uint32_t)number, fd, end};
    return 0;
}

/* Begins the read transaction and opens its volumes. -ENOENT: one of them went meanwhile. */
static int take_moment(struct backup *b)
{
    int rc = database_begin_read(b->db);
    if (rc)
        return rc;
    int found = database_find(b->db, &b->mark, "SELECT value FROM meta WHERE name = 'mark'", "");
    rc = found > 0 ? 0 : found < 0 ? found : -EPROTO;
    struct statement *st =
        rc ? NULL
           : database_query(b->db, "SELECT number, end_position FROM volume WHERE state <> $1 ORDER BY number", "u",
                            (uint64_t)VOLUME_REMOVED);
    while (!rc && (rc = database_step(st)) > 0)
        rc = add_source(b, database_u64(st, 0), database_u64(st, 1));
    database_end(st);
    if (rc) {
        close_sources(b);
        database_rollback(b->db);
    }
    return rc;
}

static int open_source(struct backup *b)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/volumes", b->job->data_directory);
    b->source = n < 0 || (size_t)n >= sizeof path ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (b->source < 0)
        return say(b, errno ? -errno : -ENAMETOOLONG, "the volumes can't be opened");
    snprintf(path, sizeof path, "%s/store.db", b->job->data_directory);
    b->db = database_open(path, DATABASE_READ, b->problem);
    if (!b->db)
        return -EIO;
    int rc = take_moment(b);
    for (int i = 1; rc == -ENOENT && i < TRIES; i++)
        rc = take_moment(b);
    return rc ? say(b, rc, "the store can't be read") : 0;
}

/* ---- Copying ---- */

static bool is_listed(const struct backup_manifest *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->files[i].name, name) == 0)
            return true;
    return false;
}

static struct backup_file *add_file(struct backup *b, const char *name)
{
    struct backup_file *file = &b->after.files[b->after.count];
    snprintf(file->name, sizeof file->name, "%s", name);
    return file;
}

/* What the manifest lists must stay until there is another one: it may be gone on with, and else the new version gets a
 * name of its own. 0 with the file counted. */
static int copy_file(struct backup *b, int from, uint64_t size, const char *base)
{
    char name[BACKUP_NAME_MAX];
    snprintf(name, sizeof name, "%s", base);
    for (size_t i = 0; i < b->before.count; i++)
        if (span_is(backup_name_base(span_text(b->before.files[i].name)), base))
            snprintf(name, sizeof name, "%s", b->before.files[i].name);
    struct backup_file *file = add_file(b, name);
    int error = copier_extend(&b->copier, from, size, b->directory, file);
    if (error == -ESTALE) {
        for (unsigned n = 2; is_listed(&b->before, file->name); n++)
            snprintf(file->name, sizeof file->name, "%.40s.%u", base, n);
        error = copier_write(&b->copier, from, size, b->directory, file);
    }
    b->after.count += !error;
    return error;
}

/* Takes the database over into a new file and ends the transaction, so that the log of the database can be reused while
 * the volumes are copied. */
static int copy_database(struct backup *b)
{
    char path[PATH_MAX];
    struct stat status = {0};
    struct backup_file *file = add_file(b, b->database_name);
    int n = snprintf(path, sizeof path, "%s/%s", b->job->directory, b->database_name);
    if (n < 0 || (size_t)n >= sizeof path)
        return say(b, -ENAMETOOLONG, "the backup's path is too long");
    unlinkat(b->directory, b->database_name, 0); /* of a backup that was broken off */
    int error = b->db->driver->copy(b->db, path, b->problem);
    database_rollback(b->db);
    if (error)
        return error;
    int fd = openat(b->directory, b->database_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &status) < 0 || fsync(fd) < 0)
        error = -errno;
    file->size = error ? 0 : (uint64_t)status.st_size;
    b->copier.all += file->size;
    b->job->report.copied += file->size;
    if (!error)
        error = copier_read(&b->copier, fd, file->size, -1, file->checksum);
    if (fd >= 0)
        close(fd);
    b->after.count += !error;
    return error ? say(b, error, "the database's copy can't be read") : 0;
}

static int copy_volumes(struct backup *b)
{
    for (size_t i = 0; i < b->source_count; i++) {
        char name[VOLUME_NAME_SIZE], path[BACKUP_NAME_MAX];
        volume_name(b->sources[i].number, name);
        snprintf(path, sizeof path, "volumes/%s", name);
        int error = copy_file(b, b->sources[i].fd, b->sources[i].end, path);
        if (error)
            return say(b, error,
                       error == -EBADMSG ? "a volume is shorter than the database says"
                                         : "a volume can't be "
                                           "copied");
        b->job->report.volumes++;
        b->job->report.bytes += b->sources[i].end;
    }
    return 0;
}

/* A file beside the store; one that is not there is left out. */
static int copy_other(struct backup *b, const char *path, const char *name)
{
    struct stat status = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int error = fd < 0 || fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -EINVAL;
    if (!error)
        error = copy_file(b, fd, (uint64_t)status.st_size, name);
    if (fd >= 0)
        close(fd);
    if (error)
        buf_printf(b->problem, "%s can't be copied: %s", path, strerror(-error));
    return error;
}

static int copy_all(struct backup *b)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < b->source_count; i++)
        b->copier.all += b->sources[i].end;
    int error = copy_database(b);
    if (!error)
        error = copy_volumes(b);
    if (!error && b->job->config_path)
        error = copy_other(b, b->job->config_path, "ostiary.conf");
    snprintf(path, sizeof path, "%s/blacklist.txt", b->job->data_directory);
    if (!error)
        error = copy_other(b, path, "blacklist.txt");
    if (!error && (error = sync_directory(b->volumes)))
        say(b, error, "the backup can't be synced");
    return error;
}

/* ---- The manifest, and what it makes superfluous ---- */

static int write_manifest(struct backup *b)
{
    struct buf text;
    buf_init(&text, MANIFEST_MAX);
    backup_manifest_write(&b->after, &text);
    int fd = openat(b->directory, MANIFEST_NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = buf_failed(&text) ? -ENOMEM : fd < 0 ? -errno : 0;
    for (struct span rest = buf_span(&text); !error && rest.size;) {
        ssize_t n = write(fd, rest.data, rest.size);
        error = n < 0 && errno != EINTR ? -errno : 0;
        rest = span_skip(rest, n > 0 ? (size_t)n : 0);
    }
    if (!error && fsync(fd) < 0)
        error = -errno;
    if (!error)
        error = sync_directory(b->directory);
    if (!error && renameat(b->directory, MANIFEST_NAME ".new", b->directory, MANIFEST_NAME) < 0)
        error = -errno;
    if (!error)
        error = sync_directory(b->directory);
    if (fd >= 0)
        close(fd);
    buf_release(&text);
    return error ? say(b, error, "the manifest can't be written") : 0;
}

/* Nothing depends on these any more, which are the backup's before, or of one that was broken off; one that can't be
 * removed stays until the next time. */
static void remove_unlisted(const struct backup *b, int directory, const char *prefix)
{
    DIR *dir = open_list(directory);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        char name[BACKUP_NAME_MAX];
        int size = snprintf(name, sizeof name, "%s%s", prefix, entry->d_name);
        bool is_ours = size > 0 && (size_t)size < sizeof name && backup_name_is_good(span_text(name));
        if ((is_ours && !is_listed(&b->after, name)) || (!*prefix && is_beside_database(span_text(name))))
            unlinkat(directory, entry->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static void remove_old(const struct backup *b)
{
    remove_unlisted(b, b->directory, "");
    remove_unlisted(b, b->volumes, "volumes/");
}

/* ---- All of it ---- */

static int prepare(struct backup *b)
{
    int error = open_target(b);
    if (!error)
        error = open_source(b);
    if (error)
        return error;
    if (b->before.files && b->before.mark != b->mark) {
        buf_printf(b->problem, "%s has a backup of another store; name another directory", b->job->directory);
        return -EEXIST;
    }
    b->after.mark = b->mark;
    b->after.time = (uint64_t)time(NULL);
    b->after.files = arena_array(&b->arena, b->source_count + 3, sizeof *b->after.files);
    if (!b->after.files || copier_init(&b->copier, b->job))
        return say(b, -ENOMEM, "there is no memory for a backup");
    for (unsigned n = 1; n == 1 || is_listed(&b->before, b->database_name); n++)
        snprintf(b->database_name, sizeof b->database_name, "store.db.%u", n);
    return 0;
}

int store_backup(struct backup_job *job, struct buf *problem)
{
    struct backup b = {.job = job, .problem = problem, .directory = -1, .volumes = -1, .source = -1};
    job->report = (struct backup_report){0};
    arena_init(&b.arena, ARENA_MAX);
    errno = 0;
    int error = prepare(&b);
    if (!error)
        error = copy_all(&b);
    if (!error)
        error = write_manifest(&b);
    if (!error)
        remove_old(&b);
    close_sources(&b);
    copier_release(&b.copier);
    int closed = database_close(b.db);
    if (!error && closed)
        error = say(&b, closed, "the database was not closed cleanly");
    const int fds[] = {b.directory, b.volumes, b.source};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    arena_release(&b.arena);
    return error;
}
