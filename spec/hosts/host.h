/* What the hosts in this directory share: a state with the module in it, and
 * scripts that must not fail. */
#ifndef HOST_H
#define HOST_H

#include "kapture.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_FAIL(...)                                  \
    do {                                                \
        fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
        fprintf(stderr, __VA_ARGS__);                   \
        fputc('\n', stderr);                            \
        exit(1);                                        \
    } while (0)

#define HOST_CHECK(what)            \
    do {                            \
        if (!(what))                \
            HOST_FAIL("%s", #what); \
    } while (0)

/* From 5.5 on, a state's hashes are seeded by who makes it. */
#if LUA_VERSION_NUM >= 505
#define host_newstate(f, ud) lua_newstate((f), (ud), 0)
#else
#define host_newstate(f, ud) lua_newstate((f), (ud))
#endif

/* Makes `require "kapture"` find the module that `open` opens. */
static inline void host_preload(lua_State *L, lua_CFunction open)
{
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, open);
    lua_setfield(L, -2, "kapture");
    lua_pop(L, 2);
}

/* Another copy of the module, from a shared library; *lib is for dlclose. */
static inline lua_CFunction host_load(const char *path, void **lib)
{
    lua_CFunction open;
    *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (*lib == NULL)
        HOST_FAIL("%s", dlerror());
    void *symbol = dlsym(*lib, "luaopen_kapture");
    HOST_CHECK(symbol != NULL);
    memcpy(&open, &symbol, sizeof open);
    return open;
}

/* Runs a script with `arg` as its `...`; what it raises ends the program. */
static inline void host_run(lua_State *L, const char *script, const char *arg)
{
    if (luaL_loadstring(L, script) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
    lua_pushstring(L, arg);
    if (lua_pcall(L, 1, 0, 0) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
}

/* A new state: `kapture` is the module, `fetch(id)` checks that one ticket
 * comes, `ca` the options that the sandbox's certificate needs. */
static const char host_prelude[] =
    "kapture = require 'kapture'\n"
    "function options(more)\n"
    "  local o = { ca_file = os.getenv 'KAPTURE_CA_FILE', retries = 0 }\n"
    "  for k, v in pairs(more or {}) do o[k] = v end\n"
    "  return o\n"
    "end\n"
    "client = kapture.new(options())\n"
    "function check(id, tickets, message)\n"
    "  if not tickets then error(message, 2) end\n"
    "  assert(#tickets == 1)\n"
    "  assert(tickets[1].task_details.ticketId == id)\n"
    "end\n"
    "function fetch(id) check(id, client:get_ticket(id)) end\n";

static inline void host_prepare(lua_State *L)
{
    luaL_openlibs(L);
    host_preload(L, luaopen_kapture);
    host_run(L, host_prelude, "");
}

static inline lua_State *host_new(void)
{
    lua_State *L = luaL_newstate();
    HOST_CHECK(L != NULL);
    host_prepare(L);
    return L;
}

#endif
