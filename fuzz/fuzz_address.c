/* Paths and addresses from anybody. The first byte chooses what is asked; the rest is the text. */
#include "format/address.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was understood, written and read again, is the same. */
static void check_round_trip(const struct mail_path *path, enum path_kind kind, struct arena *arena)
{
    struct mail_path again;
    struct buf out;

    buf_init(&out, 4096);
    buf_add_char(&out, '<');
    mail_path_write(path->local_part, path->domain, &out);
    buf_add_char(&out, '>');
    struct span input = buf_span(&out);
    require(!buf_failed(&out));
    require(mail_path_parse(&input, kind, path->has_utf8, arena, &again) == NULL);
    require(input.size == 0);
    require(span_equal(again.local_part, path->local_part) && span_equal(again.domain, path->domain));
    require(!again.had_route && again.is_literal == path->is_literal);
    require(!path->is_literal || ip_address_equal(&again.literal, &path->literal));
    buf_release(&out);
}

static void check_path(struct span text, enum path_kind kind, bool utf8, struct arena *arena)
{
    struct mail_path path;
    struct span rest = text;

    if (mail_path_parse(&rest, kind, utf8, arena, &path))
        return;
    require(rest.size + path.text.size + 2 <= text.size && path.text.size + 2 <= PATH_MAX_SMTP);
    require(path.domain.size <= DOMAIN_MAX && (utf8 || !path.has_utf8));
    for (size_t i = 0; i < path.local_part.size; i++)
        require((unsigned char)path.local_part.data[i] >= 32 && path.local_part.data[i] != 127);
    if (path.is_null)
        require(kind == REVERSE_PATH && path.local_part.size == 0 && path.domain.size == 0);
    else
        check_round_trip(&path, kind, arena);
}

static void check_bare(struct span text, bool utf8, struct arena *arena)
{
    struct mail_path path;
    struct span ascii, again;

    if (mail_address_parse(text, utf8, arena, &path))
        return;
    require(span_equal(path.text, text) && path.local_part.size > 0 && path.domain.size > 0);
    check_round_trip(&path, FORWARD_PATH, arena);
    if (domain_to_ascii(arena, path.domain, &ascii))
        return;
    require(path.is_literal || domain_check(ascii, false) == NULL);
    require(domain_to_ascii(arena, ascii, &again) == NULL && span_equal(ascii, again));
}

static void check_ip(struct span text)
{
    struct ip_address address, again;
    struct buf out;

    if (!ip_address_parse(text, &address))
        return;
    buf_init(&out, 100);
    ip_address_write(&address, &out);
    require(out.size <= IP_ADDRESS_TEXT_MAX);
    require(ip_address_parse(buf_span(&out), &again) && ip_address_equal(&address, &again));
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;

    if (size == 0)
        return 0;
    struct span text = span_from(data + 1, size - 1);
    arena_init(&arena, 1 << 20);
    switch (data[0] % 6) {
    case 0:
    case 1:
        check_bare(text, data[0] % 6, &arena);
        break;
    case 2:
        check_ip(text);
        break;
    default:
        check_path(text, data[0] % 6 == 3 ? REVERSE_PATH : FORWARD_PATH, data[0] % 6 != 5, &arena);
    }
    arena_release(&arena);
    return 0;
}
