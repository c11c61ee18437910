#include "api/request.h"

#include "api/adapter.h"
#include "base/clock.h"
#include "lua/client.h"
#include "lua/drive.h"
#include "lua/object.h"
#include "lua/request.h"
#include "lua/result.h"

/* Stack indexes of a method: the request, and what wait pushes behind it. */
enum { SELF = 1, TABLE, CLIENT };

static kap_request *check(lua_State *L)
{
    kap_request *r = luaL_checkudata(L, SELF, KAP_REQUEST_TYPE);
    if (r->client != NULL)
        kap_client_check_fork(r->client);
    return r;
}

static int request_done(lua_State *L)
{
    lua_pushboolean(L, check(L)->call.done);
    return 1;
}

static int request_result(lua_State *L)
{
    kap_request *r = check(L);
    if (!r->call.done) {
        lua_pushnil(L);
        lua_pushliteral(L, "pending");
        return 2;
    }
    return kapL_result(L, SELF);
}

/* A request whose end wait has returned is not reported by step as well. */
static void unreport(lua_State *L, kap_request *r, int client)
{
    kap_client *c = lua_touserdata(L, client);
    if (!r->in_ended)
        return;
    kap_list_remove(&c->ended, &r->ended);
    r->in_ended = false;
    kapL_getuservalue(L, client);
    lua_pushnil(L);
    kapL_rawsetp(L, -2, r);
    lua_pop(L, 1);
}

/* As result, but drops it: for adapters, which ask once. */
static int request_take(lua_State *L)
{
    bool done = check(L)->call.done;
    int n = request_result(L);
    if (done)
        kapL_request_empty(L, SELF);
    return n;
}

static int request_wait(lua_State *L)
{
    kap_request *r = check(L);
    double seconds = luaL_optnumber(L, 2, HUGE_VAL);
    lua_settop(L, SELF);
    kapL_getuservalue(L, SELF);
    lua_rawgeti(L, TABLE, KAP_REQUEST_CLIENT);
    if (lua_isuserdata(L, CLIENT)) {
        kapL_drive_until(L, CLIENT, r, KAP_DRIVE_ALL,
                         kap_now() + (seconds > 0 ? seconds : 0));
        if (r->call.done)
            unreport(L, r, CLIENT);
        kap_client_settle_mark(lua_touserdata(L, CLIENT));
    }
    lua_settop(L, SELF);
    return request_result(L);
}

static int end(kap_request *r, kap_kind kind, const char *words)
{
    kap_client *c = r->client;
    kap_request_end(r, kind, words);
    if (c != NULL)
        kap_client_settle_mark(c);
    return 0;
}

static int request_cancel(lua_State *L)
{
    return end(check(L), KAP_KIND_CANCELLED, "the request was cancelled");
}

/* As cancel, but the kind is `closed`: for resty.kapture, which shares
 * clients. */
static int request_shut(lua_State *L)
{
    return end(check(L), KAP_KIND_CLOSED, luaL_checkstring(L, 2));
}

static int request_gc(lua_State *L)
{
    kap_request *r = check(L);
    if (r->client != NULL && r->submitted)
        r->client->pending--;
    r->submitted = false; /* nobody is left to be told */
    r->collected = true;
    r->ending = false;
    kap_request_end_now(r, KAP_KIND_CANCELLED, "the request was collected");
    if (r->call.hook) { /* whose address may be another request's next */
        kapL_getuservalue(L, SELF);
        lua_rawgeti(L, -1, KAP_REQUEST_CLIENT);
        kap_client *c = lua_touserdata(L, -1);
        if (c != NULL)
            kap_event_free_all(&c->events, &r->call);
    }
    kap_call_free(&r->call, NULL);
    return 0;
}

static int request_tostring(lua_State *L)
{
    kap_request *r = check(L);
    lua_pushfstring(L, "kapture.request: %p (%s)", (void *)r,
                    r->call.done ? "done" : "pending");
    return 1;
}

void kapL_request_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"done", request_done}, {"result", request_result},
        {"wait", request_wait}, {"cancel", request_cancel},
        {NULL, NULL},
    };
    static const luaL_Reg private_functions[] = {
        {"take", request_take},
        {"shut_request", request_shut},
        {NULL, NULL},
    };
    static const luaL_Reg meta[] = {
        {"__gc", request_gc},
        {"__tostring", request_tostring},
        {NULL, NULL},
    };
    kapL_object_register(L, KAP_REQUEST_TYPE, methods, meta);
    kapL_adapter_add(L, private_functions);
}
