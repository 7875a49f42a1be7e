/* store check: straight on the files; a server may run meanwhile */
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "store/check.h"

#include <sysexits.h>

static void write_json(struct ctl *ctl, const struct store_check_report *report)
{
    struct json json;
    json_init(&json, &ctl->out);
    json_object(&json, NULL);
    json_bool(&json, "good", report->problems == 0);
    json_number(&json, "volumes", report->volumes);
    json_number(&json, "records", report->records);
    json_number(&json, "messages", report->messages);
    json_number(&json, "bytes", report->bytes);
    json_number(&json, "problem_count", report->problems);
    json_list(&json, "problems");
    for (struct span rest = buf_span(&report->text); rest.size;)
        json_text(&json, NULL, span_cut(&rest, '\n'));
    json_end_list(&json);
    json_end_object(&json);
}

static void write_text(struct ctl *ctl, const struct store_check_report *report)
{
    buf_add_span(&ctl->out, buf_span(&report->text));
    if (report->problems)
        ctl_write_count(&ctl->out, report->problems, "problem");
    else
        buf_add_text(&ctl->out, "all is well");
    buf_add_text(&ctl->out, " in ");
    ctl_write_count(&ctl->out, report->messages, "message");
    buf_add_text(&ctl->out, ", ");
    ctl_write_count(&ctl->out, report->records, "record");
    buf_add_text(&ctl->out, ", ");
    ctl_write_count(&ctl->out, report->volumes, "volume");
    buf_add_char(&ctl->out, '\n');
}

/* Problems that were found are the command's output, not its failure to run: they go to standard output, with
 * EX_DATAERR as the status. */
static int check(struct ctl *ctl, const char *data_directory)
{
    struct store_check_report report = {0};
    struct progress progress;
    progress_start(&progress, "reading");
    int error = store_check(data_directory, &report, progress_update, &progress);
    progress_stop(&progress);
    int status = error ? EX_CANTCREAT : report.problems ? EX_DATAERR : EX_OK;
    if (error)
        ctl_fail(ctl, status, "%.*s", SPAN_ARG(span_trim(buf_span(&report.text))));
    else if (ctl->json)
        write_json(ctl, &report);
    else
        write_text(ctl, &report);
    buf_release(&report.text);
    return status;
}

int ctl_store_check(struct ctl *ctl)
{
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    int status = check(ctl, settings->data_directory);
    settings_unref(settings);
    return status;
}
