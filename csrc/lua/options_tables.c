/* Options that are tables: headers, fields, body. */
#include "base/ascii.h"
#include "lua/options_parts.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What this module sets itself. */
static const char *const own_headers[] = {
    "Authorization", "Content-Type", "Content-Length",
    "Host",          "Cookie",       "Transfer-Encoding",
    "Expect",        "User-Agent",   "Accept-Encoding",
};

static bool is_header_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!kap_is_letter(s[i]) && !kap_is_digit(s[i]) &&
            (s[i] == '\0' || strchr("!#$%&'*+-.^_`|~", s[i]) == NULL))
            return false;
    return n > 0;
}

/* Checks one header of a table; its name and value are on top. */
static void check_header(parse *p)
{
    lua_State *L = p->L;
    size_t n;
    const char *name;
    if (lua_type(L, -2) != LUA_TSTRING)
        FAIL(p,
             "option 'headers': a table of name = value expected, got a "
             "%s key",
             luaL_typename(L, -2));
    name = lua_tolstring(L, -2, &n);
    if (!is_header_name(name, n) && !kap_has_control(name, n))
        FAIL(p, "option 'headers': '%.40s' is no header name", name);
    for (size_t i = 0; i < sizeof own_headers / sizeof *own_headers; i++)
        if (curl_strequal(name, own_headers[i]))
            FAIL(p, "option 'headers': '%s' is set by kapture itself",
                 own_headers[i]);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        FAIL(p, "option 'headers': a string expected for '%.40s', got %s", name,
             luaL_typename(L, -1));
}

static void add_header(parse *p, size_t at)
{
    lua_State *L = p->L;
    size_t name_len, len;
    char *line;
    char digits[64];
    lua_pushvalue(L, -1); /* tolstring would change a number in place */
    if (lua_type(L, -1) == LUA_TNUMBER) {
        len = kapL_options_number_text(L, -1, digits, sizeof digits);
        lua_pushlstring(L, digits, len);
        lua_replace(L, -2);
    }
    const char *value = lua_tolstring(L, -1, &len);
    const char *name = lua_tolstring(L, -3, &name_len);
    line = malloc(name_len + len + sizeof UNUSABLE + 2);
    if (line == NULL)
        kapL_error_nomem(L);
    memcpy(line, name, name_len);
    if (kap_has_control(name, name_len))
        memcpy(line, UNUSABLE, sizeof UNUSABLE);
    else if (kap_has_control(value, len))
        memcpy(line + name_len, UNUSABLE, sizeof UNUSABLE);
    else if (strspn(value, " ") == len) /* libcurl's notation for "no value" */
        memcpy(line + name_len, ";", 2);
    else
        snprintf(line + name_len, len + 3, ": %s", value);
    p->s->headers[at] = line;
    lua_pop(L, 1);
}

void kapL_options_headers(parse *p, const kap_option *o, int idx)
{
    lua_State *L = p->L;
    size_t n = 0;
    if (!lua_istable(L, idx)) {
        kapL_options_wrong(p, o, idx, "a table");
        return;
    }
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        check_header(p);
        n++;
    }
    kap_settings_clear_headers(p->s);
    p->s->headers = calloc(n + 1, sizeof *p->s->headers);
    if (p->s->headers == NULL)
        kapL_error_nomem(L);
    size_t at = 0;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
        if (at < n)
            add_header(p, at++);
}

void kapL_options_fields(parse *p, const kap_option *o, int idx)
{
    lua_State *L = p->L;
    if (!lua_istable(L, idx)) {
        kapL_options_wrong(p, o, idx, "a list of paths");
        return;
    }
    size_t n = lua_rawlen(L, idx);
    if (n == 0)
        FAIL(p, "option 'fields': the list is empty");
    kap_fields_free(p->s->fields);
    p->s->fields = kap_fields_new();
    if (p->s->fields == NULL)
        kapL_error_nomem(L);
    for (size_t i = 1; i <= n; i++) {
        size_t len;
        const char *path;
        lua_rawgeti(L, idx, (int)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            FAIL(p, "option 'fields': a string expected at [%d], got %s",
                 (int)i, luaL_typename(L, -1));
        path = lua_tolstring(L, -1, &len);
        kap_fields_status rc = kap_fields_add(p->s->fields, path, len);
        if (rc == KAP_FIELDS_NOMEM)
            kapL_error_nomem(L);
        if (rc != KAP_FIELDS_OK)
            FAIL(p,
                 "option 'fields': an empty name in the path '%.60s' at [%d]",
                 path, (int)i);
        lua_pop(L, 1);
    }
}

static void check_body_keys(parse *p, int idx)
{
    lua_State *L = p->L;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            FAIL(p,
                 "option 'body': a table of name = value expected, got a %s "
                 "key",
                 luaL_typename(L, -2));
        const char *name = lua_tostring(L, -2);
        if (strcmp(name, "ticket_ids") == 0)
            FAIL(p, "option 'body': 'ticket_ids' is the call's first argument");
        for (size_t i = 0; i < kap_settings_option_count; i++)
            if (kap_settings_options[i].type == KAP_OPTION_PARAM &&
                strcmp(name, kap_settings_options[i].name) == 0)
                FAIL(p, "option 'body': '%s' is an option of its own", name);
    }
}

/* Pushes cjson.encode, or returns false. */
static bool push_encoder(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM)
        lua_error(L);
    if (status != 0 || !lua_istable(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_getfield(L, -1, "encode");
    lua_remove(L, -2);
    return true;
}

void kapL_options_body(parse *p, const kap_option *o, int idx)
{
    lua_State *L = p->L;
    size_t n;
    const char *json;
    if (!lua_istable(L, idx)) {
        kapL_options_wrong(p, o, idx, "a table");
        return;
    }
    check_body_keys(p, idx);
    p->s->body_unencoded = !push_encoder(L);
    if (p->s->body_unencoded)
        return;
    lua_pushvalue(L, idx);
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM)
        lua_error(L);
    if (status != 0)
        FAIL(p, "option 'body': %.200s",
             lua_isstring(L, -1) ? lua_tostring(L, -1) : "it can't be encoded");
    json = lua_tolstring(L, -1, &n);
    if (json == NULL || n < 2)
        FAIL(p, "option 'body': it can't be encoded");
    /* without its braces, ready to follow the other members */
    if (!kap_settings_string(&p->s->body, json + 1, *json == '{' ? n - 2 : 0))
        kapL_error_nomem(L);
    lua_pop(L, 1);
}
