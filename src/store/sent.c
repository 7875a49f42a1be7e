#include "store/sent.h"

#include "base/clock.h"

#define DAY (86400 * NANOSECONDS)
#define KEPT_DAYS 7 /* to look at, where somebody asks */

int sent_left(struct database *db, uint64_t account_id, unsigned limit, uint32_t *left)
{
    uint64_t sent = 0;
    *left = UINT32_MAX;
    if (limit == 0)
        return 0;
    int rc = database_find(db, &sent, "SELECT recipients FROM sent WHERE account_id = $1 AND day = $2", "uu",
                           account_id, clock_wall() / DAY);
    *left = sent < limit ? (uint32_t)(limit - sent) : 0;
    return rc < 0 ? rc : 0;
}

int sent_add(struct store *s, uint64_t account_id, uint64_t recipients)
{
    uint64_t day = clock_wall() / DAY;
    int rc = 0;
    if (day != s->sent_day) {
        rc = database_run(s->db, "DELETE FROM sent WHERE day < $1", "u", day > KEPT_DAYS ? day - KEPT_DAYS : 0);
        s->sent_day = day;
    }
    return rc ? rc
              : database_run(s->db,
                             "INSERT INTO sent (account_id, day, recipients) VALUES ($1, $2, $3)"
                             " ON CONFLICT (account_id, day) DO UPDATE SET recipients = sent.recipients + "
                             "excluded.recipients",
                             "uuu", account_id, day, recipients);
}
