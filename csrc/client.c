#include "client.h"

#include "clock.h"
#include "error.h"
#include "event.h"
#include "options.h"
#include "peer.h"
#include "request.h"
#include "result.h"
#include "tickets.h"

#include <string.h>
#include <unistd.h>

#define CLIENT_TYPE "kapture.client"

/* How long one step decodes at most before it gives the host its turn. */
#define STEP_SECONDS 0.003
/* How long a wait may be deaf to Ctrl-C. */
#define LISTEN_SECONDS 0.2

kap_client *kapL_client_check(lua_State *L, int idx)
{
    return luaL_checkudata(L, idx, CLIENT_TYPE);
}

kap_client *kapL_client_new(lua_State *L)
{
    kap_client *c = lua_newuserdata(L, sizeof *c);
    memset(c, 0, sizeof *c);
    luaL_getmetatable(L, CLIENT_TYPE);
    lua_setmetatable(L, -2);
    kap_budget_init(&c->budget);
    c->pid = getpid();
    c->random = (uint64_t)(kap_now() * 1e9) ^ ((uint64_t)c->pid << 32) ^
                (uint64_t)(uintptr_t)c;
    lua_newtable(L);
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
        kapL_nomem(L);
    kapL_getuservalue(L, me);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    kapL_options(L, opts, c->settings, me + 2, 1, func);
    lua_settop(L, me);
}

void kap_client_check_fork(kap_client *c)
{
    if (c->pid == getpid())
        return;
    kap_engine *parents = c->engine;
    c->engine = NULL; /* what ends below must not touch it */
    c->pid = getpid();
    while (c->requests != NULL)
        kap_request_end(c->requests, KAP_KIND_CLOSED,
                        "the process forked while the request was going on");
    kap_engine_abandon(parents);
}

kap_engine *kapL_client_engine(lua_State *L, kap_client *c)
{
    kap_client_check_fork(c);
    if (c->engine == NULL && !c->closed) {
        c->engine = kap_engine_new();
        if (c->engine == NULL)
            kapL_nomem(L);
    }
    return c->engine;
}

static void free_arrived(kap_client *c)
{
    kap_batch *b;
    while ((b = c->arrived) != NULL) {
        c->arrived = b->next_arrived;
        kap_batch_free(b);
    }
    c->arrived_last = NULL;
}

void kap_client_close(kap_client *c)
{
    if (c->closed)
        return;
    kap_client_check_fork(c);
    c->closed = true;
    while (c->requests != NULL)
        kap_request_end(c->requests, KAP_KIND_CLOSED, "the client was closed");
    c->ended = c->ended_last = NULL;
    free_arrived(c);
    kap_engine_free(c->engine);
    c->engine = NULL;
    for (struct kap_iterator *it = c->iterators; it != NULL;
         it = kap_iterator_strip(it))
        ;
    kap_message_unref(c->message);
    c->message = NULL;
    kap_settings_unref(c->settings);
    c->settings = NULL;
}

/* work --------------------------------------------------------------------- */

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

/* Pushes the request's userdata; false: it is gone. */
static bool push_request(lua_State *L, int client, const kap_request *r)
{
    kapL_getuservalue(L, client);
    kapL_rawgetp(L, -1, r);
    lua_remove(L, -2);
    if (lua_isuserdata(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
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
    if (!push_request(L, 1, w->request))
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
    luaL_checkstack(L, 10, "kapture");
    lua_pushcfunction(L, work_protected);
    lua_pushvalue(L, idx);
    lua_pushlightuserdata(L, w);
}

static void run(lua_State *L, work *w)
{
    int function = lua_gettop(L) - 2;
    bool there = push_request(L, function + 1, w->request);
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
                if (!push_request(L, idx, r))
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
static void wait_awhile(lua_State *L, kap_client *c, double seconds)
{
    if ((lua_gethookmask(L) & LUA_MASKCALL) != 0) {
        luaL_checkstack(L, 1, "kapture");
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
        wait_awhile(L, c, left);
    }
}

/* blocking calls ------------------------------------------------------------ */

/* (request, client) */
static int call_protected(lua_State *L)
{
    kap_request *r = lua_touserdata(L, 1);
    lua_insert(L, 1);
    kapL_request_start(L, r, 1, false);
    kapL_client_drive(L, 1, r, HUGE_VAL);
    return 0;
}

void kapL_client_forget(lua_State *L, int idx, const kap_request *r)
{
    if (!push_request(L, idx, r))
        return;
    lua_pop(L, 1);
    kapL_getuservalue(L, idx);
    lua_pushnil(L);
    kapL_rawsetp(L, -2, r); /* the key exists: nothing is allocated */
    lua_pop(L, 1);
}

int kapL_client_call(lua_State *L, int client, kap_request *r)
{
    int me = lua_gettop(L);
    luaL_checkstack(L, 10, "kapture");
    lua_pushcfunction(L, call_protected);
    lua_pushvalue(L, me);
    lua_pushvalue(L, client);
    int status = lua_pcall(L, 2, 0, 0);
    if (status != 0) /* out of memory: the call is over, not the client */
        kap_request_end(r, KAP_KIND_CANCELLED, "out of memory");
    kapL_client_forget(L, client, r);
    kap_client_settle_mark(lua_touserdata(L, client));
    if (status != 0)
        return lua_error(L);
    return kapL_request_result(L, me);
}

/* Pushes a request with (ids, opts) from stack indexes 2 and 3. */
static kap_request *request_from_args(lua_State *L, kap_client *c,
                                      const char *func)
{
    lua_settop(L, 3);
    kapL_getuservalue(L, 1);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    kap_request *r = kapL_request_new(L);
    kapL_request_options(L, r, c->settings, 5, 3, 2, func);
    /* Options of the call mostly say what those of the call before said: then
     * the engine's handles need no new setting up. */
    if (c->message != NULL && c->message->settings != r->call.settings &&
        kap_settings_same(c->message->settings, r->call.settings)) {
        kap_settings_unref(r->call.settings);
        r->call.settings = kap_settings_ref(c->message->settings);
    }
    if (c->closed)
        kap_failure_set(&r->fault, KAP_KIND_CLOSED, "the client is closed");
    else
        kapL_request_message(L, r, c);
    kapL_request_ids(L, r, 2, 1, func);
    return r;
}

static int client_get_ticket(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_request *r = request_from_args(L, c, "get_ticket");
    return kapL_client_call(L, 1, r);
}

static int client_submit(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_request *r = request_from_args(L, c, "submit");
    kapL_request_start(L, r, 1, true);
    return 1;
}

static int client_tickets(lua_State *L)
{
    kapL_client_check(L, 1);
    lua_settop(L, 3);
    kapL_getuservalue(L, 1);
    lua_rawgeti(L, -1, KAP_CLIENT_FUNCTIONS);
    return kapL_tickets_new(L, 1, 2, 3, 5, 1, "tickets");
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
    kapL_push_array_mt(L);
    kapL_push_list(L, 0, -1);
    lua_remove(L, -2);
    while (c->ended != NULL) {
        kap_request *r = c->ended;
        if (push_request(L, idx, r))
            lua_rawseti(L, -2, ++n);
        if (c->ended != r)
            continue;
        c->ended = r->next_ended;
        if (c->ended == NULL)
            c->ended_last = NULL;
        r->in_ended = false;
        kapL_client_forget(L, idx, r);
    }
}

static int client_step(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    double seconds = luaL_optnumber(L, 2, 0);
    double until = kap_now() + (seconds > 0 ? seconds : 0);
    kap_client_check_fork(c);
    if (c->engine != NULL)
        kap_engine_heard(c->engine);
    for (;;) {
        kapL_client_work(L, 1, kap_now() + STEP_SECONDS);
        double left = until - kap_now();
        if (c->engine == NULL || c->ended != NULL || left <= 0 ||
            c->pending == 0)
            break;
        wait_awhile(L, c, left);
    }
    lua_pushinteger(L, (lua_Integer)c->pending);
    push_ended(L, 1, c);
    kap_client_settle_mark(c);
    return 2;
}

static int client_close(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    kap_client_close(c);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    if (!lua_istable(L, 2)) /* collected before it was whole */
        return 0;
    lua_rawgeti(L, 2, KAP_CLIENT_FUNCTIONS);
    for (int i = 1; lua_istable(L, 3) && i <= 2; i++) {
        lua_pushnil(L);
        lua_rawseti(L, 3, i);
    }
    return 0;
}

static int client_tostring(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    lua_pushfstring(L, "kapture.client: %p%s", (void *)c,
                    c->closed ? " (closed)" : "");
    return 1;
}

/* what event loops ask for: cqueues' convention, and LuaSocket's -------------- */

static int client_events(lua_State *L)
{
    kapL_client_check(L, 1);
    lua_pushliteral(L, "r");
    return 1;
}

static int client_timeout(lua_State *L)
{
    kap_client *c = kapL_client_check(L, 1);
    if (kap_client_has_work(c) || c->ended != NULL)
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
    lua_pushboolean(L, kap_client_has_work(c) || c->ended != NULL);
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
    luaL_newmetatable(L, CLIENT_TYPE);
    lua_createtable(L, 0, 16);
    kapL_setfuncs(L, methods, 0);
    kapL_peer_register(L);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, client_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, client_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, client_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, CLIENT_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
