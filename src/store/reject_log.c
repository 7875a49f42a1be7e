#include "store/reject_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "format/utf8.h"
#include "policy/decide.h"
#include "store/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void reject_log_init(struct reject_log *log, int directory)
{
    *log = (struct reject_log){.directory = directory, .fd = -1};
    buf_init(&log->lines, REJECT_LOG_GATHERED_MAX);
}

void reject_log_release(struct reject_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    log->fd = -1;
    buf_release(&log->lines);
}

/* ---- A line ---- */

static void add_time(uint64_t at, struct buf *out)
{
    time_t seconds = (time_t)(at / NANOSECONDS);
    struct tm tm;
    char text[40];
    if (gmtime_r(&seconds, &tm) && strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        buf_add_text(out, text);
    else
        buf_add_char(out, '-');
}

/* Nothing that a stranger gave may end the field or the line, or command the terminal that shows it. */
static void add_foreign(struct span text, struct buf *out)
{
    bool is_utf8 = utf8_is_valid(text);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_upper_control = c == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
        bool shows = c >= ' ' && c != 127 && c != '\\' && (c < 128 || (is_utf8 && !is_upper_control));
        if (shows) {
            buf_add_char(out, (char)c);
            continue;
        }
        buf_printf(out, "\\x%02x", c);
        if (is_utf8 && is_upper_control)
            buf_printf(out, "\\x%02x", (unsigned char)text.data[++i]);
    }
    buf_add_char(out, '\t');
}

void reject_log_line(const struct ledger_row *row, struct buf *out)
{
    char reference[10] = "-";
    if (row->reference)
        reference_write(row->reference, reference);
    add_time(row->at, out);
    buf_add_text(out, row->fetched ? "\tfetched\t" : "\tdirect\t");
    add_foreign(row->recipient, out);
    add_foreign(row->reverse_path.size ? row->reverse_path : span_text("<>"), out);
    add_foreign(row->ip, out);
    add_foreign(row->helo, out);
    add_foreign(row->rule, out);
    add_foreign(row->evidence, out);
    add_foreign(row->reply, out);
    buf_add_text(out, reference);
    if (row->attempts > 1) {
        buf_printf(out, "\t%llu times until ", (unsigned long long)row->attempts);
        add_time(row->last_at, out);
    }
    buf_add_char(out, '\n');
}

void reject_log_add(struct reject_log *log, const struct ledger_row *row)
{
    if (!log->is_on)
        return;
    size_t before = log->lines.size;
    reject_log_line(row, &log->lines);
    if (!buf_failed(&log->lines))
        return;
    log->lines.failed = false;
    buf_truncate(&log->lines, before);
    log->dropped++;
}

void reject_log_forget(struct reject_log *log)
{
    buf_reset(&log->lines);
}

/* ---- The file ---- */

static int open_file(struct reject_log *log)
{
    struct stat st;
    if (log->fd >= 0)
        return 0;
    int fd = openat(log->directory, REJECT_LOG_NAME, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    log->fd = fd;
    log->size = (uint64_t)st.st_size;
    return 0;
}

static void name_of(unsigned number, char out[40])
{
    if (number)
        snprintf(out, 40, REJECT_LOG_NAME ".%u", number);
    else
        snprintf(out, 40, REJECT_LOG_NAME);
}

/* reject.log.1 becomes reject.log.2 and so on; the last is overwritten by the one before. */
static int rotate(struct reject_log *log)
{
    char from[40], to[40];
    unsigned last = 0;
    close(log->fd);
    log->fd = -1;
    if (log->keep == 0)
        return unlinkat(log->directory, REJECT_LOG_NAME, 0) == 0 || errno == ENOENT ? 0 : -errno;
    for (bool is_there = true; is_there && last < log->keep;) {
        name_of(++last, to);
        is_there = faccessat(log->directory, to, F_OK, 0) == 0;
    }
    for (unsigned i = last; i > 0; i--) {
        name_of(i - 1, from);
        name_of(i, to);
        if (renameat(log->directory, from, log->directory, to) != 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

static int write_all(struct reject_log *log)
{
    size_t done = 0;
    while (done < log->lines.size) {
        ssize_t n = write(log->fd, log->lines.data + done, log->lines.size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            /* Half a line must not be taken for one, and what follows begins a line of its own. */
            int error = n < 0 ? -errno : -ENOSPC;
            if (done > 0 && ftruncate(log->fd, (off_t)log->size) != 0)
                error = -errno;
            return error;
        }
        done += (size_t)n;
    }
    log->size += done;
    return 0;
}

static void say_trouble(struct reject_log *log, int error)
{
    if (!log->in_trouble)
        log_write(LOG_PROBLEM, "store", NULL,
                  "reject.log cannot be written; refusals are still in the ledger, and mail goes on error=%s",
                  strerror(-error));
    log->in_trouble = true;
}

static void say_better(struct reject_log *log)
{
    if (log->in_trouble || log->dropped)
        log_write(LOG_PROBLEM, "store", NULL, "reject.log is written again; lines are missing lines=%llu",
                  (unsigned long long)log->dropped);
    log->in_trouble = false;
    log->dropped = 0;
}

static uint64_t count_lines(struct span text)
{
    uint64_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '\n';
    return count;
}

void reject_log_flush(struct reject_log *log)
{
    if (log->lines.size == 0)
        return;
    int rc = open_file(log);
    if (rc == 0 && log->size_max && log->size >= log->size_max) {
        rc = rotate(log);
        rc = rc ? rc : open_file(log);
    }
    rc = rc ? rc : write_all(log);
    if (rc != 0) {
        log->dropped += count_lines(buf_span(&log->lines));
        say_trouble(log, rc);
        if (log->fd >= 0)
            close(log->fd);
        log->fd = -1;
    } else {
        say_better(log);
    }
    buf_reset(&log->lines);
}
