/* queue retry, hold, release, drop, bounce, pause, resume */
#include "base/list.h"
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/password_input.h"
#include "ctl/queue_choice.h"
#include "ctl/store_client.h"
#include "ipc/binary.h"
#include "store_write.pb-c.h"

#include <sysexits.h>

struct change_work {
    struct store_work work;
    StoreWrite__QueueAction actions[2];
    size_t action_count;
    uint64_t changed;
    uint64_t found;      /* entries of the last choice */
    const char *unknown; /* the first id that names nothing */
    size_t unknown_count;
};

/* One choice, in as many calls as it takes. */
static int change(struct fiber *self, struct store_client *client, struct change_work *work,
                  StoreWrite__QueueChangeRequest *request)
{
    bool more = true;
    work->found = 0;
    while (more) {
        struct answer answer;
        int status = store_client_call(self, client, STORE_WRITE_QUEUE_CHANGE, &request->base, &answer);
        if (status)
            return status;
        const StoreWrite__QueueChangeReply *reply = (const StoreWrite__QueueChangeReply *)answer.message;
        if (reply->problem && *reply->problem)
            status = ctl_fail(work->work.ctl, EX_DATAERR, "%s", reply->problem);
        work->changed += reply->changed;
        work->found += reply->found;
        more = reply->more && status == EX_OK;
        request->after_message_id = reply->last_message_id;
        request->after_number = reply->last_number;
        answer_release(&answer);
        if (status)
            return status;
    }
    return EX_OK;
}

static int run_change(struct fiber *self, struct store_client *client, struct store_work *store_work)
{
    struct change_work *work = container_of(store_work, struct change_work, work);
    struct ctl *ctl = work->work.ctl;
    size_t choices = ctl->argument_count ? ctl->argument_count : 1;
    int status = EX_OK;
    for (size_t i = 0; status == EX_OK && i < choices; i++) {
        StoreWrite__QueueChangeRequest request = STORE_WRITE__QUEUE_CHANGE_REQUEST__INIT;
        struct queue_name name = {0};
        request.action = work->actions[0];
        request.everything = ctl->argument_count == 0;
        if (ctl->argument_count && !queue_name_parse(span_text(ctl->arguments[i]), &name))
            return ctl_fail(ctl, EX_USAGE, "'%.80s' is no id, address or domain", ctl->arguments[i]);
        request.message_id = name.message_id;
        request.number = name.number;
        request.all_numbers = name.message_id && name.number == 0;
        request.match = binary_from_span(name.match);
        status = change(self, client, work, &request);
        /* An address or a domain may well have nothing in the queue; an id was read somewhere. */
        if (status == EX_OK && name.message_id && !work->found && work->unknown_count++ == 0)
            work->unknown = ctl->arguments[i];
    }
    return status;
}

static int run_and_close(struct change_work *work)
{
    work->work.settings = ctl_read_settings(work->work.ctl);
    if (!work->work.settings)
        return EX_CONFIG;
    int status = store_client_run(&work->work);
    settings_unref(work->work.settings);
    return status;
}

/* The others were changed all the same. */
static int tell_unknown(const struct change_work *work, const char *done)
{
    struct ctl *ctl = work->work.ctl;
    ctl_fail(ctl, EX_DATAERR, "there is no %.40s in the queue", work->unknown);
    if (work->unknown_count > 1)
        buf_printf(&ctl->problem, ", nor are %zu others", work->unknown_count - 1);
    if (ctl->argument_count > work->unknown_count) {
        buf_add_text(&ctl->problem, "; of the rest ");
        ctl_write_count(&ctl->problem, work->changed, "recipient");
        buf_printf(&ctl->problem, " %s", done);
    }
    return EX_DATAERR;
}

static int change_entries(struct ctl *ctl, StoreWrite__QueueAction action, const char *done)
{
    struct change_work work = {.work = {.run = run_change, .ctl = ctl}, .actions = {action}};
    struct queue_name name;
    bool all = ctl_option(ctl, "all") != NULL;
    if (all == (ctl->argument_count > 0))
        return ctl_fail(ctl, EX_USAGE, "say which: ids, addresses or domains, or --all");
    for (size_t i = 0; i < ctl->argument_count; i++)
        if (!queue_name_parse(span_text(ctl->arguments[i]), &name))
            return ctl_fail(ctl, EX_USAGE, "'%.80s' is no id, address or domain", ctl->arguments[i]);
    int status = run_and_close(&work);
    if (status)
        return status;
    if (work.unknown_count)
        return tell_unknown(&work, done);
    if (ctl->json) {
        json_write_counts(&ctl->out, (struct json_count[]){{"changed", work.changed}, {NULL}});
    } else {
        ctl_write_count(&ctl->out, work.changed, "recipient");
        buf_printf(&ctl->out, " %s\n", done);
    }
    return EX_OK;
}

int ctl_queue_retry(struct ctl *ctl)
{
    return change_entries(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_RETRY, "due now");
}

int ctl_queue_hold(struct ctl *ctl)
{
    return change_entries(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_HOLD, "held");
}

int ctl_queue_release(struct ctl *ctl)
{
    return change_entries(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_RELEASE, "released");
}

int ctl_queue_drop(struct ctl *ctl)
{
    if (!ctl_option(ctl, "yes") && !terminal_confirm("This mail is thrown away, and its sender is not told. Go on?"))
        return ctl_fail(ctl, EX_USAGE, "nothing was dropped; --yes drops without asking");
    return change_entries(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_DROP, "dropped");
}

int ctl_queue_bounce(struct ctl *ctl)
{
    return change_entries(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_BOUNCE, "on the way back to the sender");
}

/* ---- Pauses ---- */

static int run_pause(struct fiber *self, struct store_client *client, struct store_work *store_work)
{
    struct change_work *work = container_of(store_work, struct change_work, work);
    int status = EX_OK;
    for (size_t i = 0; status == EX_OK && i < work->action_count; i++) {
        StoreWrite__QueueChangeRequest request = STORE_WRITE__QUEUE_CHANGE_REQUEST__INIT;
        request.action = work->actions[i];
        status = change(self, client, work, &request);
    }
    return status;
}

static int pause_queue(struct ctl *ctl, StoreWrite__QueueAction in, StoreWrite__QueueAction out, const char *done)
{
    static const struct {
        const char *word, *sentence;
        bool in, out;
    } rows[] = {
        {"in", "intake", true, false}, {"out", "sending", false, true}, {"both", "intake and sending", true, true}};
    struct change_work work = {.work = {.run = run_pause, .ctl = ctl}};
    size_t i = 0;
    while (i < sizeof rows / sizeof *rows && strcmp(ctl->arguments[0], rows[i].word) != 0)
        i++;
    if (i == sizeof rows / sizeof *rows)
        return ctl_fail(ctl, EX_USAGE, "'%.40s' is not one of in, out and both", ctl->arguments[0]);
    if (rows[i].in)
        work.actions[work.action_count++] = in;
    if (rows[i].out)
        work.actions[work.action_count++] = out;
    int status = run_and_close(&work);
    if (status == EX_OK)
        buf_printf(&ctl->out, "%s %s %s\n", rows[i].sentence, rows[i].in && rows[i].out ? "are" : "is", done);
    return status;
}

int ctl_queue_pause(struct ctl *ctl)
{
    return pause_queue(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_IN, STORE_WRITE__QUEUE_ACTION__QUEUE_PAUSE_OUT,
                       "paused");
}

int ctl_queue_resume(struct ctl *ctl)
{
    return pause_queue(ctl, STORE_WRITE__QUEUE_ACTION__QUEUE_RESUME_IN, STORE_WRITE__QUEUE_ACTION__QUEUE_RESUME_OUT,
                       "resumed");
}
