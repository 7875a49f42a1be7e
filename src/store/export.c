#include "store/export.h"

#include "store/directory.h"
#include "store/view.h"

#include <errno.h>
#include <string.h>

/* Compaction may move a message between looking it up and reading it. */
#define TRIES 10
#define TEXT_MAX (2ull << 30)

struct export
{
    const struct export_job *job;
    struct view view;
    struct buf *problem, names, text;
    uint64_t account;
};

static int read_text(struct export *e, uint64_t message_id)
{
    struct view_message m;
    int rc = view_message_find(&e->view, message_id, &m);
    if (rc <= 0)
        return rc ? rc : -ESTALE;
    buf_reset(&e->text);
    while (e->text.size < m.size) {
        struct span facts;
        size_t before = e->text.size;
        rc = view_message_read(&e->view, &m, before, FETCH_MAX, &facts, &e->text);
        if (rc)
            return rc;
        if (e->text.size == before)
            return -EIO;
    }
    return 0;
}

static int take(struct export *e, struct exported_message *message, uint64_t message_id)
{
    int rc = read_text(e, message_id);
    for (int i = 1; rc == -EAGAIN && i < TRIES; i++)
        rc = read_text(e, message_id);
    if (rc == -ESTALE) /* deleted meanwhile */
        return 0;
    if (rc == -EIO) {
        e->job->damaged(e->job->context, message);
        return 0;
    }
    if (rc)
        return rc;
    message->text = buf_span(&e->text);
    return e->job->take(e->job->context, message, e->problem);
}

/* Entry by entry, each a query of its own: the database's log is not held up, however long it takes. */
static int export_mailbox(struct export *e, uint64_t id, struct span name)
{
    struct exported_message message = {.mailbox = name};
    for (;;) {
        struct statement *st =
            database_query(e->view.db,
                           "SELECT e.uid, e.flags, e.message_id, m.received_at FROM entry e JOIN message m ON m.id = "
                           "e.message_id WHERE e.mailbox_id = $1 AND e.uid > $2 ORDER BY e.uid LIMIT 1",
                           "uu", id, (uint64_t)message.uid);
        int rc = database_step(st);
        uint64_t message_id = 0;
        if (rc > 0) {
            message.uid = (uint32_t)database_u64(st, 0);
            message.flags = database_u64(st, 1);
            message_id = database_u64(st, 2);
            message.received_at = database_u64(st, 3);
        }
        database_end(st);
        if (rc > 0)
            rc = take(e, &message, message_id);
        else
            return rc;
        if (rc)
            return rc;
    }
}

static int find_account(struct export *e)
{
    struct span local_part, domain;
    if (!directory_split(e->job->account, &local_part, &domain))
        return -ENOENT;
    int rc = database_find(
        e->view.db, &e->account,
        "SELECT a.id FROM domain d JOIN account a ON a.domain_id = d.id AND a.local_part = $2 WHERE d.name = $1", "tt",
        domain, local_part);
    return rc > 0 ? 0 : rc < 0 ? rc : -ENOENT;
}

static int export_all(struct export *e)
{
    struct span rest;
    uint64_t last = 0;
    int rc;
    do {
        uint64_t id = 0;
        struct statement *st = database_query(
            e->view.db, "SELECT id, name FROM mailbox WHERE account_id = $1 AND id > $2 ORDER BY id LIMIT 1", "uu",
            e->account, last);
        rc = database_step(st);
        buf_reset(&e->names);
        if (rc > 0) {
            id = last = database_u64(st, 0);
            buf_add_span(&e->names, database_bytes(st, 1));
        }
        database_end(st);
        rest = buf_span(&e->names);
        if (rc > 0 && (rc = export_mailbox(e, id, rest)) == 0)
            rc = 1;
    } while (rc > 0);
    return rc;
}

int store_export(const struct export_job *job, struct buf *problem)
{
    struct export e = {.job = job, .problem = problem};
    int rc = view_open(&e.view, job->data_directory, problem);
    if (rc)
        return rc;
    buf_init(&e.names, 4096);
    buf_init(&e.text, TEXT_MAX);
    rc = find_account(&e);
    if (rc == -ENOENT)
        buf_printf(problem, "there is no account %.*s", SPAN_ARG(job->account));
    else if (!rc)
        rc = export_all(&e);
    if (rc && !problem->size)
        buf_printf(problem, "the mail can't be read: %s", strerror(-rc));
    buf_release(&e.names);
    buf_release(&e.text);
    view_release(&e.view);
    return rc;
}
