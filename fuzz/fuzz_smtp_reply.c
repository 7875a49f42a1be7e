/* What a server answers: as replies, and each line's text as one of EHLO's. */
#include "format/smtp_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_reply(const struct smtp_reply *reply, struct buf *out)
{
    require(reply->code >= 200 && reply->code < 600 && !reply->is_ours && reply->size <= SMTP_REPLY_TEXT_MAX);
    require(!reply->enhanced.klass || reply->enhanced.klass == reply->code / 100);
    buf_reset(out);
    smtp_reply_write(reply, out);
    require(!buf_failed(out) && out->size >= 3);
    for (size_t i = 0; i < out->size; i++)
        require(out->data[i] >= ' ' && out->data[i] <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_from(data, size), text;
    struct smtp_extensions extensions = {0};
    struct smtp_reply_reader reader;
    struct smtp_reply reply;
    struct buf out;

    buf_init(&out, 2 * SMTP_REPLY_TEXT_MAX);
    smtp_reply_start(&reader, &reply);
    while (rest.size > 0) {
        enum smtp_reply_status status = smtp_reply_add_line(&reader, span_cut(&rest, '\n'), &text);
        if (status == SMTP_REPLY_BAD)
            break;
        require(reader.lines <= SMTP_REPLY_LINES_MAX && reader.total <= SMTP_REPLY_TOTAL_MAX);
        check_reply(&reply, &out);
        smtp_extensions_add_line(&extensions, text);
        if (status == SMTP_REPLY_END)
            smtp_reply_start(&reader, &reply);
    }
    buf_release(&out);
    return 0;
}
