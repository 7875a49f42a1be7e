/* The text of settings: one parser for each type of parameter. */
#include "format/address.h"
#include "format/quantity.h"
#include "format/utf8.h"
#include "policy/pattern.h"
#include "policy/rule.h"

#include <stdlib.h>

#define WORDS_MAX 500

static const char *const modes[] = {[MODE_OFF] = "off", [MODE_WATCH] = "watch", [MODE_FILE] = "file", [MODE_ON] = "on"};

/* The place of `word` among "a|b|c", or -1. */
static int choice_find(const char *words, struct span word)
{
    struct span rest = span_text(words);
    for (int i = 0; rest.size; i++)
        if (span_equal_nocase(span_cut(&rest, '|'), word))
            return i;
    return -1;
}

static struct span choice_get(const char *words, struct span word)
{
    struct span rest = span_text(words), choice = {NULL, 0};
    while (rest.size && !span_equal_nocase(choice, word))
        choice = span_cut(&rest, '|');
    return choice;
}

/* "off, watch or on" */
static void write_choices(const char *words, struct buf *problem)
{
    struct span rest = span_text(words);
    for (bool first = true; rest.size; first = false) {
        struct span word = span_cut(&rest, '|');
        buf_add_text(problem, first ? "" : rest.size ? ", " : " or ");
        buf_add_span(problem, word);
    }
}

/* ---- One function a type: true, or false with what is expected in `expected` ---- */

typedef bool value_parse(const struct rule_parameter *p, struct span text, struct arena *arena,
                         struct rule_value *value, struct buf *expected);

static bool parse_mode(const struct rule_parameter *p, struct span text, struct arena *arena, struct rule_value *value,
                       struct buf *expected)
{
    if (choice_find(p->words, text) >= 0) {
        for (unsigned i = 0; i < sizeof modes / sizeof *modes; i++) {
            if (span_equal_nocase(text, span_text(modes[i]))) {
                value->number = i;
                value->text = span_text(modes[i]);
                return true;
            }
        }
    }
    write_choices(p->words, expected);
    return false;
}

static bool parse_switch(const struct rule_parameter *p, struct span text, struct arena *arena,
                         struct rule_value *value, struct buf *expected)
{
    int place = choice_find("off|on", text);
    if (place < 0) {
        buf_add_text(expected, "off or on");
        return false;
    }
    value->number = (uint64_t)place;
    value->text = span_text(place ? "on" : "off");
    return true;
}

static bool parse_choice(const struct rule_parameter *p, struct span text, struct arena *arena,
                         struct rule_value *value, struct buf *expected)
{
    int place = choice_find(p->words, text);
    if (place < 0) {
        write_choices(p->words, expected);
        return false;
    }
    value->number = (uint64_t)place;
    value->text = choice_get(p->words, text);
    return true;
}

static enum quantity_kind quantity_of(const struct rule_parameter *p)
{
    return p->type == PARAMETER_SIZE       ? QUANTITY_SIZE
           : p->type == PARAMETER_DURATION ? QUANTITY_DURATION
                                           : QUANTITY_NUMBER;
}

static bool parse_quantity(const struct rule_parameter *p, struct span text, struct arena *arena,
                           struct rule_value *value, struct buf *expected)
{
    enum quantity_kind kind = quantity_of(p);
    if (!quantity_parse(kind, text, p->least, p->most, &value->number)) {
        buf_add_text(expected, p->type == PARAMETER_SIZE       ? "a size from "
                               : p->type == PARAMETER_DURATION ? "a time from "
                                                               : "a number from ");
        quantity_write(kind, p->least, expected);
        buf_add_text(expected, " to ");
        quantity_write(kind, p->most, expected);
        return false;
    }
    struct buf canonical;
    buf_init(&canonical, 24);
    quantity_write(kind, value->number, &canonical);
    value->text = buf_failed(&canonical) ? (struct span){NULL, 0} : arena_copy(arena, buf_span(&canonical));
    buf_release(&canonical);
    return value->text.data != NULL;
}

static bool is_text(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 127)
            return false;
    return utf8_is_valid(text);
}

static int compare_words(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    size_t common = x->size < y->size ? x->size : y->size;
    int order = memcmp(x->data, y->data, common);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Lower case, sorted, each once, single blanks: into `out`, which has the room. */
static size_t write_words(struct span *words, size_t count, char *out)
{
    size_t at = 0;
    qsort(words, count, sizeof *words, compare_words);
    for (size_t i = 0; i < count; i++) {
        if (i && span_equal(words[i], words[i - 1]))
            continue;
        if (at)
            out[at++] = ' ';
        memcpy(out + at, words[i].data, words[i].size);
        at += words[i].size;
    }
    return at;
}

static bool parse_words(const struct rule_parameter *p, struct span text, struct arena *arena, struct rule_value *value,
                        struct buf *expected)
{
    struct span words[WORDS_MAX];
    size_t count = 0;
    if (!is_text(text)) {
        buf_add_text(expected, "words with blanks between them, without control characters");
        return false;
    }
    char *lower = arena_text(arena, text), *out = arena_text(arena, text);
    if (!lower || !out)
        return false;
    for (size_t i = 0; i < text.size; i++)
        lower[i] = lower[i] == ',' ? ' ' : ascii_lower(lower[i]);
    struct span rest = {lower, text.size};
    for (struct span word = words_next(&rest); word.size; word = words_next(&rest)) {
        if (count == WORDS_MAX) {
            buf_printf(expected, "at most %d words", WORDS_MAX);
            return false;
        }
        words[count++] = word;
    }
    value->text = (struct span){out, write_words(words, count, out)};
    return true;
}

static bool parse_folder(const struct rule_parameter *p, struct span text, struct arena *arena,
                         struct rule_value *value, struct buf *expected)
{
    struct span name = span_trim(text);
    if (name.size == 0 || name.size >= FOLDER_MAX || !is_text(name)) {
        buf_printf(expected, "the name of a mailbox, at most %d bytes", FOLDER_MAX - 1);
        return false;
    }
    value->text = arena_copy(arena, name);
    return value->text.data != NULL;
}

static bool parse_address(const struct rule_parameter *p, struct span text, struct arena *arena,
                          struct rule_value *value, struct buf *expected)
{
    struct mail_path path;
    struct span domain;
    struct buf out;
    if (text.size == 0) {
        value->text = (struct span){"", 0};
        return true;
    }
    if (mail_address_parse(text, true, arena, &path) || domain_to_ascii(arena, path.domain, &domain)) {
        buf_add_text(expected, "an address like bob@example.org");
        return false;
    }
    buf_init(&out, 2 * PATH_MAX_SMTP);
    mail_path_write(path.local_part, domain, &out);
    value->text = buf_failed(&out) ? (struct span){NULL, 0} : arena_copy(arena, buf_span(&out));
    buf_release(&out);
    return value->text.data != NULL;
}

static value_parse *const parsers[] = {
    [PARAMETER_MODE] = parse_mode,     [PARAMETER_SWITCH] = parse_switch,     [PARAMETER_NUMBER] = parse_quantity,
    [PARAMETER_SIZE] = parse_quantity, [PARAMETER_DURATION] = parse_quantity, [PARAMETER_WORDS] = parse_words,
    [PARAMETER_CHOICE] = parse_choice, [PARAMETER_FOLDER] = parse_folder,     [PARAMETER_ADDRESS] = parse_address,
};

bool rule_value_parse(const struct rule_parameter *parameter, struct span text, struct arena *arena,
                      struct rule_value *value, struct buf *problem)
{
    struct rule_value parsed = {.level = value->level};
    struct buf expected;
    buf_init(&expected, 500);
    bool is_good = parsers[parameter->type](parameter, text, arena, &parsed, &expected);
    if (is_good)
        *value = parsed;
    else if (expected.size)
        buf_printf(problem, "expected %.*s", SPAN_ARG(buf_span(&expected)));
    else
        buf_add_text(problem, "there is no memory for it");
    buf_release(&expected);
    return is_good;
}
