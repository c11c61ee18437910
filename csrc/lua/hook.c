#include "lua/hook.h"

#include "lua/client.h"
#include "lua/options.h"
#include "lua/value.h"

#include <stdlib.h>

static const char *const names[] = {
    [KAP_EVENT_REQUEST] = "request", [KAP_EVENT_RESPONSE] = "response",
    [KAP_EVENT_RETRY] = "retry",     [KAP_EVENT_SPLIT] = "split",
    [KAP_EVENT_FAILURE] = "failure", [KAP_EVENT_PAUSE] = "pause",
};

static void push_event(lua_State *L, const kap_event *e)
{
    lua_createtable(L, 0, 10);
    kapL_value_set_string(L, "event", names[e->type]);
    kapL_value_set_integer(L, "request", e->number);
    kapL_value_id_list(L, e->ids, e->ids_len);
    lua_setfield(L, -2, "ids");
    kapL_value_set_integer(L, "attempt", e->attempt);
    if (e->status > 0)
        kapL_value_set_integer(L, "status", e->status);
    if (e->kind != KAP_KIND_NONE) {
        kapL_value_set_string(L, "kind", kap_failure_name(e->kind));
        kapL_value_set_string(L, "message", e->message);
    }
    if (e->answered) {
        kapL_value_set_integer(L, "bytes", e->bytes);
        kapL_value_set_number(L, "elapsed", e->elapsed);
    }
    if (e->type == KAP_EVENT_RETRY || e->type == KAP_EVENT_PAUSE)
        kapL_value_set_number(L, "delay", e->delay);
}

/* (client, event): calls the hook of the request, which is the event's. */
static int deliver_protected(lua_State *L)
{
    enum { CLIENT = 1, EVENT, REQUEST, TABLE, FUNCTIONS }; /* stack indexes */
    const kap_event *e = lua_touserdata(L, EVENT);
    if (!kapL_client_request(L, CLIENT, kap_request_of(e->call)))
        return 0;
    kapL_getuservalue(L, REQUEST);
    lua_rawgeti(L, TABLE, KAP_REQUEST_FUNCTIONS);
    lua_rawgeti(L, FUNCTIONS, KAP_FUNCTION_HOOK);
    push_event(L, e);
    lua_call(L, 1, 0); /* what it raises is its own */
    return 0;
}

void kapL_hook_deliver(lua_State *L, int client)
{
    kap_client *c = lua_touserdata(L, client);
    while (c->events.n > 0 && !c->working) {
        kapL_room(L, 10);
        lua_pushcfunction(L, deliver_protected);
        lua_pushvalue(L, client);
        kap_event *e = kap_event_shift(&c->events);
        if (e == NULL) { /* a finalizer has closed the client just now */
            lua_pop(L, 2);
            return;
        }
        lua_pushlightuserdata(L, e);
        if (lua_pcall(L, 2, 0, 0) != 0)
            lua_pop(L, 1);
        free(e);
        kap_client_check_fork(c); /* the hook may have done that */
    }
}
