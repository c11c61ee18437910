#include "lua/recall.h"

static bool is_same(lua_State *L, int a, int b)
{
#if KAP_LUA_INTEGERS
    /* 2^60 and 2^60 + 0.0 are equal, but not the same text */
    if (lua_isinteger(L, a) != lua_isinteger(L, b))
        return false;
#endif
    return lua_rawequal(L, a, b) != 0;
}

static bool is_plain(lua_State *L, int idx)
{
    int type = lua_type(L, idx);
    return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

kap_settings *kapL_recall(lua_State *L, int client, int opts)
{
    const kap_client *c = lua_touserdata(L, client);
    int top = lua_gettop(L), n = 0;
    bool same = true, given = lua_istable(L, opts);
    if (c == NULL || c->recalled == NULL ||
        (!given && !lua_isnoneornil(L, opts)))
        return NULL;
    kapL_room(L, 5);
    kapL_getuservalue(L, client);
    lua_rawgeti(L, -1, KAP_CLIENT_RECALLED);
    int copy = top + 2;
    lua_pushnil(L);
    for (; given && same && lua_next(L, opts) != 0; n++) {
        lua_pushvalue(L, -2);
        lua_rawget(L, copy);
        same = is_same(L, -1, -2);
        lua_pop(L, 2);
    }
    lua_settop(L, top);
    return same && n == c->recalled_n ? kap_settings_ref(c->recalled) : NULL;
}

/* How many members it has, or -1: not all of them are plain. */
static int count_plain(lua_State *L, int opts)
{
    int n = 0;
    for (lua_pushnil(L); lua_next(L, opts) != 0; lua_pop(L, 1), n++) {
        if (!is_plain(L, -1)) {
            lua_pop(L, 2);
            return -1;
        }
    }
    return n;
}

bool kapL_recall_copy(lua_State *L, int opts)
{
    int top = lua_gettop(L);
    bool given = lua_istable(L, opts);
    if (!given && !lua_isnoneornil(L, opts))
        return false;
    kapL_room(L, 6);
    int n = given ? count_plain(L, opts) : 0;
    if (n < 0)
        return false;
    /* Finalizers may run here, and change the table. Below, where nothing is
     * allocated, none do; for another number of members there may be no room. */
    lua_createtable(L, 0, n);
    int copy = top + 1;
    bool plain = !given || count_plain(L, opts) == n;
    lua_pushnil(L);
    while (given && plain && lua_next(L, opts) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, copy);
    }
    lua_settop(L, copy);
    if (plain)
        lua_replace(L, opts);
    lua_settop(L, top);
    return plain;
}

void kapL_recall_note(lua_State *L, int client, int copy, kap_settings *s)
{
    kap_client *c = lua_touserdata(L, client);
    if (c->closed) /* by a finalizer, just now */
        return;
    int top = lua_gettop(L);
    kapL_room(L, 4);
    kapL_getuservalue(L, client);
    lua_pushvalue(L, copy);
    lua_rawseti(L, -2, KAP_CLIENT_RECALLED);
    lua_settop(L, top);
    kap_settings_unref(c->recalled);
    c->recalled = kap_settings_ref(s);
    c->recalled_n = count_plain(L, copy);
}
