#include "format/smtp_content.h"

void smtp_content_init(struct smtp_content *content, bool dots)
{
    *content = (struct smtp_content){.dots = dots};
}

static void end_line(struct smtp_content *content, struct buf *out)
{
    buf_add(out, "\r\n", 2);
    content->mid_line = content->after_cr = false;
}

/* How much of it holds neither CR nor LF. */
static size_t plain_size(struct span input)
{
    size_t n = 0;
    while (n < input.size && input.data[n] != '\n' && input.data[n] != '\r')
        n++;
    return n;
}

void smtp_content_write(struct smtp_content *content, struct span input, struct buf *out)
{
    while (input.size > 0) {
        char c = input.data[0];
        if (content->after_cr || c == '\n') {
            end_line(content, out);
            input = span_skip(input, c == '\n');
            continue;
        }
        if (c == '\r') {
            content->after_cr = true;
            input = span_skip(input, 1);
            continue;
        }
        if (content->dots && c == '.' && !content->mid_line)
            buf_add_char(out, '.');
        struct span plain = span_head(input, plain_size(input));
        buf_add_span(out, plain);
        content->mid_line = true;
        input = span_skip(input, plain.size);
    }
}

void smtp_content_finish(struct smtp_content *content, struct buf *out)
{
    if (content->mid_line || content->after_cr)
        end_line(content, out);
}
