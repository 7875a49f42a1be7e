/* What a DNS list answers: ranges as the settings have them, addresses, and the text of the reason. The first byte
 * chooses. */
#include "policy/dns_list.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RANGES_MAX 8
#define NAME_BYTES_MAX 300

static void require(bool holds)
{
    if (!holds)
        abort();
}

static bool is_within(const struct ip_address *ip, const struct dns_list_range *range)
{
    return memcmp(&range->first, ip, sizeof *ip) <= 0 && memcmp(ip, &range->last, sizeof *ip) <= 0;
}

static void check_name(const struct ip_address *ip)
{
    struct buf name;
    buf_init(&name, NAME_BYTES_MAX);
    dns_list_write_name(ip, "list.example.org", &name);
    require(!buf_failed(&name) && span_find(buf_span(&name), ' ') == name.size);
    require(span_find(buf_span(&name), 'l') == name.size - strlen("list.example.org"));
    buf_release(&name);
}

/* Words of ranges up to an empty line, then 16 bytes an answer. */
static void check_answers(struct span text)
{
    struct dns_list_range ranges[RANGES_MAX];
    size_t count = 0;
    enum dns_list_meaning all = DNS_LIST_NOT_LISTED;
    for (struct span word = span_cut(&text, '\n'); word.size; word = span_cut(&text, '\n'))
        if (count < RANGES_MAX && dns_list_range_parse(word, &ranges[count])) {
            require(is_within(&ranges[count].first, &ranges[count]) && is_within(&ranges[count].last, &ranges[count]));
            count++;
        }
    for (; text.size >= 16; text = span_skip(text, 16)) {
        struct ip_address ip;
        memcpy(ip.bytes, text.data, sizeof ip.bytes);
        check_name(&ip);
        enum dns_list_meaning meaning = dns_list_judge(&ip, ranges, count), any = dns_list_judge(&ip, NULL, 0);
        bool inside = false;
        for (size_t i = 0; i < count; i++)
            inside |= is_within(&ip, &ranges[i]);
        /* An error is one whatever counts, and nothing outside of 127.0.0.0/8 is ever a listing. */
        require((meaning == DNS_LIST_ERROR) == (any == DNS_LIST_ERROR) && any != DNS_LIST_NOT_LISTED);
        require(any == DNS_LIST_ERROR || (ip_address_is_ipv4(&ip) && ip.bytes[12] == 127));
        require(meaning == DNS_LIST_ERROR || (meaning == DNS_LIST_LISTED) == (!count || inside));
        all = dns_list_combine(all, meaning);
        require(all >= meaning);
    }
}

static void check_reason(struct span text)
{
    struct buf out;
    buf_init(&out, DNS_LIST_REASON_MAX);
    dns_list_write_reason(text, &out);
    require(!buf_failed(&out) && out.size <= DNS_LIST_REASON_MAX);
    for (size_t i = 0; i < out.size; i++)
        require(out.data[i] >= ' ' && out.data[i] <= '~');
    buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] & 1)
        check_answers(span_from(data + 1, size - 1));
    else
        check_reason(span_from(data + 1, size - 1));
    return 0;
}
