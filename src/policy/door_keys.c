/* Under which names something stands in lists. */
#include "policy/door_item.h"

#include "policy/pattern.h"

#include <errno.h>

/* What is being gathered. */
struct keys {
    struct arena *arena;
    struct span *keys;
    size_t count, room;
    bool failed; /* without memory: a key that is missing would be a rule that says nothing */
};

static int end(const struct keys *k)
{
    return k->failed ? -ENOMEM : (int)k->count;
}

static void add(struct keys *k, const char *before, struct span s)
{
    struct span begin = span_text(before);
    if (k->count == k->room)
        return;
    char *text = arena_alloc(k->arena, begin.size + s.size);
    k->failed |= !text;
    if (!text)
        return;
    memcpy(text, begin.data, begin.size);
    for (size_t i = 0; i < s.size; i++)
        text[begin.size + i] = ascii_lower(s.data[i]);
    k->keys[k->count++] = span_from(text, begin.size + s.size);
}

/* "*.b.example", "*.example" of a.b.example. */
static void add_parents(struct keys *k, struct span domain)
{
    while (span_find(domain, '.') < domain.size) {
        (void)span_cut(&domain, '.');
        if (domain.size)
            add(k, "*.", domain);
    }
}

static struct span domain_of(struct span reverse_path)
{
    size_t at = span_find_last(reverse_path, '@');
    return span_skip(reverse_path, at + 1);
}

struct span door_entry_network(struct span entry)
{
    size_t at = span_find_last(entry, ' '); /* a local part in quotes may have blanks, too, but an @ stands behind it */
    struct span last = span_skip(entry, at + 1);
    return at < entry.size && span_find(last, '@') == last.size ? last : (struct span){NULL, 0};
}

/* "a@b.example from 192.0.2.7" and "a@b.example from 192.0.2.0/24", or those of IPv6 with the /64. */
static void add_from(struct keys *k, struct span reverse_path, const struct ip_address *ip)
{
    struct ip_address network = *ip;
    struct buf text;
    bool is_ipv4 = ip_address_is_ipv4(ip);
    size_t kept = is_ipv4 ? 15 : 8;
    buf_init(&text, DOOR_NAME_MAX + IP_ADDRESS_TEXT_MAX + 16);
    buf_printf(&text, "%.*s from ", SPAN_ARG(reverse_path));
    size_t before = text.size;
    ip_address_write(&network, &text);
    add(k, "", buf_span(&text));
    buf_truncate(&text, before);
    memset(network.bytes + kept, 0, sizeof network.bytes - kept);
    ip_address_write(&network, &text);
    buf_add_text(&text, is_ipv4 ? "/24" : "/64");
    add(k, "", buf_span(&text));
    k->failed |= buf_failed(&text);
    buf_release(&text);
}

bool door_sender_entry(struct span reverse_path, const struct ip_address *ip, struct arena *arena, struct span *entry,
                       struct buf *problem)
{
    struct span keys[2], name, value;
    /* As in the list of known people, where nothing stands behind the address. */
    if (!door_item_check(DOOR_KNOWN, LEVEL_ACCOUNT, reverse_path, (struct span){"", 0}, arena, &name, &value, problem))
        return false;
    size_t at = span_find_last(name, '@');
    if (at == 0 || at == name.size) {
        buf_printf(problem, "\"%.*s\" is no address", SPAN_ARG(span_head(reverse_path, 100)));
        return false;
    }
    int count = ip ? door_sender_keys(name, ip, arena, keys, 2) : 0;
    if (count < 0) {
        buf_add_text(problem, "there is no memory for it");
        return false;
    }
    *entry = count == 2 && door_entry_network(keys[1]).size ? keys[1] : name;
    return true;
}

int door_sender_keys(struct span reverse_path, const struct ip_address *ip, struct arena *arena, struct span *keys,
                     size_t room)
{
    struct keys k = {.arena = arena, .keys = keys, .room = room};
    struct span domain = domain_of(reverse_path);
    if (domain.size == 0 || reverse_path.size > DOOR_NAME_MAX)
        return 0;
    if (ip)
        add_from(&k, reverse_path, ip);
    add(&k, "", reverse_path);
    add(&k, "@", domain);
    if (domain.data[0] != '[')
        add_parents(&k, domain);
    return end(&k);
}

int door_host_keys(struct span name, struct arena *arena, struct span *keys, size_t room)
{
    struct keys k = {.arena = arena, .keys = keys, .room = room};
    if (name.size && name.data[name.size - 1] == '.')
        name = span_head(name, name.size - 1);
    if (name.size == 0 || name.size > DOOR_NAME_MAX)
        return 0;
    add(&k, "", name);
    add_parents(&k, name);
    return end(&k);
}

int door_address_keys(const struct ip_address *ip, struct arena *arena, struct span *keys, size_t room)
{
    struct keys k = {.arena = arena, .keys = keys, .room = room};
    struct ip_address network = *ip;
    struct buf text;
    bool is_ipv4 = ip_address_is_ipv4(ip);
    unsigned most = is_ipv4 ? 32 : 128, skipped = is_ipv4 ? 96 : 0;
    buf_init(&text, IP_ADDRESS_TEXT_MAX + 5);
    for (unsigned bits = most;; bits--) {
        buf_reset(&text);
        ip_address_write(&network, &text);
        if (bits < most)
            buf_printf(&text, "/%u", bits);
        add(&k, "", buf_span(&text));
        if (bits == 0)
            break;
        unsigned bit = skipped + bits - 1;
        network.bytes[bit / 8] &= (unsigned char)~(0x80u >> (bit % 8));
    }
    k.failed |= buf_failed(&text);
    buf_release(&text);
    return end(&k);
}

#define LABELS_MAX 128

/* The places where labels begin, and one behind the end; the number of labels, none where one is empty. */
static size_t split(struct span name, size_t *starts)
{
    size_t count = 0, at = 0;
    if (name.size && name.data[name.size - 1] == '.')
        name = span_head(name, name.size - 1);
    while (at < name.size && count < LABELS_MAX) {
        size_t size = span_find(span_skip(name, at), '.');
        if (size == 0)
            return 0;
        starts[count++] = at;
        at += size + 1;
    }
    starts[count] = at;
    return count;
}

/* Runs of so many labels, and of all shorter ones, have room. Whoever has a long name chose it: what is left out must
 * not be the short runs, which lists are made of. */
static size_t longest_run(size_t labels, size_t room)
{
    size_t length = 0;
    while (length < labels && labels - length <= room)
        room -= labels - length++;
    return length;
}

int door_name_keys(struct span name, struct arena *arena, struct span *keys, size_t room)
{
    struct keys k = {.arena = arena, .keys = keys, .room = room};
    size_t starts[LABELS_MAX + 1];
    name = span_head(name, DOOR_NAME_MAX);
    size_t count = split(name, starts), length = longest_run(count, room);
    if (count && length < count) { /* the name itself takes one of the places */
        add(&k, "", span_head(name, starts[count] - 1));
        length = longest_run(count, room - k.count);
    }
    for (; length > 0; length--)
        for (size_t first = 0; first + length <= count; first++)
            add(&k, "", span_from(name.data + starts[first], starts[first + length] - 1 - starts[first]));
    return end(&k);
}

static struct span label_get(struct span name, const size_t *starts, size_t i)
{
    return span_from(name.data + starts[i], starts[i + 1] - 1 - starts[i]);
}

bool door_name_matches(struct span pattern, struct span name)
{
    size_t in_pattern[LABELS_MAX + 1], in_name[LABELS_MAX + 1];
    pattern = span_head(pattern, DOOR_NAME_MAX);
    name = span_head(name, DOOR_NAME_MAX);
    size_t pattern_count = split(pattern, in_pattern), name_count = split(name, in_name);
    for (size_t first = 0; pattern_count && first + pattern_count <= name_count; first++) {
        size_t i = 0;
        while (i < pattern_count &&
               pattern_matches(label_get(pattern, in_pattern, i), label_get(name, in_name, first + i)))
            i++;
        if (i == pattern_count)
            return true;
    }
    return false;
}

bool door_sender_is_among(struct span entries, struct span reverse_path)
{
    struct span domain = domain_of(reverse_path);
    if (domain.size == 0)
        return false;
    for (struct span word = words_next(&entries); word.size; word = words_next(&entries)) {
        bool is_domain = word.data[0] == '@', is_pattern = word.data[0] == '*';
        if (is_pattern ? domain.size > word.size - 1 && span_ends_nocase(domain, span_skip(word, 1))
                       : span_equal_nocase(is_domain ? span_skip(word, 1) : word, is_domain ? domain : reverse_path))
            return true;
    }
    return false;
}
