#include "ctl/foreign.h"

#include "format/utf8.h"

void foreign_write(struct span text, bool has_lines, struct buf *out)
{
    bool is_utf8 = utf8_is_valid(text);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_upper_control = is_utf8 && c == 0xc2 && (unsigned char)text.data[i + 1] < 0xa0;
        bool is_layout = has_lines && (c == '\n' || c == '\t' || c == '\r');
        i += is_upper_control;
        if (is_layout && c == '\r')
            continue;
        bool shows = is_layout || (c >= ' ' && c != 127 && (c < 128 || is_utf8) && !is_upper_control);
        buf_add_char(out, shows ? (char)c : '?');
    }
}
