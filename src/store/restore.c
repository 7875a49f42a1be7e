#include "store/backup.h"

#include "store/backup_copy.h"
#include "store/sync.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARENA_MAX (256u << 20)

struct restore {
    struct backup_job *job;
    struct buf *problem;
    int from, to, volumes; /* the backup, the data directory, volumes/ in it */
    struct arena arena;
    struct backup_manifest manifest;
    struct copier copier;
};

static int say(struct restore *r, int error, const char *what)
{
    buf_printf(r->problem, "%s: %s", what, strerror(-error));
    return error;
}

static int read_manifest(struct restore *r)
{
    struct buf text;
    buf_init(&text, MANIFEST_MAX);
    int fd = openat(r->from, MANIFEST_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = fd < 0 ? -errno : 0;
    for (ssize_t n = 1; !error && n > 0;) {
        char *place = buf_reserve(&text, 65536);
        n = place ? read(fd, place, 65536) : -1;
        error = n < 0 ? (place ? -errno : -EFBIG) : 0;
        text.size += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    if (error)
        say(r, error, "there is no whole backup: the manifest can't be read");
    else if (!backup_manifest_parse(buf_span(&text), &r->arena, &r->manifest, r->problem))
        error = -EBADMSG;
    buf_release(&text);
    return error;
}

/* Nothing may be in it; then volumes/ is made. */
static int open_target(struct restore *r)
{
    const char *path = r->job->data_directory;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return say(r, -errno, "the data directory can't be made");
    r->to = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int copy = r->to < 0 ? -1 : openat(r->to, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir)
        return say(r, -errno, "the data directory can't be opened");
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    if (count) {
        buf_printf(r->problem, "the data directory %s is not empty; move away what is in it first", path);
        return -EEXIST;
    }
    if (mkdirat(r->to, "volumes", 0700) < 0)
        return say(r, -errno, "volumes/ can't be made");
    r->volumes = openat(r->to, "volumes", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return r->volumes < 0 ? say(r, -errno, "volumes/ can't be opened") : 0;
}

/* The name in the data directory. The database gets its own at the very end: without it there is no store. */
static const char *target_name(const struct backup_file *file, char name[BACKUP_NAME_MAX])
{
    struct span base = backup_name_base(span_text(file->name));
    if (backup_name_is_database(span_text(file->name)))
        base = span_text("store.db.restored");
    memcpy(name, base.data, base.size);
    name[base.size] = 0;
    return name;
}

static int restore_file(struct restore *r, const struct backup_file *file)
{
    unsigned char checksum[BACKUP_CHECKSUM_SIZE];
    char name[BACKUP_NAME_MAX];
    int from = openat(r->from, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int to = from < 0
                 ? -1
                 : openat(r->to, target_name(file, name), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = from < 0 || to < 0 ? -errno : copier_read(&r->copier, from, file->size, to, checksum);
    if (!error && memcmp(checksum, file->checksum, sizeof checksum) != 0)
        error = -EBADMSG;
    if (from >= 0)
        close(from);
    if (to >= 0)
        close(to);
    if (error == -EBADMSG)
        buf_printf(r->problem, "the backup is damaged: %s is not what the manifest says", file->name);
    else if (error)
        buf_printf(r->problem, "%s can't be restored: %s", file->name, strerror(-error));
    return error;
}

static int restore_files(struct restore *r)
{
    const struct backup_manifest *m = &r->manifest;
    for (size_t i = 0; i < m->count; i++)
        r->copier.all += m->files[i].size;
    for (size_t i = 0; i < m->count; i++) {
        const struct backup_file *file = &m->files[i];
        int error = restore_file(r, file);
        if (error)
            return error;
        bool is_volume = strncmp(file->name, "volumes/", 8) == 0;
        r->job->report.volumes += is_volume;
        r->job->report.bytes += is_volume ? file->size : 0;
    }
    int error = sync_directory(r->volumes);
    if (!error)
        error = sync_directory(r->to);
    if (!error && renameat(r->to, "store.db.restored", r->to, "store.db") < 0)
        error = -errno;
    if (!error)
        error = sync_directory(r->to);
    if (!error)
        error = sync_name(r->job->data_directory);
    return error && !r->problem->size ? say(r, error, "what was restored can't be synced") : error;
}

/* Ours alone: the directory was empty. */
static void remove_files(const struct restore *r)
{
    char name[BACKUP_NAME_MAX];
    for (size_t i = 0; i < r->manifest.count; i++)
        unlinkat(r->to, target_name(&r->manifest.files[i], name), 0);
    unlinkat(r->to, "store.db", 0);
    unlinkat(r->to, "volumes", AT_REMOVEDIR);
}

int store_restore(struct backup_job *job, struct buf *problem)
{
    struct restore r = {.job = job, .problem = problem, .from = -1, .to = -1, .volumes = -1};
    job->report = (struct backup_report){0};
    arena_init(&r.arena, ARENA_MAX);
    r.from = open(job->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = r.from < 0 ? say(&r, -errno, "the backup can't be opened") : copier_init(&r.copier, job);
    if (!error)
        error = read_manifest(&r);
    if (!error)
        error = open_target(&r);
    if (!error) {
        error = restore_files(&r);
        if (error)
            remove_files(&r);
    }
    copier_release(&r.copier);
    const int fds[] = {r.from, r.to, r.volumes};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    arena_release(&r.arena);
    return error;
}
