#include "store/core.h"

#include "store/mailbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every living mailbox is full. */
static void refuse_all(struct delivery *d, struct mailbox_state **mailboxes)
{
    for (uint32_t i = 0; i < d->facts.entry_count; i++)
        mailboxes[i]->last_message = 0;
    d->facts.entry_count = 0;
    for (size_t i = 0; i < d->recipient_count; i++)
        if (d->recipients[i].outcome == DELIVERY_STORED)
            d->recipients[i].outcome = DELIVERY_OVER_QUOTA;
}

/* Decides each recipient's outcome and fills the entries of those that get it. Changes no counter yet: the body may
 * still turn out unreadable. One answer has to be true for all recipients, and each was told at RCPT that there is
 * room: a message is refused for its size only when no mailbox has room for it, and is otherwise stored for all of
 * them. */
static int choose_entries(struct store *s, struct delivery *d, uint64_t size, struct mailbox_state **mailboxes)
{
    struct message_facts *f = &d->facts;
    bool has_room = false;
    f->entry_count = 0;
    for (size_t i = 0; i < d->recipient_count; i++) {
        struct delivery_recipient *r = &d->recipients[i];
        struct mailbox_state *m;
        int rc = mailbox_get(s, r->mailbox_id, &m);
        if (rc < 0)
            return store_fail(s, rc);
        r->outcome = DELIVERY_GONE;
        if (rc == 0 || m->account->id != r->account_id || m->uidnext == UINT32_MAX)
            continue;
        r->outcome = DELIVERY_STORED;
        if (m->last_message == f->message_id)
            continue;
        has_room |= !m->account->quota ||
                    (m->account->used <= m->account->quota && size <= m->account->quota - m->account->used);
        m->last_message = f->message_id;
        mailboxes[f->entry_count] = m;
        f->entries[f->entry_count++] = (struct message_entry){.account_id = m->account->id,
                                                              .mailbox_id = m->id,
                                                              .uid = m->uidnext,
                                                              .uidvalidity = m->uidvalidity,
                                                              .modseq = m->highest_modseq + 1,
                                                              .account = m->account->address,
                                                              .mailbox = m->name,
                                                              .recipient = r->address,
                                                              .orcpt = r->orcpt,
                                                              .notify = r->notify};
    }
    if (!has_room)
        refuse_all(d, mailboxes);
    return 0;
}

static int insert_rows(struct store *s, const struct message_facts *f, const struct record_place *place, uint64_t size,
                       struct mailbox_state **mailboxes)
{
    int rc = database_run(s->db,
                          "INSERT INTO message (id, volume, position, stored, size, living, received_at)"
                          " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                          "uuuuuuu", f->message_id, (uint64_t)place->volume, place->position, place->size, size,
                          (uint64_t)f->entry_count, f->received_at);
    for (uint32_t i = 0; rc == 0 && i < f->entry_count; i++) {
        struct mailbox_state *m = mailboxes[i];
        rc = database_run(s->db,
                          "INSERT INTO entry (mailbox_id, uid, size, flags, modseq, message_id)"
                          " VALUES ($1, $2, $3, 0, $4, $5)",
                          "uuuuu", m->id, (uint64_t)m->uidnext, size, f->entries[i].modseq, f->message_id);
        m->uidnext++;
        m->highest_modseq++;
        m->messages++;
        m->bytes += size;
        m->account->used += size;
        mailbox_touch(s, m);
    }
    return rc == 0 ? 0 : store_fail(s, rc);
}

static int body_of(const struct store *s, const struct delivery *d, struct body *body)
{
    if (d->body_fd < 0) {
        *body = (struct body){.kind = BODY_MEMORY, .bytes = d->body, .size = d->body.size};
    } else {
        struct stat st;
        if (fstat(d->body_fd, &st) != 0)
            return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size < 0)
            return -EINVAL;
        *body = (struct body){.kind = BODY_FILE, .fd = d->body_fd, .size = (uint64_t)st.st_size};
    }
    return body->size > s->message_max ? -EMSGSIZE : 0;
}

int store_deliver(struct store *s, struct delivery *d, uint64_t *message_id)
{
    struct body body = {.kind = BODY_NONE};
    *message_id = 0;
    if (d->recipient_count > STORE_RECIPIENTS_MAX || d->facts.received_at > INT64_MAX)
        return -EINVAL;
    int rc = body_of(s, d, &body);
    if (rc != 0)
        return rc;
    arena_reset(&s->arena);
    struct mailbox_state **mailboxes = arena_array(&s->arena, d->recipient_count + 1, sizeof(struct mailbox_state *));
    d->facts.entries = arena_array(&s->arena, d->recipient_count + 1, sizeof(*d->facts.entries));
    if (!mailboxes || !d->facts.entries)
        return -ENOMEM;
    /* The message is named by the lsn its record is about to get. */
    d->facts.message_id = body.message_id = s->volumes.lsn;
    rc = choose_entries(s, d, body.size, mailboxes);
    if (rc != 0 || d->facts.entry_count == 0)
        return rc;
    message_facts_write(&s->facts, &d->facts);
    struct record_place place;
    rc = store_append(s, RECORD_MESSAGE, &body, &place);
    if (rc != 0) {
        for (uint32_t i = 0; i < d->facts.entry_count; i++)
            mailboxes[i]->last_message = 0;
        return rc;
    }
    *message_id = place.lsn;
    s->counts.delivered++;
    return insert_rows(s, &d->facts, &place, body.size, mailboxes);
}

int store_spool(struct store *s)
{
    int fd = openat(s->data_directory, "spool", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}
