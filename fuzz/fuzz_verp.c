/* Local parts that claim to be a list's bounce address, and lists' names of any kind: what goes out comes back. */
#include "format/verp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct span key = SPAN("0123456789abcdef0123456789abcdef"), domain = SPAN("list.example");
    struct span text = span_from(data, size);
    struct verp verp;
    struct buf out;
    /* Nobody guesses the hash. */
    if (verp_parse(text, &verp) && verp.member && verp_is_right(&verp, domain, key))
        abort();
    buf_init(&out, 4096);
    verp_write(text, domain, size + 1, key, &out);
    struct span local = span_head(buf_span(&out), span_find_last(buf_span(&out), '@'));
    if (size && size <= 500 && !buf_failed(&out) && local.data[0] != '"' &&
        (!verp_parse(local, &verp) || !span_equal(verp.list, text) || verp.member != size + 1 ||
         !verp_is_right(&verp, domain, key)))
        abort();
    buf_release(&out);
    return 0;
}
