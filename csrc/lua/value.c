#include "lua/value.h"

#include <string.h>

static const char array_mt_key = 0;

void kapL_value_array_mt(lua_State *L)
{
    kapL_rawgetp(L, LUA_REGISTRYINDEX, &array_mt_key);
}

/* Pushes module.array_mt where that module is loaded and has one. */
static bool array_mt_of(lua_State *L, int loaded, const char *module)
{
    lua_getfield(L, loaded, module);
    if (lua_istable(L, -1)) {
        lua_getfield(L, -1, "array_mt");
        if (lua_istable(L, -1))
            return true;
    }
    lua_settop(L, loaded);
    return false;
}

static const char loading_key = 0;

static int require_cjson(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 0);
    return 0;
}

/*
 * Loads the module cjson, so that a program may require it before or after this
 * one: lua-cjson makes its array_mt when it is loaded, and takes no other. It
 * does not matter if the host has no `require` or no such module, or if it
 * can't be loaded.
 */
static void load_cjson(lua_State *L, int loaded)
{
    lua_getfield(L, loaded, "cjson");
    kapL_rawgetp(L, LUA_REGISTRYINDEX, &loading_key);
    bool pointless = !lua_isnil(L, -2) || lua_toboolean(L, -1);
    lua_settop(L, loaded);
    if (pointless) /* it is loaded, or it is being loaded and requires us */
        return;
    lua_pushboolean(L, 1);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &loading_key);
    lua_pushcfunction(L, require_cjson);
    int status = lua_pcall(L, 0, 0, 0);
    lua_pushnil(L);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &loading_key);
    if (status != 0) {
        /* 5.1 keeps a mark of the attempt; without the mark, whoever requires
         * cjson next is told why it can't be loaded */
        lua_pushnil(L);
        lua_setfield(L, loaded, "cjson");
    }
    if (status == LUA_ERRMEM)
        lua_error(L);
    lua_settop(L, loaded);
}

void kapL_value_make_array_mt(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    int loaded = lua_gettop(L);
    bool found = false;
    if (lua_istable(L, loaded)) {
        found = array_mt_of(L, loaded, "cjson") ||
                array_mt_of(L, loaded, "cjson.safe");
        if (!found) {
            load_cjson(L, loaded);
            found = array_mt_of(L, loaded, "cjson");
        }
    }
    if (!found)
        lua_newtable(L);
    lua_pushvalue(L, -1);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &array_mt_key);
}

void kapL_value_list(lua_State *L)
{
    lua_newtable(L);
    kapL_value_array_mt(L);
    lua_setmetatable(L, -2);
}

void kapL_value_id_list(lua_State *L, const char *ids, size_t len)
{
    int n = 0;
    kapL_value_list(L);
    while (len > 0) {
        const char *comma = memchr(ids, ',', len);
        size_t one = comma != NULL ? (size_t)(comma - ids) : len;
        lua_pushlstring(L, ids, one);
        lua_rawseti(L, -2, ++n);
        ids += one;
        len -= one;
        if (comma != NULL)
            ids++, len--;
    }
}

void kapL_value_set_string(lua_State *L, const char *key, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, key);
}

void kapL_value_set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

void kapL_value_set_integer(lua_State *L, const char *key, double value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

void kapL_value_set_flag(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}
