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
};

extern const struct service auth_service;
enum auth_method {
    AUTH_STEP,
    AUTH_CHANGE_PASSWORD,
};

#endif
