#include "lua/value.h"

#include <stdbool.h>
#include <string.h>

static const char array_mt_key = 0;

void kapL_push_array_mt(lua_State *L)
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

void kapL_make_array_mt(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    int loaded = lua_gettop(L);
    if (!lua_istable(L, loaded) || (!array_mt_of(L, loaded, "cjson") &&
                                    !array_mt_of(L, loaded, "cjson.safe")))
        lua_newtable(L);
    lua_pushvalue(L, -1);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &array_mt_key);
}

void kapL_push_list(lua_State *L, int size)
{
    lua_createtable(L, size, 0);
    kapL_push_array_mt(L);
    lua_setmetatable(L, -2);
}

void kapL_push_id_list(lua_State *L, const char *ids, size_t len)
{
    int n = 0;
    kapL_push_list(L, 0);
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
