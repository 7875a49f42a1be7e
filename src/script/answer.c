#include "script/answer.h"

#include "format/utf8.h"

#define SHOWN_MAX 40

static const struct {
    const char *word;
    enum script_result result;
} words[] = {
    {"accept", SCRIPT_ACCEPT},
    {"reject", SCRIPT_REFUSE},
    {"defer", SCRIPT_DEFER},
    {"file", SCRIPT_FILE},
};

static bool is_control(char c)
{
    return (unsigned char)c < ' ' || c == 127;
}

static bool is_folder(struct span name)
{
    for (size_t i = 0; i < name.size; i++)
        if (is_control(name.data[i]))
            return false;
    return name.size && name.size < FOLDER_MAX && utf8_is_valid(name);
}

/* Not in the middle of a character of UTF-8. */
static struct span cut(struct span text, size_t most)
{
    if (text.size <= most)
        return text;
    size_t size = most;
    while (size && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    return span_head(text, size);
}

static void take_text(struct script_answer *answer, struct span text)
{
    text = cut(text, sizeof answer->text - 1);
    for (size_t i = 0; i < text.size; i++)
        answer->text[i] = is_control(text.data[i]) ? ' ' : text.data[i];
    answer->text_size = text.size;
}

static void write_shown(struct span word, struct buf *out)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < word.size && i < SHOWN_MAX; i++)
        buf_add_char(out, is_control(word.data[i]) || (unsigned char)word.data[i] > 126 ? '?' : word.data[i]);
    buf_add_text(out, word.size > SHOWN_MAX ? "...\"" : "\"");
}

bool script_answer_read(struct span word, struct span text, struct script_answer *answer, struct buf *problem)
{
    *answer = (struct script_answer){.result = SCRIPT_NOTHING};
    enum script_result result = SCRIPT_NOTHING;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is(word, words[i].word))
            result = words[i].result;
    if (result == SCRIPT_NOTHING) {
        buf_add_text(problem, "returned ");
        write_shown(word, problem);
        buf_add_text(problem, "; it may return \"accept\", \"reject\", \"defer\", \"file\" or nothing");
        return false;
    }
    if (result == SCRIPT_FILE && !is_folder(text)) {
        buf_printf(problem,
                   "returned \"file\" without a folder: its name comes second and has at most %d bytes of UTF-8",
                   FOLDER_MAX - 1);
        return false;
    }
    answer->result = result;
    take_text(answer, text);
    return true;
}
