/* Dates as mail writes them. Pure: the time comes in as a number, nobody asks for the local zone. Nanoseconds and
 * seconds count from 1970-01-01 UTC. */
#ifndef FORMAT_DATE_H
#define FORMAT_DATE_H

#include "base/buf.h"

/* RFC 5322 section 3.3: "Sat, 21 Nov 2026 23:41:38 +0000". */
void date_write(uint64_t wall_nanoseconds, struct buf *out);
/* IMAP's date-time (RFC 9051) with its quotes: "\"21-Nov-2026 23:41:38 +0000\"", the day padded with a space. */
void date_write_internal(uint64_t wall_nanoseconds, struct buf *out);

/* RFC 5322 sections 3.3 and 4.3, leniently: comments, any white space, no or a wrong weekday, years of two and three
 * digits, full month names, no seconds, the old named zones and no zone at all (UTC), dots or dashes between day, month
 * and year. Seconds of 60 count as the next minute. What stands behind the date is not looked at. False, and *seconds
 * untouched, when there is no date to be seen or a number is out of range. */
MUST_USE bool date_parse(struct span text, int64_t *seconds);

/* ISO 8601, strictly, UTC: the day "2026-11-21", at whose beginning it is, or the minute "2026-11-21T23:41". False, and
 * nothing set, for anything else and for days that no calendar has. */
MUST_USE bool date_parse_iso(struct span text, int64_t *seconds, bool *has_time);

#endif
