#include "api/tickets.h"

#include "base/clock.h"
#include "lua/error.h"
#include "lua/iterator.h"
#include "lua/result.h"
#include "lua/work.h"

#include <stdlib.h>
#include <string.h>

#define ITERATOR_TYPE "kapture.iterator"

/* How often what is in flight gets a turn while tickets are handed out. */
#define TURN_SECONDS 0.001
/* Away for so long: that is the caller's time, not the service's. */
#define AWAY_SECONDS 0.05

#define AT_WORK \
    "kapture: the iterator is at work: its source and its hook can't call it"

static kap_iterator *check(lua_State *L)
{
    return luaL_checkudata(L, 1, ITERATOR_TYPE);
}

int kapL_tickets_new(lua_State *L, int client, int source, int opts,
                     int functions, int arg, const char *func)
{
    kap_client *owner = lua_touserdata(L, client);
    int type = lua_type(L, source);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TTABLE &&
        type != LUA_TFUNCTION && !kapL_ids_int64(L, source))
        kapL_argerror(L, arg, func,
                      "string, integer, table or function of ids expected, got "
                      "%s",
                      luaL_typename(L, source));
    kap_iterator *it = lua_newuserdata(L, sizeof *it);
    int me = lua_gettop(L);
    memset(it, 0, sizeof *it);
    it->position = type == LUA_TTABLE ? 0 : -1;
    kap_failure_clear(&it->stop);
    luaL_getmetatable(L, ITERATOR_TYPE);
    lua_setmetatable(L, me);
    lua_createtable(L, KAP_ITERATOR_CHUNKS, 0);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, KAP_ITERATOR_CLIENT);
    lua_pushvalue(L, source);
    lua_rawseti(L, -2, KAP_ITERATOR_SOURCE);
    kap_request *model = kapL_request_new(L);
    kapL_request_options(L, model, functions != 0 ? owner->settings : NULL,
                         functions, opts, arg + 1, func);
    lua_rawseti(L, -2, KAP_ITERATOR_MODEL);
    lua_newtable(L);
    lua_rawseti(L, -2, KAP_ITERATOR_INVALID);
    kapL_setuservalue(L, me);
    it->client = owner;
    it->model = model;
    it->room = (uint32_t)model->call.settings->concurrency;
    it->size = (uint32_t)model->call.settings->batch_size;
    it->ring = calloc(it->room, sizeof *it->ring);
    if (it->ring == NULL)
        kapL_nomem(L);
    it->lane = kap_lane_new((int)it->room, model->call.settings->rate,
                            model->call.settings->hook);
    if (it->lane == NULL)
        kapL_nomem(L);
    it->lane->patient = true;
    it->next = owner->iterators;
    if (it->next != NULL)
        it->next->prev = it;
    owner->iterators = it;
    if (owner->closed) /* by a finalizer, just now */
        kap_iterator_strip(it);
#if LUA_VERSION_NUM >= 504
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, me);
    return 4;
#else
    return 1;
#endif
}

kap_iterator *kap_iterator_strip(kap_iterator *it)
{
    kap_call_let_go(&it->model->call);
    return it->next;
}

static void unlink_iterator(kap_iterator *it)
{
    if (it->prev != NULL)
        it->prev->next = it->next;
    else
        it->client->iterators = it->next;
    if (it->next != NULL)
        it->next->prev = it->prev;
    it->prev = it->next = NULL;
}

/* C only: also for __gc. The chunks' userdata go with the iterator's table. */
static void shut(kap_iterator *it)
{
    it->closed = true;
    for (uint32_t i = 0; it->ring != NULL && i < it->room; i++) {
        if (it->ring[i].request != NULL)
            kap_request_end(it->ring[i].request, KAP_KIND_CANCELLED,
                            "the loop was left");
        free(it->ring[i].order);
    }
    free(it->ring);
    it->ring = NULL;
    if (it->lane != NULL) { /* as the last step of its making */
        unlink_iterator(it);
        kap_iterator_strip(it);
    }
    kap_lane_unref(it->lane);
    it->lane = NULL;
}

/* Where a round goes on up the C stack, its chunks stay until it is over: it
 * was closed by a hook, a source, a token function, or a finalizer at whichever
 * allocation. */
static void close_iterator(lua_State *L, kap_iterator *it, int table)
{
    if (it->ring == NULL)
        return;
    if (it->busy) {
        it->closed = true;
        for (uint32_t i = 0; i < it->room; i++)
            if (it->ring[i].request != NULL)
                kap_request_end(it->ring[i].request, KAP_KIND_CANCELLED,
                                "the loop was left");
        kap_iterator_strip(it);
        return;
    }
    for (uint32_t i = 0; i < it->room; i++)
        if (it->ring[i].request != NULL)
            kapL_chunk_forget(L, table, i, it->ring[i].request);
    /* (their memory is still there: nothing was allocated, so nothing was
     * collected in between) */
    shut(it);
    kap_client_settle_mark(it->client);
}

/* one round --------------------------------------------------------------------- */

static void set_empty(lua_State *L, const char *key)
{
    kapL_push_array_mt(L);
    kapL_push_list(L, 0, -1);
    lua_remove(L, -2);
    lua_setfield(L, -2, key);
}

/* Completes an error table for one id to the shape of get_ticket's. */
static void complete(lua_State *L)
{
    set_empty(L, "tickets");
    set_empty(L, "missing");
    set_empty(L, "failed");
}

/* The error table for one id, instead of its request's failure on top of the
 * stack, which others may have got as well and which stands in its `failed`. */
static void complain(lua_State *L)
{
    int failure = lua_gettop(L);
    lua_newtable(L);
    kapL_error_mark(L);
    lua_pushnil(L);
    while (lua_next(L, failure) != 0) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, failure + 1);
    }
    complete(L);
    lua_getfield(L, -1, "failed");
    lua_pushvalue(L, failure);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    lua_remove(L, failure);
}

static int give_invalid(lua_State *L, int table, uint32_t key)
{
    kap_failure f;
    lua_rawgeti(L, table, KAP_ITERATOR_INVALID);
    lua_rawgeti(L, -1, (int)key);
    lua_pushnil(L);
    lua_rawseti(L, -3, (int)key);
    lua_remove(L, -2);
    kap_failure_clear(&f);
    kap_id_complain(&f, lua_tostring(L, -1), 0);
    lua_pushnil(L);
    kapL_push_failure(L, &f);
    set_empty(L, "ids");
    lua_getfield(L, -1, "ids");
    lua_pushvalue(L, -4);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    complete(L);
    return 3;
}

static void push_missing(lua_State *L, const kap_request *r, uint32_t i)
{
    kap_failure f;
    kap_failure_clear(&f);
    kap_failure_set(&f, KAP_KIND_MISSING, "the service does not know this id");
    f.attempts = (int)r->call.requests;
    kapL_push_error(L, r, &f, i, 1);
    complete(L);
}

static int give_id(lua_State *L, kap_request *r, int request, uint32_t i)
{
    size_t len;
    const char *id = kap_idset_get(&r->call.ids, i, &len);
    lua_pushlstring(L, id, len);
    kapL_getuservalue(L, request);
    int table = lua_gettop(L);
    switch (r->call.state[i]) {
    case KAP_ID_GOT:
        lua_rawgeti(L, table, KAP_REQUEST_TICKETS);
        lua_rawgeti(L, -1, (int)i + 1);
        lua_replace(L, table);
        lua_settop(L, table);
        return 2;
    case KAP_ID_MISSING:
        lua_pushnil(L);
        push_missing(L, r, i);
        break;
    default:
        lua_pushnil(L);
        lua_rawgeti(L, table, KAP_REQUEST_FAILED);
        if (lua_istable(L, -1)) {
            lua_rawgeti(L, -1, (int)i + 1);
            lua_remove(L, -2);
        }
        if (!lua_istable(L, -1)) {
            kap_failure unsent = kap_failure_unsent(&r->call.stop);
            lua_pop(L, 1);
            kapL_push_error(L, r, &unsent, i, 1);
        }
        complain(L);
    }
    lua_remove(L, table);
    return 3;
}

static void give_turn(kap_iterator *it)
{
    kap_engine *e = it->client->engine;
    double now = kap_now();
    if (e == NULL || kap_engine_threaded(e) || it->used < 2 ||
        now - it->turned < TURN_SECONDS)
        return;
    it->turned = now;
    kap_engine_wait(e, 0);
}

/* The caller's own time, in the loop or in the source, counts against no
 * deadline. */
static void forgive_absence(kap_iterator *it)
{
    double now = kap_now(), away = now - it->seen;
    if (away < AWAY_SECONDS)
        return;
    for (uint32_t i = 0; i < it->used; i++) {
        kap_call *c = &it->ring[(it->first + i) % it->room].request->call;
        kap_call_look(c);
        double since = now - c->started;
        if (!c->done)
            kap_call_extend(c, away < since ? away : since);
    }
}

/* Called by a hook or a finalizer in the middle of work on one of its chunks:
 * that must go on first, and others may wait for what it brings. */
static bool is_held(const kap_iterator *it)
{
    for (uint32_t i = 0; i < it->used; i++)
        if (it->ring[(it->first + i) % it->room].request->held > 0)
            return true;
    return false;
}

static void drive(lua_State *L, kap_iterator *it, int request)
{
    kap_request *r = lua_touserdata(L, request);
    it->refused = is_held(it);
    if (it->refused)
        luaL_error(L, AT_WORK);
    forgive_absence(it);
    kapL_client_drive(L, request - 1, r, HUGE_VAL);
    it->seen = kap_now();
}

/* The chunk whose turn it is, with all sent that may be; NULL: the end. */
static kap_chunk *front(lua_State *L, kap_iterator *it, int table)
{
    for (;;) {
        kapL_chunk_read_ahead(L, it, table);
        if (it->closed || it->used == 0)
            return NULL;
        kap_chunk *c = &it->ring[it->first];
        if (c->given < c->taken)
            return c;
        kapL_chunk_drop_first(L, it, table);
    }
}

static int one_round(lua_State *L, kap_iterator *it, int table)
{
    kap_chunk *c = front(L, it, table);
    if (c == NULL)
        return 0;
    uint32_t at = it->first, i = c->order[c->given];
    if (i == KAP_NO_ID)
        return give_invalid(L, table, at * KAP_CHUNK_MAX + c->given++);
    kap_request *r = c->request;
    lua_rawgeti(L, table, KAP_ITERATOR_CLIENT);
    lua_rawgeti(L, table, (int)(KAP_ITERATOR_CHUNKS + at));
    int request = lua_gettop(L);
    if (!r->call.done) {
        drive(L, it, request);
    } else {
        /* what is in flight gets its turn while the caller works */
        give_turn(it);
    }
    if (it->closed)
        return 0;
    if (r->extras > 0) { /* parts of one request may bring each other's */
        kapL_getuservalue(L, request);
        kapL_result_adopt(L, r, lua_gettop(L));
        lua_pop(L, 1);
        r->extras = 0;
    }
    c->given++;
    return give_id(L, r, request, i);
}

/* On the first round: the token function, the url. */
static void prepare(lua_State *L, kap_iterator *it, int table)
{
    if (it->prepared || it->closed)
        return;
    lua_rawgeti(L, table, KAP_ITERATOR_MODEL);
    if (it->client->closed)
        kap_failure_set(&it->model->call.stop, KAP_KIND_CLOSED,
                        "the client is closed");
    else
        kapL_request_message(L, it->model, it->client);
    lua_pop(L, 1);
    it->prepared = true;
    if (it->closed)
        return;
    if (it->stop.kind == KAP_KIND_NONE)
        it->stop = it->model->call.stop;
    if (it->stop.kind != KAP_KIND_NONE) /* one id, to say so */
        kapL_chunk_read(L, it, table, 1, false);
}

static int round_protected(lua_State *L)
{
    kap_iterator *it = lua_touserdata(L, 1);
    kapL_getuservalue(L, 1);
    lua_insert(L, 2);
    lua_settop(L, 2);
    prepare(L, it, 2);
    return one_round(L, it, 2);
}

static int advance_protected(lua_State *L)
{
    kap_iterator *it = lua_touserdata(L, 1);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    prepare(L, it, 2);
    front(L, it, 2);
    return 0;
}

static void close_here(lua_State *L, kap_iterator *it)
{
    kapL_getuservalue(L, 1);
    close_iterator(L, it, lua_gettop(L));
    lua_pop(L, 1);
}

/* Calls f(iterator), and closes the iterator where that fails, unless it was only
 * called in the middle of a chunk's work. The number of results, which are on the
 * stack. */
static int run_protected(lua_State *L, kap_iterator *it, lua_CFunction f,
                         int results)
{
    if (it->busy)
        return luaL_error(L, AT_WORK);
    /* first: a chunk read before that would wait in the parent's lane */
    kap_client_check_fork(it->client);
    lua_settop(L, 1);
    lua_pushcfunction(L, f);
    lua_pushvalue(L, 1);
    if (it->closed) { /* just now: on 5.1 a C function is an allocation */
        lua_settop(L, 1);
        return 0;
    }
    it->busy = true;
    int status = lua_pcall(L, 1, results, 0);
    it->busy = false;
    if ((status != 0 && !it->refused) || it->closed)
        close_here(L, it);
    it->refused = false;
    if (status != 0)
        return lua_error(L);
    return lua_gettop(L) - 1;
}

static int iterator_call(lua_State *L)
{
    kap_iterator *it = check(L);
    if (it->closed)
        return 0;
    int n = run_protected(L, it, round_protected, LUA_MULTRET);
    if (n == 0)
        close_here(L, it);
    return n;
}

/* For resty.kapture, whose rounds wait by yielding ------------------------------ */

/* Whether the next round, as things stand, would have to wait. */
static int iterator_pending(lua_State *L)
{
    const kap_iterator *it = check(L);
    const kap_chunk *c =
        it->closed || it->used == 0 ? NULL : &it->ring[it->first];
    lua_pushboolean(L, c != NULL && c->given < c->taken &&
                           c->order[c->given] != KAP_NO_ID &&
                           !c->request->call.done);
    return 1;
}

/* All of a round but the waiting and the giving; then as pending. */
static int iterator_advance(lua_State *L)
{
    kap_iterator *it = check(L);
    if (!it->closed)
        run_protected(L, it, advance_protected, 0);
    return iterator_pending(L);
}

/* What is left comes out as `closed`, with these words. */
static int iterator_shut(lua_State *L)
{
    kap_iterator *it = check(L);
    const char *words = luaL_checkstring(L, 2);
    if (it->closed || it->stop.kind != KAP_KIND_NONE)
        return 0;
    kap_failure_set(&it->stop, KAP_KIND_CLOSED, "%s", words);
    for (uint32_t i = 0; i < it->used; i++)
        kap_request_end(it->ring[(it->first + i) % it->room].request,
                        KAP_KIND_CLOSED, words);
    return 0;
}

static int iterator_close(lua_State *L)
{
    kap_iterator *it = check(L);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    close_iterator(L, it, 2);
    return 0;
}

static int iterator_gc(lua_State *L)
{
    kap_iterator *it = check(L);
    if (it->lane != NULL) {
        it->busy = false; /* its coroutine is gone, and the round with it */
        return iterator_close(L);
    }
    shut(it); /* closed, or never finished */
    return 0;
}

static int iterator_tostring(lua_State *L)
{
    lua_pushfstring(L, "kapture.iterator: %p%s", (void *)check(L),
                    check(L)->closed ? " (ended)" : "");
    return 1;
}

void kapL_tickets_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"close", iterator_close},
        {"_pending", iterator_pending},
        {"_advance", iterator_advance},
        {"_shut", iterator_shut},
        {NULL, NULL},
    };
    luaL_newmetatable(L, ITERATOR_TYPE);
    lua_createtable(L, 0, 4);
    kapL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, iterator_call);
    lua_setfield(L, -2, "__call");
    lua_pushcfunction(L, iterator_close);
    lua_setfield(L, -2, "__close");
    lua_pushcfunction(L, iterator_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, iterator_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, ITERATOR_TYPE);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
