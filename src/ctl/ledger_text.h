/* Rows of the ledger in words and as JSON. Pure. */
#ifndef CTL_LEDGER_TEXT_H
#define CTL_LEDGER_TEXT_H

#include "base/buf.h"
#include "ctl/json.h"
#include "store_write.pb-c.h"

/* "2026-11-22 06:45:12 UTC"; of nanoseconds since 1970. */
void ledger_write_time(uint64_t at, struct buf *out);
/* "refused", "put off", "accepted", "filed", "would be refused" (watch) */
const char *ledger_verdict_word(unsigned verdict);
/* "read", "answered" …; empty where nobody knows */
const char *ledger_fate_word(StoreWrite__Fate fate);

/* One or two lines. */
void ledger_write_entry(const StoreWrite__LedgerEntry *entry, struct buf *out);
void ledger_write_entry_json(const StoreWrite__LedgerEntry *entry, struct json *json);

/* A time in nanoseconds since 1970: so long before `now` ("7d", "12h"), or the begin of a day or minute in UTC
 * ("2026-11-22", "2026-11-22T06:45"). False where it is neither. */
MUST_USE bool ledger_time_parse(struct span text, uint64_t now, uint64_t *at);

/* What is in force of a rule, and who said so: of the settings that bear on a row. */
struct ledger_setting {
    struct span owner, name, value, set_by;
    unsigned level;
    bool is_locked;
    uint64_t set_at; /* nanoseconds since 1970 */
};

/* Is it the name of a refusal that is no rule's ("no-such-user")? */
bool ledger_has_reason(struct span name);

/* All that there is to say of one attempt, in plain words. `settings` are those of the row's rule, of all levels that
 * bear on its recipient; `is_my`: the reader is the recipient. */
void ledger_write_explanation(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings, size_t count,
                              bool is_my, struct buf *out);
/* The same as one object: that of ledger_write_entry_json with the rule's summary, settings, those that were asked
 * before it, and the commands that let such mail in. */
void ledger_write_explanation_json(const StoreWrite__LedgerEntry *entry, const struct ledger_setting *settings,
                                   size_t count, bool is_my, struct json *json);

#endif
