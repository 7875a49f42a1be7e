#include "policy/blacklist_text.h"

/* ---- Addresses ---- */

/* A dotted quad whose numbers are decimal however many zeros stand in front: that is how these lists were always
 * written, and what octal would make of them nobody means. */
static bool parse_quad(struct span text, struct ip_address *address)
{
    struct ip_address result = {{[10] = 0xff, [11] = 0xff}};
    size_t at = 0;
    for (unsigned part = 0; part < 4; part++) {
        unsigned value = 0, digits = 0;
        if (part && (at == text.size || text.data[at++] != '.'))
            return false;
        for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9' && digits < 4; at++, digits++)
            value = value * 10 + (unsigned)(text.data[at] - '0');
        if (!digits || digits > 3 || value > 255)
            return false;
        result.bytes[12 + part] = (unsigned char)value;
    }
    if (at != text.size)
        return false;
    *address = result;
    return true;
}

static bool parse_address(struct span text, struct ip_address *address)
{
    if (span_find(text, ':') == text.size)
        return parse_quad(text, address);
    return ip_address_parse(text, address);
}

/* The last address of the network of `bits` (0 to 128) bits that *first begins. False when it does not begin one. */
static bool network_last(const struct ip_address *first, unsigned bits, struct ip_address *last)
{
    *last = *first;
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        unsigned char hosts = (unsigned char)(0xffu >> kept);
        if (kept == 8)
            continue;
        if (first->bytes[i] & hosts)
            return false;
        last->bytes[i] |= hosts;
    }
    return true;
}

static void clear_hosts(struct ip_address *address, unsigned bits)
{
    for (unsigned i = 0; i < 16; i++) {
        unsigned kept = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
        address->bytes[i] &= (unsigned char)~(0xffu >> kept);
    }
}

static bool parse_network(struct span text, size_t slash, struct ip_address *first, struct ip_address *last,
                          struct buf *problem)
{
    uint64_t bits = 0;
    struct span prefix = span_skip(text, slash + 1);
    if (!parse_address(span_head(text, slash), first)) {
        buf_printf(problem, "'%.*s' is no IP address", SPAN_ARG(span_head(text, slash)));
        return false;
    }
    bool is_quad = span_find(text, ':') == text.size;
    if (prefix.size > 3 || !span_parse_u64(prefix, is_quad ? 32 : 128, &bits)) {
        buf_printf(problem, "behind the / stands the number of bits, 0 to %d, not '%.*s'", is_quad ? 32 : 128,
                   SPAN_ARG(prefix));
        return false;
    }
    unsigned all = (unsigned)bits + (is_quad ? 96 : 0);
    if (network_last(first, all, last))
        return true;
    clear_hosts(first, all);
    buf_printf(problem, "'%.*s' has bits set behind its first %u; did you mean ", SPAN_ARG(text), (unsigned)bits);
    ip_address_write(first, problem);
    buf_printf(problem, "/%u?", (unsigned)bits);
    return false;
}

static bool parse_range(struct span text, size_t dash, struct ip_address *first, struct ip_address *last,
                        struct buf *problem)
{
    struct span parts[2] = {span_trim(span_head(text, dash)), span_trim(span_skip(text, dash + 1))};
    struct ip_address *ends[2] = {first, last};
    for (int i = 0; i < 2; i++)
        if (!parse_address(parts[i], ends[i])) {
            buf_printf(problem, "'%.*s' is no IP address; both ends of a range are whole addresses",
                       SPAN_ARG(parts[i]));
            return false;
        }
    if (ip_address_is_ipv4(first) != ip_address_is_ipv4(last)) {
        buf_printf(problem, "a range is of IPv4 or of IPv6, not from one to the other");
        return false;
    }
    if (memcmp(first->bytes, last->bytes, 16) > 0) {
        buf_printf(problem, "the range '%.*s' ends before it begins", SPAN_ARG(text));
        return false;
    }
    return true;
}

bool blacklist_addresses_parse(struct span text, struct ip_address *first, struct ip_address *last, struct buf *problem)
{
    size_t dash = span_find(text, '-'), slash = span_find(text, '/');
    if (dash < text.size)
        return parse_range(text, dash, first, last, problem);
    if (slash < text.size)
        return parse_network(text, slash, first, last, problem);
    if (!parse_address(text, first)) {
        buf_printf(problem, "'%.*s' is no IP address", SPAN_ARG(text));
        return false;
    }
    *last = *first;
    return true;
}

/* ---- Names ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.' || c == '*';
}

/* What is wrong with a name or pattern, or NULL. */
static const char *check_name(struct span name)
{
    unsigned stars = 0;
    size_t others = 0, label = 0;
    for (size_t i = 0; i < name.size; i++) {
        char c = name.data[i];
        if ((unsigned char)c >= 0x80)
            return "is no host name: write international names in their xn-- form, as DNS has them";
        if (!is_name_char(c))
            return "is no IP address, host name or pattern";
        if (c == '.' && ((label == 0 && i > 0) || i + 1 == name.size))
            return "has an empty part between two dots";
        label = c == '.' ? 0 : label + 1;
        stars += c == '*';
        others += c != '*' && c != '.';
        if (label > 63)
            return "has a part of more than 63 characters, which no host name has";
    }
    if (!others)
        return "would list every host that has a name; if you mean that, write 0.0.0.0/0 and ::/0";
    if (stars && name.data[0] == '.')
        return "begins with a dot and has a star; write '*' in front of the dot, or leave the dot away";
    if (stars > BLACKLIST_STARS_MAX)
        return "has too many stars (8 are the most)";
    if (!stars && span_find(name, '.') == name.size)
        return "is no IP address, and no host name: it has no dot";
    return NULL;
}

static bool parse_name(struct span name, struct blacklist_entry *entry, struct buf *problem)
{
    if (name.size > 1 && name.data[name.size - 1] == '.')
        name.size--;
    const char *wrong = name.size > BLACKLIST_NAME_MAX ? "is longer than any host name" : check_name(name);
    if (wrong) {
        buf_printf(problem, "'%.*s' %s", SPAN_ARG(span_head(name, 100)), wrong);
        return false;
    }
    size_t last_star = span_find_last(name, '*');
    entry->name_kind = BLACKLIST_NAME_EXACT;
    entry->name = name;
    if (name.data[0] == '.' && last_star == name.size) {
        entry->name_kind = BLACKLIST_NAME_DOMAIN;
        entry->name = span_skip(name, 1);
    } else if (last_star == 0 && name.data[1] == '.') {
        entry->name_kind = BLACKLIST_NAME_BELOW;
        entry->name = span_skip(name, 2);
    } else if (last_star < name.size) {
        entry->name_kind = BLACKLIST_NAME_PATTERN;
    }
    return true;
}

/* ---- Lines ---- */

static bool is_white(char c)
{
    return c == ' ' || c == '\t';
}

static struct span cut_word(struct span *rest)
{
    size_t end = 0;
    while (end < rest->size && !is_white(rest->data[end]))
        end++;
    struct span word = span_head(*rest, end);
    *rest = span_trim(span_skip(*rest, end));
    return word;
}

/* Addresses have no letters but in IPv6, which has colons. */
static bool looks_like_addresses(struct span word)
{
    bool is_number = true;
    for (size_t i = 0; i < word.size; i++) {
        char c = word.data[i];
        if (c == ':' || c == '/')
            return true;
        is_number &= (c >= '0' && c <= '9') || c == '.' || c == '-';
    }
    return is_number;
}

/* "1.2.3.4 - 1.2.3.9": people write ranges with spaces, too. The word grows over what belongs to it. */
static void join_range(struct span *word, struct span *rest)
{
    struct span behind = *rest;
    struct ip_address ignored;
    bool open = word->size && word->data[word->size - 1] == '-';
    if (!open && (!behind.size || behind.data[0] != '-'))
        return;
    if (!open)
        behind = span_trim(span_skip(behind, 1));
    struct span last = cut_word(&behind);
    if (!parse_address(last, &ignored))
        return;
    *word = span_from(word->data, (size_t)(last.data + last.size - word->data));
    *rest = behind;
}

static enum blacklist_line bad(struct buf *problem, const char *sentence)
{
    buf_add_text(problem, sentence);
    return BLACKLIST_LINE_BAD;
}

static bool has_control(struct span s)
{
    for (size_t i = 0; i < s.size; i++)
        if (((unsigned char)s.data[i] < 0x20 && s.data[i] != '\t') || s.data[i] == 0x7f)
            return true;
    return false;
}

static struct span without_comment(struct span line)
{
    size_t hash = span_find(line, '#');
    return span_trim(span_head(line, span_find(span_head(line, hash), ';')));
}

static enum blacklist_line parse_include(struct span path, struct blacklist_entry *entry, struct buf *problem)
{
    if (!path.size)
        return bad(problem, "behind 'include' stands the file to read, too");
    entry->name = entry->text = path;
    return BLACKLIST_LINE_INCLUDE;
}

enum blacklist_line blacklist_line_parse(struct span line, struct blacklist_entry *entry, struct buf *problem)
{
    *entry = (struct blacklist_entry){.is_exception = false};
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size > BLACKLIST_LINE_MAX)
        return bad(problem, "the line is longer than 2000 bytes; one entry stands on a line");
    struct span rest = without_comment(line);
    if (!rest.size)
        return BLACKLIST_LINE_EMPTY;
    if (has_control(rest))
        return bad(problem, "the line has control characters; is this a text file?");
    if (rest.data[0] == '!') {
        entry->is_exception = true;
        rest = span_trim(span_skip(rest, 1));
        if (!rest.size)
            return bad(problem, "behind '!' stands what is excepted");
    }
    struct span word = cut_word(&rest);
    if (!entry->is_exception && span_is_nocase(word, "include"))
        return parse_include(rest, entry, problem);
    bool is_addresses = looks_like_addresses(word);
    if (is_addresses)
        join_range(&word, &rest);
    entry->text = word;
    entry->reason = rest;
    if (is_addresses)
        return blacklist_addresses_parse(word, &entry->first, &entry->last, problem) ? BLACKLIST_LINE_ADDRESSES
                                                                                     : BLACKLIST_LINE_BAD;
    return parse_name(word, entry, problem) ? BLACKLIST_LINE_NAME : BLACKLIST_LINE_BAD;
}

/* ---- Writing ---- */

/* The bits of the network that goes exactly from first to last; 129 when there is none. */
static unsigned network_bits(const struct ip_address *first, const struct ip_address *last)
{
    struct ip_address end;
    for (unsigned bits = 0; bits <= 128; bits++)
        if (network_last(first, bits, &end) && ip_address_equal(&end, last))
            return bits;
    return 129;
}

static void write_addresses(const struct blacklist_entry *entry, struct buf *out)
{
    unsigned bits = network_bits(&entry->first, &entry->last);
    bool is_ipv4 = ip_address_is_ipv4(&entry->first) && ip_address_is_ipv4(&entry->last);
    ip_address_write(&entry->first, out);
    if (bits < 128)
        buf_printf(out, "/%u", is_ipv4 ? bits - 96 : bits);
    else if (bits > 128) {
        buf_add_char(out, '-');
        ip_address_write(&entry->last, out);
    }
}

void blacklist_entry_write(enum blacklist_line kind, const struct blacklist_entry *entry, struct buf *out)
{
    static const char *const prefixes[] = {
        [BLACKLIST_NAME_EXACT] = "",
        [BLACKLIST_NAME_DOMAIN] = ".",
        [BLACKLIST_NAME_BELOW] = "*.",
        [BLACKLIST_NAME_PATTERN] = "",
    };
    if (entry->is_exception)
        buf_add_char(out, '!');
    if (kind == BLACKLIST_LINE_ADDRESSES) {
        write_addresses(entry, out);
        return;
    }
    buf_add_text(out, prefixes[entry->name_kind]);
    for (size_t i = 0; i < entry->name.size; i++)
        buf_add_char(out, ascii_lower(entry->name.data[i]));
}
