#include "format/verp.h"

#include "format/address.h"
#include "format/address_hash.h"

#include <stdio.h>

#define LOCAL_MAX 1024

static const struct span mark = SPAN("-bounces");

struct hashed {
    struct span parts[4];
    char number[24];
};

/* The first part is no address's beginning: the hash of another kind of address never fits. */
static void gather(struct hashed *h, struct span list, struct span domain, uint64_t member)
{
    h->parts[0] = span_text("\001list-bounce");
    h->parts[1] = list;
    h->parts[2] = domain;
    int size = snprintf(h->number, sizeof h->number, "%llu", (unsigned long long)member);
    h->parts[3] = span_from(h->number, (size_t)size);
}

void verp_write(struct span list, struct span domain, uint64_t member, struct span key, struct buf *out)
{
    struct buf local;
    out->failed |= list.size + domain.size > LOCAL_MAX;
    if (out->failed)
        return;
    buf_init(&local, LOCAL_MAX);
    buf_add_span(&local, list);
    buf_add_span(&local, mark);
    if (member) {
        struct hashed h;
        char hash[ADDRESS_HASH_SIZE];
        gather(&h, list, domain, member);
        address_hash(key, h.parts, 4, hash);
        buf_printf(&local, "+%s-%.*s", h.number, ADDRESS_HASH_SIZE, hash);
    }
    out->failed |= buf_failed(&local);
    mail_path_write(buf_span(&local), domain, out);
    buf_release(&local);
}

bool verp_parse(struct span local_part, struct verp *verp)
{
    *verp = (struct verp){0};
    struct span name = local_part;
    if (!span_ends_nocase(local_part, mark)) {
        size_t plus = span_find_last(local_part, '+');
        struct span rest = span_skip(local_part, plus + 1), number = span_cut(&rest, '-');
        if (plus >= local_part.size || !span_parse_u64(number, INT64_MAX, &verp->member) || !verp->member)
            return false;
        verp->hash = rest;
        name = span_head(local_part, plus);
    }
    if (name.size <= mark.size || name.size > LOCAL_MAX / 2 || !span_ends_nocase(name, mark))
        return false;
    verp->list = span_head(name, name.size - mark.size);
    return true;
}

bool verp_is_right(const struct verp *verp, struct span domain, struct span key)
{
    struct hashed h;
    if (!verp->member)
        return true;
    gather(&h, verp->list, domain, verp->member);
    return address_hash_is_right(key, h.parts, 4, verp->hash);
}
