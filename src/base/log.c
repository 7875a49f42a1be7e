#include "base/log.h"

#include "base/buf.h"
#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define GATHER_MAX (64u << 10)
#define LINE_MAX_SIZE 4096
#define QUOTE_MAX 256

/* Priorities of RFC 5424 section 6.2.1, facility mail. */
static const struct {
    const char *name, *shown;
    int syslog_priority;
} levels[] = {
    [0] = {"crash", "CRASH", 2},     [1] = {"failure", "FAILURE", 4}, [2] = {"major", "MAJOR", 5},
    [3] = {"problem", "PROBLEM", 3}, [4] = {"low", "LOW", 6},         [5] = {"all", "ALL", 7},
};
#define FACILITY_MAIL (2 << 3)

static enum log_target target = LOG_TO_FD;
static int log_fd = STDERR_FILENO;
static enum log_level wanted = LOG_LOW;
static struct buf gathered = {.limit = GATHER_MAX};

void log_open(enum log_target new_target, int fd)
{
    log_flush();
    target = new_target;
    log_fd = fd;
}

void log_set_level(enum log_level level)
{
    wanted = level;
}

bool log_wants(enum log_level level)
{
    return level <= wanted;
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

int log_level_parse(struct span name)
{
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        if (span_is_nocase(name, levels[i].name))
            return (int)i;
    return -1;
}

/* A log that can't be written is no reason to stop taking mail, and there is nobody left to tell. */
static void write_all(const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(log_fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        data += n;
        size -= (size_t)n;
    }
}

void log_flush(void)
{
    if (gathered.size)
        write_all(gathered.data, gathered.size);
    buf_reset(&gathered);
}

/* Of a word in the head of a line, which has room for all of them: another process may have named the session. */
#define WORD_MAX 64

static char *put(char *to, const char *text)
{
    for (size_t left = WORD_MAX; *text && left > 0; left--)
        *to++ = *text++;
    return to;
}

static size_t write_time(char *to)
{
    static time_t last;
    static char shown[24]; /* one gmtime a second, not one a line */
    uint64_t now = clock_wall();
    time_t seconds = (time_t)(now / NANOSECONDS);
    if (seconds != last || !shown[0]) {
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(shown, sizeof shown, "%Y-%m-%dT%H:%M:%S", &tm);
        last = seconds;
    }
    unsigned milliseconds = (unsigned)(now % NANOSECONDS / 1000000);
    char *end = put(to, shown);
    *end++ = '.';
    *end++ = (char)('0' + milliseconds / 100);
    *end++ = (char)('0' + milliseconds / 10 % 10);
    *end++ = (char)('0' + milliseconds % 10);
    end = put(end, "Z ");
    return (size_t)(end - to);
}

/* A value that nobody quoted, whoever forgot to, still ends no record and drives no terminal. */
static void hide_controls(char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
}

static char *write_head(char *to, enum log_level level, const char *component, const char *session)
{
    *to++ = (char)('0' + level);
    to = put(put(to, " "), levels[level].shown);
    to = put(put(to, " "), component);
    to = put(put(to, " "), session && *session ? session : "-");
    return put(to, " ");
}

void log_write(enum log_level level, const char *component, const char *session, const char *format, ...)
{
    if (!log_wants(level))
        return;
    char line[LINE_MAX_SIZE];
    size_t size = 0;
    if (target == LOG_TO_SYSLOG)
        size = (size_t)snprintf(line, sizeof line, "<%d>ostiary[%d]: ", FACILITY_MAIL | levels[level].syslog_priority,
                                (int)getpid());
    else
        size = write_time(line);
    size = (size_t)(write_head(line + size, level, component, session) - line);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + size, sizeof line - size, format, args);
    va_end(args);
    if (n < 0)
        return;
    size += (size_t)n;
    if (size > sizeof line - 1)
        size = sizeof line - 1;
    hide_controls(line, size);
    if (target == LOG_TO_SYSLOG) {
        write_all(line, size); /* a datagram is a record */
        return;
    }
    line[size++] = '\n';
    if (gathered.size + size > GATHER_MAX)
        log_flush();
    buf_add(&gathered, line, size);
    if (level == LOG_CRASH)
        log_flush();
}

/* Breaks lines, has no width, or turns the direction of what follows: it makes a line read as what it is not. */
static bool is_deceptive(uint32_t code)
{
    return code == 0x61c || (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

/* The size of the character at the beginning of `s` where it is UTF-8 and a terminal merely shows it; else 0. Controls
 * are ASCII's and those at U+0080 to U+009F, which drive terminals too, as UTF-8 or as single bytes. */
static size_t shown_size(struct span s)
{
    static const uint32_t least[] = {0, 0, 0xa0, 0x800, 0x10000};
    unsigned char first = (unsigned char)s.data[0];
    if (first < 0x80)
        return first >= ' ' && first != 0x7f;
    size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    uint32_t code = first & (0xffu >> (size + 1));
    if (first < 0xc2 || first > 0xf4 || size > s.size)
        return 0;
    for (size_t i = 1; i < size; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if ((c & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (c & 0x3f);
    }
    if (code < least[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) || is_deceptive(code))
        return 0;
    return size;
}

static bool is_plain(struct span s)
{
    size_t size;
    for (struct span rest = s; rest.size; rest = span_skip(rest, size)) {
        char c = rest.data[0];
        size = shown_size(rest);
        if (c == ' ' || c == '"' || c == '\\' || !size)
            return false;
    }
    return s.size > 0 && s.size < QUOTE_MAX;
}

const char *log_quote(struct span s)
{
    static char places[8][QUOTE_MAX + 8];
    static unsigned turn;
    char *place = places[turn++ % 8];
    if (is_plain(s)) {
        memcpy(place, s.data, s.size);
        place[s.size] = 0;
        return place;
    }
    size_t n = 0, size;
    place[n++] = '"';
    for (; s.size; s = span_skip(s, size)) {
        size = shown_size(s);
        if (n + 4 > QUOTE_MAX) {
            memcpy(place + n, "…", sizeof "…" - 1);
            n += sizeof "…" - 1;
            break;
        }
        if (!size) {
            n += (size_t)snprintf(place + n, 5, "\\x%02x", (unsigned char)s.data[0]);
            size = 1;
            continue;
        }
        if (s.data[0] == '"' || s.data[0] == '\\')
            place[n++] = '\\';
        memcpy(place + n, s.data, size);
        n += size;
    }
    place[n++] = '"';
    place[n] = 0;
    return place;
}
