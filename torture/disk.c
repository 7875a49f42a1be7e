#include "disk.h"

#include "recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define NO_NODE SIZE_MAX
#define SIZE_MAX_FILE ((uint64_t)1 << 30)

struct image {
    char *bytes;
    size_t size, room;
};

/* What was done to a file since its last sync: a write, or a new size. */
struct deed {
    bool is_write;
    uint64_t offset; /* of the write; the new size */
    struct span data;
};

struct node {
    uint64_t inode;
    bool is_directory, is_index; /* the second: a log's index, which is not durable state */
    struct image synced, now;
    struct deed *deeds;
    size_t deed_count, deed_room;
};

struct entry {
    size_t parent, node; /* places in disk.nodes */
    struct span name;
};

struct names {
    struct entry *entries;
    size_t count, room;
};

/* What was done to names since their directory's last sync. */
struct change {
    uint64_t moment;
    enum recorded_kind kind;
    size_t parent, node, new_parent;
    struct span name, new_name;
};

struct disk {
    struct node *nodes;
    size_t node_count, node_room;
    struct names synced, now;
    struct change *changes;
    size_t change_count, change_room;
    uint64_t moment, last_forced; /* the newest change that a directory's sync made durable */
    size_t last_written;          /* node of the last entry, when that was a write; else NO_NODE */
    bool has_changed, is_lying;
};

const char *crash_kind_name(enum crash_kind kind)
{
    static const char *const names[CRASH_KIND_COUNT] = {"prefix", "torn", "bare", "journal", "weak"};
    return names[kind];
}

/* ---- Small things ---- */

static uint64_t next_random(uint64_t *state)
{
    /* splitmix64: a seed of any kind will do. */
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* 0 … most */
static size_t up_to(uint64_t *state, size_t most)
{
    return (size_t)(next_random(state) % ((uint64_t)most + 1));
}

/* Room for one more in an array that doubles. */
static int grow(void *array, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return 0;
    size_t wanted = *room ? *room * 2 : 16;
    void *more = realloc(*(void **)array, wanted * size);
    if (!more)
        return -ENOMEM;
    *(void **)array = more;
    *room = wanted;
    return 0;
}

static int image_resize(struct image *image, uint64_t size)
{
    if (size > SIZE_MAX_FILE)
        return -EFBIG;
    if (size > image->room) {
        size_t room = size < 4096 ? 4096 : (size_t)size * 2;
        char *bytes = realloc(image->bytes, room);
        if (!bytes)
            return -ENOMEM;
        image->bytes = bytes;
        image->room = room;
    }
    if (size > image->size)
        memset(image->bytes + image->size, 0, (size_t)size - image->size);
    image->size = (size_t)size;
    return 0;
}

static int image_do(struct image *image, const struct deed *deed)
{
    if (!deed->is_write)
        return image_resize(image, deed->offset);
    uint64_t end = deed->offset + deed->data.size;
    int rc = end > image->size ? image_resize(image, end) : 0;
    if (rc == 0)
        memcpy(image->bytes + deed->offset, deed->data.data, deed->data.size);
    return rc;
}

/* ---- Names ---- */

static size_t find_entry(const struct names *names, size_t parent, struct span name)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->entries[i].parent == parent && span_equal(names->entries[i].name, name))
            return i;
    return NO_NODE;
}

static void remove_entry(struct names *names, size_t parent, struct span name)
{
    size_t i = find_entry(names, parent, name);
    if (i != NO_NODE)
        names->entries[i] = names->entries[--names->count];
}

static int put_entry(struct names *names, size_t parent, struct span name, size_t node)
{
    remove_entry(names, parent, name);
    int rc = grow(&names->entries, names->count, &names->room, sizeof(*names->entries));
    if (rc == 0)
        names->entries[names->count++] = (struct entry){parent, node, name};
    return rc;
}

/* A change whose ground is missing, since one before it did not happen, does not happen either. */
static int names_do(struct names *names, const struct change *c)
{
    size_t at = find_entry(names, c->parent, c->name);
    switch (c->kind) {
    case RECORDED_UNLINK:
        remove_entry(names, c->parent, c->name);
        return 0;
    case RECORDED_RENAME:
        if (at == NO_NODE || names->entries[at].node != c->node)
            return 0;
        remove_entry(names, c->parent, c->name);
        return put_entry(names, c->new_parent, c->new_name, c->node);
    default:
        return put_entry(names, c->parent, c->name, c->node);
    }
}

static int names_copy(struct names *to, const struct names *from)
{
    *to = (struct names){calloc(from->count + 1, sizeof(*to->entries)), from->count, from->count + 1};
    if (to->entries && from->count)
        memcpy(to->entries, from->entries, from->count * sizeof(*to->entries));
    return to->entries ? 0 : -ENOMEM;
}

/* ---- Playing ---- */

/* The newest of that number: inodes are given again once a file is gone. */
static size_t find_node(const struct disk *disk, uint64_t inode)
{
    for (size_t i = disk->node_count; i > 0; i--)
        if (disk->nodes[i - 1].inode == inode)
            return i - 1;
    return NO_NODE;
}

static int add_node(struct disk *disk, uint64_t inode, bool is_directory)
{
    int rc = grow(&disk->nodes, disk->node_count, &disk->node_room, sizeof(*disk->nodes));
    if (rc == 0)
        disk->nodes[disk->node_count++] = (struct node){.inode = inode, .is_directory = is_directory};
    return rc;
}

struct disk *disk_new(uint64_t root)
{
    struct disk *disk = calloc(1, sizeof(*disk));
    if (disk && add_node(disk, root, true) != 0) {
        free(disk);
        return NULL;
    }
    return disk;
}

void disk_free(struct disk *disk)
{
    if (!disk)
        return;
    for (size_t i = 0; i < disk->node_count; i++) {
        free(disk->nodes[i].synced.bytes);
        free(disk->nodes[i].now.bytes);
        free(disk->nodes[i].deeds);
    }
    free(disk->nodes);
    free(disk->synced.entries);
    free(disk->now.entries);
    free(disk->changes);
    free(disk);
}

static int play_deed(struct disk *disk, size_t at, const struct deed *deed)
{
    struct node *node = &disk->nodes[at];
    if (node->is_index)
        return 0;
    int rc = grow(&node->deeds, node->deed_count, &node->deed_room, sizeof(*node->deeds));
    if (rc != 0)
        return rc;
    node->deeds[node->deed_count++] = *deed;
    disk->has_changed = true;
    disk->last_written = deed->is_write ? at : NO_NODE;
    return image_do(&node->now, deed);
}

static int play_file_sync(struct node *node)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < node->deed_count; i++)
        rc = image_do(&node->synced, &node->deeds[i]);
    node->deed_count = 0;
    return rc;
}

static int play_directory_sync(struct disk *disk, size_t directory)
{
    size_t kept = 0;
    int rc = 0;
    for (size_t i = 0; i < disk->change_count; i++) {
        const struct change c = disk->changes[i];
        if (c.parent != directory && !(c.kind == RECORDED_RENAME && c.new_parent == directory)) {
            disk->changes[kept++] = c;
            continue;
        }
        disk->last_forced = c.moment;
        rc = rc ? rc : names_do(&disk->synced, &c);
    }
    disk->change_count = kept;
    return rc;
}

static int play_change(struct disk *disk, struct change c)
{
    int rc = grow(&disk->changes, disk->change_count, &disk->change_room, sizeof(*disk->changes));
    if (rc != 0)
        return rc;
    c.moment = disk->moment;
    disk->changes[disk->change_count++] = c;
    disk->has_changed = true;
    return names_do(&disk->now, &c);
}

/* What happens outside of the tree is nothing to it. */
static int play_name(struct disk *disk, const struct recorded *r, struct span name, struct span new_name)
{
    struct change c = {.kind = r->kind, .parent = find_node(disk, r->parent), .name = name, .new_name = new_name};
    c.new_parent = c.parent;
    if (c.parent == NO_NODE)
        return 0;
    size_t there = find_entry(&disk->now, c.parent, name);
    if (r->kind == RECORDED_FILE || r->kind == RECORDED_DIRECTORY) {
        int rc = add_node(disk, r->inode, r->kind == RECORDED_DIRECTORY);
        c.node = disk->node_count - 1;
        disk->nodes[c.node].is_index = span_ends_nocase(name, span_text("-shm"));
        return rc ? rc : play_change(disk, c);
    }
    if (r->kind == RECORDED_LINK) {
        c.node = find_node(disk, r->inode);
        if (c.node == NO_NODE)
            return 0;
    } else if (there != NO_NODE) {
        c.node = disk->now.entries[there].node;
        c.new_parent = r->kind == RECORDED_RENAME ? find_node(disk, r->inode) : c.parent;
    } else {
        return 0; /* a socket: no call that makes a file has made it */
    }
    return play_change(disk, c);
}

int disk_play(struct disk *disk, const struct recorded *r, struct buf *problem)
{
    const char *at = (const char *)(r + 1);
    struct span name = span_from(at, r->name_size), new_name = span_from(at + r->name_size, r->new_name_size);
    struct deed deed = {r->kind == RECORDED_WRITE, r->offset,
                        span_from(at + r->name_size + r->new_name_size, r->data_size)};
    disk->moment++;
    disk->has_changed = false;
    disk->last_written = NO_NODE;
    if (r->kind >= RECORDED_FILE && r->kind <= RECORDED_RENAME)
        return play_name(disk, r, name, new_name);
    size_t node = find_node(disk, r->inode);
    if (node == NO_NODE)
        return 0;
    switch (r->kind) {
    case RECORDED_WRITE:
    case RECORDED_SIZE:
        return play_deed(disk, node, &deed);
    case RECORDED_SYNC:
        if (disk->is_lying && !disk->nodes[node].is_directory)
            return 0;
        return disk->nodes[node].is_directory ? play_directory_sync(disk, node) : play_file_sync(&disk->nodes[node]);
    case RECORDED_MAPPED:
        if (disk->nodes[node].is_index)
            return 0;
        buf_add_text(problem, "a file that counts was written to by a way that is not recorded (mmap, fallocate, …)");
        return -ENOTSUP;
    default:
        buf_printf(problem, "the recording has an entry of kind %u", r->kind);
        return -EPROTO;
    }
}

void disk_lie(struct disk *disk)
{
    disk->is_lying = true;
}

bool disk_has_changed(const struct disk *disk)
{
    return disk->has_changed;
}

bool disk_may_tear(const struct disk *disk)
{
    return disk->last_written != NO_NODE;
}

/* ---- A file after the cut ---- */

struct cut {
    const struct disk *disk;
    enum crash_kind kind;
    uint64_t seed;
    size_t block; /* what the disk writes at once, in bytes */
    struct names names;
};

/* How many of a file's deeds had reached the disk: of each block, and of the size. */
struct reach {
    size_t *blocks, count, size;
};

/* Mostly nothing or everything: what is lost of one file beside all of another one is worth more tries than dust. */
static void choose_reach(struct cut *cut, const struct node *node, struct reach *reach)
{
    size_t most = node->deed_count, same = up_to(&cut->seed, most), way = up_to(&cut->seed, 5);
    if (cut->kind == CRASH_PREFIX || cut->kind == CRASH_TORN || cut->kind == CRASH_BARE)
        way = cut->kind == CRASH_BARE ? 0 : 1;
    size_t all = way == 0 ? 0 : way == 1 ? most : same;
    for (size_t i = 0; i < reach->count; i++)
        reach->blocks[i] = way < 3 ? all : up_to(&cut->seed, most);
    reach->size = way < 4 ? all : up_to(&cut->seed, most);
}

/* data=ordered: the data of a block that the file has grown by is there before the size is. */
static void order_growth(const struct cut *cut, const struct node *node, struct reach *reach)
{
    uint64_t size = node->synced.size;
    for (size_t i = 0; i < reach->size; i++) {
        const struct deed *d = &node->deeds[i];
        uint64_t end = d->is_write ? d->offset + d->data.size : d->offset;
        if (d->is_write && end > size)
            for (size_t b = d->offset / cut->block; b * cut->block < end; b++)
                reach->blocks[b] = reach->blocks[b] > i ? reach->blocks[b] : i + 1;
        size = d->is_write && end < size ? size : end;
    }
}

static void tear_last(struct cut *cut, const struct node *node, struct reach *reach)
{
    size_t last = node->deed_count - 1;
    const struct deed *d = &node->deeds[last];
    for (size_t b = d->offset / cut->block; b * cut->block < d->offset + d->data.size; b++)
        reach->blocks[b] = next_random(&cut->seed) & 1 ? last : last + 1;
    reach->size = next_random(&cut->seed) & 1 ? last : last + 1;
}

/* What stands in the blocks that nothing of this file has reached yet. */
static void fill_stale(struct cut *cut, struct image *image, size_t from)
{
    bool is_dirty = cut->kind == CRASH_WEAK && (next_random(&cut->seed) & 1);
    for (size_t i = from; is_dirty && i < image->size; i++)
        image->bytes[i] = (char)(i * 131 + 7);
}

static void do_in_blocks(const struct cut *cut, const struct reach *reach, struct image *image, const struct deed *d,
                         size_t number)
{
    uint64_t end = d->is_write ? d->offset + d->data.size : image->size;
    for (uint64_t b = d->offset / cut->block; b * cut->block < end; b++) {
        uint64_t from = b * cut->block < d->offset ? d->offset : b * cut->block;
        uint64_t to = (b + 1) * cut->block < end ? (b + 1) * cut->block : end;
        if (reach->blocks[b] <= number)
            continue;
        if (d->is_write)
            memcpy(image->bytes + from, d->data.data + (from - d->offset), (size_t)(to - from));
        else
            memset(image->bytes + from, 0, (size_t)(to - from));
    }
}

static int cut_file(struct cut *cut, const struct node *node, struct image *image)
{
    uint64_t size = node->synced.size, largest = size;
    for (size_t i = 0; i < node->deed_count; i++) {
        uint64_t end = node->deeds[i].offset + (node->deeds[i].is_write ? node->deeds[i].data.size : 0);
        largest = end > largest ? end : largest;
    }
    struct reach reach = {.count = (size_t)(largest / cut->block) + 1};
    reach.blocks = calloc(reach.count, sizeof(*reach.blocks));
    int rc = reach.blocks ? image_resize(image, largest) : -ENOMEM;
    if (rc == 0) {
        if (node->synced.size)
            memcpy(image->bytes, node->synced.bytes, node->synced.size);
        fill_stale(cut, image, node->synced.size);
        choose_reach(cut, node, &reach);
        if (cut->kind == CRASH_JOURNAL)
            order_growth(cut, node, &reach);
        if (cut->kind == CRASH_TORN && node == &cut->disk->nodes[cut->disk->last_written])
            tear_last(cut, node, &reach);
        for (size_t i = 0; i < node->deed_count; i++)
            do_in_blocks(cut, &reach, image, &node->deeds[i], i);
        for (size_t i = 0; i < reach.size; i++) {
            const struct deed *d = &node->deeds[i];
            uint64_t end = d->offset + (d->is_write ? d->data.size : 0);
            size = d->is_write && end < size ? size : end;
        }
        rc = image_resize(image, size);
    }
    free(reach.blocks);
    return rc;
}

/* ---- Names after the cut, and all of it ---- */

static int cut_names(struct cut *cut)
{
    const struct disk *disk = cut->disk;
    bool is_all = cut->kind == CRASH_PREFIX || cut->kind == CRASH_TORN;
    int rc = names_copy(&cut->names, is_all ? &disk->now : &disk->synced);
    if (is_all || cut->kind == CRASH_BARE)
        return rc;
    size_t least = 0;
    while (least < disk->change_count && disk->changes[least].moment < disk->last_forced)
        least++;
    size_t until = least + up_to(&cut->seed, disk->change_count - least);
    for (size_t i = 0; rc == 0 && i < disk->change_count; i++) {
        bool happened = cut->kind == CRASH_WEAK ? next_random(&cut->seed) & 1 : i < until;
        rc = happened ? names_do(&cut->names, &disk->changes[i]) : 0;
    }
    return rc;
}

static int write_file(const char *path, const char *bytes, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = fd < 0 ? -errno : 0;
    for (size_t done = 0; rc == 0 && done < size;) {
        ssize_t n = write(fd, bytes + done, size - done);
        rc = n < 0 ? -errno : 0;
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

static int write_node(struct cut *cut, size_t at, const char *path, int depth);

static int write_below(struct cut *cut, size_t directory, const char *path, int depth)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < cut->names.count; i++) {
        const struct entry *e = &cut->names.entries[i];
        char below[4096];
        if (e->parent != directory)
            continue;
        int size = snprintf(below, sizeof(below), "%s/%.*s", path, SPAN_ARG(e->name));
        rc = size < 0 || (size_t)size >= sizeof(below) ? -ENAMETOOLONG : write_node(cut, e->node, below, depth + 1);
    }
    return rc;
}

static int write_node(struct cut *cut, size_t at, const char *path, int depth)
{
    const struct node *node = &cut->disk->nodes[at];
    struct image image = {0};
    int rc;
    if (node->is_directory) {
        rc = depth > DEPTH_MAX ? -ELOOP : mkdir(path, 0700) != 0 ? -errno : 0;
        return rc ? rc : write_below(cut, at, path, depth);
    }
    if (node->is_index) {
        /* Memory shared by processes that are gone: whatever stands in it must be no harm. */
        char rubbish[4096];
        for (size_t i = 0; i < sizeof(rubbish); i++)
            rubbish[i] = (char)next_random(&cut->seed);
        return up_to(&cut->seed, 3) ? 0 : write_file(path, rubbish, sizeof(rubbish));
    }
    /* Most files of a cut: as they were synced is as they are. */
    if (cut->kind == CRASH_PREFIX || node->deed_count == 0)
        return write_file(path, node->now.bytes, node->now.size);
    rc = cut_file(cut, node, &image);
    if (rc == 0)
        rc = write_file(path, image.bytes, image.size);
    free(image.bytes);
    return rc;
}

int disk_crash(const struct disk *disk, enum crash_kind kind, uint64_t seed, const char *name, const char *path)
{
    struct cut cut = {.disk = disk, .kind = kind, .seed = seed};
    cut.block = seed & 1 ? 512 : 4096;
    int rc = cut_names(&cut);
    size_t at = rc == 0 ? find_entry(&cut.names, 0, span_text(name)) : NO_NODE;
    if (at != NO_NODE)
        rc = write_node(&cut, cut.names.entries[at].node, path, 0);
    free(cut.names.entries);
    return rc;
}
