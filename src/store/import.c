#include "store/deliver.h"

#include "store/directory.h"
#include "store/folder.h"
#include "store/mailbox.h"

#include <errno.h>

#define FLAGS_SYSTEM (FLAG_SEEN | FLAG_ANSWERED | FLAG_FLAGGED | FLAG_DELETED | FLAG_DRAFT)
#define SAID 1

static int find_account(struct store *s, struct span address, uint64_t *id, struct buf *problem)
{
    struct span local_part, domain;
    int rc = 0;
    if (directory_split(address, &local_part, &domain))
        rc = database_find(
            s->db, id,
            "SELECT a.id FROM domain d JOIN account a ON a.domain_id = d.id AND a.local_part = $2 WHERE d.name = $1",
            "tt", directory_lower(&s->arena, domain), directory_lower(&s->arena, local_part));
    if (rc == 0)
        buf_printf(problem, "There is no account %.*s: add it first with `ostiary account add`.", SPAN_ARG(address));
    return rc > 0 ? 0 : rc < 0 ? rc : SAID;
}

/* The mailbox's state, of one that is made where it is missing. */
static int reach_mailbox(struct store *s, uint64_t account, struct span name, struct mailbox_state **m)
{
    uint64_t id;
    int rc = folder_reach(s, account, name, false, &id);
    if (rc)
        return rc;
    rc = mailbox_get(s, id, m);
    return rc < 0 ? rc : *m ? 0 : -EPROTO;
}

static bool is_possible(const struct import *import, struct buf *problem)
{
    if (!folder_is_name(import->mailbox))
        buf_printf(
            problem,
            "\"%.*s\" cannot be a mailbox's name: it is UTF-8 without control characters, at most %d bytes, with "
            "something between its slashes.",
            SPAN_ARG(import->mailbox), FOLDER_NAME_MAX);
    else if (import->flags & ~(uint64_t)FLAGS_SYSTEM)
        buf_add_text(problem, "The message has flags that are not the system's.");
    else if (import->facts.received_at > INT64_MAX)
        buf_add_text(problem, "The message's date is out of range.");
    else
        return true;
    return false;
}

static bool has_room(const struct mailbox_state *m, uint64_t size, struct buf *problem)
{
    const struct account_state *a = m->account;
    if (a->quota == 0 || (a->used <= a->quota && size <= a->quota - a->used))
        return true;
    buf_printf(problem,
               "The account %.*s has a quota of %ju bytes, of which %ju are used: there is no room for %ju bytes more. "
               "Raise it with `ostiary account set --quota`.",
               SPAN_ARG(a->address), (uintmax_t)a->quota, (uintmax_t)a->used, (uintmax_t)size);
    return false;
}

/* 0 with the state of the mailbox, SAID, or a negative errno that loses the batch. */
static int find_place(struct store *s, const struct import *import, uint64_t size, struct mailbox_state **m,
                      struct buf *problem)
{
    uint64_t account = 0;
    int rc = find_account(s, import->account, &account, problem);
    if (rc == 0)
        rc = reach_mailbox(s, account, import->mailbox, m);
    if (rc < 0) {
        (void)store_fail(s, rc);
        return rc;
    }
    if (rc == 0 && (*m)->uidnext == UINT32_MAX) {
        buf_printf(problem, "The mailbox %.*s has no uids left.", SPAN_ARG(import->mailbox));
        return SAID;
    }
    return rc || has_room(*m, size, problem) ? rc : SAID;
}

int store_import(struct store *s, struct import *import, uint64_t *message_id, uint32_t *uid, struct buf *problem)
{
    struct body body;
    struct mailbox_state *m = NULL;
    *message_id = *uid = 0;
    if (!is_possible(import, problem))
        return 0;
    int rc = delivery_body(s, import->body, import->body_fd, &body);
    if (rc == -EMSGSIZE)
        buf_printf(problem, "The message has %ju bytes; at most %ju are allowed (smtp.message_size).",
                   (uintmax_t)body.size, (uintmax_t)s->message_max);
    if (rc != 0)
        return rc == -EMSGSIZE ? 0 : rc;
    arena_reset(&s->arena);
    rc = find_place(s, import, body.size, &m, problem);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    struct message_facts *f = &import->facts;
    f->message_id = body.message_id = s->volumes.lsn;
    struct message_entry entry = {.account_id = m->account->id,
                                  .mailbox_id = m->id,
                                  .uid = m->uidnext,
                                  .uidvalidity = m->uidvalidity,
                                  .modseq = m->highest_modseq + 1,
                                  .flags = import->flags,
                                  .account = m->account->address,
                                  .mailbox = m->name,
                                  .recipient = m->account->address};
    f->entries = &entry;
    f->entry_count = 1;
    f->queued_count = 0;
    rc = delivery_append(s, f, &body, &m);
    if (rc == 0) {
        *message_id = f->message_id;
        *uid = entry.uid;
    }
    f->entries = NULL;
    f->entry_count = 0;
    return rc;
}
