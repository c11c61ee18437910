#include "lua/event.h"

#include "lua/options.h"
#include "lua/result.h"

static const char *const names[] = {
    [KAP_EVENT_REQUEST] = "request", [KAP_EVENT_RESPONSE] = "response",
    [KAP_EVENT_RETRY] = "retry",     [KAP_EVENT_SPLIT] = "split",
    [KAP_EVENT_FAILURE] = "failure",
};

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void set_integer(lua_State *L, const char *key, double value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

void kapL_event(lua_State *L, kap_request *r, const kap_batch *b,
                kap_event event, double delay)
{
    const kap_transfer *t = b->transfer;
    const kap_failure *f = &b->failure;
    lua_createtable(L, 0, 10);
    lua_pushstring(L, names[event]);
    lua_setfield(L, -2, "event");
    set_integer(L, "request", b->number);
    kapL_push_ids(L, r, b->first, b->count,
                  event == KAP_EVENT_REQUEST || event == KAP_EVENT_RESPONSE);
    if (kap_is_control(b)) {
        lua_pushstring(L, b->control);
        lua_rawseti(L, -2, 1);
    }
    lua_setfield(L, -2, "ids");
    set_integer(L, "attempt", b->attempts);
    if (event == KAP_EVENT_REQUEST)
        return;
    if (t != NULL && t->status > 0)
        set_integer(L, "status", (double)t->status);
    else if (f->status > 0)
        set_integer(L, "status", f->status);
    if (event != KAP_EVENT_RESPONSE) {
        lua_pushstring(L, kap_kind_name(f->kind));
        lua_setfield(L, -2, "kind");
        lua_pushstring(L, f->message);
        lua_setfield(L, -2, "message");
    }
    if (t != NULL) {
        set_integer(L, "bytes", (double)t->len);
        set_number(L, "elapsed", t->elapsed);
    }
    if (event == KAP_EVENT_RETRY)
        set_number(L, "delay", delay);
}

void kapL_event_unsent(lua_State *L, kap_request *r)
{
    kap_call *c = &r->call;
    kap_batch b = {0};
    int top = lua_gettop(L), n = 0;
    kapL_push_ids(L, r, 0, 0, false);
    for (uint32_t i = 0; i < c->ids.n; i++) {
        if (c->state[i] != KAP_ID_PENDING)
            continue;
        kapL_push_id(L, r, i);
        lua_rawseti(L, top + 1, ++n);
    }
    if (n == 0) {
        lua_settop(L, top);
        return;
    }
    b.number = ++*c->numbers;
    b.failure = kap_failure_unsent(&c->stop);
    kapL_event(L, r, &b, KAP_EVENT_FAILURE, 0);
    lua_insert(L, top + 1);
    lua_setfield(L, top + 1, "ids");
}

void kapL_event_tell(lua_State *L, int first, int request)
{
    int last = lua_gettop(L);
    if (last < first)
        return;
    kapL_getuservalue(L, request);
    lua_rawgeti(L, -1, KAP_REQUEST_FUNCTIONS);
    lua_rawgeti(L, -1, KAP_FUNCTION_HOOK);
    for (int i = first; i <= last; i++) {
        lua_pushvalue(L, last + 3);
        lua_pushvalue(L, i);
        if (lua_pcall(L, 1, 0, 0) != 0)
            lua_pop(L, 1);
    }
    lua_settop(L, first - 1);
}

static kap_batch *unannounced(const kap_request *r)
{
    for (kap_batch *b = r->call.batches; b != NULL; b = b->next)
        if (b->transfer != NULL && b->announced == 0 &&
            atomic_load_explicit(&b->transfer->started, memory_order_acquire))
            return b;
    return NULL;
}

bool kap_event_due(const kap_request *r)
{
    return unannounced(r) != NULL;
}

void kapL_event_announce(lua_State *L, kap_request *r, int request)
{
    kap_batch *b;
    while ((b = unannounced(r)) != NULL) {
        int first = lua_gettop(L) + 1;
        b->announced = 1;
        /* a copy: a finalizer may close the client, and b is gone */
        const kap_batch seen = *b;
        kapL_event(L, r, &seen, KAP_EVENT_REQUEST, 0);
        kapL_event_tell(L, first, request);
    }
}

void kapL_event_resent(lua_State *L, kap_request *r, kap_batch *b, int request)
{
    while (b->call != NULL && b->announced < b->transfer->sent) {
        int first = lua_gettop(L) + 1;
        b->announced++;
        kapL_event(L, r, b, KAP_EVENT_REQUEST, 0);
        kapL_event_tell(L, first, request);
    }
}
