/* A volume's records from a hostile disk. The first byte chooses the facts that are parsed; checksums are made right
 * first, so that what lies behind them is reached as well. */
#include "store/crc32c.h"
#include "store/volume.h"
#include "store/wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEADER_CHECKSUM_AT (RECORD_HEADER_SIZE - 4)

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_written_the_same(struct span s, const struct door_item *item)
{
    struct buf out;
    buf_init(&out, s.size + 64);
    door_facts_write(&out, item);
    bool same = !buf_failed(&out) && span_equal(buf_span(&out), s);
    buf_release(&out);
    return same;
}

static void parse_facts(unsigned type, struct span s, struct arena *arena)
{
    struct message_facts message, again;
    struct expunge_facts expunge;
    struct mailbox_facts mailbox;
    struct account_facts account;
    struct alias_facts alias;
    struct domain_facts domain;
    struct entry_facts entry;
    struct queue_facts queue;
    struct mailing_list_facts list;
    struct door_item door;
    struct remote_seen_facts seen;
    uint64_t id;
    bool parsed = false;
    switch (type) {
    case RECORD_MESSAGE:
        parsed = message_facts_parse(s, arena, &message);
        break;
    case RECORD_ENTRY:
        parsed = entry_facts_parse(s, &entry);
        break;
    case RECORD_EXPUNGE:
        parsed = expunge_facts_parse(s, arena, &expunge);
        require(!parsed || expunge.count <= s.size / 12);
        break;
    case RECORD_MAILBOX:
        parsed = mailbox_facts_parse(s, arena, &mailbox);
        break;
    case RECORD_DOMAIN:
        parsed = domain_facts_parse(s, &domain);
        break;
    case RECORD_ACCOUNT:
        parsed = account_facts_parse(s, arena, &account);
        break;
    case RECORD_ALIAS:
        parsed = alias_facts_parse(s, arena, &alias);
        break;
    case RECORD_QUEUE:
        parsed = queue_facts_parse(s, arena, &queue);
        break;
    case RECORD_MAILING_LIST:
        parsed = mailing_list_facts_parse(s, arena, &list);
        break;
    case RECORD_DOOR_ITEM:
        parsed = door_facts_parse(s, &door);
        require(!parsed || is_written_the_same(s, &door));
        /* The history has many of them, one behind the other. */
        for (struct span rest = s; rest.size && door_facts_parse_next(&rest, &door);)
            require(rest.size < s.size);
        break;
    case RECORD_REMOTE_SEEN:
        parsed = remote_seen_facts_parse(s, arena, &seen);
        require(!parsed || seen.count <= s.size / 12);
        break;
    default:
        parsed = id_facts_parse(s, &id);
    }
    if (!parsed || type != RECORD_MESSAGE)
        return;
    /* What was understood is written the same, with the queue's fields behind where an old record had none. */
    struct buf out;
    buf_init(&out, s.size + 64);
    message_facts_write(&out, &message);
    require(!buf_failed(&out) && span_equal(span_head(buf_span(&out), s.size), s));
    require(out.size == s.size || !message.queued);
    require(message_facts_parse(buf_span(&out), arena, &again) && again.entry_count == message.entry_count &&
            again.queued_count == message.queued_count && again.remote_id == message.remote_id);
    buf_release(&out);
}

static void parse_record(const char *bytes, size_t size)
{
    struct record_header header;
    struct buf out;
    struct span s = span_from(bytes, size);
    if (!record_header_parse(s, &header) || record_size(&header) > size)
        return;
    struct span stored = span_head(span_skip(s, RECORD_HEADER_SIZE + header.facts_size), header.body_stored);
    buf_init(&out, 16 << 20);
    if (header.body_size <= 8 << 20 && body_read_memory(stored, &header, header.lsn, 0, header.body_size, &out) == 0)
        require(out.size == header.body_size);
    buf_release(&out);
}

/* The checksum of the first block, whose header stands behind header and facts. */
static void mend_block(char *bytes, size_t size, const struct record_header *header)
{
    size_t at = RECORD_HEADER_SIZE + header->facts_size;
    if (at + BODY_BLOCK_HEADER_SIZE > size)
        return;
    uint32_t word = (uint32_t)wire_get_number(bytes + at, 4);
    struct span stored = span_head(span_from(bytes + at + 8, size - at - 8), word & ~BODY_BLOCK_ZSTD);
    wire_put_number(bytes + at + 4, body_block_checksum(header->lsn, 0, word, stored), 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct record_header header;
    if (size == 0)
        return 0;
    arena_init(&arena, 8 << 20);
    parse_facts(data[0] % RECORD_TYPE_COUNT, span_from(data + 1, size - 1), &arena);
    char *bytes = malloc(size);
    if (bytes && size > RECORD_HEADER_SIZE) {
        memcpy(bytes, data + 1, size - 1);
        size--;
        parse_record(bytes, size);
        wire_put_number(bytes + HEADER_CHECKSUM_AT, crc32c(0, span_from(bytes, HEADER_CHECKSUM_AT)), 4);
        if (record_header_parse(span_from(bytes, size), &header) && record_size(&header) <= size)
            mend_block(bytes, size, &header);
        parse_record(bytes, size);
    }
    free(bytes);
    arena_release(&arena);
    return 0;
}
