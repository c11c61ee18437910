#include "lua/request.h"

#include <string.h>

static void clear(kap_request *r)
{
    memset(r, 0, sizeof *r);
    kap_failure_clear(&r->call.stop);
}

kap_request *kapL_request_new(lua_State *L)
{
    kap_request *r = lua_newuserdata(L, sizeof *r);
    clear(r);
    luaL_getmetatable(L, KAP_REQUEST_TYPE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 6, 0);
    kapL_setuservalue(L, -2);
    return r;
}

kap_request *kapL_request_borrow(lua_State *L, int client)
{
    if (lua_touserdata(L, client) == NULL)
        return kapL_request_new(L);
    kapL_getuservalue(L, client);
    lua_rawgeti(L, -1, KAP_CLIENT_IDLE);
    kap_request *r = lua_touserdata(L, -1);
    if (r == NULL || r->collected) {
        lua_pop(L, 2);
        return kapL_request_new(L);
    }
    lua_pushnil(L);
    lua_rawseti(L, -3, KAP_CLIENT_IDLE);
    lua_remove(L, -2);
    return r;
}

void kapL_request_return(lua_State *L, int idx, int client)
{
    kap_request *r = lua_touserdata(L, idx);
    kap_client *c = lua_touserdata(L, client);
    kapL_request_empty(L, idx);
    if (r->collected || r->client != NULL || c->closed)
        return;
    /* The next call is not to be told of what was this one's... */
    kap_event_free_all(&c->events, &r->call);
    kap_call_free(&r->call, NULL);
    clear(r);
    kapL_getuservalue(L, idx);
    lua_pushnil(L); /* ...nor to keep its functions alive */
    lua_rawseti(L, -2, KAP_REQUEST_FUNCTIONS);
    lua_pop(L, 1);
    kapL_getuservalue(L, client);
    lua_pushvalue(L, idx);
    lua_rawseti(L, -2, KAP_CLIENT_IDLE);
    lua_pop(L, 1);
}

void kap_request_detach(kap_request *r)
{
    kap_client *c = r->client;
    if (c == NULL)
        return;
    kap_list_remove(&c->requests, &r->link);
    r->client = NULL;
    if (r->call.hook)
        c->hooked--;
    if (r->submitted) {
        c->pending--;
        r->in_ended = true;
        kap_list_push(&c->ended, &r->ended);
    }
}

void kap_request_end_now(kap_request *r, kap_kind kind, const char *words)
{
    kap_client *c = r->client;
    if (r->call.done)
        return;
    if (!r->ending) {
        kap_failure_clear(&r->call.stop);
        kap_failure_set(&r->call.stop, kind, "%s", words);
    }
    r->ending = false;
    kap_call_end(&r->call, c != NULL ? c->engine : NULL);
    if (c != NULL)
        kap_event_free_all(&c->events, &r->call);
    kap_request_detach(r);
}

void kap_request_end(kap_request *r, kap_kind kind, const char *words)
{
    kap_client *c = r->client;
    if (r->call.done || r->ending)
        return;
    if (c == NULL || !c->working) {
        kap_request_end_now(r, kind, words);
        return;
    }
    kap_failure_clear(&r->call.stop);
    kap_failure_set(&r->call.stop, kind, "%s", words);
    r->ending = c->recorded = true;
}

void kap_request_end_nomem(kap_request *r)
{
    r->nomem = true;
    kap_request_end_now(r, KAP_KIND_CANCELLED, "not enough memory");
}

void kap_request_settle(kap_request *r)
{
    kap_client *c = r->client;
    if (!kap_call_settle(&r->call, c->engine))
        kap_request_end_nomem(r);
    else if (r->call.done)
        kap_request_detach(r);
}

void kapL_request_empty(lua_State *L, int idx)
{
    const kap_request *r = lua_touserdata(L, idx);
    if (!r->call.done) /* ended by a finalizer while it is worked on */
        return;
    kapL_getuservalue(L, idx);
    for (int slot = KAP_REQUEST_TICKETS; slot <= KAP_REQUEST_RESULT; slot++) {
        lua_rawgeti(L, -1, slot);
        bool there = !lua_isnil(L, -1);
        lua_pop(L, 1);
        if (!there)
            continue;
        lua_pushnil(L);
        lua_rawseti(L, -2, slot); /* the key exists: nothing is allocated */
    }
    lua_pop(L, 1);
}
