/* Lines of the own black list. What was understood, written and read again, is the same entry. */
#include "policy/blacklist_text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_entry(enum blacklist_line kind)
{
    return kind == BLACKLIST_LINE_ADDRESSES || kind == BLACKLIST_LINE_NAME;
}

static void check_line(struct span line)
{
    struct blacklist_entry entry, again;
    struct buf problem, out;
    buf_init(&problem, 6000);
    buf_init(&out, 2000);
    enum blacklist_line kind = blacklist_line_parse(line, &entry, &problem);
    require(!buf_failed(&problem) && (kind == BLACKLIST_LINE_BAD) == (problem.size > 0));
    if (is_entry(kind)) {
        blacklist_entry_write(kind, &entry, &out);
        require(!buf_failed(&out));
        require(blacklist_line_parse(buf_span(&out), &again, &problem) == kind);
        require(again.is_exception == entry.is_exception && again.reason.size == 0);
        if (kind == BLACKLIST_LINE_ADDRESSES)
            require(ip_address_equal(&entry.first, &again.first) && ip_address_equal(&entry.last, &again.last) &&
                    memcmp(entry.first.bytes, entry.last.bytes, 16) <= 0);
        else
            require(entry.name_kind == again.name_kind && span_equal_nocase(entry.name, again.name));
    }
    buf_release(&problem);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (struct span rest = span_from(data, size); rest.size;)
        check_line(span_cut(&rest, '\n'));
    return 0;
}
