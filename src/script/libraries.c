#include "script/libraries.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stddef.h>

static const char *const base[] = {"assert",   "error",    "getmetatable", "ipairs", "next",   "pairs",
                                   "pcall",    "rawequal", "rawget",       "rawlen", "rawset", "select",
                                   "tonumber", "tostring", "type",         NULL};

/* Whole libraries, but for these: bytecode is not checked by Lua, and chance has no place in a rule. */
static const struct {
    const char *name;
    lua_CFunction open;
    const char *without[3];
} libraries[] = {
    {"string", luaopen_string, {"dump", NULL}},
    {"table", luaopen_table, {NULL}},
    {"math", luaopen_math, {"random", "randomseed", NULL}},
    {"utf8", luaopen_utf8, {NULL}},
};

/* Upvalue: Lua's own. */
static int set_metatable(lua_State *lua)
{
    if (lua_type(lua, 2) == LUA_TTABLE) {
        lua_pushliteral(lua, "__gc");
        if (lua_rawget(lua, 2) != LUA_TNIL)
            return luaL_error(lua, "a metatable may not have __gc here");
    }
    lua_settop(lua, 2);
    lua_pushvalue(lua, lua_upvalueindex(1));
    lua_insert(lua, 1);
    lua_call(lua, 2, 1);
    return 1;
}

static void push_base(lua_State *lua, int globals)
{
    luaL_requiref(lua, LUA_GNAME, luaopen_base, 0);
    for (const char *const *name = base; *name; name++) {
        lua_getfield(lua, -1, *name);
        lua_setfield(lua, globals, *name);
    }
    lua_getfield(lua, -1, "setmetatable");
    lua_pushcclosure(lua, set_metatable, 1);
    lua_setfield(lua, globals, "setmetatable");
    lua_settop(lua, globals);
}

void script_push_libraries(lua_State *lua, lua_CFunction print)
{
    lua_newtable(lua);
    int globals = lua_gettop(lua);
    push_base(lua, globals);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        luaL_requiref(lua, libraries[i].name, libraries[i].open, 0);
        for (const char *const *name = libraries[i].without; *name; name++) {
            lua_pushnil(lua);
            lua_setfield(lua, -2, *name);
        }
        lua_setfield(lua, globals, libraries[i].name);
    }
    lua_pushcfunction(lua, print);
    lua_setfield(lua, globals, "print");
    lua_pushvalue(lua, globals);
    lua_setfield(lua, globals, "_G");
}
