#include "store/volume.h"

#include "base/clock.h"
#include "store/crc32c.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define GATHER_MAX (16u << 20)         /* bytes gathered before they are written early */
#define MEMORY_MAX ((size_t)64u << 20) /* headers, facts and compressed blocks of a batch */

void volume_writer_init(struct volume_writer *v, int directory)
{
    *v = (struct volume_writer){.directory = directory, .fd = -1, .lsn = 1};
    arena_init(&v->memory, MEMORY_MAX);
}

void volume_writer_release(struct volume_writer *v)
{
    if (v->fd >= 0)
        close(v->fd);
    if (v->directory >= 0)
        close(v->directory);
    ZSTD_freeCCtx(v->compressor);
    free(v->pieces);
    free(v->block);
    free(v->block_room);
    arena_release(&v->memory);
}

static int gather(struct volume_writer *v, struct span piece)
{
    if (v->piece_count == v->piece_room) {
        size_t room = v->piece_room ? v->piece_room * 2 : 256;
        struct iovec *pieces = realloc(v->pieces, room * sizeof(*pieces));
        if (!pieces)
            return -ENOMEM;
        v->pieces = pieces;
        v->piece_room = room;
    }
    v->pieces[v->piece_count++] = (struct iovec){(void *)(uintptr_t)piece.data, piece.size};
    v->gather_bytes += piece.size;
    return 0;
}

static int write_pieces(int fd, struct iovec *pieces, size_t count, uint64_t position)
{
    while (count > 0) {
        ssize_t n = pwritev(fd, pieces, count > IOV_MAX ? IOV_MAX : (int)count, (off_t)position);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        position += (uint64_t)n;
        while (count > 0 && (size_t)n >= pieces->iov_len) {
            n -= (ssize_t)pieces->iov_len;
            pieces++;
            count--;
        }
        if (count > 0) {
            pieces->iov_base = (char *)pieces->iov_base + n;
            pieces->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static void gather_reset(struct volume_writer *v)
{
    v->piece_count = 0;
    v->gather_bytes = 0;
    v->gather_position = v->position;
    arena_reset(&v->memory);
}

int volume_write(struct volume_writer *v)
{
    if (v->piece_count == 0)
        return 0;
    v->unsynced = true;
    int rc = write_pieces(v->fd, v->pieces, v->piece_count, v->gather_position);
    gather_reset(v);
    return rc;
}

int volume_sync(struct volume_writer *v)
{
    if (!v->unsynced)
        return 0;
    v->syncs++;
    if (fdatasync(v->fd) != 0)
        return -errno;
    v->unsynced = false;
    return 0;
}

int volume_cut(struct volume_writer *v, uint64_t end, uint64_t lsn)
{
    v->position = end;
    v->lsn = lsn;
    gather_reset(v);
    return ftruncate(v->fd, (off_t)end) != 0 ? -errno : 0;
}

static int take_file(struct volume_writer *v, int fd, uint32_t number, uint64_t end)
{
    if (fd < 0)
        return -errno;
    if (v->fd >= 0)
        close(v->fd);
    v->fd = fd;
    v->number = number;
    v->position = end;
    gather_reset(v);
    return 0;
}

int volume_continue(struct volume_writer *v, uint32_t number, uint64_t end)
{
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    return take_file(v, openat(v->directory, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW), number, end);
}

int volume_begin(struct volume_writer *v, uint32_t number)
{
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    int rc =
        take_file(v, openat(v->directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600), number, 0);
    if (rc != 0)
        return rc;
    /* The name has to be durable before the first record in it is acknowledged. */
    if (fsync(v->directory) != 0)
        return -errno;
    char room[16];
    struct buf facts = {.data = room, .room = sizeof(room), .limit = sizeof(room)};
    volume_facts_write(&facts, &(struct volume_facts){.created_at = clock_wall()});
    struct record_place place;
    return volume_append(v, RECORD_VOLUME, buf_span(&facts), NULL, &place);
}

/* ---- A record's body, block by block ---- */

struct chain {
    struct volume_writer *v;
    uint64_t message_id;
    uint32_t count;
    uint64_t stored, size;
    bool compress;
    uint64_t stream_position; /* where the next block is written, when it is not gathered */
};

/* The stored form of a block of the message: compressed into `room` where that saves more than a tenth. */
static struct span block_encode(struct chain *c, struct span bytes, char *room, size_t room_size, uint32_t *word)
{
    *word = (uint32_t)bytes.size;
    if (!c->compress || !room)
        return bytes;
    if (!c->v->compressor)
        c->v->compressor = ZSTD_createCCtx();
    size_t size =
        c->v->compressor ? ZSTD_compressCCtx(c->v->compressor, room, room_size, bytes.data, bytes.size, 1) : bytes.size;
    if (ZSTD_isError(size) || size >= bytes.size - bytes.size / 10)
        return bytes;
    *word = (uint32_t)size | BODY_BLOCK_ZSTD;
    return span_from(room, size);
}

static void block_seal(struct chain *c, struct span stored, uint32_t word, size_t size,
                       char header[BODY_BLOCK_HEADER_SIZE])
{
    body_block_header_write(word, body_block_checksum(c->message_id, c->count, word, stored), header);
    c->count++;
    c->stored += BODY_BLOCK_HEADER_SIZE + stored.size;
    c->size += size;
}

static int block_gather(struct chain *c, struct span bytes)
{
    size_t room_size = bytes.size - bytes.size / 10;
    char *header = arena_alloc(&c->v->memory, BODY_BLOCK_HEADER_SIZE);
    char *room = c->compress ? arena_alloc(&c->v->memory, room_size) : NULL;
    if (!header)
        return -ENOMEM;
    uint32_t word;
    struct span stored = block_encode(c, bytes, room, room_size, &word);
    block_seal(c, stored, word, bytes.size, header);
    int rc = gather(c->v, span_from(header, BODY_BLOCK_HEADER_SIZE));
    return rc ? rc : gather(c->v, stored);
}

/* Writes a block behind the ones before at once: for bodies that are not held in memory. */
static int block_stream(struct chain *c, struct span stored, uint32_t word, size_t size)
{
    char header[BODY_BLOCK_HEADER_SIZE];
    block_seal(c, stored, word, size, header);
    struct iovec pieces[2] = {{header, sizeof(header)}, {(void *)(uintptr_t)stored.data, stored.size}};
    size_t whole = sizeof(header) + stored.size;
    int rc = write_pieces(c->v->fd, pieces, 2, c->stream_position);
    /* The disk begins while the next block is compressed; the sync of the batch has less to wait for. No promise: the
     * answer does not matter. */
    if (rc == 0)
        sync_file_range(c->v->fd, (off_t)c->stream_position, (off_t)whole, SYNC_FILE_RANGE_WRITE);
    c->stream_position += whole;
    return rc;
}

/* Room for a block as it came and as it is stored. It is kept: new pages for each large message cost a fifth of what
 * storing it does. */
static bool has_block_room(struct volume_writer *v)
{
    if (!v->block)
        v->block = malloc(BODY_BLOCK_SIZE);
    if (!v->block_room)
        v->block_room = malloc(ZSTD_compressBound(BODY_BLOCK_SIZE));
    return v->block && v->block_room;
}

static int read_file(int fd, char *out, size_t size, uint64_t position)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, out + done, size - done, (off_t)(position + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EINVAL; /* shorter than its owner said */
        done += (size_t)n;
    }
    return 0;
}

static int stream_file(struct chain *c, const struct body *body)
{
    int rc = has_block_room(c->v) ? 0 : -ENOMEM;
    char *bytes = c->v->block;
    for (uint64_t done = 0; rc == 0 && done < body->size;) {
        size_t size = body->size - done > BODY_BLOCK_SIZE ? BODY_BLOCK_SIZE : (size_t)(body->size - done);
        rc = read_file(body->fd, bytes, size, done);
        if (rc == 0) {
            uint32_t word;
            struct span stored =
                block_encode(c, span_from(bytes, size), c->v->block_room, ZSTD_compressBound(BODY_BLOCK_SIZE), &word);
            rc = block_stream(c, stored, word, size);
        }
        done += size;
    }
    return rc;
}

/* Copies the stored bytes as they are; body_verify() has looked at them just before. */
static int stream_record(struct chain *c, const struct body *body)
{
    const struct record_header *h = &body->record->header;
    uint64_t from = body->record->position + RECORD_HEADER_SIZE + h->facts_size;
    int rc = body_verify(body->fd, body->record, body->message_id);
    if (rc == 0 && !has_block_room(c->v))
        rc = -ENOMEM;
    char *bytes = c->v->block;
    for (uint64_t done = 0; rc == 0 && done < h->body_stored;) {
        size_t size = h->body_stored - done > BODY_BLOCK_SIZE ? BODY_BLOCK_SIZE : (size_t)(h->body_stored - done);
        rc = read_file(body->fd, bytes, size, from + done);
        rc = rc == -EINVAL ? -EBADMSG : rc; /* the volume ends in the middle of it */
        struct iovec piece = {bytes, size};
        if (rc == 0)
            rc = write_pieces(c->v->fd, &piece, 1, c->stream_position + done);
        done += size;
    }
    c->stored = h->body_stored;
    c->size = h->body_size;
    c->count = h->body_blocks;
    return rc;
}

static int body_append(struct chain *c, const struct body *body)
{
    int rc = 0;
    if (body->kind == BODY_MEMORY) {
        for (struct span rest = body->bytes; rc == 0 && rest.size > 0; rest = span_skip(rest, BODY_BLOCK_SIZE))
            rc = block_gather(c, span_head(rest, BODY_BLOCK_SIZE));
        return rc;
    }
    c->v->unsynced = true;
    return body->kind == BODY_FILE ? stream_file(c, body) : stream_record(c, body);
}

/* Takes back what volume_append has gathered of a record that failed. */
static int append_undo(struct volume_writer *v, size_t pieces, size_t bytes, int rc)
{
    v->piece_count = pieces;
    v->gather_bytes = bytes;
    return rc;
}

int volume_append(struct volume_writer *v, enum record_type type, struct span facts, const struct body *body,
                  struct record_place *place)
{
    static const struct body none = {.kind = BODY_NONE};
    body = body ? body : &none;
    bool streamed = body->kind == BODY_FILE || body->kind == BODY_RECORD;
    uint64_t body_size = body->kind == BODY_MEMORY ? body->bytes.size : body->size;
    if (facts.size > RECORD_FACTS_MAX || body_size > RECORD_BODY_MAX)
        return -EMSGSIZE;
    int rc = streamed || v->gather_bytes > GATHER_MAX ? volume_write(v) : 0;
    char *head = rc == 0 ? arena_alloc(&v->memory, RECORD_HEADER_SIZE + facts.size) : NULL;
    if (!head)
        return rc ? rc : -ENOMEM;
    if (v->piece_count == 0)
        v->gather_position = v->position;
    size_t pieces_before = v->piece_count, bytes_before = v->gather_bytes;
    if (facts.size)
        memcpy(head + RECORD_HEADER_SIZE, facts.data, facts.size);
    rc = gather(v, span_from(head, RECORD_HEADER_SIZE + facts.size));
    struct chain chain = {.v = v,
                          .message_id = body->message_id,
                          .compress = v->compress_from != 0 && body_size >= v->compress_from,
                          .stream_position = v->position + RECORD_HEADER_SIZE + facts.size};
    if (rc == 0 && body->kind != BODY_NONE)
        rc = body_append(&chain, body);
    if (rc != 0)
        return append_undo(v, pieces_before, bytes_before, rc);
    struct record_header header = {
        .type = type,
        .volume = v->number,
        .mark = v->mark,
        .lsn = v->lsn,
        .batch = v->batch ? v->batch : v->lsn,
        .facts_size = (uint32_t)facts.size,
        .facts_checksum = crc32c(0, facts),
        .body_blocks = chain.count,
        .body_stored = chain.stored,
        .body_size = chain.size,
    };
    record_header_write(&header, head);
    *place = (struct record_place){v->number, v->position, record_size(&header), v->lsn};
    v->position += place->size;
    v->lsn++;
    if (v->batch == 0)
        v->batch = place->lsn;
    /* The head of a streamed body stands before bytes already written: it goes out by itself. */
    return streamed ? volume_write(v) : 0;
}
