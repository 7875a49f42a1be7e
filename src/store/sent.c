#include "store/sent.h"

#define KEPT_DAYS 7 /* to look at, where somebody asks */

uint64_t sent_today(void)
{
    return clock_steady() / SENT_DAY;
}

int sent_left(struct database *db, uint64_t account_id, uint64_t day, unsigned limit, uint32_t *left)
{
    uint64_t sent = 0;
    *left = UINT32_MAX;
    if (limit == 0)
        return 0;
    int rc = database_find(db, &sent, "SELECT recipients FROM sent WHERE account_id = $1 AND day = $2", "uu",
                           account_id, day);
    *left = sent < limit ? (uint32_t)(limit - sent) : 0;
    return rc < 0 ? rc : 0;
}

int sent_day_with_room(struct database *db, uint64_t account_id, uint64_t today, unsigned limit, uint64_t recipients,
                       uint64_t until, uint64_t *day)
{
    if (limit && recipients > limit)
        return 0;
    for (*day = today + 1; *day * SENT_DAY < until; ++*day) {
        uint32_t left;
        int rc = sent_left(db, account_id, *day, limit, &left);
        if (rc != 0 || recipients <= left)
            return rc ? rc : 1;
    }
    return 0;
}

int sent_add(struct store *s, uint64_t account_id, uint64_t day, uint64_t recipients)
{
    uint64_t today = sent_today();
    int rc = 0;
    if (today != s->sent_day) {
        rc = database_run(s->db, "DELETE FROM sent WHERE day < $1", "u", today > KEPT_DAYS ? today - KEPT_DAYS : 0);
        s->sent_day = today;
    }
    return rc ? rc
              : database_run(s->db,
                             "INSERT INTO sent (account_id, day, recipients) VALUES ($1, $2, $3)"
                             " ON CONFLICT (account_id, day) DO UPDATE SET recipients = sent.recipients + "
                             "excluded.recipients",
                             "uuu", account_id, day, recipients);
}
