#include "lua/error.h"

#include "lua/value.h"

#include <stdarg.h>
#include <stdio.h>

_Noreturn void kapL_error_nomem(lua_State *L)
{
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
}

_Noreturn void kapL_error_argument(lua_State *L, int arg, const char *func,
                                   const char *fmt, ...)
{
    char words[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    luaL_error(L, "bad argument #%d to '%s' (%s)", arg, func, words);
}

#define ERROR_TYPE "kapture.error"

/* print(err), error(err) and logs show the message. */
static int error_tostring(lua_State *L)
{
    if (lua_istable(L, 1)) {
        lua_pushliteral(L, "message");
        lua_rawget(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            return 1;
    }
    lua_pushliteral(L, ERROR_TYPE);
    return 1;
}

void kapL_error_register(lua_State *L)
{
    luaL_newmetatable(L, ERROR_TYPE);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pop(L, 1);
}

void kapL_error_push(lua_State *L, const kap_failure *f)
{
    lua_createtable(L, 0, 8);
    luaL_getmetatable(L, ERROR_TYPE);
    lua_setmetatable(L, -2);
    kapL_value_set_string(L, "kind", kap_failure_name(f->kind));
    kapL_value_set_string(L, "message", f->message);
    if (f->status != 0)
        kapL_value_set_integer(L, "status", f->status);
    kapL_value_set_flag(L, "retryable", f->retryable);
    kapL_value_set_integer(L, "attempts", f->attempts);
    if (f->retry_after >= 0)
        kapL_value_set_number(L, "retry_after", f->retry_after);
    if (f->body_len > 0) {
        lua_pushlstring(L, f->body, f->body_len);
        lua_setfield(L, -2, "body");
    }
}
