#include "door_fixture.h"

#include "store/door_list.h"

static struct directory directory_of(struct fixture *f)
{
    return (struct directory){.db = f->store->db, .detail_separator = span_text("+")};
}

static uint32_t level_of(const char *owner)
{
    return !*owner               ? LEVEL_SITE
           : !strchr(owner, '@') ? LEVEL_DOMAIN
           : strchr(owner, '+')  ? LEVEL_ADDRESS
                                 : LEVEL_ACCOUNT;
}

static uint64_t change(struct fixture *f, const struct door_change *c, const char *sentence)
{
    struct buf problem;
    struct door_outcome outcome;
    buf_init(&problem, 4096);
    assert_int_equal(store_begin(f->store), 0);
    assert_int_equal(store_door_change(f->store, c, &outcome, &problem), 0);
    assert_int_equal(store_commit(f->store), 0);
    buf_add_char(&problem, '\0');
    if (!sentence)
        assert_string_equal(problem.data, "");
    else if (!strstr(problem.data, sentence))
        fail_msg("the problem is \"%s\", and should have \"%s\" in it", problem.data, sentence);
    if (sentence)
        assert_int_equal(outcome.number, 0);
    buf_release(&problem);
    return outcome.number;
}

uint64_t door_set_as(struct fixture *f, uint64_t account_id, const struct door_words *words, size_t count,
                     const char *sentence)
{
    struct door_wish wishes[64];
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        bool removes = words[i].kind[0] == '-';
        enum door_kind kind;
        assert_true(door_kind_parse(span_text(words[i].kind + removes), &kind));
        wishes[i] = (struct door_wish){.kind = kind,
                                       .level = level_of(words[i].owner),
                                       .owner = span_text(words[i].owner),
                                       .name = span_text(words[i].name),
                                       .value = span_text(words[i].value),
                                       .expires_at = words[i].expires_at,
                                       .locked = words[i].locked,
                                       .remove = removes};
    }
    struct door_change c = {.account_id = account_id, .words = span_text("test"), .wishes = wishes, .count = count};
    return change(f, &c, sentence);
}

uint64_t door_set(struct fixture *f, const struct door_words *words, size_t count, const char *sentence)
{
    return door_set_as(f, 0, words, count, sentence);
}

uint64_t door_undo(struct fixture *f, const char *owner, uint64_t number, const char *sentence)
{
    struct door_change c = {.undo = true, .number = number, .owner = span_text(owner)};
    return change(f, &c, sentence);
}

static void dump_page(struct door_listed *items, size_t count, struct buf *out)
{
    for (size_t i = 0; i < count; i++) {
        const struct door_item *item = &items[i].item;
        buf_printf(out, "%.*s %s%s %.*s=%.*s", SPAN_ARG(items[i].owner), door_kind_name((enum door_kind)item->kind),
                   item->locked ? "!" : "", SPAN_ARG(item->name), SPAN_ARG(item->value));
        if (item->expires_at)
            buf_printf(out, " until %ju", (uintmax_t)item->expires_at);
        buf_add_char(out, '\n');
    }
}

void door_dump(struct fixture *f, struct buf *out)
{
    struct directory directory = directory_of(f);
    struct door_list_query query = {.everything = true, .limit = 2};
    struct arena arena;
    bool more = true;
    arena_init(&arena, 16 << 20);
    while (more) {
        struct door_listed *items;
        size_t count;
        arena_reset(&arena);
        assert_int_equal(door_list(&directory, &query, &arena, &items, &count, &more, NULL), 0);
        dump_page(items, count, out);
        if (count)
            query.after_id = items[count - 1].item.id;
        assert_true(count > 0 || !more);
    }
    arena_release(&arena);
}

void door_expect(struct fixture *f, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    door_dump(f, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
}

static void describe(const struct judged_door *door, struct buf *out)
{
    static const char *const kinds[] = {"white", "black", "known", "approved", "denied", "denied-name"};
    static const char *const codes[] = {"-", "right", "wrong", "expired"};
    buf_printf(out, "%.*s|", SPAN_ARG(door->address));
    for (size_t i = 0; i < door->rules.size; i++)
        buf_add_char(out, door->rules.data[i] == '\n' ? ',' : door->rules.data[i]);
    buf_add_char(out, '|');
    for (size_t i = 0; i < door->hit_count; i++)
        buf_printf(out, "%s%u:%.*s,", kinds[door->hits[i].kind], door->hits[i].level, SPAN_ARG(door->hits[i].entry));
    buf_printf(out, "|%s%s%.*s|", codes[door->passcode], door->passcode_name.size ? " " : "",
               SPAN_ARG(door->passcode_name));
    if (door->limited)
        buf_printf(out, "limited%s%s", door->limited_expired ? " expired" : "",
                   door->limited_sender_fits ? " fits" : "");
    buf_add_text(out, door->only_by_sender ? "|only" : "|");
}

void door_describe(struct fixture *f, struct door_cache *cache, const struct door_attempt *a, struct buf *out)
{
    struct directory directory = directory_of(f);
    struct directory_query query = {.reverse_path = span_text(a->sender), .each_way = true};
    struct door_question question = {.reverse_path = span_text(a->sender),
                                     .passcode = span_text(a->passcode),
                                     .helo = span_text(a->helo),
                                     .now = a->now ? a->now : 1000};
    struct routing routing;
    struct judged_doors doors;
    struct arena arena;
    arena_init(&arena, 16 << 20);
    question.has_ip = a->ip && ip_address_parse(span_text(a->ip), &question.ip);
    assert_true(directory_split(span_text(a->recipient), &query.local_part, &query.domain));
    assert_int_equal(directory_resolve(&directory, &query, &arena, &routing), 0);
    assert_int_equal(routing.route, ROUTED_LOCAL);
    assert_int_equal(doors_judge(cache, &directory, &question, &routing, &arena, &doors), 0);
    for (size_t i = 0; i < routing.count; i++)
        assert_in_range(doors.target_doors[i], 1, doors.count);
    for (size_t i = 0; i < doors.count; i++) {
        if (i)
            buf_add_text(out, " & ");
        describe(&doors.doors[i], out);
    }
    if (doors.sender_protected)
        buf_printf(out, " protected %u %.*s", doors.sender_protected_level, SPAN_ARG(doors.sender_account));
    arena_release(&arena);
}

void door_meets(struct fixture *f, struct door_cache *cache, const struct door_attempt *a, const char *wanted)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    door_describe(f, cache, a, &out);
    buf_add_char(&out, '\0');
    assert_string_equal(out.data, wanted);
    buf_release(&out);
}
