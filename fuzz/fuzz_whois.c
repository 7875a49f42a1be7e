/* WHOIS answers: the first 16 bytes are the address that was asked about. */
#include "format/utf8.h"
#include "format/whois.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void check_answer(const struct whois_answer *a, const struct ip_address *address)
{
    char host[WHOIS_HOST_MAX + 1];
    uint16_t port;
    require(strlen(a->country) == 0 || strlen(a->country) == 2);
    require(strlen(a->network) <= WHOIS_NAME_MAX && utf8_is_valid(span_text(a->network)));
    require(a->block.bits <= 128 && (!a->block.bits || whois_network_has(&a->block, address)));
    require(!a->referral[0] || (whois_server_parse(span_text(a->referral), host, &port) && a->referral_port > 0));
    struct whois_network kept = whois_network_to_remember(&a->block, address);
    require(whois_network_has(&kept, address) && kept.bits >= WHOIS_WIDEST_IPV6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ip_address address = {{0}};
    struct whois_answer answer, later;
    struct buf clean;
    size_t head = size < 16 ? size : 16;
    if (head)
        memcpy(address.bytes, data, head);
    struct span raw = span_skip(span_from(data, size), head);
    buf_init(&clean, 65537);
    whois_clean(raw, 65536, &clean);
    require(!buf_failed(&clean) && clean.size <= 65536 && utf8_is_valid(buf_span(&clean)));
    whois_read(buf_span(&clean), &address, &answer);
    check_answer(&answer, &address);
    whois_read(span_skip(buf_span(&clean), clean.size / 2), &address, &later);
    whois_merge(&answer, &later);
    check_answer(&answer, &address);
    buf_release(&clean);
    return 0;
}
