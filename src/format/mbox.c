#include "format/mbox.h"

#include <stdio.h>
#include <time.h>

static const struct span from_word = SPAN("From ");

static bool starts(struct span s, struct span prefix)
{
    return s.size >= prefix.size && memcmp(s.data, prefix.data, prefix.size) == 0;
}

/* A line with its end; empty at the end of the text. */
static struct span cut_line(struct span *rest)
{
    size_t end = span_find(*rest, '\n');
    struct span line = span_head(*rest, end < rest->size ? end + 1 : end);
    *rest = span_skip(*rest, line.size);
    return line;
}

static struct span without_end(struct span line)
{
    if (line.size && line.data[line.size - 1] == '\n')
        line.size--;
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    return line;
}

bool mbox_next(struct span *rest, struct mbox_message *message)
{
    if (!starts(*rest, from_word))
        return false;
    message->from = span_skip(without_end(cut_line(rest)), from_word.size);
    const char *begin = rest->data;
    size_t size = 0, empty = 0; /* of the message; of the empty line at its end */
    while (rest->size && !(empty && starts(*rest, from_word))) {
        struct span line = cut_line(rest);
        size += line.size;
        empty = without_end(line).size ? 0 : line.size;
    }
    message->text = span_from(begin, size - empty);
    return true;
}

struct span mbox_from_sender(struct span from)
{
    struct span sender = span_head(from, span_find(from, ' '));
    return span_find(sender, '@') < sender.size ? sender : (struct span){NULL, 0};
}

/* 1 to 12; 0 for what is none. */
static int month_number(struct span word)
{
    static const char names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                      "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    for (int i = 0; i < 12; i++)
        if (span_is(word, names[i]))
            return i + 1;
    return 0;
}

/* "04:12:00" */
static bool parse_time(struct span word, struct tm *tm)
{
    uint64_t hour, minute, second;
    struct span hours = span_cut(&word, ':'), minutes = span_cut(&word, ':');
    if (!span_parse_u64(hours, 23, &hour) || !span_parse_u64(minutes, 59, &minute) ||
        !span_parse_u64(word, 60, &second))
        return false;
    tm->tm_hour = (int)hour;
    tm->tm_min = (int)minute;
    tm->tm_sec = (int)second;
    return true;
}

bool mbox_from_seconds(struct span from, int64_t *seconds)
{
    /* "Mon Nov 22 04:12:00 2026", behind the sender, with perhaps a zone before or behind the year. */
    enum { WEEKDAY, MONTH, DAY, TIME, YEAR, YEAR_BEHIND_ZONE, WORDS };
    struct span words[WORDS] = {0};
    struct tm tm = {.tm_isdst = 0};
    uint64_t day, year;
    from = span_skip(from, span_find(from, ' '));
    for (size_t i = 0; i < WORDS && from.size;) {
        words[i] = span_cut(&from, ' ');
        i += words[i].size > 0;
    }
    tm.tm_mon = month_number(words[MONTH]) - 1;
    if (tm.tm_mon < 0 || !span_parse_u64(words[DAY], 31, &day) || day < 1 || !parse_time(words[TIME], &tm))
        return false;
    if (!span_parse_u64(words[YEAR], 9999, &year) && !span_parse_u64(words[YEAR_BEHIND_ZONE], 9999, &year))
        return false;
    if (year < 1970)
        return false;
    tm.tm_mday = (int)day;
    tm.tm_year = (int)year - 1900;
    *seconds = timegm(&tm);
    return *seconds >= 0;
}

/* ">From ", ">>From " … */
static bool is_quoted_from(struct span line, size_t least)
{
    size_t marks = 0;
    while (marks < line.size && line.data[marks] == '>')
        marks++;
    return marks >= least && starts(span_skip(line, marks), from_word);
}

static bool is_mark_field(struct span line)
{
    return span_starts_nocase(line, span_text("Status:")) || span_starts_nocase(line, span_text("X-Status:"));
}

/* A CR that is not half of a line's end would be refused later: it ends a line, too. */
static void write_line(struct span line, struct buf *out)
{
    for (size_t at; (at = span_find(line, '\r')) < line.size; line = span_skip(line, at + 1)) {
        buf_add_span(out, span_head(line, at));
        buf_add_text(out, "\r\n");
    }
    buf_add_span(out, line);
    buf_add_text(out, "\r\n");
}

void mbox_write_plain(struct span text, bool quoted, struct buf *out)
{
    bool in_header = true;
    while (text.size) {
        struct span line = cut_line(&text);
        if (quoted && is_quoted_from(line, 1))
            line = span_skip(line, 1);
        line = without_end(line);
        in_header = in_header && line.size;
        if (!quoted || !in_header || !is_mark_field(line))
            write_line(line, out);
    }
}

static unsigned marks_of(struct span letters, bool is_extended)
{
    unsigned marks = 0;
    for (size_t i = 0; i < letters.size; i++) {
        char c = letters.data[i];
        marks |= !is_extended && c == 'R' ? MAIL_SEEN : 0;
        marks |= is_extended && c == 'A' ? MAIL_ANSWERED : 0;
        marks |= is_extended && c == 'F' ? MAIL_FLAGGED : 0;
        marks |= is_extended && c == 'D' ? MAIL_DELETED : 0;
        marks |= is_extended && c == 'T' ? MAIL_DRAFT : 0;
    }
    return marks;
}

unsigned mbox_marks(struct span text)
{
    static const struct span status = SPAN("Status:"), extended = SPAN("X-Status:");
    unsigned marks = 0;
    while (text.size) {
        struct span line = without_end(cut_line(&text));
        if (!line.size)
            break;
        if (span_starts_nocase(line, status))
            marks |= marks_of(span_skip(line, status.size), false);
        else if (span_starts_nocase(line, extended))
            marks |= marks_of(span_skip(line, extended.size), true);
    }
    return marks;
}

static void write_marks(unsigned marks, struct buf *out)
{
    static const struct {
        unsigned mark;
        char letter;
    } letters[] = {{MAIL_ANSWERED, 'A'}, {MAIL_FLAGGED, 'F'}, {MAIL_DELETED, 'D'}, {MAIL_DRAFT, 'T'}};
    if (marks & MAIL_SEEN)
        buf_add_text(out, "Status: RO\n");
    if (!(marks & ~(unsigned)MAIL_SEEN))
        return;
    buf_add_text(out, "X-Status: ");
    for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
        if (marks & letters[i].mark)
            buf_add_char(out, letters[i].letter);
    buf_add_char(out, '\n');
}

void mbox_write(struct span sender, uint64_t seconds, unsigned marks, struct span text, struct buf *out)
{
    char date[64];
    struct tm tm;
    time_t when = (time_t)seconds;
    bool in_header = true;
    if (!gmtime_r(&when, &tm) || !strftime(date, sizeof date, "%a %b %e %H:%M:%S %Y", &tm))
        snprintf(date, sizeof date, "Thu Jan  1 00:00:00 1970");
    bool is_plain = sender.size && sender.size < 1000;
    for (size_t i = 0; i < sender.size; i++)
        is_plain = is_plain && (unsigned char)sender.data[i] > ' ' && sender.data[i] != 0x7f;
    buf_add_span(out, from_word);
    buf_add_span(out, is_plain ? sender : span_text("MAILER-DAEMON"));
    buf_printf(out, " %s\n", date);
    while (text.size) {
        struct span line = without_end(cut_line(&text));
        /* Fields of that name that the message came with would be read back as ours. */
        if (in_header && is_mark_field(line))
            continue;
        if (in_header && !line.size) {
            write_marks(marks, out);
            in_header = false;
        }
        if (is_quoted_from(line, 0))
            buf_add_char(out, '>');
        buf_add_span(out, line);
        buf_add_char(out, '\n');
    }
    if (in_header) /* a header without an end */
        write_marks(marks, out);
    buf_add_char(out, '\n');
}
