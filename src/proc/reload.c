/* What comes from the configuration beside the settings themselves, at the start and again at SIGHUP. */
#include "proc/supervisor_internal.h"

#include "base/log.h"
#include "dns/service.h"
#include "run/tls.h"
#include "script/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define PASSWORD_FILE_MAX 4096
#define SETTINGS_TEXT_MAX (96u << 10)

static int read_file(const char *path, struct buf *out, struct buf *problem)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;
    /* Room for all at once, so that growing leaves no copy of a key behind. */
    char *place = error ? NULL : buf_reserve(out, out->limit);
    if (!error && !place)
        error = -ENOMEM;
    while (!error) {
        ssize_t n = read(fd, out->data + out->size, out->limit - out->size);
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
    if (error)
        buf_printf(problem, "can't read %s: %s", path, strerror(-error));
    return error;
}

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->size);
    buf_release(b);
}

static void replace(struct buf *old, struct buf *with)
{
    wipe(old);
    *old = *with;
}

int tls_files_read(const struct settings *settings, struct buf *certificate, struct buf *key, struct buf *problem)
{
    struct buf new_certificate, new_key;
    buf_init(&new_certificate, certificate->limit);
    buf_init(&new_key, key->limit);
    int error = 0;
    if (settings->tls.certificate[0]) {
        error = read_file(settings->tls.certificate, &new_certificate, problem);
        if (!error)
            error = read_file(settings->tls.key, &new_key, problem);
        struct tls_context *tls =
            error ? NULL
                  : tls_context_new(buf_span(&new_certificate), buf_span(&new_key), (int)settings->tls.oldest, problem);
        if (!error && !tls) {
            buf_printf(problem, "; tls.certificate is %s, tls.key %s", settings->tls.certificate, settings->tls.key);
            error = -EINVAL;
        }
        tls_context_unref(tls);
    }
    if (error) {
        wipe(&new_certificate);
        wipe(&new_key);
        return error;
    }
    replace(certificate, &new_certificate);
    replace(key, &new_key);
    return 0;
}

void trust_anchors_read(const struct settings *settings, struct buf *anchors)
{
    struct buf problem;
    buf_init(&problem, 1000);
    buf_reset(anchors);
    if (resolver_read_anchors(settings, anchors, &problem)) {
        buf_reset(anchors);
        log_write(LOG_PROBLEM, "supervisor", NULL, "%.*s", SPAN_ARG(buf_span(&problem)));
    }
    buf_release(&problem);
}

static int make_sealed(struct span text)
{
    int fd = memfd_create("ostiary-script", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error = fd < 0 ? -errno : 0;
    while (!error && text.size) {
        ssize_t n = write(fd, text.data, text.size);
        error = n < 0 ? -errno : 0;
        text = span_skip(text, n < 0 ? 0 : (size_t)n);
    }
    if (!error && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        error = -errno;
    if (error && fd >= 0)
        close(fd);
    return error ? error : fd;
}

void script_file_read(const struct settings *settings, int *script)
{
    struct buf text, problem;
    const char *path = settings->script.file;
    buf_init(&text, SCRIPT_SOURCE_ROOM);
    buf_init(&problem, 2000);
    if (*script >= 0)
        close(*script);
    *script = -1;
    if (path[0] && !script_source_read(path, &text, &problem)) {
        *script = make_sealed(buf_span(&text));
        if (*script < 0)
            buf_printf(&problem, "the script %s can't be kept: %s", path, strerror(-*script));
    }
    if (problem.size)
        log_write(LOG_PROBLEM, "supervisor", NULL, "%.*s; it has no opinion until the next reload",
                  SPAN_ARG(buf_span(&problem)));
    buf_release(&text);
    buf_release(&problem);
}

/* The first line of the file. */
static int read_password(const char *path, struct buf *password, struct buf *problem)
{
    struct buf whole;
    buf_init(&whole, PASSWORD_FILE_MAX);
    int error = read_file(path, &whole, problem);
    struct span rest = buf_span(&whole), line = span_cut(&rest, '\n');
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (!error && (!line.size || line.size > password->limit)) {
        buf_printf(problem, "the first line of %s is no password; courier.smart_host_password_file names it", path);
        error = -EINVAL;
    }
    if (!error)
        buf_add_span(password, line);
    wipe(&whole);
    return error;
}

int courier_files_read(const struct settings *settings, struct buf *password, int *authorities, struct buf *problem)
{
    struct buf new_password;
    const char *ca_file = settings->courier.ca_file;
    buf_init(&new_password, password->limit);
    int error = 0, fd = -1;
    if (settings->courier.smart_host_password_file[0])
        error = read_password(settings->courier.smart_host_password_file, &new_password, problem);
    /* Without it no certificate is believed; that matters only where one has to be right. */
    bool needed = settings->courier.smart_host[0] && (settings->courier.smart_host_tls == SMART_HOST_TLS_STARTTLS ||
                                                      settings->courier.smart_host_tls == SMART_HOST_TLS_IMPLICIT);
    /* Nobody else's certificate is checked, and to read those of some 150 authorities takes the courier 20 ms. */
    if (!error && ca_file[0] && settings->courier.smart_host[0])
        fd = open(ca_file, O_RDONLY | O_CLOEXEC);
    if (!error && ca_file[0] && fd < 0 && needed) {
        error = -errno;
        buf_printf(problem, "can't read %s, which courier.ca_file names: %s", ca_file, strerror(errno));
    }
    if (error) {
        wipe(&new_password);
        return error;
    }
    replace(password, &new_password);
    if (*authorities >= 0)
        close(*authorities);
    *authorities = fd;
    return 0;
}

void remote_authorities_open(const struct settings *settings, int *fd)
{
    const char *path = settings->remote.ca_file;
    if (*fd >= 0)
        close(*fd);
    *fd = path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (path[0] && *fd < 0)
        log_write(LOG_LOW, "supervisor", NULL,
                  "remote.ca_file can't be read: no certificate of a provider will be right file=%s error=%s",
                  log_quote(span_text(path)), strerror(errno));
}

static void keep_number(unsigned *new_value, unsigned old_value, const char *name)
{
    if (*new_value != old_value)
        log_write(LOG_PROBLEM, "supervisor", NULL, "%s changes at the next start only", name);
    *new_value = old_value;
}

static void keep_text(const char **new_value, const char *old_value, const char *name)
{
    if (strcmp(*new_value, old_value) != 0)
        log_write(LOG_PROBLEM, "supervisor", NULL, "%s changes at the next start only", name);
    *new_value = old_value;
}

/* What running processes can't change. The texts are the first settings', which the supervisor keeps to its end. */
static void keep_what_stays(const struct supervisor *s, struct settings *new)
{
    const struct settings *first = s->first_settings;
    keep_text(&new->data_directory, first->data_directory, "data_directory");
    keep_text(&new->user, first->user, "user");
    keep_text(&new->my.socket, first->my.socket, "my.socket");
    keep_number(&new->processes.gates, first->processes.gates, "processes.gates");
    keep_number(&new->processes.desks, first->processes.desks, "processes.desks");
    keep_number(&new->processes.readers, first->processes.readers, "processes.readers");
    /* The sandboxes' limits of descriptors were made for so many. */
    if (new->processes.connections > first->processes.connections)
        keep_number(&new->processes.connections, first->processes.connections,
                    "processes.connections above its first value");
}

static void tell_new_settings(struct supervisor *s)
{
    struct buf text;
    buf_init(&text, SETTINGS_TEXT_MAX);
    settings_write(s->settings, &text);
    struct control_frame frame = {.kind = CONTROL_UPDATE,
                                  .settings = buf_span(&text),
                                  .certificate = buf_span(&s->certificate),
                                  .key = buf_span(&s->key),
                                  .trust_anchors = buf_span(&s->trust_anchors),
                                  .replaces_listeners = true};
    if (buf_failed(&text) || control_add(&frame, CONTROL_FD_LOG, s->log.target, 0, s->log.fd))
        log_write(LOG_PROBLEM, "supervisor", NULL, "the new settings are too large to be told to the processes");
    else
        process_tell_all(s, &frame);
    buf_release(&text);
}

void supervisor_reload(struct supervisor *s)
{
    struct buf problem;
    buf_init(&problem, 2000);
    struct settings *settings = settings_read_file(s->config_path, &problem);
    int error = settings ? 0 : -EINVAL;
    if (!error) {
        keep_what_stays(s, settings);
        error = tls_files_read(settings, &s->certificate, &s->key, &problem);
        if (!error)
            error = courier_files_read(settings, &s->password, &s->authorities, &problem);
    }
    if (!error)
        error = listeners_update(&s->listeners, settings, &problem);
    if (error) {
        log_write(LOG_PROBLEM, "supervisor", NULL, "the new configuration is not taken, the old one stays problem=%s",
                  log_quote(buf_span(&problem)));
        settings_unref(settings);
    } else {
        settings_unref(s->settings);
        s->settings = settings;
        if (log_file_open(&s->log, settings, &problem))
            log_write(LOG_PROBLEM, "supervisor", NULL, "the log stays where it was problem=%s",
                      log_quote(buf_span(&problem)));
        trust_anchors_read(settings, &s->trust_anchors);
        script_file_read(settings, &s->script);
        process_reconsider_all(s);
        remote_authorities_open(settings, &s->remote_authorities);
        tell_new_settings(s);
        supervisor_want_blacklist(s);
        log_write(LOG_LOW, "supervisor", NULL, "configuration read again file=%s",
                  log_quote(span_text(s->config_path)));
        buf_reset(&problem);
        tls_certificate_warn(buf_span(&s->certificate), settings->hostname, (int64_t)(clock_wall() / NANOSECONDS),
                             &problem);
        if (problem.size)
            log_write(LOG_PROBLEM, "supervisor", NULL, "%.*s", SPAN_ARG(buf_span(&problem)));
    }
    buf_release(&problem);
}
