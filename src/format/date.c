#include "format/date.h"

#include "base/clock.h"

#define DAY_SECONDS 86400
#define COMMENT_DEPTH_MAX 32

static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};

struct calendar {
    unsigned year, month /* 1 to 12 */, day, hour, minute, second, weekday /* 0 = Sunday */;
};

/* ---- Days and dates: the proleptic Gregorian calendar, counted in years that begin on 1 March, so that leap days come
 * last ---- */

static int64_t days_from_date(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + (int64_t)day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static struct calendar calendar_from_wall(uint64_t wall_nanoseconds)
{
    uint64_t seconds = wall_nanoseconds / NANOSECONDS;
    uint64_t days = seconds / DAY_SECONDS + 719468; /* since 0000-03-01 */
    uint64_t in_day = seconds % DAY_SECONDS;
    uint64_t era = days / 146097;
    uint64_t day_of_era = days % 146097;
    uint64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t shifted = (5 * day_of_year + 2) / 153;
    unsigned month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);

    return (struct calendar){
        .year = (unsigned)(year_of_era + era * 400 + (month <= 2)),
        .month = month,
        .day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1),
        .hour = (unsigned)(in_day / 3600),
        .minute = (unsigned)(in_day / 60 % 60),
        .second = (unsigned)(in_day % 60),
        .weekday = (unsigned)((seconds / DAY_SECONDS + 4) % 7),
    };
}

static const char *const short_months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void date_write(uint64_t wall_nanoseconds, struct buf *out)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    struct calendar c = calendar_from_wall(wall_nanoseconds);

    buf_printf(out, "%s, %u %s %u %02u:%02u:%02u +0000", weekdays[c.weekday], c.day, short_months[c.month - 1], c.year,
               c.hour, c.minute, c.second);
}

void date_write_internal(uint64_t wall_nanoseconds, struct buf *out)
{
    struct calendar c = calendar_from_wall(wall_nanoseconds);

    buf_printf(out, "\"%2u-%s-%u %02u:%02u:%02u +0000\"", c.day, short_months[c.month - 1], c.year, c.hour, c.minute,
               c.second);
}

/* ---- Parsing: the span is cut from the front ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    c = ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

/* Behind the comment that *s begins with; one that does not end takes all. */
static void skip_comment(struct span *s)
{
    unsigned depth = 0;
    size_t i = 0;

    for (; i < s->size; i++) {
        if (s->data[i] == '\\')
            i++;
        else if (s->data[i] == '(' && depth < COMMENT_DEPTH_MAX)
            depth++;
        else if (s->data[i] == ')' && --depth == 0)
            break;
    }
    *s = span_skip(*s, i + 1);
}

/* Skips white space, comments and any of `others`. */
static void skip_blanks(struct span *s, const char *others)
{
    while (s->size) {
        char c = s->data[0];
        if (c == '(')
            skip_comment(s);
        else if (c && (strchr(" \t\r\n", c) || strchr(others, c)))
            *s = span_skip(*s, 1);
        else
            return;
    }
}

static struct span take_word(struct span *s)
{
    struct span word = *s;
    size_t size = 0;

    while (size < s->size && is_letter(s->data[size]))
        size++;
    *s = span_skip(*s, size);
    return span_head(word, size);
}

/* Takes a number of `least` to `most` digits, its digits counted in *digits. */
static bool take_number(struct span *s, size_t least, size_t most, unsigned *value, size_t *digits)
{
    unsigned number = 0;
    size_t size = 0;

    while (size < s->size && is_digit(s->data[size]) && size <= most)
        number = number * 10 + (unsigned)(s->data[size++] - '0');
    if (size < least || size > most)
        return false;
    *s = span_skip(*s, size);
    *value = number;
    *digits = size;
    return true;
}

static unsigned month_from_name(struct span name)
{
    for (unsigned i = 0; i < 12; i++)
        if (name.size >= 3 && span_starts_nocase(span_text(months[i]), name))
            return i + 1;
    return 0;
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap);
}

static bool take_day(struct span *s, struct calendar *c)
{
    size_t digits;

    skip_blanks(s, "");
    if (take_word(s).size)
        skip_blanks(s, ",.");
    if (!take_number(s, 1, 2, &c->day, &digits))
        return false;
    skip_blanks(s, "-.");
    c->month = month_from_name(take_word(s));
    skip_blanks(s, "-.,");
    if (!c->month || !take_number(s, 2, 4, &c->year, &digits))
        return false;
    if (digits == 2) /* RFC 5322 section 4.3 */
        c->year += c->year < 50 ? 2000 : 1900;
    else if (digits == 3)
        c->year += 1900;
    return c->day >= 1 && c->day <= days_in_month(c->year, c->month);
}

static bool take_time(struct span *s, struct calendar *c)
{
    size_t digits;

    skip_blanks(s, ",");
    if (!take_number(s, 1, 2, &c->hour, &digits))
        return false;
    skip_blanks(s, "");
    if (!s->size || s->data[0] != ':')
        return false;
    skip_blanks(s, ":");
    if (!take_number(s, 1, 2, &c->minute, &digits))
        return false;
    skip_blanks(s, "");
    c->second = 0;
    if (s->size && s->data[0] == ':') {
        skip_blanks(s, ":");
        if (!take_number(s, 1, 2, &c->second, &digits))
            return false;
    }
    return c->hour <= 23 && c->minute <= 59 && c->second <= 60;
}

static bool take_numeric_zone(struct span *s, int *minutes)
{
    int sign = s->data[0] == '-' ? -1 : 1;
    unsigned hours, rest;
    size_t digits;

    *s = span_skip(*s, 1);
    struct span digits_of = span_head(*s, 2);
    if (!take_number(&digits_of, 2, 2, &hours, &digits))
        return false;
    *s = span_skip(*s, 2);
    if (s->size && s->data[0] == ':')
        *s = span_skip(*s, 1);
    if (!take_number(s, 2, 2, &rest, &digits) || rest > 59)
        return false;
    *minutes = sign * (int)(hours * 60 + rest);
    return true;
}

/* RFC 5322 section 4.3: an unknown zone, and the military letters that so many got backwards, are as good as UTC. */
static bool take_zone(struct span *s, int *minutes)
{
    static const struct {
        const char *name;
        int hours;
    } zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
                 {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};

    *minutes = 0;
    skip_blanks(s, "");
    if (s->size && (s->data[0] == '+' || s->data[0] == '-'))
        return take_numeric_zone(s, minutes);
    struct span name = take_word(s);
    for (size_t i = 0; i < sizeof(zones) / sizeof(*zones); i++)
        if (span_is_nocase(name, zones[i].name))
            *minutes = zones[i].hours * 60;
    return true;
}

bool date_parse(struct span text, int64_t *seconds)
{
    struct calendar c;
    int zone_minutes;

    if (!take_day(&text, &c) || !take_time(&text, &c) || !take_zone(&text, &zone_minutes))
        return false;
    *seconds = days_from_date(c.year, c.month, c.day) * DAY_SECONDS + (int64_t)c.hour * 3600 + (int64_t)c.minute * 60 +
               (int64_t)c.second - (int64_t)zone_minutes * 60;
    return true;
}

/* ---- ISO 8601 ---- */

static bool take_sign(struct span *s, char sign)
{
    if (s->size == 0 || s->data[0] != sign)
        return false;
    *s = span_skip(*s, 1);
    return true;
}

bool date_parse_iso(struct span text, int64_t *seconds, bool *has_time)
{
    struct calendar c = {0};
    size_t digits;

    if (!take_number(&text, 4, 4, &c.year, &digits) || !take_sign(&text, '-') ||
        !take_number(&text, 2, 2, &c.month, &digits) || !take_sign(&text, '-') ||
        !take_number(&text, 2, 2, &c.day, &digits))
        return false;
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month))
        return false;
    bool is_minute = text.size > 0;
    if (is_minute && (!take_sign(&text, 'T') || !take_number(&text, 2, 2, &c.hour, &digits) || !take_sign(&text, ':') ||
                      !take_number(&text, 2, 2, &c.minute, &digits)))
        return false;
    if (text.size || c.hour > 23 || c.minute > 59)
        return false;
    *seconds = days_from_date(c.year, c.month, c.day) * DAY_SECONDS + (int64_t)c.hour * 3600 + (int64_t)c.minute * 60;
    *has_time = is_minute;
    return true;
}
