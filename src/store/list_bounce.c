#include "store/list_bounce.h"

#include "base/log.h"
#include "store/change.h"

int list_bounce_count(struct store *s, uint64_t list_id, uint64_t member)
{
    uint64_t id, bounces = 0;
    if (list_id > INT64_MAX || member > INT64_MAX)
        return 0;
    int rc = database_find(s->db, &id, "SELECT id FROM list WHERE id = $1", "u", list_id);
    if (rc <= 0)
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
