/* store rebuild: straight on the files, without a server */
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "store/rebuild.h"

#include <errno.h>
#include <sysexits.h>

static void write_report(struct buf *out, const struct store_rebuild_report *report)
{
    ctl_write_count(out, report->messages, "message");
    buf_add_text(out, " and ");
    ctl_write_count(out, report->accounts, "account");
    buf_add_text(out, " out of ");
    ctl_write_count(out, report->volumes, "volume");
    buf_add_text(out, " (");
    ctl_write_count(out, report->records, "record");
    buf_add_text(out, ")\n");
    if (report->damaged_bytes) {
        buf_add_text(out, "passed over: ");
        ctl_write_count(out, report->damaged_bytes, "damaged byte");
        buf_add_char(out, '\n');
    }
    if (report->unplaced) {
        buf_add_text(out, "of mailboxes that are not known any more: ");
        ctl_write_count(out, report->unplaced, "message");
        buf_add_char(out, '\n');
    }
}

static void write_json(struct ctl *ctl, const struct store_rebuild_report *report)
{
    json_write_counts(&ctl->out, (struct json_count[]){{"messages", report->messages},
                                                       {"accounts", report->accounts},
                                                       {"volumes", report->volumes},
                                                       {"records", report->records},
                                                       {"damaged_bytes", report->damaged_bytes},
                                                       {"unplaced", report->unplaced},
                                                       {NULL}});
}

static int rebuild(struct ctl *ctl, const char *data_directory)
{
    struct store_rebuild_report report = {0};
    struct progress progress;
    progress_start(&progress, "rebuilding");
    int error = store_rebuild(data_directory, &report, progress_update, &progress, &ctl->problem);
    progress_stop(&progress);
    if (error)
        return error == -EBUSY || error == -EAGAIN || error == -EWOULDBLOCK ? EX_TEMPFAIL : EX_IOERR;
    if (ctl->json) {
        write_json(ctl, &report);
        return EX_OK;
    }
    write_report(&ctl->out, &report);
    if (report.kept_as[0])
        buf_printf(&ctl->out, "the old database is kept as %s/%s\n", data_directory, report.kept_as);
    buf_add_text(&ctl->out, "the ledger and the history of rules begin anew: they were in the old database only\n");
    return EX_OK;
}

int ctl_store_rebuild(struct ctl *ctl)
{
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    int status = store_client_has_server(settings)
                     ? ctl_fail(ctl, EX_TEMPFAIL, "a server runs on %s; stop it first", settings->data_directory)
                     : store_client_enter(settings, &ctl->problem);
    if (status == EX_OK)
        status = rebuild(ctl, settings->data_directory);
    settings_unref(settings);
    return status;
}
