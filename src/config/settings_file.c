/* Reads the Lua file: runs it, then holds what it assigned against the schema. Of several faults the first in the file
 * is told. */
#include "config/build.h"
#include "config/lua_state.h"
#include "config/nearest.h"
#include "config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_MAX (1u << 20)
#define PROBLEM_MAX 4096
#define STEPS_MAX 4
enum { VALUES = 1, LINES = 2 }; /* places on the Lua stack */

struct file_reader {
    const char *name;
    struct span text;
    struct settings *settings;
    lua_State *lua;
    struct buf fault;    /* the sentence of the first fault so far */
    unsigned fault_line; /* 0: no line */
    bool has_fault;
    struct buf scratch, words, expected; /* here and not on the stack, as a Lua error jumps over whoever uses it */
    struct source_step steps[STEPS_MAX]; /* where we are */
    size_t depth;
};

/* ---- Where ---- */

static int line_by_name(struct file_reader *r, struct span name)
{
    lua_pushlstring(r->lua, name.data, name.size);
    int line = lua_rawget(r->lua, LINES) == LUA_TNUMBER ? (int)lua_tointeger(r->lua, -1) : 0;
    lua_pop(r->lua, 1);
    return line > 0 ? line : 0;
}

/* The line of what r->steps lead to; 0 when the file does not set it. */
static unsigned line_here(struct file_reader *r)
{
    struct span name = r->steps[0].key;
    char dotted[128];
    if (r->depth > 1 && r->steps[1].key.size) { /* smtp.errors = 5 */
        int size = snprintf(dotted, sizeof dotted, "%.*s.%.*s", SPAN_ARG(name), SPAN_ARG(r->steps[1].key));
        bool fits = size > 0 && (size_t)size < sizeof dotted;
        int line = fits ? line_by_name(r, span_from(dotted, (size_t)size)) : 0;
        if (line)
            return (unsigned)line;
    }
    int last = line_by_name(r, name);
    return last ? source_find(r->text, (unsigned)last, r->steps, r->depth) : 0;
}

static void enter(struct file_reader *r, struct span key, size_t item)
{
    r->steps[r->depth++] = (struct source_step){key, item};
}

static void leave(struct file_reader *r)
{
    r->depth--;
}

/* ---- What is wrong ---- */

/* The sentence's place: NULL when an earlier fault is known already. */
static struct buf *begin_fault(struct file_reader *r)
{
    unsigned line = line_here(r);
    if (r->has_fault && r->fault_line <= line)
        return NULL;
    buf_reset(&r->fault);
    r->has_fault = true;
    r->fault_line = line;
    return &r->fault;
}

static void write_found(struct file_reader *r, int index, struct buf *out)
{
    size_t size;
    switch (lua_type(r->lua, index)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(r->lua, index, &size);
        buf_add_char(out, '"');
        for (size_t i = 0; i < size && i < 80; i++)
            buf_add_char(out, (unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
        buf_add_char(out, '"');
        break;
    }
    case LUA_TNUMBER:
        if (lua_isinteger(r->lua, index))
            buf_printf(out, "%lld", (long long)lua_tointeger(r->lua, index));
        else
            buf_printf(out, "%.14g", lua_tonumber(r->lua, index));
        break;
    case LUA_TBOOLEAN:
        buf_add_text(out, lua_toboolean(r->lua, index) ? "true" : "false");
        break;
    default:
        buf_printf(out, "a %s", luaL_typename(r->lua, index));
    }
}

/* "smtp.errors", "listeners, item 2, port" */
static void write_here(const struct file_reader *r, struct buf *out)
{
    for (size_t i = 0; i < r->depth; i++) {
        if (i)
            buf_add_text(out, r->steps[i].key.size && !r->steps[i - 1].item ? "." : ", ");
        if (r->steps[i].key.size)
            buf_add_span(out, span_head(r->steps[i].key, 80));
        else
            buf_printf(out, "item %zu", r->steps[i].item);
    }
}

static void refuse_as(struct file_reader *r, struct span expected)
{
    struct buf *out = begin_fault(r);
    if (!out)
        return;
    write_here(r, out);
    buf_add_text(out, ": expected ");
    buf_add_span(out, expected);
    buf_add_text(out, ", found ");
    write_found(r, -1, out);
}

static void refuse_value(struct file_reader *r, const struct setting *setting)
{
    buf_reset(&r->expected);
    setting_write_expected(setting, &r->expected);
    refuse_as(r, buf_span(&r->expected));
}

static void refuse_key(struct file_reader *r, const char *near, const char *advice)
{
    struct buf *out = begin_fault(r);
    if (!out)
        return;
    buf_add_text(out, "unknown key '");
    write_here(r, out);
    buf_add_char(out, '\'');
    if (near)
        buf_printf(out, "; did you mean '%s'?", near);
    else
        buf_add_text(out, advice);
}

/* ---- Values ---- */

static bool suits(const struct file_reader *r, enum setting_type type)
{
    int found = lua_type(r->lua, -1);
    switch (type) {
    case SETTING_BOOL:
        return found == LUA_TBOOLEAN;
    case SETTING_COUNT:
        return found == LUA_TNUMBER;
    case SETTING_SIZE:
    case SETTING_DURATION:
    case SETTING_CHOICE:
        return found == LUA_TNUMBER || found == LUA_TSTRING;
    default:
        return found == LUA_TSTRING;
    }
}

/* The value on top of the stack, read into base by way of its text form. */
static bool read_scalar(struct file_reader *r, const struct setting *setting, void *base)
{
    bool right = suits(r, setting->type);
    if (right) {
        struct span text = span_text(lua_toboolean(r->lua, -1) ? "true" : "false");
        char number[40];
        if (lua_type(r->lua, -1) == LUA_TSTRING) {
            size_t size;
            const char *data = lua_tolstring(r->lua, -1, &size);
            text = span_from(data, size);
        } else if (lua_type(r->lua, -1) == LUA_TNUMBER) {
            int whole;
            long long integer = lua_tointegerx(r->lua, -1, &whole);
            int size = whole ? snprintf(number, sizeof number, "%lld", integer)
                             : snprintf(number, sizeof number, "%.14g", lua_tonumber(r->lua, -1));
            text = span_from(number, (size_t)size);
        }
        right = setting_parse(setting, text, base, settings_memory(r->settings));
    }
    if (!right)
        refuse_value(r, setting);
    return right;
}

static bool read_network(struct file_reader *r, struct buf *list)
{
    size_t size;
    const char *data = lua_type(r->lua, -1) == LUA_TSTRING ? lua_tolstring(r->lua, -1, &size) : NULL;
    struct network network;
    if (!data || !network_parse(span_from(data, size), &network)) {
        refuse_as(r, span_text("a network like \"192.0.2.0/24\", its bits behind the prefix zero"));
        return false;
    }
    buf_add(list, data, size);
    return true;
}

static size_t count_entries(lua_State *lua, size_t limit)
{
    size_t n = 0;
    for (lua_pushnil(lua); lua_next(lua, -2); lua_pop(lua, 1)) {
        if (++n > limit) {
            lua_pop(lua, 2);
            break;
        }
    }
    return n;
}

static bool read_word(struct file_reader *r, const struct word_kind *kind, struct buf *list)
{
    size_t size;
    const char *data = lua_type(r->lua, -1) == LUA_TSTRING ? lua_tolstring(r->lua, -1, &size) : NULL;
    if (!data || !value_is_word(kind, span_from(data, size))) {
        refuse_as(r, span_text(kind->expected_one));
        return false;
    }
    buf_add(list, data, size);
    return true;
}

static bool read_record(struct file_reader *r, const struct record_type *type, struct buf *list);

static bool read_item(struct file_reader *r, const struct setting *setting, struct buf *list)
{
    switch (setting->type) {
    case SETTING_NETWORKS:
        return read_network(r, list);
    case SETTING_WORDS:
        return read_word(r, setting->words, list);
    default:
        return read_record(r, setting->records, list);
    }
}

/* A list becomes its text form item by item, so that a fault is found in the item's own line. `list` is the place for
 * the text form. */
static bool read_list(struct file_reader *r, const struct setting *setting, void *base, struct buf *list)
{
    bool is_table = lua_type(r->lua, -1) == LUA_TTABLE;
    size_t count = is_table ? lua_rawlen(r->lua, -1) : 0;
    if (!is_table || count_entries(r->lua, setting->most) != count || count < setting->least) {
        refuse_value(r, setting);
        return false;
    }
    buf_reset(list);
    bool good = true;
    for (size_t i = 1; i <= count; i++) {
        if (i > 1)
            buf_add_char(list, setting->type == SETTING_RECORDS ? ';' : ',');
        lua_rawgeti(r->lua, -1, (lua_Integer)i);
        enter(r, span_from(NULL, 0), i);
        good &= read_item(r, setting, list);
        leave(r);
        lua_pop(r->lua, 1);
    }
    bool set = good && !buf_failed(list) && setting_parse(setting, buf_span(list), base, settings_memory(r->settings));
    if (good && !set)
        refuse_value(r, setting);
    return set;
}

/* ---- Records ---- */

static const struct setting *find_field(const struct record_type *type, struct span name)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (span_is(name, type->fields[i].name))
            return &type->fields[i];
    return NULL;
}

static void refuse_field(struct file_reader *r, const struct record_type *type, struct span name)
{
    struct nearest nearest;
    char advice[128];
    nearest_init(&nearest, name);
    for (size_t i = 0; i < type->field_count; i++)
        nearest_offer(&nearest, type->fields[i].name);
    snprintf(advice, sizeof advice, "; %s", type->keys);
    refuse_key(r, nearest_get(&nearest), advice);
}

static bool read_field(struct file_reader *r, const struct record_type *type, void *record)
{
    size_t size = 0;
    const char *data = lua_type(r->lua, -2) == LUA_TSTRING ? lua_tolstring(r->lua, -2, &size) : NULL;
    struct span name = data && size ? span_from(data, size) : span_text("?");
    const struct setting *field = find_field(type, name);
    bool good = false;
    enter(r, name, 0);
    if (!field)
        refuse_field(r, type, name);
    else if (field->type == SETTING_WORDS)
        good = read_list(r, field, record, &r->words);
    else
        good = read_scalar(r, field, record);
    leave(r);
    return good;
}

/* What the file leaves out and has no default. */
static bool find_missing(struct file_reader *r, const struct record_type *type)
{
    for (size_t i = 0; i < type->field_count; i++) {
        bool missing = lua_getfield(r->lua, -1, type->fields[i].name) == LUA_TNIL && !type->fields[i].fallback;
        lua_pop(r->lua, 1);
        if (!missing)
            continue;
        struct buf *out = begin_fault(r);
        if (out) {
            write_here(r, out);
            buf_printf(out, ": '%s' is missing", type->fields[i].name);
        }
        return true;
    }
    return false;
}

static bool read_record(struct file_reader *r, const struct record_type *type, struct buf *list)
{
    _Alignas(max_align_t) char record[RECORD_SIZE_MAX] = {0};
    if (lua_type(r->lua, -1) != LUA_TTABLE) {
        refuse_as(r, span_text(type->expected_one));
        return false;
    }
    bool good = true;
    for (size_t i = 0; i < type->field_count; i++)
        if (type->fields[i].fallback)
            good &= setting_parse(&type->fields[i], span_text(type->fields[i].fallback), record,
                                  settings_memory(r->settings));
    for (lua_pushnil(r->lua); lua_next(r->lua, -2); lua_pop(r->lua, 1))
        good &= read_field(r, type, record);
    if (!good || find_missing(r, type))
        return false;
    value_write_record(type, record, list);
    return true;
}

static void read_setting(struct file_reader *r, const struct setting *setting)
{
    bool is_list =
        setting->type == SETTING_NETWORKS || setting->type == SETTING_WORDS || setting->type == SETTING_RECORDS;
    /* What is wrong with it was told. */
    if (is_list)
        (void)read_list(r, setting, r->settings, &r->scratch);
    else
        (void)read_scalar(r, setting, r->settings);
}

/* ---- The file ---- */

static void read_section_entry(struct file_reader *r, struct span section)
{
    if (lua_type(r->lua, -2) != LUA_TSTRING) {
        refuse_as(r, span_text("names with values, like { name = value }, and no list item"));
        return;
    }
    size_t size;
    const char *data = lua_tolstring(r->lua, -2, &size);
    struct span key = span_from(data, size);
    char name[128];
    int length = snprintf(name, sizeof name, "%.*s.%.*s", SPAN_ARG(section), SPAN_ARG(key));
    struct span full = span_from(name, length > 0 && (size_t)length < sizeof name ? (size_t)length : sizeof name - 1);
    enter(r, key, 0);
    const struct setting *setting = schema_find(full);
    if (setting)
        read_setting(r, setting);
    else
        refuse_key(r, schema_nearest(full), "");
    leave(r);
}

static void read_entry(struct file_reader *r)
{
    size_t size;
    const char *data = lua_tolstring(r->lua, -2, &size);
    struct span name = span_from(data, size);
    enter(r, name, 0);
    bool dotted = span_find(name, '.') < name.size;
    const struct setting *setting = dotted ? NULL : schema_find(name);
    if (setting) {
        read_setting(r, setting);
    } else if (!schema_has_section(name)) {
        refuse_key(r, schema_nearest(name), "; variables of your own are written with 'local'");
    } else if (lua_type(r->lua, -1) != LUA_TTABLE) {
        refuse_as(r, span_text("a table like { name = value }"));
    } else {
        for (lua_pushnil(r->lua); lua_next(r->lua, -2); lua_pop(r->lua, 1))
            read_section_entry(r, name);
    }
    leave(r);
}

/* Goes to the setting that a check found fault with. */
static void enter_fault(struct file_reader *r, const struct setting *setting, size_t item)
{
    struct span rest = span_text(setting ? setting->name : "");
    r->depth = 0;
    enter(r, span_cut(&rest, '.'), 0);
    if (rest.size || item)
        enter(r, rest, item);
}

/* Runs inside lua_pcall, as Lua may raise an error wherever it takes memory. */
static int read_values(lua_State *lua)
{
    struct file_reader *r = lua_touserdata(lua, 1);
    lua_state_run(lua, r->text);
    for (lua_pushnil(lua); lua_next(lua, VALUES); lua_pop(lua, 1))
        read_entry(r);
    if (r->has_fault)
        return 0;
    struct setting_fault fault;
    buf_reset(&r->scratch);
    if (!settings_finish(r->settings, &fault, &r->scratch)) {
        enter_fault(r, fault.setting, fault.item);
        if (fault.other && line_here(r) == 0)
            enter_fault(r, fault.other, 0);
        struct buf *out = begin_fault(r);
        if (out)
            buf_add_span(out, buf_span(&r->scratch));
        r->depth = 0;
    }
    return 0;
}

/* Lua's own errors begin with the chunk's name and a line. */
static void tell_lua_error(struct file_reader *r, int status)
{
    size_t size = 0;
    const char *data = lua_type(r->lua, -1) == LUA_TSTRING ? lua_tolstring(r->lua, -1, &size) : NULL;
    struct span text = data ? span_from(data, size) : span_text("the file raised an error that is not a text");
    buf_reset(&r->fault);
    r->has_fault = true;
    r->fault_line = 0;
    if (status == LUA_ERRMEM)
        text = span_text("the file takes too much memory");
    struct span prefix = span_text("config:");
    if (span_starts_nocase(text, prefix)) {
        struct span rest = span_skip(text, prefix.size);
        struct span number = span_cut(&rest, ':');
        uint64_t line;
        if (span_parse_u64(number, UINT32_MAX, &line)) {
            r->fault_line = (unsigned)line;
            text = span_trim(rest);
        }
    }
    for (size_t i = 0; i < text.size && i < 512; i++)
        buf_add_char(&r->fault, (unsigned char)text.data[i] < ' ' ? ' ' : text.data[i]);
}

static void tell_fault(const struct file_reader *r, struct buf *problem)
{
    buf_add_text(problem, r->name);
    if (r->fault_line)
        buf_printf(problem, ":%u", r->fault_line);
    buf_add_text(problem, ": ");
    buf_add_span(problem, buf_span(&r->fault));
}

struct settings *settings_read_text(const char *name, struct span text, struct buf *problem)
{
    static const struct span byte_order_mark = SPAN("\xef\xbb\xbf");
    if (span_starts_nocase(text, byte_order_mark)) /* some editors put it there */
        text = span_skip(text, byte_order_mark.size);
    struct file_reader r = {.name = name, .text = text, .settings = settings_new()};
    struct lua_state state = {0};
    buf_init(&r.fault, PROBLEM_MAX);
    buf_init(&r.scratch, FILE_MAX);
    buf_init(&r.words, FILE_MAX);
    buf_init(&r.expected, PROBLEM_MAX);
    bool ready = r.settings && lua_state_init(&state) == 0;
    if (ready) {
        r.lua = state.lua;
        r.settings->file = arena_text(settings_memory(r.settings), span_text(name));
        lua_pushcfunction(r.lua, read_values);
        lua_pushlightuserdata(r.lua, &r);
        int status = lua_pcall(r.lua, 1, 0, 0);
        if (status != LUA_OK)
            tell_lua_error(&r, status);
    }
    bool good = ready && !r.has_fault && r.settings->file;
    if (r.has_fault)
        tell_fault(&r, problem);
    else if (!good)
        buf_printf(problem, "%s: out of memory", name);
    if (!good) {
        settings_unref(r.settings);
        r.settings = NULL;
    }
    buf_release(&r.fault);
    buf_release(&r.scratch);
    buf_release(&r.words);
    buf_release(&r.expected);
    lua_state_release(&state);
    return r.settings;
}

static int read_all(const char *path, struct buf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int result = 0;
    for (;;) {
        char *to = buf_reserve(text, 4096);
        if (!to) {
            result = -EFBIG;
            break;
        }
        ssize_t n = read(fd, to, 4096);
        if (n > 0)
            text->size += (size_t)n;
        else if (n == 0)
            break;
        else if (errno != EINTR) {
            result = -errno;
            break;
        }
    }
    close(fd);
    return result;
}

struct settings *settings_read_file(const char *path, struct buf *problem)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    struct settings *settings = NULL;
    int error = read_all(path, &text);
    if (error)
        buf_printf(problem, "%s can't be read: %s", path, strerror(-error));
    else
        settings = settings_read_text(path, buf_span(&text), problem);
    buf_release(&text);
    return settings;
}
