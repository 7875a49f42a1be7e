#include "store/ledger.h"

#include "base/clock.h"
#include "base/log.h"
#include "format/utf8.h"
#include "policy/decide.h"
#include "store/core.h"

#include <errno.h>

#define DAY (24ull * 3600 * NANOSECONDS)
#define HISTORY_PAUSE (3600ull * NANOSECONDS)
/* All texts of a row at their longest: so that the buffer never moves while spans point into it. */
#define TEXT_ROOM \
    (3 * LEDGER_NAME_MAX + 2 * LEDGER_HOST_MAX + 2 * LEDGER_ADDRESS_MAX + LEDGER_REPLY_MAX + 4 * LEDGER_TEXT_MAX)

void ledger_init(struct ledger *l, int data_directory)
{
    *l = (struct ledger){0};
    reject_log_init(&l->reject_log, data_directory);
    buf_init(&l->text, TEXT_ROOM + 1);
}

void ledger_release(struct ledger *l)
{
    reject_log_release(&l->reject_log);
    buf_release(&l->text);
}

void ledger_set_settings(struct ledger *l, const struct settings *settings)
{
    l->life = settings->ledger.days * DAY;
    l->rows_max = settings->ledger.rows;
    l->reject_log.is_on = settings->ledger.reject_log;
    l->reject_log.size_max = settings->ledger.reject_log_size;
    l->reject_log.keep = settings->ledger.reject_log_keep;
}

/* ---- Where it begins and ends ---- */

static int first_row(struct store *s)
{
    struct ledger *l = &s->ledger;
    struct statement *st = database_query(s->db, "SELECT id, at FROM ledger ORDER BY id LIMIT 1", "");
    int rc = database_step(st);
    l->first_id = rc > 0 ? database_u64(st, 0) : l->next_id;
    l->oldest_at = rc > 0 ? database_u64(st, 1) : 0;
    database_end(st);
    return rc < 0 ? rc : 0;
}

static int load(struct store *s)
{
    uint64_t last = 0;
    if (s->ledger.next_id)
        return 0;
    int rc = database_find(s->db, &last, "SELECT COALESCE(MAX(id), 0) FROM ledger", "");
    if (rc <= 0)
        return rc ? rc : -EIO;
    s->ledger.next_id = s->ledger.next_before = last + 1;
    rc = first_row(s);
    if (rc != 0)
        s->ledger.next_id = 0;
    return rc;
}

int ledger_count(struct store *s, uint64_t *count)
{
    int rc = load(s);
    *count = rc == 0 ? s->ledger.next_id - s->ledger.first_id : 0;
    return rc;
}

void ledger_mark(struct ledger *l)
{
    l->next_before = l->next_id;
}

void ledger_forget(struct ledger *l)
{
    l->next_id = l->next_before;
    reject_log_forget(&l->reject_log);
}

/* ---- Inserting ---- */

/* Printable ASCII. */
static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.size; i++)
        /* Where char has no sign, too. */
        if ((unsigned char)text.data[i] < ' ' || (unsigned char)text.data[i] >= 127)
            return false;
    return true;
}

/* Printable UTF-8 of at most `most` bytes; most texts are that already. */
static struct span clean(struct ledger *l, struct span text, size_t most)
{
    size_t size = text.size < most ? text.size : most;
    bool is_utf8 = utf8_is_valid(text);
    while (is_utf8 && size < text.size && size > 0 && ((unsigned char)text.data[size] & 0xc0) == 0x80)
        size--;
    text = span_head(text, size);
    if (is_plain(text))
        return text;
    char *to = buf_reserve(&l->text, text.size);
    if (!to)
        return (struct span){"", 0};
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        bool is_upper_control = is_utf8 && c == 0xc2 && i + 1 < text.size && (unsigned char)text.data[i + 1] < 0xa0;
        bool shows = c >= ' ' && c != 127 && (c < 128 || is_utf8) && !is_upper_control;
        to[i] = shows ? (char)c : '?';
        if (is_upper_control)
            to[++i] = '?';
    }
    l->text.size += text.size;
    return span_from(to, text.size);
}

static void clean_row(struct ledger *l, struct ledger_row *r)
{
    struct {
        struct span *text;
        size_t most;
    } texts[] = {{&r->rule, LEDGER_NAME_MAX},
                 {&r->ip, LEDGER_NAME_MAX},
                 {&r->ptr, LEDGER_HOST_MAX},
                 {&r->helo, LEDGER_HOST_MAX},
                 {&r->reverse_path, LEDGER_ADDRESS_MAX},
                 {&r->recipient, LEDGER_ADDRESS_MAX},
                 {&r->subject, LEDGER_TEXT_MAX},
                 {&r->header_message_id, LEDGER_TEXT_MAX},
                 {&r->evidence, LEDGER_TEXT_MAX},
                 {&r->sentence, LEDGER_TEXT_MAX},
                 {&r->reply, LEDGER_REPLY_MAX}};
    buf_reset(&l->text);
    /* Once, at its full size: it does not move any more. */
    if (!buf_reserve(&l->text, TEXT_ROOM))
        return;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        *texts[i].text = clean(l, *texts[i].text, texts[i].most);
    if (r->facts.size > LEDGER_FACTS_MAX)
        r->facts = (struct span){NULL, 0};
}

static uint64_t bounded(uint64_t value)
{
    return value < INT64_MAX ? value : INT64_MAX;
}

bool ledger_row_is_possible(const struct ledger_row *r)
{
    return r->reference <= LEDGER_REFERENCE_MAX && r->verdict <= VERDICT_WATCH && r->level < LEVEL_COUNT &&
           r->stage <= DECIDE_CONTENT;
}

/* The database's numbers are signed. Attempts are added up, by rows and by periods, without leaving its numbers; and
 * what is said to be of the future would keep all rows behind it from growing old. */
static void bound_row(struct ledger_row *r)
{
    uint64_t now = bounded(clock_steady());
    uint64_t *numbers[] = {&r->at, &r->last_at, &r->attempts, &r->account_id, &r->message_id, &r->mailbox_id, &r->uid};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        *numbers[i] = bounded(*numbers[i]);
    r->attempts = r->attempts ? r->attempts : 1;
    r->attempts = r->attempts < LEDGER_ATTEMPTS_MAX ? r->attempts : LEDGER_ATTEMPTS_MAX;
    r->at = r->at < now ? r->at : now;
    r->last_at = r->last_at < now ? r->last_at : now;
    r->last_at = r->last_at > r->at ? r->last_at : r->at;
    r->asked &= INT64_MAX;
}

/* 1 when there is such a row, which has the attempts now. */
static int add_attempts(struct store *s, const struct ledger_row *r)
{
    uint64_t id;
    if (r->reference == 0)
        return 0;
    return database_find(s->db, &id,
                         "UPDATE ledger SET attempts = CASE WHEN attempts < $7 - $1 THEN attempts + $1 ELSE $7 END,"
                         " last_at = CASE WHEN last_at < $2 THEN $2 ELSE last_at END"
                         " WHERE reference = $3 AND reference != 0 AND rule = $4 AND account_id = $5 AND verdict = $6"
                         " RETURNING id",
                         "uuutuuu", r->attempts, r->last_at, r->reference, r->rule, r->account_id, r->verdict,
                         (uint64_t)LEDGER_ATTEMPTS_MAX);
}

static int insert_row(struct store *s, const struct ledger_row *r)
{
    return database_run(
        s->db,
        "INSERT INTO ledger (id, reference, at, attempts, last_at, account_id, fetched, stage, verdict, rule, level,"
        " ip, ptr, helo, reverse_path, recipient, subject, header_message_id, evidence, sentence, reply, message_id,"
        " mailbox_id, uid, asked, facts) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,"
        " $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)",
        "uuuuuuuuututtttttttttuuuub", s->ledger.next_id, r->reference, r->at, r->attempts, r->last_at, r->account_id,
        (uint64_t)r->fetched, r->stage, r->verdict, r->rule, r->level, r->ip, r->ptr, r->helo, r->reverse_path,
        r->recipient, r->subject, r->header_message_id, r->evidence, r->sentence, r->reply, r->message_id,
        r->mailbox_id, r->uid, r->asked, r->facts);
}

int ledger_insert(struct store *s, const struct ledger_row *row)
{
    struct ledger *l = &s->ledger;
    struct ledger_row r = *row;
    if (!ledger_row_is_possible(&r))
        return -EINVAL;
    bound_row(&r);
    clean_row(l, &r);
    if (buf_failed(&l->text))
        return store_fail(s, -ENOMEM);
    int rc = load(s);
    rc = rc ? rc : add_attempts(s, &r);
    if (rc == 0) {
        rc = insert_row(s, &r);
        if (rc == 0 && l->next_id++ == l->first_id)
            l->oldest_at = r.at;
    }
    if (rc < 0)
        return store_fail(s, rc);
    if (r.verdict == VERDICT_REFUSE)
        reject_log_add(&l->reject_log, &r);
    return 0;
}

/* ---- Transactions of its own ---- */

int ledger_begin(struct store *s)
{
    if (s->broken || s->in_batch)
        return s->broken ? -EIO : -EINVAL;
    int rc = database_begin_unsynced(s->db);
    if (rc == 0)
        rc = load(s);
    if (rc != 0) {
        database_rollback(s->db);
        return rc;
    }
    ledger_mark(&s->ledger);
    s->batch_error = 0;
    return 0;
}

void ledger_abort(struct store *s)
{
    database_rollback(s->db);
    ledger_forget(&s->ledger);
    /* Whether a commit that failed has happened, only the database can tell. */
    s->ledger.next_id = 0;
}

int ledger_commit(struct store *s)
{
    int rc = s->batch_error ? s->batch_error : database_commit(s->db);
    if (rc != 0)
        ledger_abort(s);
    return rc;
}

/* ---- Pruning ---- */

/* 0: nothing is deleted by its age, as while the clock is in doubt. */
static uint64_t life_of(const struct ledger *l)
{
    return clock_is_trusted() ? l->life : 0;
}

static bool is_history_due(const struct ledger *l, uint64_t now)
{
    return life_of(l) && (now >= l->history_due || l->history_due > now + HISTORY_PAUSE);
}

bool ledger_is_prunable(const struct ledger *l, uint64_t now)
{
    if (l->next_id == 0)
        return true;
    uint64_t count = l->next_id - l->first_id;
    bool too_many = l->rows_max && count > l->rows_max;
    uint64_t life = life_of(l);
    bool too_old = life && count && now > life && l->oldest_at < now - life;
    return too_many || too_old || is_history_due(l, now);
}

static int prune_rows(struct store *s, uint64_t now, uint64_t most)
{
    struct ledger *l = &s->ledger;
    uint64_t count = l->next_id - l->first_id, too_many = l->rows_max && count > l->rows_max ? count - l->rows_max : 0;
    uint64_t last = l->first_id, sure = l->first_id + too_many; /* those before it go whatever their age is */
    uint64_t life = life_of(l), cut = life && now > life ? now - life : 0;
    struct statement *st =
        database_query(s->db, "SELECT id, at FROM ledger WHERE id >= $1 ORDER BY id LIMIT $2", "uu", l->first_id, most);
    int rc;
    while ((rc = database_step(st)) > 0 && (database_u64(st, 0) < sure || database_u64(st, 1) < cut))
        last = database_u64(st, 0) + 1;
    database_end(st);
    if (rc < 0 || last == l->first_id)
        return rc < 0 ? rc : 0;
    rc = database_run(s->db, "DELETE FROM ledger WHERE id < $1", "u", last);
    return rc ? rc : first_row(s);
}

static int prune_history(struct store *s, uint64_t now, uint64_t most)
{
    struct ledger *l = &s->ledger;
    uint64_t cut = now > l->life ? now - l->life : 0, last = 0;
    int rc = database_find(s->db, &last,
                           "SELECT MAX(number) FROM (SELECT number FROM door_history WHERE number > $1 ORDER BY number"
                           " LIMIT $2) AS slice HAVING COUNT(*) > 0",
                           "uu", l->history_after, most);
    if (rc <= 0) {
        /* Through: the next round begins at the front. */
        l->history_after = 0;
        l->history_due = now + HISTORY_PAUSE;
        return rc;
    }
    rc = database_run(s->db,
                      "DELETE FROM door_history WHERE number > $1 AND number <= $2 AND at < $3 AND number <"
                      " (SELECT n.number FROM door_history n WHERE n.owner_id = door_history.owner_id"
                      "  ORDER BY n.number DESC LIMIT 1 OFFSET $4)",
                      "uuuu", l->history_after, last, cut, (uint64_t)LEDGER_HISTORY_KEPT - 1);
    l->history_after = last;
    return rc;
}

int ledger_prune(struct store *s, uint64_t now, uint64_t most)
{
    int rc = load(s);
    rc = rc ? rc : prune_rows(s, now, most);
    if (rc == 0 && is_history_due(&s->ledger, now))
        rc = prune_history(s, now, most / 10 + 1);
    return rc ? store_fail(s, rc) : 0;
}
