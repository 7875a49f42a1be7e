/* The facts as a script sees them: the argument of check(mail). */
#ifndef SCRIPT_MAIL_TABLE_H
#define SCRIPT_MAIL_TABLE_H

#include "base/arena.h"
#include "policy/facts.h"

#include <lua.h>

/* Fields of a header beyond these are not shown. */
#define SCRIPT_FIELDS_MAX 2000
#define SCRIPT_FIELD_VALUE_MAX (64u << 10)

/* Where the scratch memory is that a raised error must not lose: the caller frees it. */
struct mail_table_scratch {
    struct arena arena;
    struct buf text;
};

/* Pushes the table (doc/ostiary-script.5.scd says what is in it). Facts that are not known are nil. Raises errors of
 * Lua. */
void script_push_mail(lua_State *lua, const struct facts *facts, const struct recipient_facts *r, int64_t now,
                      struct mail_table_scratch *scratch);

#endif
