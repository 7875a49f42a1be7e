#include "policy/blacklist_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (64u << 10)

struct file_id {
    dev_t device;
    ino_t inode;
};

/* A file that is being read. */
struct reading {
    struct blacklist_files *files;
    const char *path;
    unsigned depth;
    unsigned number; /* of the file, for the builder */
    uint32_t line;
    int error;
};

void blacklist_files_init(struct blacklist_files *files,
                          void (*problem)(void *context, struct span file, uint32_t line, struct span sentence),
                          void *context)
{
    *files = (struct blacklist_files){.problem = problem, .context = context};
    blacklist_builder_init(&files->builder);
    buf_init(&files->seen, BLACKLIST_FILES_MAX * sizeof(struct file_id));
}

void blacklist_files_release(struct blacklist_files *files)
{
    blacklist_builder_release(&files->builder);
    buf_release(&files->seen);
}

static void tell(struct blacklist_files *files, const char *path, uint32_t line, struct span sentence)
{
    files->problem_count++;
    files->problem(files->context, span_text(path), line, sentence);
}

static int read_file(struct blacklist_files *files, const char *path, bool may_be_missing, unsigned depth,
                     struct buf *problem);

/* ---- Lines ---- */

static char *join_path(const char *from, struct span name)
{
    char *path = NULL;
    const char *slash = strrchr(from, '/');
    int directory = name.data[0] == '/' || !slash ? 0 : (int)(slash - from) + 1;
    return asprintf(&path, "%.*s%.*s", directory, from, (int)name.size, name.data) < 0 ? NULL : path;
}

static int include(struct reading *r, struct span name, struct buf *problem)
{
    if (r->depth + 1 >= BLACKLIST_DEPTH_MAX) {
        buf_printf(problem, "'%.*s' is not included: files include one another more than %d deep", SPAN_ARG(name),
                   BLACKLIST_DEPTH_MAX);
        return 0;
    }
    char *path = join_path(r->path, name);
    if (!path)
        return -ENOMEM;
    int error = read_file(r->files, path, false, r->depth + 1, problem);
    free(path);
    return error;
}

static int take_entry(struct reading *r, enum blacklist_line kind, const struct blacklist_entry *entry)
{
    struct blacklist_files *files = r->files;
    if (files->entry)
        files->entry(files->context, span_text(r->path), r->line, kind, entry);
    return blacklist_add(&files->builder, kind, entry, r->number, r->line);
}

static void take_line(struct reading *r, struct span line, struct buf *problem)
{
    struct blacklist_entry entry;
    static const struct span mark = SPAN("\xef\xbb\xbf");
    if (++r->line == 1 && span_starts_nocase(line, mark))
        line = span_skip(line, mark.size);
    buf_reset(problem);
    enum blacklist_line kind = blacklist_line_parse(line, &entry, problem);
    if (kind == BLACKLIST_LINE_INCLUDE)
        r->error = include(r, entry.name, problem);
    else if (kind == BLACKLIST_LINE_ADDRESSES || kind == BLACKLIST_LINE_NAME)
        r->error = take_entry(r, kind, &entry);
    if (problem->size)
        tell(r->files, r->path, r->line, buf_span(problem));
}

/* Reads the lines of fd. A line that is too long is told once, at its first piece past the limit, and passed over. */
static void read_lines(struct reading *r, int fd, struct buf *problem)
{
    struct buf text;
    buf_init(&text, PIECE + BLACKLIST_LINE_MAX + 2);
    bool skipping = false;
    ssize_t n = 1;
    while (n > 0 && !r->error) {
        char *place = buf_reserve(&text, PIECE);
        n = place ? read(fd, place, PIECE) : -1;
        if (n < 0) {
            r->error = place ? -errno : -ENOMEM;
            break;
        }
        text.size += (size_t)n;
        r->files->bytes += (size_t)n;
        if (r->files->bytes > BLACKLIST_BYTES_MAX)
            r->error = -EFBIG;
        struct span rest = buf_span(&text);
        for (size_t end; !r->error && (end = span_find(rest, '\n')) < rest.size; rest = span_skip(rest, end + 1)) {
            if (!skipping)
                take_line(r, span_head(rest, end), problem);
            skipping = false;
        }
        if (rest.size > BLACKLIST_LINE_MAX + 1 || (n == 0 && rest.size)) {
            if (!skipping && !r->error)
                take_line(r, rest, problem);
            skipping = true;
            rest.size = 0;
        }
        buf_drop(&text, text.size - rest.size);
    }
    buf_release(&text);
}

/* ---- Files ---- */

/* Was it read before? Else it is noted. Files that include one another in a circle end here. */
static bool was_seen(struct blacklist_files *files, const struct stat *status)
{
    const struct file_id *seen = (const struct file_id *)(const void *)files->seen.data;
    struct file_id id;
    memset(&id, 0, sizeof id);
    id.device = status->st_dev;
    id.inode = status->st_ino;
    for (size_t i = 0; i < files->seen.size / sizeof id; i++)
        if (seen[i].device == id.device && seen[i].inode == id.inode)
            return true;
    buf_add(&files->seen, &id, sizeof id);
    return false;
}

/* What stands behind the directory that we have open, or NULL. */
static const char *inside_directory(const struct blacklist_files *files, const char *path)
{
    size_t size = files->directory ? strlen(files->directory) : 0;
    return size && strncmp(path, files->directory, size) == 0 && path[size] == '/' && path[size + 1] ? path + size + 1
                                                                                                     : NULL;
}

static int open_file(struct blacklist_files *files, const char *path, bool may_be_missing, struct buf *problem)
{
    struct stat status;
    const int how = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    const char *inside = inside_directory(files, path);
    int fd = inside ? openat(files->directory_fd, inside, how) : open(path, how);
    if (fd < 0) {
        int error = errno;
        if (error != ENOENT || !may_be_missing)
            buf_printf(problem, "%s can't be read: %s%s", path, strerror(error),
                       error == EACCES ? "; the server's user must be allowed to read it" : "");
        return -1;
    }
    const char *wrong = NULL;
    if (fstat(fd, &status) < 0)
        wrong = strerror(errno);
    else if (!S_ISREG(status.st_mode))
        wrong = "it is no ordinary file";
    else if (was_seen(files, &status))
        wrong = "it was read already; each file is read once";
    else if (buf_failed(&files->seen))
        wrong = "there are too many files";
    if (!wrong)
        return fd;
    buf_printf(problem, "%s is not read: %s", path, wrong);
    close(fd);
    return -1;
}

/* 0 with *problem empty or saying why the file is left out; an error only when the list as a whole can't be made. */
static int read_file(struct blacklist_files *files, const char *path, bool may_be_missing, unsigned depth,
                     struct buf *problem)
{
    int fd = open_file(files, path, may_be_missing, problem);
    if (fd < 0)
        return 0;
    int number = blacklist_add_file(&files->builder, span_text(path));
    struct reading r = {.files = files, .path = path, .depth = depth};
    struct buf line_problem;
    buf_init(&line_problem, 6000);
    if (number >= 0) {
        r.number = (unsigned)number;
        read_lines(&r, fd, &line_problem);
    }
    close(fd);
    buf_release(&line_problem);
    int error = number < 0 ? number : r.error;
    if (error == -ENOMEM || error == -ENOSPC || error == -EFBIG)
        return error;
    if (error)
        buf_printf(problem, "%s could be read to line %u only: %s", path, r.line, strerror(-error));
    return 0;
}

int blacklist_files_read(struct blacklist_files *files, const char *path, bool may_be_missing)
{
    struct buf problem;
    buf_init(&problem, 6000);
    int error = read_file(files, path, may_be_missing, 0, &problem);
    if (error == -ENOSPC || error == -EFBIG)
        buf_printf(&problem, "the black list is too large: %u entries or %u MiB of files are the most",
                   BLACKLIST_ENTRIES_MAX, BLACKLIST_BYTES_MAX >> 20);
    else if (error)
        buf_printf(&problem, "there is not enough memory for the black list");
    if (problem.size)
        tell(files, path, 0, buf_span(&problem));
    buf_release(&problem);
    return error;
}

int blacklist_files_compile(struct blacklist_files *files, struct buf *out)
{
    size_t dropped = 0;
    int error = blacklist_compile(&files->builder, out, &dropped);
    if (dropped) {
        struct buf problem;
        buf_init(&problem, 300);
        buf_printf(&problem, "%zu patterns with stars are left out: 1000 are the most that may end in the same domain",
                   dropped);
        tell(files, "black list", 0, buf_span(&problem));
        buf_release(&problem);
    }
    return error;
}
