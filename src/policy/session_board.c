#include "policy/session_board.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_TRIES 4
#define SERVICE_NONE 0u /* services are stored one higher */

/* Fields that change while the connection lasts are counters of their own; the rest stands under the sequence. */
struct session_slot {
    _Atomic uint32_t sequence;
    uint32_t service;
    uint64_t since, account_id;
    _Atomic uint32_t accepted, refused;
    unsigned char address[16];
    char session[SESSION_ID_MAX + 1], account[SESSION_ACCOUNT_MAX + 1];
};

struct column {
    _Atomic uint32_t used; /* no slot from here on was ever used */
    char padding[64 - sizeof(uint32_t)];
};

struct session_board {
    char *memory;
    size_t size;
    unsigned columns, slots, own;
    /* The writer's: slots that were given back, the last one on top. */
    uint32_t *free;
    uint32_t free_count;
};

static size_t column_size(unsigned slots)
{
    return sizeof(struct column) + (size_t)slots * sizeof(struct session_slot);
}

static struct column *column_at(const struct session_board *b, unsigned column)
{
    return (struct column *)(void *)(b->memory + column * column_size(b->slots));
}

static struct session_slot *slot_at(const struct session_board *b, unsigned column, unsigned place)
{
    return (struct session_slot *)(void *)(column_at(b, column) + 1) + place;
}

int session_board_create(unsigned columns, unsigned slots)
{
    if (!columns || columns > SESSION_BOARD_COLUMNS || !slots)
        return -EINVAL;
    slots = slots > SESSION_BOARD_SLOTS ? SESSION_BOARD_SLOTS : slots;
    int fd = memfd_create("ostiary-sessions", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    /* Sealed against shrinking: a process that was taken over can't make the others fault. */
    if (ftruncate(fd, (off_t)(column_size(slots) * columns)) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    return fd;
}

/* How many slots a column of that file has; 0 when it is no board of so many columns. */
static unsigned find_slots(int fd, unsigned columns)
{
    struct stat status;
    if (!columns || columns > SESSION_BOARD_COLUMNS || fstat(fd, &status) < 0 || status.st_size < 0)
        return 0;
    uint64_t column = (uint64_t)status.st_size / columns;
    if (column < column_size(1) || column > column_size(SESSION_BOARD_SLOTS))
        return 0;
    return (unsigned)((column - sizeof(struct column)) / sizeof(struct session_slot));
}

struct session_board *session_board_map(int fd, unsigned columns, unsigned own)
{
    unsigned slots = find_slots(fd, columns);
    bool writes = own != SESSION_BOARD_READ;
    if (!slots || (writes && own >= columns))
        return NULL;
    struct session_board *b = calloc(1, sizeof *b);
    uint32_t *free_places = writes ? calloc(slots, sizeof *free_places) : NULL;
    size_t size = column_size(slots) * columns;
    void *memory = b && (free_places || !writes)
                       ? mmap(NULL, size, writes ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0)
                       : MAP_FAILED;
    if (memory == MAP_FAILED) {
        free(free_places);
        free(b);
        return NULL;
    }
    *b = (struct session_board){
        .memory = memory, .size = size, .columns = columns, .slots = slots, .own = own, .free = free_places};
    return b;
}

void session_board_unmap(struct session_board *b)
{
    if (!b)
        return;
    munmap(b->memory, b->size);
    free(b->free);
    free(b);
}

/* ---- The writer ---- */

/* One process writes a column, so the number is read and stored, not exchanged. */
static void write_begin(struct session_slot *slot)
{
    uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
    /* A predecessor may have died between the two. */
    atomic_store_explicit(&slot->sequence, sequence | 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void write_end(struct session_slot *slot)
{
    uint32_t sequence = atomic_load_explicit(&slot->sequence, memory_order_relaxed);
    atomic_store_explicit(&slot->sequence, (sequence | 1) + 1, memory_order_release);
}

static void copy_text(char *out, size_t room, struct span text)
{
    text = span_head(text, room - 1);
    if (text.size)
        memcpy(out, text.data, text.size);
    out[text.size] = 0;
}

static void count(_Atomic uint32_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1, memory_order_relaxed);
}

struct session_slot *session_board_begin(struct session_board *b, unsigned service, const unsigned char address[16],
                                         struct span session, uint64_t now)
{
    if (!b || b->own == SESSION_BOARD_READ)
        return NULL;
    struct column *column = column_at(b, b->own);
    uint32_t used = atomic_load_explicit(&column->used, memory_order_relaxed), place = used;
    if (b->free_count)
        place = b->free[--b->free_count];
    else if (used < b->slots)
        atomic_store_explicit(&column->used, used + 1, memory_order_relaxed);
    else
        return NULL;
    struct session_slot *slot = slot_at(b, b->own, place);
    write_begin(slot);
    slot->service = service + 1;
    slot->since = now;
    slot->account_id = 0;
    atomic_store_explicit(&slot->accepted, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->refused, 0, memory_order_relaxed);
    memcpy(slot->address, address, sizeof slot->address);
    copy_text(slot->session, sizeof slot->session, session);
    slot->account[0] = 0;
    write_end(slot);
    return slot;
}

void session_board_end(struct session_board *b, struct session_slot *slot)
{
    if (!b || !slot)
        return;
    write_begin(slot);
    slot->service = SERVICE_NONE;
    write_end(slot);
    b->free[b->free_count++] = (uint32_t)(slot - slot_at(b, b->own, 0));
}

void session_note_account(struct session_slot *slot, uint64_t account_id, struct span address)
{
    if (!slot)
        return;
    write_begin(slot);
    slot->account_id = account_id;
    copy_text(slot->account, sizeof slot->account, address);
    write_end(slot);
}

bool session_has_account(const struct session_slot *slot)
{
    return slot && slot->account_id != 0;
}

void session_note_accepted(struct session_slot *slot)
{
    if (slot)
        count(&slot->accepted);
}

void session_note_refused(struct session_slot *slot)
{
    if (slot)
        count(&slot->refused);
}

/* ---- The reader ---- */

unsigned session_board_columns(const struct session_board *b)
{
    return b->columns;
}

unsigned session_board_used(const struct session_board *b, unsigned column)
{
    if (column >= b->columns)
        return 0;
    uint32_t used = atomic_load_explicit(&column_at(b, column)->used, memory_order_relaxed);
    return used < b->slots ? used : b->slots;
}

/* Ends the text within its room, and leaves nothing in it that a terminal might obey. */
static void make_printable(char *text, size_t room)
{
    text[room - 1] = 0;
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

bool session_board_read(const struct session_board *b, unsigned column, unsigned place, struct session_view *view)
{
    if (column >= b->columns || place >= b->slots)
        return false;
    const struct session_slot *slot = slot_at(b, column, place);
    for (int i = 0; i < READ_TRIES; i++) {
        uint32_t before = atomic_load_explicit(&slot->sequence, memory_order_acquire);
        struct session_view v = {.service = slot->service, .since = slot->since, .account_id = slot->account_id};
        v.accepted = atomic_load_explicit(&slot->accepted, memory_order_relaxed);
        v.refused = atomic_load_explicit(&slot->refused, memory_order_relaxed);
        memcpy(v.address, slot->address, sizeof v.address);
        memcpy(v.session, slot->session, sizeof v.session);
        memcpy(v.account, slot->account, sizeof v.account);
        atomic_thread_fence(memory_order_acquire);
        if (before & 1 || atomic_load_explicit(&slot->sequence, memory_order_relaxed) != before)
            continue;
        if (v.service == SERVICE_NONE)
            return false;
        v.service--;
        make_printable(v.session, sizeof v.session);
        make_printable(v.account, sizeof v.account);
        *view = v;
        return true;
    }
    return false;
}

/* ---- The supervisor ---- */

void session_board_clear_column(struct session_board *b, unsigned column)
{
    unsigned used = session_board_used(b, column);
    for (unsigned i = 0; i < used; i++) {
        struct session_slot *slot = slot_at(b, column, i);
        write_begin(slot);
        slot->service = SERVICE_NONE;
        write_end(slot);
    }
    if (column < b->columns)
        atomic_store_explicit(&column_at(b, column)->used, 0, memory_order_relaxed);
}
