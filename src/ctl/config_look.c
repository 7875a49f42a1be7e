#include "ctl/config_look.h"

#include "base/clock.h"
#include "ctl/script_trial.h"
#include "proc/data_directory.h"
#include "run/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#define PEM_MAX (1u << 20)
#define LINE_LEAST 998            /* RFC 5321 section 4.5.3.1.6, without the line end */
#define RECIPIENTS_LEAST 100      /* section 4.5.3.1.8 */
#define MESSAGE_LEAST (64u << 10) /* section 4.5.3.1.7 */

void config_advise(const struct settings *settings, struct buf *notes)
{
    bool has_members = false, has_strangers = false;
    for (size_t i = 0; i < settings->listener_count; i++) {
        has_strangers |= settings->listeners[i].service == SERVICE_SMTP;
        has_members |= settings->listeners[i].service != SERVICE_SMTP;
    }
    if (has_members && !settings->tls.certificate[0] && settings->trusted_networks.count == 0)
        buf_add_text(notes, "nobody can log in: passwords are taken over TLS only; set tls.certificate and tls.key\n");
    if (settings->courier.smart_host[0] && settings->courier.smart_host_user[0] &&
        !settings->courier.smart_host_password_file[0])
        buf_add_text(
            notes,
            "courier.smart_host_user is set without courier.smart_host_password_file: the login there will fail\n");
    if (!has_strangers)
        buf_add_text(notes, "no listener has the service smtp: no mail comes in from elsewhere\n");
    if (settings->smtp.message_size < MESSAGE_LEAST)
        buf_add_text(notes, "smtp.message_size is below the 64K that RFC 5321 asks for\n");
    if (settings->smtp.recipients < RECIPIENTS_LEAST)
        buf_add_text(notes, "smtp.recipients is below the 100 that RFC 5321 asks for\n");
    if (settings->smtp.line_length && settings->smtp.line_length < LINE_LEAST)
        buf_add_text(notes, "smtp.line_length is below the 998 that RFC 5321 asks for\n");
}

/* 0 or -errno. */
static int read_pem(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    /* Room for all at once, so that growing leaves no copy of a key behind. */
    char *place = fd >= 0 ? buf_reserve(out, out->limit) : NULL;
    int error = fd < 0 ? -errno : place ? 0 : -ENOMEM;
    while (!error) {
        ssize_t n = read(fd, out->data + out->size, out->limit - out->size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            error = n < 0 ? -errno : 0;
            break;
        }
        out->size += (size_t)n;
        if (out->size == out->limit)
            error = -EFBIG;
    }
    if (fd >= 0)
        close(fd);
    return error;
}

/* 0; -EACCES with a note; or another negative errno with the sentence. */
static int read_or_note(struct ctl *ctl, const char *path, struct buf *out, struct buf *notes)
{
    int error = read_pem(path, out);
    if (error == -EACCES && geteuid() != 0)
        buf_printf(notes, "%s can't be read by you and was not looked at\n", path);
    else if (error)
        ctl_fail(ctl, EX_CONFIG, "can't read %s: %s", path, strerror(-error));
    return error;
}

static int look_at_tls(struct ctl *ctl, const struct settings *settings, struct buf *notes)
{
    struct buf certificate, key, warning;
    buf_init(&certificate, PEM_MAX);
    buf_init(&key, PEM_MAX);
    buf_init(&warning, 1000);
    int status = EX_OK;
    int error = read_or_note(ctl, settings->tls.certificate, &certificate, notes);
    if (!error)
        tls_certificate_warn(buf_span(&certificate), settings->hostname, (int64_t)(clock_wall() / NANOSECONDS),
                             &warning);
    if (!error)
        error = read_or_note(ctl, settings->tls.key, &key, notes);
    if (!error) {
        struct tls_context *tls =
            tls_context_new(buf_span(&certificate), buf_span(&key), (int)settings->tls.oldest, &ctl->problem);
        if (!tls) {
            buf_printf(&ctl->problem, "; tls.certificate is %s, tls.key %s", settings->tls.certificate,
                       settings->tls.key);
            status = EX_CONFIG;
        }
        tls_context_unref(tls);
    } else if (ctl->problem.size) {
        status = EX_CONFIG;
    }
    if (status == EX_OK && warning.size)
        buf_printf(notes, "%.*s\n", SPAN_ARG(buf_span(&warning)));
    if (key.data)
        explicit_bzero(key.data, key.size);
    buf_release(&certificate);
    buf_release(&key);
    buf_release(&warning);
    return status;
}

/* A file that the server can't start without is an error, another one a note. */
static int look_at_file(struct ctl *ctl, const char *path, const char *setting, bool is_needed, struct buf *notes)
{
    if (!path[0] || access(path, R_OK) == 0)
        return EX_OK;
    int error = errno;
    if (error == EACCES && geteuid() != 0)
        buf_printf(notes, "%s can't be read by you and was not looked at\n", path);
    else if (is_needed)
        return ctl_fail(ctl, EX_CONFIG, "can't read %s, which %s names: %s", path, setting, strerror(error));
    else
        buf_printf(notes, "%s, which %s names, can't be read: %s\n", path, setting, strerror(error));
    return EX_OK;
}

static int look_at_files(struct ctl *ctl, const struct settings *settings, struct buf *notes)
{
    bool checks_names =
        settings->courier.smart_host[0] && (settings->courier.smart_host_tls == SMART_HOST_TLS_STARTTLS ||
                                            settings->courier.smart_host_tls == SMART_HOST_TLS_IMPLICIT);
    int status =
        look_at_file(ctl, settings->courier.smart_host_password_file, "courier.smart_host_password_file", true, notes);
    if (status == EX_OK)
        status = look_at_file(ctl, settings->courier.ca_file, "courier.ca_file", checks_names, notes);
    for (size_t i = 0; status == EX_OK && i < settings->blacklist.files.count; i++)
        status = look_at_file(ctl, settings->blacklist.files.words[i], "blacklist.files", false, notes);
    return status;
}

int config_look_at_script(struct ctl *ctl, const struct settings *settings)
{
    struct buf problem;
    int status = EX_OK;
    buf_init(&problem, 2000);
    if (script_trial_load(settings, &problem))
        status = ctl_fail(ctl, EX_CONFIG, "the script would have no opinion of any mail: %.*s",
                          SPAN_ARG(buf_span(&problem)));
    buf_release(&problem);
    return status;
}

int config_look(struct ctl *ctl, const struct settings *settings, struct buf *notes)
{
    uid_t uid;
    gid_t gid;
    buf_reset(&ctl->problem);
    if (find_user(settings->user, &uid, &gid, &ctl->problem) != 0)
        return EX_CONFIG;
    int status = settings->tls.certificate[0] ? look_at_tls(ctl, settings, notes) : EX_OK;
    if (status == EX_OK)
        status = look_at_files(ctl, settings, notes);
    if (status == EX_OK)
        config_advise(settings, notes);
    return status;
}
