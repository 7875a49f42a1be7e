#include "dns/packet.h"

#include "dns/name.h"

#define HEADER_SIZE 12
#define CLASS_IN 1
/* A day is long enough for whatever is remembered by it. */
#define TTL_MAX 86400

enum { TYPE_NS = 2, TYPE_CNAME = 5, TYPE_SOA = 6, TYPE_PTR = 12, TYPE_MX = 15 };

struct record {
    struct dns_wire_name owner;
    unsigned type, class;
    uint32_t ttl;
    size_t data, size; /* the RDATA's place in the message */
};

static unsigned read_u16(struct span message, size_t at)
{
    const unsigned char *p = (const unsigned char *)message.data + at;
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t read_u32(struct span message, size_t at)
{
    return (uint32_t)read_u16(message, at) << 16 | read_u16(message, at + 2);
}

static bool read_record(struct span message, size_t *at, struct record *r)
{
    if (!dns_name_read(message, at, &r->owner) || message.size - *at < 10)
        return false;
    r->type = read_u16(message, *at);
    r->class = read_u16(message, *at + 2);
    r->ttl = read_u32(message, *at + 4);
    r->size = read_u16(message, *at + 8);
    r->data = *at + 10;
    if (message.size - r->data < r->size)
        return false;
    /* RFC 2181 section 8 */
    r->ttl = r->ttl > INT32_MAX ? 0 : r->ttl < TTL_MAX ? r->ttl : TTL_MAX;
    *at = r->data + r->size;
    return true;
}

/* How many bytes stand before the names of such RDATA, and how many names; bytes behind them are copied. */
static bool names_of(unsigned type, size_t *before, unsigned *names)
{
    *before = type == TYPE_MX ? 2 : 0;
    *names = type == TYPE_SOA ? 2 : 1;
    return type == TYPE_NS || type == TYPE_CNAME || type == TYPE_SOA || type == TYPE_PTR || type == TYPE_MX;
}

/* False when the RDATA can't be read. */
static bool expand(struct span message, const struct record *r, struct arena *memory, struct span *rdata)
{
    size_t before;
    unsigned names;
    if (!names_of(r->type, &before, &names)) {
        *rdata = arena_copy(memory, span_from(message.data + r->data, r->size));
        return rdata->data != NULL;
    }
    unsigned char out[2 + 2 * DNS_WIRE_MAX + 20];
    size_t at = r->data + before, end = r->data + r->size, size = before;
    if (r->size < before)
        return false;
    memcpy(out, message.data + r->data, before);
    for (unsigned i = 0; i < names; i++) {
        struct dns_wire_name name;
        if (!dns_name_read(span_head(message, end), &at, &name))
            return false;
        memcpy(out + size, name.data, name.size);
        size += name.size;
    }
    size_t rest = end - at;
    if (rest != (r->type == TYPE_SOA ? 20u : 0u))
        return false;
    memcpy(out + size, message.data + at, rest);
    *rdata = arena_copy(memory, span_from(out, size + rest));
    return rdata->data != NULL;
}

static void lower(uint32_t *ttl, uint32_t to)
{
    *ttl = to < *ttl ? to : *ttl;
}

/* What follows the question: the records asked for, of the name that CNAMEs led to so far. A CNAME stands before what
 * it leads to: that is how resolvers write answers. */
static bool read_answers(struct span message, size_t *at, unsigned count, unsigned type, struct dns_wire_name *wanted,
                         struct arena *memory, struct dns_packet *packet)
{
    bool moved = false;
    for (unsigned i = 0; i < count; i++) {
        struct record r;
        if (!read_record(message, at, &r))
            return false;
        if (r.class != CLASS_IN || !dns_name_equal(&r.owner, wanted))
            continue;
        if (r.type == type && packet->count < DNS_PACKET_RECORDS_MAX) {
            if (!expand(message, &r, memory, &packet->records[packet->count]))
                return false;
            packet->count++;
            lower(&packet->ttl, r.ttl);
        } else if (r.type == TYPE_CNAME) {
            size_t target = r.data;
            if (!dns_name_read(message, &target, wanted))
                return false;
            lower(&packet->ttl, r.ttl);
            moved = true;
        }
    }
    /* A name with odd characters stays empty: nobody needs it. */
    if (moved && !dns_name_text(wanted, memory, &packet->canonical))
        packet->canonical = (struct span){NULL, 0};
    return true;
}

/* RFC 2308 section 5: the smaller of the SOA's own TTL and its last field. */
static bool read_negative_ttl(struct span message, size_t *at, unsigned count, struct dns_packet *packet)
{
    bool found = false;
    for (unsigned i = 0; i < count; i++) {
        struct record r;
        if (!read_record(message, at, &r))
            return false;
        if (r.class != CLASS_IN || r.type != TYPE_SOA || r.size < 20)
            continue;
        lower(&packet->ttl, r.ttl);
        lower(&packet->ttl, read_u32(message, r.data + r.size - 4));
        found = true;
    }
    packet->ttl = found ? packet->ttl : 0;
    return true;
}

bool dns_packet_parse(struct span message, unsigned type, struct arena *memory, struct dns_packet *packet)
{
    *packet = (struct dns_packet){.ttl = TTL_MAX};
    size_t at = HEADER_SIZE;
    struct dns_wire_name wanted;
    if (message.size < HEADER_SIZE || read_u16(message, 4) != 1 || !dns_name_read(message, &at, &wanted) ||
        message.size - at < 4)
        return false;
    at += 4;
    packet->rcode = read_u16(message, 2) & 15;
    unsigned answers = read_u16(message, 6), authorities = read_u16(message, 8);
    size_t room = answers < DNS_PACKET_RECORDS_MAX ? answers : DNS_PACKET_RECORDS_MAX;
    packet->records = arena_array(memory, room + 1, sizeof *packet->records);
    if (!packet->records || !read_answers(message, &at, answers, type, &wanted, memory, packet))
        return false;
    return packet->count || read_negative_ttl(message, &at, authorities, packet);
}
