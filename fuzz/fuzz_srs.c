/* Local parts that claim to be SRS addresses, and reverse paths of any kind to be rewritten: what goes out comes back.
 */
#include "format/srs.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct span key = SPAN("0123456789abcdef0123456789abcdef");
    struct span text = span_from(data, size), rest = text;
    struct buf out, back;
    buf_init(&out, 4096);
    buf_init(&back, 4096);
    if (srs_reverse(text, key, 1700000000, &back) != SRS_RIGHT && back.size)
        abort();
    struct span local = span_cut(&rest, '@');
    srs_forward_write(local, rest, span_from("forward.example", 15), key, 1700000000, &out);
    if (out.size > 16 && out.data[0] != '"' && span_find(local, '\\') == local.size) {
        buf_reset(&back);
        struct span ours = span_head(buf_span(&out), out.size - 16);
        if (srs_reverse(ours, key, 1700000000, &back) == SRS_NONE)
            abort();
    }
    buf_release(&out);
    buf_release(&back);
    return 0;
}
