#include "intake/body.h"

#include "ipc/services.h"
#include "store_write.pb-c.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

/* Of all bodies of this process: bytes of memory. */
static size_t bodies_in_memory;

static void count_memory(struct intake_body *body)
{
    bodies_in_memory += body->memory.room - body->counted;
    body->counted = body->memory.room;
}

void intake_body_init(struct intake_body *body)
{
    *body = (struct intake_body){.spool = -1};
    /* One feeding of the parser may add twice a full input buffer before make_room is called. */
    buf_init(&body->memory, INTAKE_BODY_IN_MEMORY + (256u << 10));
}

void intake_body_release(struct intake_body *body)
{
    if (body->spool >= 0)
        close(body->spool);
    buf_release(&body->memory);
    count_memory(body);
    body->spool = -1;
    body->spooled = 0;
    body->own_size = 0;
    body->fingerprint = 0;
}

static int open_spool(struct fiber *self, struct intake_body *body, struct peers *peers, uint64_t deadline)
{
    StoreWrite__SpoolRequest request = STORE_WRITE__SPOOL_REQUEST__INIT;
    struct answer answer;
    int error = channel_call(self, peers_get(peers, ROLE_WRITER), STORE_WRITE_SPOOL, &request.base, (struct span){0},
                             -1, deadline, &answer);
    if (error)
        return error;
    body->spool = answer_take_fd(&answer);
    answer_release(&answer);
    return body->spool < 0 ? -EPROTO : 0;
}

static int write_spool(struct intake_body *body)
{
    struct span left = buf_span(&body->memory);
    while (left.size) {
        ssize_t n = write(body->spool, left.data, left.size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        left = span_skip(left, (size_t)n);
        body->spooled += (uint64_t)n;
    }
    buf_release(&body->memory);
    count_memory(body);
    return 0;
}

bool intake_body_is_large(struct intake_body *body, bool header_is_whole)
{
    count_memory(body);
    bool hurry = header_is_whole && bodies_in_memory > INTAKE_BODIES_IN_MEMORY;
    return body->memory.size > (hurry ? INTAKE_BODY_UNDER_PRESSURE : INTAKE_BODY_IN_MEMORY);
}

int intake_body_make_room(struct fiber *self, struct intake_body *body, struct peers *peers, uint64_t deadline)
{
    int error = body->spool < 0 ? open_spool(self, body, peers, deadline) : 0;
    return error ? error : write_spool(body);
}

int intake_body_map(struct intake_body *body, struct span *whole)
{
    if (body->spool < 0) {
        *whole = buf_span(&body->memory);
        return 0;
    }
    int error = write_spool(body);
    if (error)
        return error;
    void *pages = mmap(NULL, (size_t)body->spooled, PROT_READ, MAP_PRIVATE, body->spool, 0);
    if (pages == MAP_FAILED)
        return -errno;
    *whole = span_from(pages, (size_t)body->spooled);
    return 0;
}

void intake_body_unmap(struct intake_body *body, struct span whole)
{
    if (body->spool >= 0 && whole.data)
        munmap((void *)(uintptr_t)whole.data, whole.size);
}
