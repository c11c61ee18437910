#include "lua/start.h"

#include "lua/client.h"
#include "lua/error.h"
#include "lua/options.h"
#include "lua/request.h"

void kapL_start_options(lua_State *L, kap_request *r, kap_settings *defaults,
                        int functions, int opts, int arg, const char *func)
{
    int me = lua_gettop(L);
    const struct {
        int table, functions;
    } at = {me + 1, me + 2}; /* stack indexes */
    /* Before anything is allocated: a finalizer may close the client that the
     * defaults are of. */
    bool given = r->call.settings == NULL && !lua_isnoneornil(L, opts);
    if (r->call.settings == NULL && defaults != NULL && !given)
        /* shared, not copied: the engine then keeps its handles as they are */
        r->call.settings = kap_settings_ref(defaults);
    else if (r->call.settings == NULL)
        r->call.settings = kap_settings_new(defaults);
    if (r->call.settings == NULL)
        kapL_error_nomem(L);
    if (!given && !r->call.settings->hook && !r->call.settings->token_function)
        return; /* there are no functions to be kept */
    kapL_getuservalue(L, me);
    lua_createtable(L, 2, 0);
    for (int i = 1; functions != 0 && i <= 2; i++) {
        lua_rawgeti(L, functions, i);
        lua_rawseti(L, -2, i);
    }
    lua_pushvalue(L, -1);
    lua_rawseti(L, at.table, KAP_REQUEST_FUNCTIONS);
    if (given)
        kapL_options(L, opts, r->call.settings, at.functions,
                     functions != 0 ? KAP_OPTIONS_CALL : KAP_OPTIONS_CLIENT,
                     arg, func);
    if (!r->call.settings->token_function) {
        lua_pushnil(L); /* the client's is overridden, and may hold a token */
        lua_rawseti(L, at.functions, KAP_FUNCTION_TOKEN);
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

void kapL_start_message(lua_State *L, kap_request *r, kap_client *c)
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
            kap_failure_set(&r->call.stop, KAP_KIND_CLOSED, "%s",
                            kap_client_closed_words());
        if (token == NULL || r->call.settings == NULL) {
            lua_settop(L, top);
            return;
        }
    }
    r->call.message =
        kap_message_new(r->call.settings, token, len, &r->call.stop);
    lua_settop(L, top);
    if (r->call.stop.kind == KAP_KIND_NOMEM)
        kapL_error_nomem(L);
    if (r->call.message != NULL && !c->closed) {
        kap_message_unref(c->message);
        c->message = kap_message_ref(r->call.message);
    }
}

void kapL_start_ids(lua_State *L, kap_request *r, int ids, int arg,
                    const char *func)
{
    kap_failure f;
    kap_failure_clear(&f);
    if (!kapL_ids(L, ids, &r->call.ids, &f, r->invalid_id, arg, func)) {
        if (f.kind == KAP_KIND_NOMEM)
            kapL_error_nomem(L);
        kap_idset_clear(&r->call.ids);
        if (r->call.stop.kind == KAP_KIND_NONE)
            r->call.stop = f;
    }
}

static void link_request(kap_request *r, kap_client *c)
{
    r->client = c;
    kap_list_insert(&c->requests, &r->link, NULL);
    if (r->call.hook)
        c->hooked++;
    if (r->submitted)
        c->pending++;
}

/* Why nothing can be sent, or NULL. */
static const char *refusal(const kap_client *c, bool blocking, kap_kind *kind)
{
    *kind = KAP_KIND_CLOSED;
    if (c->closed)
        return kap_client_closed_words();
    *kind = KAP_KIND_CANCELLED;
    if (c->working && blocking)
        return "a finalizer can't wait for the client that it interrupts";
    return NULL;
}

void kapL_start(lua_State *L, kap_request *r, int client, bool submitted)
{
    int me = lua_gettop(L);
    kap_client *c = lua_touserdata(L, client);
    kap_call *call = &r->call;
    kap_kind kind;
    kapL_getuservalue(L, me);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, KAP_REQUEST_CLIENT);
    lua_createtable(L, call->ids.n < 1000 ? (int)call->ids.n : 1000, 0);
    lua_rawseti(L, -2, KAP_REQUEST_TICKETS);
    lua_settop(L, me);
    if (!call->open) /* else with the first ids */
        kapL_client_engine(L, c);
    if (!kap_call_begin(call))
        kapL_error_nomem(L);
    call->lane = kap_lane_new(call->settings->hook);
    if (call->lane == NULL)
        kapL_error_nomem(L);
    call->lane->caller_paced = call->open;
    kapL_getuservalue(L, client);
    lua_pushvalue(L, me);
    kapL_rawsetp(L, -2, r);
    lua_settop(L, me);
    /* from here on, only C: no finalizer can come between, nothing raises */
    const char *why = refusal(c, !submitted, &kind);
    if (why != NULL && call->stop.kind == KAP_KIND_NONE)
        kap_failure_set(&call->stop, kind, "%s", why);
    r->submitted = submitted && !c->closed; /* a closed one reports nothing */
    call->numbers = &c->numbers;
    call->budget = &c->budget;
    call->random = &c->random;
    call->events = &c->events;
    if (call->stop.kind == KAP_KIND_NONE && submitted &&
        !kap_engine_start(c->engine, &why))
        kap_failure_set(&call->stop, KAP_KIND_NETWORK,
                        "the engine's thread could not be started: %s", why);
    link_request(r, c);
    if (call->stop.kind != KAP_KIND_NONE) {
        kap_call_end(call, c->engine);
        kap_request_detach(r);
    } else if (!call->open) {
        kap_request_settle(r);
    }
    if (c->closed)
        kapL_client_forget(L, client, r);
    if (call->done)
        kap_client_settle_mark(c);
}
