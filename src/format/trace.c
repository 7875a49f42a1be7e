#include "format/trace.h"

#include "format/date.h"

#define LINE_MAX_OCTETS 77
#define TOKEN_MAX 512

static bool is_control(unsigned char c)
{
    return c < 32 || c == 127;
}

/* A field that is written token by token, folded in front of one that does not fit into the line. */
struct folder {
    struct buf *out;
    size_t column;
};

/* A name that a peer chose, a literal among them: with nothing in it that opens a comment, ends a token or a line. */
static void add_name(struct buf *token, struct span name)
{
    if (name.size == 0)
        buf_add_text(token, "unknown");
    for (size_t i = 0; i < name.size && i < 255; i++) {
        char c = name.data[i];
        bool is_safe =
            (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c && strchr(".-_:[]", c));
        buf_add_char(token, is_safe ? c : '?');
    }
}

static void add_without_controls(struct buf *token, struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        buf_add_char(token, is_control((unsigned char)s.data[i]) ? '?' : s.data[i]);
}

/* Appends `token` and empties it. */
static void write_token(struct folder *f, struct buf *token)
{
    if (f->column + 1 + token->size > LINE_MAX_OCTETS) {
        buf_add_text(f->out, "\r\n\t");
        f->column = 1;
    } else {
        buf_add_char(f->out, ' ');
        f->column++;
    }
    buf_add_span(f->out, buf_span(token));
    f->column += token->size;
    f->out->failed |= buf_failed(token);
    buf_reset(token);
}

static void write_text(struct folder *f, struct buf *token, const char *text)
{
    buf_add_text(token, text);
    write_token(f, token);
}

static void write_name(struct folder *f, struct buf *token, struct span name)
{
    add_name(token, name);
    write_token(f, token);
}

static void write_source(struct folder *f, struct buf *token, const struct trace_received *received)
{
    write_text(f, token, "from");
    write_name(f, token, received->helo);
    buf_add_char(token, '(');
    add_name(token, received->ptr);
    write_token(f, token);
    ip_address_write_literal(&received->ip, token);
    buf_add_char(token, ')');
    write_token(f, token);
}

static void write_protocol(struct folder *f, struct buf *token, const struct trace_received *received)
{
    write_text(f, token, "by");
    write_name(f, token, received->host);
    write_text(f, token, "(Ostiary)");
    write_text(f, token, "with");
    write_name(f, token, received->protocol);
    if (received->tls_version.size) {
        buf_add_char(token, '(');
        add_name(token, received->tls_version);
        write_token(f, token);
        add_name(token, received->tls_cipher);
        buf_add_char(token, ')');
        write_token(f, token);
    }
    write_text(f, token, "id");
    add_name(token, received->id);
}

void trace_received_write(const struct trace_received *received, struct buf *out)
{
    struct folder f = {out, strlen("Received:")};
    struct buf token;

    buf_init(&token, TOKEN_MAX);
    buf_add_text(out, "Received:");
    write_source(&f, &token, received);
    write_protocol(&f, &token, received);
    if (received->recipient.size) {
        write_token(&f, &token);
        write_text(&f, &token, "for");
        buf_add_char(&token, '<');
        add_without_controls(&token, received->recipient);
        buf_add_char(&token, '>');
    }
    buf_add_char(&token, ';');
    write_token(&f, &token);
    date_write(received->wall_nanoseconds, &token);
    write_token(&f, &token);
    buf_add_text(out, "\r\n");
    buf_release(&token);
}

void trace_return_path_write(struct span path, struct buf *out)
{
    buf_add_text(out, "Return-Path: <");
    add_without_controls(out, path);
    buf_add_text(out, ">\r\n");
}
