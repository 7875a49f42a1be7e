#include "store/volume_record.h"

#include "store/crc32c.h"
#include "store/wire.h"

#define RECORD_MAGIC 0x5254534fu /* "OSTR" */
#define RECORD_FORMAT 1u
#define CHECKSUM_AT (RECORD_HEADER_SIZE - 4)

/* Where each field stands. */
enum {
    AT_MAGIC = 0,
    AT_TYPE = 4,
    AT_FORMAT = 6,
    AT_VOLUME = 8,
    AT_FACTS_SIZE = 12,
    AT_MARK = 16,
    AT_LSN = 24,
    AT_BATCH = 32,
    AT_BODY_STORED = 40,
    AT_BODY_SIZE = 48,
    AT_FACTS_CHECKSUM = 56,
    AT_BODY_BLOCKS = 60,
    AT_RESERVED = 64,
};

void record_header_write(const struct record_header *h, char out[RECORD_HEADER_SIZE])
{
    wire_put_number(out + AT_MAGIC, RECORD_MAGIC, 4);
    wire_put_number(out + AT_TYPE, h->type, 2);
    wire_put_number(out + AT_FORMAT, RECORD_FORMAT, 2);
    wire_put_number(out + AT_VOLUME, h->volume, 4);
    wire_put_number(out + AT_FACTS_SIZE, h->facts_size, 4);
    wire_put_number(out + AT_MARK, h->mark, 8);
    wire_put_number(out + AT_LSN, h->lsn, 8);
    wire_put_number(out + AT_BATCH, h->batch, 8);
    wire_put_number(out + AT_BODY_STORED, h->body_stored, 8);
    wire_put_number(out + AT_BODY_SIZE, h->body_size, 8);
    wire_put_number(out + AT_FACTS_CHECKSUM, h->facts_checksum, 4);
    wire_put_number(out + AT_BODY_BLOCKS, h->body_blocks, 4);
    wire_put_number(out + AT_RESERVED, 0, 4);
    wire_put_number(out + CHECKSUM_AT, crc32c(0, span_from(out, CHECKSUM_AT)), 4);
}

bool record_header_parse(struct span s, struct record_header *h)
{
    if (s.size < RECORD_HEADER_SIZE || wire_get_number(s.data + AT_MAGIC, 4) != RECORD_MAGIC)
        return false;
    if (wire_get_number(s.data + CHECKSUM_AT, 4) != crc32c(0, span_head(s, CHECKSUM_AT)))
        return false;
    *h = (struct record_header){
        .type = (uint32_t)wire_get_number(s.data + AT_TYPE, 2),
        .volume = (uint32_t)wire_get_number(s.data + AT_VOLUME, 4),
        .mark = wire_get_number(s.data + AT_MARK, 8),
        .lsn = wire_get_number(s.data + AT_LSN, 8),
        .batch = wire_get_number(s.data + AT_BATCH, 8),
        .facts_size = (uint32_t)wire_get_number(s.data + AT_FACTS_SIZE, 4),
        .facts_checksum = (uint32_t)wire_get_number(s.data + AT_FACTS_CHECKSUM, 4),
        .body_blocks = (uint32_t)wire_get_number(s.data + AT_BODY_BLOCKS, 4),
        .body_stored = wire_get_number(s.data + AT_BODY_STORED, 8),
        .body_size = wire_get_number(s.data + AT_BODY_SIZE, 8),
    };
    if (wire_get_number(s.data + AT_FORMAT, 2) != RECORD_FORMAT || wire_get_number(s.data + AT_RESERVED, 4) != 0)
        return false;
    if (h->type < RECORD_VOLUME || h->type >= RECORD_TYPE_COUNT || h->facts_size > RECORD_FACTS_MAX)
        return false;
    if (h->lsn == 0 || h->lsn > INT64_MAX || h->batch == 0 || h->batch > h->lsn)
        return false;
    if (h->body_size > RECORD_BODY_MAX || h->body_blocks != (h->body_size + BODY_BLOCK_SIZE - 1) / BODY_BLOCK_SIZE)
        return false;
    return h->body_stored <= h->body_size + (uint64_t)h->body_blocks * BODY_BLOCK_HEADER_SIZE;
}

bool record_facts_match(const struct record_header *h, struct span facts)
{
    return facts.size == h->facts_size && crc32c(0, facts) == h->facts_checksum;
}

uint32_t body_block_checksum(uint64_t message_id, uint32_t index, uint32_t word, struct span stored)
{
    char seed[16];
    wire_put_number(seed, message_id, 8);
    wire_put_number(seed + 8, index, 4);
    wire_put_number(seed + 12, word, 4);
    return crc32c(crc32c(0, span_from(seed, sizeof(seed))), stored);
}

void body_block_header_write(uint32_t word, uint32_t checksum, char out[BODY_BLOCK_HEADER_SIZE])
{
    wire_put_number(out, word, 4);
    wire_put_number(out + 4, checksum, 4);
}

void id_facts_write(struct buf *out, uint64_t id)
{
    wire_write_u64(out, id);
}

bool id_facts_parse(struct span s, uint64_t *id)
{
    struct wire w = {s, false};
    *id = wire_read_u64(&w);
    return wire_is_done(&w);
}

void volume_facts_write(struct buf *out, const struct volume_facts *f)
{
    wire_write_u64(out, f->created_at);
}

#define ENTRY_LEAST (8 + 8 + 4 + 4 + 8 + 8 + 4 * 4 + 4)

static void message_entry_write(struct buf *out, const struct message_entry *e)
{
    wire_write_u64(out, e->account_id);
    wire_write_u64(out, e->mailbox_id);
    wire_write_u32(out, e->uid);
    wire_write_u32(out, e->uidvalidity);
    wire_write_u64(out, e->modseq);
    wire_write_u64(out, e->flags);
    wire_write_bytes(out, e->account);
    wire_write_bytes(out, e->mailbox);
    wire_write_bytes(out, e->recipient);
    wire_write_bytes(out, e->orcpt);
    wire_write_u32(out, e->notify);
}

static void message_entry_read(struct wire *w, struct message_entry *e)
{
    e->account_id = wire_read_u64(w);
    e->mailbox_id = wire_read_u64(w);
    e->uid = wire_read_u32(w);
    e->uidvalidity = wire_read_u32(w);
    e->modseq = wire_read_u64(w);
    e->flags = wire_read_u64(w);
    e->account = wire_read_bytes(w);
    e->mailbox = wire_read_bytes(w);
    e->recipient = wire_read_bytes(w);
    e->orcpt = wire_read_bytes(w);
    e->notify = wire_read_u32(w);
}

#define QUEUED_LEAST (4 * 3 + 4 * 5 + 8 + 4)

static void message_queued_write(struct buf *out, const struct message_queued *q)
{
    wire_write_u32(out, q->number);
    wire_write_u32(out, q->kind);
    wire_write_u32(out, q->state);
    wire_write_bytes(out, q->address);
    wire_write_bytes(out, q->original);
    wire_write_bytes(out, q->orcpt);
    wire_write_bytes(out, q->destination);
    wire_write_bytes(out, q->forwarder);
    wire_write_u64(out, q->list_id);
    wire_write_u32(out, q->notify);
}

static bool message_queued_read(struct wire *w, struct message_queued *q)
{
    q->number = wire_read_u32(w);
    q->kind = wire_read_u32(w);
    q->state = wire_read_u32(w);
    q->address = wire_read_bytes(w);
    q->original = wire_read_bytes(w);
    q->orcpt = wire_read_bytes(w);
    q->destination = wire_read_bytes(w);
    q->forwarder = wire_read_bytes(w);
    q->list_id = wire_read_u64(w);
    q->notify = wire_read_u32(w);
    return q->kind >= QUEUE_KIND_REMOTE && q->kind <= QUEUE_KIND_REPORT && q->state <= QUEUE_STATE_HELD &&
           q->list_id <= INT64_MAX;
}

static bool queued_read(struct wire *w, struct arena *arena, struct message_facts *f)
{
    f->queued_at = 0;
    f->queued_count = 0;
    f->queued = NULL;
    /* A record of a store that had no queue yet ends here. */
    if (w->failed || w->rest.size == 0)
        return true;
    f->queued_at = wire_read_u64(w);
    f->queued_count = wire_read_count(w, QUEUED_LEAST);
    f->queued = arena_array(arena, f->queued_count + 1, sizeof(*f->queued));
    if (!f->queued)
        return false;
    bool good = f->queued_at <= INT64_MAX;
    for (uint32_t i = 0; good && i < f->queued_count; i++)
        good = message_queued_read(w, &f->queued[i]);
    return good;
}

void message_facts_write(struct buf *out, const struct message_facts *f)
{
    wire_write_u64(out, f->message_id);
    wire_write_u64(out, f->received_at);
    wire_write_u64(out, f->sender_account_id);
    wire_write_u32(out, f->ret);
    wire_write_u32(out, (f->smtputf8 ? 1u : 0u) | (f->eight_bit ? 2u : 0u));
    wire_write_bytes(out, f->reverse_path);
    wire_write_bytes(out, f->peer_address);
    wire_write_bytes(out, f->helo);
    wire_write_bytes(out, f->protocol);
    wire_write_bytes(out, f->session);
    wire_write_bytes(out, f->envid);
    wire_write_bytes(out, f->summary);
    wire_write_u32(out, f->entry_count);
    for (uint32_t i = 0; i < f->entry_count; i++)
        message_entry_write(out, &f->entries[i]);
    wire_write_u64(out, f->queued_at);
    wire_write_u32(out, f->queued_count);
    for (uint32_t i = 0; i < f->queued_count; i++)
        message_queued_write(out, &f->queued[i]);
    if (f->remote_id == 0)
        return;
    wire_write_u64(out, f->remote_id);
    wire_write_bytes(out, f->uidl);
}

/* True also where it was not fetched. */
static bool fetched_read(struct wire *w, struct message_facts *f)
{
    f->remote_id = 0;
    f->uidl = (struct span){NULL, 0};
    if (w->failed || w->rest.size == 0)
        return true;
    f->remote_id = wire_read_u64(w);
    f->uidl = wire_read_bytes(w);
    return f->remote_id != 0 && f->remote_id <= INT64_MAX && f->uidl.size > 0 && f->uidl.size <= UIDL_MAX;
}

bool message_facts_parse(struct span s, struct arena *arena, struct message_facts *f)
{
    struct wire w = {s, false};
    f->message_id = wire_read_u64(&w);
    f->received_at = wire_read_u64(&w);
    f->sender_account_id = wire_read_u64(&w);
    f->ret = wire_read_u32(&w);
    uint32_t bits = wire_read_u32(&w);
    f->smtputf8 = bits & 1;
    f->eight_bit = bits & 2;
    f->reverse_path = wire_read_bytes(&w);
    f->peer_address = wire_read_bytes(&w);
    f->helo = wire_read_bytes(&w);
    f->protocol = wire_read_bytes(&w);
    f->session = wire_read_bytes(&w);
    f->envid = wire_read_bytes(&w);
    f->summary = wire_read_bytes(&w);
    f->entry_count = wire_read_count(&w, ENTRY_LEAST);
    f->entries = arena_array(arena, f->entry_count + 1, sizeof(*f->entries));
    if (!f->entries)
        return false;
    for (uint32_t i = 0; i < f->entry_count; i++)
        message_entry_read(&w, &f->entries[i]);
    return queued_read(&w, arena, f) && fetched_read(&w, f) && wire_is_done(&w) && bits <= 3 && f->message_id != 0 &&
           f->message_id <= INT64_MAX;
}

void entry_facts_write(struct buf *out, const struct entry_facts *f)
{
    wire_write_u64(out, f->message_id);
    wire_write_u64(out, f->mailbox_id);
    wire_write_u32(out, f->uid);
    wire_write_u64(out, f->modseq);
    wire_write_u64(out, f->flags);
}

bool entry_facts_parse(struct span s, struct entry_facts *f)
{
    struct wire w = {s, false};
    f->message_id = wire_read_u64(&w);
    f->mailbox_id = wire_read_u64(&w);
    f->uid = wire_read_u32(&w);
    f->modseq = wire_read_u64(&w);
    f->flags = wire_read_u64(&w);
    return wire_is_done(&w);
}

void expunge_facts_write(struct buf *out, const struct expunge_facts *f)
{
    wire_write_u64(out, f->mailbox_id);
    wire_write_u64(out, f->modseq);
    wire_write_u32(out, f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        wire_write_u32(out, f->items[i].uid);
        wire_write_u64(out, f->items[i].message_id);
    }
}

bool expunge_facts_parse(struct span s, struct arena *arena, struct expunge_facts *f)
{
    struct wire w = {s, false};
    f->mailbox_id = wire_read_u64(&w);
    f->modseq = wire_read_u64(&w);
    f->count = wire_read_count(&w, 12);
    f->items = arena_array(arena, f->count + 1, sizeof(*f->items));
    if (!f->items)
        return false;
    for (uint32_t i = 0; i < f->count; i++) {
        f->items[i].uid = wire_read_u32(&w);
        f->items[i].message_id = wire_read_u64(&w);
    }
    return wire_is_done(&w);
}

void queue_facts_write(struct buf *out, const struct queue_facts *f)
{
    wire_write_u32(out, f->change);
    wire_write_u32(out, f->count);
    for (uint32_t i = 0; i < f->count; i++) {
        wire_write_u64(out, f->items[i].message_id);
        wire_write_u32(out, f->items[i].number);
    }
}

bool queue_facts_parse(struct span s, struct arena *arena, struct queue_facts *f)
{
    struct wire w = {s, false};
    f->change = wire_read_u32(&w);
    f->count = wire_read_count(&w, 12);
    f->items = arena_array(arena, f->count + 1, sizeof(*f->items));
    if (!f->items)
        return false;
    for (uint32_t i = 0; i < f->count; i++) {
        f->items[i].message_id = wire_read_u64(&w);
        f->items[i].number = wire_read_u32(&w);
        w.failed |= f->items[i].message_id > INT64_MAX;
    }
    return wire_is_done(&w) && f->change >= QUEUE_CHANGE_DONE && f->change <= QUEUE_CHANGE_RELEASED;
}

static void spans_write(struct buf *out, const struct span *spans, uint32_t count)
{
    wire_write_u32(out, count);
    for (uint32_t i = 0; i < count; i++)
        wire_write_bytes(out, spans[i]);
}

static struct span *spans_read(struct wire *w, struct arena *arena, uint32_t *count)
{
    *count = wire_read_count(w, 4);
    struct span *spans = arena_array(arena, *count + 1, sizeof(*spans));
    for (uint32_t i = 0; spans && i < *count; i++)
        spans[i] = wire_read_bytes(w);
    return spans;
}

void mailbox_facts_write(struct buf *out, const struct mailbox_facts *f)
{
    wire_write_u64(out, f->id);
    wire_write_u64(out, f->account_id);
    wire_write_bytes(out, f->name);
    wire_write_u32(out, f->uidvalidity);
    wire_write_u32(out, f->uidnext);
    wire_write_u32(out, f->special_use);
    wire_write_u64(out, f->highest_modseq);
    spans_write(out, f->keywords, f->keyword_count);
}

bool mailbox_facts_parse(struct span s, struct arena *arena, struct mailbox_facts *f)
{
    struct wire w = {s, false};
    f->id = wire_read_u64(&w);
    f->account_id = wire_read_u64(&w);
    f->name = wire_read_bytes(&w);
    f->uidvalidity = wire_read_u32(&w);
    f->uidnext = wire_read_u32(&w);
    f->special_use = wire_read_u32(&w);
    f->highest_modseq = wire_read_u64(&w);
    f->keywords = spans_read(&w, arena, &f->keyword_count);
    return f->keywords && wire_is_done(&w) && f->keyword_count <= KEYWORDS_MAX;
}

void domain_facts_write(struct buf *out, const struct domain_facts *f)
{
    wire_write_u64(out, f->id);
    wire_write_bytes(out, f->name);
    wire_write_u32(out, f->kind);
    wire_write_u64(out, f->alias_of);
    wire_write_bytes(out, f->next_hop);
}

bool domain_facts_parse(struct span s, struct domain_facts *f)
{
    struct wire w = {s, false};
    *f = (struct domain_facts){.id = wire_read_u64(&w), .name = wire_read_bytes(&w)};
    if (!w.failed && w.rest.size > 0) {
        f->kind = wire_read_u32(&w);
        f->alias_of = wire_read_u64(&w);
        f->next_hop = wire_read_bytes(&w);
    }
    return wire_is_done(&w) && f->kind <= 1 && f->alias_of <= INT64_MAX;
}

void account_facts_write(struct buf *out, const struct account_facts *f)
{
    wire_write_u64(out, f->id);
    wire_write_u64(out, f->domain_id);
    wire_write_bytes(out, f->local_part);
    wire_write_bytes(out, f->domain);
    wire_write_bytes(out, f->name);
    wire_write_u32(out, f->enabled ? 1 : 0);
    wire_write_u64(out, f->quota);
    wire_write_u64(out, f->created_at);
    wire_write_u64(out, f->version);
    wire_write_u32(out, f->credential_count);
    for (uint32_t i = 0; i < f->credential_count; i++) {
        wire_write_bytes(out, f->credentials[i].kind);
        wire_write_bytes(out, f->credentials[i].value);
    }
}

bool account_facts_parse(struct span s, struct arena *arena, struct account_facts *f)
{
    struct wire w = {s, false};
    f->id = wire_read_u64(&w);
    f->domain_id = wire_read_u64(&w);
    f->local_part = wire_read_bytes(&w);
    f->domain = wire_read_bytes(&w);
    f->name = wire_read_bytes(&w);
    uint32_t enabled = wire_read_u32(&w);
    f->enabled = enabled == 1;
    f->quota = wire_read_u64(&w);
    f->created_at = wire_read_u64(&w);
    f->version = wire_read_u64(&w);
    f->credential_count = wire_read_count(&w, 8);
    f->credentials = arena_array(arena, f->credential_count + 1, sizeof(*f->credentials));
    if (!f->credentials)
        return false;
    for (uint32_t i = 0; i < f->credential_count; i++) {
        f->credentials[i].kind = wire_read_bytes(&w);
        f->credentials[i].value = wire_read_bytes(&w);
    }
    return wire_is_done(&w) && enabled <= 1;
}

void alias_facts_write(struct buf *out, const struct alias_facts *f)
{
    wire_write_u64(out, f->id);
    wire_write_u64(out, f->domain_id);
    wire_write_bytes(out, f->local_part);
    wire_write_bytes(out, f->domain);
    spans_write(out, f->targets, f->target_count);
}

bool alias_facts_parse(struct span s, struct arena *arena, struct alias_facts *f)
{
    struct wire w = {s, false};
    f->id = wire_read_u64(&w);
    f->domain_id = wire_read_u64(&w);
    f->local_part = wire_read_bytes(&w);
    f->domain = wire_read_bytes(&w);
    f->targets = spans_read(&w, arena, &f->target_count);
    return f->targets && wire_is_done(&w);
}

#define MEMBER_LEAST (8 + 4 + 4 + 4)

void mailing_list_facts_write(struct buf *out, const struct mailing_list_facts *f)
{
    wire_write_u64(out, f->id);
    wire_write_u64(out, f->domain_id);
    wire_write_bytes(out, f->local_part);
    wire_write_bytes(out, f->domain);
    wire_write_bytes(out, f->name);
    wire_write_bytes(out, f->owner);
    wire_write_u32(out, f->posting);
    wire_write_u32(out, f->member_count);
    for (uint32_t i = 0; i < f->member_count; i++) {
        wire_write_u64(out, f->members[i].number);
        wire_write_bytes(out, f->members[i].address);
        wire_write_u32(out, f->members[i].bounces);
        wire_write_u32(out, f->members[i].suspended ? 1 : 0);
    }
}

bool mailing_list_facts_parse(struct span s, struct arena *arena, struct mailing_list_facts *f)
{
    struct wire w = {s, false};
    f->id = wire_read_u64(&w);
    f->domain_id = wire_read_u64(&w);
    f->local_part = wire_read_bytes(&w);
    f->domain = wire_read_bytes(&w);
    f->name = wire_read_bytes(&w);
    f->owner = wire_read_bytes(&w);
    f->posting = wire_read_u32(&w);
    f->member_count = wire_read_count(&w, MEMBER_LEAST);
    f->members = arena_array(arena, f->member_count + 1, sizeof(*f->members));
    if (!f->members)
        return false;
    for (uint32_t i = 0; i < f->member_count; i++) {
        struct mailing_list_member *m = &f->members[i];
        m->number = wire_read_u64(&w);
        m->address = wire_read_bytes(&w);
        m->bounces = wire_read_u32(&w);
        uint32_t suspended = wire_read_u32(&w);
        m->suspended = suspended == 1;
        w.failed |= suspended > 1 || m->number > INT64_MAX;
    }
    return wire_is_done(&w) && f->posting <= 2 && f->id <= INT64_MAX && f->domain_id <= INT64_MAX;
}
