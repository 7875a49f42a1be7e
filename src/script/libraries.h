/* What a script finds around it: the parts of Lua's libraries that compute, and nothing that reaches outside. */
#ifndef SCRIPT_LIBRARIES_H
#define SCRIPT_LIBRARIES_H

#include <lua.h>

/* Pushes a table of globals. There are: assert, error, ipairs, next, pairs, pcall, print, rawequal, rawget, rawlen,
 * rawset, select, setmetatable (not with __gc: Lua runs that where no limit of steps holds), getmetatable, tonumber,
 * tostring, type; string without dump, table, utf8; math without random numbers, so that the same facts give the same
 * answer. There are not: io, os, debug, package, coroutine, load and its kin, collectgarbage, warn, xpcall. `print` is
 * pushed as the global of that name. Raises errors of Lua. */
void script_push_libraries(lua_State *lua, lua_CFunction print);

#endif
