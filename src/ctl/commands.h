/* What the rows of the command table (ctl/commands.c) run. Each returns an exit status of sysexits(3), with the
 * sentence in ctl->problem when it isn't 0. */
#ifndef CTL_COMMANDS_H
#define CTL_COMMANDS_H

#include "ctl/ctl.h"

/* Rows that are in a file of their own (ctl/commands_doors.c); one without a name ends them. */
extern const struct ctl_command door_commands[];

int ctl_serve(struct ctl *ctl);
int ctl_sandbox(struct ctl *ctl);
int ctl_reload(struct ctl *ctl);
int ctl_blacklist_list(struct ctl *ctl);
int ctl_blacklist_add(struct ctl *ctl);
int ctl_blacklist_remove(struct ctl *ctl);
int ctl_blacklist_check(struct ctl *ctl);
int ctl_blacklist_import(struct ctl *ctl);
int ctl_blacklist_export(struct ctl *ctl);
int ctl_config_check(struct ctl *ctl);
int ctl_config_explain(struct ctl *ctl);
int ctl_config_print(struct ctl *ctl);
int ctl_domain_add(struct ctl *ctl);
int ctl_domain_set(struct ctl *ctl);
int ctl_domain_remove(struct ctl *ctl);
int ctl_domain_list(struct ctl *ctl);
int ctl_account_add(struct ctl *ctl);
int ctl_account_remove(struct ctl *ctl);
int ctl_account_list(struct ctl *ctl);
int ctl_account_show(struct ctl *ctl);
int ctl_account_passwd(struct ctl *ctl);
int ctl_account_set(struct ctl *ctl);
int ctl_account_import(struct ctl *ctl);
int ctl_account_forward(struct ctl *ctl);
int ctl_alias_add(struct ctl *ctl);
int ctl_alias_remove(struct ctl *ctl);
int ctl_alias_list(struct ctl *ctl);
int ctl_mailinglist_add(struct ctl *ctl);
int ctl_mailinglist_set(struct ctl *ctl);
int ctl_mailinglist_remove(struct ctl *ctl);
int ctl_mailinglist_list(struct ctl *ctl);
int ctl_mailinglist_show(struct ctl *ctl);
int ctl_mailinglist_join(struct ctl *ctl);
int ctl_mailinglist_leave(struct ctl *ctl);
int ctl_queue_list(struct ctl *ctl);
int ctl_queue_show(struct ctl *ctl);
int ctl_queue_retry(struct ctl *ctl);
int ctl_queue_hold(struct ctl *ctl);
int ctl_queue_release(struct ctl *ctl);
int ctl_queue_drop(struct ctl *ctl);
int ctl_queue_bounce(struct ctl *ctl);
int ctl_queue_pause(struct ctl *ctl);
int ctl_queue_resume(struct ctl *ctl);
int ctl_rules_list(struct ctl *ctl);
int ctl_rules_show(struct ctl *ctl);
int ctl_rules_set(struct ctl *ctl);
int ctl_rules_unset(struct ctl *ctl);
int ctl_rules_lock(struct ctl *ctl);
int ctl_rules_unlock(struct ctl *ctl);
int ctl_rules_test(struct ctl *ctl);
int ctl_list_add(struct ctl *ctl);
int ctl_list_remove(struct ctl *ctl);
int ctl_list_show(struct ctl *ctl);
int ctl_list_import(struct ctl *ctl);
int ctl_list_export(struct ctl *ctl);
int ctl_passcode_add(struct ctl *ctl);
int ctl_passcode_list(struct ctl *ctl);
int ctl_passcode_revoke(struct ctl *ctl);
int ctl_code_for(struct ctl *ctl);
int ctl_address_add(struct ctl *ctl);
int ctl_address_list(struct ctl *ctl);
int ctl_remote_add(struct ctl *ctl);
int ctl_remote_set(struct ctl *ctl);
void ctl_remote_write_settings(struct buf *out); /* their help: what a remote account can be set to */
int ctl_remote_remove(struct ctl *ctl);
int ctl_remote_list(struct ctl *ctl);
int ctl_remote_fetch(struct ctl *ctl);
int ctl_address_remove(struct ctl *ctl);
int ctl_allow(struct ctl *ctl);
int ctl_history(struct ctl *ctl);
int ctl_undo(struct ctl *ctl);
int ctl_ledger(struct ctl *ctl);
int ctl_explain(struct ctl *ctl);
int ctl_rejects(struct ctl *ctl);
int ctl_rules_replay(struct ctl *ctl);
int ctl_mail_export(struct ctl *ctl);
int ctl_mail_import(struct ctl *ctl);
int ctl_backup(struct ctl *ctl);
int ctl_restore(struct ctl *ctl);
int ctl_store_status(struct ctl *ctl);
int ctl_store_check(struct ctl *ctl);
int ctl_store_rebuild(struct ctl *ctl);
int ctl_store_compact(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_clients_list(struct ctl *ctl);
int ctl_clients_flush(struct ctl *ctl);
int ctl_doctor(struct ctl *ctl);
int ctl_script_test(struct ctl *ctl);
int ctl_version(struct ctl *ctl);
int ctl_help(struct ctl *ctl);

#endif
