/* mail export */
#include "base/clock.h"
#include "ctl/address.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "format/maildir_name.h"
#include "store/export.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)3 << 30)

struct exporting {
    const char *directory;
    bool is_mbox;
    struct buf name, text; /* of the folder or file, below the directory; what is written */
    uint64_t exported, damaged;
};

static int make_directory(const char *path)
{
    return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

/* New files only: nothing that is there is written over. An mbox is appended to, as this command made it. */
static int write_file(const char *path, struct span text, bool append, uint64_t received_at)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (append ? O_APPEND : O_EXCL), 0600);
    int error = fd < 0 ? -errno : 0;
    while (!error && text.size) {
        ssize_t n = write(fd, text.data, text.size);
        error = n < 0 && errno != EINTR ? -errno : 0;
        text = span_skip(text, n > 0 ? (size_t)n : 0);
    }
    const struct timespec times[2] = {{.tv_sec = (time_t)(received_at / NANOSECONDS)},
                                      {.tv_sec = (time_t)(received_at / NANOSECONDS)}};
    if (!error && !append && futimens(fd, times) < 0)
        error = -errno;
    if (fd >= 0)
        close(fd);
    return error;
}

/* The folder's name; where a Maildir can have none such, dots become underscores. */
static void write_folder(struct exporting *e, struct span mailbox)
{
    char copy[600];
    buf_reset(&e->name);
    if (maildir_folder_write(mailbox, &e->name))
        return;
    size_t size = mailbox.size < sizeof copy ? mailbox.size : sizeof copy;
    for (size_t i = 0; i < size; i++)
        copy[i] = mailbox.data[i] == '.' ? '_' : mailbox.data[i];
    buf_reset(&e->name);
    if (!maildir_folder_write(span_from(copy, size), &e->name))
        buf_add_text(&e->name, ".unnamed");
}

static int take_maildir(struct exporting *e, const struct exported_message *m)
{
    static const char *const parts[] = {"", "/cur", "/new", "/tmp"};
    char path[8192];
    int error = 0;
    for (size_t i = 0; i < 4 && !error; i++) {
        snprintf(path, sizeof path, "%s/%.*s%s", e->directory, SPAN_ARG(buf_span(&e->name)), parts[i]);
        error = make_directory(path);
    }
    buf_reset(&e->text);
    for (size_t i = 0; i < m->text.size; i++)
        if (m->text.data[i] != '\r')
            buf_add_char(&e->text, m->text.data[i]);
    struct buf marks;
    buf_init(&marks, 20);
    maildir_name_write_marks((unsigned)m->flags & 31, &marks);
    snprintf(path, sizeof path, "%s/%.*s/cur/%ju.U%u.ostiary%.*s", e->directory, SPAN_ARG(buf_span(&e->name)),
             (uintmax_t)(m->received_at / NANOSECONDS), m->uid, SPAN_ARG(buf_span(&marks)));
    buf_release(&marks);
    return error ? error : buf_failed(&e->text) ? -ENOMEM : write_file(path, buf_span(&e->text), false, m->received_at);
}

static int take_mbox(struct exporting *e, const struct exported_message *m)
{
    char path[8192];
    buf_reset(&e->text);
    mbox_write((struct span){NULL, 0}, m->received_at / NANOSECONDS, (unsigned)m->flags & 31, m->text, &e->text);
    snprintf(path, sizeof path, "%s/%.*s.mbox", e->directory,
             e->name.size ? (int)e->name.size - 1 : (int)sizeof "INBOX" - 1, e->name.size ? e->name.data + 1 : "INBOX");
    return buf_failed(&e->text) ? -ENOMEM : write_file(path, buf_span(&e->text), true, m->received_at);
}

static int take(void *context, const struct exported_message *message, struct buf *problem)
{
    struct exporting *e = context;
    write_folder(e, message->mailbox);
    int error = e->is_mbox ? take_mbox(e, message) : take_maildir(e, message);
    if (error)
        buf_printf(problem, "a message can't be written to %s: %s", e->directory, strerror(-error));
    e->exported += !error;
    return error;
}

static void damaged(void *context, const struct exported_message *message)
{
    struct exporting *e = context;
    e->damaged++;
    fprintf(stderr, "ostiary: %.*s, message %u is damaged and left out\n", SPAN_ARG(message->mailbox), message->uid);
}

/* A directory that is new or empty, so that what is in it afterwards is this export. */
static int make_target(struct ctl *ctl, const char *path)
{
    if (mkdir(path, 0700) == 0)
        return EX_OK;
    if (errno == EEXIST && rmdir(path) == 0 && mkdir(path, 0700) == 0)
        return EX_OK;
    return ctl_fail(ctl, EX_CANTCREAT, "%s can't be made: %s; name a directory that is not there yet", path,
                    strerror(errno));
}

static int export(struct ctl *ctl, const struct settings *settings, struct span account, bool is_mbox)
{
    struct exporting e = {.directory = ctl->arguments[0], .is_mbox = is_mbox};
    struct export_job job = {settings->data_directory, account, take, damaged, &e};
    int status = make_target(ctl, e.directory);
    if (status)
        return status;
    buf_init(&e.name, 2000);
    buf_init(&e.text, TEXT_MAX);
    int error = store_export(&job, &ctl->problem);
    buf_release(&e.name);
    buf_release(&e.text);
    if (error)
        return error == -ENOENT ? EX_DATAERR : EX_IOERR;
    if (e.damaged)
        return ctl_fail(ctl, EX_DATAERR, "%ju exported, %ju are damaged", (uintmax_t)e.exported, (uintmax_t)e.damaged);
    if (ctl->json) {
        json_write_counts(&ctl->out, (struct json_count[]){{"exported", e.exported}, {NULL}});
    } else {
        ctl_write_count(&ctl->out, e.exported, "message");
        buf_printf(&ctl->out, " exported to %s\n", e.directory);
    }
    return EX_OK;
}

int ctl_mail_export(struct ctl *ctl)
{
    struct arena arena;
    struct span address;
    const char *account = ctl_option(ctl, "account"), *format = ctl_option(ctl, "format");
    if (!account)
        return ctl_fail(ctl, EX_USAGE, "--account says whose mail");
    if (format && strcmp(format, "mbox") != 0 && strcmp(format, "maildir") != 0)
        return ctl_fail(ctl, EX_USAGE, "--format is maildir or mbox");
    arena_init(&arena, 1 << 20);
    int status = ctl_address(ctl, &arena, account, &address);
    struct settings *settings = status ? NULL : ctl_read_settings(ctl);
    if (!status)
        status = settings ? export(ctl, settings, address, format && strcmp(format, "mbox") == 0) : EX_CONFIG;
    settings_unref(settings);
    arena_release(&arena);
    return status;
}
