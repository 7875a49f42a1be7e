/* rejects */
#include "base/clock.h"
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/foreign.h"
#include "ctl/json.h"
#include "ctl/ledger_text.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "ipc/binary.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

#define DAY 86400ull
#define ROWS_MAX 200000u /* periods times rules; more than anybody can read */

enum per { PER_HOUR, PER_DAY, PER_WEEK, PER_MONTH };

struct row {
    uint64_t from; /* seconds since 1970 */
    uint64_t direct, fetched;
    char rule[72];
};

struct rejects_work {
    struct store_work work;
    enum per per;
    StoreWrite__RejectCountsRequest request;
    struct row *rows;
    size_t count, room;
};

/* ---- Periods: UTC, as the log has them ---- */

static uint64_t begin_of(enum per per, uint64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (per == PER_HOUR)
        return seconds - seconds % 3600;
    if (per == PER_DAY || !gmtime_r(&t, &tm))
        return seconds - seconds % DAY;
    seconds -= seconds % DAY;
    /* Weeks begin on Monday: ISO 8601. */
    return per == PER_WEEK ? seconds - (uint64_t)((tm.tm_wday + 6) % 7) * DAY
                           : seconds - (uint64_t)(tm.tm_mday - 1) * DAY;
}

static void write_period(enum per per, uint64_t seconds, struct buf *out)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    char text[32];
    if (!gmtime_r(&t, &tm))
        return;
    if (per == PER_HOUR)
        strftime(text, sizeof text, "%Y-%m-%d %H:00", &tm);
    else if (per == PER_DAY)
        strftime(text, sizeof text, "%Y-%m-%d", &tm);
    else if (per == PER_WEEK)
        strftime(text, sizeof text, "%G-W%V", &tm);
    else
        strftime(text, sizeof text, "%Y-%m", &tm);
    buf_add_text(out, text);
}

static bool parse_per(const char *text, enum per *per)
{
    static const char *const words[] = {
        [PER_HOUR] = "hour", [PER_DAY] = "day", [PER_WEEK] = "week", [PER_MONTH] = "month"};
    *per = PER_DAY;
    for (unsigned i = 0; text && i < sizeof words / sizeof *words; i++) {
        *per = (enum per)i;
        if (strcmp(text, words[i]) == 0)
            return true;
    }
    return !text;
}

/* ---- Adding up ---- */

static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return strcmp(x->rule, y->rule);
}

/* Neighbours of the same period and rule become one. */
static void merge(struct rejects_work *r)
{
    size_t kept = 0;
    if (r->count)
        qsort(r->rows, r->count, sizeof *r->rows, compare);
    for (size_t i = 0; i < r->count; i++) {
        if (kept && compare(&r->rows[kept - 1], &r->rows[i]) == 0) {
            r->rows[kept - 1].direct += r->rows[i].direct;
            r->rows[kept - 1].fetched += r->rows[i].fetched;
        } else {
            r->rows[kept++] = r->rows[i];
        }
    }
    r->count = kept;
}

static int add(struct rejects_work *r, const StoreWrite__RejectCount *count)
{
    if (r->count == r->room)
        merge(r);
    if (r->count * 2 >= r->room) {
        size_t room = r->room ? r->room * 2 : 1024;
        struct row *rows = room <= ROWS_MAX ? realloc(r->rows, room * sizeof *rows) : NULL;
        if (!rows)
            return ctl_fail(r->work.ctl, EX_DATAERR, "there are too many periods to show: give a later --since");
        r->rows = rows;
        r->room = room;
    }
    struct row *row = &r->rows[r->count++];
    *row = (struct row){
        .from = begin_of(r->per, count->from / NANOSECONDS), .direct = count->direct, .fetched = count->fetched};
    struct span rule = span_head(binary_span(count->rule), sizeof row->rule - 1);
    if (rule.size)
        memcpy(row->rule, rule.data, rule.size);
    return EX_OK;
}

static int gather(struct fiber *self, struct store_client *client, struct store_work *work)
{
    struct rejects_work *r = container_of(work, struct rejects_work, work);
    struct progress progress;
    int status = EX_OK;
    progress_start(&progress, "counting");
    for (bool more = true; status == EX_OK && more;) {
        struct answer answer;
        status = store_client_call(self, client, STORE_WRITE_REJECT_COUNTS, &r->request.base, &answer);
        if (status)
            break;
        const StoreWrite__RejectCountsReply *reply = (const StoreWrite__RejectCountsReply *)answer.message;
        for (size_t i = 0; status == EX_OK && i < reply->n_counts; i++)
            status = add(r, reply->counts[i]);
        more = reply->more;
        r->request.before_id = reply->last_id;
        progress_update(&progress, reply->total > reply->last_id ? reply->total - reply->last_id : 0, reply->total);
        answer_release(&answer);
    }
    progress_stop(&progress);
    return status;
}

/* ---- What is shown ---- */

static void write_text(struct rejects_work *r)
{
    struct buf *out = &r->work.ctl->out;
    uint64_t direct = 0, fetched = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct row *row = &r->rows[i];
        write_period(r->per, row->from, out);
        buf_printf(out, "  %10" PRIu64 " direct %10" PRIu64 " fetched", row->direct, row->fetched);
        if (r->request.by_rule) {
            buf_add_text(out, "  ");
            foreign_write(span_text(row->rule), false, out);
        }
        buf_add_char(out, '\n');
        direct += row->direct;
        fetched += row->fetched;
    }
    buf_printf(out, "%" PRIu64 " refused: %" PRIu64 " direct, %" PRIu64 " fetched\n", direct + fetched, direct,
               fetched);
}

static void write_json(struct rejects_work *r)
{
    struct json json;
    json_init(&json, &r->work.ctl->out);
    json_list(&json, NULL);
    for (size_t i = 0; i < r->count; i++) {
        json_object(&json, NULL);
        json_number(&json, "from", r->rows[i].from);
        if (r->request.by_rule)
            json_text(&json, "rule", span_text(r->rows[i].rule));
        json_number(&json, "direct", r->rows[i].direct);
        json_number(&json, "fetched", r->rows[i].fetched);
        json_end_object(&json);
    }
    json_end_list(&json);
}

int ctl_rejects(struct ctl *ctl)
{
    struct rejects_work r = {.work = {.run = gather, .ctl = ctl}, .request = STORE_WRITE__REJECT_COUNTS_REQUEST__INIT};
    const char *since = ctl_option(ctl, "since");
    if (!parse_per(ctl_option(ctl, "per"), &r.per))
        return ctl_fail(ctl, EX_USAGE, "--per takes hour, day, week or month, not '%.40s'", ctl_option(ctl, "per"));
    if (since && !ledger_time_parse(span_text(since), clock_wall(), &r.request.since))
        return ctl_fail(ctl, EX_USAGE, "--since takes a time like 7d or 12h ago, or a day like 2026-11-22, not '%.40s'",
                        since);
    /* Whole hours or days from its own beginning on, so that no period is cut in two. */
    uint64_t period = r.per == PER_HOUR ? 3600 : DAY;
    r.request.since -= r.request.since % (period * NANOSECONDS);
    r.request.period = period * NANOSECONDS;
    r.request.account = binary_from_span(span_text(ctl_option(ctl, "for")));
    r.request.by_rule = ctl_option(ctl, "by-rule") != NULL;
    r.work.settings = ctl_read_settings(ctl);
    if (!r.work.settings)
        return EX_CONFIG;
    int status = store_client_run(&r.work);
    if (status == EX_OK) {
        merge(&r);
        if (ctl->json)
            write_json(&r);
        else
            write_text(&r);
    }
    free(r.rows);
    settings_unref(r.work.settings);
    return status;
}
