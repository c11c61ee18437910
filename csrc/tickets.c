#include "tickets.h"

#include "clock.h"
#include "error.h"
#include "request.h"
#include "result.h"

#include <stdlib.h>
#include <string.h>

#define ITERATOR_TYPE "kapture.iterator"

/* What is not an index of a chunk's id. */
#define INVALID UINT32_MAX

/* How often what is in flight gets a turn while tickets are handed out. */
#define TURN_SECONDS 0.001

/* Some ids of the source, asked for together: a request of its own. */
typedef struct chunk {
    kap_request *request; /* anchored in the iterator's table */
    uint32_t *order;      /* for each id taken: its index, or INVALID */
    uint32_t taken, given;
} chunk;

typedef struct iterator {
    kap_request *model; /* has the options and the message; never sent */
    kap_client *client;
    kap_lane *lane;
    chunk *ring; /* `concurrency` chunks */
    uint32_t room, used, first;
    long position; /* in a table source; -1: another kind of source */
    bool drained, closed, prepared;
    double turned;    /* when the engine last had its turn */
    kap_failure stop; /* after this, nothing more is sent */
} iterator;

/* Slots of the iterator's table. */
enum {
    ITERATOR_CLIENT = 1,
    ITERATOR_MODEL,
    ITERATOR_SOURCE,
    ITERATOR_LEFT,    /* queue of ids split from one string, not yet taken */
    ITERATOR_INVALID, /* what was no id: by 1000 * chunk + place */
    ITERATOR_CHUNKS   /* request userdata of chunk i at ITERATOR_CHUNKS + i */
};
#define CHUNK_MAX 1000

static iterator *check(lua_State *L)
{
    return luaL_checkudata(L, 1, ITERATOR_TYPE);
}

int kapL_tickets_new(lua_State *L, int client, int source, int opts,
                     const kap_settings *defaults, int functions, int arg,
                     const char *func)
{
    int type = lua_type(L, source);
    if (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TTABLE &&
        type != LUA_TFUNCTION)
        kapL_argerror(L, arg, func,
                      "string, integer, table or function of ids expected, got "
                      "%s",
                      luaL_typename(L, source));
    iterator *it = lua_newuserdata(L, sizeof *it);
    int me = lua_gettop(L);
    memset(it, 0, sizeof *it);
    it->position = type == LUA_TTABLE ? 0 : -1;
    kap_failure_clear(&it->stop);
    luaL_getmetatable(L, ITERATOR_TYPE);
    lua_setmetatable(L, me);
    lua_createtable(L, ITERATOR_CHUNKS, 0);
    lua_pushvalue(L, client);
    lua_rawseti(L, -2, ITERATOR_CLIENT);
    lua_pushvalue(L, source);
    lua_rawseti(L, -2, ITERATOR_SOURCE);
    kap_request *model = kapL_request_new(L);
    kapL_request_options(L, model, defaults, functions, opts, arg + 1, func);
    lua_rawseti(L, -2, ITERATOR_MODEL);
    lua_newtable(L);
    lua_rawseti(L, -2, ITERATOR_INVALID);
    kapL_setuservalue(L, me);
    it->client = lua_touserdata(L, client);
    it->model = model;
    it->room = (uint32_t)model->call.settings->concurrency;
    it->ring = calloc(it->room, sizeof *it->ring);
    it->lane = kap_lane_new((int)it->room, model->call.settings->rate,
                            model->call.settings->hook);
    if (it->ring == NULL || it->lane == NULL)
        kapL_nomem(L);
    it->lane->patient = true;
    it->client->users++;
#if LUA_VERSION_NUM >= 504
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, me);
    return 4;
#else
    return 1;
#endif
}

/* C only: also for __gc. The chunks' userdata go with the iterator's table. */
static void shut(iterator *it)
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
    if (it->lane != NULL) /* as the last step of its making */
        it->client->users--;
    kap_lane_unref(it->lane);
    it->lane = NULL;
}

static void forget_chunk(lua_State *L, int table, uint32_t at,
                         const kap_request *r)
{
    lua_rawgeti(L, table, ITERATOR_CLIENT);
    kapL_client_forget(L, lua_gettop(L), r);
    lua_pushnil(L);
    lua_rawseti(L, table, (int)(ITERATOR_CHUNKS + at));
    lua_pop(L, 1);
}

static void close_iterator(lua_State *L, iterator *it, int table)
{
    if (it->closed)
        return;
    for (uint32_t i = 0; i < it->room; i++)
        if (it->ring[i].request != NULL)
            forget_chunk(L, table, i, it->ring[i].request);
    /* (their memory is still there: nothing was allocated, so nothing was
     * collected in between) */
    shut(it);
}

/* the source ----------------------------------------------------------------- */

typedef struct filling {
    lua_State *L;
    iterator *it;
    chunk *chunk;
    uint32_t at; /* the chunk's place in the ring */
    int table;
    uint32_t limit;
    bool nomem;
} filling;

static bool chunk_add(filling *f, const kap_id_item *item)
{
    chunk *c = f->chunk;
    uint32_t i = INVALID;
    if (item->valid) {
        i = kap_idset_add(&c->request->call.ids, item->text, item->len);
        if (i == KAP_IDSET_NONE)
            return false;
    } else {
        lua_rawgeti(f->L, f->table, ITERATOR_INVALID);
        lua_pushlstring(f->L, item->text, item->len);
        lua_rawseti(f->L, -2, (int)(f->at * CHUNK_MAX + c->taken));
        lua_pop(f->L, 1);
    }
    c->order[c->taken++] = i;
    return true;
}

/* Into the chunk while it has room, then onto the queue of what is left. */
static bool take_item(void *arg, const kap_id_item *item)
{
    filling *f = arg;
    lua_State *L = f->L;
    if (f->chunk->taken < f->limit) {
        f->nomem = !chunk_add(f, item);
        return !f->nomem;
    }
    lua_rawgeti(L, f->table, ITERATOR_LEFT);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushinteger(L, 1);
        lua_setfield(L, -2, "next");
        lua_pushvalue(L, -1);
        lua_rawseti(L, f->table, ITERATOR_LEFT);
    }
    lua_pushlstring(L, item->text, item->len);
    lua_rawseti(L, -2, (int)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
    return true;
}

/* From the queue: false if it is empty. */
static bool take_left(filling *f)
{
    lua_State *L = f->L;
    int top = lua_gettop(L);
    lua_rawgeti(L, f->table, ITERATOR_LEFT);
    if (!lua_istable(L, -1)) {
        lua_settop(L, top);
        return false;
    }
    lua_getfield(L, -1, "next");
    int next = (int)lua_tointeger(L, -1);
    lua_rawgeti(L, top + 1, next);
    size_t len;
    const char *s = lua_tolstring(L, -1, &len);
    kap_id_item item = {kap_id_valid(s, len), len, ""};
    memcpy(item.text, s, len + 1);
    f->nomem = !chunk_add(f, &item);
    if (next == (int)lua_rawlen(L, top + 1)) {
        lua_pushnil(L);
        lua_rawseti(L, f->table, ITERATOR_LEFT);
    } else {
        lua_pushinteger(L, next + 1);
        lua_setfield(L, top + 1, "next");
    }
    lua_settop(L, top);
    return true;
}

/* Pushes the source's next value, nil at its end. Errors of a source function
 * come out of here as they are. */
static void push_next(filling *f)
{
    lua_State *L = f->L;
    iterator *it = f->it;
    lua_rawgeti(L, f->table, ITERATOR_SOURCE);
    if (it->position >= 0) {
        lua_rawgeti(L, -1, (int)++it->position);
        lua_remove(L, -2);
    } else if (lua_isfunction(L, -1)) {
        lua_call(L, 0, 1);
    } else { /* one string or number: only once */
        lua_pushnil(L);
        lua_rawseti(L, f->table, ITERATOR_SOURCE);
    }
}

static void fill(filling *f)
{
    iterator *it = f->it;
    lua_State *L = f->L;
    while (!f->nomem && f->chunk->taken < f->limit) {
        if (take_left(f))
            continue;
        if (it->drained)
            break;
        push_next(f);
        if (it->closed) /* by the source itself */
            break;
        if (lua_isnil(L, -1))
            it->drained = true;
        else
            kapL_ids_value(L, lua_gettop(L), true, take_item, f);
        lua_pop(L, 1);
    }
    if (f->nomem)
        kapL_nomem(L);
}

/* chunks ---------------------------------------------------------------------- */

/* The call's own share of the model's options and message. */
static void equip(kap_request *r, const iterator *it)
{
    const kap_call *from = &it->model->call;
    r->call.settings = kap_settings_ref(from->settings);
    if (from->message != NULL)
        r->call.message = kap_message_ref(from->message);
    r->call.lane = kap_lane_ref(it->lane);
    r->call.evidence = &it->model->evidence;
}

static void push_functions(lua_State *L, int table)
{
    lua_rawgeti(L, table, ITERATOR_MODEL);
    kapL_getuservalue(L, -1);
    lua_rawgeti(L, -1, KAP_REQUEST_FUNCTIONS);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

static void read_chunk(lua_State *L, iterator *it, int table, uint32_t limit)
{
    uint32_t at = (it->first + it->used) % it->room;
    chunk *c = &it->ring[at];
    int top = lua_gettop(L);
    kap_request *r = kapL_request_new(L);
    kapL_getuservalue(L, -1);
    push_functions(L, table);
    lua_rawseti(L, -2, KAP_REQUEST_FUNCTIONS);
    lua_settop(L, top + 1);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, table, (int)(ITERATOR_CHUNKS + at));
    equip(r, it);
    c->request = r;
    c->taken = c->given = 0;
    if (c->order == NULL)
        c->order = calloc((size_t)it->model->call.settings->batch_size,
                          sizeof *c->order);
    if (c->order == NULL)
        kapL_nomem(L);
    filling f = {L, it, c, at, table, limit, false};
    fill(&f);
    if (it->closed)
        return;
    it->used++;
    if (r->call.ids.n > 0) {
        lua_rawgeti(L, table, ITERATOR_CLIENT);
        lua_insert(L, top + 1);
        r->fault = it->stop;
        kapL_request_start(L, r, top + 1, false);
    }
    lua_settop(L, top);
}

static uint32_t ahead(const iterator *it)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < it->used; i++) {
        const chunk *c = &it->ring[(it->first + i) % it->room];
        n += c->taken - c->given;
    }
    return n;
}

static void read_ahead(lua_State *L, iterator *it, int table)
{
    uint32_t size = (uint32_t)it->model->call.settings->batch_size;
    uint32_t bound = size * it->room;
    while (!it->closed && it->used < it->room &&
           it->stop.kind == KAP_KIND_NONE) {
        lua_rawgeti(L, table, ITERATOR_LEFT);
        bool left = lua_istable(L, -1);
        lua_pop(L, 1);
        if ((it->drained && !left) || ahead(it) + size > bound)
            return;
        read_chunk(L, it, table, size);
    }
}

static void drop_first(lua_State *L, iterator *it, int table)
{
    chunk *c = &it->ring[it->first];
    kap_request *r = c->request;
    forget_chunk(L, table, it->first, r);
    c->request = NULL;
    c->taken = c->given = 0;
    it->first = (it->first + 1) % it->room;
    it->used--;
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

static int give_invalid(lua_State *L, int table, uint32_t key)
{
    kap_failure f;
    lua_rawgeti(L, table, ITERATOR_INVALID);
    lua_rawgeti(L, -1, (int)key);
    lua_pushnil(L);
    lua_rawseti(L, -3, (int)key);
    lua_remove(L, -2);
    kap_failure_clear(&f);
    kap_id_complain(&f, lua_tostring(L, -1), 0);
    lua_pushnil(L);
    kapL_push_failure(L, &f);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, -4);
    lua_rawseti(L, -2, 1);
    lua_setfield(L, -2, "ids");
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
        if (!lua_istable(L, -1)) { /* never sent */
            lua_pop(L, 1);
            kapL_push_error(L, r,
                            r->call.stop.kind != KAP_KIND_NONE ? &r->call.stop
                                                               : &r->fault,
                            i, 1);
        }
        complete(L);
    }
    lua_remove(L, table);
    return 3;
}

static void give_turn(iterator *it)
{
    kap_engine *e = it->client->engine;
    double now = kap_now();
    if (e == NULL || kap_engine_threaded(e) || it->used < 2 ||
        now - it->turned < TURN_SECONDS)
        return;
    it->turned = now;
    kap_engine_wait(e, 0);
}

/* A chunk that ended as a whole call would end: nothing more is sent. */
static void note_stop(iterator *it, const kap_request *r)
{
    const kap_failure *f =
        r->fault.kind != KAP_KIND_NONE ? &r->fault : &r->call.stop;
    if (it->stop.kind != KAP_KIND_NONE || f->kind == KAP_KIND_NONE ||
        !kap_kind_ends_call(f->kind))
        return;
    it->stop = *f;
    for (uint32_t i = 0; i < it->used; i++) {
        kap_request *other = it->ring[(it->first + i) % it->room].request;
        if (other->client == NULL)
            continue;
        kap_call_stop(&other->call, other->client->engine, f);
        if (kap_call_settle(&other->call))
            kap_request_detach(other);
    }
}

/* The chunk whose turn it is, with all sent that may be; NULL: the end. */
static chunk *front(lua_State *L, iterator *it, int table)
{
    for (;;) {
        read_ahead(L, it, table);
        if (it->closed || it->used == 0)
            return NULL;
        chunk *c = &it->ring[it->first];
        if (c->given < c->taken)
            return c;
        drop_first(L, it, table);
    }
}

static int one_round(lua_State *L, iterator *it, int table)
{
    chunk *c = front(L, it, table);
    if (c == NULL)
        return 0;
    uint32_t at = it->first, i = c->order[c->given];
    if (i == INVALID)
        return give_invalid(L, table, at * CHUNK_MAX + c->given++);
    kap_request *r = c->request;
    lua_rawgeti(L, table, ITERATOR_CLIENT);
    lua_rawgeti(L, table, (int)(ITERATOR_CHUNKS + at));
    int request = lua_gettop(L);
    if (!r->call.done) {
        kapL_client_drive(L, request - 1, r, HUGE_VAL);
    } else {
        /* what is in flight gets its turn while the caller works */
        give_turn(it);
    }
    if (it->closed)
        return 0;
    note_stop(it, r);
    c->given++;
    return give_id(L, r, request, i);
}

/* On the first round: the token function, the url. */
static void prepare(lua_State *L, iterator *it, int table)
{
    if (it->prepared)
        return;
    lua_rawgeti(L, table, ITERATOR_MODEL);
    if (it->client->closed)
        kap_failure_set(&it->model->fault, KAP_KIND_CLOSED,
                        "the client is closed");
    else
        kapL_request_message(L, it->model, it->client);
    lua_pop(L, 1);
    it->prepared = true;
    if (it->stop.kind == KAP_KIND_NONE)
        it->stop = it->model->fault;
    if (it->stop.kind != KAP_KIND_NONE) /* one id, to say so */
        read_chunk(L, it, table, 1);
}

static int round_protected(lua_State *L)
{
    iterator *it = lua_touserdata(L, 1);
    kapL_getuservalue(L, 1);
    lua_insert(L, 2);
    lua_settop(L, 2);
    prepare(L, it, 2);
    return one_round(L, it, 2);
}

static int advance_protected(lua_State *L)
{
    iterator *it = lua_touserdata(L, 1);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    prepare(L, it, 2);
    front(L, it, 2);
    return 0;
}

static void close_here(lua_State *L, iterator *it)
{
    kapL_getuservalue(L, 1);
    close_iterator(L, it, lua_gettop(L));
    lua_pop(L, 1);
}

static int iterator_call(lua_State *L)
{
    iterator *it = check(L);
    if (it->closed)
        return 0;
    lua_settop(L, 1);
    lua_pushcfunction(L, round_protected);
    lua_pushvalue(L, 1);
    int status = lua_pcall(L, 1, LUA_MULTRET, 0);
    int n = lua_gettop(L) - 1;
    if (status != 0 || n == 0)
        close_here(L, it);
    if (status != 0)
        return lua_error(L);
    return n;
}

/* For resty.kapture, whose rounds wait by yielding ------------------------------ */

/* Whether the next round, as things stand, would have to wait. */
static int iterator_pending(lua_State *L)
{
    const iterator *it = check(L);
    const chunk *c = it->closed || it->used == 0 ? NULL : &it->ring[it->first];
    lua_pushboolean(L, c != NULL && c->given < c->taken &&
                           c->order[c->given] != INVALID &&
                           !c->request->call.done);
    return 1;
}

/* All of a round but the waiting and the giving; then as pending. */
static int iterator_advance(lua_State *L)
{
    iterator *it = check(L);
    lua_settop(L, 1);
    if (!it->closed) {
        lua_pushcfunction(L, advance_protected);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 0, 0) != 0) {
            close_here(L, it);
            return lua_error(L);
        }
    }
    return iterator_pending(L);
}

/* What is left comes out as `closed`, with these words. */
static int iterator_shut(lua_State *L)
{
    iterator *it = check(L);
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
    iterator *it = check(L);
    lua_settop(L, 1);
    kapL_getuservalue(L, 1);
    close_iterator(L, it, 2);
    return 0;
}

static int iterator_gc(lua_State *L)
{
    iterator *it = check(L);
    if (!it->closed)
        shut(it);
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
