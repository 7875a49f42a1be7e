/* A report about a hostile message to hostile recipients, refused with hostile words: the first byte chooses, the rest
 * is cut at NULs. No line of the status part may begin with what we did not write there. */
#include "format/dsn.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count(const struct buf *text, const char *needle)
{
    size_t n = 0;
    struct span rest = buf_span(text);
    for (const char *at; rest.size && (at = memmem(rest.data, rest.size, needle, strlen(needle))); n++)
        rest = span_skip(rest, (size_t)(at - rest.data) + 1);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct span rest = span_from(data + 1, size - 1);
    struct dsn_recipient r = {.action = (enum dsn_action)(data[0] % 5), .why = "Why not."};
    struct dsn dsn = {.host = span_from("a.example", 9),
                      .unique = span_from("0f9a", 4),
                      .recipients = &r,
                      .count = 1,
                      .now = 1700000000000000000ull,
                      .smtputf8 = data[0] & 32,
                      .is_whole = data[0] & 64,
                      .is_for_recipient = data[0] & 128};
    r.original = span_cut(&rest, 0);
    r.final = span_cut(&rest, 0);
    r.orcpt = span_cut(&rest, 0);
    r.status = span_cut(&rest, 0);
    r.remote = span_cut(&rest, 0);
    r.diagnostic = span_cut(&rest, 0);
    dsn.envid = span_cut(&rest, 0);
    dsn.to = span_cut(&rest, 0);
    dsn.reference = span_cut(&rest, 0);
    struct buf out;
    buf_init(&out, 8u << 20);
    dsn.message = rest;
    dsn_write(&dsn, &out);
    /* What comes back of the message is not ours to judge. */
    buf_reset(&out);
    dsn.message = (struct span){0};
    dsn_write(&dsn, &out);
    if (buf_failed(&out) ? size < 4096 : count(&out, "\nAction: ") != 1 || count(&out, "\n--report-0f9a") != 4)
        abort();
    buf_release(&out);
    return 0;
}
