/* Any message, written as DATA in two ways to cut it: the strict reader of servers finds our end and none before, and
 * gets back what BDAT would have sent. The first byte is where it is cut. */
#include "format/smtp_content.h"
#include "format/smtp_data.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void write_cut(struct span text, size_t at, bool dots, struct buf *out)
{
    struct smtp_content content;
    smtp_content_init(&content, dots);
    smtp_content_write(&content, span_head(text, at), out);
    smtp_content_write(&content, span_skip(text, at), out);
    smtp_content_finish(&content, out);
    require(!buf_failed(out) && out->size <= 2 * text.size + 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span text = span_from(data + 1, size - 1);
    struct buf sent, whole, chunks, back;
    struct smtp_data reader;
    size_t consumed;
    buf_init(&sent, 1 << 22);
    buf_init(&whole, 1 << 22);
    buf_init(&chunks, 1 << 22);
    buf_init(&back, 1 << 22);
    write_cut(text, data[0], true, &sent);
    write_cut(text, 0, true, &whole);
    write_cut(text, data[0], false, &chunks);
    require(span_equal(buf_span(&sent), buf_span(&whole)));
    buf_add_text(&sent, ".\r\n");
    smtp_data_init(&reader, &(struct smtp_data_limits){0});
    require(smtp_data_feed(&reader, buf_span(&sent), &consumed, &back) == SMTP_DATA_END && consumed == sent.size);
    require((reader.problems & ~(1u << SMTP_DATA_NUL)) == 0);
    require(reader.problems || span_equal(buf_span(&back), buf_span(&chunks)));
    buf_release(&sent);
    buf_release(&whole);
    buf_release(&chunks);
    buf_release(&back);
    return 0;
}
