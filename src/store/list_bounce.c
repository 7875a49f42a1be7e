#include "store/list_bounce.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/change.h"

#define HALVE_NANOSECONDS (30ull * 24 * 3600 * NANOSECONDS)
#define HALVINGS_MAX 32u

/* An address that was full once a year ago is a good one. Which bounce came when is not kept: all counts are halved
 * every thirty days, when the next bounce comes. */
static int halve_counts(struct store *s)
{
    uint64_t now = clock_steady(), since = now;
    int found = database_find(s->db, &since, "SELECT value FROM meta WHERE name = 'bounces_halved_at'", "");
    if (found < 0)
        return found;
    uint64_t halvings = since < now ? (now - since) / HALVE_NANOSECONDS : 0;
    /* A clock that was put back begins anew, too. */
    if (found && since <= now && !halvings)
        return 0;
    int rc = database_run(s->db,
                          "INSERT INTO meta (name, value) VALUES ('bounces_halved_at', $1) ON CONFLICT (name) DO"
                          " UPDATE SET value = excluded.value",
                          "u", halvings ? since + halvings * HALVE_NANOSECONDS : now);
    if (rc || !halvings)
        return rc;
    uint64_t divisor = 1ull << (halvings < HALVINGS_MAX ? halvings : HALVINGS_MAX);
    return database_run(s->db, "UPDATE list_member SET bounces = bounces / $1 WHERE bounces > 0 AND suspended = 0", "u",
                        divisor);
}

int list_bounce_count(struct store *s, uint64_t list_id, uint64_t member)
{
    uint64_t id, bounces = 0;
    if (list_id > INT64_MAX || member > INT64_MAX)
        return 0;
    int rc = database_find(s->db, &id, "SELECT id FROM list WHERE id = $1", "u", list_id);
    if (rc <= 0)
        return rc;
    rc = halve_counts(s);
    if (rc)
        return rc;
    rc = database_find(s->db, &bounces,
                       "UPDATE list_member SET bounces = bounces + 1 WHERE list_id = $1 AND number = $2 AND suspended "
                       "= 0 RETURNING bounces",
                       "uu", list_id, member);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    if (s->list_bounces == 0 || bounces < s->list_bounces)
        return 1;
    rc = database_run(s->db, "UPDATE list_member SET suspended = 1 WHERE list_id = $1 AND number = $2", "uu", list_id,
                      member);
    if (rc != 0)
        return rc;
    log_write(LOG_LOW, "store", NULL, "a member of a mailing list is suspended list=%ju member=%ju bounces=%ju",
              (uintmax_t)list_id, (uintmax_t)member, (uintmax_t)bounces);
    rc = change_log_list(s, list_id);
    return rc ? rc : 1;
}
