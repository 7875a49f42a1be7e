/* A record of a volume: pure encoding and parsing.
 *
 *   header (RECORD_HEADER_SIZE bytes) · facts (facts_size bytes) · body (body_stored bytes)
 *
 * The volumes are the truth, the database an index of them: whatever must survive the database's loss is a record.
 * Records are only ever appended and their lsn (log sequence number) rises over all volumes, in the order of the
 * volumes' numbers, so reading them in that order and letting the later win gives the state again. A thing is named by
 * the lsn of the record that created it: message, account, domain, mailbox and alias ids are lsns, never given twice.
 *
 * The header is sealed by its own checksum and carries the store's mark, a random number that no sender of mail can
 * know: bytes in a body that look like a record are never taken for one, also where a damaged volume has to be searched
 * for the next whole record.
 *
 * The body is a chain of blocks, each of at most BODY_BLOCK_SIZE bytes of the message: {u32 stored size, top bit: zstd;
 * u32 checksum} + bytes. The checksum is begun with the message's id and the block's place in it, so a block that lies
 * in the wrong place is damage too. A piece of a large message can be read and verified without the rest.
 *
 * All input is hostile. Spans point into the input. No function here waits.
 */
#ifndef STORE_VOLUME_RECORD_H
#define STORE_VOLUME_RECORD_H

#include "base/arena.h"
#include "base/buf.h"

#define RECORD_HEADER_SIZE 72
#define RECORD_FACTS_MAX (24u << 20)
#define RECORD_BODY_MAX (1ull << 32)
#define BODY_BLOCK_SIZE (1u << 20)
#define BODY_BLOCK_HEADER_SIZE 8
#define BODY_BLOCK_ZSTD 0x80000000u

enum record_type {
    RECORD_VOLUME = 1, /* the first of each volume: struct volume_facts */
    RECORD_MESSAGE, /* struct message_facts + body; replaces an earlier record of the same message_id with its entries
                     */
    RECORD_ENTRY,   /* struct entry_facts: a message is (also) in a mailbox, with these flags */
    RECORD_EXPUNGE, /* struct expunge_facts */
    RECORD_MAILBOX, /* struct mailbox_facts: made, renamed, or its counters kept */
    RECORD_MAILBOX_REMOVED,      /* u64 id; its entries go too */
    RECORD_DOMAIN,               /* struct domain_facts */
    RECORD_DOMAIN_REMOVED,       /* u64 id */
    RECORD_ACCOUNT,              /* struct account_facts, credentials included */
    RECORD_ACCOUNT_REMOVED,      /* u64 id; its mailboxes go too */
    RECORD_ALIAS,                /* struct alias_facts */
    RECORD_ALIAS_REMOVED,        /* u64 id */
    RECORD_QUEUE,                /* struct queue_facts: what became of queue entries */
    RECORD_MAILING_LIST,         /* struct mailing_list_facts, members included */
    RECORD_MAILING_LIST_REMOVED, /* u64 id */
    RECORD_DOOR_ITEM,            /* struct door_item */
    RECORD_DOOR_ITEM_REMOVED,    /* u64 id */
    RECORD_REMOTE_SEEN,          /* struct remote_seen_facts */
    RECORD_TYPE_COUNT
};

struct record_header {
    uint32_t type; /* enum record_type */
    uint32_t volume;
    uint64_t mark;
    uint64_t lsn;
    uint64_t batch; /* lsn of the first record of its group commit */
    uint32_t facts_size;
    uint32_t facts_checksum;
    uint32_t body_blocks;
    uint64_t body_stored; /* bytes in the volume */
    uint64_t body_size;   /* bytes of the message */
};

static inline uint64_t record_size(const struct record_header *header)
{
    return RECORD_HEADER_SIZE + header->facts_size + header->body_stored;
}

void record_header_write(const struct record_header *header, char out[RECORD_HEADER_SIZE]);
/* False when it is torn, damaged or impossible (sizes over the limits, unknown type). */
MUST_USE bool record_header_parse(struct span bytes, struct record_header *header);
/* Do these facts belong to the header? */
bool record_facts_match(const struct record_header *header, struct span facts);

/* `word` is the stored size with BODY_BLOCK_ZSTD where it is compressed. */
uint32_t body_block_checksum(uint64_t message_id, uint32_t index, uint32_t word, struct span stored);
void body_block_header_write(uint32_t word, uint32_t checksum, char out[BODY_BLOCK_HEADER_SIZE]);

/* ---- The facts of each type ---- */

struct volume_facts {
    uint64_t created_at; /* nanoseconds */
};

#define VOLUME_RECORD_SIZE (RECORD_HEADER_SIZE + sizeof(uint64_t))

/* System flags; keywords have the bits from FLAG_KEYWORDS on, by their place in the mailbox's list. */
#define FLAG_SEEN 1u
#define FLAG_ANSWERED 2u
#define FLAG_FLAGGED 4u
#define FLAG_DELETED 8u
#define FLAG_DRAFT 16u
#define FLAG_KEYWORDS 8
#define KEYWORDS_MAX 55 /* 63 bits: the database's numbers are signed */

struct message_entry {
    uint64_t account_id, mailbox_id;
    uint32_t uid, uidvalidity;
    uint64_t modseq, flags;
    struct span
        account; /* its address, and the mailbox's name: so that a message finds home when their records are lost */
    struct span mailbox;
    struct span recipient, orcpt; /* RFC 3461 */
    uint32_t notify;
};

/* What is to be done for a recipient whose mail is not done with yet. The values are the database's, too. */
enum queue_kind {
    QUEUE_KIND_REMOTE = 1, /* send it to `address` */
    QUEUE_KIND_LIST,       /* make the copies of list `list_id` */
    QUEUE_KIND_REPORT,     /* delivered here; its sender asked to be told: RFC 3461 NOTIFY=SUCCESS */
};
enum queue_state { QUEUE_STATE_DUE, QUEUE_STATE_HELD };

/* A recipient in the queue, named by (message id, number). */
struct message_queued {
    uint32_t number; /* from 1, in the order of the envelope */
    uint32_t kind, state;
    struct span address;     /* where it goes: local@domain, the domain in lower-case A-labels */
    struct span original;    /* the recipient as the sender named it */
    struct span orcpt;       /* RFC 3461 */
    struct span destination; /* "host:port", the address's domain, or QUEUE_DESTINATION_LOCAL */
    struct span forwarder;   /* the domain of ours that sends it on, or empty */
    uint64_t list_id;
    uint32_t notify;
};

/* The destination of entries that go nowhere: lists and reports. No domain has a star in it. */
#define QUEUE_DESTINATION_LOCAL "*local"

/* A record without the queue's fields (of a store that had no queue yet) parses, as one without entries; the fields of
 * fetched mail are there only where it was. */
struct message_facts {
    uint64_t message_id;
    uint64_t received_at; /* nanoseconds since 1970 */
    uint64_t sender_account_id;
    uint32_t ret;
    bool smtputf8, eight_bit;
    struct span reverse_path, peer_address, helo, protocol, session, envid, summary;
    struct message_entry *entries;
    uint32_t entry_count;
    uint64_t queued_at;     /* nanoseconds since 1970: the queue entries' age counts from here; 0 without any */
    uint64_t remote_due_at; /* not in the record: recipients at other sites fall due then; 0: at once */
    struct message_queued *queued;
    uint32_t queued_count;
    uint64_t remote_id; /* fetched from this remote account (id of its door item); 0: it was not fetched */
    struct span uidl;   /* there */
};

enum queue_change { QUEUE_CHANGE_DONE = 1, QUEUE_CHANGE_HELD, QUEUE_CHANGE_RELEASED };

struct queue_item {
    uint64_t message_id;
    uint32_t number;
};

struct queue_facts {
    uint32_t change; /* enum queue_change */
    struct queue_item *items;
    uint32_t count;
};

struct entry_facts {
    uint64_t message_id, mailbox_id;
    uint32_t uid;
    uint64_t modseq, flags;
};

struct expunged {
    uint32_t uid;
    uint64_t message_id;
};

struct expunge_facts {
    uint64_t mailbox_id, modseq;
    struct expunged *items;
    uint32_t count;
};

struct mailbox_facts {
    uint64_t id, account_id;
    struct span name;
    uint32_t uidvalidity, uidnext, special_use;
    uint64_t highest_modseq;
    struct span *keywords;
    uint32_t keyword_count;
};

/* The fields behind `name` are empty in a record that has none. */
struct domain_facts {
    uint64_t id;
    struct span name;
    uint32_t kind;        /* 0 our own, 1 backup */
    uint64_t alias_of;    /* another domain's id, or 0 */
    struct span next_hop; /* "host:port", or empty */
};

struct mailing_list_member {
    uint64_t number;
    struct span address;
    uint32_t bounces;
    bool suspended;
};

struct mailing_list_facts {
    uint64_t id, domain_id;
    struct span local_part, domain, name, owner;
    uint32_t posting; /* 0 everybody, 1 members, 2 the owner */
    struct mailing_list_member *members;
    uint32_t member_count;
};

struct credential_facts {
    struct span kind, value;
};

struct account_facts {
    uint64_t id, domain_id;
    struct span local_part, domain, name;
    bool enabled;
    uint64_t quota, created_at, version;
    struct credential_facts *credentials;
    uint32_t credential_count;
};

struct alias_facts {
    uint64_t id, domain_id;
    struct span local_part, domain;
    struct span *targets;
    uint32_t target_count;
};

/* What somebody has set about a door: policy/door_item.h says which kinds there are and what name and value mean. */
struct door_item {
    uint64_t id;
    uint32_t kind, level; /* enum door_kind, enum rule_level (not LEVEL_DEFAULT) */
    uint64_t owner_id;    /* 0 the site, a domain's id, an account's id */
    struct span detail;   /* LEVEL_ADDRESS: what the address has behind its separator; else empty */
    struct span name, value;
    uint64_t expires_at; /* seconds since 1970; 0: never */
    bool locked;
    uint64_t set_at; /* nanoseconds since 1970 */
    struct span set_by;
};

#define UIDL_MAX 255 /* RFC 1939 says 70; some say more */

/* Messages of a remote account that were dealt with without being stored, or that may be forgotten. */
struct remote_seen {
    struct span uidl; /* 1 to UIDL_MAX bytes */
    uint64_t seen_at; /* nanoseconds since 1970 */
};

struct remote_seen_facts {
    uint64_t remote_id;
    bool forget;
    struct remote_seen *items;
    uint32_t count;
};

void volume_facts_write(struct buf *out, const struct volume_facts *f);
void message_facts_write(struct buf *out, const struct message_facts *f);
void entry_facts_write(struct buf *out, const struct entry_facts *f);
void expunge_facts_write(struct buf *out, const struct expunge_facts *f);
void mailbox_facts_write(struct buf *out, const struct mailbox_facts *f);
void domain_facts_write(struct buf *out, const struct domain_facts *f);
void account_facts_write(struct buf *out, const struct account_facts *f);
void alias_facts_write(struct buf *out, const struct alias_facts *f);
void queue_facts_write(struct buf *out, const struct queue_facts *f);
void mailing_list_facts_write(struct buf *out, const struct mailing_list_facts *f);
void door_facts_write(struct buf *out, const struct door_item *f);
void remote_seen_facts_write(struct buf *out, const struct remote_seen_facts *f);
void id_facts_write(struct buf *out, uint64_t id);

/* False when the bytes are not exactly such facts, or the arena is full. Lists are in the arena. */
MUST_USE bool message_facts_parse(struct span s, struct arena *arena, struct message_facts *f);
MUST_USE bool entry_facts_parse(struct span s, struct entry_facts *f);
MUST_USE bool expunge_facts_parse(struct span s, struct arena *arena, struct expunge_facts *f);
MUST_USE bool mailbox_facts_parse(struct span s, struct arena *arena, struct mailbox_facts *f);
MUST_USE bool domain_facts_parse(struct span s, struct domain_facts *f);
MUST_USE bool account_facts_parse(struct span s, struct arena *arena, struct account_facts *f);
MUST_USE bool alias_facts_parse(struct span s, struct arena *arena, struct alias_facts *f);
MUST_USE bool queue_facts_parse(struct span s, struct arena *arena, struct queue_facts *f);
MUST_USE bool mailing_list_facts_parse(struct span s, struct arena *arena, struct mailing_list_facts *f);
MUST_USE bool door_facts_parse(struct span s, struct door_item *f);
/* The first of several that stand one behind the other; *rest is what follows. */
MUST_USE bool door_facts_parse_next(struct span *rest, struct door_item *f);
MUST_USE bool remote_seen_facts_parse(struct span s, struct arena *arena, struct remote_seen_facts *f);
MUST_USE bool id_facts_parse(struct span s, uint64_t *id);

#endif
