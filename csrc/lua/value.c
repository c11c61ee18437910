#include "lua/value.h"

#include <stdbool.h>
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
 * Loads the module cjson, so that it does not matter which of the two a program
 * requires first: lua-cjson makes its array_mt when it is loaded, and takes no
 * other. A host without `require`, without such a module, or with one that can't be
 * loaded, is none the worse for it.
 */
static void load_cjson(lua_State *L, int loaded)
{
    lua_getfield(L, loaded, "cjson");
    kapL_rawgetp(L, LUA_REGISTRYINDEX, &loading_key);
    bool pointless = !lua_isnil(L, -2) || lua_toboolean(L, -1);
    lua_settop(L, loaded);
    if (pointless) /* it is there, or it is what requires us just now */
        return;
    lua_pushboolean(L, 1);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &loading_key);
    lua_pushcfunction(L, require_cjson);
    int status = lua_pcall(L, 0, 0, 0);
    lua_pushnil(L);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &loading_key);
    if (status != 0) {
        /* 5.1 notes that it tried; whoever wants it is to be told why not */
        lua_pushnil(L);
        lua_setfield(L, loaded, "cjson");
    }
    if (status == LUA_ERRMEM)
        lua_error(L);
    lua_settop(L, loaded);
}

/* Pushes the metatable of arrays: lua-cjson's, where there is one that has it, so
 * that what it encodes is what was decoded; else our own. */
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

void kapL_value_list(lua_State *L, int size)
{
    lua_createtable(L, size, 0);
    kapL_value_array_mt(L);
    lua_setmetatable(L, -2);
}

void kapL_value_id_list(lua_State *L, const char *ids, size_t len)
{
    int n = 0;
    kapL_value_list(L, 0);
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
