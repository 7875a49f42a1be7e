#include "script/engine.h"

#include "script/libraries.h"
#include "script/mail_table.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_PER_LOOK 100
#define NAME_MAX_BYTES 1100
#define CODE_MAX (8u << 20)
#define SCRATCH_MAX (512u << 10)

struct script {
    struct script_limits limits;
    char name[NAME_MAX_BYTES]; /* "@/etc/ostiary/rules.lua", as Lua wants it */
    struct buf code;           /* compiled by us: Lua does not check what it loads in this form */
};

/* One call. */
struct run {
    lua_State *lua;
    const struct script *script;
    const struct script_limits *limits;
    const struct script_printer *printer;
    unsigned printed;
    size_t memory, most; /* bytes now, and at a time */
    uint64_t steps;
    bool is_exhausted; /* of steps: whatever it says now does not count */
    /* Of a check: */
    const struct facts *facts;
    const struct recipient_facts *r;
    int64_t now;
    struct mail_table_scratch scratch;
    struct script_answer answer;
    struct buf problem;
};

/* ---- Limits ---- */

static void *allocate(void *context, void *old, size_t old_size, size_t size)
{
    struct run *run = context;
    if (!old)
        old_size = 0; /* Lua then tells the kind of object here */
    if (size == 0) {
        free(old);
        run->memory -= old_size;
        return NULL;
    }
    if (size > old_size && size - old_size > run->limits->memory - run->memory)
        return NULL;
    void *memory = realloc(old, size);
    if (memory) {
        run->memory = run->memory - old_size + size;
        run->most = run->memory > run->most ? run->memory : run->most;
    }
    return memory;
}

static struct run *run_of(lua_State *lua)
{
    void *context;
    lua_getallocf(lua, &context);
    return context;
}

/* A script can catch this error with pcall(); from then on its every instruction raises it, until the outermost one
 * has. */
static void count_steps(lua_State *lua, lua_Debug *debug)
{
    struct run *run = run_of(lua);
    run->steps += run->is_exhausted ? 0 : STEPS_PER_LOOK;
    if (run->steps < run->limits->steps)
        return;
    run->is_exhausted = true;
    lua_sethook(lua, count_steps, LUA_MASKCOUNT, 1);
    lua_getinfo(lua, "Sl", debug);
    lua_pushfstring(lua, "%s:%d: it took %I steps, and script.steps allows no more", debug->short_src,
                    debug->currentline, (LUAI_UACINT)run->limits->steps);
    lua_error(lua);
}

/* ---- What a script calls ---- */

/* Of one line, its arguments with a blank between them: it goes to a log. */
static int print(lua_State *lua)
{
    struct run *run = run_of(lua);
    int count = lua_gettop(lua);
    luaL_Buffer line;
    if (run->printed++ >= SCRIPT_PRINTED_MAX || !run->printer)
        return 0;
    luaL_buffinit(lua, &line);
    for (int i = 1; i <= count; i++) {
        if (i > 1)
            luaL_addchar(&line, ' ');
        luaL_tolstring(lua, i, NULL);
        luaL_addvalue(&line);
    }
    luaL_pushresult(&line);
    size_t size;
    const char *text = lua_tolstring(lua, -1, &size);
    run->printer->print(run->printer->context, span_head(span_from(text, size), SCRIPT_LINE_MAX));
    return 0;
}

/* ---- A call, inside lua_pcall ---- */

/* Leaves the function check on the stack. */
static void run_file(lua_State *lua, struct run *run)
{
    const struct buf *code = &run->script->code;
    script_push_libraries(lua, print);
    int globals = lua_gettop(lua);
    if (luaL_loadbufferx(lua, code->data, code->size, run->script->name, "b") != LUA_OK)
        lua_error(lua);
    lua_pushvalue(lua, globals);
    if (!lua_setupvalue(lua, -2, 1))
        lua_pop(lua, 1);
    lua_call(lua, 0, 0);
    lua_pushliteral(lua, "check");
    if (lua_rawget(lua, globals) != LUA_TFUNCTION)
        luaL_error(lua, "%s: the file makes no function check(mail)", run->script->name + 1);
}

/* "rules.lua:12: check " of the function on the top, which is taken off. */
static void begin_problem(lua_State *lua, struct buf *problem)
{
    lua_Debug debug;
    lua_getinfo(lua, ">S", &debug);
    buf_printf(problem, "%s:%d: check ", debug.short_src, debug.linedefined);
}

/* What check returned stands from `first` on. False with the rest of the sentence. */
static bool read_results(lua_State *lua, int first, struct run *run)
{
    int count = lua_gettop(lua) - first + 1;
    const char *wrong = NULL;
    if (count == 0 || (count == 1 && lua_isnil(lua, first)))
        return true;
    if (lua_type(lua, first) != LUA_TSTRING)
        wrong = luaL_typename(lua, first);
    else if (count > 1 && !lua_isnil(lua, first + 1) && !lua_isstring(lua, first + 1))
        wrong = luaL_typename(lua, first + 1);
    if (wrong || count > 2) {
        buf_printf(&run->problem, "returned %s%s; it may return a word and a text, or nothing", wrong ? "a " : "",
                   wrong ? wrong : "more than two values");
        return false;
    }
    size_t sizes[2] = {0, 0};
    const char *word = lua_tolstring(lua, first, &sizes[0]);
    const char *text = count > 1 ? lua_tolstring(lua, first + 1, &sizes[1]) : NULL;
    return script_answer_read(span_from(word, sizes[0]), span_from(text, sizes[1]), &run->answer, &run->problem);
}

/* Argument: the run. */
static int call_check(lua_State *lua)
{
    struct run *run = lua_touserdata(lua, 1);
    run_file(lua, run);
    if (!run->facts)
        return 0;
    int function = lua_gettop(lua);
    lua_pushvalue(lua, function);
    script_push_mail(lua, run->facts, run->r, run->now, &run->scratch);
    lua_call(lua, 1, LUA_MULTRET);
    int last = lua_gettop(lua);
    lua_pushvalue(lua, function);
    begin_problem(lua, &run->problem);
    lua_settop(lua, last);
    if (read_results(lua, function + 1, run))
        buf_reset(&run->problem);
    return 0;
}

static int write_code(lua_State *lua, const void *data, size_t size, void *context)
{
    struct buf *code = context;
    buf_add(code, data, size);
    return buf_failed(code) ? 1 : 0;
}

/* Arguments: the text, the script whose code it becomes. */
static int compile(lua_State *lua)
{
    const struct span *text = lua_touserdata(lua, 1);
    struct script *script = lua_touserdata(lua, 2);
    if (luaL_loadbufferx(lua, text->size ? text->data : "", text->size, script->name, "t") != LUA_OK)
        return lua_error(lua);
    if (lua_dump(lua, write_code, &script->code, 0))
        return luaL_error(lua, "it is too long");
    return 0;
}

/* ---- Around it ---- */

static int run_start(struct run *run)
{
    buf_init(&run->problem, SCRIPT_PROBLEM_MAX * 2);
    arena_init(&run->scratch.arena, SCRATCH_MAX);
    buf_init(&run->scratch.text, SCRIPT_FIELD_VALUE_MAX);
    run->lua = lua_newstate(allocate, run);
    if (!run->lua)
        return LUA_ERRMEM;
    lua_sethook(run->lua, count_steps, LUA_MASKCOUNT, STEPS_PER_LOOK);
    return LUA_OK;
}

static void run_end(struct run *run)
{
    if (run->lua)
        lua_close(run->lua);
    arena_release(&run->scratch.arena);
    buf_release(&run->scratch.text);
    buf_release(&run->problem);
}

/* What Lua raised, as one sentence that begins with the file's name. */
static void explain(struct run *run, int status)
{
    const char *name = run->script->name + 1;
    struct span prefix = span_text(name);
    struct span words = {NULL, 0};
    buf_reset(&run->problem);
    if (status == LUA_ERRMEM) {
        buf_printf(&run->problem, "%s: it takes more memory than script.memory allows, %llu bytes", name,
                   (unsigned long long)run->limits->memory);
        return;
    }
    if (lua_type(run->lua, -1) == LUA_TSTRING)
        words.data = lua_tolstring(run->lua, -1, &words.size);
    /* Of a long name Lua shows the end, behind dots. */
    bool has_place = span_starts_nocase(words, prefix) || span_starts_nocase(words, span_text("..."));
    if (!has_place)
        buf_printf(&run->problem, "%s: ", name);
    if (words.data)
        buf_add_span(&run->problem, span_head(words, SCRIPT_PROBLEM_MAX / 2));
    else
        buf_printf(&run->problem, "it raised an error that is no text but a %s", luaL_typename(run->lua, -1));
}

static void run_protected(struct run *run)
{
    int status = run_start(run);
    if (status == LUA_OK) {
        lua_pushcfunction(run->lua, call_check);
        lua_pushlightuserdata(run->lua, run);
        status = lua_pcall(run->lua, 1, 0, 0);
    }
    if (status != LUA_OK)
        explain(run, status);
    else if (run->is_exhausted)
        buf_printf(&run->problem, "%s: it took %llu steps, and script.steps allows no more", run->script->name + 1,
                   (unsigned long long)run->limits->steps);
}

void script_check(const struct script *script, const struct facts *facts, const struct recipient_facts *r, int64_t now,
                  const struct script_printer *printer, struct script_outcome *outcome)
{
    struct run run = {
        .script = script, .limits = &script->limits, .printer = printer, .facts = facts, .r = r, .now = now};
    run_protected(&run);
    *outcome =
        (struct script_outcome){.steps = run.steps + (run.is_exhausted ? 0 : STEPS_PER_LOOK), .memory = run.most};
    if (!run.problem.size)
        outcome->answer = run.answer;
    size_t size = span_head(buf_span(&run.problem), sizeof outcome->problem - 1).size;
    for (size_t i = 0; i < size; i++)
        outcome->problem[i] = (unsigned char)run.problem.data[i] < ' ' ? ' ' : run.problem.data[i];
    run_end(&run);
}

/* Its top level may be wrong, too, or make no check: better said now than at the first mail. */
static int try_out(const struct script *script, const struct script_printer *printer, struct buf *problem)
{
    struct run run = {.script = script, .limits = &script->limits, .printer = printer};
    run_protected(&run);
    buf_add_span(problem, buf_span(&run.problem));
    int error = run.problem.size ? -1 : 0;
    run_end(&run);
    return error;
}

static int compile_text(struct script *script, struct span text, struct buf *problem)
{
    struct run run = {.script = script, .limits = &script->limits};
    int status = run_start(&run);
    if (status == LUA_OK) {
        lua_pushcfunction(run.lua, compile);
        lua_pushlightuserdata(run.lua, &text);
        lua_pushlightuserdata(run.lua, script);
        status = lua_pcall(run.lua, 2, 0, 0);
    }
    if (status != LUA_OK)
        explain(&run, status);
    buf_add_span(problem, buf_span(&run.problem));
    run_end(&run);
    return status == LUA_OK ? 0 : -1;
}

struct script *script_new(const char *path, struct span text, const struct script_limits *limits,
                          const struct script_printer *printer, struct buf *problem)
{
    struct script *script = calloc(1, sizeof *script);
    if (!script) {
        buf_add_text(problem, "no memory for the script");
        return NULL;
    }
    script->limits = *limits;
    snprintf(script->name, sizeof script->name, "@%s", path);
    buf_init(&script->code, CODE_MAX);
    if (compile_text(script, text, problem) || try_out(script, printer, problem)) {
        script_free(script);
        return NULL;
    }
    return script;
}

void script_free(struct script *script)
{
    if (!script)
        return;
    buf_release(&script->code);
    free(script);
}

void script_set_limits(struct script *script, const struct script_limits *limits)
{
    script->limits = *limits;
}
