/* The bare Lua state that a configuration file runs in: no files, no programs, no loading of code, bounded memory and
 * steps. What it assigns is remembered together with the line of the assignment. No function waits. */
#ifndef CONFIG_LUA_STATE_H
#define CONFIG_LUA_STATE_H

#include "base/buf.h"

#include <lua.h>

#define LUA_STATE_MEMORY_MAX (16u << 20)
#define LUA_STATE_STEPS_MAX 10000000u

struct lua_state {
    lua_State *lua;
    size_t memory_used;
    unsigned steps;
};

/* 0 or -ENOMEM. */
MUST_USE int lua_state_init(struct lua_state *s);
void lua_state_release(struct lua_state *s);

/* Pushes what is then run: the text as a function in the bare environment. Leaves on the Lua stack the table of what
 * was assigned ("smtp" is a table of its own) and above it the table of lines by name ("hostname", "smtp",
 * "smtp.errors"). To be called inside lua_pcall; raises Lua errors that begin with "config:LINE: ". */
void lua_state_run(lua_State *lua, struct span text);

#endif
