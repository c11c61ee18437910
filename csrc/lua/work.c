#include "lua/work.h"

#include "lua/arrival.h"
#include "base/clock.h"
#include "lua/event.h"

/* How long an answer is dealt with, inline, before the engine has its turn: one
 * that is large, or during which Lua's collector marks a large heap, costs many
 * times what others do. */
#define SLICE_SECONDS 0.001
/* How long a wait may be deaf to Ctrl-C. */
#define LISTEN_SECONDS 0.2

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

static void arrive(kap_client *c, kap_batch *b, bool first)
{
    b->next_arrived = NULL;
    if (c->arrived == NULL) {
        c->arrived = c->arrived_last = b;
    } else if (first) {
        b->next_arrived = c->arrived;
        c->arrived = b;
    } else {
        c->arrived_last->next_arrived = b;
        c->arrived_last = b;
    }
}

static void collect_arrived(kap_client *c)
{
    kap_transfer *t;
    while (c->engine != NULL && (t = kap_engine_take(c->engine)) != NULL) {
        kap_batch *b = t->owner;
        b->state = KAP_BATCH_ARRIVED;
        b->call->flying--;
        kap_call_look(b->call);
        arrive(c, b, false);
    }
}

void kap_client_drop_arrived(kap_client *c)
{
    kap_batch *b;
    while ((b = c->arrived) != NULL) {
        c->arrived = b->next_arrived;
        kap_batch_free(b);
    }
    c->arrived_last = NULL;
}

static kap_batch *next_arrived(kap_client *c)
{
    kap_batch *b;
    while ((b = c->arrived) != NULL) {
        c->arrived = b->next_arrived;
        if (c->arrived == NULL)
            c->arrived_last = NULL;
        b->next_arrived = NULL;
        if (b->call != NULL)
            return b;
        kap_batch_free(b); /* its call is over */
    }
    return NULL;
}

typedef struct work {
    kap_client *client;
    kap_batch *batch; /* being dealt with */
    kap_request *request;
    double until;
} work;

static kap_request *request_of(kap_batch *b)
{
    /* the call is the request's first member */
    return (kap_request *)(void *)b->call;
}

/* Everything that may raise, in protected mode: (client, work). */
static int work_protected(lua_State *L)
{
    work *w = lua_touserdata(L, 2);
    kap_batch *b = w->batch;
    if (b != NULL && b->call == NULL)
        return 0; /* a finalizer has ended its call since */
    if (!kapL_client_request(L, 1, w->request))
        return luaL_error(L, "kapture: a request has lost its userdata");
    if (b != NULL) {
        if (!kapL_request_work(L, w->request, b, w->until))
            return 0;
        w->batch = NULL;
    }
    if (!w->request->call.done)
        kapL_request_advance(L, w->request);
    return 0;
}

/* Pushes what run needs: before anything is taken off a list, for on 5.1 a C
 * function is an allocation. */
static void prepare(lua_State *L, int idx, work *w)
{
    kapL_room(L, 10);
    lua_pushcfunction(L, work_protected);
    lua_pushvalue(L, idx);
    lua_pushlightuserdata(L, w);
}

static void run(lua_State *L, work *w)
{
    int function = lua_gettop(L) - 2;
    bool there = kapL_client_request(L, function + 1, w->request);
    if (!there)
        lua_pushnil(L);
    lua_insert(L, function); /* stays there whatever finalizers do */
    if (there)
        w->request->held++;
    int status = lua_pcall(L, 2, 0, 0);
    if (there)
        w->request->held--;
    if (w->batch != NULL) { /* it has more, or it could not be dealt with */
        if (w->batch->call == NULL)
            kap_batch_free(w->batch);
        else if (w->batch->state == KAP_BATCH_ARRIVED)
            arrive(w->client, w->batch, true);
        w->batch = NULL;
    }
    if (status != 0) { /* whatever was not done is done by the next step */
        w->client->starved = true;
        kap_client_settle_mark(w->client);
        lua_error(L);
    }
    lua_pop(L, 1);
}

static kap_request *to_be_fed(const kap_client *c)
{
    kap_request *r = c->requests;
    while (r != NULL && r->looked_at == c->look)
        r = r->next;
    return r;
}

static void feed_starved(lua_State *L, int idx, kap_client *c)
{
    kap_request *r;
    work w = {c, NULL, NULL, 0};
    prepare(L, idx, &w);
    c->starved = false;
    c->look++;
    /* a hook may change the list: begin anew after each */
    while ((r = to_be_fed(c)) != NULL) {
        w.request = r;
        r->looked_at = c->look;
        run(L, &w);
        bool again = c->starved;
        c->starved = true; /* should this raise */
        prepare(L, idx, &w);
        c->starved = again;
    }
    lua_pop(L, 3);
}

static void announce(lua_State *L, int idx, kap_client *c)
{
    bool again = true;
    while (again) { /* a hook may change the list: begin anew after each */
        again = false;
        for (kap_request *r = c->requests; r != NULL && !again; r = r->next) {
            if (r->call.hook && kap_event_due(r)) {
                if (!kapL_client_request(L, idx, r))
                    return;
                kapL_event_announce(L, r, lua_gettop(L));
                lua_pop(L, 1);
                again = true;
            }
        }
    }
}

void kapL_client_work(lua_State *L, int idx, double until)
{
    kap_client *c = lua_touserdata(L, idx);
    kap_client_check_fork(c);
    kap_client_check_ending(c);
    if (c->starved)
        feed_starved(L, idx, c);
    /* taken note of even where the call that it was for is gone: while it
     * stands, nobody waits */
    if (c->engine != NULL && kap_engine_started(c->engine) && c->hooked > 0)
        announce(L, idx, c);
    for (;;) {
        work w = {c, NULL, NULL, until};
        prepare(L, idx, &w);
        collect_arrived(c);
        w.batch = next_arrived(c);
        if (w.batch == NULL) {
            lua_pop(L, 3);
            return;
        }
        w.request = request_of(w.batch);
        if (c->engine != NULL && kap_engine_needs_turns(c->engine)) {
            double slice = kap_now() + SLICE_SECONDS;
            w.until = slice < until ? slice : until;
        }
        run(L, &w);
        if (kap_now() >= until)
            return;
        if (c->engine != NULL)
            kap_engine_turn(c->engine, c->arrived != NULL);
    }
}

static bool feeds(const kap_client *c)
{
    return c->starved && c->requests != NULL;
}

bool kap_client_has_work(kap_client *c)
{
    kap_client_check_fork(c);
    return c->arrived != NULL || feeds(c) ||
           (c->engine != NULL && kap_engine_ready(c->engine));
}

void kap_client_settle_mark(kap_client *c)
{
    kap_client_check_fork(c);
    if (c->engine == NULL)
        return;
    if (c->ended != NULL || c->arrived != NULL || feeds(c))
        kap_engine_notify(c->engine);
    else
        kap_engine_quiet(c->engine);
}

static int nothing(lua_State *L)
{
    (void)L;
    return 0;
}

/* The interpreters' Ctrl-C is a hook, set by the signal's handler, that raises
 * an error at the next call: now and then, here is one. */
void kapL_client_wait(lua_State *L, kap_client *c, double seconds)
{
    if ((lua_gethookmask(L) & LUA_MASKCALL) != 0) {
        kapL_room(L, 1);
        kap_client_settle_mark(c); /* whoever waits has taken it back */
        lua_pushcfunction(L, nothing);
        lua_call(L, 0, 0);
    }
    if (c->engine != NULL && !kap_client_has_work(c))
        kap_engine_wait(c->engine,
                        seconds < LISTEN_SECONDS ? seconds : LISTEN_SECONDS);
}

void kapL_client_drive(lua_State *L, int idx, kap_request *r, double until)
{
    kap_client *c = lua_touserdata(L, idx);
    for (;;) {
        kapL_client_work(L, idx, HUGE_VAL);
        double left = until - kap_now();
        /* called by a hook or a finalizer from within work on this very
         * request: that must go on first */
        if (r->call.done || r->held > 0 || left <= 0 || c->engine == NULL)
            return;
        kapL_client_wait(L, c, left);
    }
}
