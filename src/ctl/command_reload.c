/* reload */
#include "ctl/commands.h"
#include "ctl/script_trial.h"
#include "ctl/server_signal.h"

#include <signal.h>
#include <sysexits.h>

int ctl_reload(struct ctl *ctl)
{
    /* A configuration that the server would not take is told here, where somebody looks, and not to its log only. */
    struct settings *settings = ctl_read_settings(ctl);
    if (!settings)
        return EX_CONFIG;
    if (script_trial_load(settings, &ctl->problem)) {
        settings_unref(settings);
        return EX_CONFIG;
    }
    enum server_signal_result result = server_signal(settings, SIGHUP);
    int status = EX_OK;
    if (result == SERVER_NOT_RUNNING)
        status = ctl_fail(ctl, EX_UNAVAILABLE, "no server runs with the data directory %s", settings->data_directory);
    else if (result == SERVER_NOT_ALLOWED)
        status = ctl_fail(ctl, EX_NOPERM, "the server belongs to another user; run this as root or as that user");
    else
        buf_add_text(&ctl->out, "the server reads its configuration and its black list again; its log says more\n");
    settings_unref(settings);
    return status;
}
