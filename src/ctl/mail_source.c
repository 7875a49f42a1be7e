#include "ctl/mail_source.h"

#include "format/maildir_name.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct maildir_file {
    char *path;
    const char *mailbox; /* in the source's `folders` */
};

struct mail_source {
    /* mbox */
    struct span mapped, rest;
    char *path;
    uint64_t number;
    /* Maildir */
    struct maildir_file *files;
    size_t count, next;
    char **folders;
    size_t folder_count;
    char mailbox[256];
};

/* ---- Maildir ---- */

static int add_file(struct mail_source *s, const char *directory, const char *name, const char *mailbox)
{
    if ((s->count & (s->count + 1)) == 0) {
        struct maildir_file *more = realloc(s->files, (s->count + 1) * 2 * sizeof *more);
        if (!more)
            return -ENOMEM;
        s->files = more;
    }
    char *path;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return -ENOMEM;
    s->files[s->count++] = (struct maildir_file){path, mailbox};
    return 0;
}

/* The files of one "cur" or "new". One that is missing has none. */
static int list_files(struct mail_source *s, const char *folder, const char *which, const char *mailbox)
{
    char *path;
    if (asprintf(&path, "%s/%s", folder, which) < 0)
        return -ENOMEM;
    DIR *dir = opendir(path);
    int error = dir || errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; dir && !error && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            error = add_file(s, path, entry->d_name, mailbox);
    if (dir)
        closedir(dir);
    free(path);
    return error;
}

static int list_folder(struct mail_source *s, const char *folder, struct span mailbox)
{
    if ((s->folder_count & (s->folder_count + 1)) == 0) {
        char **more = realloc(s->folders, (s->folder_count + 1) * 2 * sizeof *more);
        if (!more)
            return -ENOMEM;
        s->folders = more;
    }
    char *name = strndup(mailbox.data, mailbox.size);
    if (!name)
        return -ENOMEM;
    s->folders[s->folder_count++] = name;
    int error = list_files(s, folder, "new", name);
    return error ? error : list_files(s, folder, "cur", name);
}

static int list_subfolder(struct mail_source *s, const char *root, const char *entry)
{
    struct buf mailbox;
    char *path;
    int error = 0;
    buf_init(&mailbox, 500);
    if (strcmp(s->mailbox, "INBOX") != 0)
        buf_printf(&mailbox, "%s/", s->mailbox);
    /* A name that can't be read is kept as it is written: no mail is left behind for it. */
    size_t before = mailbox.size;
    if (!maildir_folder_parse(span_text(entry), &mailbox)) {
        buf_truncate(&mailbox, before);
        buf_add_text(&mailbox, entry + 1);
    }
    if (asprintf(&path, "%s/%s", root, entry) < 0)
        error = -ENOMEM;
    else {
        error = list_folder(s, path, buf_span(&mailbox));
        free(path);
    }
    buf_release(&mailbox);
    return error;
}

static int compare_files(const void *a, const void *b)
{
    const struct maildir_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

static int open_maildir(struct mail_source *s, const char *path)
{
    int error = list_folder(s, path, span_text(s->mailbox));
    DIR *dir = error ? NULL : opendir(path);
    if (!error && !dir)
        error = -errno;
    for (struct dirent *entry; dir && !error && (entry = readdir(dir));)
        if (entry->d_name[0] == '.' && entry->d_name[1] && strcmp(entry->d_name, "..") != 0)
            error = list_subfolder(s, path, entry->d_name);
    if (dir)
        closedir(dir);
    /* By name is by time, so mail gets its numbers in the order in which it came. */
    if (s->count)
        qsort(s->files, s->count, sizeof *s->files, compare_files);
    return error;
}

static int next_file(struct mail_source *s, struct mail_item *item, struct buf *problem)
{
    if (s->next == s->count)
        return 0;
    const struct maildir_file *file = &s->files[s->next++];
    struct stat status;
    snprintf(item->place, sizeof item->place, "%s", file->path);
    snprintf(item->mailbox, sizeof item->mailbox, "%s", file->mailbox);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    void *map = MAP_FAILED;
    bool good = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
    if (good && status.st_size)
        map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    good = good && map != MAP_FAILED;
    if (good) {
        item->marks = maildir_name_marks(span_text(file->path));
        item->received_seconds = status.st_mtime > 0 ? (uint64_t)status.st_mtime : 0;
        mbox_write_plain(span_from(map, (size_t)status.st_size), false, &item->text);
    } else {
        buf_printf(problem, "can't be read: %s", fd < 0 ? strerror(errno) : "it is no file with something in it");
    }
    if (map != MAP_FAILED)
        munmap(map, (size_t)status.st_size);
    if (fd >= 0)
        close(fd);
    return good ? 1 : -1;
}

/* ---- mbox ---- */

static int open_mbox(struct mail_source *s, const char *path)
{
    struct stat status = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fstat(fd, &status) < 0 ? -errno : 0;
    if (!error && status.st_size) {
        void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            error = -errno;
        else
            s->mapped = s->rest = span_from(map, (size_t)status.st_size);
    }
    if (fd >= 0)
        close(fd);
    if (!error && !(s->path = strdup(path)))
        error = -ENOMEM;
    return error;
}

static int next_mbox(struct mail_source *s, struct mail_item *item, struct buf *problem)
{
    struct mbox_message message;
    int64_t seconds = 0;
    snprintf(item->place, sizeof item->place, "%s, message %ju", s->path, (uintmax_t)++s->number);
    if (!mbox_next(&s->rest, &message)) {
        if (!s->rest.size)
            return 0;
        s->rest.size = 0;
        buf_add_text(problem, "is no mbox: it does not begin with a line \"From \"");
        return -1;
    }
    struct span sender = mbox_from_sender(message.from);
    snprintf(item->mailbox, sizeof item->mailbox, "%s", s->mailbox);
    snprintf(item->sender, sizeof item->sender, "%.*s", sender.size < sizeof item->sender ? (int)sender.size : 0,
             sender.size ? sender.data : "");
    item->marks = mbox_marks(message.text);
    item->received_seconds = mbox_from_seconds(message.from, &seconds) ? (uint64_t)seconds : 0;
    mbox_write_plain(message.text, true, &item->text);
    return 1;
}

/* ---- Both ---- */

struct mail_source *mail_source_open(struct ctl *ctl, const char *path, enum mail_source_format format,
                                     const char *mailbox)
{
    struct stat status;
    struct mail_source *s = calloc(1, sizeof *s);
    int error = !s ? -ENOMEM : stat(path, &status) < 0 ? -errno : 0;
    if (!error) {
        snprintf(s->mailbox, sizeof s->mailbox, "%s", mailbox);
        bool is_maildir = format == MAIL_SOURCE_MAILDIR || (format == MAIL_SOURCE_GUESS && S_ISDIR(status.st_mode));
        error = is_maildir ? open_maildir(s, path) : open_mbox(s, path);
    }
    if (!error)
        return s;
    ctl_fail(ctl, 0, "%s can't be read: %s", path, strerror(-error));
    mail_source_close(s);
    return NULL;
}

void mail_source_close(struct mail_source *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        free(s->files[i].path);
    for (size_t i = 0; i < s->folder_count; i++)
        free(s->folders[i]);
    free(s->files);
    free(s->folders);
    if (s->mapped.size)
        munmap((void *)(uintptr_t)s->mapped.data, s->mapped.size);
    free(s->path);
    free(s);
}

int mail_source_next(struct mail_source *s, struct mail_item *item, struct buf *problem)
{
    item->marks = 0;
    item->received_seconds = 0;
    item->sender[0] = 0;
    buf_reset(&item->text);
    int result = s->path ? next_mbox(s, item, problem) : next_file(s, item, problem);
    if (result > 0 && buf_failed(&item->text)) {
        buf_add_text(problem, "is too large");
        return -1;
    }
    return result;
}

void mail_source_progress(const struct mail_source *s, uint64_t *done, uint64_t *all)
{
    *done = s->path ? s->mapped.size - s->rest.size : s->next;
    *all = s->path ? s->mapped.size : s->count;
}
