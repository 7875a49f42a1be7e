#include "store/ledger_list.h"

#include "base/clock.h"
#include "policy/rule.h"
#include "store/core.h"
#include "store/directory.h"

#include <errno.h>

/* The index of accounts leads past all other rows. */
#define LOOKED_AT_BY_ACCOUNT (10ull * LEDGER_LOOKED_AT)
/* Rows do not quite come in the order of their times: sessions gather them. */
#define DISORDER (3600ull * NANOSECONDS)
/* What became of mail that is not where it was put: in a page so many are looked for, in so many messages each. */
#define SEARCHES_MAX 50
#define SEARCHED_MAX 20000

/* ---- Choosing ---- */

static struct span lower(struct arena *arena, struct span text)
{
    struct span copy = arena_copy(arena, text);
    char *at = (char *)(uintptr_t)copy.data;
    for (size_t i = 0; i < copy.size; i++)
        at[i] = ascii_lower(at[i]);
    return copy;
}

int ledger_choose(struct database *db, struct span typed, struct arena *arena, struct ledger_choice *choice)
{
    struct span local_part, domain;
    if (typed.size == 0)
        return 0;
    struct span address = lower(arena, typed);
    if (!address.data)
        return -ENOMEM;
    choice->recipient = address;
    if (address.data[0] == '@') {
        choice->domain = span_skip(address, 1);
        return 0;
    }
    if (!directory_split(address, &local_part, &domain))
        return 0;
    int rc = database_find(db, &choice->account_id,
                           "SELECT a.id FROM account a JOIN domain d ON d.id = a.domain_id"
                           " WHERE d.name = $1 AND a.local_part = $2",
                           "tt", domain, local_part);
    if (rc > 0)
        choice->recipient = (struct span){NULL, 0};
    return rc < 0 ? rc : 0;
}

/* For LIKE: the text itself, or what ends with it where it begins with '@'. */
static struct span pattern_of(struct arena *arena, struct span text)
{
    char *pattern = arena_alloc(arena, 2 * text.size + 2);
    size_t size = 0;
    if (!pattern || text.size == 0)
        return (struct span){pattern, 0};
    if (text.data[0] == '@')
        pattern[size++] = '%';
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '%' || text.data[i] == '_' || text.data[i] == '\\')
            pattern[size++] = '\\';
        pattern[size++] = ascii_lower(text.data[i]);
    }
    return span_from(pattern, size);
}

/* ---- Pages ---- */

/* What is looked at: ids from `from` to below `before`. */
struct window {
    uint64_t from, before;
};

static struct window window_of(const struct store *s, uint64_t before_id, uint64_t looked_at)
{
    const struct ledger *l = &s->ledger;
    struct window w = {.before = before_id && before_id < l->next_id ? before_id : l->next_id};
    w.from = w.before > looked_at ? w.before - looked_at : 0;
    if (w.from < l->first_id)
        w.from = l->first_id;
    return w;
}

/* Are there rows in front of the window that may be of the time? */
static int has_more(struct store *s, const struct window *w, uint64_t since)
{
    uint64_t at;
    if (w->from <= s->ledger.first_id)
        return 0;
    int rc = database_find(s->db, &at, "SELECT at FROM ledger WHERE id < $1 ORDER BY id DESC LIMIT 1", "u", w->from);
    return rc <= 0 ? rc : since < DISORDER || at >= since - DISORDER;
}

#define PAGE_COLUMNS                                                                                                \
    "SELECT l.id, l.reference, l.at, l.attempts, l.last_at, l.account_id, l.fetched, l.stage, l.verdict, l.level,"  \
    " l.message_id, l.mailbox_id, l.uid, l.asked, l.rule, l.ip, l.ptr, l.helo, l.reverse_path, l.recipient,"        \
    " l.subject, l.header_message_id, l.evidence, l.sentence, l.reply, CASE WHEN $12 = 1 THEN l.facts ELSE '' END," \
    " COALESCE((SELECT a.local_part || '@' || d.name FROM account a JOIN domain d ON d.id = a.domain_id"            \
    "  WHERE a.id = l.account_id), '') FROM ledger l WHERE "
#define OF_RECIPIENT                                                                        \
    " ($9 = '' OR lower(l.recipient) LIKE $9 ESCAPE '\\' OR ($10 != '' AND l.account_id IN" \
    "  (SELECT a.id FROM account a JOIN domain d ON d.id = a.domain_id WHERE d.name = $10)))"
#define PAGE_CONDITIONS                                                                                        \
    " AND l.id < $1 AND l.id >= $2 AND l.at >= $3 AND l.at <= $4 AND ($5 = 0 OR ($5 & (1 << l.verdict)) != 0)" \
    " AND ($6 = '' OR l.rule = $6) AND ($7 = '' OR l.ip = $7)"                                                 \
    " AND ($8 = '' OR lower(l.reverse_path) LIKE $8 ESCAPE '\\') AND" OF_RECIPIENT                             \
    " AND ($11 = 0 OR l.reference = $11) AND ($14 = 0 OR l.account_id = $14) ORDER BY l.id DESC LIMIT $13"

static const char by_time[] = PAGE_COLUMNS "1 = 1" PAGE_CONDITIONS;
static const char by_account[] = PAGE_COLUMNS "l.account_id = $14" PAGE_CONDITIONS;
static const char by_reference[] = PAGE_COLUMNS "l.reference = $11 AND l.reference != 0" PAGE_CONDITIONS;

/* False: no memory. */
static bool take_entry(struct statement *st, struct arena *arena, struct ledger_entry *e)
{
    struct ledger_row *r = &e->row;
    uint64_t *numbers[] = {&e->id,         &r->reference,  &r->at,    &r->attempts, &r->last_at,
                           &r->account_id, NULL,           &r->stage, &r->verdict,  &r->level,
                           &r->message_id, &r->mailbox_id, &r->uid,   &r->asked};
    struct span *texts[] = {&r->rule,         &r->ip,        &r->ptr,     &r->helo,
                            &r->reverse_path, &r->recipient, &r->subject, &r->header_message_id,
                            &r->evidence,     &r->sentence,  &r->reply,   &r->facts,
                            &e->account};
    int column = 0;
    *e = (struct ledger_entry){.row.fetched = database_u64(st, 6) != 0};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++, column++)
        if (numbers[i])
            *numbers[i] = database_u64(st, column);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++, column++) {
        *texts[i] = arena_copy(arena, database_bytes(st, column));
        if (!texts[i]->data)
            return false;
    }
    return true;
}

static size_t bytes_of(const struct ledger_entry *e)
{
    const struct ledger_row *r = &e->row;
    return 128 + r->rule.size + r->ip.size + r->ptr.size + r->helo.size + r->reverse_path.size + r->recipient.size +
           r->subject.size + r->header_message_id.size + r->evidence.size + r->sentence.size + r->reply.size +
           r->facts.size + e->account.size;
}

static int read_page(struct store *s, const struct ledger_choice *c, const struct window *w, size_t limit,
                     struct arena *arena, struct ledger_page *page)
{
    struct span sender = pattern_of(arena, c->sender), recipient = pattern_of(arena, c->recipient);
    if (!sender.data || !recipient.data)
        return -ENOMEM;
    const char *sql = c->reference ? by_reference : c->account_id ? by_account : by_time;
    struct statement *st = database_query(s->db, sql,
                                          "uuuuuttttt"
                                          "uuuu",
                                          w->before, w->from, c->since, c->until ? c->until : (uint64_t)INT64_MAX,
                                          c->verdicts, c->rule, c->peer, sender, recipient, c->domain, c->reference,
                                          (uint64_t)c->facts, (uint64_t)limit + 1, c->account_id);
    size_t bytes = 0;
    int rc;
    while ((rc = database_step(st)) > 0) {
        page->more = page->count == limit || bytes > LEDGER_PAGE_BYTES;
        if (page->more)
            break;
        if (!take_entry(st, arena, &page->entries[page->count])) {
            rc = -ENOMEM;
            break;
        }
        bytes += bytes_of(&page->entries[page->count++]);
    }
    database_end(st);
    return rc < 0 ? rc : 0;
}

/* ---- Fates ---- */

/* A row's flags and mailbox name: 1 with the name in the arena, 0 or a negative errno. */
static int take_place(struct statement *st, struct arena *arena, uint64_t *flags, struct span *folder)
{
    int rc = database_step(st);
    if (rc > 0) {
        *flags = database_u64(st, 0);
        *folder = arena_copy(arena, database_bytes(st, 1));
        rc = folder->data ? 1 : -ENOMEM;
    }
    database_end(st);
    return rc;
}

/* 1: the message is in another mailbox of the account; 0: in none; -ERANGE: too much to look through. */
static int is_elsewhere(struct store *s, const struct ledger_row *r, struct arena *arena, struct span *folder)
{
    uint64_t count;
    int rc = database_find(s->db, &count, "SELECT living FROM message WHERE id = $1", "u", r->message_id);
    if (rc <= 0 || count == 0)
        return rc < 0 ? rc : 0;
    rc = database_find(s->db, &count, "SELECT COALESCE(SUM(messages), 0) FROM mailbox WHERE account_id = $1", "u",
                       r->account_id);
    if (rc <= 0 || count > SEARCHED_MAX)
        return rc < 0 ? rc : -ERANGE;
    return take_place(database_query(s->db,
                                     "SELECT e.flags, m.name FROM mailbox m JOIN entry e ON e.mailbox_id = m.id"
                                     " WHERE m.account_id = $1 AND e.message_id = $2 LIMIT 1",
                                     "uu", r->account_id, r->message_id),
                      arena, &count, folder);
}

static int find_fate(struct store *s, struct ledger_entry *e, struct arena *arena, unsigned *searches)
{
    const struct ledger_row *r = &e->row;
    uint64_t flags;
    if (r->mailbox_id == 0)
        return 0;
    int rc = take_place(database_query(s->db,
                                       "SELECT e.flags, m.name FROM entry e JOIN mailbox m ON m.id = e.mailbox_id"
                                       " WHERE e.mailbox_id = $1 AND e.uid = $2",
                                       "uu", r->mailbox_id, r->uid),
                        arena, &flags, &e->folder);
    if (rc > 0)
        e->fate = flags & FLAG_ANSWERED ? LEDGER_FATE_ANSWERED
                  : flags & FLAG_SEEN   ? LEDGER_FATE_READ
                                        : LEDGER_FATE_UNREAD;
    if (rc != 0 || ++*searches > SEARCHES_MAX)
        return rc < 0 ? rc : 0;
    rc = is_elsewhere(s, r, arena, &e->folder);
    if (rc >= 0)
        e->fate = rc ? LEDGER_FATE_FILED : LEDGER_FATE_DELETED;
    return rc < 0 && rc != -ERANGE ? rc : 0;
}

int ledger_list(struct store *s, const struct ledger_choice *choice, struct arena *arena, struct ledger_page *page)
{
    uint64_t count;
    size_t limit = choice->limit && choice->limit < LEDGER_PAGE ? choice->limit : LEDGER_PAGE;
    *page = (struct ledger_page){.entries = arena_array(arena, limit, sizeof(*page->entries))};
    if (choice->before_id > INT64_MAX || choice->since > INT64_MAX || choice->until > INT64_MAX ||
        choice->verdicts > INT32_MAX || choice->reference > LEDGER_REFERENCE_MAX)
        return -EINVAL;
    int rc = page->entries ? ledger_count(s, &count) : -ENOMEM;
    if (rc != 0)
        return rc;
    struct window w = window_of(s, choice->before_id,
                                choice->reference    ? UINT64_MAX
                                : choice->account_id ? LOOKED_AT_BY_ACCOUNT
                                                     : LEDGER_LOOKED_AT);
    rc = read_page(s, choice, &w, limit, arena, page);
    if (rc == 0 && page->more) {
        page->last_id = page->entries[page->count - 1].id;
    } else if (rc == 0) {
        page->last_id = w.from;
        rc = has_more(s, &w, choice->since);
        page->more = rc > 0;
    }
    unsigned searches = 0;
    for (size_t i = 0; rc >= 0 && choice->fate && i < page->count; i++)
        rc = find_fate(s, &page->entries[i], arena, &searches);
    return rc < 0 ? rc : 0;
}

/* ---- Counts ---- */

int ledger_count_rejects(struct store *s, const struct ledger_choice *choice, uint64_t period, bool by_rule,
                         struct arena *arena, struct reject_counts *counts)
{
    uint64_t rows;
    *counts = (struct reject_counts){.counts = arena_array(arena, REJECT_COUNTS_MAX, sizeof(*counts->counts))};
    if (period == 0 || period > INT64_MAX || choice->since > INT64_MAX || choice->until > INT64_MAX ||
        choice->before_id > INT64_MAX)
        return -EINVAL;
    int rc = counts->counts ? ledger_count(s, &rows) : -ENOMEM;
    if (rc != 0)
        return rc;
    struct span recipient = pattern_of(arena, choice->recipient);
    if (!recipient.data)
        return -ENOMEM;
    /* No more rows than counts have room. */
    struct window w = window_of(s, choice->before_id, REJECT_COUNTS_MAX);
    struct statement *st = database_query(
        s->db,
        "SELECT (l.at - $3) / $5, CASE WHEN $6 = 1 THEN l.rule ELSE '' END, l.fetched, SUM(l.attempts) FROM ledger l"
        " WHERE l.id < $1 AND l.id >= $2 AND l.at >= $3 AND l.at <= $4 AND l.verdict = $7"
        " AND ($8 = 0 OR l.account_id = $8) AND" OF_RECIPIENT " GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        "uuuuuuuutt", w.before, w.from, choice->since, choice->until ? choice->until : (uint64_t)INT64_MAX, period,
        (uint64_t)by_rule, (uint64_t)VERDICT_REFUSE, choice->account_id, recipient, choice->domain);
    while (counts->count < REJECT_COUNTS_MAX && (rc = database_step(st)) > 0) {
        struct reject_count *c = &counts->counts[counts->count++];
        *c = (struct reject_count){.period = database_u64(st, 0),
                                   .rule = arena_copy(arena, database_bytes(st, 1)),
                                   .fetched = database_u64(st, 2) != 0,
                                   .attempts = database_u64(st, 3)};
    }
    database_end(st);
    counts->last_id = w.from;
    rc = rc < 0 ? rc : has_more(s, &w, choice->since);
    counts->more = rc > 0;
    return rc < 0 ? rc : 0;
}
