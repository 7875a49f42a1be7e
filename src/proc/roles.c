#include "proc/roles.h"

#include "base/clock.h"

#define BACK_OFF_FIRST (NANOSECONDS / 10)

static unsigned count_gates(const struct settings *settings)
{
    return settings->processes.gates;
}

static unsigned count_desks(const struct settings *settings)
{
    return settings->processes.desks;
}

static unsigned count_readers(const struct settings *settings)
{
    return settings->processes.readers;
}

static unsigned count_one(const struct settings *settings)
{
    return 1;
}

static unsigned count_scripts(const struct settings *settings)
{
    return settings->script.file[0] ? 1 : 0;
}

#define SERVICE_BIT(service) (1u << (service))

/* In the order in which they are started; only the writer and the first gate begin before all others (run_start). */
const struct role_row role_rows[] = {
    {.role = ROLE_WRITER,
     .count = count_one,
     .stop_stage = 2,
     .files = SANDBOX_WRITE,
     .may_accept = true, /* of the control socket only: it is given no other */
     .has_grant_key = true,
     .admin_socket = "control.sock",
     .descriptors = 4096},
    {.role = ROLE_READER,
     .count = count_readers,
     .stop_stage = 1,
     .files = SANDBOX_READ,
     .also_writes = "store.db-shm", /* the index of the database's log, where readers note what they still need */
     .has_grant_key = true,
     .descriptors = 4096},
    {.role = ROLE_RESOLVER,
     .count = count_one,
     .may_connect = true,
     .may_ask = true,
     .stop_stage = 1,
     .has_trust_anchors = true,
     .descriptors = 2048},
    {.role = ROLE_AUTH,
     .count = count_one,
     .stop_stage = 1,
     .may_accept = true, /* of its control socket only */
     .has_grant_key = true,
     .admin_socket = "auth.sock",
     .sees_boards = true,
     .descriptors = 256},
    {.role = ROLE_DESK,
     .count = count_desks,
     .may_accept = true,
     .services = SERVICE_BIT(SERVICE_SUBMISSION) | SERVICE_BIT(SERVICE_SUBMISSIONS) | SERVICE_BIT(SERVICE_POP3) |
                 SERVICE_BIT(SERVICE_POP3S) | SERVICE_BIT(SERVICE_PWD) | SERVICE_BIT(SERVICE_PWDS),
     .has_tls = true,
     .has_my_socket = true,
     .parses_mail = true,
     .descriptors = 512},
    {.role = ROLE_GATE,
     .count = count_gates,
     .may_accept = true,
     .services = SERVICE_BIT(SERVICE_SMTP),
     .has_tls = true,
     .has_blacklist = true,
     .parses_mail = true,
     .descriptors = 512},
    /* Its transactions in hand have the grace that sessions have. */
    {.role = ROLE_COURIER,
     .count = count_one,
     .may_accept = true, /* of its control socket only */
     .may_connect = true,
     .has_password = true,
     .has_blacklist = true,
     .admin_socket = "courier.sock",
     .parses_mail = true,
     .descriptors = 4096},
    {.role = ROLE_SCRIPT,
     .count = count_scripts,
     .places = 1,
     .stop_stage = 1,
     .has_script = true,
     .has_alarm = true,
     .descriptors = 256},
};
const size_t role_row_count = sizeof role_rows / sizeof *role_rows;

const struct role_pair role_pairs[] = {
    {ROLE_GATE, ROLE_READER},    {ROLE_GATE, ROLE_WRITER},   {ROLE_GATE, ROLE_AUTH},        {ROLE_DESK, ROLE_READER},
    {ROLE_DESK, ROLE_WRITER},    {ROLE_DESK, ROLE_AUTH},     {ROLE_AUTH, ROLE_READER},      {ROLE_AUTH, ROLE_WRITER},
    {ROLE_GATE, ROLE_RESOLVER},  {ROLE_DESK, ROLE_RESOLVER}, {ROLE_COURIER, ROLE_RESOLVER}, {ROLE_COURIER, ROLE_READER},
    {ROLE_COURIER, ROLE_WRITER}, {ROLE_GATE, ROLE_COURIER},  {ROLE_DESK, ROLE_COURIER},     {ROLE_GATE, ROLE_SCRIPT},
    {ROLE_COURIER, ROLE_SCRIPT},
};
const size_t role_pair_count = sizeof role_pairs / sizeof *role_pairs;

const struct role_row *role_row_get(enum role role)
{
    for (size_t i = 0; i < role_row_count; i++)
        if (role_rows[i].role == role)
            return &role_rows[i];
    return NULL;
}

uint64_t back_off(unsigned failures)
{
    uint64_t wait = BACK_OFF_FIRST;
    for (unsigned i = 1; i < failures && wait < BACK_OFF_LAST; i++)
        wait *= 2;
    return wait < BACK_OFF_LAST ? wait : BACK_OFF_LAST;
}

bool alarms_note(struct alarms *alarms, uint64_t now)
{
    alarms->times[alarms->next] = now;
    alarms->next = (alarms->next + 1) % ALARMS_TO_REST;
    uint64_t oldest = alarms->times[alarms->next];
    if (!oldest || now - oldest >= ALARM_REST_SECONDS * NANOSECONDS)
        return false;
    *alarms = (struct alarms){.next = 0};
    return true;
}
