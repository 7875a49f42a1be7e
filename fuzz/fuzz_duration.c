/* Times and sizes as a person says them, of any numbers: short, a number and a unit, and never more than it was. */
#include "ctl/duration.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

struct unit {
    const char *name;
    uint64_t value;
};
static const struct unit times[] = {{"s", 1}, {"min", 60}, {"h", 3600}, {"d", 86400}};
static const struct unit sizes[] = {
    {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", 1ull << 40}};

static void check_words(struct span text, uint64_t number, const struct unit *units, size_t count)
{
    struct span unit = text, tenths;
    struct span whole = span_cut(&unit, ' ');
    uint64_t value, tenth = 0;
    tenths = whole;
    whole = span_cut(&tenths, '.');
    bool has_tenths = tenths.size > 0;
    require(span_parse_u64(whole, UINT64_MAX, &value));
    require(!has_tenths || (value < 10 && span_parse_u64(tenths, 9, &tenth)));
    size_t i = 0;
    while (i < count && !span_is(unit, units[i].name))
        i++;
    require(i < count && number / units[i].value == value);
    require(!has_tenths || number % units[i].value * 10 / units[i].value == tenth);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t number;
    struct buf out;
    if (size < sizeof number)
        return 0;
    memcpy(&number, data, sizeof number);
    buf_init(&out, 40);
    ctl_write_duration(&out, number);
    require(!buf_failed(&out));
    check_words(buf_span(&out), number, times, sizeof times / sizeof *times);
    buf_reset(&out);
    ctl_write_size(&out, number);
    require(!buf_failed(&out));
    check_words(buf_span(&out), number, sizes, sizeof sizes / sizeof *sizes);
    buf_release(&out);
    return 0;
}
