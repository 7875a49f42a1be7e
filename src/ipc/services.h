/* The contracts of our services: one .proto file and one table each. A method's number is its place in the enum. */
#ifndef IPC_SERVICES_H
#define IPC_SERVICES_H

#include "ipc/channel.h"

extern const struct service store_read_service;
enum store_read_method {
    STORE_READ_RESOLVE,
    STORE_READ_CREDENTIALS,
    STORE_READ_MAY_SEND,
    STORE_READ_MAILDROP,
    STORE_READ_FETCH,
    STORE_READ_QUEUE_DUE,
    STORE_READ_QUEUE_ENTRIES,
    STORE_READ_QUEUE_FETCH,
    STORE_READ_LIST,
    STORE_READ_SECRETS,
    STORE_READ_NAME_HITS,
    STORE_READ_REMOTES,
    STORE_READ_REMOTE_SEEN,
    STORE_READ_CODE_FOR,
};

extern const struct service store_write_service;
enum store_write_method {
    STORE_WRITE_SPOOL,
    STORE_WRITE_DELIVER,
    STORE_WRITE_EXPUNGE,
    STORE_WRITE_CHANGE,
    STORE_WRITE_LIST,
    STORE_WRITE_STATUS,
    STORE_WRITE_COMPACT,
    STORE_WRITE_CREDENTIALS,
    STORE_WRITE_QUEUE_WAIT,
    STORE_WRITE_QUEUE_LIST,
    STORE_WRITE_QUEUE_CHANGE,
    STORE_WRITE_IMPORT,
    STORE_WRITE_LEDGER_NOTE,
    STORE_WRITE_LEDGER_LIST,
    STORE_WRITE_REJECT_COUNTS,
    STORE_WRITE_DOOR_CHANGE,
    STORE_WRITE_DOOR_LIST,
    STORE_WRITE_DOOR_HISTORY,
    STORE_WRITE_REMOTE_SEEN,
};

extern const struct service auth_service;
enum auth_method {
    AUTH_STEP,
    AUTH_CHANGE_PASSWORD,
    AUTH_REPORT,
    AUTH_WINDOW,
    AUTH_CLIENTS,
    AUTH_WATCH,
    AUTH_GUESS,
    AUTH_GREYLIST,
};

extern const struct service resolver_service;
enum resolver_method {
    RESOLVER_QUERY,
};

extern const struct service courier_service;
enum courier_method {
    COURIER_PROBE,
    COURIER_CALL_BACK,
    COURIER_WHOIS,
    COURIER_FETCH_NOW,
    COURIER_FETCH_STATE,
};

extern const struct service script_service;
enum script_method {
    SCRIPT_CHECK,
};

/* Of DATA/my.sock: passed on by a desk. */
extern const struct service my_service;
enum my_method {
    MY_LOGIN,
    MY_DOOR_CHANGE,
    MY_DOOR_LIST,
    MY_DOOR_HISTORY,
    MY_LEDGER_LIST,
    MY_FETCH_STATE,
    MY_FETCH_NOW,
};

#endif
