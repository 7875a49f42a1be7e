/* The kinds of words that lists of words hold. */
#include "config/value.h"
#include "format/ip_address.h"

static bool is_path(struct span word)
{
    return word.size > 1 && word.data[0] == '/';
}

static bool is_ip_address(struct span word)
{
    struct ip_address address;
    return ip_address_parse(word, &address);
}

/* "192.0.2.1" or "192.0.2.1@5353" */
static bool is_server(struct span word)
{
    struct span port = word;
    struct span address = span_cut(&port, '@');
    uint64_t number;
    if (!is_ip_address(address))
        return false;
    return address.size == word.size || (span_parse_u64(port, 65535, &number) && number > 0);
}

/* The same, or a name: "whois.example.org@4343" */
static bool is_host(struct span word)
{
    struct span port = word;
    struct span host = span_cut(&port, '@');
    uint64_t number;
    if (!value_is_domain(host))
        return is_server(word);
    return host.size == word.size || (span_parse_u64(port, 65535, &number) && number > 0);
}

static bool is_zone(struct span word)
{
    struct span server = word;
    struct span zone = span_cut(&server, '=');
    return (value_is_domain(zone) || span_is_nocase(zone, "in-addr.arpa") || span_is_nocase(zone, "ip6.arpa") ||
            span_is_nocase(zone, "test")) &&
           is_server(server);
}

/* 127.0.0.2, or a range of them. */
static bool is_answer(struct span word)
{
    struct span last = word;
    struct span first = span_cut(&last, '-');
    struct ip_address from, to;
    if (!ip_address_parse(first, &from) || !ip_address_is_ipv4(&from) || !ip_address_is_loopback(&from))
        return false;
    if (first.size == word.size)
        return true;
    return ip_address_parse(last, &to) && ip_address_is_ipv4(&to) && ip_address_is_loopback(&to) &&
           memcmp(&from, &to, sizeof from) <= 0;
}

const struct word_kind word_path = {is_path, "absolute paths like { \"/etc/ostiary/blocked\" }", "an absolute path"};
const struct word_kind word_domain = {value_is_domain, "domain names like { \"example.org\" }",
                                      "a full domain name like \"example.org\""};
const struct word_kind word_host = {is_host, "hosts like { \"whois.example.org\", \"192.0.2.43@4343\" }",
                                    "a host like \"whois.example.org\" or \"192.0.2.43@4343\""};
const struct word_kind word_server = {is_server, "addresses like { \"192.0.2.53\", \"192.0.2.54@5353\" }",
                                      "an address like \"192.0.2.53\", with another port \"192.0.2.53@5353\""};
const struct word_kind word_zone = {is_zone, "zones with their servers like { \"example.org=192.0.2.53@5353\" }",
                                    "a zone with its server like \"example.org=192.0.2.53@5353\""};
const struct word_kind word_answer = {is_answer, "answers like { \"127.0.0.2\", \"127.0.0.4-127.0.0.11\" }",
                                      "an answer like \"127.0.0.2\" or a range like \"127.0.0.4-127.0.0.11\""};
