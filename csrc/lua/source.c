/* Ids out of whatever the caller gave the iterator. */
#include "lua/error.h"
#include "lua/iterator.h"

#include <string.h>

typedef struct filling {
    lua_State *L;
    kap_iterator *it;
    kap_chunk *chunk;
    uint32_t at; /* the chunk's place in the ring */
    int table;
    uint32_t limit;
    bool nomem;
} filling;

static bool chunk_add(filling *f, const kap_id_item *item)
{
    kap_chunk *c = f->chunk;
    uint32_t i = KAP_NO_ID;
    if (item->valid) {
        i = kap_idset_add(&c->request->call.ids, item->text, item->len);
        if (i == KAP_IDSET_NONE)
            return false;
    } else {
        lua_rawgeti(f->L, f->table, KAP_ITERATOR_INVALID);
        lua_pushlstring(f->L, item->text, item->len);
        lua_rawseti(f->L, -2, (int)(f->at * KAP_CHUNK_MAX + c->taken));
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
    lua_rawgeti(L, f->table, KAP_ITERATOR_LEFT);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushinteger(L, 1);
        lua_setfield(L, -2, "next");
        lua_pushvalue(L, -1);
        lua_rawseti(L, f->table, KAP_ITERATOR_LEFT);
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
    lua_rawgeti(L, f->table, KAP_ITERATOR_LEFT);
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
        lua_rawseti(L, f->table, KAP_ITERATOR_LEFT);
    } else {
        lua_pushinteger(L, next + 1);
        lua_setfield(L, top + 1, "next");
    }
    lua_settop(L, top);
    return true;
}

/* Whether a table of ids ended before its time: a hole is no id. */
static bool ended_in_a_hole(filling *f)
{
    lua_State *L = f->L;
    if (f->it->position < 0)
        return false;
    lua_rawgeti(L, f->table, KAP_ITERATOR_SOURCE);
    bool hole = kapL_ids_has_hole(L, lua_gettop(L), (size_t)f->it->position);
    lua_pop(L, 1);
    return hole;
}

/* Pushes the source's next value, nil at its end. Errors of a source function
 * come out of here as they are. */
static void push_next(filling *f)
{
    lua_State *L = f->L;
    kap_iterator *it = f->it;
    lua_rawgeti(L, f->table, KAP_ITERATOR_SOURCE);
    if (it->position >= 0) {
        lua_rawgeti(L, -1, (int)++it->position);
        lua_remove(L, -2);
    } else if (lua_isfunction(L, -1)) {
        lua_call(L, 0, 1);
    } else { /* one string or number: only once */
        lua_pushnil(L);
        lua_rawseti(L, f->table, KAP_ITERATOR_SOURCE);
    }
}

void kapL_source_fill(lua_State *L, kap_iterator *it, uint32_t at, int table,
                      uint32_t limit, bool rest)
{
    filling f = {L, it, &it->ring[at], at, table, limit, false};
    while (!f.nomem && f.chunk->taken < limit) {
        if (take_left(&f))
            continue;
        if (it->drained || rest)
            break;
        push_next(&f);
        if (it->closed) /* by the source itself: the chunk is gone */
            return;
        if (!lua_isnil(L, -1)) {
            kapL_ids_value(L, lua_gettop(L), true, take_item, &f);
        } else {
            it->drained = true;
            if (ended_in_a_hole(&f))
                f.nomem = !chunk_add(&f, &(kap_id_item){false, 3, "nil"});
        }
        lua_pop(L, 1);
    }
    if (f.nomem)
        kapL_nomem(L);
}

bool kapL_source_has_rest(lua_State *L, int table)
{
    lua_rawgeti(L, table, KAP_ITERATOR_LEFT);
    bool has = lua_istable(L, -1);
    lua_pop(L, 1);
    return has;
}
