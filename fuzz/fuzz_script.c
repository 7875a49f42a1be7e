/* What comes back from Lua, and what goes in: any words as an answer, and any stored facts shown to a script that looks
 * at all of them. */
#include "script/engine.h"

#include "format/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static const char walker[] = "local function walk(x, depth)\n"
                             "  if depth > 4 then error('too deep') end\n"
                             "  local n = 0\n"
                             "  if type(x) == 'string' then return #x end\n"
                             "  if type(x) ~= 'table' then return 1 end\n"
                             "  for k, v in pairs(x) do n = n + walk(k, depth + 1) + walk(v, depth + 1) end\n"
                             "  return n\n"
                             "end\n"
                             "function check(mail)\n"
                             "  assert(mail.stage == 'rcpt' or mail.stage == 'content')\n"
                             "  assert(type(mail.ip) == 'string' and type(mail.sender) == 'string')\n"
                             "  assert(type(mail.recipient) == 'string' and math.type(mail.time) == 'integer')\n"
                             "  if mail.stage == 'content' then\n"
                             "    for name, values in pairs(mail.headers) do\n"
                             "      assert(mail.header(name:upper()) == values[1] and utf8.len(values[1]))\n"
                             "    end\n"
                             "  end\n"
                             "  return 'reject', tostring(walk(mail, 0))\n"
                             "end\n";

/* Behind a first NUL byte: a word, a NUL byte, a text. */
static void check_answer(struct span words)
{
    struct script_answer answer;
    struct buf problem;
    buf_init(&problem, 1000);
    struct span word = span_cut(&words, '\0');
    bool read = script_answer_read(word, words, &answer, &problem);
    require(!buf_failed(&problem) && read == (problem.size == 0) && read == (answer.result != SCRIPT_NOTHING));
    require(answer.text_size < sizeof answer.text && strlen(answer.text) == answer.text_size);
    for (size_t i = 0; i < answer.text_size; i++)
        require((unsigned char)answer.text[i] >= ' ' && answer.text[i] != 127);
    if (answer.result == SCRIPT_FILE)
        require(answer.text_size && answer.text_size < FOLDER_MAX && span_equal(words, span_text(answer.text)));
    if (utf8_is_valid(words))
        require(utf8_is_valid(span_text(answer.text)));
    buf_release(&problem);
}

static void check_facts(const struct script *script, struct span bytes)
{
    static struct facts facts;
    static struct recipient_facts r;
    struct script_outcome outcome;
    struct arena arena;
    arena_init(&arena, 1u << 20);
    facts = (struct facts){.is_fetched = false};
    r = (struct recipient_facts){.hit_count = 0};
    if (facts_parse(bytes, &arena, &facts, &r)) {
        script_check(script, &facts, &r, 1, NULL, &outcome);
        require(!outcome.problem[0] && outcome.answer.result == SCRIPT_REFUSE);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct script_limits limits = {.memory = 64u << 20, .steps = 10000000};
    static struct script *script;
    if (!script) {
        struct buf problem;
        buf_init(&problem, 1000);
        script = script_new("walker", (struct span)SPAN(walker), &limits, NULL, &problem);
        require(script);
    }
    if (size && data[0] == 0)
        check_answer(span_from(data + 1, size - 1));
    else
        check_facts(script, span_from(data, size));
    return 0;
}
