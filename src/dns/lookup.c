#include "dns/lookup.h"

#include "base/buf.h"
#include "dns/name.h"
#include "dns/rdata.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "resolver.pb-c.h"

#include <errno.h>
#include <stdlib.h>

/* Longer than the resolver takes to say that its own time is over (dns.timeout is a minute at most): what comes then is
 * no resolver. */
#define ASK_SECONDS 70

/* ---- Questions ---- */

static void set_trouble(struct dns_answer *answer, const char *what)
{
    *answer = (struct dns_answer){.status = DNS_TROUBLE, .trouble = what};
}

static const char *sentence_of(int error)
{
    switch (error) {
    case -ETIMEDOUT:
        return "no answer came in time";
    case -ECANCELED:
        return "the session ends";
    case -EAGAIN:
        return "too many questions are under way";
    case -EPIPE:
        return "the resolver is not there";
    default:
        return "the resolver is out of order";
    }
}

static bool read_reply(const Resolver__QueryReply *reply, struct arena *memory, struct dns_answer *answer)
{
    size_t count = reply->n_records < DNS_RECORDS_MAX ? reply->n_records : DNS_RECORDS_MAX;
    answer->records = arena_array(memory, count + 1, sizeof *answer->records);
    for (size_t i = 0; answer->records && i < count; i++) {
        answer->records[i] = arena_copy(memory, binary_span(reply->records[i]));
        if (!answer->records[i].data)
            return false;
    }
    answer->count = count;
    return answer->records != NULL;
}

static void take_reply(const Resolver__QueryReply *reply, struct arena *memory, struct dns_answer *answer)
{
    *answer = (struct dns_answer){.ttl = reply->ttl, .secure = reply->secure, .trouble = ""};
    switch (reply->status) {
    case RESOLVER__STATUS__STATUS_ANSWERED:
        answer->status = DNS_ANSWERED;
        if (!read_reply(reply, memory, answer))
            set_trouble(answer, "no memory is left for the answer");
        else if (!answer->count)
            set_trouble(answer, sentence_of(-EPROTO));
        break;
    case RESOLVER__STATUS__STATUS_NO_DATA:
        answer->status = DNS_NO_DATA;
        break;
    case RESOLVER__STATUS__STATUS_NO_NAME:
        answer->status = DNS_NO_NAME;
        break;
    default: {
        const char *trouble = arena_text(memory, span_head(span_text(reply->trouble), 200));
        set_trouble(answer, trouble && *trouble ? trouble : "the DNS does not answer");
    }
    }
}

/* A question under way. */
struct asked {
    struct channel_ask ask;
    struct answer answer;
};

static void ask(struct fiber *self, struct peers *peers, const struct dns_question *question, uint64_t deadline,
                struct asked *asked)
{
    Resolver__QueryRequest request = RESOLVER__QUERY_REQUEST__INIT;
    request.name = binary_from_span(question->name);
    request.type = question->type;
    channel_ask_start(self, &asked->ask, peers_get(peers, ROLE_RESOLVER), RESOLVER_QUERY, &request.base,
                      (struct span){NULL, 0}, -1, deadline, &asked->answer);
}

static void finish(struct fiber *self, struct asked *asked, uint64_t deadline, struct arena *memory,
                   struct dns_answer *answer)
{
    int error = channel_ask_finish(self, &asked->ask, deadline);
    if (error)
        set_trouble(answer, sentence_of(error));
    else
        take_reply((const Resolver__QueryReply *)asked->answer.message, memory, answer);
    answer_release(&asked->answer);
}

void dns_query(struct fiber *self, struct peers *peers, struct dns_question *questions, size_t count, uint64_t deadline,
               struct arena *memory)
{
    uint64_t longest = clock_in_seconds(ASK_SECONDS);
    deadline = deadline < longest ? deadline : longest;
    struct asked *asked = calloc(count + 1, sizeof *asked);
    for (size_t i = 0; asked && i < count; i++)
        if (dns_name_is_valid(questions[i].name))
            ask(self, peers, &questions[i], deadline, &asked[i]);
    for (size_t i = 0; i < count; i++) {
        if (!dns_name_is_valid(questions[i].name))
            questions[i].answer = (struct dns_answer){.status = DNS_NO_NAME, .trouble = ""};
        else if (asked)
            finish(self, &asked[i], deadline, memory, &questions[i].answer);
        else
            set_trouble(&questions[i].answer, "no memory is left for the question");
    }
    free(asked);
}

/* ---- MX ---- */

static const char no_memory[] = "no memory is left for the answer";

/* By preference; equal ones stay in their order. At most DNS_RECORDS_MAX. */
static void sort_hosts(struct dns_mx_host *hosts, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct dns_mx_host host = hosts[i];
        size_t place = i;
        for (; place > 0 && hosts[place - 1].preference > host.preference; place--)
            hosts[place] = hosts[place - 1];
        hosts[place] = host;
    }
}

static void read_mx(const struct dns_answer *answer, struct arena *memory, struct dns_mx *mx)
{
    mx->hosts = arena_array(memory, answer->count, sizeof *mx->hosts);
    bool failed = !mx->hosts;
    for (size_t i = 0; !failed && i < answer->count; i++) {
        struct rdata_mx record;
        if (!rdata_mx(answer->records[i], memory, &record))
            continue;
        /* RFC 7505 section 3: a null MX stands alone. Beside others the root is no host, but no statement either. */
        if (record.host.size == 0) {
            mx->is_null = answer->count == 1;
            continue;
        }
        const char *name = arena_text(memory, record.host);
        failed = !name;
        if (name)
            mx->hosts[mx->count++] = (struct dns_mx_host){record.preference, name};
    }
    if (failed)
        *mx = (struct dns_mx){.status = DNS_TROUBLE, .trouble = no_memory};
    else
        sort_hosts(mx->hosts, mx->count);
}

static void be_own_host(struct span domain, struct arena *memory, struct dns_mx *mx)
{
    mx->status = DNS_ANSWERED;
    mx->is_implicit = true;
    mx->hosts = arena_array(memory, 1, sizeof *mx->hosts);
    const char *name = arena_text(memory, domain);
    if (!mx->hosts || !name)
        *mx = (struct dns_mx){.status = DNS_TROUBLE, .trouble = no_memory};
    else
        mx->hosts[mx->count++] = (struct dns_mx_host){0, name};
}

void dns_mx(struct fiber *self, struct peers *peers, struct span domain, uint64_t deadline, struct arena *memory,
            struct dns_mx *mx)
{
    struct dns_question question = {.name = domain, .type = DNS_MX};
    dns_query(self, peers, &question, 1, deadline, memory);
    const struct dns_answer *answer = &question.answer;
    *mx = (struct dns_mx){
        .status = answer->status, .ttl = answer->ttl, .secure = answer->secure, .trouble = answer->trouble};
    if (answer->status == DNS_ANSWERED)
        read_mx(answer, memory, mx);
    else if (answer->status == DNS_NO_DATA)
        be_own_host(domain, memory, mx);
}

/* ---- Addresses ---- */

/* Of several answers: records outweigh trouble, trouble outweighs "no". */
static enum dns_status combine(enum dns_status a, enum dns_status b)
{
    static const int weight[] = {[DNS_ANSWERED] = 3, [DNS_TROUBLE] = 2, [DNS_NO_DATA] = 1, [DNS_NO_NAME] = 0};
    return weight[a] >= weight[b] ? a : b;
}

static void add_addresses(const struct dns_question *question, struct dns_addresses *addresses)
{
    const struct dns_answer *answer = &question->answer;
    size_t size = question->type == DNS_A ? 4 : 16;
    for (size_t i = 0; i < answer->count && addresses->count < DNS_RECORDS_MAX; i++) {
        struct ip_address *place = &addresses->addresses[addresses->count];
        if (answer->records[i].size == size && rdata_address(answer->records[i], place))
            addresses->count++;
    }
    addresses->status = combine(addresses->status, answer->status);
    addresses->secure &= answer->secure;
    addresses->ttl = answer->ttl < addresses->ttl ? answer->ttl : addresses->ttl;
    if (answer->status == DNS_TROUBLE)
        addresses->trouble = answer->trouble;
}

static bool is_literal(struct span host, struct dns_addresses *addresses)
{
    if (!ip_address_parse(host, &addresses->addresses[0]))
        return false;
    addresses->status = DNS_ANSWERED;
    addresses->count = 1;
    return true;
}

void dns_addresses(struct fiber *self, struct peers *peers, struct span host, unsigned families, uint64_t deadline,
                   struct arena *memory, struct dns_addresses *addresses)
{
    struct dns_question questions[2];
    size_t count = 0;
    if (families & DNS_IPV6)
        questions[count++] = (struct dns_question){.name = host, .type = DNS_AAAA};
    if (families & DNS_IPV4)
        questions[count++] = (struct dns_question){.name = host, .type = DNS_A};
    *addresses = (struct dns_addresses){.status = DNS_NO_NAME, .trouble = ""};
    addresses->addresses = arena_array(memory, DNS_RECORDS_MAX, sizeof *addresses->addresses);
    if (!addresses->addresses) {
        *addresses = (struct dns_addresses){.status = DNS_TROUBLE, .trouble = no_memory};
        return;
    }
    if (!count || is_literal(host, addresses))
        return;
    dns_query(self, peers, questions, count, deadline, memory);
    addresses->ttl = UINT32_MAX;
    addresses->secure = true;
    for (size_t i = 0; i < count; i++)
        add_addresses(&questions[i], addresses);
    /* Records that are no addresses are no answer. */
    if (addresses->status == DNS_ANSWERED && !addresses->count)
        addresses->status = DNS_NO_DATA;
}

/* ---- TXT ---- */

void dns_txt(struct fiber *self, struct peers *peers, struct span name, uint64_t deadline, struct arena *memory,
             struct dns_txt *txt)
{
    struct dns_question question = {.name = name, .type = DNS_TXT};
    dns_query(self, peers, &question, 1, deadline, memory);
    const struct dns_answer *answer = &question.answer;
    *txt = (struct dns_txt){
        .status = answer->status, .ttl = answer->ttl, .secure = answer->secure, .trouble = answer->trouble};
    txt->texts = arena_array(memory, answer->count + 1, sizeof *txt->texts);
    if (!txt->texts)
        *txt = (struct dns_txt){.status = DNS_TROUBLE, .trouble = no_memory};
    for (size_t i = 0; txt->texts && i < answer->count; i++)
        if (rdata_text(answer->records[i], memory, &txt->texts[txt->count]))
            txt->count++;
}

/* ---- PTR ---- */

static bool has_address(const struct dns_answer *answer, const struct ip_address *ip)
{
    struct ip_address address;
    for (size_t i = 0; i < answer->count; i++)
        if (rdata_address(answer->records[i], &address) && ip_address_equal(&address, ip))
            return true;
    return false;
}

/* Which of the names leads back to the address? */
static void confirm(struct fiber *self, struct peers *peers, const struct ip_address *ip, uint64_t deadline,
                    struct arena *memory, struct dns_ptr *ptr)
{
    struct dns_question questions[DNS_PTR_NAMES_MAX];
    unsigned type = ip_address_is_ipv4(ip) ? DNS_A : DNS_AAAA;
    for (size_t i = 0; i < ptr->count; i++)
        questions[i] = (struct dns_question){.name = span_text(ptr->names[i]), .type = type};
    dns_query(self, peers, questions, ptr->count, deadline, memory);
    for (size_t i = 0; i < ptr->count && !ptr->confirmed; i++) {
        if (has_address(&questions[i].answer, ip))
            ptr->confirmed = ptr->names[i];
        else if (questions[i].answer.status == DNS_TROUBLE)
            ptr->uncertain = true;
    }
    ptr->uncertain = ptr->uncertain && !ptr->confirmed;
}

void dns_ptr(struct fiber *self, struct peers *peers, const struct ip_address *ip, uint64_t deadline,
             struct arena *memory, struct dns_ptr *ptr)
{
    struct buf name;
    buf_init(&name, 2 * DNS_NAME_MAX);
    ip_address_write_reversed(ip, &name);
    buf_add_text(&name, ip_address_is_ipv4(ip) ? ".in-addr.arpa" : ".ip6.arpa");
    struct dns_question question = {.name = buf_span(&name), .type = DNS_PTR};
    dns_query(self, peers, &question, 1, deadline, memory);
    const struct dns_answer *answer = &question.answer;
    *ptr = (struct dns_ptr){.status = answer->status, .trouble = answer->trouble};
    ptr->names = arena_array(memory, DNS_PTR_NAMES_MAX, sizeof *ptr->names);
    if (!ptr->names || buf_failed(&name)) {
        *ptr = (struct dns_ptr){.status = DNS_TROUBLE, .trouble = no_memory};
        buf_release(&name);
        return;
    }
    for (size_t i = 0; i < answer->count && ptr->count < DNS_PTR_NAMES_MAX; i++) {
        struct span host;
        if (rdata_name(answer->records[i], memory, &host) && (ptr->names[ptr->count] = arena_text(memory, host)))
            ptr->count++;
    }
    if (ptr->count)
        confirm(self, peers, ip, deadline, memory, ptr);
    buf_release(&name);
}

/* ---- Return-path ---- */

#define CHECK_MEMORY_MAX (256u << 10)

enum dns_mail_domain dns_can_receive_mail(struct fiber *self, struct peers *peers, struct span domain,
                                          uint64_t deadline, struct buf *problem)
{
    struct arena memory;
    struct dns_mx mx;
    arena_init(&memory, CHECK_MEMORY_MAX);
    enum dns_mail_domain result = DNS_MAIL_YES;
    dns_mx(self, peers, domain, deadline, &memory, &mx);
    enum dns_status status = mx.status;
    const char *trouble = mx.trouble;
    if (mx.is_null) {
        result = DNS_MAIL_NULL_MX;
    } else if (mx.is_implicit || (status == DNS_ANSWERED && !mx.count)) {
        struct dns_addresses addresses;
        dns_addresses(self, peers, domain, DNS_IPV4 | DNS_IPV6, deadline, &memory, &addresses);
        status = addresses.status;
        trouble = addresses.trouble;
    }
    if (status == DNS_NO_NAME || status == DNS_NO_DATA)
        result = DNS_MAIL_NO_DOMAIN;
    else if (status == DNS_TROUBLE)
        result = DNS_MAIL_TROUBLE;
    if (result == DNS_MAIL_TROUBLE && problem)
        buf_add_text(problem, trouble);
    arena_release(&memory);
    return result;
}
