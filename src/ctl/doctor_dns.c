/* What the DNS says about this server: its name, its domains, its lists. */
#include "ctl/doctor.h"
#include "dns/lookup.h"
#include "dns/rdata.h"
#include "policy/dns_list.h"

#define MEMORY_MAX (1u << 20)

/* ---- The server's name ---- */

static void look_at_reverse(struct fiber *self, struct peers *peers, struct doctor *d, const struct ip_address *ip,
                            struct arena *memory)
{
    struct dns_ptr ptr;
    struct buf text;
    const char *hostname = d->settings->hostname;
    buf_init(&text, 100);
    ip_address_write(ip, &text);
    struct span address = buf_span(&text);
    dns_ptr(self, peers, ip, CLOCK_NEVER, memory, &ptr);
    bool same = false;
    for (size_t i = 0; i < ptr.count; i++)
        same |= span_is_nocase(span_text(ptr.names[i]), hostname);
    if (same)
        doctor_tell(d, DOCTOR_GOOD, "reverse", "", "%.*s leads back to %s", SPAN_ARG(address), hostname);
    else if (ptr.status == DNS_TROUBLE)
        doctor_tell(d, DOCTOR_WARNING, "reverse", "look whether the DNS works and try again",
                    "the name of %.*s can't be asked for: %s", SPAN_ARG(address), ptr.trouble);
    else if (!ptr.count)
        doctor_tell(d, DOCTOR_WARNING, "reverse",
                    "ask whoever gave you the address to set its reverse name (PTR) to the hostname: many sites refuse "
                    "mail from addresses without one",
                    "%.*s has no name (PTR)", SPAN_ARG(address));
    else
        doctor_tell(d, DOCTOR_WARNING, "reverse",
                    "have its reverse name (PTR) set to the hostname, or set hostname to it",
                    "%.*s leads back to %s, not to %s", SPAN_ARG(address), ptr.names[0], hostname);
    buf_release(&text);
}

/* True when the DNS answers. */
static bool look_at_hostname(struct fiber *self, struct peers *peers, struct doctor *d, struct dns_addresses *own,
                             struct arena *memory)
{
    const char *hostname = d->settings->hostname;
    dns_addresses(self, peers, span_text(hostname), DNS_IPV4 | DNS_IPV6, CLOCK_NEVER, memory, own);
    if (own->status == DNS_TROUBLE) {
        doctor_tell(d, DOCTOR_FAULT, "dns",
                    "look whether this machine reaches the internet by UDP and TCP port 53, or set dns.servers",
                    "the DNS does not answer about %s: %s", hostname, own->trouble);
        return false;
    }
    doctor_tell(d, DOCTOR_GOOD, "dns", "", "the DNS answers");
    if (own->status != DNS_ANSWERED)
        doctor_tell(d, DOCTOR_FAULT, "hostname",
                    "give it an A or AAAA record, or set hostname to this server's real name",
                    "hostname %s has no address", hostname);
    for (size_t i = 0; i < own->count; i++)
        look_at_reverse(self, peers, d, &own->addresses[i], memory);
    return true;
}

/* ---- Our domains ---- */

static bool shares_address(const struct dns_addresses *a, const struct dns_addresses *b)
{
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (ip_address_equal(&a->addresses[i], &b->addresses[j]))
                return true;
    return false;
}

static bool leads_here(struct fiber *self, struct peers *peers, const struct doctor *d, const struct dns_addresses *own,
                       const char *host, struct arena *memory)
{
    struct dns_addresses addresses;
    if (span_is_nocase(span_text(host), d->settings->hostname))
        return true;
    dns_addresses(self, peers, span_text(host), DNS_IPV4 | DNS_IPV6, CLOCK_NEVER, memory, &addresses);
    return shares_address(&addresses, own);
}

static void look_at_domain(struct fiber *self, struct peers *peers, struct doctor *d, const struct dns_addresses *own,
                           struct span domain)
{
    struct arena memory;
    struct dns_mx mx;
    arena_init(&memory, MEMORY_MAX);
    dns_mx(self, peers, domain, CLOCK_NEVER, &memory, &mx);
    bool here = false;
    for (size_t i = 0; i < mx.count && !here; i++)
        here = leads_here(self, peers, d, own, mx.hosts[i].name, &memory);
    if (mx.status == DNS_TROUBLE)
        doctor_tell(d, DOCTOR_WARNING, "domain", "try again; if it stays so, look at the domain's name servers",
                    "the MX of %.*s can't be asked for: %s", SPAN_ARG(domain), mx.trouble);
    else if (mx.status == DNS_NO_NAME)
        doctor_tell(d, DOCTOR_WARNING, "domain", "register it, or remove it with 'ostiary domain remove'",
                    "%.*s does not exist in the DNS, so nobody can write to it", SPAN_ARG(domain));
    else if (mx.is_null)
        doctor_tell(d, DOCTOR_WARNING, "domain", "replace its null MX by an MX of this server's name",
                    "%.*s says in the DNS that it takes no mail", SPAN_ARG(domain));
    else if (here)
        doctor_tell(d, DOCTOR_GOOD, "domain", "", "mail for %.*s leads here", SPAN_ARG(domain));
    else
        doctor_tell(d, DOCTOR_WARNING, "domain", "give it an MX record with this server's hostname",
                    "mail for %.*s does not lead here%s%s", SPAN_ARG(domain), mx.count ? " but to " : "",
                    mx.count ? mx.hosts[0].name : "");
    arena_release(&memory);
}

/* ---- Lists ---- */

static enum dns_list_meaning judge(const struct dns_answer *answer)
{
    enum dns_list_meaning meaning = DNS_LIST_NOT_LISTED;
    for (size_t i = 0; answer->status == DNS_ANSWERED && i < answer->count; i++) {
        struct ip_address address;
        bool read = rdata_address(answer->records[i], &address);
        meaning = dns_list_combine(meaning, read ? dns_list_judge(&address, NULL, 0) : DNS_LIST_ERROR);
    }
    return meaning;
}

static void look_at_list(struct fiber *self, struct peers *peers, struct doctor *d, const struct dns_list_setting *list)
{
    struct arena memory;
    struct buf names[DNS_LIST_TESTS];
    struct dns_question questions[DNS_LIST_TESTS];
    const char *trouble = NULL;
    bool passed = true;
    arena_init(&memory, MEMORY_MAX);
    for (size_t i = 0; i < DNS_LIST_TESTS; i++) {
        buf_init(&names[i], 300);
        dns_list_write_test_name(&dns_list_tests[i], list->zone, &names[i]);
        questions[i] = (struct dns_question){.name = buf_span(&names[i]), .type = DNS_A};
    }
    dns_query(self, peers, questions, DNS_LIST_TESTS, CLOCK_NEVER, &memory);
    for (size_t i = 0; i < DNS_LIST_TESTS; i++) {
        const struct dns_list_test *test = &dns_list_tests[i];
        bool is_used = test->ipv6 ? list->ipv6 : list->ipv4;
        if (is_used && questions[i].answer.status == DNS_TROUBLE)
            trouble = "it does not answer";
        else if (is_used)
            passed &= judge(&questions[i].answer) == (test->is_listed ? DNS_LIST_LISTED : DNS_LIST_NOT_LISTED);
        buf_release(&names[i]);
    }
    arena_release(&memory);
    if (trouble)
        doctor_tell(d, DOCTOR_WARNING, "list", "look whether its name is right; while it is silent it lists nobody",
                    "the DNS list %s is no help: %s", list->zone, trouble);
    else if (!passed)
        doctor_tell(
            d, DOCTOR_WARNING, "list",
            "look whether its name is right, whether it takes the questions of this server's address, and whether "
            "it has IPv6 (else set ipv6 = false); it is not used until it passes",
            "the DNS list %s fails its self-test (RFC 5782)", list->zone);
    else
        doctor_tell(d, DOCTOR_GOOD, "list", "", "the DNS list %s passes its self-test", list->zone);
}

void doctor_look_at_dns(struct fiber *self, struct peers *peers, struct doctor *d)
{
    struct arena memory;
    struct dns_addresses own;
    arena_init(&memory, MEMORY_MAX);
    bool works = look_at_hostname(self, peers, d, &own, &memory);
    struct span domains = buf_span(&d->domains);
    while (works && domains.size)
        look_at_domain(self, peers, d, &own, span_cut(&domains, '\n'));
    for (size_t i = 0; works && i < d->settings->dns_list_count; i++)
        look_at_list(self, peers, d, &d->settings->dns_lists[i]);
    arena_release(&memory);
}
