/*
 * One Lua API for 5.1, LuaJIT, and 5.3 to 5.5: what is missing in an older one
 * is defined here, under the name the newest has. All static.
 */
#ifndef KAP_COMPAT_H
#define KAP_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#include <stddef.h>

/* They do not return, whatever their types say: compilers and analyzers can
 * do with knowing. */
_Noreturn LUA_API int lua_error(lua_State *L);
_Noreturn LUALIB_API int luaL_error(lua_State *L, const char *fmt, ...);

/* Room for so many values more. We need little of it at a time: what a stack
 * lacks for that is memory, except deep in a recursion of the caller's. */
#define kapL_room(L, n) luaL_checkstack((L), (n), "not enough memory")

#if LUA_VERSION_NUM < 502

/* A userdata's associated table. 5.1 has one environment each, which starts
 * as the running function's: kapL_setuservalue must come before any get. */
#define kapL_setuservalue(L, idx) ((void)lua_setfenv((L), (idx)))
#define kapL_getuservalue(L, idx) lua_getfenv((L), (idx))
#define lua_rawlen lua_objlen

static inline int kapL_absindex(lua_State *L, int idx)
{
    return (idx > 0 || idx <= LUA_REGISTRYINDEX) ? idx
                                                 : lua_gettop(L) + idx + 1;
}

static inline void kapL_setfuncs(lua_State *L, const luaL_Reg *l, int nup)
{
    kapL_room(L, nup);
    for (; l->name != NULL; l++) {
        for (int i = 0; i < nup; i++)
            lua_pushvalue(L, -nup);
        lua_pushcclosure(L, l->func, nup);
        lua_setfield(L, -(nup + 2), l->name);
    }
    lua_pop(L, nup);
}

static inline void kapL_rawgetp(lua_State *L, int idx, const void *p)
{
    idx = kapL_absindex(L, idx);
    lua_pushlightuserdata(L, (void *)(size_t)p);
    lua_rawget(L, idx);
}

static inline void kapL_rawsetp(lua_State *L, int idx, const void *p)
{
    idx = kapL_absindex(L, idx);
    lua_pushlightuserdata(L, (void *)(size_t)p);
    lua_insert(L, -2);
    lua_rawset(L, idx);
}

#else

#define kapL_setuservalue(L, idx) ((void)lua_setuservalue((L), (idx)))
#define kapL_getuservalue(L, idx) ((void)lua_getuservalue((L), (idx)))
#define kapL_absindex lua_absindex
#define kapL_setfuncs luaL_setfuncs
#define kapL_rawgetp(L, idx, p) ((void)lua_rawgetp((L), (idx), (p)))
#define kapL_rawsetp(L, idx, p) lua_rawsetp((L), (idx), (p))

#endif

/* Whether this Lua has an integer subtype: 5.3 and later. */
#define KAP_LUA_INTEGERS (LUA_VERSION_NUM >= 503)

#endif
