#include "dns/rdata.h"

#include "dns/name.h"

bool rdata_address(struct span rdata, struct ip_address *address)
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (rdata.size == 4) {
        memcpy(address->bytes, mapped, sizeof mapped);
        memcpy(address->bytes + sizeof mapped, rdata.data, 4);
    } else if (rdata.size == sizeof address->bytes) {
        memcpy(address->bytes, rdata.data, sizeof address->bytes);
    } else {
        return false;
    }
    return true;
}

bool rdata_mx(struct span rdata, struct arena *memory, struct rdata_mx *mx)
{
    struct dns_wire_name host;
    size_t at = 2;
    if (rdata.size < 3 || !dns_name_read(rdata, &at, &host) || at != rdata.size)
        return false;
    mx->preference = (unsigned)(unsigned char)rdata.data[0] << 8 | (unsigned char)rdata.data[1];
    mx->host = (struct span){NULL, 0};
    return host.size == 1 || dns_name_text(&host, memory, &mx->host);
}

bool rdata_name(struct span rdata, struct arena *memory, struct span *name)
{
    struct dns_wire_name wire;
    size_t at = 0;
    return dns_name_read(rdata, &at, &wire) && at == rdata.size && dns_name_text(&wire, memory, name);
}

bool rdata_text(struct span rdata, struct arena *memory, struct span *text)
{
    char *out = arena_alloc(memory, rdata.size + 1);
    size_t size = 0;
    if (!out || !rdata.size)
        return false;
    while (rdata.size) {
        size_t length = (unsigned char)rdata.data[0];
        rdata = span_skip(rdata, 1);
        if (rdata.size < length)
            return false;
        memcpy(out + size, rdata.data, length);
        size += length;
        rdata = span_skip(rdata, length);
    }
    *text = span_from(out, size);
    return true;
}
