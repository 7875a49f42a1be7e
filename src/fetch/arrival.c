/* From a message that came in whole to the store's word: whose it is, what their rules say, and where it goes. */
#include "base/clock.h"
#include "base/log.h"
#include "facts/content.h"
#include "facts/judge.h"
#include "facts/ledger.h"
#include "facts/ledger_row.h"
#include "facts/rules_memo.h"
#include "fetch/notice.h"
#include "fetch/split.h"
#include "fetch/visit.h"
#include "intake/deliver.h"
#include "ipc/binary.h"
#include "ipc/services.h"
#include "policy/poison.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define ASK_SECONDS 60
#define STORE_SECONDS 300
#define FACTS_MAX (8u << 10)
#define DEFER_SECONDS 86400
#define ROWS_PAGE 50

/* One message's deliberation. */
struct deliberation {
    struct arrival *arrival;
    struct visit *visit;
    struct intake intake;
    struct attempt attempt;
    struct envelope envelope;
    struct intake_summary summary;
    StoreWrite__LedgerRow **rows; /* of those who do not get it at all */
    size_t row_count;
    /* Of doors that a white list closed: */
    struct span notice_for; /* whose sender is to be told; empty: nobody's */
    struct span copy_to, copy_forwarder;
};

/* ---- What is known of it ---- */

/* By itself an address of the provider's proves nothing; a line of its own server's that tells of a login does. */
static bool is_customer(const struct origin *o)
{
    static const char *const words[] = {"ESMTPA", "ESMTPSA", "UTF8SMTPA", "UTF8SMTPSA", "LMTPA", "HTTP", "HTTPS"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (span_is_nocase(o->line.with, words[i]))
            return true;
    return !o->is_known && o->lines > 0;
}

static void fill_facts(struct deliberation *d)
{
    struct arrival *a = d->arrival;
    struct facts *facts = &d->attempt.facts;
    const struct origin *o = &a->origin;
    facts->is_fetched = true;
    facts->own_name = span_text(d->visit->settings->hostname);
    facts->reverse_path = a->reverse_path;
    facts->helo = o->line.helo;
    facts->ip = o->line.ip;
    facts->hops = o->hops;
    facts->hop_count = o->hop_count;
    facts->is_local_to_provider = is_customer(o);
    if (o->is_known)
        return;
    /* Nobody can be asked about an address that is not known. */
    static const enum fact of_the_client[] = {FACT_PTR,   FACT_OWN_LIST, FACT_DNS_LISTS,
                                              FACT_WHOIS, FACT_GREYLIST, FACT_REVERSE_CALL_BACK};
    for (size_t i = 0; i < sizeof of_the_client / sizeof *of_the_client; i++)
        facts->state[of_the_client[i]] = FACT_UNKNOWN;
    if (o->hop_count) /* what is known of these is asked for all the same */
        facts->state[FACT_OWN_LIST] = FACT_NOT_ASKED;
}

/* Parsed once: for the store, and for the rules about the message itself. */
static int read_message(struct deliberation *d)
{
    struct span whole;
    struct arrival *a = d->arrival;
    int error = intake_summarise(&a->body, &d->summary);
    a->is_held |= !error && d->summary.is_held;
    d->attempt.fingerprint = d->summary.fingerprint;
    d->attempt.facts.state[FACT_CONTENT] = FACT_UNKNOWN;
    if (error || a->is_held)
        return error;
    error = intake_body_map(&a->body, &whole);
    if (error)
        return error;
    if (poison_begin(d->attempt.fingerprint)) {
        error = facts_fill_content(&d->attempt.facts.content, whole, a->trace_size, buf_span(&d->summary.bytes),
                                   d->summary.automatic, true, &a->memory);
        poison_end();
    } else {
        error = -EAGAIN;
    }
    if (!error)
        d->attempt.facts.state[FACT_CONTENT] = FACT_KNOWN;
    intake_body_unmap(&a->body, whole);
    return error;
}

/* ---- Whose it is ---- */

static int find_route(struct fiber *self, struct deliberation *d, struct span address, struct mail_path *path,
                      struct intake_route *route)
{
    struct arrival *a = d->arrival;
    *route = (struct intake_route){.kind = INTAKE_ROUTE_NO_USER};
    if (mail_address_parse(address, true, &a->memory, path) != NULL)
        return a->memory.is_starved ? -ENOMEM : 0;
    struct intake_question question = {.path = path,
                                       .reverse_path = a->reverse_path,
                                       .judged = true,
                                       .ip = &d->attempt.facts.ip,
                                       .helo = d->attempt.facts.helo};
    return intake_route_find(self, &d->intake, &a->memory, &question, clock_in_seconds(ASK_SECONDS), route);
}

/* ---- What their rules say ---- */

/* -EAGAIN: a rule puts it off. */
static int judge(struct fiber *self, struct deliberation *d, const struct mail_path *path,
                 const struct intake_route *route)
{
    struct intake_naming naming = {.path = path};
    struct judged_address *judged = NULL;
    d->attempt.blacklist = d->visit->fetcher->blacklist;
    int error = judge_address(self, &d->attempt, path, (struct span){0}, route, &judged);
    if (!error && !d->arrival->is_held)
        error = judge_content(self, &d->attempt, judged);
    if (error)
        return error;
    naming.by_door = judged->by_door;
    return envelope_has_room(&d->envelope, &naming, route)
               ? envelope_add(&d->envelope, &d->arrival->memory, &naming, route)
               : -E2BIG;
}

/* -ENOENT: nobody here is called so; -EDQUOT; -EACCES: the account is closed; -EAGAIN: not now. */
static int take_address(struct fiber *self, struct deliberation *d, struct span address)
{
    struct mail_path *path = arena_alloc(&d->arrival->memory, sizeof *path);
    struct intake_route route;
    int error = path ? find_route(self, d, address, path, &route) : -ENOMEM;
    if (error)
        return error;
    switch (route.kind) {
    case INTAKE_ROUTE_LOCAL:
        return judge(self, d, path, &route);
    case INTAKE_ROUTE_OVER_QUOTA:
        return -EDQUOT;
    case INTAKE_ROUTE_DISABLED:
        return -EACCES;
    case INTAKE_ROUTE_PAUSED:
        return -EAGAIN;
    default:
        return -ENOENT;
    }
}

/* The routes of all that it is for. Nobody's name in the header of a domain's mailbox is ours: then the account whose
 * mailbox it is gets it, so that nothing is lost. */
static int for_each_address(struct fiber *self, struct deliberation *d)
{
    struct span addresses[SPLIT_MAX];
    const struct remote_account *account = &d->visit->account;
    struct arrival *a = d->arrival;
    size_t count = 0;
    if (account->split.size && !a->is_held && poison_begin(a->fingerprint)) {
        count = split_find(a->header, account->headers, account->split, &a->memory, addresses);
        poison_end();
    }
    bool wants_owner = count == 0;
    for (size_t i = 0; i < count; i++) {
        int error = take_address(self, d, addresses[i]);
        if (error == -ENOENT)
            wants_owner = true;
        else if (error)
            return error;
    }
    return wants_owner ? take_address(self, d, d->visit->account_address) : 0;
}

/* ---- What is done with it ---- */

static bool keeps_out(const struct kept_verdict *verdict)
{
    return verdict->kind == VERDICT_REFUSE || verdict->kind == VERDICT_DEFER;
}

static const struct ruleset *rules_of(const struct deliberation *d, const struct judged *judged)
{
    return rules_memo_get(d->attempt.sources->rules, judged->door->rules, d->visit->settings->smtp.check_sender);
}

/* Where a refused message goes at this door: empty: nowhere. In the arena. */
static struct span blocked_folder(const struct deliberation *d, const struct intake_recipient *r)
{
    const struct ruleset *set = rules_of(d, r->judged);
    if (!set)
        return span_text(JUDGED_BLOCKED_FOLDER);
    if (r->target->kind != INTAKE_TARGET_MAILBOX || !ruleset_get(set, "fetched-block-folder")->number)
        return (struct span){0};
    return arena_copy(&d->arrival->memory, ruleset_get(set, "fetched-block-folder.folder")->text);
}

/* Each message has a row of its own, in the ledger's transaction: there is no sender who could be told how many more
 * there were, and a flood comes no faster than it is stored. NULL: there is no memory for it. */
static StoreWrite__LedgerRow *make_row(struct deliberation *d, const struct judged *judged, bool is_delivered,
                                       struct span reply)
{
    const struct kept_verdict *verdict = judged_verdict(judged);
    StoreWrite__LedgerRow *row = arena_alloc(&d->arrival->memory, sizeof *row);
    ledger_note_watched(d->visit->fetcher->ledger, &d->attempt, judged, (struct span){0});
    if (!row || ledger_row_judged(&d->attempt, &d->arrival->memory, judged, is_delivered, reply, FACTS_MAX, row))
        return NULL;
    if (keeps_out(verdict))
        row->reference = ledger_find_place(NULL, (struct span){0}, &d->attempt.facts.ip, judged->recipient).reference;
    row->attempts = 1;
    row->last_at = row->at;
    return row;
}

static void log_refusal(const struct deliberation *d, const struct judged *judged, const char *what)
{
    const struct kept_verdict *verdict = judged_verdict(judged);
    log_write(LOG_FAILURE, "fetch", d->visit->session, "message refused rule=%s from=%s rcpt=%s evidence=%s what=%s",
              rules[verdict->rule].name, log_quote(d->arrival->reverse_path), log_quote(judged->recipient),
              log_quote(verdict->evidence), what);
}

/* What the rule fetched-white-list says beside its refusal. The first door that says so is enough. */
static void note_white_list(struct deliberation *d, const struct judged *judged)
{
    const struct kept_verdict *verdict = judged_verdict(judged);
    const struct ruleset *set = rules_of(d, judged);
    if (!set || verdict->rule != rule_find((struct span)SPAN("fetched-white-list")))
        return;
    struct span copy_to = ruleset_get(set, "fetched-white-list.carbon-copy")->text;
    if (ruleset_get(set, "fetched-white-list.notice")->number && !d->notice_for.size)
        d->notice_for = judged->recipient;
    if (copy_to.size && !d->copy_to.size) {
        d->copy_to = arena_copy(&d->arrival->memory, copy_to);
        d->copy_forwarder = span_skip(judged->recipient, span_find_last(judged->recipient, '@') + 1);
    }
}

/* Is there another copy for the same door before this one? Its row is enough. */
static bool has_row(const struct deliberation *d, const struct intake_recipient *until)
{
    for (const struct intake_recipient *r = d->envelope.recipients; r && r != until; r = r->next)
        if (r->judged == until->judged)
            return true;
    return false;
}

/* *stays: this copy stays in the envelope. 0 or -ENOMEM. */
static int settle_recipient(struct deliberation *d, struct intake_recipient *r, bool *stays)
{
    const struct visit *v = d->visit;
    *stays = true;
    if (!r->judged)
        return 0;
    const struct kept_verdict *verdict = judged_verdict(r->judged);
    bool is_refused = verdict->kind == VERDICT_REFUSE && !d->arrival->is_held;
    if (is_refused)
        r->folder = blocked_folder(d, r);
    else if (verdict->kind == VERDICT_FILE)
        r->folder = verdict->folder;
    else if (r->target->kind == INTAKE_TARGET_MAILBOX && r->target->account_id == v->remote->account_id)
        r->folder = v->account.folder;
    *stays = !is_refused || r->folder.size;
    d->arrival->is_blocked |= is_refused && *stays;
    if (has_row(d, r))
        return 0;
    struct span reply = span_text(!is_refused ? "" : *stays ? "put into the folder for blocked mail" : "deleted");
    StoreWrite__LedgerRow *row = make_row(d, r->judged, *stays, reply);
    if (is_refused)
        log_refusal(d, r->judged, *stays ? "filed" : "deleted");
    if (is_refused)
        note_white_list(d, r->judged);
    if (*stays)
        r->ledger = row;
    else if (row)
        d->rows[d->row_count++] = row;
    else
        return -ENOMEM; /* what is to be deleted at the provider has a row */
    return 0;
}

static bool is_deferred(const struct deliberation *d)
{
    for (const struct intake_recipient *r = d->envelope.recipients; r; r = r->next)
        if (r->judged && judged_verdict(r->judged)->kind == VERDICT_DEFER)
            return true;
    return false;
}

/* Somebody's rules want to know more first. There is no sender who would give up: after a day it comes in, as nobody is
 * refused for what is not known. */
static bool is_put_off(const struct deliberation *d)
{
    struct map *since = &d->visit->remote->put_off;
    uint64_t now = clock_steady() / NANOSECONDS;
    if (!is_deferred(d))
        return false;
    uint64_t first = (uint64_t)(uintptr_t)map_get(since, d->arrival->uidl);
    /* One that can't be remembered is not waited for. */
    if (!first)
        return since->count < SKIPPED_MAX && map_put(since, d->arrival->uidl, (void *)(uintptr_t)now) == 0;
    if (now < first + DEFER_SECONDS)
        return true;
    map_remove(since, d->arrival->uidl);
    return false;
}

static int settle_recipients(struct deliberation *d)
{
    struct intake_recipient **place = &d->envelope.recipients;
    d->rows = arena_array(&d->arrival->memory, d->envelope.target_count + 1, sizeof(*d->rows));
    int error = d->rows ? 0 : -ENOMEM;
    while (!error && *place) {
        struct intake_recipient *r = *place;
        bool stays;
        error = settle_recipient(d, r, &stays);
        if (stays) {
            place = &r->next;
            continue;
        }
        *place = r->next;
        d->envelope.target_count--;
    }
    d->envelope.last = place;
    return error;
}

/* What is deleted at the provider stands durably in the ledger before. */
static int note_refused(struct fiber *self, const struct deliberation *d, bool is_stored)
{
    ProtobufCBinaryData uidl = binary_from_span(d->arrival->uidl);
    size_t done = 0;
    int error = 0;
    do {
        size_t count = d->row_count - done < ROWS_PAGE ? d->row_count - done : ROWS_PAGE;
        bool is_last = done + count == d->row_count;
        error = visit_note(self, d->visit, &uidl, is_last && !is_stored ? 1 : 0, false, d->rows + done, count);
        done += count;
    } while (!error && done < d->row_count);
    return error;
}

static int store(struct fiber *self, struct deliberation *d, enum arrival_end *end)
{
    StoreWrite__DeliverRequest request = STORE_WRITE__DELIVER_REQUEST__INIT;
    struct arrival *a = d->arrival;
    struct answer answer = {.fd = -1};
    struct intake_outcome outcome;
    struct buf ip;
    uint64_t deadline = clock_in_seconds(STORE_SECONDS);
    buf_init(&ip, IP_ADDRESS_TEXT_MAX);
    ip_address_write(a->origin.is_known ? &a->origin.line.ip : &d->visit->server, &ip);
    int error = intake_fill_request(&d->envelope, &a->memory, &request);
    /* What is left at the provider grows old from here on. */
    request.received_at = clock_steady();
    request.peer_address = binary_from_span(buf_span(&ip));
    request.helo = binary_from_span(a->origin.line.helo);
    request.protocol = (char *)(uintptr_t)(stream_is_tls(d->visit->client.stream) ? "POP3S" : "POP3");
    request.session = binary_from_span(span_text(d->visit->session));
    request.eight_bit = a->data.has_8bit;
    request.summary = binary_from_span(buf_span(&d->summary.bytes));
    request.remote_id = d->visit->remote->id;
    request.uidl = binary_from_span(a->uidl);
    struct span attachment = a->body.spool < 0 ? buf_span(&a->body.memory) : (struct span){0};
    if (!error)
        error = channel_call(self, peers_wait(self, d->visit->fetcher->peers, ROLE_WRITER, deadline),
                             STORE_WRITE_DELIVER, &request.base, attachment, a->body.spool, deadline, &answer);
    buf_release(&ip);
    if (error)
        return error;
    const StoreWrite__DeliverReply *reply = (const StoreWrite__DeliverReply *)answer.message;
    error = intake_read_outcomes(reply, d->envelope.target_count, &outcome, NULL);
    /* Noted before: it is here. */
    if (!error && outcome.verdict == INTAKE_OVER_QUOTA)
        error = -EDQUOT;
    else if (!error && outcome.verdict != INTAKE_STORED)
        error = -EAGAIN;
    if (!error)
        log_write(LOG_LOW, "fetch", d->visit->session, "message fetched message=%llx from=%s rcpt=%s",
                  (unsigned long long)reply->message_id, log_quote(a->reverse_path),
                  log_quote(d->envelope.recipients->address));
    answer_release(&answer);
    *end = ARRIVAL_STORED;
    return error;
}

/* ---- The whole way ---- */

/* Parsing it ended processes (policy/poison.h): nobody looks into it, and nobody deletes it unseen. */
static void hold(struct deliberation *d)
{
    envelope_hold(&d->envelope);
    log_write(LOG_MAJOR, "fetch", d->visit->session,
              "message held aside: reading it made the server fail several times, so it lies unread in the "
              "folder " POISON_FOLDER
              " (\"ostiary mail export\" brings it out); please report it as a fault of the server "
              "uidl=%s fingerprint=%016llx",
              log_quote(d->arrival->uidl), (unsigned long long)d->summary.fingerprint);
}

static int deliberate(struct fiber *self, struct deliberation *d, enum arrival_end *end)
{
    int error = read_message(d);
    if (error)
        return error;
    fill_facts(d);
    error = for_each_address(self, d);
    if (error)
        return error;
    if (!d->arrival->is_held && is_put_off(d))
        return -EAGAIN;
    error = settle_recipients(d);
    if (!error && d->arrival->is_held)
        hold(d);
    if (!error && d->copy_to.size)
        error = notice_add_copy(self, d->arrival, d->copy_to, d->copy_forwarder, &d->envelope);
    /* Before the message is done with: should we die in between, the next visit does not tell twice. */
    if (!error && d->notice_for.size)
        error = notice_send(self, d->arrival, &d->attempt, d->notice_for);
    if (error)
        return error;
    *end = ARRIVAL_REFUSED;
    bool is_stored = d->envelope.target_count > 0;
    if (!is_stored || d->row_count)
        error = note_refused(self, d, is_stored);
    return error || !is_stored ? error : store(self, d, end);
}

int arrival_deliver(struct fiber *self, struct arrival *a, enum arrival_end *end)
{
    struct visit *v = a->visit;
    struct deliberation *d = calloc(1, sizeof *d);
    if (!d)
        return -ENOMEM;
    d->arrival = a;
    d->visit = v;
    d->intake = (struct intake){
        .peers = v->fetcher->peers, .settings = v->settings, .patient_until = clock_in_seconds(ASK_SECONDS)};
    d->attempt = (struct attempt){.sources = fetcher_sources(v->fetcher),
                                  .settings = v->settings,
                                  .session = v->session,
                                  .connection = &a->memory,
                                  .transaction = &a->memory,
                                  .sender = &a->sender};
    envelope_init(&d->envelope);
    d->envelope.reverse_path = a->reverse_path;
    int error = d->attempt.sources ? deliberate(self, d, end) : -ENOMEM;
    if (error == -EAGAIN || error == -EDQUOT || error == -EACCES) {
        *end = ARRIVAL_LATER;
        snprintf(a->problem, sizeof a->problem, "%s",
                 error == -EDQUOT   ? "the mailbox is full"
                 : error == -EACCES ? "the account is closed"
                                    : "it is put off");
        error = 0;
    }
    buf_release(&d->summary.bytes);
    free(d);
    return error;
}
