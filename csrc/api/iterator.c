#include "api/iterator.h"

#include "api/adapter.h"
#include "base/clock.h"
#include "lua/client.h"
#include "lua/drive.h"
#include "lua/error.h"
#include "lua/object.h"
#include "lua/request.h"
#include "lua/result.h"
#include "lua/source.h"
#include "lua/start.h"
#include "lua/value.h"
#include "policy/slots.h"

#include <stdlib.h>
#include <string.h>

#define ITERATOR_TYPE "kapture.iterator"

/* So often requests in flight make progress while tickets are handed out. */
#define TURN_SECONDS 0.001
/* If the caller was away for so long, the time is its own, not the
 * service's. */
#define AWAY_SECONDS 0.05

#define AT_WORK \
    "kapture: the iterator is at work: its source and its hook can't call it"

/* Stack indexes of a method: the iterator, and its table (its user value) where
 * the method has pushed it. */
enum { SELF = 1, TABLE };

static kap_iterator *check(lua_State *L)
{
    kap_iterator *it = luaL_checkudata(L, SELF, ITERATOR_TYPE);
    if (it->client != NULL)
        kap_client_check_fork(it->client);
    return it;
}

int kapL_iterator_new(lua_State *L, int client, int source, int opts,
                      int functions, int arg, const char *func)
{
    kap_client *owner = lua_touserdata(L, client);
    int type = lua_type(L, source);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TTABLE &&
        type != LUA_TFUNCTION && !kapL_ids_int64(L, source))
        kapL_error_argument(L, arg, func,
                            "string, integer, table or function of ids "
                            "expected, got "
                            "%s",
                            luaL_typename(L, source));
    kap_iterator *it = lua_newuserdata(L, sizeof *it);
    int me = lua_gettop(L), table = me + 1;
    memset(it, 0, sizeof *it);
    it->position = type == LUA_TTABLE ? 0 : -1;
    luaL_getmetatable(L, ITERATOR_TYPE);
    lua_setmetatable(L, me);
    lua_createtable(L, KAP_ITERATOR_INVALID, 0);
    lua_pushvalue(L, client);
    lua_rawseti(L, table, KAP_ITERATOR_CLIENT);
    lua_pushvalue(L, source);
    lua_rawseti(L, table, KAP_ITERATOR_SOURCE);
    lua_newtable(L);
    lua_rawseti(L, table, KAP_ITERATOR_INVALID);
    lua_pushvalue(L, table);
    kapL_setuservalue(L, me);
    kap_request *r = kapL_request_new(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, table, KAP_ITERATOR_REQUEST);
    r->call.open = true;
    kapL_start_options(L, r, functions != 0 ? owner->settings : NULL, functions,
                       opts, arg + 1, func);
    it->size = (uint32_t)r->call.settings->batch_size;
    it->room = it->size * (uint32_t)r->call.settings->concurrency;
    it->order = calloc(it->room, sizeof *it->order);
    if (it->order == NULL)
        kapL_error_nomem(L);
    kapL_start(L, r, client, false);
    it->client = owner;
    it->request = r;
    lua_settop(L, me);
#if LUA_VERSION_NUM >= 504
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, me);
    return 4;
#else
    return 1;
#endif
}

/* Also called by a hook, a source, a token function or a finalizer in the
 * middle of a round. What the round works with then stays until the round is
 * over. */
static void close_iterator(lua_State *L, kap_iterator *it, int table)
{
    it->closed = true;
    if (it->request == NULL) /* never whole */
        return;
    kap_request_end(it->request, KAP_KIND_CANCELLED, "the loop was left");
    if (it->busy)
        return;
    free(it->order);
    it->order = NULL;
    lua_rawgeti(L, table, KAP_ITERATOR_CLIENT);
    kapL_client_forget(L, lua_gettop(L), it->request);
    lua_rawgeti(L, table, KAP_ITERATOR_REQUEST);
    if (lua_isuserdata(L, -1))
        kapL_request_empty(L, lua_gettop(L));
    lua_pop(L, 2);
    kap_client_settle_mark(it->client);
}

static void close_here(lua_State *L, kap_iterator *it)
{
    kapL_getuservalue(L, SELF);
    close_iterator(L, it, lua_gettop(L));
    lua_pop(L, 1);
}

/* one round
 * --------------------------------------------------------------------- */

static int give_invalid(lua_State *L, kap_iterator *it, int table)
{
    kap_failure f;
    size_t len;
    int slot = (int)(it->given++ % it->room) + 1;
    const int invalid = lua_gettop(L) + 1, id = invalid + 1;
    lua_rawgeti(L, table, KAP_ITERATOR_INVALID);
    lua_rawgeti(L, invalid, slot);
    lua_pushnil(L);
    lua_rawseti(L, invalid, slot);
    kap_failure_clear(&f);
    const char *text = lua_tolstring(L, id, &len);
    kap_ids_complain(&f, text, 0);
    lua_pushnil(L);
    kapL_result_error(L, &f, text, 0);
    lua_getfield(L, -1, "ids");
    lua_pushvalue(L, id); /* as it is, commas and all */
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    return 3; /* id, nil, error */
}

/* Pushes the error table of an id, where its batch, or the whole call, failed:
 * that failure stands in its `failed` as well. */
static void push_failure(lua_State *L, const kap_failure *f, const char *ids,
                         size_t len)
{
    const int error = lua_gettop(L) + 1;
    kapL_result_error(L, f, ids, len);
    lua_getfield(L, error, "failed");
    kapL_error_push(L, f);
    lua_getfield(L, error, "ids");
    lua_setfield(L, -2, "ids");
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
}

static void push_error(lua_State *L, const kap_call *c, const kap_slot *slot,
                       const char *id, size_t len)
{
    kap_failure f;
    if (slot->state == KAP_ID_MISSING) {
        kap_failure_clear(&f);
        kap_failure_set(&f, KAP_KIND_MISSING,
                        "the service does not know this id");
        f.attempts = 1;
        kapL_result_error(L, &f, id, len);
    } else if (slot->fault != NULL) {
        push_failure(L, &slot->fault->failure, slot->fault->ids,
                     slot->fault->ids_len);
    } else {
        f = kap_failure_unsent(&c->stop);
        push_failure(L, &f, id, len);
    }
}

static int give(lua_State *L, kap_iterator *it, int table)
{
    kap_call *c = &it->request->call;
    uint64_t number = it->order[it->given % it->room];
    uint32_t i = (uint32_t)(number - c->dropped);
    int key = kapL_request_key(number);
    size_t len;
    const char *id = kap_idset_get(&c->ids, i, &len);
    const int ticket = lua_gettop(L) + 2; /* the id is below, an error above */
    bool got = c->slots[i].state == KAP_ID_GOT;
    const int last = got ? ticket : ticket + 1; /* of the results */
    lua_pushlstring(L, id, len);
    lua_pushnil(L);
    if (!got)
        push_error(L, c, &c->slots[i], id, len);
    lua_rawgeti(L, table, KAP_ITERATOR_REQUEST);
    kapL_getuservalue(L, -1);
    lua_rawgeti(L, -1, KAP_REQUEST_TICKETS);
    const int tickets = lua_gettop(L);
    if (!lua_istable(L, tickets)) /* closed and emptied meanwhile */
        return 0;
    lua_rawgeti(L, tickets, key);
    if (got) {
        lua_pushvalue(L, -1);
        lua_replace(L, ticket);
    }
    it->given++;
    /* A ticket is there also where the id failed after it had come. */
    if (kap_slots_release(c, number) && !lua_isnil(L, -1)) {
        lua_pushnil(L);
        lua_rawseti(L, tickets, key); /* the key exists: nothing is allocated */
    }
    lua_settop(L, last);
    return got ? 2 : 3;
}

static void give_turn(kap_iterator *it)
{
    kap_engine *e = it->client->engine;
    double now = kap_now();
    if (e == NULL || !kap_engine_needs_turns(e) ||
        now - it->turned < TURN_SECONDS)
        return;
    it->turned = now;
    kap_engine_turn(e, false);
}

static void drive(lua_State *L, kap_iterator *it, int table, uint64_t number)
{
    double now = kap_now();
    /* The caller's time, in the loop or in the source, counts against no
     * deadline. */
    if (it->seen > 0 && now - it->seen >= AWAY_SECONDS)
        kap_call_extend(&it->request->call, now - it->seen);
    lua_rawgeti(L, table, KAP_ITERATOR_CLIENT);
    kapL_drive_until(L, lua_gettop(L), it->request, number, HUGE_VAL);
    lua_pop(L, 1);
    it->seen = kap_now();
    if (it->request->nomem)
        kapL_error_nomem(L);
}

/* Reads ids and sends requests, as many as may be under way. Once the call is
 * stopped, nothing more is sent, and the source is not asked for more. */
static void read_ahead(lua_State *L, kap_iterator *it, int table)
{
    kap_call *c = &it->request->call;
    while (!it->closed && kapL_source_fill(L, it, table, it->size,
                                           c->stop.kind != KAP_KIND_NONE)) {
        if (it->closed)
            return;
        kap_client_check_fork(it->client); /* its source may have done that */
        if (!kap_call_seal(c))
            kapL_error_nomem(L);
        if (c->done)
            continue;
        kapL_client_engine(L, it->client);
        if (!c->done)
            kap_request_settle(it->request);
    }
}

static int one_round(lua_State *L, kap_iterator *it, int table)
{
    read_ahead(L, it, table);
    if (it->closed || it->given == it->taken)
        return 0;
    uint64_t number = it->order[it->given % it->room];
    if (number == KAP_NO_ID)
        return give_invalid(L, it, table);
    if (kap_slots_final(&it->request->call, number))
        give_turn(it); /* what is in flight goes on while the caller works */
    else
        drive(L, it, table, number);
    return it->closed ? 0 : give(L, it, table);
}

/* On the first round, calls the token function and makes what goes on the
 * wire. */
static void prepare(lua_State *L, kap_iterator *it, int table)
{
    kap_request *r = it->request;
    if (it->prepared || it->closed)
        return;
    it->prepared = true;
    lua_rawgeti(L, table, KAP_ITERATOR_REQUEST);
    if (!r->call.done) /* else its client was closed before */
        kapL_start_message(L, r, it->client);
    lua_pop(L, 1);
    if (r->call.stop.kind != KAP_KIND_NONE && !it->closed) {
        kapL_source_fill(L, it, table, 1, false); /* one id, to say so */
        if (!kap_call_seal(&r->call))
            kapL_error_nomem(L);
    }
}

static int round_protected(lua_State *L)
{
    kap_iterator *it = lua_touserdata(L, SELF);
    kapL_getuservalue(L, SELF);
    prepare(L, it, TABLE);
    return one_round(L, it, TABLE);
}

static int advance_protected(lua_State *L)
{
    kap_iterator *it = lua_touserdata(L, SELF);
    kapL_getuservalue(L, SELF);
    prepare(L, it, TABLE);
    read_ahead(L, it, TABLE);
    return 0;
}

/* Calls f(iterator) in protected mode, and closes the iterator where that
 * fails. Leaves the results on the stack and returns their number. */
static int run_protected(lua_State *L, kap_iterator *it, lua_CFunction f,
                         int results)
{
    /* a finalizer in the middle of the client's work can't have it wait */
    if (it->busy || (it->client->working && !it->request->call.done))
        return luaL_error(L, AT_WORK);
    lua_settop(L, SELF);
    lua_pushcfunction(L, f);
    lua_pushvalue(L, SELF);
    if (it->closed) /* just now: on 5.1 a C function is an allocation */
        return 0;
    it->busy = true;
    int status = lua_pcall(L, 1, results, 0);
    it->busy = false;
    if (status != 0 || it->closed)
        close_here(L, it);
    if (status != 0)
        return lua_error(L);
    return lua_gettop(L) - SELF;
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

/* For resty.kapture, whose rounds wait by yielding
 * ------------------------------ */

/* Whether the next round, as things stand, would have to wait. */
static int iterator_pending(lua_State *L)
{
    const kap_iterator *it = check(L);
    uint64_t number = it->closed || it->given == it->taken
                          ? KAP_NO_ID
                          : it->order[it->given % it->room];
    lua_pushboolean(L, number != KAP_NO_ID &&
                           !kap_slots_final(&it->request->call, number));
    return 1;
}

/* Does all of a round but waiting and handing out; returns what pending
 * does. */
static int iterator_advance(lua_State *L)
{
    kap_iterator *it = check(L);
    if (!it->closed)
        run_protected(L, it, advance_protected, 0);
    return iterator_pending(L);
}

/* Ids that are still open fail with `closed` and these words. */
static int iterator_shut(lua_State *L)
{
    kap_iterator *it = check(L);
    const char *words = luaL_checkstring(L, 2);
    if (!it->closed && it->request->call.stop.kind == KAP_KIND_NONE)
        kap_request_end(it->request, KAP_KIND_CLOSED, words);
    return 0;
}

static int iterator_close(lua_State *L)
{
    kap_iterator *it = check(L);
    lua_settop(L, SELF);
    if (!it->closed)
        close_here(L, it);
    return 0;
}

static int iterator_gc(lua_State *L)
{
    kap_iterator *it = check(L);
    it->busy = false; /* its coroutine is gone, and the round with it */
    if (it->order != NULL && it->request != NULL)
        close_here(L, it);
    free(it->order); /* where it was never whole */
    it->order = NULL;
    return 0;
}

static int iterator_tostring(lua_State *L)
{
    lua_pushfstring(L, "kapture.iterator: %p%s", (void *)check(L),
                    check(L)->closed ? " (ended)" : "");
    return 1;
}

void kapL_iterator_register(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"close", iterator_close},
        {NULL, NULL},
    };
    static const luaL_Reg private_functions[] = {
        {"pending", iterator_pending},
        {"advance", iterator_advance},
        {"shut_iterator", iterator_shut},
        {NULL, NULL},
    };
    static const luaL_Reg meta[] = {
        {"__call", iterator_call},
        {"__close", iterator_close},
        {"__gc", iterator_gc},
        {"__tostring", iterator_tostring},
        {NULL, NULL},
    };
    kapL_object_register(L, ITERATOR_TYPE, methods, meta);
    kapL_adapter_add(L, private_functions);
}
