#include "store/queue.h"

#include <errno.h>
#include <unistd.h>

/* Without the empty line; the whole where there is none. */
static size_t header_size(struct span text)
{
    for (size_t i = 0; i + 1 < text.size; i++)
        if (text.data[i] == '\n' && (text.data[i + 1] == '\n' || text.data[i + 1] == '\r'))
            return i + 1;
    return text.size;
}

int queue_header(struct store *s, uint64_t message_id, struct buf *out)
{
    struct statement *st = database_query(
        s->db, "SELECT volume, position, stored, size FROM message WHERE id = $1 AND living > 0", "u", message_id);
    uint64_t volume = 0, position = 0, stored = 0, size = 0;
    int rc = database_step(st);
    if (rc > 0) {
        volume = database_u64(st, 0);
        position = database_u64(st, 1);
        stored = database_u64(st, 2);
        size = database_u64(st, 3);
    }
    database_end(st);
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    int fd = volume_open(s->volumes.directory, (uint32_t)volume);
    if (fd < 0)
        return fd;
    struct buf memory;
    struct record record;
    size_t start = out->size;
    buf_init(&memory, RECORD_FACTS_MAX);
    rc = record_read(fd, (uint32_t)volume, s->volumes.mark, position, position + stored, &memory, &record);
    if (rc == 0)
        rc = body_read(fd, &record, message_id, 0, size < QUEUE_HEADER_MAX ? size : QUEUE_HEADER_MAX, out);
    if (rc == 0)
        buf_truncate(out, start + header_size(span_skip(buf_span(out), start)));
    buf_release(&memory);
    close(fd);
    return rc;
}
