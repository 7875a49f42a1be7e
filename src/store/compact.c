#include "store/compact.h"

#include "base/log.h"
#include "store/change.h"
#include "store/door.h"
#include "store/mailbox.h"
#include "store/queue.h"
#include "store/remote_seen.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SLICE_RECORDS 256
#define SLICE_BYTES (2u << 20)
#define SLICE_EXPUNGED 2000 /* of a record of many small things, which takes several slices */
#define DONE_MAX 100000     /* notes; past it they are forgotten, and some things are carried over twice */

struct compaction {
    uint32_t volume;
    int fd;
    uint64_t position, end;
    uint32_t item;   /* of the expunge or the queue's record at `position`: those before it are carried over */
    bool is_lowest;  /* no older volume is left */
    struct map done; /* kind and id of what was carried over in this compaction */
    struct buf memory;
    struct arena arena;
};

void compaction_free(struct store *s)
{
    struct compaction *c = s->compaction;
    if (!c)
        return;
    s->compaction = NULL;
    close(c->fd);
    map_release(&c->done);
    buf_release(&c->memory);
    arena_release(&c->arena);
    free(c);
}

bool compaction_is_running(const struct store *s)
{
    return s->compaction != NULL;
}

static int choose(struct store *s, unsigned dead_percent, uint64_t *number, uint64_t *end)
{
    struct statement *st =
        database_query(s->db,
                       "SELECT number, end_position FROM volume WHERE state IN ($2, $3) AND dead_bytes > 0"
                       " AND dead_bytes * 100 >= end_position * $1"
                       " AND (state = $3 OR end_position >= $4) ORDER BY dead_bytes DESC LIMIT 1",
                       "uuuu", (uint64_t)dead_percent, (uint64_t)VOLUME_OPEN, (uint64_t)VOLUME_SEALED,
                       /* the newest is worth it only when it has some size */
                       dead_percent < 2 ? (uint64_t)0 : s->volume_size / 4);
    int rc = database_step(st);
    if (rc > 0) {
        *number = database_u64(st, 0);
        *end = database_u64(st, 1);
    }
    database_end(st);
    return rc;
}

/* Makes the newest volume an old one. */
static int seal_newest(struct store *s)
{
    uint64_t size = s->volume_size;
    s->volume_size = 0;
    int rc = store_begin(s);
    s->volume_size = size;
    return rc ? rc : store_commit(s);
}

int compaction_start(struct store *s, unsigned dead_percent)
{
    uint64_t number, end, lower = 0;
    if (s->compaction)
        return 1;
    int rc = choose(s, dead_percent, &number, &end);
    if (rc <= 0)
        return rc;
    if (number == s->volumes.number && (rc = seal_newest(s)) != 0)
        return rc;
    rc = database_find(s->db, &lower, "SELECT COUNT(*) FROM volume WHERE number < $1 AND state <> $2", "uu", number,
                       (uint64_t)VOLUME_REMOVED);
    struct compaction *c = rc > 0 ? calloc(1, sizeof(*c)) : NULL;
    if (!c)
        return rc < 0 ? rc : -ENOMEM;
    c->volume = (uint32_t)number;
    c->end = end;
    c->is_lowest = lower == 0;
    map_init(&c->done);
    buf_init(&c->memory, RECORD_FACTS_MAX);
    arena_init(&c->arena, 4ull * RECORD_FACTS_MAX);
    c->fd = volume_open(s->volumes.directory, c->volume);
    s->compaction = c;
    if (c->fd >= 0)
        return 1;
    rc = c->fd;
    compaction_free(s);
    return rc;
}

/* True the first time that this thing comes by. */
static bool is_first(struct compaction *c, char kind, uint64_t a, uint64_t b)
{
    char key[17] = {kind};
    memcpy(key + 1, &a, sizeof(a));
    memcpy(key + 9, &b, sizeof(b));
    struct span s = span_from(key, sizeof(key));
    if (map_get(&c->done, s) != NULL)
        return false;
    if (c->done.count >= DONE_MAX) {
        map_release(&c->done);
        map_init(&c->done);
    }
    /* Without memory for the note the thing is carried over twice, which does no harm. */
    int rc = map_put(&c->done, s, c);
    (void)rc;
    return true;
}

static int carry_mailbox(struct store *s, uint64_t id)
{
    return is_first(s->compaction, 'm', id, 0) ? mailbox_log(s, id) : 0;
}

/* The entries that are still there, as they are now. */
static int present_entries(struct store *s, struct message_facts *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->entry_count; i++) {
        struct message_entry *e = &f->entries[i];
        struct statement *st = database_query(
            s->db, "SELECT flags, modseq FROM entry WHERE mailbox_id = $1 AND uid = $2 AND message_id = $3", "uuu",
            e->mailbox_id, (uint64_t)e->uid, f->message_id);
        int rc = database_step(st);
        if (rc > 0) {
            e->flags = database_u64(st, 0);
            e->modseq = database_u64(st, 1);
            f->entries[kept++] = *e;
        }
        database_end(st);
        if (rc < 0)
            return rc;
        /* Its next uid must survive also where none of its messages does. */
        rc = carry_mailbox(s, e->mailbox_id);
        if (rc != 0)
            return rc;
    }
    f->entry_count = kept;
    return 0;
}

/* The queue entries that are still there, held or due as they are now. */
static int present_queued(struct store *s, struct message_facts *f)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < f->queued_count; i++) {
        uint64_t state;
        int rc = database_find(s->db, &state, "SELECT state FROM queue WHERE message_id = $1 AND number = $2", "uu",
                               f->message_id, (uint64_t)f->queued[i].number);
        if (rc < 0)
            return rc;
        if (rc == 0)
            continue;
        f->queued[i].state = (uint32_t)state;
        f->queued[kept++] = f->queued[i];
    }
    f->queued_count = kept;
    return 0;
}

static int message_row(struct store *s, uint64_t id, uint64_t *volume, uint64_t *position, uint64_t *living)
{
    struct statement *st = database_query(s->db, "SELECT volume, position, living FROM message WHERE id = $1", "u", id);
    int rc = database_step(st);
    if (rc > 0) {
        *volume = database_u64(st, 0);
        *position = database_u64(st, 1);
        *living = database_u64(st, 2);
    }
    database_end(st);
    return rc;
}

static int log_remote_seen(struct store *s, struct remote_seen_facts *f)
{
    int rc = remote_seen_keep(s->db, f, s->compaction->is_lowest);
    if (rc != 0 || f->count == 0)
        return rc;
    remote_seen_facts_write(&s->facts, f);
    struct record_place place;
    return store_append(s, RECORD_REMOTE_SEEN, NULL, &place);
}

static int carry_remote_seen(struct store *s, const struct record *record)
{
    struct remote_seen_facts f;
    return remote_seen_facts_parse(record->facts, &s->compaction->arena, &f) ? log_remote_seen(s, &f) : -EBADMSG;
}

/* A fetched message that was deleted here may still be at its provider: that it was dealt with outlives it. */
static int carry_fetched(struct store *s, const struct message_facts *m)
{
    struct remote_seen seen = {m->uidl, m->received_at};
    struct remote_seen_facts f = {.remote_id = m->remote_id, .items = &seen, .count = 1};
    return m->remote_id ? log_remote_seen(s, &f) : 0;
}

/* What is gone from its provider was forgotten, and the message need not tell of it any more. */
static int check_fetched(struct store *s, struct message_facts *m)
{
    uint64_t seen_at;
    int rc = m->remote_id ? remote_seen_find(s->db, m->remote_id, m->uidl, &seen_at) : 1;
    if (rc == 0)
        m->remote_id = 0;
    return rc < 0 ? rc : 0;
}

static int carry_message(struct store *s, const struct record *record)
{
    struct compaction *c = s->compaction;
    struct message_facts f;
    if (!message_facts_parse(record->facts, &c->arena, &f))
        return -EBADMSG;
    uint64_t volume, position, living;
    int rc = message_row(s, f.message_id, &volume, &position, &living);
    if (rc < 0)
        return rc;
    /* The volume will go: a living message that the database has elsewhere in it would go with it. */
    if (rc > 0 && volume == c->volume && position != record->position)
        return -EBADMSG;
    bool is_here = rc > 0 && volume == c->volume;
    rc = present_entries(s, &f);
    if (rc != 0 || !is_here)
        return rc;
    rc = present_queued(s, &f);
    if (rc != 0)
        return rc;
    if (living == 0) {
        rc = carry_fetched(s, &f);
        return rc ? rc : database_run(s->db, "DELETE FROM message WHERE id = $1", "u", f.message_id);
    }
    rc = check_fetched(s, &f);
    if (rc != 0)
        return rc;
    struct body body = {.kind = BODY_RECORD,
                        .message_id = f.message_id,
                        .fd = c->fd,
                        .size = record->header.body_size,
                        .record = record};
    message_facts_write(&s->facts, &f);
    struct record_place place;
    rc = store_append(s, RECORD_MESSAGE, &body, &place);
    if (rc != 0)
        return rc;
    return database_run(s->db, "UPDATE message SET volume = $2, position = $3, stored = $4 WHERE id = $1", "uuuu",
                        f.message_id, (uint64_t)place.volume, place.position, place.size);
}

static int carry_entry(struct store *s, const struct record *record)
{
    struct entry_facts f;
    if (!entry_facts_parse(record->facts, &f))
        return -EBADMSG;
    int rc = carry_mailbox(s, f.mailbox_id);
    if (rc != 0 || !is_first(s->compaction, 'e', f.mailbox_id, f.uid))
        return rc;
    struct statement *st =
        database_query(s->db, "SELECT flags, modseq FROM entry WHERE mailbox_id = $1 AND uid = $2 AND message_id = $3",
                       "uuu", f.mailbox_id, (uint64_t)f.uid, f.message_id);
    rc = database_step(st);
    if (rc > 0) {
        f.flags = database_u64(st, 0);
        f.modseq = database_u64(st, 1);
    }
    database_end(st);
    if (rc <= 0)
        return rc;
    entry_facts_write(&s->facts, &f);
    struct record_place place;
    return store_append(s, RECORD_ENTRY, NULL, &place);
}

/* An expunge is needed for as long as a record of its message exists that still names the mailbox. */
static int carry_expunge(struct store *s, const struct record *record)
{
    struct compaction *c = s->compaction;
    struct expunge_facts f;
    if (!expunge_facts_parse(record->facts, &c->arena, &f))
        return -EBADMSG;
    int rc = carry_mailbox(s, f.mailbox_id);
    uint32_t kept = 0, until = f.count - c->item > SLICE_EXPUNGED ? c->item + SLICE_EXPUNGED : f.count;
    for (uint32_t i = c->item; rc == 0 && i < until; i++) {
        uint64_t volume, position, living;
        rc = message_row(s, f.items[i].message_id, &volume, &position, &living);
        if (rc > 0 && (living > 0 || volume != c->volume))
            f.items[kept++] = f.items[i];
        rc = rc < 0 ? rc : 0;
    }
    c->item = until < f.count ? until : 0;
    f.count = kept;
    if (rc != 0 || kept == 0)
        return rc;
    expunge_facts_write(&s->facts, &f);
    struct record_place place;
    return store_append(s, RECORD_EXPUNGE, NULL, &place);
}

/* What is done is needed for as long as a record of the message still names it, as an expunge is. What is held or
 * released is told as it is now, and the message's own record says it, too, once it is carried over. */
static int carry_queue(struct store *s, const struct record *record)
{
    struct compaction *c = s->compaction;
    struct queue_facts f;
    if (!queue_facts_parse(record->facts, &c->arena, &f))
        return -EBADMSG;
    int rc = 0;
    uint32_t kept = 0, until = f.count - c->item > SLICE_EXPUNGED ? c->item + SLICE_EXPUNGED : f.count;
    for (uint32_t i = c->item; rc == 0 && i < until; i++) {
        uint64_t volume, position, living, state;
        rc = message_row(s, f.items[i].message_id, &volume, &position, &living);
        bool is_needed = rc > 0 && (living > 0 || volume != c->volume);
        if (rc > 0 && f.change != QUEUE_CHANGE_DONE) {
            rc = database_find(s->db, &state, "SELECT state FROM queue WHERE message_id = $1 AND number = $2", "uu",
                               f.items[i].message_id, (uint64_t)f.items[i].number);
            is_needed = rc > 0 && (state == QUEUE_STATE_HELD) == (f.change == QUEUE_CHANGE_HELD);
        }
        if (is_needed)
            f.items[kept++] = f.items[i];
        rc = rc < 0 ? rc : 0;
    }
    c->item = until < f.count ? until : 0;
    f.count = kept;
    return rc ? rc : queue_log(s, &f);
}

static int carry_removal(struct store *s, const struct record *record)
{
    uint64_t id;
    if (!id_facts_parse(record->facts, &id))
        return -EBADMSG;
    if (s->compaction->is_lowest)
        return 0;
    /* A remote account that was brought back has its id of before: the record of that lies behind this one. */
    uint64_t there;
    int rc = record->header.type == RECORD_DOOR_ITEM_REMOVED
                 ? database_find(s->db, &there, "SELECT id FROM door_item WHERE id = $1", "u", id)
                 : 0;
    if (rc != 0)
        return rc < 0 ? rc : 0;
    id_facts_write(&s->facts, id);
    struct record_place place;
    return store_append(s, record->header.type, NULL, &place);
}

/* The present row of the thing that the record is about. All these facts begin with the thing's id. */
static int carry_row(struct store *s, const struct record *record)
{
    static int (*const log[RECORD_TYPE_COUNT])(struct store *, uint64_t) = {
        [RECORD_MAILBOX] = mailbox_log,          [RECORD_DOMAIN] = change_log_domain,
        [RECORD_ACCOUNT] = change_log_account,   [RECORD_ALIAS] = change_log_alias,
        [RECORD_MAILING_LIST] = change_log_list, [RECORD_DOOR_ITEM] = change_log_door_item,
    };
    static const char kinds[RECORD_TYPE_COUNT] = {
        [RECORD_MAILBOX] = 'm', [RECORD_DOMAIN] = 'd',       [RECORD_ACCOUNT] = 'a',
        [RECORD_ALIAS] = 'l',   [RECORD_MAILING_LIST] = 'L', [RECORD_DOOR_ITEM] = 'D'};
    uint64_t id;
    if (record->facts.size < 8 || !id_facts_parse(span_head(record->facts, 8), &id))
        return -EBADMSG;
    uint32_t type = record->header.type;
    return is_first(s->compaction, kinds[type], id, 0) ? log[type](s, id) : 0;
}

static int carry(struct store *s, const struct record *record)
{
    switch (record->header.type) {
    case RECORD_VOLUME:
        return 0;
    case RECORD_MESSAGE:
        return carry_message(s, record);
    case RECORD_ENTRY:
        return carry_entry(s, record);
    case RECORD_EXPUNGE:
        return carry_expunge(s, record);
    case RECORD_QUEUE:
        return carry_queue(s, record);
    case RECORD_REMOTE_SEEN:
        return carry_remote_seen(s, record);
    case RECORD_MAILBOX_REMOVED:
    case RECORD_DOMAIN_REMOVED:
    case RECORD_ACCOUNT_REMOVED:
    case RECORD_ALIAS_REMOVED:
    case RECORD_MAILING_LIST_REMOVED:
    case RECORD_DOOR_ITEM_REMOVED:
        return carry_removal(s, record);
    default:
        return carry_row(s, record);
    }
}

/* Outside of a batch: the file goes after the transaction that no longer needs it. */
static int remove_file(struct store *s, uint32_t number, uint64_t size)
{
    char name[VOLUME_NAME_SIZE];
    volume_name(number, name);
    /* Without the sync the database could forget a volume whose file a power cut brings back: no start would follow. */
    if ((unlinkat(s->volumes.directory, name, 0) != 0 && errno != ENOENT) || fsync(s->volumes.directory) != 0) {
        log_write(LOG_PROBLEM, "store", NULL,
                  "a compacted volume could not be removed; the next start does it volume=%u error=%s", number,
                  strerror(errno));
        return 0;
    }
    s->counts.volumes_removed++;
    s->counts.bytes_freed += size;
    log_write(LOG_LOW, "store", NULL, "compacted volume=%u bytes=%ju", number, (uintmax_t)size);
    return database_run(s->db, "DELETE FROM volume WHERE number = $1", "u", (uint64_t)number);
}

static int damaged(struct store *s)
{
    struct compaction *c = s->compaction;
    log_write(LOG_CRASH, "store", NULL,
              "damaged record; the volume is kept and not compacted: run `ostiary store check` volume=%u position=%ju",
              c->volume, (uintmax_t)c->position);
    int rc = database_run(s->db, "UPDATE volume SET state = $2 WHERE number = $1", "uu", (uint64_t)c->volume,
                          (uint64_t)VOLUME_DAMAGED);
    compaction_free(s);
    return rc ? rc : -EBADMSG;
}

static int slice(struct store *s, bool *finished)
{
    struct compaction *c = s->compaction;
    uint64_t start = c->position;
    int rc = 0;
    for (int n = 0; rc == 0 && n < SLICE_RECORDS && c->position - start < SLICE_BYTES; n++) {
        struct record record;
        rc = record_read(c->fd, c->volume, s->volumes.mark, c->position, c->end, &c->memory, &record);
        if (rc != 0)
            break;
        arena_reset(&s->arena);
        arena_reset(&c->arena);
        rc = carry(s, &record);
        if (rc == 0 && c->item > 0)
            break;
        if (rc == 0)
            c->position += record_size(&record.header);
    }
    *finished = rc == -ENODATA;
    return *finished ? 0 : rc;
}

int compaction_step(struct store *s)
{
    struct compaction *c = s->compaction;
    if (!c)
        return 0;
    uint64_t start = c->position;
    uint32_t start_item = c->item;
    bool finished = false;
    int rc = store_begin(s);
    if (rc != 0)
        return rc;
    rc = slice(s, &finished);
    if (rc == 0 && finished)
        rc = database_run(s->db, "UPDATE volume SET state = $2 WHERE number = $1", "uu", (uint64_t)c->volume,
                          (uint64_t)VOLUME_REMOVED);
    if (rc == 0 && (rc = store_commit(s)) == 0) {
        if (!finished)
            return 1;
        uint32_t volume = c->volume;
        uint64_t size = c->end;
        compaction_free(s);
        return remove_file(s, volume, size);
    }
    uint64_t failed_at = c->position;
    store_abort(s);
    if (rc == -EBADMSG) {
        c->position = failed_at;
        return damaged(s);
    }
    /* What this slice noted as carried over was not. */
    c->position = start;
    c->item = start_item;
    map_release(&c->done);
    map_init(&c->done);
    return rc;
}
