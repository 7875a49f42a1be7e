/* What comes from the DNS: a whole message, whose records are then read as each type. The first byte is the type asked
 * for. */
#include "dns/name.h"
#include "dns/packet.h"
#include "dns/rdata.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void read_record(struct span rdata, struct arena *memory)
{
    struct ip_address address;
    struct rdata_mx mx;
    struct span text;
    struct dns_wire_name wire;
    if (rdata_address(rdata, &address))
        require(rdata.size == 4 || rdata.size == 16);
    if (rdata_mx(rdata, memory, &mx) && mx.host.size)
        require(dns_name_is_valid(mx.host) && dns_name_parse(mx.host, &wire) && wire.size == mx.host.size + 2);
    if (rdata_name(rdata, memory, &text))
        require(dns_name_is_valid(text));
    if (rdata_text(rdata, memory, &text))
        require(text.size < rdata.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena memory;
    struct dns_packet packet;
    if (size == 0)
        return 0;
    struct span message = span_from(data + 1, size - 1);
    arena_init(&memory, 1 << 20);
    if (dns_packet_parse(message, data[0], &memory, &packet)) {
        require(packet.count <= DNS_PACKET_RECORDS_MAX && packet.rcode < 16 && packet.ttl <= 86400);
        require(!packet.canonical.size || dns_name_is_valid(packet.canonical));
        for (size_t i = 0; i < packet.count; i++)
            read_record(packet.records[i], &memory);
    }
    read_record(message, &memory);
    arena_release(&memory);
    return 0;
}
