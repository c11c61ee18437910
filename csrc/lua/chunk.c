/* The iterator's chunks: requests sent ahead of what has been given. */
#include "lua/error.h"
#include "lua/iterator.h"
#include "lua/work.h"

#include <stdlib.h>

void kapL_chunk_forget(lua_State *L, int table, uint32_t at,
                       const kap_request *r)
{
    lua_rawgeti(L, table, KAP_ITERATOR_CLIENT);
    kapL_client_forget(L, lua_gettop(L), r);
    lua_rawgeti(L, table, (int)(KAP_ITERATOR_CHUNKS + at));
    kapL_request_empty(L, lua_gettop(L));
    lua_pushnil(L);
    lua_rawseti(L, table, (int)(KAP_ITERATOR_CHUNKS + at));
    lua_pop(L, 2);
}

/* The call's own share of the model's options and message. */
static void equip(kap_request *r, const kap_iterator *it)
{
    const kap_call *from = &it->model->call;
    if (from->settings != NULL) /* else nothing is sent any more */
        r->call.settings = kap_settings_ref(from->settings);
    if (from->message != NULL)
        r->call.message = kap_message_ref(from->message);
    r->call.lane = kap_lane_ref(it->lane);
    r->call.evidence = &it->model->evidence;
}

static void push_functions(lua_State *L, int table)
{
    lua_rawgeti(L, table, KAP_ITERATOR_MODEL);
    kapL_getuservalue(L, -1);
    lua_rawgeti(L, -1, KAP_REQUEST_FUNCTIONS);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

void kapL_chunk_read(lua_State *L, kap_iterator *it, int table, uint32_t limit,
                     bool rest)
{
    uint32_t at = (it->first + it->used) % it->room;
    kap_chunk *c = &it->ring[at];
    int top = lua_gettop(L);
    kap_request *r = kapL_request_new(L);
    kapL_getuservalue(L, -1);
    push_functions(L, table);
    lua_rawseti(L, -2, KAP_REQUEST_FUNCTIONS);
    lua_settop(L, top + 1);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, table, (int)(KAP_ITERATOR_CHUNKS + at));
    equip(r, it);
    c->request = r;
    c->taken = c->given = 0;
    if (c->order == NULL)
        c->order = calloc(it->size, sizeof *c->order);
    if (c->order == NULL)
        kapL_nomem(L);
    kapL_source_fill(L, it, at, table, limit, rest);
    if (it->closed)
        return;
    it->used++;
    if (r->call.ids.n > 0) {
        lua_rawgeti(L, table, KAP_ITERATOR_CLIENT);
        lua_insert(L, top + 1);
        r->call.stop = it->stop;
        kapL_request_start(L, r, top + 1, false);
    }
    lua_settop(L, top);
}

static uint32_t ahead(const kap_iterator *it)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < it->used; i++) {
        const kap_chunk *c = &it->ring[(it->first + i) % it->room];
        n += c->taken - c->given;
    }
    return n;
}

/* After what ends a call, nothing more is sent, and nothing asked of the source.
 */
static void note_stop(kap_iterator *it)
{
    for (uint32_t i = 0; i < it->used; i++) {
        const kap_request *r = it->ring[(it->first + i) % it->room].request;
        const kap_failure *f = &r->call.stop;
        if (it->stop.kind == KAP_KIND_NONE && kap_kind_ends_call(f->kind))
            it->stop = *f;
    }
}

void kapL_chunk_read_ahead(lua_State *L, kap_iterator *it, int table)
{
    uint32_t size = it->size, bound = size * it->room;
    note_stop(it);
    while (!it->closed && it->used < it->room && ahead(it) + size <= bound) {
        bool stopped = it->stop.kind != KAP_KIND_NONE;
        if ((it->drained || stopped) && !kapL_source_has_rest(L, table))
            return;
        kapL_chunk_read(L, it, table, size, stopped);
    }
}

void kapL_chunk_drop_first(lua_State *L, kap_iterator *it, int table)
{
    kap_chunk *c = &it->ring[it->first];
    kap_request *r = c->request;
    kapL_chunk_forget(L, table, it->first, r);
    /* not left to the collector: it does not know how much memory that is */
    if (r->held == 0)
        kap_call_free(&r->call, NULL);
    c->request = NULL;
    c->taken = c->given = 0;
    it->first = (it->first + 1) % it->room;
    it->used--;
}
