#include "config/lua_state.h"

#include "config/schema.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#define STEPS_PER_LOOK 1000

static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
    struct lua_state *s = context;
    if (!old)
        old_size = 0; /* Lua then tells the kind of object here */
    if (size == 0) {
        free(old);
        s->memory_used -= old_size;
        return NULL;
    }
    if (size > old_size && size - old_size > LUA_STATE_MEMORY_MAX - s->memory_used)
        return NULL;
    void *memory = realloc(old, size);
    if (memory)
        s->memory_used = s->memory_used - old_size + size;
    return memory;
}

static void count_steps(lua_State *lua, lua_Debug *debug)
{
    void *context;
    lua_getallocf(lua, &context);
    struct lua_state *s = context;
    s->steps += STEPS_PER_LOOK;
    if (s->steps <= LUA_STATE_STEPS_MAX)
        return;
    lua_getinfo(lua, "l", debug);
    lua_pushfstring(lua, "config:%d: the file computes for too long", debug->currentline);
    lua_error(lua);
}

int lua_state_init(struct lua_state *s)
{
    *s = (struct lua_state){0};
    s->lua = lua_newstate(allocate, s);
    if (!s->lua)
        return -ENOMEM;
    lua_sethook(s->lua, count_steps, LUA_MASKCOUNT, STEPS_PER_LOOK);
    return 0;
}

void lua_state_release(struct lua_state *s)
{
    if (s->lua)
        lua_close(s->lua);
    s->lua = NULL;
}

/* ---- The environment: reads come from the sections' faces, from what was assigned, then from the helpers; assignments
 * are remembered with their line ---- */

static int refuse_unknown(lua_State *lua)
{
    if (lua_type(lua, 2) != LUA_TSTRING)
        return luaL_error(lua, "a setting has a name");
    const char *name = lua_tostring(lua, 2);
    const char *near = schema_nearest(span_text(name));
    if (near)
        return luaL_error(lua, "unknown name '%s'; did you mean '%s'?", name, near);
    return luaL_error(lua, "unknown name '%s'; texts stand in quotes, as in \"%s\"", name, name);
}

static int read_global(lua_State *lua)
{
    for (int upvalue = 1; upvalue <= 3; upvalue++) {
        lua_pushvalue(lua, 2);
        if (lua_rawget(lua, lua_upvalueindex(upvalue)) != LUA_TNIL)
            return 1;
        lua_pop(lua, 1);
    }
    size_t size;
    const char *name = lua_type(lua, 2) == LUA_TSTRING ? lua_tolstring(lua, 2, &size) : NULL;
    return name && schema_find(span_from(name, size)) ? 0 : refuse_unknown(lua);
}

static int line_of_caller(lua_State *lua)
{
    lua_Debug debug;
    if (!lua_getstack(lua, 1, &debug) || !lua_getinfo(lua, "l", &debug))
        return 0;
    return debug.currentline;
}

static void refuse_second(lua_State *lua, const char *name, int lines)
{
    if (lua_getfield(lua, lines, name) != LUA_TNIL)
        luaL_error(lua, "'%s' was already set in line %d", name, (int)lua_tointeger(lua, -1));
    lua_pop(lua, 1);
}

/* The entries of the table at the top into the section's own table, so that a later smtp.errors = 5 is seen as the
 * second. */
static void fill_section(lua_State *lua, const char *name, int values)
{
    lua_getfield(lua, values, name);
    lua_pushnil(lua);
    if (lua_next(lua, -2))
        luaL_error(lua, "'%s' is set as a whole after parts of it", name);
    for (lua_pushnil(lua); lua_next(lua, 3); lua_pop(lua, 1)) {
        lua_pushvalue(lua, -2);
        lua_pushvalue(lua, -2);
        lua_rawset(lua, 4);
    }
}

static int set_global(lua_State *lua)
{
    int values = lua_upvalueindex(1), lines = lua_upvalueindex(2);
    if (lua_type(lua, 2) != LUA_TSTRING)
        return luaL_error(lua, "a setting has a name, not a number");
    const char *name = lua_tostring(lua, 2);
    bool is_section = schema_has_section(span_text(name));
    refuse_second(lua, name, lines);
    if (is_section && lua_type(lua, 3) == LUA_TTABLE)
        fill_section(lua, name, values);
    lua_settop(lua, 3);
    lua_pushinteger(lua, line_of_caller(lua));
    lua_setfield(lua, lines, name);
    /* A section keeps its own table; what is no table is refused later, like any wrong value. */
    if (!is_section || (lua_type(lua, 3) != LUA_TTABLE && !lua_isnil(lua, 3)))
        lua_rawset(lua, values);
    return 0;
}

/* smtp.errors = 5. Upvalues: lines, the section's name, its table. The face itself stays empty, so that each assignment
 * comes here. */
static int set_in_section(lua_State *lua)
{
    int lines = lua_upvalueindex(1), section = lua_upvalueindex(2), table = lua_upvalueindex(3);
    if (lua_type(lua, 2) == LUA_TSTRING) {
        const char *name = lua_pushfstring(lua, "%s.%s", lua_tostring(lua, section), lua_tostring(lua, 2));
        refuse_second(lua, name, lines);
        lua_pushvalue(lua, 2);
        if (lua_rawget(lua, table) != LUA_TNIL) {
            lua_getfield(lua, lines, lua_tostring(lua, section));
            return luaL_error(lua, "'%s' was already set in the table of line %d", name, (int)lua_tointeger(lua, -1));
        }
        lua_pushinteger(lua, line_of_caller(lua));
        lua_setfield(lua, lines, name);
    }
    lua_settop(lua, 3);
    lua_rawset(lua, table);
    return 0;
}

/* Each section is a table in `values`, and an empty face in `faces` through which the file reads and sets it. Several
 * rows of the schema name the same section: the last one's pair stays. */
static void push_sections(lua_State *lua, int values, int lines, int faces)
{
    for (size_t i = 0; i < schema_count; i++) {
        size_t size = setting_section_size(&schema[i]);
        if (size == 0)
            continue;
        lua_settop(lua, faces);
        lua_pushlstring(lua, schema[i].name, size - 1);
        int name = lua_gettop(lua);
        lua_newtable(lua); /* its table */
        lua_newtable(lua); /* its face */
        lua_newtable(lua); /* the face's metatable */
        lua_pushvalue(lua, name + 1);
        lua_setfield(lua, -2, "__index");
        lua_pushvalue(lua, lines);
        lua_pushvalue(lua, name);
        lua_pushvalue(lua, name + 1);
        lua_pushcclosure(lua, set_in_section, 3);
        lua_setfield(lua, -2, "__newindex");
        lua_setmetatable(lua, -2);
        lua_pushvalue(lua, name);
        lua_insert(lua, -2);
        lua_rawset(lua, faces);
        lua_rawset(lua, values);
    }
    lua_settop(lua, faces);
}

/* Only what computes quickly whatever it is given: no patterns, and nothing that reaches outside. */
static void push_helpers(lua_State *lua)
{
    static const char *const base[] = {"error",  "assert",   "ipairs",   "pairs", "next",
                                       "select", "tonumber", "tostring", "type",  NULL};
    static const char *const strings[] = {"format", "len", "lower", "upper", "sub", "rep", "byte", "char", NULL};
    static const char *const tables[] = {"insert", "concat", NULL};
    static const char *const maths[] = {"floor", "ceil", "max", "min", "tointeger", NULL};
    static const struct {
        const char *name;
        lua_CFunction open;
        const char *const *functions;
    } libraries[] = {{"_G", luaopen_base, base},
                     {"string", luaopen_string, strings},
                     {"table", luaopen_table, tables},
                     {"math", luaopen_math, maths}};
    lua_newtable(lua);
    int helpers = lua_gettop(lua);
    for (size_t i = 0; i < sizeof libraries / sizeof *libraries; i++) {
        bool is_base = libraries[i].open == luaopen_base;
        luaL_requiref(lua, libraries[i].name, libraries[i].open, 0);
        lua_newtable(lua);
        for (const char *const *f = libraries[i].functions; *f; f++) {
            lua_getfield(lua, -2, *f);
            lua_setfield(lua, is_base ? helpers : -2, *f);
        }
        if (!is_base)
            lua_setfield(lua, helpers, libraries[i].name);
        lua_settop(lua, helpers);
    }
    /* ("x"):rep(5) would reach the whole string library through the strings' own metatable. */
    lua_pushliteral(lua, "");
    lua_pushnil(lua);
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}

void lua_state_run(lua_State *lua, struct span text)
{
    lua_settop(lua, 0);
    lua_newtable(lua); /* 1: values */
    lua_newtable(lua); /* 2: lines */
    lua_newtable(lua); /* 3: the sections' faces */
    push_sections(lua, 1, 2, 3);
    int loaded = luaL_loadbufferx(lua, text.data ? text.data : "", text.size, "=config", "t");
    if (loaded != LUA_OK)
        lua_error(lua);
    lua_newtable(lua); /* the environment: always empty, so that every use comes to the two functions */
    lua_newtable(lua);
    lua_pushvalue(lua, 3);
    lua_pushvalue(lua, 1);
    push_helpers(lua);
    lua_pushcclosure(lua, read_global, 3);
    lua_setfield(lua, -2, "__index");
    lua_pushvalue(lua, 1);
    lua_pushvalue(lua, 2);
    lua_pushcclosure(lua, set_global, 2);
    lua_setfield(lua, -2, "__newindex");
    lua_setmetatable(lua, -2);
    if (!lua_setupvalue(lua, -2, 1))
        lua_pop(lua, 1);
    lua_call(lua, 0, 1);
    if (!lua_isnil(lua, -1))
        luaL_error(lua, "the file returns a value; settings are assigned, like hostname = \"mail.example.org\"");
    lua_settop(lua, 2);
}
