/* The message as it comes over DATA or BDAT: RFC 5321 sections 4.1.1.4 and 4.5.2, RFC 3030. An incremental push parser:
 * give it what was received, it appends the content to a buf and tells where the message ended. Pure: no I/O, no memory
 * of its own; it may be copied and thrown away at any time.
 *
 * Only CRLF "." CRLF ends the data (the start counts as behind a CRLF). A CR or LF that is not half of a CRLF is a
 * problem, or with `repair` becomes CRLF; in neither case does a dot next to it end anything or lose itself: LF "." LF
 * is repaired to a line that holds one dot. Whatever the input, how it is cut into pieces makes no difference, and with
 * a problem the real end is still looked for, so that the session stays in step with the client.
 */
#ifndef FORMAT_SMTP_DATA_H
#define FORMAT_SMTP_DATA_H

#include "base/buf.h"
#include "format/smtp_command.h"
#include "format/utf8.h"

/* 0 = no limit. */
struct smtp_data_limits {
    uint64_t max_size;         /* octets of content, every line end as CRLF */
    uint64_t max_line;         /* octets of a line, its CRLF not counted */
    uint64_t max_header_size;  /* octets of the header with its CRLFs */
    uint64_t max_header_lines; /* folded lines count each */
    bool repair;               /* a bare CR or LF becomes CRLF instead of a problem */
};

enum smtp_data_status { SMTP_DATA_MORE, SMTP_DATA_END };

/* In order of rank: where a message has several, smtp_data_problem() tells the first of this list. */
enum smtp_data_problem {
    SMTP_DATA_FINE,
    SMTP_DATA_TOO_LARGE,
    SMTP_DATA_BARE_LINE_END,
    SMTP_DATA_NUL,
    SMTP_DATA_HEADER_TOO_LARGE,
    SMTP_DATA_TOO_MANY_HEADER_LINES,
    SMTP_DATA_LINE_TOO_LONG,
};

struct smtp_data {
    struct smtp_data_limits limits;

    /* ---- What is known of the message so far; whole at the end ---- */
    unsigned problems;    /* bits 1 << enum smtp_data_problem */
    uint64_t size;        /* octets of content, also of those that were not stored */
    uint64_t header_size; /* octets of the header's lines, without the empty line behind it */
    uint64_t header_lines;
    unsigned received_hops; /* Received: fields */
    bool has_8bit;          /* a byte above 127 anywhere */
    bool header_has_8bit;
    bool header_has_bad_utf8;
    bool has_from, has_date, has_message_id; /* such a field stands in the header */
    bool was_repaired;                       /* a bare CR or LF became CRLF */

    /* ---- Inside ---- */
    unsigned char state;
    bool dots; /* DATA: dots at line starts mean something */
    bool in_header;
    unsigned char field_state;
    unsigned char name_size;
    char name[12]; /* of the field in this line, lower case, as much as can matter */
    bool line_has_8bit, line_has_bad_utf8;
    struct utf8_check utf8;
    uint64_t line_size; /* octets of content in this line so far */
};

/* For DATA with smtp_data_feed, or for BDAT with smtp_data_feed_chunk. *limits is copied. */
void smtp_data_init(struct smtp_data *d, const struct smtp_data_limits *limits);

/* Takes input up to the end of data or all of it. *consumed is what was taken: input.size with SMTP_DATA_MORE; behind
 * CRLF "." CRLF with SMTP_DATA_END, and not fed again. Appends the content to `out`, at most 2 * input.size + 4 bytes a
 * call. From the first problem on nothing more is appended, and what is already there is of no use. `out` failing is
 * for the caller to see (buf_failed). Linear time. */
MUST_USE enum smtp_data_status smtp_data_feed(struct smtp_data *d, struct span input, size_t *consumed,
                                              struct buf *out);

/* The same for bytes of a BDAT chunk: no dots, no end; a line may go on in the next chunk. */
void smtp_data_feed_chunk(struct smtp_data *d, struct span input, struct buf *out);
/* After the last chunk. A message that does not end in CRLF gets it; one of no octets stays so. */
void smtp_data_finish_chunks(struct smtp_data *d, struct buf *out);

enum smtp_data_problem smtp_data_problem(const struct smtp_data *d);
/* The reply to a problem, static; NULL for SMTP_DATA_FINE. 550 5.6.11 for bare line ends. */
const struct smtp_problem *smtp_data_reply(enum smtp_data_problem problem);

#endif
