#include "policy/dns_list.h"

#define MAPPED_IPV4(a, b, c, d)                                   \
    {                                                             \
        .bytes = { [10] = 0xff, [11] = 0xff, (a), (b), (c), (d) } \
    }

const struct dns_list_test dns_list_tests[DNS_LIST_TESTS] = {
    {MAPPED_IPV4(127, 0, 0, 2), false, true},
    {MAPPED_IPV4(127, 0, 0, 1), false, false},
    {MAPPED_IPV4(127, 0, 0, 2), true, true},
    {MAPPED_IPV4(127, 0, 0, 1), true, false},
};

static void add_zone(const char *zone, struct buf *out)
{
    buf_add_char(out, '.');
    buf_add_text(out, zone);
}

void dns_list_write_name(const struct ip_address *ip, const char *zone, struct buf *out)
{
    ip_address_write_reversed(ip, out);
    add_zone(zone, out);
}

void dns_list_write_test_name(const struct dns_list_test *test, const char *zone, struct buf *out)
{
    if (test->ipv6)
        ip_address_write_nibbles(&test->ip, out);
    else
        ip_address_write_reversed(&test->ip, out);
    add_zone(zone, out);
}

static bool is_answer(const struct ip_address *ip)
{
    return ip_address_is_ipv4(ip) && ip->bytes[12] == 127;
}

bool dns_list_range_parse(struct span word, struct dns_list_range *range)
{
    struct span last = word;
    struct span first = span_cut(&last, '-');
    struct dns_list_range r;
    if (!ip_address_parse(first, &r.first) || !ip_address_parse(first.size == word.size ? first : last, &r.last))
        return false;
    if (!is_answer(&r.first) || !is_answer(&r.last) || memcmp(&r.first, &r.last, sizeof r.first) > 0)
        return false;
    *range = r;
    return true;
}

enum dns_list_meaning dns_list_judge(const struct ip_address *answer, const struct dns_list_range *ranges,
                                     size_t range_count)
{
    static const struct ip_address nothing = MAPPED_IPV4(127, 0, 0, 1);
    if (!is_answer(answer) || (answer->bytes[13] == 255 && answer->bytes[14] == 255) ||
        ip_address_equal(answer, &nothing))
        return DNS_LIST_ERROR;
    for (size_t i = 0; i < range_count; i++)
        if (memcmp(&ranges[i].first, answer, sizeof *answer) <= 0 &&
            memcmp(answer, &ranges[i].last, sizeof *answer) <= 0)
            return DNS_LIST_LISTED;
    return range_count ? DNS_LIST_NOT_LISTED : DNS_LIST_LISTED;
}

enum dns_list_meaning dns_list_combine(enum dns_list_meaning a, enum dns_list_meaning b)
{
    return a > b ? a : b;
}

void dns_list_write_reason(struct span text, struct buf *out)
{
    text = span_head(span_trim(text), DNS_LIST_REASON_MAX);
    for (size_t i = 0; i < text.size; i++)
        buf_add_char(out, text.data[i] < ' ' || text.data[i] > '~' ? '?' : text.data[i]);
}
