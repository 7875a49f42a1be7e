#include "store/volume_record.h"

#include "store/wire.h"

#define LEVEL_MAX 3 /* policy/rule.h LEVEL_ADDRESS */

void door_facts_write(struct buf *out, const struct door_item *f)
{
    wire_write_u64(out, f->id);
    wire_write_u32(out, f->kind);
    wire_write_u32(out, f->level);
    wire_write_u64(out, f->owner_id);
    wire_write_bytes(out, f->detail);
    wire_write_bytes(out, f->name);
    wire_write_bytes(out, f->value);
    wire_write_u64(out, f->expires_at);
    wire_write_u32(out, f->locked ? 1 : 0);
    wire_write_u64(out, f->set_at);
    wire_write_bytes(out, f->set_by);
}

static bool door_facts_read(struct wire *w, struct door_item *f)
{
    f->id = wire_read_u64(w);
    f->kind = wire_read_u32(w);
    f->level = wire_read_u32(w);
    f->owner_id = wire_read_u64(w);
    f->detail = wire_read_bytes(w);
    f->name = wire_read_bytes(w);
    f->value = wire_read_bytes(w);
    f->expires_at = wire_read_u64(w);
    uint32_t locked = wire_read_u32(w);
    f->locked = locked == 1;
    f->set_at = wire_read_u64(w);
    f->set_by = wire_read_bytes(w);
    return !w->failed && locked <= 1 && f->level <= LEVEL_MAX && f->id <= INT64_MAX && f->owner_id <= INT64_MAX &&
           f->expires_at <= INT64_MAX && f->set_at <= INT64_MAX && (f->level == 0) == (f->owner_id == 0) &&
           (f->level == LEVEL_MAX) == (f->detail.size > 0);
}

bool door_facts_parse(struct span s, struct door_item *f)
{
    struct wire w = {s, false};
    return door_facts_read(&w, f) && wire_is_done(&w);
}

bool door_facts_parse_next(struct span *rest, struct door_item *f)
{
    struct wire w = {*rest, false};
    bool good = door_facts_read(&w, f);
    *rest = w.rest;
    return good;
}

#define SEEN_LEAST (4 + 8)

void remote_seen_facts_write(struct buf *out, const struct remote_seen_facts *f)
{
    wire_write_u64(out, f->remote_id);
    wire_write_u32(out, f->forget ? 1 : 0);
    wire_write_u32(out, f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        wire_write_bytes(out, f->items[i].uidl);
        wire_write_u64(out, f->items[i].seen_at);
    }
}

bool remote_seen_facts_parse(struct span s, struct arena *arena, struct remote_seen_facts *f)
{
    struct wire w = {s, false};
    f->remote_id = wire_read_u64(&w);
    uint32_t forget = wire_read_u32(&w);
    f->forget = forget == 1;
    f->count = wire_read_count(&w, SEEN_LEAST);
    f->items = arena_array(arena, f->count + 1, sizeof(*f->items));
    if (!f->items)
        return false;
    for (uint32_t i = 0; i < f->count; i++) {
        struct remote_seen *seen = &f->items[i];
        seen->uidl = wire_read_bytes(&w);
        seen->seen_at = wire_read_u64(&w);
        w.failed |= seen->uidl.size == 0 || seen->uidl.size > UIDL_MAX || seen->seen_at > INT64_MAX;
    }
    return wire_is_done(&w) && forget <= 1 && f->remote_id <= INT64_MAX;
}
