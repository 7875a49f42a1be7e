#include "store/deliver.h"

#include "base/clock.h"
#include "format/encoded_word.h"
#include "format/summary.h"
#include "store/folder.h"
#include "store/learn.h"
#include "store/list_bounce.h"
#include "store/queue.h"
#include "store/remote_seen.h"
#include "store/sent.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* What is decided about one delivery, before anything is changed. */
struct plan {
    struct store *s;
    struct delivery *d;
    uint64_t size, remote; /* bytes of the body; recipients at other sites */
    uint64_t day;          /* on which those go out */
    struct mailbox_state **mailboxes;
    struct map seen; /* what goes to the same place twice is stored once */
    char *key;       /* memory for a name in it */
    bool has_room;
};

/* Nothing is stored, and all are told the same. */
static void refuse_all(struct plan *p, enum delivery_outcome outcome)
{
    struct delivery *d = p->d;
    for (uint32_t i = 0; i < d->facts.entry_count; i++)
        p->mailboxes[i]->last_message = 0;
    d->facts.entry_count = d->facts.queued_count = 0;
    for (size_t i = 0; i < d->recipient_count; i++)
        if (d->recipients[i].outcome == DELIVERY_STORED)
            d->recipients[i].outcome = outcome;
}

static int plan_queued(struct plan *p, const struct delivery_recipient *r)
{
    struct message_facts *f = &p->d->facts;
    struct message_queued *q = &f->queued[f->queued_count];
    if (!queue_entry_fill(q, r))
        return -EINVAL;
    q->number = ++f->queued_count;
    return 0;
}

static int plan_mailbox(struct plan *p, struct delivery_recipient *r)
{
    struct message_facts *f = &p->d->facts;
    struct mailbox_state *m;
    int rc = mailbox_get(p->s, r->mailbox_id, &m);
    if (rc < 0)
        return store_fail(p->s, rc);
    r->outcome = DELIVERY_GONE;
    if (rc == 0 || m->account->id != r->account_id || m->uidnext == UINT32_MAX)
        return 0;
    r->outcome = DELIVERY_STORED;
    if (m->last_message == f->message_id) {
        r->entry = m->last_entry;
        return 0;
    }
    p->has_room |= !m->account->quota ||
                   (m->account->used <= m->account->quota && p->size <= m->account->quota - m->account->used);
    m->last_message = f->message_id;
    m->last_entry = r->entry = f->entry_count + 1;
    p->mailboxes[f->entry_count] = m;
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
    /* RFC 3461 section 5.2.3: a report of success, which nobody gets about mail from nobody. */
    return (r->notify & NOTIFY_SUCCESS) && f->reverse_path.size ? plan_queued(p, r) : 0;
}

/* 1 the first time. */
static int plan_is_first(struct plan *p, const struct message_queued *q)
{
    struct span parts[] = {q->address, q->destination, q->forwarder, span_from(&q->list_id, sizeof(q->list_id))};
    size_t size = 0;
    if (!p->key && !(p->key = arena_alloc(&p->s->arena, 4ul * (QUEUE_ADDRESS_MAX + 1))))
        return -ENOMEM;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].size)
            memcpy(p->key + size, parts[i].data, parts[i].size);
        size += parts[i].size;
        p->key[size++] = '\0';
    }
    struct span name = span_from(p->key, size);
    if (map_get(&p->seen, name))
        return 0;
    int rc = map_put(&p->seen, name, p);
    return rc ? rc : 1;
}

static int plan_elsewhere(struct plan *p, struct delivery_recipient *r)
{
    uint64_t id;
    int rc = 1;
    if (r->kind == DELIVERY_LIST) {
        if (r->list_id > INT64_MAX)
            return -EINVAL;
        rc = database_find(p->s->db, &id, "SELECT id FROM list WHERE id = $1", "u", r->list_id);
    }
    r->outcome = rc > 0 ? DELIVERY_STORED : DELIVERY_GONE;
    if (rc <= 0)
        return rc < 0 ? store_fail(p->s, rc) : 0;
    struct message_queued q;
    if (!queue_entry_fill(&q, r))
        return -EINVAL;
    p->has_room = true;
    if (p->d->recipient_count > 1 && (rc = plan_is_first(p, &q)) <= 0)
        return rc;
    p->remote += queue_is_outbound(&q);
    return plan_queued(p, r);
}

static int plan_sending_quota(struct plan *p)
{
    struct store *s = p->s;
    struct message_facts *f = &p->d->facts;
    uint32_t left;
    if (p->remote == 0 || f->sender_account_id == 0)
        return 0;
    p->day = f->queued_at / SENT_DAY;
    int rc = sent_left(s->db, f->sender_account_id, p->day, s->daily_recipients, &left);
    if (rc != 0)
        return store_fail(s, rc);
    if (p->remote <= left)
        return 0;
    rc = !p->d->may_wait ? 0
                         : sent_day_with_room(s->db, f->sender_account_id, p->day, s->daily_recipients, p->remote,
                                              f->queued_at + s->queue_life, &p->day);
    if (rc < 0)
        return store_fail(s, rc);
    if (rc > 0)
        f->remote_due_at = p->day * SENT_DAY;
    else
        refuse_all(p, DELIVERY_OVER_SENDING_QUOTA);
    return 0;
}

/* Decides each recipient's outcome and fills the entries of those that get it. Changes no counter yet: the body may
 * still turn out unreadable. One answer has to be true for all recipients, and each was told at RCPT that there is
 * room: a message is refused for its size only when no mailbox has room for it, and is otherwise stored for all of
 * them. What the courier brings was accepted long ago. */
static int plan_make(struct plan *p)
{
    struct delivery *d = p->d;
    int rc = 0;
    d->facts.entry_count = d->facts.queued_count = 0;
    p->has_room = d->result_count > 0;
    for (size_t i = 0; rc == 0 && i < d->recipient_count; i++) {
        struct delivery_recipient *r = &d->recipients[i];
        r->outcome = DELIVERY_STORED;
        r->entry = 0;
        if (r->kind == DELIVERY_MAILBOX)
            rc = plan_mailbox(p, r);
        else if (r->kind != DELIVERY_LIST_BOUNCE)
            rc = plan_elsewhere(p, r);
    }
    if (rc == 0 && !p->has_room)
        refuse_all(p, DELIVERY_OVER_QUOTA);
    return rc ? rc : plan_sending_quota(p);
}

static void plan_forget(struct plan *p)
{
    for (uint32_t i = 0; i < p->d->facts.entry_count; i++)
        p->mailboxes[i]->last_message = 0;
}

static int insert_rows(struct store *s, const struct message_facts *f, const struct record_place *place, uint64_t size,
                       struct mailbox_state **mailboxes)
{
    int rc = database_run(s->db,
                          "INSERT INTO message (id, volume, position, stored, size, living, received_at)"
                          " VALUES ($1, $2, $3, $4, $5, $6, $7)",
                          "uuuuuuu", f->message_id, (uint64_t)place->volume, place->position, place->size, size,
                          (uint64_t)f->entry_count + f->queued_count, f->received_at);
    for (uint32_t i = 0; rc == 0 && i < f->entry_count; i++) {
        struct mailbox_state *m = mailboxes[i];
        rc = database_run(s->db,
                          "INSERT INTO entry (mailbox_id, uid, size, flags, modseq, message_id)"
                          " VALUES ($1, $2, $3, $4, $5, $6)",
                          "uuuuuu", m->id, (uint64_t)m->uidnext, size, f->entries[i].flags, f->entries[i].modseq,
                          f->message_id);
        m->uidnext++;
        m->highest_modseq++;
        m->messages++;
        m->bytes += size;
        m->account->used += size;
        mailbox_touch(s, m);
    }
    if (rc == 0)
        rc = queue_insert(s, f, size);
    return rc == 0 ? 0 : store_fail(s, rc);
}

int delivery_append(struct store *s, struct message_facts *f, struct body *body, struct mailbox_state **mailboxes)
{
    struct record_place place;
    message_facts_write(&s->facts, f);
    int rc = store_append(s, RECORD_MESSAGE, body, &place);
    if (rc != 0)
        return rc;
    s->counts.delivered++;
    return insert_rows(s, f, &place, body->size, mailboxes);
}

int delivery_body(const struct store *s, struct span bytes, int fd, struct body *body)
{
    if (fd < 0) {
        *body = (struct body){.kind = BODY_MEMORY, .bytes = bytes, .size = bytes.size};
    } else {
        struct stat st;
        if (fstat(fd, &st) != 0)
            return -errno;
        if (!S_ISREG(st.st_mode) || st.st_size < 0)
            return -EINVAL;
        *body = (struct body){.kind = BODY_FILE, .fd = fd, .size = (uint64_t)st.st_size};
    }
    return body->size > s->message_max ? -EMSGSIZE : 0;
}

/* What the ledger says of the message itself. */
struct message_words {
    bool are_known;
    struct span message_id;
    struct buf subject;
};

static void find_words(struct store *s, struct span bytes, struct message_words *words)
{
    struct summary summary;
    if (words->are_known)
        return;
    words->are_known = true;
    if (!summary_parse(bytes, &s->arena, &summary) || !summary.root->envelope)
        return;
    words->message_id = summary.root->envelope->message_id;
    encoded_word_decode(summary.root->envelope->subject, &words->subject);
}

/* In the transaction of the message: there is no row of mail that is not here, and no mail without its row. */
static int note_delivered(struct store *s, const struct delivery *d)
{
    struct message_words words = {.are_known = false};
    int rc = 0;
    buf_init(&words.subject, LEDGER_TEXT_MAX);
    for (size_t i = 0; rc == 0 && i < d->recipient_count; i++) {
        const struct delivery_recipient *r = &d->recipients[i];
        if (!r->ledger || r->outcome != DELIVERY_STORED)
            continue;
        struct ledger_row row = *r->ledger;
        /* Who judged the message has read it, and a message with neither is rare. */
        if (row.subject.size == 0 && row.header_message_id.size == 0) {
            find_words(s, d->facts.summary, &words);
            row.subject = buf_span(&words.subject);
            row.header_message_id = words.message_id;
        }
        row.message_id = d->facts.message_id;
        if (r->entry) {
            row.mailbox_id = d->facts.entries[r->entry - 1].mailbox_id;
            row.uid = d->facts.entries[r->entry - 1].uid;
        }
        rc = ledger_insert(s, &row);
    }
    buf_release(&words.subject);
    return rc ? store_fail(s, rc) : 0;
}

/* Where the recipients' mail is filed: before anything is planned, since a new mailbox is a record of its own. A name
 * that is none, or one mailbox too many, is no reason to lose mail: it goes where it would have gone. */
static int choose_folders(struct store *s, struct delivery *d)
{
    for (size_t i = 0; i < d->recipient_count; i++) {
        struct delivery_recipient *r = &d->recipients[i];
        struct mailbox_state *inbox;
        uint64_t id;
        if (r->kind != DELIVERY_MAILBOX || !folder_is_name(r->folder))
            continue;
        int rc = mailbox_get(s, r->mailbox_id, &inbox);
        if (rc > 0 && inbox->account->id == r->account_id)
            rc = folder_reach(s, r->account_id, r->folder, true, &id);
        else
            id = r->mailbox_id;
        if (rc < 0 && rc != -EDQUOT)
            return store_fail(s, rc);
        if (rc == 0)
            r->mailbox_id = id;
    }
    return 0;
}

/* Of a remote account that is gone meanwhile there is nothing to note. */
static int check_fetched(struct store *s, struct message_facts *f)
{
    uint64_t id;
    int rc = f->remote_id == 0
                 ? 1
                 : database_find(s->db, &id, "SELECT id FROM door_item WHERE id = $1 AND kind = 11", "u", f->remote_id);
    if (rc == 0)
        f->remote_id = 0;
    return rc < 0 ? store_fail(s, rc) : 0;
}

/* What goes with a message that was stored, in its transaction. */
static int note_stored(struct plan *p)
{
    struct store *s = p->s;
    const struct message_facts *f = &p->d->facts;
    int rc = p->remote && f->sender_account_id ? sent_add(s, f->sender_account_id, p->day, p->remote) : 0;
    if (rc == 0 && f->remote_id)
        rc = remote_seen_insert(s->db, f->remote_id, f->uidl, f->received_at);
    if (rc)
        return store_fail(s, rc);
    rc = learn_recipients(s, p->d);
    return rc ? rc : note_delivered(s, p->d);
}

/* Stores what there is to store. */
static int store_message(struct plan *p, struct body *body, uint64_t *message_id)
{
    struct store *s = p->s;
    struct message_facts *f = &p->d->facts;
    /* The message is named by the lsn its record is about to get. */
    f->message_id = body->message_id = s->volumes.lsn;
    f->queued_at = clock_steady();
    f->remote_due_at = 0;
    int rc = plan_make(p);
    rc = rc ? rc : check_fetched(s, f);
    if (rc != 0) {
        plan_forget(p);
        return rc;
    }
    if (f->entry_count + f->queued_count == 0)
        return 0;
    rc = delivery_append(s, f, body, p->mailboxes);
    if (rc != 0) {
        plan_forget(p);
        return rc;
    }
    *message_id = f->message_id;
    return note_stored(p);
}

static int count_bounces(struct store *s, struct delivery *d)
{
    int rc = 1;
    for (size_t i = 0; rc >= 0 && i < d->recipient_count; i++) {
        struct delivery_recipient *r = &d->recipients[i];
        if (r->kind != DELIVERY_LIST_BOUNCE)
            continue;
        rc = list_bounce_count(s, r->list_id, r->list_member);
        r->outcome = rc > 0 ? DELIVERY_STORED : DELIVERY_GONE;
    }
    return rc < 0 ? store_fail(s, rc) : 0;
}

static bool is_possible(const struct delivery *d)
{
    for (size_t i = 0; i < d->recipient_count && i < STORE_RECIPIENTS_MAX; i++)
        if (d->recipients[i].ledger && !ledger_row_is_possible(d->recipients[i].ledger))
            return false;
    for (size_t i = 0; i < d->result_count && i < STORE_RESULTS_MAX; i++)
        if (!queue_result_is_possible(&d->results[i]))
            return false;
    return d->recipient_count <= STORE_RECIPIENTS_MAX && d->result_count <= STORE_RESULTS_MAX &&
           d->facts.received_at <= INT64_MAX && d->facts.sender_account_id <= INT64_MAX &&
           d->facts.remote_id <= INT64_MAX && (d->facts.remote_id == 0 || remote_seen_is_uidl(d->facts.uidl));
}

/* Was it fetched and dealt with before, or are there results, and all of entries that are gone? */
static int is_over(struct store *s, const struct delivery *d)
{
    uint64_t number;
    int rc = d->facts.remote_id ? remote_seen_find(s->db, d->facts.remote_id, d->facts.uidl, &number) : 0;
    if (rc != 0)
        return rc < 0 ? store_fail(s, rc) : 1;
    for (size_t i = 0; rc == 0 && i < d->result_count; i++)
        rc = database_find(s->db, &number, "SELECT number FROM queue WHERE message_id = $1 AND number = $2", "uu",
                           d->results[i].message_id, (uint64_t)d->results[i].number);
    return rc < 0 ? store_fail(s, rc) : rc == 0 && d->result_count > 0;
}

static void say_stored(struct delivery *d)
{
    for (size_t i = 0; i < d->recipient_count; i++)
        d->recipients[i].outcome = DELIVERY_STORED;
}

static bool was_over_sending_quota(const struct delivery *d)
{
    for (size_t i = 0; i < d->recipient_count; i++)
        if (d->recipients[i].outcome == DELIVERY_OVER_SENDING_QUOTA)
            return true;
    return false;
}

int store_deliver(struct store *s, struct delivery *d, uint64_t *message_id)
{
    struct body body = {.kind = BODY_NONE};
    *message_id = 0;
    if (!is_possible(d))
        return -EINVAL;
    int rc = delivery_body(s, d->body, d->body_fd, &body);
    if (rc == 0)
        rc = is_over(s, d);
    if (rc != 0) {
        say_stored(d);
        return rc < 0 ? rc : 0;
    }
    arena_reset(&s->arena);
    struct plan plan = {.s = s, .d = d, .size = body.size};
    plan.mailboxes = arena_array(&s->arena, d->recipient_count + 1, sizeof(*plan.mailboxes));
    d->facts.entries = arena_array(&s->arena, d->recipient_count + 1, sizeof(*d->facts.entries));
    d->facts.queued = arena_array(&s->arena, d->recipient_count + 1, sizeof(*d->facts.queued));
    if (!plan.mailboxes || !d->facts.entries || !d->facts.queued)
        return -ENOMEM;
    rc = choose_folders(s, d);
    if (rc != 0)
        return rc;
    map_init(&plan.seen);
    rc = d->recipient_count ? store_message(&plan, &body, message_id) : 0;
    map_release(&plan.seen);
    if (rc == 0)
        rc = count_bounces(s, d);
    /* The end of an entry whose mail was not stored would be its loss. */
    return rc || was_over_sending_quota(d) ? rc : queue_results(s, d->results, d->result_count);
}

int store_spool(struct store *s)
{
    int fd = openat(s->data_directory, "spool", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}
