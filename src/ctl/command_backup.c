/* backup, restore: straight on the files; a server may run while a backup is made */
#include "ctl/commands.h"
#include "ctl/json.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "proc/data_directory.h"
#include "store/backup.h"
#include "store/check.h"

#include <errno.h>
#include <sysexits.h>

static void write_report(struct ctl *ctl, const struct backup_report *report, const char *done)
{
    struct json json;
    json_init(&json, &ctl->out);
    if (ctl->json) {
        json_object(&json, NULL);
        json_number(&json, "volumes", report->volumes);
        json_number(&json, "bytes", report->bytes);
        json_number(&json, "copied", report->copied);
        json_end_object(&json);
        return;
    }
    ctl_write_count(&ctl->out, report->volumes, "volume");
    buf_add_text(&ctl->out, " with ");
    ctl_write_count(&ctl->out, report->bytes, "byte");
    buf_printf(&ctl->out, " %s, %ju bytes written\n", done, (uintmax_t)report->copied);
}

static int status_of(int error)
{
    switch (-error) {
    case 0:
        return EX_OK;
    case EEXIST:
    case ENOTEMPTY:
        return EX_CANTCREAT;
    case EBADMSG:
        return EX_DATAERR;
    case EACCES:
    case EPERM:
        return EX_NOPERM;
    case ENOENT:
        return EX_NOINPUT;
    default:
        return EX_IOERR;
    }
}

int ctl_backup(struct ctl *ctl)
{
    struct progress progress;
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    struct backup_job job = {.data_directory = settings->data_directory,
                             .directory = ctl->arguments[0],
                             .config_path = ctl->config_path,
                             .progress = progress_update,
                             .context = &progress};
    progress_start(&progress, "copying");
    int status = status_of(store_backup(&job, &ctl->problem));
    progress_stop(&progress);
    if (!status)
        write_report(ctl, &job.report, "in the backup");
    settings_unref(settings);
    return status;
}

/* ---- restore ---- */

/* What a server would find wrong is told now. */
static int check(struct ctl *ctl, const char *data_directory)
{
    struct store_check_report report = {0};
    struct progress progress;
    progress_start(&progress, "checking");
    int error = store_check(data_directory, &report, progress_update, &progress);
    progress_stop(&progress);
    int status = EX_OK;
    if (error)
        status = ctl_fail(ctl, EX_IOERR, "what was restored can't be checked: %.*s",
                          SPAN_ARG(span_trim(buf_span(&report.text))));
    else if (report.problems)
        status = ctl_fail(ctl, EX_DATAERR, "what was restored has faults; 'ostiary store check' lists them");
    buf_release(&report.text);
    return status;
}

/* As root: whatever was made belongs to the server's user. */
static int give(struct ctl *ctl, const struct settings *settings)
{
    uid_t uid;
    gid_t gid;
    if (find_user(settings->user, &uid, &gid, &ctl->problem))
        return EX_CONFIG;
    return data_directory_prepare(settings->data_directory, uid, gid, &ctl->problem) ? EX_CANTCREAT : EX_OK;
}

int ctl_restore(struct ctl *ctl)
{
    struct progress progress;
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    struct backup_job job = {.data_directory = settings->data_directory,
                             .directory = ctl->arguments[0],
                             .progress = progress_update,
                             .context = &progress};
    int status = EX_OK;
    if (store_client_has_server(settings))
        status = ctl_fail(ctl, EX_TEMPFAIL, "a server runs on %s; stop it first", settings->data_directory);
    if (!status) {
        progress_start(&progress, "restoring");
        status = status_of(store_restore(&job, &ctl->problem));
        progress_stop(&progress);
    }
    if (!status)
        status = check(ctl, settings->data_directory);
    if (!status)
        status = give(ctl, settings);
    if (!status) {
        write_report(ctl, &job.report, "restored");
        if (!ctl->json)
            buf_printf(&ctl->out, "the backup's configuration is %s/ostiary.conf, for you to put in its place\n",
                       settings->data_directory);
    }
    settings_unref(settings);
    return status;
}
