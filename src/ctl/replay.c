#include "ctl/replay.h"

#include "base/clock.h"
#include "ctl/ctl.h"
#include "ctl/foreign.h"
#include "ctl/ledger_text.h"
#include "ipc/binary.h"
#include "policy/decide.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- One row ---- */

enum place { PLACE_IN, PLACE_FOLDER, PLACE_LATER, PLACE_OUT, PLACE_UNKNOWN };

static enum place place_of(enum verdict_kind kind)
{
    return kind == VERDICT_REFUSE  ? PLACE_OUT
           : kind == VERDICT_DEFER ? PLACE_LATER
           : kind == VERDICT_FILE  ? PLACE_FOLDER
                                   : PLACE_IN;
}

/* PLACE_UNKNOWN with what is lacking. Content that was never seen is no lack where the envelope decides already. */
static enum place decide(const struct facts *facts, const struct recipient_facts *r, const struct ruleset *set,
                         struct verdict *verdict, uint32_t *lacks)
{
    struct decision envelope, content;
    if (decide_recipient(facts, r, set, DECIDE_RCPT, NULL, &envelope) == DECIDE_NEEDS) {
        *lacks = envelope.needs;
        return PLACE_UNKNOWN;
    }
    *verdict = envelope.verdict;
    enum place place = place_of(verdict->kind);
    if (place == PLACE_OUT || place == PLACE_LATER || !ruleset_has_content_rules(set))
        return place;
    if (decide_recipient(facts, r, set, DECIDE_CONTENT, &envelope.verdict, &content) == DECIDE_NEEDS) {
        *lacks = content.needs;
        return PLACE_UNKNOWN;
    }
    *verdict = content.verdict;
    return place_of(verdict->kind);
}

enum replay_outcome replay_row(const StoreWrite__LedgerRow *row, const struct ruleset *before,
                               const struct ruleset *after, uint32_t moot, struct arena *arena, struct verdict *verdict,
                               uint32_t *lacks)
{
    struct facts facts;
    struct recipient_facts r;
    struct verdict old;
    uint32_t old_lacks = 0;
    *lacks = 0;
    if (row->rule.len && rule_find(binary_span(row->rule)) == RULE_NONE)
        return REPLAY_NO_RULES;
    if (!row->facts.len || !facts_parse(binary_span(row->facts), arena, &facts, &r))
        return REPLAY_NO_FACTS;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if ((moot & FACT_BIT(fact)) && fact_state_get(&facts, &r, (enum fact)fact) == FACT_NOT_ASKED)
            fact_state_set(&facts, &r, (enum fact)fact, FACT_ABSENT);
    enum place was = decide(&facts, &r, before, &old, &old_lacks);
    enum place would = decide(&facts, &r, after, verdict, lacks);
    /* What today's rules can't say of it, the row does: it was decided with facts and rules of its time. */
    if (was == PLACE_UNKNOWN)
        was = place_of((enum verdict_kind)row->verdict);
    if (would == PLACE_UNKNOWN)
        return REPLAY_MISSING;
    if (would == was)
        return REPLAY_SAME;
    static const enum replay_outcome outcomes[] = {[PLACE_IN] = REPLAY_LET_IN,
                                                   [PLACE_FOLDER] = REPLAY_FILED,
                                                   [PLACE_LATER] = REPLAY_DEFERRED,
                                                   [PLACE_OUT] = REPLAY_REFUSED};
    /* From a folder to the inbox is no change of who comes in. */
    return was == PLACE_FOLDER && would == PLACE_IN ? REPLAY_SAME : outcomes[would];
}

/* ---- Adding up ---- */

static void copy(char *to, size_t room, struct span from)
{
    struct buf text;
    buf_init(&text, 4096);
    foreign_write(span_head(from, 1000), false, &text);
    size_t size = text.size < room - 1 ? text.size : room - 1;
    /* No half character. */
    while (size > 0 && size < text.size && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    if (size)
        memcpy(to, text.data, size);
    to[size] = '\0';
    buf_release(&text);
}

static unsigned weigh(StoreWrite__Fate fate)
{
    switch (fate) {
    case STORE_WRITE__FATE__FATE_ANSWERED:
        return 5;
    case STORE_WRITE__FATE__FATE_FILED:
        return 4;
    case STORE_WRITE__FATE__FATE_READ:
        return 3;
    case STORE_WRITE__FATE__FATE_DELETED:
        return 1;
    default:
        return 2;
    }
}

/* The heaviest first, of those the newest: rows come newest first. */
static void doubt(struct replay *replay, const StoreWrite__LedgerEntry *entry, const struct verdict *verdict)
{
    const StoreWrite__LedgerRow *row = entry->row;
    unsigned weight = weigh(entry->fate);
    size_t i = REPLAY_DOUBTFUL_MAX;
    while (i > 0 && replay->doubtful[i - 1].weight < weight)
        i--;
    if (i == REPLAY_DOUBTFUL_MAX)
        return;
    memmove(&replay->doubtful[i + 1], &replay->doubtful[i], (REPLAY_DOUBTFUL_MAX - 1 - i) * sizeof *replay->doubtful);
    struct replay_doubt *d = &replay->doubtful[i];
    *d = (struct replay_doubt){.at = row->at, .weight = weight, .fate = entry->fate};
    copy(d->sender, sizeof d->sender, row->reverse_path.len ? binary_span(row->reverse_path) : span_text("<>"));
    copy(d->recipient, sizeof d->recipient, binary_span(row->recipient));
    copy(d->subject, sizeof d->subject, binary_span(row->subject));
    copy(d->sentence, sizeof d->sentence, span_text(verdict->sentence));
}

void replay_add(struct replay *replay, const StoreWrite__LedgerEntry *entry, enum replay_outcome outcome,
                const struct verdict *verdict, uint32_t lacks)
{
    uint64_t attempts = entry->row->attempts ? entry->row->attempts : 1;
    replay->rows++;
    replay->attempts[outcome] += attempts;
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        replay->lacks[fact] += lacks & FACT_BIT(fact) ? attempts : 0;
    bool is_lost = outcome == REPLAY_REFUSED || outcome == REPLAY_DEFERRED;
    if (!is_lost)
        return;
    replay->lost[(unsigned)entry->fate < 6 ? entry->fate : 0] += attempts;
    doubt(replay, entry, verdict);
}

/* ---- What is shown ---- */

static void write_count(uint64_t count, const char *what, struct buf *out)
{
    if (count)
        buf_printf(out, "%10" PRIu64 "  %s\n", count, what);
}

static void write_lost(const struct replay *r, struct buf *out)
{
    static const struct {
        StoreWrite__Fate fate;
        const char *what;
    } rows[] = {{STORE_WRITE__FATE__FATE_ANSWERED, "of them were answered"},
                {STORE_WRITE__FATE__FATE_FILED, "of them were filed elsewhere by hand"},
                {STORE_WRITE__FATE__FATE_READ, "of them were read"},
                {STORE_WRITE__FATE__FATE_UNREAD, "of them were never opened"},
                {STORE_WRITE__FATE__FATE_DELETED, "of them are deleted"},
                {STORE_WRITE__FATE__FATE_UNSET, "of them: nobody knows what became of them"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (r->lost[rows[i].fate])
            buf_printf(out, "%14" PRIu64 "  %s\n", r->lost[rows[i].fate], rows[i].what);
}

/* What nobody asked at that time, as people call it; fact_name() is for programs. */
static const char *const fact_words[FACT_COUNT] = {
    [FACT_PTR] = "the server's name by the DNS",
    [FACT_OWN_LIST] = "whether the site's own black list has the server",
    [FACT_DNS_LISTS] = "what the DNS lists say of the server",
    [FACT_RETURN_PATH] = "whether the sender's domain takes mail",
    [FACT_GREYLIST] = "whether the server had been here before",
    [FACT_WHOIS] = "what WHOIS says of the server's address",
    [FACT_SCRIPT] = "what the site's script says",
    [FACT_CALL_BACK] = "whether the sender's own server knows the sender",
    [FACT_REVERSE_CALL_BACK] = "whether the server itself takes mail for the sender",
    [FACT_CONTENT] = "the message, which never came",
    [FACT_SCRIPT_CONTENT] = "what the site's script says of the message",
};

static void write_lacks(const struct replay *r, struct buf *out)
{
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if (r->lacks[fact])
            buf_printf(out, "%14" PRIu64 "  lack %s\n", r->lacks[fact], fact_words[fact]);
}

static void write_doubtful(const struct replay *r, struct buf *out)
{
    if (!r->doubtful[0].weight)
        return;
    buf_add_text(out, "\nThe most doubtful of what would be lost:\n");
    for (size_t i = 0; i < REPLAY_DOUBTFUL_MAX && r->doubtful[i].weight; i++) {
        const struct replay_doubt *d = &r->doubtful[i];
        buf_add_text(out, "  ");
        ledger_write_time(d->at, out);
        buf_printf(out, "  %s -> %s%s%s%s%s%s\n      %s\n", d->sender, d->recipient,
                   *ledger_fate_word(d->fate) ? "  " : "", ledger_fate_word(d->fate), *d->subject ? "  \"" : "",
                   d->subject, *d->subject ? "\"" : "", d->sentence);
    }
}

void replay_write(const struct replay *r, struct buf *out)
{
    ctl_write_count(out, r->rows, "row");
    buf_add_text(out, " of the ledger\n");
    buf_printf(out, "%10" PRIu64 "  more would be refused\n", r->attempts[REPLAY_REFUSED]);
    write_count(r->attempts[REPLAY_DEFERRED], "more would be put off", out);
    write_lost(r, out);
    write_count(r->attempts[REPLAY_FILED], "more would come into a folder of their own", out);
    buf_printf(out, "%10" PRIu64 "  fewer would be kept out\n", r->attempts[REPLAY_LET_IN]);
    write_count(r->attempts[REPLAY_SAME], "would not change", out);
    write_count(r->attempts[REPLAY_MISSING],
                "can't be told: the rules would have to know what nobody asked at that time", out);
    write_lacks(r, out);
    write_count(r->attempts[REPLAY_NO_FACTS], "can't be told: their facts were not kept", out);
    write_count(r->attempts[REPLAY_NO_RULES], "no rule was asked about (no such address, mailbox full, …)", out);
    write_doubtful(r, out);
}

static void write_doubt_json(const struct replay_doubt *d, struct json *json)
{
    json_object(json, NULL);
    json_number(json, "at", d->at / NANOSECONDS);
    json_text(json, "sender", span_text(d->sender));
    json_text(json, "recipient", span_text(d->recipient));
    json_text(json, "subject", span_text(d->subject));
    json_text(json, "sentence", span_text(d->sentence));
    json_text(json, "fate", span_text(ledger_fate_word(d->fate)));
    json_end_object(json);
}

void replay_write_json(const struct replay *r, struct json *json)
{
    static const char *const outcomes[REPLAY_OUTCOME_COUNT] = {"same",   "refused", "deferred", "filed",
                                                               "let_in", "missing", "no_facts", "no_rules"};
    static const char *const fates[] = {"unknown", "unread", "read", "answered", "filed", "deleted"};
    json_object(json, NULL);
    json_number(json, "rows", r->rows);
    for (unsigned i = 0; i < REPLAY_OUTCOME_COUNT; i++)
        json_number(json, outcomes[i], r->attempts[i]);
    json_object(json, "lost");
    for (unsigned i = 0; i < 6; i++)
        json_number(json, fates[i], r->lost[i]);
    json_end_object(json);
    json_object(json, "missing_facts");
    for (unsigned fact = 0; fact < FACT_COUNT; fact++)
        if (r->lacks[fact])
            json_number(json, fact_name((enum fact)fact), r->lacks[fact]);
    json_end_object(json);
    json_list(json, "doubtful");
    for (size_t i = 0; i < REPLAY_DOUBTFUL_MAX && r->doubtful[i].weight; i++)
        write_doubt_json(&r->doubtful[i], json);
    json_end_list(json);
    json_end_object(json);
}
