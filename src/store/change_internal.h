/* What the files of one change (change.c, change_alias.c, change_list.c) share. */
#ifndef STORE_CHANGE_INTERNAL_H
#define STORE_CHANGE_INTERNAL_H

#include "store/change.h"
#include "store/directory.h"

/* The result of a step: 0 go on, SAID, or a negative errno. */
#define SAID 1 /* it ends with nothing done: a sentence stands in problem */

#define FIND_ACCOUNT "SELECT id FROM account WHERE domain_id = $1 AND local_part = $2"
#define FIND_ALIAS "SELECT id FROM alias WHERE domain_id = $1 AND local_part = $2"
#define FIND_LIST "SELECT id FROM list WHERE domain_id = $1 AND local_part = $2"

/* One change as it goes along. */
struct edit {
    struct store *s;
    const struct change *change;
    struct buf *problem;
    struct span local_part, domain; /* lower case, of the subject */
    uint64_t domain_id, id;
};

static inline int no_memory_or(int rc)
{
    return rc < 0 ? rc : 0;
}

/* A name of A-labels; lower case or not. */
bool edit_is_domain(struct span s);
/* One that can be written without quotes. */
bool edit_is_local_part(struct span s);
/* Sets local_part and domain from the subject. */
MUST_USE int edit_take_address(struct edit *e);
/* Sets domain_id. */
MUST_USE int edit_find_domain(struct edit *e);
/* Sets id: 1, 0, or a negative errno. `sql` is one of FIND_. */
MUST_USE int edit_find_row(struct edit *e, const char *sql);
/* Says that there is no such thing, and which name is near. `sql` gives the names of a domain. */
MUST_USE int edit_say_unknown(struct edit *e, const char *what, const char *sql);
/* Logs the removal of `id`. */
MUST_USE int edit_log_removal(struct edit *e, enum record_type type);
/* `text` is an address that mail can go to: *address gets it, its domain in lower case, its local part too where it is
 * ours; `routing` says where it leads. With a sentence where it is none, or is a name of ours that nobody has. */
MUST_USE int edit_take_target(struct edit *e, const struct directory *directory, struct span text, struct span *address,
                              struct routing *routing);

/* Says so where the address is taken. Each of FIND_ACCOUNT, FIND_ALIAS and FIND_LIST, or NULL where it does not matter.
 */
MUST_USE int edit_need_free(struct edit *e, const char *also_account, const char *also_alias, const char *also_list);

int edit_domain_add(struct edit *e);
int edit_domain_remove(struct edit *e);
int edit_domain_set(struct edit *e);
int edit_alias_put(struct edit *e);
int edit_alias_remove(struct edit *e);
/* Removes the alias of the subject's address, where there is one. */
MUST_USE int edit_alias_drop(struct edit *e);
int edit_list_put(struct edit *e);
int edit_list_remove(struct edit *e);
int edit_list_join(struct edit *e);
int edit_list_leave(struct edit *e);

#endif
