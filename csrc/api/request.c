#include "api/request.h"

#include "base/clock.h"
#include "lua/error.h"
#include "lua/options.h"
#include "lua/result.h"
#include "lua/work.h"

#include <string.h>

#define REQUEST_TYPE "kapture.request"

static kap_request *check(lua_State *L)
{
    return luaL_checkudata(L, 1, REQUEST_TYPE);
}

kap_request *kapL_request_new(lua_State *L)
{
    kap_request *r = lua_newuserdata(L, sizeof *r);
    memset(r, 0, sizeof *r);
    kap_failure_clear(&r->call.stop);
    r->call.evidence = &r->evidence;
    luaL_getmetatable(L, REQUEST_TYPE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 8, 0);
    kapL_setuservalue(L, -2);
    return r;
}

void kapL_request_options(lua_State *L, kap_request *r, kap_settings *defaults,
                          int functions, int opts, int arg, const char *func)
{
    int me = lua_gettop(L);
    /* Before anything is allocated: a finalizer may close the client that the
     * defaults are of. */
    if (defaults != NULL && lua_isnoneornil(L, opts))
        /* shared, not copied: the engine then keeps its handles as they are */
        r->call.settings = kap_settings_ref(defaults);
    else
        r->call.settings = kap_settings_new(defaults);
    if (r->call.settings == NULL)
        kapL_nomem(L);
    kapL_getuservalue(L, me);
    lua_createtable(L, 2, 0);
    for (int i = 1; functions != 0 && i <= 2; i++) {
        lua_rawgeti(L, functions, i);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, me + 1, KAP_REQUEST_FUNCTIONS);
    if (r->call.settings != defaults)
        kapL_options(L, opts, r->call.settings, me + 2,
                     functions != 0 ? KAP_OPTIONS_CALL : KAP_OPTIONS_CLIENT,
                     arg, func);
    if (!r->call.settings->token_function) {
        lua_pushnil(L); /* the client's is overridden, and may hold a token */
        lua_rawseti(L, me + 2, KAP_FUNCTION_TOKEN);
    }
    lua_settop(L, me);
}

/* Calls the token function; its string is left on the stack. */
static const char *call_token(lua_State *L, kap_request *r, size_t *len)
{
    kapL_getuservalue(L, -1);
    lua_rawgeti(L, -1, KAP_REQUEST_FUNCTIONS);
    lua_rawgeti(L, -1, KAP_FUNCTION_TOKEN);
    int status = lua_pcall(L, 0, 1, 0);
    lua_pushnil(L); /* once a call; it may hold what it returns */
    lua_rawseti(L, -3, KAP_FUNCTION_TOKEN);
    if (status == LUA_ERRMEM)
        lua_error(L);
    if (status != 0) {
        const char *e = lua_tostring(L, -1);
        kap_failure_set(&r->call.stop, KAP_KIND_CONFIG,
                        "the token function failed: %.300s",
                        e != NULL ? e : luaL_typename(L, -1));
        return NULL;
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        kap_failure_set(&r->call.stop, KAP_KIND_CONFIG,
                        "the token function returned %s, not a string",
                        lua_isnil(L, -1) ? "nil" : luaL_typename(L, -1));
        return NULL;
    }
    return lua_tolstring(L, -1, len);
}

void kapL_request_message(lua_State *L, kap_request *r, kap_client *c)
{
    int top = lua_gettop(L);
    const char *token = NULL;
    size_t len = 0;
    if (c->message != NULL && kap_message_fits(c->message, r->call.settings)) {
        r->call.message = kap_message_ref(c->message);
        return;
    }
    if (r->call.settings->token_function) {
        token = call_token(L, r, &len);
        if (token != NULL && r->call.settings == NULL) /* the loop was left */
            kap_failure_set(&r->call.stop, KAP_KIND_CLOSED,
                            "the client is closed");
        if (token == NULL || r->call.settings == NULL) {
            lua_settop(L, top);
            return;
        }
    }
    r->call.message =
        kap_message_new(r->call.settings, token, len, &r->call.stop);
    lua_settop(L, top);
    if (r->call.stop.kind == KAP_KIND_NOMEM)
        kapL_nomem(L);
    if (r->call.message != NULL && !c->closed) {
        kap_message_unref(c->message);
        c->message = kap_message_ref(r->call.message);
    }
}

void kapL_request_ids(lua_State *L, kap_request *r, int ids, int arg,
                      const char *func)
{
    kap_failure f;
    kap_failure_clear(&f);
    if (!kapL_ids(L, ids, &r->call.ids, &f, r->shown, arg, func)) {
        if (f.kind == KAP_KIND_NOMEM)
            kapL_nomem(L);
        kap_idset_clear(&r->call.ids);
        if (r->call.stop.kind == KAP_KIND_NONE)
            r->call.stop = f;
    }
}

static void link_request(kap_request *r, kap_client *c)
{
    r->client = c;
    r->next = c->requests;
    if (r->next != NULL)
        r->next->prev = r;
    c->requests = r;
    if (r->call.hook)
        c->hooked++;
    if (r->submitted)
        c->pending++;
}

void kap_request_detach(kap_request *r)
{
    kap_client *c = r->client;
    if (c == NULL)
        return;
    if (r->prev != NULL)
        r->prev->next = r->next;
    else
        c->requests = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
    r->client = NULL;
    if (r->call.hook)
        c->hooked--;
    if (r->submitted) {
        c->pending--;
        r->in_ended = true;
        r->next_ended = NULL;
        if (c->ended_last != NULL)
            c->ended_last->next_ended = r;
        else
            c->ended = r;
        c->ended_last = r;
    }
}

void kap_request_end(kap_request *r, kap_kind kind, const char *words)
{
    kap_client *c = r->client;
    kap_failure f;
    if (c != NULL)
        kap_client_check_fork(c);
    if (r->call.done)
        return;
    kap_failure_clear(&f);
    kap_failure_set(&f, kind, "%s", words);
    r->call.stop = f;
    kap_call_end(&r->call, c != NULL ? c->engine : NULL);
    kap_request_detach(r);
}

void kapL_request_start(lua_State *L, kap_request *r, int client,
                        bool submitted)
{
    int me = lua_gettop(L);
    kap_client *c = lua_touserdata(L, client);
    kap_call *call = &r->call;
    const char *why = NULL;
    kapL_getuservalue(L, me);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, KAP_REQUEST_CLIENT);
    lua_createtable(L, call->ids.n < 1000 ? (int)call->ids.n : 1000, 0);
    lua_rawseti(L, -2, KAP_REQUEST_TICKETS);
    lua_settop(L, me);
    kapL_client_engine(L, c);
    if (call->done) /* a finalizer has left its loop */
        return;
    if (!kap_call_begin(call))
        kapL_nomem(L);
    if (call->lane == NULL) /* an iterator's chunks share one */
        call->lane = kap_lane_new(call->settings->hook);
    if (call->lane == NULL)
        kapL_nomem(L);
    kapL_getuservalue(L, client);
    lua_pushvalue(L, me);
    kapL_rawsetp(L, -2, r);
    lua_settop(L, me);
    if (call->done)
        return;
    /* from here on, only C: no finalizer can come between, nothing fails */
    if (c->closed && call->stop.kind == KAP_KIND_NONE)
        kap_failure_set(&call->stop, KAP_KIND_CLOSED, "the client is closed");
    r->submitted = submitted && !c->closed; /* a closed one reports nothing */
    call->numbers = &c->numbers;
    call->budget = &c->budget;
    call->random = &c->random;
    if (call->stop.kind == KAP_KIND_NONE && submitted &&
        !kap_engine_start(c->engine, &why))
        kap_failure_set(&call->stop, KAP_KIND_NETWORK,
                        "the engine's thread could not be started: %s", why);
    link_request(r, c);
    if (call->stop.kind != KAP_KIND_NONE) {
        kap_call_end(call, c->engine);
        kap_request_detach(r);
        if (c->closed)
            kapL_client_forget(L, client, r);
        kap_client_settle_mark(c);
    } else if (!kap_call_pump(call, c->engine)) {
        c->starved = true; /* the next step tries again */
        kap_client_settle_mark(c);
    }
}

/* methods ------------------------------------------------------------------ */

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
    return kapL_request_result(L, 1);
}

/* What wait returns is not reported by step again. */
static void unreport(lua_State *L, kap_request *r, int client)
{
    kap_client *c = lua_touserdata(L, client);
    kap_request **at = &c->ended, *last = NULL;
    if (!r->in_ended)
        return;
    for (; *at != NULL && *at != r; at = &(*at)->next_ended)
        last = *at;
    if (*at == r) {
        *at = r->next_ended;
        if (c->ended_last == r)
            c->ended_last = last;
    }
    r->in_ended = false;
    kapL_getuservalue(L, client);
    lua_pushnil(L);
    kapL_rawsetp(L, -2, r);
    lua_pop(L, 1);
}

void kapL_request_empty(lua_State *L, int idx)
{
    const kap_request *r = lua_touserdata(L, idx);
    if (r->held > 0)
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

/* As result, and what is done is emptied: for this module's Lua files, which drop
 * it. */
static int request_take(lua_State *L)
{
    bool done = check(L)->call.done;
    int n = request_result(L);
    if (done)
        kapL_request_empty(L, 1);
    return n;
}

static int request_wait(lua_State *L)
{
    kap_request *r = check(L);
    double seconds = luaL_optnumber(L, 2, HUGE_VAL);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    lua_rawgeti(L, 2, KAP_REQUEST_CLIENT);
    if (!lua_isuserdata(L, 3)) {
        lua_settop(L, 1);
        return request_result(L);
    }
    kapL_client_drive(L, 3, r, kap_now() + (seconds > 0 ? seconds : 0));
    if (r->call.done)
        unreport(L, r, 3);
    kap_client_settle_mark(lua_touserdata(L, 3));
    lua_settop(L, 1);
    return request_result(L);
}

static int request_cancel(lua_State *L)
{
    kap_request *r = check(L);
    kap_client *c = r->client;
    kap_request_end(r, KAP_KIND_CANCELLED, "the request was cancelled");
    if (c != NULL)
        kap_client_settle_mark(c);
    return 0;
}

/* As cancel, but `closed`: for resty.kapture, whose clients are shared. */
static int request_shut(lua_State *L)
{
    kap_request *r = check(L);
    kap_client *c = r->client;
    kap_request_end(r, KAP_KIND_CLOSED, luaL_checkstring(L, 2));
    if (c != NULL)
        kap_client_settle_mark(c);
    return 0;
}

static int request_gc(lua_State *L)
{
    kap_request *r = check(L);
    if (r->client != NULL && r->submitted)
        r->client->pending--;
    r->submitted = false; /* nobody is left to be told */
    r->collected = true;
    kap_request_end(r, KAP_KIND_CANCELLED, "the request was collected");
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
        {"done", request_done},
        {"result", request_result},
        {"wait", request_wait},
        {"cancel", request_cancel},
        {"_shut", request_shut},
        {"_take", request_take},
        {NULL, NULL},
    };
    luaL_newmetatable(L, REQUEST_TYPE);
    lua_createtable(L, 0, 6);
    kapL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, request_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, request_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, REQUEST_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
