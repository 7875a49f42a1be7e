#include "attempt.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn static void wrong(const char *what, struct span s)
{
    fprintf(stderr, "a row is wrong: %s \"%.*s\"\n", what, SPAN_ARG(s));
    abort();
}

static unsigned choose(struct span word, const char *words)
{
    struct span rest = span_text(words);
    for (unsigned i = 0; rest.size; i++)
        if (span_equal(span_cut(&rest, '|'), word))
            return i;
    wrong("no such word", word);
}

static struct ip_address ip_of(struct span text)
{
    struct ip_address ip;
    if (!ip_address_parse(text, &ip))
        wrong("no address", text);
    return ip;
}

static uint64_t number_of(struct span text)
{
    uint64_t n;
    if (!span_parse_u64(text, UINT64_MAX, &n))
        wrong("no number", text);
    return n;
}

/* "state=ptr:unknown" */
static void set_state(struct attempt *a, struct span value)
{
    struct span state = value;
    struct span name = span_cut(&state, ':');
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        if (span_is(name, fact_name((enum fact)i))) {
            fact_state_set(&a->facts, &a->r, (enum fact)i,
                           (enum fact_state)choose(state, "not-asked|absent|known|unknown"));
            return;
        }
    }
    wrong("no such fact", name);
}

static void known(struct attempt *a, enum fact fact)
{
    fact_state_set(&a->facts, &a->r, fact, FACT_KNOWN);
}

/* "white:account:@b.example" */
static struct list_hit hit_of(struct span value)
{
    struct list_hit hit;
    hit.kind = (enum list_kind)choose(span_cut(&value, ':'), "white|black|known|approved|denied|denied-name");
    hit.level = choose(span_cut(&value, ':'), "site|domain|account|address");
    hit.entry = value;
    return hit;
}

static void set_script(struct script_fact *script, struct span value)
{
    script->result = (enum script_result)choose(span_cut(&value, ':'), "nothing|accept|refuse|defer|file");
    script->text = value;
}

static bool set_of_connection(struct attempt *a, struct span key, struct span value)
{
    struct facts *f = &a->facts;
    if (span_is(key, "ip"))
        f->ip = ip_of(value);
    else if (span_is(key, "own-ip"))
        f->own_ip = ip_of(value);
    else if (span_is(key, "own-name"))
        f->own_name = value;
    else if (span_is(key, "helo"))
        f->helo = value;
    else if (span_is(key, "from"))
        f->reverse_path = value;
    else if (span_is(key, "standing"))
        f->standing = (enum facts_standing)choose(value, "stranger|member|window|network");
    else if (span_is(key, "as"))
        f->sender_account = value;
    else if (span_is(key, "declares"))
        f->declared_size = number_of(value);
    else if (span_is(key, "early"))
        f->spoke_early = true;
    else if (span_is(key, "fetched"))
        f->is_fetched = true;
    else if (span_is(key, "provider-local"))
        f->is_local_to_provider = true;
    else if (span_is(key, "state"))
        set_state(a, value);
    else
        return false;
    return true;
}

/* "listed:zen.example:reason" */
static void add_dns_list(struct attempt *a, struct span value, bool is_white)
{
    struct dns_list_fact *list = &a->dns_lists[a->facts.dns_list_count++];
    list->is_white = is_white;
    list->result = (enum dns_list_fact_result)choose(span_cut(&value, ':'), "not|listed|unknown");
    list->zone = span_cut(&value, ':');
    list->reason = value;
    a->facts.dns_lists = a->dns_lists;
    known(a, FACT_DNS_LISTS);
}

static bool set_of_dns(struct attempt *a, struct span key, struct span value)
{
    struct facts *f = &a->facts;
    if (span_is(key, "ptr") || span_is(key, "claimed")) {
        *(span_is(key, "ptr") ? &f->ptr.name : &f->ptr.claimed) = value;
        known(a, FACT_PTR);
    } else if (span_is(key, "ptr-hit")) {
        f->ptr.hits[f->ptr.hit_count++] = hit_of(value);
    } else if (span_is(key, "own-list")) {
        f->own_list.result = (enum own_list_fact)choose(span_cut(&value, ':'), "nothing|listed|name|excepted");
        f->own_list.reason = value;
        known(a, FACT_OWN_LIST);
    } else if (span_is(key, "hop-listed")) {
        f->hop_list.result = OWN_LIST_LISTED;
        f->hop_list.hop = ip_of(span_cut(&value, ' '));
        f->hop_list.reason = value;
        known(a, FACT_OWN_LIST);
    } else if (span_is(key, "dns") || span_is(key, "dns-white")) {
        add_dns_list(a, value, span_is(key, "dns-white"));
    } else if (span_is(key, "return-path")) {
        f->return_path = (enum return_path_fact)choose(value, "takes|no-domain|null-mx");
        known(a, FACT_RETURN_PATH);
    } else if (span_is(key, "grey")) {
        a->r.greylist_wait = (unsigned)number_of(value);
        known(a, FACT_GREYLIST);
    } else {
        return false;
    }
    return true;
}

static bool set_of_calls(struct attempt *a, struct span key, struct span value)
{
    struct whois_fact *whois = &a->facts.whois;
    if (span_is(key, "whois")) {
        whois->country = span_cut(&value, ' ');
        whois->registry = span_cut(&value, ' ');
        whois->network = span_cut(&value, ' ');
        whois->as_ = value;
        known(a, FACT_WHOIS);
    } else if (span_is(key, "call-back")) {
        a->facts.call_back.result = (enum call_back_result)choose(span_cut(&value, ':'), "takes|refuses");
        a->facts.call_back.reply = value;
        known(a, FACT_CALL_BACK);
    } else if (span_is(key, "reverse")) {
        a->facts.reverse_call_back.result = (enum call_back_result)choose(span_cut(&value, ':'), "takes|refuses");
        a->facts.reverse_call_back.reply = value;
        known(a, FACT_REVERSE_CALL_BACK);
    } else if (span_is(key, "script")) {
        set_script(&a->r.script, value);
        known(a, FACT_SCRIPT);
    } else if (span_is(key, "script-content")) {
        set_script(&a->r.script_content, value);
        known(a, FACT_SCRIPT_CONTENT);
    } else {
        return false;
    }
    return true;
}

static bool set_of_content(struct attempt *a, struct span key, struct span value)
{
    struct content_fact *content = &a->facts.content;
    if (span_is(key, "bytes"))
        content->size = number_of(value);
    else if (span_is(key, "agent"))
        content->user_agent = value;
    else if (span_is(key, "attached")) { /* "type name" */
        struct attachment_fact *attachment = &a->attachments[content->attachment_count++];
        attachment->type = span_cut(&value, ' ');
        attachment->name = value;
        content->attachments = a->attachments;
    } else if (span_is(key, "more-attached"))
        content->has_more_attachments = true;
    else
        return false;
    known(a, FACT_CONTENT);
    return true;
}

static bool set_of_recipient(struct attempt *a, struct span key, struct span value)
{
    struct recipient_facts *r = &a->r;
    if (span_is(key, "to"))
        r->recipient = value;
    else if (span_is(key, "account"))
        r->account = value;
    else if (span_is(key, "postmaster"))
        r->hears_everybody = true;
    else if (span_is(key, "passcode")) {
        r->passcode = (enum passcode_fact)choose(span_cut(&value, ':'), "none|right|wrong|expired|too-many");
        r->passcode_name = value;
    } else if (span_is(key, "hit"))
        r->hits[r->hit_count++] = hit_of(value);
    else if (span_is(key, "protected")) {
        r->sender_is_protected = true;
        r->protected_level = choose(span_cut(&value, ':'), "site|domain|account|address");
        r->protected_account = value;
    } else if (span_is(key, "limited")) {
        r->limited.exists = true;
        r->limited.expired = span_is(value, "expired");
        r->limited.sender_fits = !span_is(value, "others");
    } else if (span_is(key, "approved-names"))
        r->has_approved_names = true;
    else if (span_is(key, "denied-names"))
        r->has_denied_names = true;
    else
        return false;
    return true;
}

static void set_defaults(struct attempt *a)
{
    a->facts.ip = ip_of(span_text("192.0.2.7"));
    a->facts.helo = span_text("mx.b.example");
    a->facts.reverse_path = span_text("a@b.example");
    a->r.recipient = a->r.account = span_text("bob@example.org");
    for (unsigned i = 0; i < FACT_COUNT; i++)
        fact_state_set(&a->facts, &a->r, (enum fact)i, FACT_ABSENT);
}

static void parse_settings(struct attempt *a, const char *settings)
{
    struct buf lines;
    buf_init(&lines, RULESET_TEXT_MAX);
    for (const char *c = settings; *c; c++)
        buf_add_char(&lines, *c == '|' ? '\n' : *c);
    if (!ruleset_parse(buf_span(&lines), &a->arena, &a->set))
        wrong("no ruleset", span_text(settings));
    buf_release(&lines);
}

void attempt_init(struct attempt *a, const char *settings, const char *facts)
{
    memset(a, 0, sizeof *a);
    arena_init(&a->arena, 1 << 20);
    set_defaults(a);
    parse_settings(a, settings);
    for (struct span rest = span_text(facts); rest.size;) {
        struct span value = span_cut(&rest, '|');
        struct span key = span_cut(&value, '=');
        if (!set_of_connection(a, key, value) && !set_of_dns(a, key, value) && !set_of_calls(a, key, value) &&
            !set_of_content(a, key, value) && !set_of_recipient(a, key, value))
            wrong("no such key", key);
    }
}

void attempt_release(struct attempt *a)
{
    arena_release(&a->arena);
}

static void write_verdict(const struct verdict *v, struct buf *out)
{
    buf_add_text(out, verdict_name(v->kind));
    if (v->kind == VERDICT_REFUSE || v->kind == VERDICT_DEFER)
        buf_printf(out, " %u %s", v->code, v->enhanced);
    if (v->kind == VERDICT_FILE)
        buf_printf(out, " %s", v->folder);
    if (v->rule != RULE_NONE)
        buf_printf(out, " %s %s: %s", rules[v->rule].name, rule_level_name(v->level), v->sentence);
}

static void write_needs(uint32_t needs, struct buf *out)
{
    buf_add_text(out, "needs");
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (needs & FACT_BIT(i))
            buf_printf(out, " %s", fact_name((enum fact)i));
}

void attempt_judge(struct attempt *a, char stage, struct buf *out)
{
    struct decision decision, before;
    enum decide_result result = decide_recipient(&a->facts, &a->r, &a->set, DECIDE_RCPT, NULL, &decision);
    if (stage == 'c') {
        before = decision;
        if (result != DECIDE_DONE || before.verdict.kind == VERDICT_REFUSE || before.verdict.kind == VERDICT_DEFER)
            wrong("refused at RCPT", span_text(before.verdict.sentence));
        result = decide_recipient(&a->facts, &a->r, &a->set, DECIDE_CONTENT, &before.verdict, &decision);
    }
    if (result == DECIDE_NEEDS) {
        write_needs(decision.needs, out);
        return;
    }
    write_verdict(&decision.verdict, out);
    for (size_t i = 0; i < decision.watched_count; i++) {
        buf_add_text(out, "; ");
        write_verdict(&decision.watched[i], out);
    }
}
