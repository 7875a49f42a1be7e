#include "store/change_internal.h"

#include "format/ip_address.h"
#include "store/door.h"

#include <errno.h>

/* "host:port", the host a name, an IPv4 address or an IPv6 one in brackets. */
static bool is_next_hop(struct span s)
{
    uint64_t port;
    struct ip_address address;
    size_t colon = span_find_last(s, ':');
    struct span host = span_head(s, colon), digits = span_skip(s, colon + 1);
    if (colon == s.size || !span_parse_u64(digits, 65535, &port) || port == 0)
        return false;
    if (host.size > 2 && host.data[0] == '[' && host.data[host.size - 1] == ']')
        return ip_address_parse(span_from(host.data + 1, host.size - 2), &address) && !ip_address_is_ipv4(&address);
    return edit_is_domain(host);
}

static int check_next_hop(struct edit *e, struct span *lower)
{
    *lower = directory_lower(&e->s->arena, e->change->next_hop);
    if (!lower->data)
        return -ENOMEM;
    if (lower->size == 0 || is_next_hop(*lower))
        return 0;
    buf_printf(e->problem, "\"%.*s\" is not a host and a port like mail.example.org:25.", SPAN_ARG(*lower));
    return SAID;
}

/* The domain that the new one is to be another name of. */
static int find_real(struct edit *e, uint64_t *id)
{
    struct directory_domain real;
    struct span name = directory_lower(&e->s->arena, e->change->alias_of);
    *id = 0;
    if (name.size == 0)
        return 0;
    if (e->change->is_backup || e->change->next_hop.size) {
        buf_printf(e->problem,
                   "%.*s is to be another name of %.*s: it can't have a next hop or be a backup of its own.",
                   SPAN_ARG(e->domain), SPAN_ARG(name));
        return SAID;
    }
    int rc = directory_domain(e->s->db, name, &e->s->arena, &real);
    if (rc < 0)
        return rc;
    if (rc > 0 && span_equal(real.name, name)) {
        *id = real.id;
        return 0;
    }
    if (rc > 0)
        buf_printf(e->problem, "%.*s is itself another name of %.*s: name that one.", SPAN_ARG(name),
                   SPAN_ARG(real.name));
    else
        buf_printf(e->problem, "The domain %.*s is not one of ours: add it first with `ostiary domain add %.*s`.",
                   SPAN_ARG(name), SPAN_ARG(name));
    return SAID;
}

int edit_domain_add(struct edit *e)
{
    struct span next_hop;
    uint64_t alias_of = 0;
    e->domain = directory_lower(&e->s->arena, e->change->subject);
    if (!edit_is_domain(e->domain)) {
        buf_printf(e->problem,
                   "\"%.*s\" is not a domain name like example.org (international names are written as xn--…).",
                   SPAN_ARG(e->change->subject));
        return SAID;
    }
    int rc = database_find(e->s->db, &e->id, "SELECT id FROM domain WHERE name = $1", "t", e->domain);
    if (rc > 0) {
        buf_printf(e->problem, "The domain %.*s is already one of ours.", SPAN_ARG(e->domain));
        return SAID;
    }
    rc = rc ? rc : check_next_hop(e, &next_hop);
    rc = rc ? rc : find_real(e, &alias_of);
    if (rc)
        return rc;
    e->id = e->s->volumes.lsn;
    rc = database_run(e->s->db, "INSERT INTO domain (id, name, kind, alias_of, next_hop) VALUES ($1, $2, $3, $4, $5)",
                      "utuut", e->id, e->domain, (uint64_t)e->change->is_backup, alias_of, next_hop);
    return rc ? rc : change_log_domain(e->s, e->id);
}

/* The domain of the subject itself, whatever it is another name of. */
static int find_itself(struct edit *e)
{
    e->domain = directory_lower(&e->s->arena, e->change->subject);
    int rc = database_find(e->s->db, &e->domain_id, "SELECT id FROM domain WHERE name = $1", "t", e->domain);
    if (rc == 0)
        buf_printf(e->problem, "The domain %.*s is not one of ours.", SPAN_ARG(e->domain));
    return rc ? no_memory_or(rc) : SAID;
}

int edit_domain_set(struct edit *e)
{
    struct span next_hop;
    uint64_t real = 0, kind = 0;
    int rc = find_itself(e);
    rc = rc ? rc : check_next_hop(e, &next_hop);
    if (rc)
        return rc;
    rc = database_find(e->s->db, &real, "SELECT alias_of FROM domain WHERE id = $1", "u", e->domain_id);
    if (rc > 0 && real != 0) {
        buf_printf(e->problem, "The domain %.*s is another name of one: set that one's next hop.", SPAN_ARG(e->domain));
        return SAID;
    }
    rc = rc < 0 ? rc : database_find(e->s->db, &kind, "SELECT kind FROM domain WHERE id = $1", "u", e->domain_id);
    if (rc > 0 && kind != (e->change->is_backup ? 1 : 0)) {
        buf_printf(e->problem,
                   kind ? "%.*s is a backup domain: it has a next hop, and no unknown names."
                        : "%.*s is a domain of ours and no backup: say where its unknown names go.",
                   SPAN_ARG(e->domain));
        return SAID;
    }
    e->id = e->domain_id;
    rc = rc < 0 ? rc : database_run(e->s->db, "UPDATE domain SET next_hop = $2 WHERE id = $1", "ut", e->id, next_hop);
    return rc ? rc : change_log_domain(e->s, e->id);
}

int edit_domain_remove(struct edit *e)
{
    uint64_t used = 0;
    int rc = find_itself(e);
    if (rc)
        return rc;
    rc = database_find(e->s->db, &used, "SELECT COUNT(*) FROM domain WHERE alias_of = $1", "u", e->domain_id);
    if (rc > 0 && used > 0) {
        buf_printf(e->problem,
                   "The domain %.*s still has %ju other name%s: remove %s first, `ostiary domain list` shows %s.",
                   SPAN_ARG(e->domain), (uintmax_t)used, used == 1 ? "" : "s", used == 1 ? "it" : "them",
                   used == 1 ? "it" : "them");
        return SAID;
    }
    if (rc >= 0)
        rc = database_find(e->s->db, &used,
                           "SELECT (SELECT COUNT(*) FROM account WHERE domain_id = $1)"
                           " + (SELECT COUNT(*) FROM alias WHERE domain_id = $1)"
                           " + (SELECT COUNT(*) FROM list WHERE domain_id = $1)",
                           "u", e->domain_id);
    if (rc > 0 && used > 0) {
        buf_printf(
            e->problem,
            "The domain %.*s still has accounts, aliases or mailing lists, %ju in all: remove them first. `ostiary "
            "account list @%.*s`, `ostiary alias list @%.*s` and `ostiary mailinglist list @%.*s` show them.",
            SPAN_ARG(e->domain), (uintmax_t)used, SPAN_ARG(e->domain), SPAN_ARG(e->domain), SPAN_ARG(e->domain));
        return SAID;
    }
    e->id = e->domain_id;
    rc = rc < 0 ? rc : database_run(e->s->db, "DELETE FROM domain WHERE id = $1", "u", e->id);
    rc = rc ? rc : door_forget_domain(e->s->db, e->id);
    rc = rc ? rc : door_touch(e->s);
    return rc ? rc : edit_log_removal(e, RECORD_DOMAIN_REMOVED);
}
