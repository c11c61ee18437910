#include "lua/client.h"

#include "base/clock.h"
#include "base/secret.h"
#include "lua/error.h"
#include "lua/options.h"
#include "lua/request.h"
#include "net/ending.h"

#include <string.h>
#include <unistd.h>

kap_client *kapL_client_check(lua_State *L, int idx)
{
    kap_client *c = luaL_checkudata(L, idx, KAP_CLIENT_TYPE);
    kap_client_check_fork(c);
    return c;
}

kap_client *kapL_client_new(lua_State *L)
{
    kap_client *c = lua_newuserdata(L, sizeof *c);
    memset(c, 0, sizeof *c);
    luaL_getmetatable(L, KAP_CLIENT_TYPE);
    lua_setmetatable(L, -2);
    kap_retry_budget_init(&c->budget);
    c->pid = getpid();
    c->random = (uint64_t)(kap_now() * 1e9) ^ ((uint64_t)c->pid << 32) ^
                (uint64_t)(uintptr_t)c;
    lua_createtable(L, KAP_CLIENT_IDLE, 0);
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
        kapL_error_nomem(L);
    kapL_getuservalue(L, me);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    kapL_options(L, opts, c->settings, me + 2, KAP_OPTIONS_CLIENT, 1, func);
    kap_client_limit(c, c->settings);
    lua_settop(L, me);
}

void kap_client_limit(kap_client *c, const kap_settings *s)
{
    c->concurrency = s->concurrency;
    c->rate = s->rate;
}

void kap_client_check_fork(kap_client *c)
{
    if (c->pid == getpid() || c->working)
        return;
    kap_engine *parents = c->engine;
    c->engine = NULL; /* what ends below must not touch it */
    c->pid = getpid();
    KAP_EACH(kap_request, r, &c->requests, link) {
        if (!r->call.open || r->call.batches.n > 0) /* else it has yet to */
            kap_request_end_now(r, KAP_KIND_CLOSED,
                                "the process forked while the request was "
                                "going on");
    }
    kap_engine_abandon(parents);
}

void kap_client_check_ending(kap_client *c)
{
    if (c->closed || !kap_ending_begun())
        return;
    kap_ending_pause();
    kap_client_close(c);
}

const char *kap_client_closed_words(void)
{
    return kap_ending_begun() ? "the process is ending"
                              : "the client is closed";
}

kap_engine *kapL_client_engine(lua_State *L, kap_client *c)
{
    kap_client_check_fork(c); /* a token function may have done that */
    kap_client_check_ending(c);
    if (c->engine == NULL && !c->closed) {
        c->engine = kap_engine_new(c->concurrency, c->rate);
        if (c->engine == NULL)
            kap_client_check_ending(c);
        if (c->engine == NULL && !c->closed)
            kapL_error_nomem(L);
    }
    return c->engine;
}

static void drop_arrived(kap_client *c)
{
    kap_batch *b;
    while ((b = KAP_ITEM(kap_list_shift(&c->arrived), kap_batch, arrived)) !=
           NULL)
        kap_batch_free(b);
    c->reading.batch = NULL;
}

void kap_client_close(kap_client *c)
{
    if (c->closed)
        return;
    c->closed = true;
    KAP_EACH(kap_request, r, &c->requests, link) {
        kap_request_end(r, KAP_KIND_CLOSED,
                        kap_ending_begun() ? "the process is ending"
                                           : "the client was closed");
    }
    if (c->working) {
        c->closing = c->recorded = true;
        return;
    }
    c->ended = (kap_list){0};
    drop_arrived(c);
    kap_event_free_all(&c->events, NULL);
    kap_secret_wipe(&c->reading, sizeof c->reading);
    kap_engine_free(c->engine);
    c->engine = NULL;
    kap_message_unref(c->message);
    c->message = NULL;
    kap_settings_unref(c->settings);
    c->settings = NULL;
    kap_settings_unref(c->recalled);
    c->recalled = NULL;
}

void kap_client_settle_recorded(kap_client *c)
{
    if (!c->recorded)
        return;
    c->recorded = false;
    KAP_EACH(kap_request, r, &c->requests, link) {
        if (r->ending)
            kap_request_end_now(r, r->call.stop.kind, r->call.stop.message);
    }
    if (c->closing) {
        c->closing = c->closed = false;
        kap_client_close(c);
    }
}

bool kapL_client_request(lua_State *L, int idx, const kap_request *r)
{
    kapL_getuservalue(L, idx);
    kapL_rawgetp(L, -1, r);
    lua_remove(L, -2);
    if (lua_isuserdata(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

void kapL_client_forget(lua_State *L, int idx, const kap_request *r)
{
    if (!kapL_client_request(L, idx, r))
        return;
    lua_pop(L, 1);
    kapL_getuservalue(L, idx);
    lua_pushnil(L);
    kapL_rawsetp(L, -2, r); /* the key exists: nothing is allocated */
    lua_pop(L, 1);
}

void kap_client_arrive(kap_client *c, kap_batch *b, bool first)
{
    kap_list_insert(&c->arrived, &b->arrived, first ? NULL : c->arrived.last);
}

kap_batch *kap_client_next_arrived(kap_client *c)
{
    kap_batch *b;
    while ((b = KAP_ITEM(kap_list_shift(&c->arrived), kap_batch, arrived)) !=
           NULL) {
        if (b->call != NULL)
            return b;
        if (b == c->reading.batch)
            c->reading.batch = NULL;
        kap_batch_free(b); /* its call is over */
    }
    return NULL;
}

void kap_client_settle_mark(kap_client *c)
{
    if (c->engine == NULL)
        return;
    if (c->ended.n > 0 || c->arrived.n > 0 || c->events.n > 0)
        kap_engine_mark(c->engine);
    else
        kap_engine_clear_mark(c->engine);
}
