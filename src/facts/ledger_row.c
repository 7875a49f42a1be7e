#include "facts/ledger_row.h"

#include "base/clock.h"
#include "ipc/binary.h"

#include <errno.h>

int ledger_row_begin(struct attempt *a, struct arena *arena, struct span recipient, struct span reply,
                     StoreWrite__LedgerRow *row)
{
    struct buf text;
    store_write__ledger_row__init(row);
    buf_init(&text, IP_ADDRESS_TEXT_MAX);
    ip_address_write(&a->facts.ip, &text);
    struct span ip = arena_copy(arena, buf_span(&text));
    bool failed = buf_failed(&text) || !ip.data;
    buf_release(&text);
    if (failed)
        return -ENOMEM;
    row->at = clock_steady();
    row->attempts = 1;
    row->fetched = a->facts.is_fetched;
    row->level = LEVEL_DEFAULT;
    row->ip = binary_from_span(ip);
    row->ptr = binary_from_span(a->facts.ptr.name);
    row->helo = binary_from_span(a->facts.helo);
    row->reverse_path = binary_from_span(a->facts.reverse_path);
    row->recipient = binary_from_span(recipient);
    row->reply = binary_from_span(reply);
    if (a->facts.state[FACT_CONTENT] == FACT_KNOWN) {
        row->subject = binary_from_span(a->facts.content.subject);
        row->header_message_id = binary_from_span(a->facts.content.message_id);
    }
    return 0;
}

static int add_facts(struct attempt *a, struct arena *arena, const struct judged *judged, size_t facts_max,
                     StoreWrite__LedgerRow *row)
{
    struct recipient_facts r;
    struct buf blob;
    buf_init(&blob, facts_max < FACTS_SIZE_MAX ? facts_max : FACTS_SIZE_MAX);
    judged_facts(judged, &r);
    facts_write(&a->facts, &r, false, &blob);
    struct span facts = {0};
    if (!buf_failed(&blob))
        facts = arena_copy(arena, buf_span(&blob));
    int error = !buf_failed(&blob) && !facts.data ? -ENOMEM : 0;
    row->facts = binary_from_span(facts);
    buf_release(&blob);
    return error;
}

static void add_verdict(const struct kept_verdict *verdict, StoreWrite__LedgerRow *row)
{
    row->verdict = verdict->kind;
    row->level = verdict->level;
    if (verdict->rule < rule_count)
        row->rule = binary_from_span(span_text(rules[verdict->rule].name));
    row->evidence = binary_from_span(verdict->evidence);
    row->sentence = binary_from_span(verdict->sentence);
}

/* What was let in although somebody watches is what the watcher looks for: that is then the row of the mail itself. */
static bool is_watched_only(const struct judged *judged)
{
    return judged->watched_count && judged_verdict(judged)->kind == VERDICT_ACCEPT;
}

static int begin_judged(struct attempt *a, struct arena *arena, const struct judged *judged, struct span reply,
                        StoreWrite__LedgerRow *row)
{
    int error = ledger_row_begin(a, arena, judged->recipient, reply, row);
    row->account_id = judged->door->account_id;
    row->stage = judged->content.kind == VERDICT_NO_OPINION ? DECIDE_RCPT : DECIDE_CONTENT;
    return error;
}

int ledger_row_judged(struct attempt *a, struct arena *arena, const struct judged *judged, bool is_delivered,
                      struct span reply, size_t facts_max, StoreWrite__LedgerRow *row)
{
    int error = begin_judged(a, arena, judged, reply, row);
    if (error)
        return error;
    row->asked = judged->asked;
    add_verdict(is_watched_only(judged) ? &judged->watched[0] : judged_verdict(judged), row);
    if (is_delivered && judged_keeps_out(judged))
        row->verdict = VERDICT_FILE;
    return add_facts(a, arena, judged, facts_max, row);
}

void ledger_note_watched(struct ledger *ledger, struct attempt *a, const struct judged *judged, struct span reply)
{
    for (unsigned i = is_watched_only(judged); ledger && i < judged->watched_count; i++) {
        StoreWrite__LedgerRow row;
        struct arena scratch;
        arena_init(&scratch, 4u << 10);
        if (begin_judged(a, &scratch, judged, reply, &row) == 0) {
            add_verdict(&judged->watched[i], &row);
            const struct ledger_place place =
                ledger_find_place(ledger, binary_span(row.rule), &a->facts.ip, judged->recipient);
            ledger_note(ledger, &place, &row);
        }
        arena_release(&scratch);
    }
}
