/*
 * kapture: tickets from Kapture CRM as plain Lua tables.
 *
 * All that a C or C++ host includes. A host that links libkapture.a makes the
 * module available with
 *
 *     luaL_requiref(L, "kapture", luaopen_kapture, 0);     (Lua 5.2 and later)
 *
 * or, on Lua 5.1 and LuaJIT, by storing luaopen_kapture in package.preload.
 */
#ifndef KAPTURE_H
#define KAPTURE_H

#define KAPTURE_VERSION "1.0.0"

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;

#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
int luaopen_kapture(struct lua_State *L);

#ifdef __cplusplus
}
#endif

#endif
