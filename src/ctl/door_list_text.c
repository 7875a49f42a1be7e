#include "ctl/door_list_text.h"

#include "config/nearest.h"
#include "ctl/foreign.h"
#include "ipc/binary.h"

#include <sysexits.h>

int door_list_take(struct ctl *ctl, size_t at, bool may_be_known, enum door_kind *kind)
{
    struct nearest nearest;
    struct span name = span_text(at < ctl->argument_count ? ctl->arguments[at] : "");
    if (door_kind_parse(name, kind) && DOOR_LIST_KINDS & 1u << *kind && (may_be_known || *kind != DOOR_KNOWN))
        return EX_OK;
    nearest_init(&nearest, name);
    for (unsigned i = 1; i < DOOR_KIND_COUNT; i++)
        if (DOOR_LIST_KINDS & 1u << i && (may_be_known || i != DOOR_KNOWN))
            nearest_offer(&nearest, door_kind_name((enum door_kind)i));
    ctl_fail(ctl, EX_USAGE, "which list? white, black, %sapproved, denied or denied-name, not '%.*s'",
             may_be_known ? "known, " : "", SPAN_ARG(span_head(name, 64)));
    if (name.size && nearest_get(&nearest))
        buf_printf(&ctl->problem, "; did you mean '%s'?", nearest_get(&nearest));
    return EX_USAGE;
}

int door_list_check_owner(struct ctl *ctl, enum door_kind kind, const struct door_owner *owner)
{
    bool is_sites = kind == DOOR_APPROVED || kind == DOOR_DENIED || kind == DOOR_DENIED_NAME;
    if (!is_sites || owner->level == LEVEL_SITE)
        return EX_OK;
    if (ctl->is_my)
        return ctl_fail(ctl, EX_DATAERR,
                        "the list %s is the site's: only the administrator can change it; yours are white and black",
                        door_kind_name(kind));
    return ctl_fail(ctl, EX_DATAERR,
                    "the list %s is the site's: say --site in place of the address; a person's are white and black",
                    door_kind_name(kind));
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct span next_word(struct span *rest)
{
    size_t skip = 0, end;
    while (skip < rest->size && is_blank(rest->data[skip]))
        skip++;
    *rest = span_skip(*rest, skip);
    for (end = 0; end < rest->size && !is_blank(rest->data[end]); end++)
        ;
    struct span word = span_head(*rest, end);
    *rest = span_skip(*rest, end);
    return word;
}

bool door_list_parse_line(struct span line, uint64_t now, struct door_list_line *out)
{
    /* Files of other systems have CR LF. */
    struct span rest = line.size && line.data[line.size - 1] == '\r' ? span_head(line, line.size - 1) : line;
    struct span text = span_cut(&rest, '#');
    *out = (struct door_list_line){.remark = span_trim(rest)};
    out->entry = next_word(&text);
    struct span word = next_word(&text);
    if (span_is(word, "from")) { /* its network belongs to the entry */
        struct span network = next_word(&text);
        if (network.size == 0)
            return false;
        out->entry = span_from(out->entry.data, (size_t)(network.data + network.size - out->entry.data));
        word = next_word(&text);
    }
    if (word.size == 0)
        return true;
    return out->entry.size && span_is(word, "until") && door_expiry_parse(next_word(&text), now, &out->expires_at) &&
           next_word(&text).size == 0;
}

void door_list_write_line(const StoreWrite__DoorItem *item, struct buf *out)
{
    buf_add_span(out, binary_span(item->name));
    if (item->expires_at) {
        buf_add_text(out, " until ");
        door_day_write(item->expires_at, out);
    }
    if (item->value.len) {
        buf_add_text(out, " # ");
        foreign_write(binary_span(item->value), false, out);
    }
    buf_add_char(out, '\n');
}
