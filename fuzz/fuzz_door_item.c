/* Door items, the keys of what is looked up in them, and references. The first two bytes choose kind and level; a line
 * end stands between name and value. */
#include "policy/decide.h"
#include "policy/door_item.h"
#include "policy/host_name.h"
#include "policy/pattern.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_item(enum door_kind kind, enum rule_level level, struct span name, struct span value,
                       struct arena *arena)
{
    struct span kept_name, kept_value, name_again, value_again;
    struct buf problem;
    buf_init(&problem, 4000);
    if (door_item_check(kind, level, name, value, arena, &kept_name, &kept_value, &problem)) {
        require(problem.size == 0 && kept_name.size <= DOOR_NAME_MAX && kept_value.size <= DOOR_VALUE_MAX);
        require(door_item_check(kind, level, kept_name, kept_value, arena, &name_again, &value_again, &problem));
        require(span_equal(kept_name, name_again) && span_equal(kept_value, value_again));
    } else {
        require(problem.size > 0 && !buf_failed(&problem));
    }
    buf_release(&problem);
}

static void check_kind(struct span name)
{
    enum door_kind kind;
    if (door_kind_parse(name, &kind))
        require(span_is(name, door_kind_name(kind)));
}

/* Whoever is found by a key is found by the same entry elsewhere. */
static void check_keys(struct span name, struct arena *arena)
{
    struct span keys[DOOR_NAME_KEYS_MAX];
    struct ip_address ip;
    int count = door_sender_keys(name, NULL, arena, keys, DOOR_KEYS_MAX);
    for (int i = 0; i < count && i < 10; i++)
        if (span_find(keys[i], ' ') == keys[i].size && keys[i].data[0] != '@' && keys[i].data[0] != '*')
            require(door_sender_is_among(keys[i], name));
    /* Whom an entry made for them names is looked up under it. */
    struct buf problem;
    struct span entry;
    buf_init(&problem, 4000);
    memset(ip.bytes, 0x55, sizeof ip.bytes);
    if (door_sender_entry(name, &ip, arena, &entry, &problem) && door_entry_network(entry).size) {
        struct span kept, value;
        require(
            door_item_check(DOOR_WHITE, LEVEL_ACCOUNT, entry, (struct span){"", 0}, arena, &kept, &value, &problem));
        require(span_equal(kept, entry));
    }
    buf_release(&problem);
    count = door_name_keys(name, arena, keys, DOOR_NAME_KEYS_MAX);
    for (int i = 0; i < count; i++)
        if (span_find(keys[i], '*') == keys[i].size && span_find(keys[i], '?') == keys[i].size)
            require(keys[i].size == 0 || door_name_matches(keys[i], name));
    require(door_host_keys(name, arena, keys, 3) <= 3);
    host_name_is_address(name, &ip);
    (void)host_name_looks_dynamic(name, &ip);
    (void)host_name_fits(name, host_name_last_label(name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    uint64_t reference, again;
    char text[10];
    if (size < 2)
        return 0;
    arena_init(&arena, 1 << 20);
    struct span value = span_from(data + 2, size - 2);
    struct span name = span_cut(&value, '\n');
    check_item((enum door_kind)(data[0] % (DOOR_KIND_COUNT + 1)), (enum rule_level)(data[1] % (LEVEL_COUNT + 1)), name,
               value, &arena);
    check_keys(name, &arena);
    check_kind(name);
    if (name.size < 200 && value.size < 2000)
        require(!pattern_matches(name, value) || pattern_matches((struct span)SPAN("*"), value));
    if (reference_parse(name, &reference)) {
        reference_write(reference, text);
        require(reference_parse(span_text(text), &again) && again == reference);
    }
    arena_release(&arena);
    return 0;
}
