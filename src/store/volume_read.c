#include "store/volume.h"

#include "store/wire.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#define VOLUMES_MAX 1000000u

void volume_name(uint32_t number, char out[VOLUME_NAME_SIZE])
{
    snprintf(out, VOLUME_NAME_SIZE, "%04u.vol", number);
}

uint32_t volume_number(const char *name)
{
    struct span s = span_text(name);
    uint64_t number;
    if (s.size < 8 || !span_ends_nocase(s, span_text(".vol")) ||
        !span_parse_u64(span_head(s, s.size - 4), VOLUMES_MAX, &number))
        return 0;
    char exact[VOLUME_NAME_SIZE];
    volume_name((uint32_t)number, exact);
    return span_is(s, exact) ? (uint32_t)number : 0;
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int volume_list(int directory, uint32_t **numbers, size_t *count)
{
    *numbers = NULL;
    *count = 0;
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        return -error;
    }
    int rc = 0;
    struct dirent *entry;
    while (rc == 0 && (entry = readdir(dir)) != NULL) {
        uint32_t number = volume_number(entry->d_name);
        if (number == 0)
            continue;
        if ((*count & (*count + 1)) == 0) {
            uint32_t *more = realloc(*numbers, (*count + 1) * 2 * sizeof(**numbers));
            if (!more) {
                rc = -ENOMEM;
                break;
            }
            *numbers = more;
        }
        (*numbers)[(*count)++] = number;
    }
    closedir(dir);
    if (*count > 1)
        qsort(*numbers, *count, sizeof(**numbers), compare_numbers);
    return rc;
}

int volume_open(int directory, uint32_t number)
{
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* All of it or an error; the end of the file in the middle is damage. */
static int read_at(int fd, void *out, size_t size, uint64_t position)
{
    char *p = out;
    while (size > 0) {
        ssize_t n = pread(fd, p, size, (off_t)position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EBADMSG;
        p += n;
        position += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

int record_read(int fd, uint32_t volume, uint64_t mark, uint64_t position, uint64_t end, struct buf *memory,
                struct record *record)
{
    if (position >= end)
        return -ENODATA;
    char header[RECORD_HEADER_SIZE];
    if (end - position < RECORD_HEADER_SIZE)
        return -EBADMSG;
    int rc = read_at(fd, header, sizeof(header), position);
    if (rc != 0)
        return rc;
    struct record_header *h = &record->header;
    if (!record_header_parse(span_from(header, sizeof(header)), h) || h->volume != volume ||
        (mark != 0 && h->mark != mark) || record_size(h) > end - position)
        return -EBADMSG;
    buf_reset(memory);
    char *facts = buf_reserve(memory, h->facts_size);
    if (!facts && h->facts_size > 0)
        return -ENOMEM;
    rc = read_at(fd, facts, h->facts_size, position + RECORD_HEADER_SIZE);
    if (rc != 0)
        return rc;
    memory->size = h->facts_size;
    record->position = position;
    record->facts = buf_span(memory);
    return record_facts_match(h, record->facts) ? 0 : -EBADMSG;
}

int record_search(int fd, uint32_t volume, uint64_t mark, uint64_t position, uint64_t end, uint64_t *found)
{
    enum { WINDOW = 1 << 18 };
    char *window = malloc(WINDOW);
    if (!window)
        return -ENOMEM;
    int rc = 0;
    *found = end;
    while (rc == 0 && *found == end && position + RECORD_HEADER_SIZE <= end) {
        size_t size = end - position > WINDOW ? WINDOW : (size_t)(end - position);
        rc = read_at(fd, window, size, position);
        size_t last = rc == 0 ? size - RECORD_HEADER_SIZE : 0;
        for (size_t i = 0; rc == 0 && i <= last; i++) {
            struct record_header header;
            if (window[i] == 'O' && record_header_parse(span_from(window + i, RECORD_HEADER_SIZE), &header) &&
                header.volume == volume && header.mark == mark) {
                *found = position + i;
                break;
            }
        }
        position += last + 1;
    }
    free(window);
    return rc;
}

/* Where a body's blocks come from: a file, or memory that holds all of them. */
struct block_source {
    int fd;
    uint64_t position, end; /* in the file, or in `bytes` */
    struct span bytes;
    char *room; /* for a block read from the file */
};

struct block {
    uint32_t word, checksum, size; /* size of the message's bytes in it */
    struct span stored;
};

static int block_header(struct block_source *source, uint64_t size_left, struct block *block)
{
    char header[BODY_BLOCK_HEADER_SIZE];
    if (source->end - source->position < sizeof(header))
        return -EBADMSG;
    if (source->fd >= 0) {
        int rc = read_at(source->fd, header, sizeof(header), source->position);
        if (rc != 0)
            return rc;
    } else if (source->bytes.data) {
        memcpy(header, source->bytes.data + source->position, sizeof(header));
    } else {
        return -EBADMSG;
    }
    block->word = (uint32_t)wire_get_number(header, 4);
    block->checksum = (uint32_t)wire_get_number(header + 4, 4);
    block->size = size_left > BODY_BLOCK_SIZE ? BODY_BLOCK_SIZE : (uint32_t)size_left;
    block->stored.size = block->word & ~BODY_BLOCK_ZSTD;
    bool compressed = block->word & BODY_BLOCK_ZSTD;
    source->position += sizeof(header);
    if (compressed ? block->stored.size >= block->size : block->stored.size != block->size)
        return -EBADMSG;
    return block->stored.size > source->end - source->position ? -EBADMSG : 0;
}

static int block_bytes(struct block_source *source, uint64_t message_id, uint32_t index, struct block *block)
{
    if (source->fd >= 0) {
        if (!source->room && !(source->room = malloc(BODY_BLOCK_SIZE)))
            return -ENOMEM;
        int rc = read_at(source->fd, source->room, block->stored.size, source->position);
        if (rc != 0)
            return rc;
        block->stored.data = source->room;
    } else {
        block->stored.data = source->bytes.data + source->position;
    }
    return body_block_checksum(message_id, index, block->word, block->stored) == block->checksum ? 0 : -EBADMSG;
}

static int block_write(const struct block *block, uint64_t skip, uint64_t size, struct buf *out)
{
    if (!(block->word & BODY_BLOCK_ZSTD)) {
        buf_add_span(out, span_head(span_skip(block->stored, skip), size));
        return buf_failed(out) ? -ENOMEM : 0;
    }
    size_t before = out->size;
    char *place = buf_reserve(out, block->size);
    if (!place)
        return -ENOMEM;
    if (ZSTD_decompress(place, block->size, block->stored.data, block->stored.size) != block->size)
        return -EBADMSG;
    memmove(place, place + skip, size);
    out->size = before + size;
    return 0;
}

/* `out` NULL: verify only. */
static int blocks_walk(struct block_source *source, const struct record_header *header, uint64_t message_id,
                       uint64_t offset, uint64_t size, struct buf *out)
{
    uint64_t start = 0;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < header->body_blocks && start < offset + size; i++) {
        struct block block;
        rc = block_header(source, header->body_size - start, &block);
        if (rc == 0 && start + block.size > offset) {
            rc = block_bytes(source, message_id, i, &block);
            uint64_t skip = offset > start ? offset - start : 0;
            uint64_t until = offset + size < start + block.size ? offset + size - start : block.size;
            if (rc == 0 && out)
                rc = block_write(&block, skip, until - skip, out);
        }
        if (rc == 0) {
            source->position += block.stored.size;
            start += block.size;
        }
    }
    if (rc == 0 && start == header->body_size && source->position != source->end)
        rc = -EBADMSG;
    free(source->room);
    return rc;
}

int body_read(int fd, const struct record *record, uint64_t message_id, uint64_t offset, uint64_t size, struct buf *out)
{
    const struct record_header *h = &record->header;
    if (offset > h->body_size || size > h->body_size - offset)
        return -EINVAL;
    uint64_t start = record->position + RECORD_HEADER_SIZE + h->facts_size;
    struct block_source source = {.fd = fd, .position = start, .end = start + h->body_stored};
    return blocks_walk(&source, h, message_id, offset, size, out);
}

int body_read_memory(struct span stored, const struct record_header *h, uint64_t message_id, uint64_t offset,
                     uint64_t size, struct buf *out)
{
    if (offset > h->body_size || size > h->body_size - offset || stored.size != h->body_stored)
        return -EINVAL;
    struct block_source source = {.fd = -1, .end = stored.size, .bytes = stored};
    return blocks_walk(&source, h, message_id, offset, size, out);
}

int body_verify(int fd, const struct record *record, uint64_t message_id)
{
    uint64_t start = record->position + RECORD_HEADER_SIZE + record->header.facts_size;
    struct block_source source = {.fd = fd, .position = start, .end = start + record->header.body_stored};
    return blocks_walk(&source, &record->header, message_id, 0, record->header.body_size, NULL);
}
