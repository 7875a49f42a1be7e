#include "ctl/duration.h"

#include <inttypes.h>

void ctl_write_duration(struct buf *out, uint64_t seconds)
{
    static const struct {
        uint64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    size_t i = 0;
    while (units[i].seconds > 1 && seconds < 2 * units[i].seconds)
        i++;
    buf_printf(out, "%" PRIu64 " %s", seconds / units[i].seconds, units[i].name);
}

void ctl_write_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    uint64_t unit = 1;
    while (bytes / unit >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
        unit *= 1024;
        i++;
    }
    uint64_t whole = bytes / unit;
    if (i > 0 && whole < 10)
        buf_printf(out, "%" PRIu64 ".%" PRIu64 " %s", whole, bytes % unit * 10 / unit, units[i]);
    else
        buf_printf(out, "%" PRIu64 " %s", whole, units[i]);
}
