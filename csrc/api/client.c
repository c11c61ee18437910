#include "api/client.h"

#include "api/iterator.h"
#include "base/clock.h"
#include "lua/client.h"
#include "lua/drive.h"
#include "lua/error.h"
#include "lua/object.h"
#include "lua/options.h"
#include "lua/recall.h"
#include "lua/request.h"
#include "lua/result.h"
#include "lua/start.h"
#include "lua/value.h"

/* How long one step decodes at most before it gives the host its turn. */
#define STEP_SECONDS 0.003

/* Stack indexes: the arguments of get_ticket, submit and tickets, and what
 * push_functions leaves behind them. */
enum { CLIENT = 1, IDS, OPTS, TABLE, FUNCTIONS };

static void push_functions(lua_State *L)
{
    lua_settop(L, OPTS);
    kapL_getuservalue(L, CLIENT);
    lua_rawgeti(L, TABLE, KAP_CLIENT_FUNCTIONS);
}

/* The request on top of the stack takes these arguments. */
static void take_args(lua_State *L, kap_client *c, kap_request *r,
                      const char *func)
{
    r->call.settings = kapL_recall(L, CLIENT, OPTS);
    bool to_recall = r->call.settings == NULL && lua_istable(L, OPTS) &&
                     kapL_recall_copy(L, OPTS);
    kapL_start_options(L, r, c->settings, FUNCTIONS, OPTS, 2, func);
    /* Options of the call mostly say what those of the call before said: then
     * the engine's handles need no new setting up. */
    if (c->message != NULL &&
        kap_settings_same(c->message->settings, r->call.settings)) {
        kap_settings_unref(r->call.settings);
        r->call.settings = kap_settings_ref(c->message->settings);
    }
    if (to_recall)
        kapL_recall_note(L, CLIENT, OPTS, r->call.settings);
    if (c->closed)
        kap_failure_set(&r->call.stop, KAP_KIND_CLOSED, "%s",
                        kap_client_closed_words());
    else
        kapL_start_message(L, r, c);
    kapL_start_ids(L, r, IDS, 1, func);
}

static int client_get_ticket(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    push_functions(L);
    kap_request *r = kapL_request_borrow(L, CLIENT);
    take_args(L, c, r, "get_ticket");
    return kapL_drive_call(L, CLIENT, r);
}

static int client_submit(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    push_functions(L);
    kap_request *r = kapL_request_new(L);
    take_args(L, c, r, "submit");
    kapL_start(L, r, CLIENT, true);
    return 1;
}

static int client_tickets(lua_State *L)
{
    kapL_client_check(L, 1);
    push_functions(L);
    return kapL_iterator_new(L, CLIENT, IDS, OPTS, FUNCTIONS, 1, "tickets");
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
    kapL_value_list(L);
    kap_request *r;
    while ((r = KAP_ITEM(c->ended.first, kap_request, ended)) != NULL) {
        if (kapL_client_request(L, idx, r))
            lua_rawseti(L, -2, ++n);
        if (c->ended.first != &r->ended) /* a finalizer was here */
            continue;
        kap_list_remove(&c->ended, &r->ended);
        r->in_ended = false;
        kapL_client_forget(L, idx, r);
    }
}

static int client_step(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    double seconds = luaL_optnumber(L, 2, 0);
    double until = kap_now() + (seconds > 0 ? seconds : 0);
    if (c->engine != NULL)
        kap_engine_acknowledge(c->engine);
    for (;;) {
        kapL_drive_work(L, 1, kap_now() + STEP_SECONDS);
        double left = until - kap_now();
        if (c->engine == NULL || c->ended.n > 0 || left <= 0 ||
            c->pending == 0 || c->working)
            break;
        kapL_drive_wait(L, c, left);
    }
    lua_pushinteger(L, (lua_Integer)c->pending);
    if (c->working) /* called by a finalizer: nobody else is to be robbed */
        kapL_value_list(L);
    else
        push_ended(L, 1, c);
    kap_client_settle_mark(c);
    return 2;
}

static int client_close(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_client_close(c);
    const int table = lua_gettop(L) + 1, functions = table + 1;
    kapL_getuservalue(L, 1);
    if (!lua_istable(L, table)) /* collected before it was whole */
        return 0;
    lua_rawgeti(L, table, KAP_CLIENT_FUNCTIONS);
    for (int i = 1; lua_istable(L, functions) && i <= 2; i++) {
        lua_pushnil(L);
        lua_rawseti(L, functions, i);
    }
    lua_pushnil(L);
    lua_rawseti(L, table, KAP_CLIENT_RECALLED);
    return 0;
}

static int client_tostring(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    lua_pushfstring(L, "kapture.client: %p%s", (void *)c,
                    c->closed ? " (closed)" : "");
    return 1;
}

/* what event loops ask for: cqueues' convention, and LuaSocket's
 * -------------- */

static int client_events(lua_State *L)
{
    kapL_client_check(L, 1);
    lua_pushliteral(L, "r");
    return 1;
}

static int client_timeout(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    if (kap_drive_has_work(c) || c->ended.n > 0)
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
    lua_pushboolean(L, kap_drive_has_work(c) || c->ended.n > 0);
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
    static const luaL_Reg meta[] = {
        {"__gc", client_close},
        {"__close", client_close},
        {"__tostring", client_tostring},
        {NULL, NULL},
    };
    kapL_object_register(L, KAP_CLIENT_TYPE, methods, meta);
}
