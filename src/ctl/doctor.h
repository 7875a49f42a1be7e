/* What `ostiary doctor` finds: a list of plain sentences, each with what to do about it. */
#ifndef CTL_DOCTOR_H
#define CTL_DOCTOR_H

#include "ctl/ctl.h"
#include "ctl/json.h"
#include "ipc/peers.h"
#include "run/fiber.h"

enum doctor_verdict { DOCTOR_GOOD, DOCTOR_WARNING, DOCTOR_FAULT };

struct doctor {
    struct ctl *ctl;
    struct settings *settings;
    struct json json;
    enum doctor_verdict worst;
    size_t counts[DOCTOR_FAULT + 1];
    struct buf domains; /* our own, one a line */
};

/* `about`: one word of what was looked at. `advice`: what to do, "" for none. */
void doctor_tell(struct doctor *doctor, enum doctor_verdict verdict, const char *about, const char *advice,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Each looks at one thing and tells. Those of the DNS wait. */
void doctor_look_at_disk(struct doctor *doctor);
void doctor_look_at_ports(struct doctor *doctor);
void doctor_look_at_dns(struct fiber *self, struct peers *peers, struct doctor *doctor);

#endif
