/* What `ostiary doctor` finds: a list of plain sentences, each with what to do about it. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ipc/peers.h"
#include "run/fiber.h"

/* A note is neither good nor bad: the administrator knows better. */
enum doctor_verdict { DOCTOR_GOOD, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_FAULT };

/* What it takes to talk to other servers. */
struct doctor_outbound {
    struct buf authorities; /* PEM */
    struct buf password;    /* the file's, whole */
    int password_error;     /* a negative errno, where there should be one */
};

struct doctor {
    struct ctl *ctl;
    struct settings *settings;
    struct json json;
    enum doctor_verdict worst;
    size_t counts[DOCTOR_FAULT + 1];
    struct buf domains; /* our own, one a line */
    struct doctor_outbound outbound;
};

/* `about`: one word of what was looked at. `advice`: what to do, "" for none. */
void doctor_tell(struct doctor *doctor, enum doctor_verdict verdict, const char *about, const char *advice,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Reads the files that the look at what goes out needs; due before root is given up. Due to be released. */
void doctor_read_outbound(struct doctor *doctor);
void doctor_release_outbound(struct doctor *doctor);

/* Each looks at one thing and tells. Those that are given a fiber wait. */
void doctor_look_at_disk(struct doctor *doctor);
void doctor_look_at_ports(struct doctor *doctor);
void doctor_look_at_dns(struct fiber *self, struct peers *peers, struct doctor *doctor);
/* `named`: the host to try beside the smart host, as "host" or "host:port"; NULL for none. */
void doctor_look_at_outbound(struct fiber *self, struct peers *peers, struct doctor *doctor, const char *named);

#endif
