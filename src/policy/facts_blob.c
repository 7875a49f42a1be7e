/* The compact form of facts: a version byte, then sections of tag, size and fields. Numbers are written seven bits a
 * byte, lowest first. A reader passes over sections that it does not know and over fields behind those that it knows,
 * and takes fields that a section does not reach as zeros: so either side may be the newer one. */
#include "policy/facts.h"

#include "policy/rule.h"

#define VERSION 1

/* What all texts and lists may take at most stays below FACTS_SIZE_MAX. */
#define TEXT_MAX 1000 /* bytes of one text */
#define ENTRY_MAX 300 /* of a list's entry; a zone or its reason */
#define ATTACHMENT_TYPE_MAX 100
#define ATTACHMENT_NAME_MAX 200
#define HEADER_MAX (64u << 10)
#define WHOIS_TEXT_MAX (64u << 10)
#define HOPS_MAX 100
#define COMPACT_ATTACHMENTS_MAX 50 /* in the ledger */

enum section {
    SECTION_CONNECTION = 1,
    SECTION_STATES,
    SECTION_PTR,
    SECTION_LISTS,
    SECTION_SENDER,
    SECTION_WHOIS,
    SECTION_CONTENT,
    SECTION_HOPS,
    SECTION_RECIPIENT,
    SECTION_HITS,
    SECTION_SCRIPT,
    SECTION_COUNT
};

/* ---- Writing ---- */

struct writer {
    const struct facts *facts;
    const struct recipient_facts *r;
    bool is_full;
    struct buf *out;
};

static void put_number(struct writer *w, uint64_t n)
{
    for (; n > 127; n >>= 7)
        buf_add_char(w->out, (char)(n | 128));
    buf_add_char(w->out, (char)n);
}

static void put_cut(struct writer *w, struct span s, size_t most)
{
    s = span_head(s, most);
    put_number(w, s.size);
    buf_add_span(w->out, s);
}

static void put_text(struct writer *w, struct span s)
{
    put_cut(w, s, TEXT_MAX);
}

static void put_ip(struct writer *w, const struct ip_address *ip)
{
    buf_add(w->out, ip->bytes, sizeof ip->bytes);
}

static void put_hits(struct writer *w, const struct list_hit *hits, size_t count)
{
    put_number(w, count);
    for (size_t i = 0; i < count; i++) {
        put_number(w, hits[i].kind);
        put_number(w, hits[i].level);
        put_cut(w, hits[i].entry, ENTRY_MAX);
    }
}

static void write_connection(struct writer *w)
{
    const struct facts *f = w->facts;
    put_number(w, f->is_fetched);
    put_number(w, f->standing);
    put_ip(w, &f->ip);
    put_text(w, f->helo);
    put_text(w, f->reverse_path);
    put_text(w, f->sender_account);
    put_number(w, f->declared_size);
    put_number(w, f->is_tls);
    put_number(w, f->spoke_early);
    put_text(w, f->own_name);
    put_ip(w, &f->own_ip);
}

static void write_states(struct writer *w)
{
    for (unsigned i = 0; i < FACT_COUNT; i++)
        put_number(w, fact_state_get(w->facts, w->r, (enum fact)i));
}

static void write_ptr(struct writer *w)
{
    put_text(w, w->facts->ptr.name);
    put_text(w, w->facts->ptr.claimed);
    put_hits(w, w->facts->ptr.hits, w->facts->ptr.hit_count);
}

static void write_lists(struct writer *w)
{
    const struct facts *f = w->facts;
    size_t count = f->dns_list_count > DNS_LIST_FACTS_MAX ? DNS_LIST_FACTS_MAX : f->dns_list_count;
    put_number(w, f->own_list.result);
    put_text(w, f->own_list.reason);
    put_number(w, count);
    for (size_t i = 0; i < count; i++) {
        put_cut(w, f->dns_lists[i].zone, ENTRY_MAX);
        put_cut(w, f->dns_lists[i].reason, ENTRY_MAX);
        put_number(w, f->dns_lists[i].is_white);
        put_number(w, f->dns_lists[i].result);
    }
}

static void write_sender(struct writer *w)
{
    put_number(w, w->facts->return_path);
    put_number(w, w->facts->call_back.result);
    put_text(w, w->facts->call_back.reply);
    put_number(w, w->facts->reverse_call_back.result);
    put_text(w, w->facts->reverse_call_back.reply);
}

static void write_whois(struct writer *w)
{
    const struct whois_fact *whois = &w->facts->whois;
    put_text(w, whois->country);
    put_text(w, whois->registry);
    put_text(w, whois->network);
    put_text(w, whois->as_);
    put_cut(w, whois->text, w->is_full ? WHOIS_TEXT_MAX : 0);
}

static void write_content(struct writer *w)
{
    const struct content_fact *c = &w->facts->content;
    size_t most = w->is_full ? ATTACHMENT_FACTS_MAX : COMPACT_ATTACHMENTS_MAX;
    size_t count = c->attachment_count > most ? most : c->attachment_count;
    put_number(w, c->size);
    put_text(w, c->from);
    put_text(w, c->subject);
    put_text(w, c->message_id);
    put_text(w, c->user_agent);
    put_number(w, c->is_automatic);
    put_number(w, count);
    for (size_t i = 0; i < count; i++) {
        const struct attachment_fact *a = &c->attachments[i];
        size_t cut = a->name.size > ATTACHMENT_NAME_MAX ? a->name.size - ATTACHMENT_NAME_MAX : 0;
        put_cut(w, a->type, ATTACHMENT_TYPE_MAX);
        put_text(w, span_skip(a->name, cut)); /* its end says what it is */
    }
    put_cut(w, c->header, w->is_full ? HEADER_MAX : 0);
    put_number(w, c->has_more_attachments);
}

static void write_hops(struct writer *w)
{
    const struct facts *f = w->facts;
    size_t count = f->hop_count > HOPS_MAX ? HOPS_MAX : f->hop_count;
    put_number(w, count);
    for (size_t i = 0; i < count; i++)
        put_ip(w, &f->hops[i]);
    put_number(w, f->hop_list.result);
    put_ip(w, &f->hop_list.hop);
    put_text(w, f->hop_list.reason);
    put_number(w, f->is_local_to_provider);
}

static void write_recipient(struct writer *w)
{
    const struct recipient_facts *r = w->r;
    put_text(w, r->recipient);
    put_text(w, r->account);
    put_number(w, r->hears_everybody);
    put_number(w, r->passcode);
    put_text(w, r->passcode_name);
    put_number(w, r->sender_is_protected);
    put_number(w, r->protected_level);
    put_text(w, r->protected_account);
    put_number(w, r->limited.exists);
    put_number(w, r->limited.expired);
    put_number(w, r->limited.sender_fits);
    put_number(w, r->greylist_wait);
    put_number(w, r->has_approved_names);
    put_number(w, r->has_denied_names);
}

static void write_hits(struct writer *w)
{
    put_hits(w, w->r->hits, w->r->hit_count);
}

static void write_script(struct writer *w)
{
    put_number(w, w->r->script.result);
    put_text(w, w->r->script.text);
    put_number(w, w->r->script_content.result);
    put_text(w, w->r->script_content.text);
}

static bool is_worth_writing(const struct writer *w, enum section section)
{
    switch (section) {
    case SECTION_CONTENT:
        return w->facts->state[FACT_CONTENT] == FACT_KNOWN;
    case SECTION_WHOIS:
        return w->facts->state[FACT_WHOIS] == FACT_KNOWN;
    case SECTION_HOPS:
        return w->facts->is_fetched;
    case SECTION_HITS:
        return w->r->hit_count > 0;
    default:
        return true;
    }
}

typedef void section_write(struct writer *w);
static section_write *const writers[SECTION_COUNT] = {
    [SECTION_CONNECTION] = write_connection,
    [SECTION_STATES] = write_states,
    [SECTION_PTR] = write_ptr,
    [SECTION_LISTS] = write_lists,
    [SECTION_SENDER] = write_sender,
    [SECTION_WHOIS] = write_whois,
    [SECTION_CONTENT] = write_content,
    [SECTION_HOPS] = write_hops,
    [SECTION_RECIPIENT] = write_recipient,
    [SECTION_HITS] = write_hits,
    [SECTION_SCRIPT] = write_script,
};

void facts_write(const struct facts *facts, const struct recipient_facts *r, bool with_header, struct buf *out)
{
    struct buf fields;
    struct writer w = {.facts = facts, .r = r, .is_full = with_header};
    buf_init(&fields, FACTS_SIZE_MAX);
    buf_add_char(out, VERSION);
    for (unsigned section = 1; section < SECTION_COUNT; section++) {
        if (!is_worth_writing(&w, (enum section)section))
            continue;
        w.out = &fields;
        buf_reset(&fields);
        writers[section](&w);
        w.out = out;
        put_number(&w, section);
        put_number(&w, fields.size);
        buf_add_span(out, buf_span(&fields));
        out->failed |= buf_failed(&fields);
    }
    buf_release(&fields);
}

/* ---- Reading ---- */

struct reader {
    struct span rest;
    struct arena *arena;
    struct facts *facts;
    struct recipient_facts *r;
    bool failed;
};

static uint64_t get_number(struct reader *in, uint64_t most)
{
    uint64_t n = 0;
    if (in->rest.size == 0)
        return 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (in->rest.size == 0)
            break;
        uint64_t byte = (unsigned char)in->rest.data[0];
        in->rest = span_skip(in->rest, 1);
        if (shift == 63 && byte > 1)
            break;
        n |= (byte & 127) << shift;
        if (byte < 128) {
            in->failed |= n > most;
            return n > most ? 0 : n;
        }
    }
    in->failed = true;
    return 0;
}

static bool get_flag(struct reader *in)
{
    return get_number(in, 1) == 1;
}

static struct span get_text(struct reader *in)
{
    uint64_t size = get_number(in, FACTS_SIZE_MAX);
    if (size > in->rest.size) {
        in->failed = true;
        return (struct span){NULL, 0};
    }
    struct span s = span_head(in->rest, size);
    in->rest = span_skip(in->rest, size);
    return s;
}

static struct ip_address get_ip(struct reader *in)
{
    struct ip_address ip;
    memset(&ip, 0, sizeof ip);
    if (in->rest.size == 0)
        return ip;
    if (in->rest.size < sizeof ip.bytes) {
        in->failed = true;
        return ip;
    }
    memcpy(ip.bytes, in->rest.data, sizeof ip.bytes);
    in->rest = span_skip(in->rest, sizeof ip.bytes);
    return ip;
}

static size_t get_hits(struct reader *in, struct list_hit *hits, size_t most)
{
    size_t count = get_number(in, most);
    for (size_t i = 0; i < count && !in->failed; i++) {
        hits[i].kind = (enum list_kind)get_number(in, LIST_KIND_COUNT - 1);
        hits[i].level = (unsigned)get_number(in, LEVEL_COUNT - 1);
        hits[i].entry = get_text(in);
    }
    return in->failed ? 0 : count;
}

/* An array for `count` elements that take at least a byte each of what is left. */
static void *get_array(struct reader *in, size_t count, size_t size)
{
    void *array = count && count <= in->rest.size && !in->failed ? arena_array(in->arena, count, size) : NULL;
    in->failed |= count && !array;
    return array;
}

static void read_connection(struct reader *in)
{
    struct facts *f = in->facts;
    f->is_fetched = get_flag(in);
    f->standing = (enum facts_standing)get_number(in, STANDING_CLIENT_NETWORK);
    f->ip = get_ip(in);
    f->helo = get_text(in);
    f->reverse_path = get_text(in);
    f->sender_account = get_text(in);
    f->declared_size = get_number(in, UINT64_MAX);
    f->is_tls = get_flag(in);
    f->spoke_early = get_flag(in);
    f->own_name = get_text(in);
    f->own_ip = get_ip(in);
}

static void read_states(struct reader *in)
{
    for (unsigned i = 0; i < FACT_COUNT; i++)
        fact_state_set(in->facts, in->r, (enum fact)i, (enum fact_state)get_number(in, FACT_UNKNOWN));
}

static void read_ptr(struct reader *in)
{
    struct facts *f = in->facts;
    f->ptr.name = get_text(in);
    f->ptr.claimed = get_text(in);
    f->ptr.hit_count = get_hits(in, f->ptr.hits, sizeof f->ptr.hits / sizeof *f->ptr.hits);
}

static void read_lists(struct reader *in)
{
    struct facts *f = in->facts;
    f->own_list.result = (enum own_list_fact)get_number(in, OWN_LIST_EXCEPTED);
    f->own_list.reason = get_text(in);
    size_t count = get_number(in, DNS_LIST_FACTS_MAX);
    f->dns_lists = get_array(in, count, sizeof *f->dns_lists);
    for (size_t i = 0; f->dns_lists && i < count; i++) {
        f->dns_lists[i].zone = get_text(in);
        f->dns_lists[i].reason = get_text(in);
        f->dns_lists[i].is_white = get_flag(in);
        f->dns_lists[i].result = (enum dns_list_fact_result)get_number(in, DNS_LIST_FACT_UNKNOWN);
    }
    f->dns_list_count = f->dns_lists ? count : 0;
}

static void read_sender(struct reader *in)
{
    struct facts *f = in->facts;
    f->return_path = (enum return_path_fact)get_number(in, RETURN_PATH_NULL_MX);
    f->call_back.result = (enum call_back_result)get_number(in, CALL_BACK_REFUSES);
    f->call_back.reply = get_text(in);
    f->reverse_call_back.result = (enum call_back_result)get_number(in, CALL_BACK_REFUSES);
    f->reverse_call_back.reply = get_text(in);
}

static void read_whois(struct reader *in)
{
    struct whois_fact *whois = &in->facts->whois;
    whois->country = get_text(in);
    whois->registry = get_text(in);
    whois->network = get_text(in);
    whois->as_ = get_text(in);
    whois->text = get_text(in);
}

static void read_content(struct reader *in)
{
    struct content_fact *c = &in->facts->content;
    c->size = get_number(in, UINT64_MAX);
    c->from = get_text(in);
    c->subject = get_text(in);
    c->message_id = get_text(in);
    c->user_agent = get_text(in);
    c->is_automatic = get_flag(in);
    size_t count = get_number(in, ATTACHMENT_FACTS_MAX);
    struct attachment_fact *attachments = get_array(in, count, sizeof *attachments);
    for (size_t i = 0; attachments && i < count; i++) {
        attachments[i].type = get_text(in);
        attachments[i].name = get_text(in);
    }
    c->attachments = attachments;
    c->attachment_count = attachments ? count : 0;
    c->header = get_text(in);
    c->has_more_attachments = get_flag(in);
}

static void read_hops(struct reader *in)
{
    struct facts *f = in->facts;
    size_t count = get_number(in, HOPS_MAX);
    struct ip_address *hops = get_array(in, count, sizeof *hops);
    for (size_t i = 0; hops && i < count; i++)
        hops[i] = get_ip(in);
    f->hops = hops;
    f->hop_count = hops ? count : 0;
    f->hop_list.result = (enum own_list_fact)get_number(in, OWN_LIST_EXCEPTED);
    f->hop_list.hop = get_ip(in);
    f->hop_list.reason = get_text(in);
    f->is_local_to_provider = get_flag(in);
}

static void read_recipient(struct reader *in)
{
    struct recipient_facts *r = in->r;
    r->recipient = get_text(in);
    r->account = get_text(in);
    r->hears_everybody = get_flag(in);
    r->passcode = (enum passcode_fact)get_number(in, PASSCODE_TOO_MANY);
    r->passcode_name = get_text(in);
    r->sender_is_protected = get_flag(in);
    r->protected_level = (unsigned)get_number(in, LEVEL_COUNT - 1);
    r->protected_account = get_text(in);
    r->limited.exists = get_flag(in);
    r->limited.expired = get_flag(in);
    r->limited.sender_fits = get_flag(in);
    r->greylist_wait = (unsigned)get_number(in, UINT32_MAX);
    r->has_approved_names = get_flag(in);
    r->has_denied_names = get_flag(in);
}

static void read_hits(struct reader *in)
{
    in->r->hit_count = get_hits(in, in->r->hits, LIST_HITS_MAX);
}

static void read_script(struct reader *in)
{
    in->r->script.result = (enum script_result)get_number(in, SCRIPT_FILE);
    in->r->script.text = get_text(in);
    in->r->script_content.result = (enum script_result)get_number(in, SCRIPT_FILE);
    in->r->script_content.text = get_text(in);
}

typedef void section_read(struct reader *in);
static section_read *const readers[SECTION_COUNT] = {
    [SECTION_CONNECTION] = read_connection,
    [SECTION_STATES] = read_states,
    [SECTION_PTR] = read_ptr,
    [SECTION_LISTS] = read_lists,
    [SECTION_SENDER] = read_sender,
    [SECTION_WHOIS] = read_whois,
    [SECTION_CONTENT] = read_content,
    [SECTION_HOPS] = read_hops,
    [SECTION_RECIPIENT] = read_recipient,
    [SECTION_HITS] = read_hits,
    [SECTION_SCRIPT] = read_script,
};

bool facts_parse(struct span bytes, struct arena *arena, struct facts *facts, struct recipient_facts *r)
{
    struct reader in = {.rest = bytes, .arena = arena, .facts = facts, .r = r};
    bool seen[SECTION_COUNT] = {false};
    memset(facts, 0, sizeof *facts);
    memset(r, 0, sizeof *r);
    if (bytes.size == 0 || bytes.size > FACTS_SIZE_MAX || bytes.data[0] != VERSION)
        return false;
    in.rest = span_skip(bytes, 1);
    while (in.rest.size && !in.failed) {
        uint64_t section = get_number(&in, UINT32_MAX);
        struct reader inner = in;
        in.failed |= in.rest.size == 0; /* cut off before its size */
        inner.rest = get_text(&in);
        if (in.failed || section >= SECTION_COUNT || !readers[section])
            continue;
        in.failed = seen[section]; /* twice: each would take memory of the arena */
        seen[section] = true;
        readers[section](&inner);
        in.failed |= inner.failed;
    }
    return !in.failed;
}
