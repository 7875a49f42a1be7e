#include "pop3/body.h"

void pop3_body_write(struct pop3_body *body, struct span bytes, struct buf *out)
{
    if (!bytes.size)
        return;
    const char *sent = bytes.data, *end = bytes.data + bytes.size;
    for (const char *at = sent; (at = memchr(at, '.', (size_t)(end - at))); at++) {
        bool starts_line = at == bytes.data ? !body->in_line : at[-1] == '\n';
        if (!starts_line)
            continue;
        buf_add(out, sent, (size_t)(at - sent));
        buf_add_char(out, '.');
        sent = at;
    }
    buf_add(out, sent, (size_t)(end - sent));
    body->in_line = end[-1] != '\n';
}

void pop3_body_end(struct pop3_body *body, struct buf *out)
{
    if (body->in_line)
        buf_add_text(out, "\r\n");
    buf_add_text(out, ".\r\n");
    body->in_line = false;
}

void pop3_top_init(struct pop3_top *top, uint64_t lines)
{
    *top = (struct pop3_top){.lines = lines};
}

/* Is the line whose last `size` bytes (without its LF) are at `part` the blank one? */
static bool is_blank(const struct pop3_top *top, const char *part, size_t size)
{
    if (!top->in_line)
        return size == 0 || (size == 1 && *part == '\r');
    return top->at_cr && size == 0;
}

struct span pop3_top_cut(struct pop3_top *top, struct span bytes, bool *done)
{
    *done = top->in_body && top->lines == 0;
    if (!bytes.size)
        return bytes;
    const char *at = bytes.data, *end = bytes.data + bytes.size;
    while (!*done && at < end) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (!lf) {
            top->at_cr = !top->in_line && end - at == 1 && *at == '\r';
            top->in_line = true;
            return bytes;
        }
        if (top->in_body)
            top->lines--;
        else
            top->in_body = is_blank(top, at, (size_t)(lf - at));
        top->in_line = top->at_cr = false;
        at = lf + 1;
        *done = top->in_body && top->lines == 0;
    }
    return span_from(bytes.data, (size_t)(at - bytes.data));
}
