#include "ctl/fields.h"

#include "config/schema.h"
#include "format/utf8.h"

#include <sysexits.h>

int ctl_check_name(struct ctl *ctl, struct span name)
{
    bool good = name.size <= FIELD_NAME_MAX && utf8_is_valid(name);
    for (size_t i = 0; i < name.size; i++)
        good &= (unsigned char)name.data[i] >= ' ' && name.data[i] != 127;
    if (good)
        return EX_OK;
    return ctl_fail(ctl, EX_DATAERR, "a name has at most %d bytes of UTF-8 without control characters", FIELD_NAME_MAX);
}

int ctl_parse_quota(struct ctl *ctl, const char *called, struct span text, struct arena *arena, uint64_t *bytes)
{
    /* The default's own row knows the bounds and the way of writing. */
    struct settings scratch = {0};
    const struct setting *row = schema_find(span_text("store.default_quota"));
    if (!setting_parse(row, text, &scratch, arena))
        return ctl_fail(ctl, EX_DATAERR, "%s takes a size like 500M or 1G, or 0 for no limit, not '%.*s'", called,
                        text.size > 40 ? 40 : (int)text.size, text.size ? text.data : "");
    *bytes = scratch.store.default_quota;
    return EX_OK;
}
