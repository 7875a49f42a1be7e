/* store rebuild: straight on the files, without a server */
#include "ctl/commands.h"
#include "ctl/progress.h"
#include "ctl/store_client.h"
#include "store/rebuild.h"

#include <errno.h>
#include <sysexits.h>

static int rebuild(struct ctl *ctl, const char *data_directory)
{
    struct store_rebuild_report report = {0};
    struct progress progress;
    progress_start(&progress, "rebuilding");
    int error = store_rebuild(data_directory, &report, progress_update, &progress, &ctl->problem);
    progress_stop(&progress);
    if (error)
        return error == -EBUSY || error == -EAGAIN || error == -EWOULDBLOCK ? EX_TEMPFAIL : EX_IOERR;
    buf_printf(&ctl->out, "%llu messages and %llu accounts out of %llu volumes (%llu records)\n",
               (unsigned long long)report.messages, (unsigned long long)report.accounts,
               (unsigned long long)report.volumes, (unsigned long long)report.records);
    if (report.damaged_bytes)
        buf_printf(&ctl->out, "%llu damaged bytes were passed over\n", (unsigned long long)report.damaged_bytes);
    if (report.unplaced)
        buf_printf(&ctl->out, "%llu messages belong to mailboxes that are not known any more\n",
                   (unsigned long long)report.unplaced);
    if (report.kept_as[0])
        buf_printf(&ctl->out, "the old database is kept as %s/%s\n", data_directory, report.kept_as);
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
