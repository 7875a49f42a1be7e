#include "store/check.h"

#include "store/check_pages.h"
#include "store/core.h"
#include "store/view.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX (1u << 20)
#define PAGE 1000

struct check {
    struct view view;
    struct store_check_report *report;
    store_check_progress *progress;
    void *context;
    uint64_t all_bytes, last_lsn;
    struct buf memory;
    struct arena arena;
};

static void problem(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int unfinished(struct check *c, int error)
{
    buf_printf(&c->report->text, "The check could not be finished: %s.\n", strerror(-error));
    return error;
}

static void problem(struct check *c, const char *format, ...)
{
    struct buf *text = &c->report->text;
    va_list args;
    c->report->problems++;
    if (text->size > TEXT_MAX - 4096)
        return; /* counted, and no longer told */
    va_start(args, format);
    buf_vprintf(text, format, args);
    va_end(args);
    buf_add_char(text, '\n');
}

/* ---- Volumes ---- */

static int check_record(struct check *c, int fd, const struct record *record)
{
    const struct record_header *h = &record->header;
    c->report->records++;
    if (h->lsn <= c->last_lsn)
        problem(c, "Volume %04u, position %" PRIu64 ": record %" PRIu64 " stands behind record %" PRIu64 ".", h->volume,
                record->position, h->lsn, c->last_lsn);
    c->last_lsn = h->lsn;
    if (h->type != RECORD_MESSAGE)
        return 0;
    struct message_facts f;
    arena_reset(&c->arena);
    if (!message_facts_parse(record->facts, &c->arena, &f)) {
        problem(c, "Volume %04u, position %" PRIu64 ": the facts of a message do not parse.", h->volume,
                record->position);
        return 0;
    }
    c->report->messages++;
    int rc = body_verify(fd, record, f.message_id);
    if (rc == -EBADMSG)
        problem(c, "Volume %04u, position %" PRIu64 ": the body of message %" PRIu64 " is damaged.", h->volume,
                record->position, f.message_id);
    return rc == -EBADMSG ? 0 : rc;
}

static int check_records(struct check *c, int fd, uint32_t number, uint64_t end)
{
    uint64_t position = 0;
    int rc = 0;
    while (rc == 0 && position < end) {
        struct record record;
        rc = record_read(fd, number, c->view.mark, position, end, &c->memory, &record);
        uint64_t next = position;
        if (rc == 0) {
            next += record_size(&record.header);
            rc = check_record(c, fd, &record);
        } else if (rc == -EBADMSG) {
            rc = record_search(fd, number, c->view.mark, position + 1, end, &next);
            /* A file that is shorter than it should be ends the search as well. */
            next = rc == -EBADMSG ? end : next;
            rc = rc == -EBADMSG ? 0 : rc;
            problem(c, "Volume %04u is damaged from position %" PRIu64 " to %" PRIu64 ".", number, position, next);
        }
        c->report->bytes += next - position;
        position = next;
        if (c->progress)
            c->progress(c->context, c->report->bytes, c->all_bytes);
    }
    return rc;
}

/* 1: a volume behind `after`; 0: no more. */
static int next_volume(struct check *c, uint64_t after, uint64_t *number, uint64_t *end)
{
    struct statement *st = database_query(
        c->view.db, "SELECT number, end_position FROM volume WHERE number > $1 AND state <> $2 ORDER BY number LIMIT 1",
        "uu", after, (uint64_t)VOLUME_REMOVED);
    int rc = database_step(st);
    if (rc > 0) {
        *number = database_u64(st, 0);
        *end = database_u64(st, 1);
    }
    database_end(st);
    return rc;
}

static int check_volumes(struct check *c)
{
    uint64_t number = 0, end, again;
    int rc = database_find(c->view.db, &c->all_bytes, "SELECT COALESCE(SUM(end_position), 0) FROM volume", "");
    while (rc >= 0 && (rc = next_volume(c, number, &number, &end)) > 0) {
        int fd = volume_open(c->view.directory, (uint32_t)number);
        if (fd == -ENOENT) {
            /* Unless it was compacted away at this very moment. */
            rc = database_find(c->view.db, &again, "SELECT number FROM volume WHERE number = $1 AND state <> $2", "uu",
                               number, (uint64_t)VOLUME_REMOVED);
            if (rc > 0)
                problem(c, "Volume %04" PRIu64 " is missing.", number);
        } else if (fd < 0) {
            return fd;
        } else {
            c->report->volumes++;
            rc = check_records(c, fd, (uint32_t)number, end);
            close(fd);
        }
    }
    return rc;
}

/* ---- The database's references ---- */

struct row {
    uint64_t id, volume, position, stored, size;
};

static int read_rows(struct check *c, uint64_t after, struct row *rows, size_t *count)
{
    struct statement *st = database_query(
        c->view.db, "SELECT id, volume, position, stored, size FROM message WHERE id > $1 ORDER BY id LIMIT 1000", "u",
        after);
    int rc = 0;
    *count = 0;
    while (*count < PAGE && (rc = database_step(st)) > 0)
        rows[(*count)++] = (struct row){database_u64(st, 0), database_u64(st, 1), database_u64(st, 2),
                                        database_u64(st, 3), database_u64(st, 4)};
    database_end(st);
    return rc < 0 ? rc : 0;
}

static bool record_is_of(struct check *c, int fd, const struct row *row)
{
    struct record record;
    struct message_facts f;
    arena_reset(&c->arena);
    return record_read(fd, (uint32_t)row->volume, c->view.mark, row->position, row->position + row->stored, &c->memory,
                       &record) == 0 &&
           record.header.type == RECORD_MESSAGE && record.header.body_size == row->size &&
           message_facts_parse(record.facts, &c->arena, &f) && f.message_id == row->id;
}

static int check_row(struct check *c, const struct row *row, uint32_t *open_number, int *fd)
{
    uint64_t still;
    if (*open_number != row->volume) {
        if (*fd >= 0)
            close(*fd);
        *fd = volume_open(c->view.directory, (uint32_t)row->volume);
        *open_number = (uint32_t)row->volume;
    }
    if (*fd >= 0 && record_is_of(c, *fd, row))
        return 0;
    int rc = database_find(c->view.db, &still, "SELECT id FROM message WHERE id = $1 AND volume = $2 AND position = $3",
                           "uuu", row->id, row->volume, row->position);
    if (rc > 0)
        problem(c, "Message %" PRIu64 ": its record is not in volume %04" PRIu64 " at position %" PRIu64 ".", row->id,
                row->volume, row->position);
    return rc < 0 ? rc : 0;
}

static int check_rows(struct check *c)
{
    struct row *rows = calloc(PAGE, sizeof(*rows));
    uint64_t after = 0;
    uint32_t open_number = 0;
    size_t count;
    int fd = -1, rc = rows ? 0 : -ENOMEM;
    while (rc == 0 && (rc = read_rows(c, after, rows, &count)) == 0 && count > 0) {
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = check_row(c, &rows[i], &open_number, &fd);
        after = rows[count - 1].id;
    }
    if (fd >= 0)
        close(fd);
    free(rows);
    return rc;
}

/* Each query gives a row (an id, what is, what should be) for each thing that is wrong. */
static const struct {
    const char *sentence, *sql;
} counters[] = {
    {"Mailbox %" PRIu64 ": it counts %" PRIu64 " messages and has %" PRIu64 ".\n",
     "SELECT m.id, m.messages, COUNT(e.uid) FROM mailbox m LEFT JOIN entry e ON e.mailbox_id = m.id GROUP BY m.id, "
     "m.messages"
     " HAVING m.messages <> COUNT(e.uid)"},
    {"Mailbox %" PRIu64 ": it counts %" PRIu64 " bytes and has %" PRIu64 " (its account's quota is wrong).\n",
     "SELECT m.id, m.bytes, COALESCE(SUM(e.size), 0) FROM mailbox m LEFT JOIN entry e ON e.mailbox_id = m.id GROUP BY "
     "m.id, m.bytes"
     " HAVING m.bytes <> COALESCE(SUM(e.size), 0)"},
    {"Mailbox %" PRIu64 ": its next uid is %" PRIu64 " and it has uid %" PRIu64 ".\n",
     "SELECT m.id, m.uidnext, MAX(e.uid) FROM mailbox m JOIN entry e ON e.mailbox_id = m.id GROUP BY m.id, m.uidnext"
     " HAVING MAX(e.uid) >= m.uidnext"},
    {"Message %" PRIu64 ": it counts %" PRIu64 " mailboxes and queue entries and has %" PRIu64 ".\n",
     "SELECT m.id, m.living, COALESCE(t.n, 0) FROM message m LEFT JOIN (SELECT b.message_id, COUNT(*) AS n FROM"
     " (SELECT message_id FROM entry UNION ALL SELECT message_id FROM queue) b GROUP BY b.message_id) t"
     " ON t.message_id = m.id WHERE m.living <> COALESCE(t.n, 0)"},
    {"Queue entry %" PRIx64 ".%" PRIu64 ": there is no message %" PRIu64 ".\n",
     "SELECT q.message_id, q.number, q.message_id FROM queue q LEFT JOIN message m ON m.id = q.message_id WHERE m.id "
     "IS "
     "NULL"},
    {"Queue entry %" PRIx64 ".%" PRIu64 ": the size of message %" PRIu64 " is wrong.\n",
     "SELECT q.message_id, q.number, q.message_id FROM queue q JOIN message m ON m.id = q.message_id WHERE m.size <> "
     "q.size"},
    {"Queue entry %" PRIx64 ".%" PRIu64 ": there is no kind or state %" PRIu64 " of one.\n",
     "SELECT message_id, number, CASE WHEN kind BETWEEN 1 AND 3 THEN state ELSE kind END FROM queue"
     " WHERE kind NOT BETWEEN 1 AND 3 OR state NOT BETWEEN 0 AND 1"},
    {"Mailbox %" PRIu64 ", uid %" PRIu64 ": there is no message %" PRIu64 ".\n",
     "SELECT e.mailbox_id, e.uid, e.message_id FROM entry e LEFT JOIN message m ON m.id = e.message_id WHERE m.id IS "
     "NULL"},
    {"Mailbox %" PRIu64 ", uid %" PRIu64 ": the size of message %" PRIu64 " is wrong.\n",
     "SELECT e.mailbox_id, e.uid, e.message_id FROM entry e JOIN message m ON m.id = e.message_id WHERE m.size <> "
     "e.size"},
    {"Mailbox %" PRIu64 ", uid %" PRIu64 ": there is no such mailbox (message %" PRIu64 ").\n",
     "SELECT e.mailbox_id, e.uid, e.message_id FROM entry e LEFT JOIN mailbox m ON m.id = e.mailbox_id WHERE m.id IS "
     "NULL"},
    {"Mailbox %" PRIu64 " is of account %" PRIu64 ", which is not there (%" PRIu64 ").\n",
     "SELECT m.id, m.account_id, 0 FROM mailbox m LEFT JOIN account a ON a.id = m.account_id WHERE a.id IS NULL"},
    {"Account %" PRIu64 " is of domain %" PRIu64 ", which is not there (%" PRIu64 ").\n",
     "SELECT a.id, a.domain_id, 0 FROM account a LEFT JOIN domain d ON d.id = a.domain_id WHERE d.id IS NULL"},
    {"Domain %" PRIu64 " is another name of domain %" PRIu64 ", which is not there or is itself one of %" PRIu64 ".\n",
     "SELECT d.id, d.alias_of, COALESCE(o.alias_of, 0) FROM domain d LEFT JOIN domain o ON o.id = d.alias_of"
     " WHERE d.alias_of <> 0 AND (o.id IS NULL OR o.alias_of <> 0)"},
    {"Alias %" PRIu64 " is of domain %" PRIu64 ", which is not there (%" PRIu64 ").\n",
     "SELECT a.id, a.domain_id, 0 FROM alias a LEFT JOIN domain d ON d.id = a.domain_id WHERE d.id IS NULL"},
    {"Alias %" PRIu64 " is not there and has target %" PRIu64 " (%" PRIu64 ").\n",
     "SELECT t.alias_id, t.place, 0 FROM alias_target t LEFT JOIN alias a ON a.id = t.alias_id WHERE a.id IS NULL"},
    {"Mailing list %" PRIu64 " is of domain %" PRIu64 ", which is not there (%" PRIu64 ").\n",
     "SELECT l.id, l.domain_id, 0 FROM list l LEFT JOIN domain d ON d.id = l.domain_id WHERE d.id IS NULL"},
    {"Mailing list %" PRIu64 " is not there and has member %" PRIu64 " (%" PRIu64 ").\n",
     "SELECT m.list_id, m.number, 0 FROM list_member m LEFT JOIN list l ON l.id = m.list_id WHERE l.id IS NULL"},
    {"Door item %" PRIu64 " is of level %" PRIu64 " and owner %" PRIu64 ", which is not there.\n",
     "SELECT i.id, i.level, i.owner_id FROM door_item i WHERE i.level NOT BETWEEN 0 AND 3 OR (i.level = 0 AND "
     "i.owner_id "
     "<> 0)"
     " OR (i.level = 1 AND NOT EXISTS (SELECT 1 FROM domain d WHERE d.id = i.owner_id))"
     " OR (i.level > 1 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = i.owner_id))"
     " OR (i.level = 3) <> (i.detail <> '')"},
    {"Remote account %" PRIu64 " is not there and has %" PRIu64 " messages that were dealt with (%" PRIu64 ").\n",
     "SELECT s.remote_id, COUNT(*), 0 FROM remote_seen s LEFT JOIN door_item i ON i.id = s.remote_id WHERE i.id IS NULL"
     " AND NOT EXISTS (SELECT 1 FROM meta m WHERE m.name = 'remote-removed:' || CAST(s.remote_id AS TEXT))"
     " GROUP BY s.remote_id"},
    {"Message %" PRIu64 " lies in volume %04" PRIu64 ", which is not known (%" PRIu64 ").\n",
     "SELECT m.id, m.volume, 0 FROM message m LEFT JOIN volume v ON v.number = m.volume WHERE v.number IS NULL"},
};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void say_counter(struct check *c, const char *sentence, struct statement *st)
{
    c->report->problems++;
    /* The sentences are those of the table above. */
    if (c->report->text.size < TEXT_MAX - 4096)
        buf_printf(&c->report->text, sentence, database_u64(st, 0), database_u64(st, 1), database_u64(st, 2));
}
#pragma GCC diagnostic pop

static int check_database(struct check *c)
{
    int rc = database_begin_read(c->view.db);
    for (size_t i = 0; rc == 0 && i < sizeof(counters) / sizeof(counters[0]); i++) {
        struct statement *st = database_query(c->view.db, counters[i].sql, "");
        while ((rc = database_step(st)) > 0)
            say_counter(c, counters[i].sentence, st);
        database_end(st);
    }
    int ended = database_commit(c->view.db);
    return rc ? rc : ended;
}

static int check_integrity(struct check *c)
{
    struct statement *st = database_query(c->view.db, c->view.db->driver->integrity, "");
    int rc;
    while ((rc = database_step(st)) > 0)
        if (!span_is(database_bytes(st, 0), "ok"))
            problem(c, "The database is damaged: %.*s.", SPAN_ARG(database_bytes(st, 0)));
    database_end(st);
    return rc;
}

/* ---- The database's file ---- */

static void tell_pages(struct check *c, const struct check_pages *pages)
{
    buf_reset(&c->report->text);
    for (uint64_t i = 0; i < pages->damaged && i < CHECK_PAGES_TOLD; i++)
        problem(c, "Page %u of the database is not as it was written.", (unsigned)pages->numbers[i]);
    c->report->problems = pages->damaged;
    buf_printf(&c->report->text,
               "%" PRIu64 " of %" PRIu64 " pages of the database are damaged, so it was not asked for more. Run "
               "`ostiary store rebuild` to make it anew from the volumes.\n",
               pages->damaged, pages->pages);
}

/* Pages that a checkpoint had in hand when the power went are wrong in the file, and read out of the log all the same.
 */
static bool has_log(const char *data_directory)
{
    char path[PATH_MAX];
    struct stat status;
    int size = snprintf(path, sizeof path, "%s/store.db-wal", data_directory);
    return size > 0 && (size_t)size < sizeof path && stat(path, &status) == 0 && status.st_size > 0;
}

/* Before anything else is asked of it: what is damaged can't be trusted with an answer. 1: the view is open, go on; 0:
 * all that there is to say is told; or a negative errno, with a sentence. */
static int check_file(struct check *c, const char *data_directory, struct check_pages *pages)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/store.db", data_directory);
    int rc = size < 0 || (size_t)size >= sizeof path ? -ENAMETOOLONG : check_pages(path, pages);
    if (rc != 0 && rc != -ENOENT) {
        buf_printf(&c->report->text, "The database cannot be read: %s.", strerror(-rc));
        return rc;
    }
    if (pages->damaged && !has_log(data_directory)) {
        tell_pages(c, pages);
        return 0;
    }
    rc = view_open(&c->view, data_directory, &c->report->text);
    bool is_open = rc == 0;
    if (is_open)
        rc = check_integrity(c);
    if (pages->damaged && (rc == -EIO || c->report->problems)) {
        tell_pages(c, pages);
        return 0;
    }
    return rc == 0 ? 1 : is_open ? unfinished(c, rc) : rc;
}

static int check_all(struct check *c)
{
    int rc = check_database(c);
    if (rc == 0)
        rc = check_rows(c);
    if (rc == 0)
        rc = check_volumes(c);
    return rc ? unfinished(c, rc) : 0;
}

int store_check(const char *data_directory, struct store_check_report *report, store_check_progress *progress,
                void *context)
{
    struct check c = {.report = report, .progress = progress, .context = context, .view = {.directory = -1}};
    struct check_pages *pages = calloc(1, sizeof *pages);
    *report = (struct store_check_report){0};
    buf_init(&report->text, TEXT_MAX);
    buf_init(&c.memory, RECORD_FACTS_MAX);
    arena_init(&c.arena, 4ull * RECORD_FACTS_MAX);
    int rc = pages ? check_file(&c, data_directory, pages) : unfinished(&c, -ENOMEM);
    if (rc > 0)
        rc = check_all(&c);
    arena_release(&c.arena);
    buf_release(&c.memory);
    view_release(&c.view);
    free(pages);
    return rc;
}
