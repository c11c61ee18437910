#include "api/adapter.h"

#include "lua/client.h"
#include "lua/drive.h"

#include <errno.h>
#include <string.h>

#define ADAPTER_TABLE "kapture.adapter"

static int adapter_listen(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_engine *e = kapL_client_engine(L, c);
    const char *why = kap_client_closed_words(), *path = NULL;
    /* Now, not by the first submit: an iterator's calls would otherwise be
     * driven only while somebody blocks in them, and in nginx nobody does. */
    if (e != NULL && kap_engine_start(e, &why)) {
        path = kap_engine_listen(e);
        why = strerror(errno);
    }
    if (path == NULL) {
        lua_pushnil(L);
        lua_pushstring(L, why);
        return 2;
    }
    lua_pushstring(L, path);
    return 1;
}

static int adapter_accept(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_client_check_fork(c);
    bool ok = c->engine != NULL && kap_engine_accept(c->engine);
    if (ok)
        kap_client_settle_mark(c);
    lua_pushboolean(L, ok);
    return 1;
}

static int adapter_hang_up(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_client_check_fork(c);
    if (c->engine != NULL)
        kap_engine_hang_up(c->engine);
    return 0;
}

void kapL_adapter_add(lua_State *L, const luaL_Reg *functions)
{
    lua_getfield(L, LUA_REGISTRYINDEX, ADAPTER_TABLE);
    kapL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
}

void kapL_adapter_register(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"listen", adapter_listen},
        {"accept", adapter_accept},
        {"hang_up", adapter_hang_up},
        {NULL, NULL},
    };
    lua_createtable(L, 0, 8);
    lua_setfield(L, LUA_REGISTRYINDEX, ADAPTER_TABLE);
    kapL_adapter_add(L, functions);
}
