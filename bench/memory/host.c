/*
 * A Lua whose memory is counted, with the module linked in: `host SCRIPT ...`
 * runs the script with
 *
 *   lua_now(), lua_peak()   bytes of Lua's, and the most since the last reset()
 *   c_peak()                the most that the module itself had from malloc
 *                           since then, above what it had at that moment
 *   reset()
 *
 * Linked with --wrap for malloc and its kin: what libkapture.a asks for comes
 * here. libcurl's and OpenSSL's own memory is not in it.
 */
#include "kapture.h"

#include <lauxlib.h>
#include <lualib.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static size_t lua_live, lua_most;
static atomic_long c_live, c_most, c_base;

static void *counted(void *p)
{
    long live = atomic_fetch_add(&c_live, (long)malloc_usable_size(p)) +
                (long)malloc_usable_size(p);
    if (live > atomic_load(&c_most))
        atomic_store(&c_most, live);
    return p;
}

static void forget(void *p)
{
    atomic_fetch_sub(&c_live, (long)malloc_usable_size(p));
}

void *__wrap_malloc(size_t size)
{
    return counted(__real_malloc(size));
}
void *__wrap_calloc(size_t n, size_t size)
{
    return counted(__real_calloc(n, size));
}
/* It grows in place where it can, and else is moved: two blocks for a moment,
 * which malloc's own bookkeeping alone could tell. */
void *__wrap_realloc(void *p, size_t size)
{
    forget(p);
    return counted(__real_realloc(p, size));
}
char *__wrap_strdup(const char *s)
{
    return counted(__real_strdup(s));
}
void __wrap_free(void *p)
{
    forget(p);
    __real_free(p);
}

static void *lua_memory(void *ud, void *p, size_t old, size_t size)
{
    (void)ud;
    if (p == NULL)
        old = 0;
    if (size == 0) {
        lua_live -= old;
        __real_free(p);
        return NULL;
    }
    /* while a block moves, both are there */
    if (lua_live + size > lua_most)
        lua_most = lua_live + size;
    p = __real_realloc(p, size);
    if (p != NULL)
        lua_live = lua_live - old + size;
    return p;
}

static int reset(lua_State *L)
{
    (void)L;
    lua_most = lua_live;
    atomic_store(&c_base, atomic_load(&c_live));
    atomic_store(&c_most, atomic_load(&c_live));
    return 0;
}

static int lua_now(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_live);
    return 1;
}

static int lua_peak(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)lua_most);
    return 1;
}

static int c_peak(lua_State *L)
{
    lua_pushinteger(L, atomic_load(&c_most) - atomic_load(&c_base));
    return 1;
}

int main(int argc, char **argv)
{
#if LUA_VERSION_NUM >= 505
    lua_State *L = lua_newstate(lua_memory, NULL, 0);
#else
    lua_State *L = lua_newstate(lua_memory, NULL);
#endif
    if (argc < 2 || L == NULL)
        return 2;
    luaL_openlibs(L);
    lua_register(L, "reset", reset);
    lua_register(L, "lua_now", lua_now);
    lua_register(L, "lua_peak", lua_peak);
    lua_register(L, "c_peak", c_peak);
    luaL_requiref(L, "kapture", luaopen_kapture, 0);
    lua_pop(L, 1);
    int status = luaL_loadfile(L, argv[1]);
    for (int i = 2; i < argc; i++)
        lua_pushstring(L, argv[i]);
    if (status == LUA_OK)
        status = lua_pcall(L, argc - 2, 0, 0);
    if (status != LUA_OK)
        fprintf(stderr, "%s\n", lua_tostring(L, -1));
    lua_close(L);
    return status != LUA_OK;
}
