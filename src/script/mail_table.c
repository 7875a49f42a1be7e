#include "script/mail_table.h"

#include "format/encoded_word.h"
#include "format/header.h"
#include "format/ip_address.h"

#include <lauxlib.h>

static void push_span(lua_State *lua, struct span s)
{
    lua_pushlstring(lua, s.size ? s.data : "", s.size);
}

static void set_span(lua_State *lua, const char *key, struct span s)
{
    push_span(lua, s);
    lua_setfield(lua, -2, key);
}

/* Nil where it is empty. */
static void set_some(lua_State *lua, const char *key, struct span s)
{
    if (s.size)
        set_span(lua, key, s);
}

static void set_bool(lua_State *lua, const char *key, bool value)
{
    lua_pushboolean(lua, value);
    lua_setfield(lua, -2, key);
}

static void set_number(lua_State *lua, const char *key, uint64_t value)
{
    lua_pushinteger(lua, value > INT64_MAX ? INT64_MAX : (lua_Integer)value);
    lua_setfield(lua, -2, key);
}

static void set_ip(lua_State *lua, const char *key, const struct ip_address *ip, struct mail_table_scratch *scratch)
{
    buf_reset(&scratch->text);
    ip_address_write(ip, &scratch->text);
    set_span(lua, key, buf_span(&scratch->text));
}

/* ---- The message's header ---- */

/* mail.header(NAME), and mail:header(NAME). Upvalue: mail.headers. */
static int find_header(lua_State *lua)
{
    int at = lua_istable(lua, 1) ? 2 : 1;
    size_t size;
    luaL_Buffer lower;
    const char *name = luaL_checklstring(lua, at, &size);
    char *to = luaL_buffinitsize(lua, &lower, size);
    for (size_t i = 0; i < size; i++)
        to[i] = ascii_lower(name[i]);
    luaL_pushresultsize(&lower, size);
    if (lua_rawget(lua, lua_upvalueindex(1)) != LUA_TTABLE)
        return 0;
    lua_rawgeti(lua, -1, 1);
    return 1;
}

static void push_lower(lua_State *lua, struct span name)
{
    luaL_Buffer lower;
    char *to = luaL_buffinitsize(lua, &lower, name.size);
    for (size_t i = 0; i < name.size; i++)
        to[i] = ascii_lower(name.data[i]);
    luaL_pushresultsize(&lower, name.size);
}

static void push_value(lua_State *lua, struct span value, struct mail_table_scratch *scratch)
{
    arena_reset(&scratch->arena);
    buf_reset(&scratch->text);
    encoded_word_decode(header_text(value, &scratch->arena), &scratch->text);
    push_span(lua, buf_span(&scratch->text));
}

/* mail.headers: by name in lower case, lists of values in their order. */
static void push_headers(lua_State *lua, struct span header, struct mail_table_scratch *scratch)
{
    struct header_field field;
    lua_newtable(lua);
    for (unsigned i = 0; i < SCRIPT_FIELDS_MAX && header_next(&header, &field); i++) {
        if (!field.name.size)
            continue;
        push_lower(lua, field.name);
        lua_pushvalue(lua, -1);
        if (lua_rawget(lua, -3) != LUA_TTABLE) {
            lua_pop(lua, 1);
            lua_newtable(lua);
            lua_pushvalue(lua, -2);
            lua_pushvalue(lua, -2);
            lua_rawset(lua, -5);
        }
        push_value(lua, field.value, scratch);
        lua_rawseti(lua, -2, (lua_Integer)lua_rawlen(lua, -2) + 1);
        lua_pop(lua, 2);
    }
}

static void set_attachments(lua_State *lua, const struct content_fact *content)
{
    lua_newtable(lua);
    for (size_t i = 0; i < content->attachment_count; i++) {
        lua_createtable(lua, 0, 2);
        set_span(lua, "type", content->attachments[i].type);
        set_span(lua, "name", content->attachments[i].name);
        lua_rawseti(lua, -2, (lua_Integer)i + 1);
    }
    lua_setfield(lua, -2, "attachments");
}

static void set_content(lua_State *lua, const struct content_fact *content, struct mail_table_scratch *scratch)
{
    set_number(lua, "size", content->size);
    set_span(lua, "subject", content->subject);
    set_span(lua, "from", content->from);
    set_some(lua, "message_id", content->message_id);
    set_some(lua, "user_agent", content->user_agent);
    set_bool(lua, "automatic", content->is_automatic);
    set_attachments(lua, content);
    push_headers(lua, content->header, scratch);
    lua_pushvalue(lua, -1);
    lua_setfield(lua, -3, "headers");
    lua_pushcclosure(lua, find_header, 1);
    lua_setfield(lua, -2, "header");
}

/* ---- What was known before it ---- */

/* mail.dns_lists: a list of those that were asked, each also under its zone. */
static void set_dns_lists(lua_State *lua, const struct facts *facts)
{
    static const char *const results[] = {[DNS_LIST_FACT_NOT_LISTED] = "not listed",
                                          [DNS_LIST_FACT_LISTED] = "listed",
                                          [DNS_LIST_FACT_UNKNOWN] = "unknown"};
    lua_newtable(lua);
    for (size_t i = 0; i < facts->dns_list_count; i++) {
        const struct dns_list_fact *list = &facts->dns_lists[i];
        lua_createtable(lua, 0, 5);
        set_span(lua, "zone", list->zone);
        set_span(lua, "reason", list->reason);
        set_bool(lua, "white", list->is_white);
        set_bool(lua, "listed", list->result == DNS_LIST_FACT_LISTED);
        set_span(lua, "result", span_text(results[list->result]));
        lua_pushvalue(lua, -1);
        lua_rawseti(lua, -3, (lua_Integer)i + 1);
        push_span(lua, list->zone);
        lua_insert(lua, -2);
        lua_rawset(lua, -3);
    }
    lua_setfield(lua, -2, "dns_lists");
}

static void set_whois(lua_State *lua, const struct whois_fact *whois)
{
    lua_createtable(lua, 0, 5);
    set_span(lua, "text", whois->text);
    set_some(lua, "country", whois->country);
    set_some(lua, "registry", whois->registry);
    set_some(lua, "network", whois->network);
    set_some(lua, "as", whois->as_);
    lua_setfield(lua, -2, "whois");
}

static void set_connection(lua_State *lua, const struct facts *facts, struct mail_table_scratch *scratch)
{
    static const char *const standings[] = {[STANDING_STRANGER] = "stranger",
                                            [STANDING_MEMBER] = "member",
                                            [STANDING_WINDOW] = "window",
                                            [STANDING_CLIENT_NETWORK] = "client network"};
    set_ip(lua, "ip", &facts->ip, scratch);
    set_some(lua, "helo", facts->helo);
    set_bool(lua, "tls", facts->is_tls);
    set_bool(lua, "fetched", facts->is_fetched);
    set_bool(lua, "early", facts->spoke_early);
    set_span(lua, "standing", span_text(standings[facts->standing]));
    if (facts->state[FACT_PTR] == FACT_KNOWN) {
        set_some(lua, "ptr", facts->ptr.name);
        set_some(lua, "ptr_claimed", facts->ptr.claimed);
    }
    if (facts->state[FACT_DNS_LISTS] == FACT_KNOWN)
        set_dns_lists(lua, facts);
    if (facts->state[FACT_WHOIS] == FACT_KNOWN)
        set_whois(lua, &facts->whois);
}

void script_push_mail(lua_State *lua, const struct facts *facts, const struct recipient_facts *r, int64_t now,
                      struct mail_table_scratch *scratch)
{
    bool has_content = facts->state[FACT_CONTENT] == FACT_KNOWN;
    lua_createtable(lua, 0, 24);
    set_span(lua, "stage", span_text(has_content ? "content" : "rcpt"));
    lua_pushinteger(lua, now);
    lua_setfield(lua, -2, "time");
    set_connection(lua, facts, scratch);
    set_span(lua, "sender", facts->reverse_path);
    set_some(lua, "sender_account", facts->sender_account);
    set_span(lua, "recipient", r->recipient);
    set_some(lua, "account", r->account);
    if (facts->declared_size)
        set_number(lua, "size", facts->declared_size);
    if (has_content)
        set_content(lua, &facts->content, scratch);
}
