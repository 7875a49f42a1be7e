/* What became of entries, and who has to be told. */
#include "base/clock.h"
#include "deliver/internal.h"
#include "format/dsn.h"
#include "format/smtp_command.h"
#include "store_write.pb-c.h"

#include <stdlib.h>

#define REPLY_MAX 500

static char *copy_printable(struct span s)
{
    struct buf text;
    buf_init(&text, REPLY_MAX + 1);
    dsn_printable_write(span_head(s, REPLY_MAX), false, &text);
    buf_add_char(&text, 0);
    if (!buf_failed(&text))
        return text.data; /* the entry's now */
    buf_release(&text);
    return NULL;
}

void entry_settle(struct entry *e, struct verdict verdict, struct span host, struct span reply)
{
    free(e->reply);
    free(e->host);
    e->is_settled = true;
    e->verdict = verdict;
    e->reply = copy_printable(reply);
    e->host = host.size ? copy_printable(host) : NULL;
}

void entry_settle_trouble(struct entry *e, enum verdict_trouble trouble, struct span reply)
{
    entry_settle(e, verdict_of_trouble(trouble), (struct span){0},
                 reply.size ? reply : span_text(verdict_trouble_text(trouble)));
}

struct span entry_sender(const struct entry *e)
{
    return span_find(e->forwarder, '@') < e->forwarder.size ? e->forwarder : e->reverse_path;
}

bool entry_is_sent_on(const struct entry *e)
{
    return e->kind == ENTRY_REMOTE && e->forwarder.size && span_find(e->forwarder, '@') == e->forwarder.size;
}

bool entry_goes_back(const struct entry *e)
{
    return entry_is_sent_on(e) && !e->sender_account_id && e->verdict.kind != VERDICT_DELIVERED;
}

/* ---- Outcomes ---- */

static void log_entry(enum log_level level, const struct entry *e, const char *what)
{
    char id[QUEUE_ID_MAX];
    log_write(level, "courier", queue_id(e->message_id, id), "%s number=%u rcpt=%s from=%s status=%s host=%s reply=%s",
              what, (unsigned)e->number, log_quote(e->address), log_quote(e->reverse_path), e->verdict.status,
              log_quote(span_text(e->host ? e->host : "")), log_quote(span_text(e->reply ? e->reply : "")));
}

/* The sender asked for it (RFC 3461), or did not say and gets what is usual. Nobody is told about mail from <>. But
 * what the sender asked for does not bind those whose mail it is. */
static bool is_wanted(const struct entry *e, unsigned notify_bit)
{
    if (entry_goes_back(e))
        return true;
    if (!e->reverse_path.size)
        return false;
    return e->notify ? (e->notify & notify_bit) != 0 : notify_bit != SMTP_NOTIFY_SUCCESS;
}

/* Its time is over: the last reply becomes the reason. */
static void expire(struct entry *e)
{
    struct verdict v = verdict_of_trouble(TROUBLE_EXPIRED);
    e->verdict = v;
    e->why = verdict_status_text(span_text(v.status));
}

/* Sets outcome and retry_at. True when the sender is to be told. */
static bool decide(struct courier *c, struct entry *e)
{
    struct schedule schedule = courier_schedule(c);
    uint64_t now = clock_steady();
    e->outcome = STORE_WRITE__QUEUE_OUTCOME__QUEUE_DONE;
    if (e->verdict.kind == VERDICT_DELIVERED)
        return (e->kind == ENTRY_REPORT || e->was_relayed) && is_wanted(e, SMTP_NOTIFY_SUCCESS);
    enum schedule_step step = schedule_step(&schedule, e->created_at, now, e->attempts + 1, e->warned);
    if (e->verdict.kind != VERDICT_FAILED && step == SCHEDULE_GIVE_UP)
        expire(e);
    if (e->verdict.kind == VERDICT_FAILED) {
        log_entry(LOG_FAILURE, e, is_wanted(e, SMTP_NOTIFY_FAILURE) ? "failed" : "failed, nobody is told");
        return is_wanted(e, SMTP_NOTIFY_FAILURE);
    }
    const struct site *site = e->source->site;
    uint64_t not_before = site_is_closed(site) ? now + (site->closed_until - clock_monotonic()) : 0;
    e->outcome =
        step == SCHEDULE_WARN ? STORE_WRITE__QUEUE_OUTCOME__QUEUE_WARNED : STORE_WRITE__QUEUE_OUTCOME__QUEUE_DEFERRED;
    e->retry_at = schedule_next(&schedule, e->attempts + 1, e->created_at, now, not_before, random_number());
    log_entry(LOG_PROBLEM, e, "deferred");
    return step == SCHEDULE_WARN && is_wanted(e, SMTP_NOTIFY_DELAY);
}

static struct report *report_new(void)
{
    struct report *report = calloc(1, sizeof *report);
    if (report) {
        list_init(&report->node);
        list_init(&report->entries);
    }
    return report;
}

/* Each is somebody else's, and nobody learns where another's mail goes. */
static void report_alone(struct courier *c, struct entry *e)
{
    struct report *report = report_new();
    if (!report) {
        entry_release(e); /* it stays due */
        return;
    }
    list_append(&report->entries, &e->node);
    report->count = 1;
    report_add(c, report);
}

void job_finish(struct courier *c, struct job *job)
{
    struct report *report = NULL;
    for (struct list_node *node; (node = list_take_first(&job->entries));) {
        struct entry *e = container_of(node, struct entry, node);
        bool is_told = decide(c, e);
        if (is_told && entry_goes_back(e)) {
            report_alone(c, e);
            continue;
        }
        if (is_told && !report)
            report = report_new();
        if (is_told && report) {
            list_append(&report->entries, &e->node);
            report->count++;
        } else if (is_told && e->verdict.kind != VERDICT_DELIVERED) {
            /* No memory: it stays due, and what has to be said is said another time. */
            entry_release(e);
        } else {
            results_add(c, e);
        }
    }
    free(job);
    if (report)
        report_add(c, report);
}

void job_finish_with(struct courier *c, struct job *job, const struct verdict *verdict, struct span host,
                     struct span reply)
{
    list_each (node, &job->entries) {
        struct entry *e = container_of(node, struct entry, node);
        if (e->is_settled)
            continue;
        /* Of an entry that is given up, the reason is what was said last. */
        bool recalls = e->give_up && !reply.size && e->last_reply.size;
        entry_settle(e, *verdict, host, recalls ? e->last_reply : reply);
    }
    job_finish(c, job);
}
