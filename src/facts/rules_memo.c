#include "facts/rules_memo.h"

#include <stdlib.h>

#define PLACES 16
#define RULES_MEMORY (512u << 10) /* of one ruleset's texts */

struct place {
    bool is_used, checks_return_paths;
    uint64_t used_at; /* rises */
    struct buf text;
    struct arena memory;
    struct ruleset set;
};

struct rules_memo {
    uint64_t turn;
    struct place places[PLACES];
};

struct rules_memo *rules_memo_new(void)
{
    struct rules_memo *memo = calloc(1, sizeof *memo);
    for (size_t i = 0; memo && i < PLACES; i++) {
        buf_init(&memo->places[i].text, RULESET_TEXT_MAX);
        arena_init(&memo->places[i].memory, RULES_MEMORY);
    }
    return memo;
}

void rules_memo_free(struct rules_memo *memo)
{
    for (size_t i = 0; memo && i < PLACES; i++) {
        buf_release(&memo->places[i].text);
        arena_release(&memo->places[i].memory);
    }
    free(memo);
}

static bool read_rules(struct place *place, struct span text, bool checks_return_paths)
{
    struct buf whole;
    place->is_used = false;
    arena_reset(&place->memory);
    buf_reset(&place->text);
    buf_add_span(&place->text, text);
    buf_init(&whole, 64 + RULESET_TEXT_MAX);
    if (!checks_return_paths)
        buf_add_text(&whole, "0 return-path=off\n");
    buf_add_span(&whole, text);
    /* What is read may point into its text. */
    struct span kept = arena_copy(&place->memory, buf_span(&whole));
    bool good = !buf_failed(&whole) && !buf_failed(&place->text) && kept.data &&
                ruleset_parse(kept, &place->memory, &place->set);
    buf_release(&whole);
    place->checks_return_paths = checks_return_paths;
    place->is_used = good;
    return good;
}

const struct ruleset *rules_memo_get(struct rules_memo *memo, struct span text, bool checks_return_paths)
{
    struct place *oldest = &memo->places[0], *found = NULL;
    for (size_t i = 0; i < PLACES && !found; i++) {
        struct place *place = &memo->places[i];
        if (place->is_used && place->checks_return_paths == checks_return_paths &&
            span_equal(buf_span(&place->text), text))
            found = place;
        if (!place->is_used || place->used_at < oldest->used_at)
            oldest = place;
    }
    if (!found && !read_rules(oldest, text, checks_return_paths))
        return NULL;
    if (!found)
        found = oldest;
    found->used_at = ++memo->turn;
    return &found->set;
}
