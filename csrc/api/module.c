/* luaopen_kapture: the module's table. A list of steps, nothing else. */
#include "api/adapter.h"
#include "api/client.h"
#include "api/command.h"
#include "api/iterator.h"
#include "api/request.h"
#include "api/shared.h"
#include "kapture.h"
#include "lua/client.h"
#include "lua/drive.h"
#include "lua/error.h"
#include "lua/options.h"
#include "lua/recall.h"
#include "lua/request.h"
#include "lua/start.h"
#include "lua/value.h"
#include "net/ending.h"

#include <curl/curl.h>
#if defined(__has_include)
#if __has_include(<luajit.h>)
#include <luajit.h>
#endif
#endif
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* Upvalue of the functions that need one: the table of default clients. */
#define CACHE lua_upvalueindex(1)

static CURLcode curl_ready;

static void start_curl(void)
{
    curl_ready = CURLE_OUT_OF_MEMORY;
    if (!kap_ending_open())
        return;
    curl_ready = curl_global_init(CURL_GLOBAL_ALL);
    if (!kap_ending_opened() && curl_ready == CURLE_OK)
        curl_ready = CURLE_OUT_OF_MEMORY;
}

/* Stack indexes: the arguments of both functions, and what they put behind. */
enum { IDS = 1, OPTS, CLIENTS, CLIENT };

static int get_ticket(lua_State *L)
{
    lua_settop(L, OPTS);
    lua_pushvalue(L, CACHE);
    kapL_shared_last(L, CLIENTS);
    kap_request *r = kapL_request_borrow(L, CLIENT);
    r->call.settings = kapL_recall(L, CLIENT, OPTS);
    bool to_recall = r->call.settings == NULL && kapL_recall_copy(L, OPTS);
    kapL_start_options(L, r, NULL, 0, OPTS, 2, "get_ticket");
    kap_client *c = kapL_shared_client(L, CLIENTS, &r->call.settings);
    lua_replace(L, CLIENT);
    if (to_recall)
        kapL_recall_note(L, CLIENT, OPTS, r->call.settings);
    kapL_start_message(L, r, c);
    if (c->closed) { /* the token function made calls of its own, and they
                      * pushed this client out of the cache */
        kapL_shared_client(L, CLIENTS, &r->call.settings);
        lua_replace(L, CLIENT);
    }
    kapL_start_ids(L, r, IDS, 1, "get_ticket");
    return kapL_drive_call(L, CLIENT, r);
}

/* No client's options are the defaults here: `functions` is 0. */
static int tickets(lua_State *L)
{
    lua_settop(L, OPTS);
    lua_pushvalue(L, CACHE);
    kap_request *r = kapL_request_new(L); /* only to see where it goes */
    kapL_start_options(L, r, NULL, 0, OPTS, 2, "tickets");
    kapL_shared_client(L, CLIENTS, &r->call.settings);
    return kapL_iterator_new(L, lua_gettop(L), IDS, OPTS, 0, 1, "tickets");
}

static int new_client(lua_State *L)
{
    lua_settop(L, 1);
    kap_client *c = kapL_client_new(L);
    kapL_client_options(L, c, 1, "new");
    return 1;
}

static const char *resolver(const curl_version_info_data *v)
{
    if (v->features & CURL_VERSION_ASYNCHDNS)
        return v->ares != NULL ? "c-ares" : "threaded";
    return "blocking";
}

static int version(lua_State *L)
{
    const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
    lua_createtable(L, 0, 6);
    kapL_value_set_string(L, "kapture", KAPTURE_VERSION);
    kapL_value_set_string(L, "libcurl", v->version);
    kapL_value_set_string(L, "tls", v->ssl_version);
    kapL_value_set_string(L, "resolver", resolver(v));
    kapL_value_set_flag(L, "http2", (v->features & CURL_VERSION_HTTP2) != 0);
#ifdef LUAJIT_VERSION_NUM
    lua_pushliteral(L, "luajit");
#else
    lua_pushfstring(L, "%d.%d", LUA_VERSION_NUM / 100, LUA_VERSION_NUM % 100);
#endif
    lua_setfield(L, -2, "abi");
    return 1;
}

/*
 * Nothing else may be called before this. Most pairs of Luas already part at
 * the linker, for want of a function that the other does not have; 5.4 and 5.5
 * have the same names, and another idea of where a state keeps its registry.
 */
static void check_lua(lua_State *L)
{
#if LUA_VERSION_NUM >= 504
    int here = (int)lua_version(L);
    if (here != LUA_VERSION_NUM)
        luaL_error(L,
                   "kapture: this build is for Lua %d.%d, and was loaded by "
                   "Lua %d.%d: build it with ABI=%d.%d, and have "
                   "LUA_CPATH_%d_%d lead there",
                   LUA_VERSION_NUM / 100, LUA_VERSION_NUM % 100, here / 100,
                   here % 100, here / 100, here % 100, here / 100, here % 100);
#endif
#if LUA_VERSION_NUM >= 502
    luaL_checkversion(L); /* the kinds of numbers, too */
#else
    (void)L;
#endif
}

/*
 * In Neovim, and nowhere else: people and plugin managers look for the `setup`
 * of a plugin in the module that has its name.
 */
static void add_setup(lua_State *L, int module)
{
#if LUA_VERSION_NUM == 501 /* Neovim has no other */
    static const char call[] = "return require('kapture.nvim').setup(...)";
    lua_pushliteral(L, "vim");
    lua_rawget(L, LUA_GLOBALSINDEX); /* a strict mode of globals is not asked */
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "api");
        lua_rawget(L, -2);
        if (lua_istable(L, -1)) {
            if (luaL_loadbuffer(L, call, sizeof(call) - 1, "=kapture") != 0)
                lua_error(L);
            lua_setfield(L, module, "setup");
        }
    }
#else
    (void)L;
    (void)module;
#endif
}

int luaopen_kapture(lua_State *L)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const luaL_Reg functions[] = {
        {"get_ticket", get_ticket},
        {"tickets", tickets},
        {NULL, NULL},
    };
    check_lua(L);
    pthread_once(&once, start_curl);
    if (curl_ready != CURLE_OK && kap_ending_begun()) {
        kap_ending_pause();
        return luaL_error(L, "kapture: the process is ending");
    }
    if (curl_ready != CURLE_OK)
        return luaL_error(L, "kapture: libcurl can't be initialised: %s",
                          curl_easy_strerror(curl_ready));
    kapL_error_register(L);
    kapL_adapter_register(L);
    kapL_client_register(L);
    kapL_request_register(L);
    kapL_iterator_register(L);
    kapL_command_register(L);
    lua_createtable(L, 0, 8);
    int module = lua_gettop(L);
    /* its room is made now, so that no memory error can tear a pair in two */
    lua_createtable(L, 18, 0);
    kapL_setfuncs(L, functions, 1);
    lua_pushcfunction(L, new_client);
    lua_setfield(L, module, "new");
    lua_pushcfunction(L, version);
    lua_setfield(L, module, "version");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, module, "null");
    kapL_value_make_array_mt(L);
    lua_setfield(L, module, "array_mt");
    lua_pushliteral(L, "kapture " KAPTURE_VERSION);
    lua_setfield(L, module, "_VERSION");
    add_setup(L, module);
    lua_settop(L, module);
    return 1;
}
