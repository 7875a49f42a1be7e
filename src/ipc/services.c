#include "ipc/services.h"

#include "auth.pb-c.h"
#include "courier.pb-c.h"
#include "my.pb-c.h"
#include "resolver.pb-c.h"
#include "script.pb-c.h"
#include "store_read.pb-c.h"
#include "store_write.pb-c.h"

#define GATE ROLE_BIT(ROLE_GATE)
#define DESK ROLE_BIT(ROLE_DESK)
#define AUTH ROLE_BIT(ROLE_AUTH)
#define COURIER ROLE_BIT(ROLE_COURIER)
#define ADMIN ROLE_BIT(ROLE_ADMIN)

#define ROW(enumerator, name, request, reply, callers) \
    [enumerator] = {name, &request##__descriptor, &reply##__descriptor, callers}
#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static const struct method store_read_methods[] = {
    ROW(STORE_READ_RESOLVE, "resolve", store_read__resolve_request, store_read__resolve_reply, GATE | DESK | COURIER),
    ROW(STORE_READ_CREDENTIALS, "credentials", store_read__credentials_request, store_read__credentials_reply, AUTH),
    ROW(STORE_READ_MAY_SEND, "may-send", store_read__may_send_request, store_read__may_send_reply, GATE | DESK),
    ROW(STORE_READ_MAILDROP, "maildrop", store_read__maildrop_request, store_read__maildrop_reply, DESK),
    ROW(STORE_READ_FETCH, "fetch", store_read__fetch_request, store_read__fetch_reply, DESK),
    ROW(STORE_READ_QUEUE_DUE, "queue-due", store_read__queue_due_request, store_read__queue_due_reply, COURIER),
    ROW(STORE_READ_QUEUE_ENTRIES, "queue-entries", store_read__queue_entries_request, store_read__queue_entries_reply,
        COURIER),
    ROW(STORE_READ_QUEUE_FETCH, "queue-fetch", store_read__queue_fetch_request, store_read__queue_fetch_reply, COURIER),
    ROW(STORE_READ_LIST, "list", store_read__list_request, store_read__list_reply, COURIER),
    ROW(STORE_READ_SECRETS, "secrets", store_read__secrets_request, store_read__secrets_reply, COURIER),
    ROW(STORE_READ_NAME_HITS, "name-hits", store_read__name_hits_request, store_read__name_hits_reply, GATE | COURIER),
    ROW(STORE_READ_REMOTES, "remotes", store_read__remotes_request, store_read__remotes_reply, COURIER),
    ROW(STORE_READ_REMOTE_SEEN, "remote-seen", store_read__remote_seen_request, store_read__remote_seen_reply, COURIER),
    ROW(STORE_READ_CODE_FOR, "code-for", store_read__code_for_request, store_read__code_for_reply, COURIER),
};

static const struct method store_write_methods[] = {
    ROW(STORE_WRITE_SPOOL, "spool", store_write__spool_request, store_write__spool_reply,
        GATE | DESK | COURIER | ADMIN),
    ROW(STORE_WRITE_DELIVER, "deliver", store_write__deliver_request, store_write__deliver_reply,
        GATE | DESK | COURIER),
    ROW(STORE_WRITE_EXPUNGE, "expunge", store_write__expunge_request, store_write__expunge_reply, DESK),
    ROW(STORE_WRITE_CHANGE, "change", store_write__change_request, store_write__change_reply, ADMIN),
    ROW(STORE_WRITE_LIST, "list", store_write__list_request, store_write__list_reply, ADMIN),
    ROW(STORE_WRITE_STATUS, "status", store_write__status_request, store_write__status_reply, ADMIN),
    ROW(STORE_WRITE_COMPACT, "compact", store_write__compact_request, store_write__compact_reply, ADMIN),
    ROW(STORE_WRITE_CREDENTIALS, "credentials", store_write__credentials_request, store_write__change_reply, AUTH),
    ROW(STORE_WRITE_QUEUE_WAIT, "queue-wait", store_write__queue_wait_request, store_write__queue_wait_reply, COURIER),
    ROW(STORE_WRITE_QUEUE_LIST, "queue-list", store_write__queue_list_request, store_write__queue_list_reply, ADMIN),
    ROW(STORE_WRITE_QUEUE_CHANGE, "queue-change", store_write__queue_change_request, store_write__queue_change_reply,
        ADMIN),
    ROW(STORE_WRITE_IMPORT, "import", store_write__import_request, store_write__import_reply, ADMIN),
    ROW(STORE_WRITE_LEDGER_NOTE, "ledger-note", store_write__ledger_note_request, store_write__ledger_note_reply,
        GATE | DESK | COURIER),
    ROW(STORE_WRITE_LEDGER_LIST, "ledger-list", store_write__ledger_list_request, store_write__ledger_list_reply,
        ADMIN | DESK),
    ROW(STORE_WRITE_REJECT_COUNTS, "reject-counts", store_write__reject_counts_request,
        store_write__reject_counts_reply, ADMIN),
    ROW(STORE_WRITE_DOOR_CHANGE, "door-change", store_write__door_change_request, store_write__door_change_reply,
        ADMIN | DESK),
    ROW(STORE_WRITE_DOOR_LIST, "door-list", store_write__door_list_request, store_write__door_list_reply, ADMIN | DESK),
    ROW(STORE_WRITE_DOOR_HISTORY, "door-history", store_write__door_history_request, store_write__door_history_reply,
        ADMIN | DESK),
    ROW(STORE_WRITE_REMOTE_SEEN, "remote-seen", store_write__remote_seen_request, store_write__remote_seen_reply,
        COURIER),
};

static const struct method auth_methods[] = {
    ROW(AUTH_STEP, "step", auth__step_request, auth__step_reply, DESK),
    ROW(AUTH_CHANGE_PASSWORD, "change-password", auth__change_password_request, auth__change_password_reply, DESK),
    ROW(AUTH_REPORT, "report", auth__report_request, auth__report_reply, GATE | DESK),
    ROW(AUTH_WINDOW, "window", auth__window_request, auth__window_reply, GATE),
    ROW(AUTH_CLIENTS, "clients", auth__clients_request, auth__clients_reply, ADMIN),
    ROW(AUTH_WATCH, "watch", auth__watch_request, auth__watch_reply, ADMIN),
    ROW(AUTH_GUESS, "guess", auth__guess_request, auth__guess_reply, GATE),
    ROW(AUTH_GREYLIST, "greylist", auth__greylist_request, auth__greylist_reply, GATE),
};

static const struct method resolver_methods[] = {
    ROW(RESOLVER_QUERY, "query", resolver__query_request, resolver__query_reply, GATE | DESK | COURIER | ADMIN),
};

static const struct method courier_methods[] = {
    ROW(COURIER_PROBE, "probe", courier__probe_request, courier__probe_reply, GATE | DESK),
    ROW(COURIER_CALL_BACK, "call-back", courier__call_back_request, courier__call_back_reply, GATE),
    ROW(COURIER_WHOIS, "whois", courier__whois_request, courier__whois_reply, GATE | ADMIN),
    ROW(COURIER_FETCH_NOW, "fetch-now", courier__fetch_now_request, courier__fetch_now_reply, ADMIN | DESK),
    ROW(COURIER_FETCH_STATE, "fetch-state", courier__fetch_state_request, courier__fetch_state_reply, ADMIN | DESK),
};

static const struct method script_methods[] = {
    ROW(SCRIPT_CHECK, "check", script__check_request, script__check_reply, GATE | COURIER),
};

static const struct method my_methods[] = {
    ROW(MY_LOGIN, "login", my__login_request, my__login_reply, ADMIN),
    ROW(MY_DOOR_CHANGE, "door-change", store_write__door_change_request, store_write__door_change_reply, ADMIN),
    ROW(MY_DOOR_LIST, "door-list", store_write__door_list_request, store_write__door_list_reply, ADMIN),
    ROW(MY_DOOR_HISTORY, "door-history", store_write__door_history_request, store_write__door_history_reply, ADMIN),
    ROW(MY_LEDGER_LIST, "ledger-list", store_write__ledger_list_request, store_write__ledger_list_reply, ADMIN),
    ROW(MY_FETCH_STATE, "fetch-state", courier__fetch_state_request, courier__fetch_state_reply, ADMIN),
    ROW(MY_FETCH_NOW, "fetch-now", courier__fetch_now_request, courier__fetch_now_reply, ADMIN),
};

const struct service store_read_service = {"store-read", store_read_methods, COUNT(store_read_methods), false};
const struct service store_write_service = {"store-write", store_write_methods, COUNT(store_write_methods), false};
const struct service auth_service = {"auth", auth_methods, COUNT(auth_methods), true};
const struct service resolver_service = {"resolver", resolver_methods, COUNT(resolver_methods), false};
const struct service courier_service = {"courier", courier_methods, COUNT(courier_methods), false};
const struct service script_service = {"script", script_methods, COUNT(script_methods), false};
const struct service my_service = {"my", my_methods, COUNT(my_methods), true};
