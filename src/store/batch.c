#include "store/core.h"

#include "base/log.h"
#include "store/mailbox.h"

#include <errno.h>

int store_fail(struct store *s, int error)
{
    if (s->batch_error == 0)
        s->batch_error = error;
    return error;
}

int store_append(struct store *s, enum record_type type, const struct body *body, struct record_place *place)
{
    int rc = buf_failed(&s->facts) ? -EMSGSIZE : volume_append(&s->volumes, type, buf_span(&s->facts), body, place);
    buf_reset(&s->facts);
    if (rc == 0)
        return 0;
    /* A body that can't be read is its sender's matter; anything else that goes wrong here leaves the volume unsure. */
    bool bodys = rc == -EINVAL || rc == -EBADMSG || rc == -EMSGSIZE;
    return body && bodys ? rc : store_fail(s, rc);
}

static void breaks(struct store *s, const char *what, int error)
{
    s->broken = true;
    log_write(LOG_CRASH, "store", NULL,
              "%s failed; the store stops and recovers when it is started again error=%s volume=%u", what,
              strerror(-error), s->volumes.number);
    /* The next start begins a new volume behind what this one surely holds. If even this can't be written, the cut at
     * the committed end still stands. */
    int rc = database_run(s->db, "UPDATE volume SET state = $2 WHERE number = $1", "uu", (uint64_t)s->volumes.number,
                          (uint64_t)VOLUME_SEALED);
    if (rc != 0)
        log_write(LOG_CRASH, "store", NULL, "the volume could not be sealed error=%s", strerror(-rc));
}

/* The volume's end and the next lsn go into the same transaction as what the records did: what lies behind that end was
 * never acknowledged. */
static int note_position(struct store *s)
{
    struct volume_writer *v = &s->volumes;
    uint64_t number;
    int rc = database_find(s->db, &number, "UPDATE volume SET end_position = $2 WHERE number = $1 RETURNING number",
                           "uu", (uint64_t)v->number, v->position);
    /* Without its row the volume would be taken for an unfinished one at the next start. */
    if (rc <= 0)
        return rc ? rc : -EPROTO;
    return database_run(s->db, "UPDATE meta SET value = $1 WHERE name = 'lsn'", "u", v->lsn);
}

static int batch_start(struct store *s)
{
    mailboxes_trim(s);
    int rc = database_begin(s->db);
    if (rc != 0)
        return rc;
    s->in_batch = true;
    s->queued_before = s->queued;
    ledger_mark(&s->ledger);
    s->batch_error = 0;
    s->volumes.batch = 0;
    return 0;
}

static void batch_forget(struct store *s)
{
    if (s->in_batch) {
        database_rollback(s->db);
        s->queued = s->queued_before;
        ledger_forget(&s->ledger);
    }
    s->in_batch = false;
    mailboxes_clear(s);
    buf_reset(&s->facts);
}

/* An error before the sync leaves the batch to be aborted; one of the sync or the commit breaks the store. */
static int batch_finish(struct store *s)
{
    struct volume_writer *v = &s->volumes;
    int rc = s->batch_error;
    if (rc == 0)
        rc = mailboxes_flush(s);
    if (rc == 0)
        rc = note_position(s);
    if (rc == 0)
        rc = volume_write(v);
    if (rc != 0)
        return rc;
    /* The order is the promise: bodies on the disk, then the transaction, then the answers. */
    const char *what = "syncing the volume";
    rc = volume_sync(v);
    if (rc == 0) {
        /* A commit that failed may have happened: only the next start can tell. */
        what = "committing the transaction";
        rc = database_commit(s->db);
    }
    if (rc != 0) {
        batch_forget(s);
        breaks(s, what, rc);
        return rc;
    }
    s->in_batch = false;
    s->committed_end = v->position;
    s->committed_lsn = v->lsn;
    s->counts.batches++;
    return 0;
}

/* A batch of its own, so that no other ever spans two volumes. */
static int roll(struct store *s)
{
    uint32_t number = s->volumes.number + 1;
    int rc = batch_start(s);
    if (rc != 0)
        return rc;
    rc = database_run(s->db, "UPDATE volume SET state = $2 WHERE number = $1", "uu", (uint64_t)s->volumes.number,
                      (uint64_t)VOLUME_SEALED);
    if (rc == 0)
        rc = database_run(s->db, "INSERT INTO volume (number, end_position, dead_bytes, state) VALUES ($1, 0, 0, $2)",
                          "uu", (uint64_t)number, (uint64_t)VOLUME_OPEN);
    if (rc == 0)
        rc = volume_begin(&s->volumes, number);
    if (rc == 0)
        rc = batch_finish(s);
    if (rc == 0)
        return 0;
    /* The committed end is the old volume's, and the writer may stand in the new one already: only a start that looks
     * at what is there goes on from here. */
    batch_forget(s);
    if (!s->broken)
        breaks(s, "beginning a new volume", rc);
    return rc;
}

int store_begin(struct store *s)
{
    if (s->broken)
        return -EIO;
    if (s->volumes.position >= s->volume_size) {
        int rc = roll(s);
        if (rc != 0)
            return rc;
    }
    return batch_start(s);
}

void store_abort(struct store *s)
{
    if (!s->in_batch)
        return;
    batch_forget(s);
    int rc = volume_cut(&s->volumes, s->committed_end, s->committed_lsn);
    if (rc != 0 && !s->broken)
        breaks(s, "cutting an abandoned batch off the volume", rc);
}

int store_commit(struct store *s)
{
    int rc = batch_finish(s);
    if (rc != 0)
        store_abort(s);
    return rc;
}
