/* The configuration: the first byte chooses between the Lua file, the text form that travels between processes, and the
 * search for lines. What was understood, written and read again, is the same. */
#include "config/settings.h"
#include "config/source.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX (4u << 20)

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_round_trip(const struct settings *settings)
{
    struct buf first, second, problem;
    buf_init(&first, TEXT_MAX);
    buf_init(&second, TEXT_MAX);
    buf_init(&problem, 4096);
    settings_write(settings, &first);
    require(!buf_failed(&first));
    struct settings *again = settings_parse(buf_span(&first), &problem);
    require(again != NULL);
    settings_write(again, &second);
    require(span_equal(buf_span(&first), buf_span(&second)));
    settings_unref(again);
    buf_release(&first);
    buf_release(&second);
    buf_release(&problem);
}

/* A host name goes before the input: without one the system would be asked, and its answer is no property of the input.
 */
static void check_settings(struct span text, bool lua)
{
    struct buf whole, problem;
    buf_init(&whole, TEXT_MAX);
    buf_init(&problem, 4096);
    buf_add_text(&whole, lua ? "hostname = 'mx.example.org' " : "hostname=mx.example.org\n");
    buf_add_span(&whole, text);
    struct settings *settings =
        lua ? settings_read_text("fuzz", buf_span(&whole), &problem) : settings_parse(buf_span(&whole), &problem);
    require(settings || problem.size);
    if (settings)
        check_round_trip(settings);
    settings_unref(settings);
    buf_release(&whole);
    buf_release(&problem);
}

static void check_source(struct span text)
{
    static const struct source_step steps[] = {{SPAN("listeners"), 0}, {{NULL, 0}, 2}, {SPAN("port"), 0}};
    unsigned lines = 1;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    unsigned line = source_find(text, lines, steps, 3);
    require(line >= 1 && line <= lines);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 65536)
        return 0;
    struct span text = span_from(data + 1, size - 1);
    switch (data[0] % 3) {
    case 0:
        check_settings(text, true);
        break;
    case 1:
        check_settings(text, false);
        break;
    default:
        check_source(text);
    }
    return 0;
}
