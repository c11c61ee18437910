#include "lua/drive.h"

#include "base/clock.h"
#include "lua/answer.h"
#include "lua/client.h"
#include "lua/error.h"
#include "lua/hook.h"
#include "lua/request.h"
#include "lua/result.h"
#include "lua/start.h"
#include "policy/slots.h"

#include <string.h>

/* How long an answer is dealt with, inline, before the engine has its turn: one
 * that is large, or during which Lua's collector marks a large heap, costs many
 * times what others do. */
#define SLICE_SECONDS 0.001
/* How long a wait may be deaf to Ctrl-C. */
#define LISTEN_SECONDS 0.2

static void collect_arrived(kap_client *c)
{
    kap_transfer *t;
    while (c->engine != NULL && (t = kap_engine_take(c->engine)) != NULL) {
        kap_call_arrived(t->owner);
        kap_client_arrive(c, t->owner, false);
    }
}

/* Requests that went out since the last time. */
static void announce(kap_client *c)
{
    KAP_EACH(kap_request, r, &c->requests, link)
        if (!kap_call_announce(&r->call))
            kap_request_end_nomem(r);
}

typedef struct work {
    kap_client *client;
    kap_batch *batch; /* ours until its call has it again */
    kap_request *request;
    double until;
} work;

/* Everything that may raise, in protected mode: (client, work). */
static int work_protected(lua_State *L)
{
    work *w = lua_touserdata(L, 2);
    bool ok = true;
    if (!kapL_client_request(L, 1, w->request))
        return luaL_error(L, "kapture: a request has lost its userdata");
    bool all =
        kapL_answer_read(L, 1, w->request, w->batch, w->until, &w->batch, &ok);
    if (!ok)
        kapL_error_nomem(L);
    if (all)
        kap_request_settle(w->request);
    return 0;
}

/* (a number is left alone: to make words of it takes memory) */
static bool is_memory_error(lua_State *L, int status)
{
    return status == LUA_ERRMEM ||
           (lua_type(L, -1) == LUA_TSTRING &&
            strstr(lua_tostring(L, -1), "not enough memory") != NULL);
}

/* The three values that work_protected takes are on top of the stack: they were
 * pushed before anything was taken off a list, for pushing may raise. */
static void run(lua_State *L, work *w)
{
    kap_client *c = w->client;
    c->working = true;
    int status = lua_pcall(L, 2, 0, 0);
    c->working = false;
    bool memory = status != 0 && is_memory_error(L, status);
    if (memory)
        kap_request_end_nomem(w->request);
    else if (status != 0)
        kap_request_end_now(w->request, KAP_KIND_CANCELLED,
                            "interrupted by an error");
    if (w->batch != NULL && w->batch->call != NULL) {
        kap_client_arrive(c, w->batch, true); /* there is more of it */
    } else if (w->batch != NULL) {
        if (c->reading.batch == w->batch)
            c->reading.batch = NULL;
        kap_batch_free(w->batch);
    }
    kap_client_settle_recorded(c);
    if (status == 0)
        return;
    kap_client_settle_mark(c);
    if (!memory)
        lua_error(L);
    lua_pop(L, 1);
}

void kapL_drive_work(lua_State *L, int client, double until)
{
    kap_client *c = lua_touserdata(L, client);
    if (c->working)
        return;
    client = kapL_absindex(L, client);
    kap_client_check_ending(c);
    if (c->engine != NULL && kap_engine_started(c->engine) && c->hooked > 0)
        announce(c);
    for (;;) {
        kapL_hook_deliver(L, client);
        kap_client_check_fork(c); /* a finalizer may have done that */
        kap_client_check_ending(c);
        collect_arrived(c);
        if (c->arrived.n == 0)
            return;
        kapL_room(L, 10);
        work w = {c, NULL, NULL, until};
        lua_pushcfunction(L, work_protected);
        lua_pushvalue(L, client);
        lua_pushlightuserdata(L, &w);
        w.batch = kap_client_next_arrived(c);
        if (w.batch == NULL) {
            lua_pop(L, 3);
            return;
        }
        w.request = kap_request_of(w.batch->call);
        if (c->engine != NULL && kap_engine_needs_turns(c->engine)) {
            double slice = kap_now() + SLICE_SECONDS;
            w.until = slice < until ? slice : until;
        }
        run(L, &w);
        if (kap_now() >= until)
            break;
        if (c->engine != NULL && kap_engine_needs_turns(c->engine))
            kap_engine_turn(c->engine, c->arrived.n > 0);
    }
    kapL_hook_deliver(L, client);
}

bool kap_drive_has_work(kap_client *c)
{
    return c->arrived.n > 0 || c->events.n > 0 ||
           (c->engine != NULL && kap_engine_ready(c->engine));
}

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* The interpreters' Ctrl-C is a hook, set by the signal's handler, that raises
 * an error at the next call: now and then, here is one. */
void kapL_drive_wait(lua_State *L, kap_client *c, double seconds)
{
    if ((lua_gethookmask(L) & LUA_MASKCALL) != 0) {
        kapL_room(L, 1);
        kap_client_settle_mark(c); /* whoever waits has taken it back */
        lua_pushcfunction(L, nothing);
        lua_call(L, 0, 0);
    }
    if (c->engine != NULL && !kap_drive_has_work(c))
        kap_engine_wait(c->engine,
                        seconds < LISTEN_SECONDS ? seconds : LISTEN_SECONDS);
}

static bool has_ended(const kap_request *r, uint64_t number)
{
    return r->call.done ||
           (number != KAP_DRIVE_ALL && kap_slots_final(&r->call, number));
}

void kapL_drive_until(lua_State *L, int client, kap_request *r, uint64_t number,
                      double until)
{
    kap_client *c = lua_touserdata(L, client);
    for (;;) {
        kapL_drive_work(L, client, HUGE_VAL);
        double left = until - kap_now();
        if (has_ended(r, number) || c->working || left <= 0 ||
            c->engine == NULL)
            return;
        kapL_drive_wait(L, c, left);
    }
}

/* (request, client) */
static int call_protected(lua_State *L)
{
    kap_request *r = lua_touserdata(L, 1);
    lua_insert(L, 1);
    kapL_start(L, r, 1, false);
    kapL_drive_until(L, 1, r, KAP_DRIVE_ALL, HUGE_VAL);
    return 0;
}

int kapL_drive_call(lua_State *L, int client, kap_request *r)
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
    if (r->nomem)
        kapL_error_nomem(L);
    int results = kapL_result_push(L, me);
    kapL_request_return(L, me, client);
    return results;
}
