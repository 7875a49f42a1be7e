/* A service as the scripts name it: how to run one session of it. One file each (service_pop3.c …). */
#ifndef DIALOGUE_SERVICE_H
#define DIALOGUE_SERVICE_H

#include "house.h"
#include "run/stream.h"

struct visit {
    struct house *house;
    const char *address; /* of the client, text */
    unsigned char address_bytes[16];
    const char *session_id;
    bool implicit_tls;
};

struct dialogue_service {
    const char *name;
    /* The whole session. The stream is the caller's to free. */
    void (*run)(struct fiber *self, struct stream *stream, const struct visit *visit);
};

extern const struct dialogue_service service_pop3, service_pwd;
#ifdef DIALOGUE_SMTP
extern const struct dialogue_service service_smtp, service_submission;
#endif

#endif
