/* Lines of files of list entries, and times of expiry, from anybody. */
#include "ctl/door_list_text.h"
#include "ipc/binary.h"

#include <stdlib.h>

#define NOW 1795331231u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* What was understood, written and read again, says the same but for the time of day. */
static void check_round_trip(const struct door_list_line *line)
{
    StoreWrite__DoorItem item = STORE_WRITE__DOOR_ITEM__INIT;
    struct door_list_line again;
    struct buf out;
    buf_init(&out, 1 << 20);
    item.name = binary_from_span(line->entry);
    item.expires_at = line->expires_at;
    door_list_write_line(&item, &out);
    require(!buf_failed(&out));
    require(door_list_parse_line(span_head(buf_span(&out), out.size - 1), NOW, &again));
    require(span_equal(again.entry, line->entry));
    require(again.expires_at / 86400 == line->expires_at / 86400);
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct door_list_line line;
    struct span text = span_from(data, size);
    uint64_t at = 0;
    if (door_expiry_parse(text, NOW, &at))
        require(at > NOW);
    /* As the command cuts them: a line end is in none. */
    if (size > 2000 || span_find(text, '\n') < size || !door_list_parse_line(text, NOW, &line))
        return 0;
    require(line.expires_at == 0 || line.expires_at > NOW);
    if (line.entry.size)
        check_round_trip(&line);
    return 0;
}
