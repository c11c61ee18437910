#include "api/client.h"

#include "base/clock.h"
#include "lua/error.h"
#include "lua/options.h"
#include "api/peer.h"
#include "api/request.h"
#include "lua/result.h"
#include "api/tickets.h"
#include "lua/work.h"
#include "net/ending.h"

#include <string.h>
#include <unistd.h>

#define CLIENT_TYPE "kapture.client"

/* How long one step decodes at most before it gives the host its turn. */
#define STEP_SECONDS 0.003

kap_client *kapL_client_check(lua_State *L, int idx)
{
    return luaL_checkudata(L, idx, CLIENT_TYPE);
}

kap_client *kapL_client_new(lua_State *L)
{
    kap_client *c = lua_newuserdata(L, sizeof *c);
    memset(c, 0, sizeof *c);
    luaL_getmetatable(L, CLIENT_TYPE);
    lua_setmetatable(L, -2);
    kap_budget_init(&c->budget);
    c->pid = getpid();
    c->random = (uint64_t)(kap_now() * 1e9) ^ ((uint64_t)c->pid << 32) ^
                (uint64_t)(uintptr_t)c;
    lua_newtable(L);
    lua_createtable(L, 2, 0);
    lua_rawseti(L, -2, KAP_CLIENT_FUNCTIONS);
    kapL_setuservalue(L, -2);
    return c;
}

void kapL_client_options(lua_State *L, kap_client *c, int opts,
                         const char *func)
{
    int me = lua_gettop(L);
    c->settings = kap_settings_new(NULL);
    if (c->settings == NULL)
        kapL_nomem(L);
    kapL_getuservalue(L, me);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    kapL_options(L, opts, c->settings, me + 2, 1, func);
    lua_settop(L, me);
}

void kap_client_check_fork(kap_client *c)
{
    if (c->pid == getpid())
        return;
    kap_engine *parents = c->engine;
    c->engine = NULL; /* what ends below must not touch it */
    c->pid = getpid();
    while (c->requests != NULL)
        kap_request_end(c->requests, KAP_KIND_CLOSED,
                        "the process forked while the request was going on");
    kap_engine_abandon(parents);
}

void kap_client_check_ending(kap_client *c)
{
    if (c->closed || !kap_ending_begun())
        return;
    kap_ending_pause();
    kap_client_close(c);
}

kap_engine *kapL_client_engine(lua_State *L, kap_client *c)
{
    kap_client_check_fork(c);
    kap_client_check_ending(c);
    if (c->engine == NULL && !c->closed) {
        c->engine = kap_engine_new();
        if (c->engine == NULL)
            kap_client_check_ending(c);
        if (c->engine == NULL && !c->closed)
            kapL_nomem(L);
    }
    return c->engine;
}

void kap_client_close(kap_client *c)
{
    if (c->closed)
        return;
    kap_client_check_fork(c);
    c->closed = true;
    while (c->requests != NULL)
        kap_request_end(c->requests, KAP_KIND_CLOSED,
                        kap_ending_begun() ? "the process is ending"
                                           : "the client was closed");
    c->ended = c->ended_last = NULL;
    kap_client_drop_arrived(c);
    kap_engine_free(c->engine);
    c->engine = NULL;
    for (struct kap_iterator *it = c->iterators; it != NULL;
         it = kap_iterator_strip(it))
        ;
    kap_message_unref(c->message);
    c->message = NULL;
    kap_settings_unref(c->settings);
    c->settings = NULL;
}

/* blocking calls ------------------------------------------------------------ */

/* (request, client) */
static int call_protected(lua_State *L)
{
    kap_request *r = lua_touserdata(L, 1);
    lua_insert(L, 1);
    kapL_request_start(L, r, 1, false);
    kapL_client_drive(L, 1, r, HUGE_VAL);
    return 0;
}

int kapL_client_call(lua_State *L, int client, kap_request *r)
{
    int me = lua_gettop(L);
    kapL_room(L, 10);
    lua_pushcfunction(L, call_protected);
    lua_pushvalue(L, me);
    lua_pushvalue(L, client);
    int status = lua_pcall(L, 2, 0, 0);
    if (status !=
        0) /* no memory, or Ctrl-C: the call is over, not the client */
        kap_request_end(r, KAP_KIND_CANCELLED, "interrupted by an error");
    kapL_client_forget(L, client, r);
    kap_client_settle_mark(lua_touserdata(L, client));
    if (status != 0)
        return lua_error(L);
    int results = kapL_request_result(L, me);
    kapL_request_empty(L, me);
    return results;
}

/* Pushes a request with (ids, opts) from stack indexes 2 and 3. */
static kap_request *request_from_args(lua_State *L, kap_client *c,
                                      const char *func)
{
    lua_settop(L, 3);
    kapL_getuservalue(L, 1);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    kap_request *r = kapL_request_new(L);
    kapL_request_options(L, r, c->settings, 5, 3, 2, func);
    /* Options of the call mostly say what those of the call before said: then
     * the engine's handles need no new setting up. */
    if (c->message != NULL && c->message->settings != r->call.settings &&
        kap_settings_same(c->message->settings, r->call.settings)) {
        kap_settings_unref(r->call.settings);
        r->call.settings = kap_settings_ref(c->message->settings);
    }
    if (c->closed)
        kap_failure_set(&r->call.stop, KAP_KIND_CLOSED, "the client is closed");
    else
        kapL_request_message(L, r, c);
    kapL_request_ids(L, r, 2, 1, func);
    return r;
}

static int client_get_ticket(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_request *r = request_from_args(L, c, "get_ticket");
    return kapL_client_call(L, 1, r);
}

static int client_submit(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_request *r = request_from_args(L, c, "submit");
    kapL_request_start(L, r, 1, true);
    return 1;
}

static int client_tickets(lua_State *L)
{
    kapL_client_check(L, 1);
    lua_settop(L, 3);
    kapL_getuservalue(L, 1);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    return kapL_tickets_new(L, 1, 2, 3, 5, 1, "tickets");
}

static int client_fd(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    int fd = -1;
    if (kapL_client_engine(L, c) != NULL) {
        fd = kap_engine_fd(c->engine);
        kap_client_settle_mark(c);
    }
    if (fd < 0)
        lua_pushnil(L);
    else
        lua_pushinteger(L, fd);
    return 1;
}

/* Pushes the requests that have ended since the last step. */
static void push_ended(lua_State *L, int idx, kap_client *c)
{
    int n = 0;
    kapL_push_array_mt(L);
    kapL_push_list(L, 0, -1);
    lua_remove(L, -2);
    while (c->ended != NULL) {
        kap_request *r = c->ended;
        if (kapL_client_request(L, idx, r))
            lua_rawseti(L, -2, ++n);
        if (c->ended != r)
            continue;
        c->ended = r->next_ended;
        if (c->ended == NULL)
            c->ended_last = NULL;
        r->in_ended = false;
        kapL_client_forget(L, idx, r);
    }
}

static int client_step(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    double seconds = luaL_optnumber(L, 2, 0);
    double until = kap_now() + (seconds > 0 ? seconds : 0);
    kap_client_check_fork(c);
    if (c->engine != NULL)
        kap_engine_heard(c->engine);
    for (;;) {
        kapL_client_work(L, 1, kap_now() + STEP_SECONDS);
        double left = until - kap_now();
        if (c->engine == NULL || c->ended != NULL || left <= 0 ||
            c->pending == 0)
            break;
        kapL_client_wait(L, c, left);
    }
    lua_pushinteger(L, (lua_Integer)c->pending);
    push_ended(L, 1, c);
    kap_client_settle_mark(c);
    return 2;
}

static int client_close(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_client_close(c);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    if (!lua_istable(L, 2)) /* collected before it was whole */
        return 0;
    lua_rawgeti(L, 2, KAP_CLIENT_FUNCTIONS);
    for (int i = 1; lua_istable(L, 3) && i <= 2; i++) {
        lua_pushnil(L);
        lua_rawseti(L, 3, i);
    }
    return 0;
}

static int client_tostring(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    lua_pushfstring(L, "kapture.client: %p%s", (void *)c,
                    c->closed ? " (closed)" : "");
    return 1;
}

/* what event loops ask for: cqueues' convention, and LuaSocket's -------------- */

static int client_events(lua_State *L)
{
    kapL_client_check(L, 1);
    lua_pushliteral(L, "r");
    return 1;
}

static int client_timeout(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    if (kap_client_has_work(c) || c->ended != NULL)
        lua_pushnumber(L, 0);
    else
        lua_pushnil(L);
    return 1;
}

static int client_getfd(lua_State *L)
{
    client_fd(L);
    if (lua_isnil(L, -1))
        lua_pushinteger(L, -1);
    return 1;
}

static int client_dirty(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    lua_pushboolean(L, kap_client_has_work(c) || c->ended != NULL);
    return 1;
}

void kapL_client_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"get_ticket", client_get_ticket},
        {"tickets", client_tickets},
        {"submit", client_submit},
        {"fd", client_fd},
        {"step", client_step},
        {"close", client_close},
        {"pollfd", client_fd},
        {"events", client_events},
        {"timeout", client_timeout},
        {"getfd", client_getfd},
        {"dirty", client_dirty},
        {NULL, NULL},
    };
    luaL_newmetatable(L, CLIENT_TYPE);
    lua_createtable(L, 0, 16);
    kapL_setfuncs(L, methods, 0);
    kapL_peer_register(L);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, client_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, client_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, client_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, CLIENT_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
