/* Ids out of whatever the caller gave the iterator. */
#include "lua/source.h"

#include "lua/error.h"
#include "policy/slots.h"

#include <string.h>

typedef struct filling {
    lua_State *L;
    kap_iterator *it;
    int table;
    uint64_t limit; /* read until so many are taken */
    bool nomem;
} filling;

static bool feed(filling *f, const kap_id_item *item)
{
    lua_State *L = f->L;
    kap_iterator *it = f->it;
    uint64_t *entry = &it->order[it->taken % it->room];
    *entry = KAP_NO_ID;
    if (!item->valid) {
        lua_rawgeti(L, f->table, KAP_ITERATOR_INVALID);
        lua_pushlstring(L, item->text, item->len);
        lua_rawseti(L, -2, (int)(it->taken % it->room) + 1);
        lua_pop(L, 1);
    } else if (!kap_slots_feed(&it->request->call, item->text, item->len,
                               entry)) {
        return false;
    }
    it->taken++;
    return true;
}

/* Into the ring while there is room, then onto the queue of what is left. */
static bool take_item(void *arg, const kap_id_item *item)
{
    filling *f = arg;
    lua_State *L = f->L;
    if (f->it->taken < f->limit) {
        f->nomem = !feed(f, item);
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
    const int left = lua_gettop(L) + 1;
    lua_rawgeti(L, f->table, KAP_ITERATOR_LEFT);
    if (!lua_istable(L, left)) {
        lua_pop(L, 1);
        return false;
    }
    lua_getfield(L, left, "next");
    int next = (int)lua_tointeger(L, -1);
    lua_rawgeti(L, left, next);
    size_t len;
    const char *s = lua_tolstring(L, -1, &len);
    kap_id_item item = {kap_idset_valid(s, len), len, ""};
    memcpy(item.text, s, len + 1);
    f->nomem = !feed(f, &item);
    if (next == (int)lua_rawlen(L, left)) {
        lua_pushnil(L);
        lua_rawseti(L, f->table, KAP_ITERATOR_LEFT);
    } else {
        lua_pushinteger(L, next + 1);
        lua_setfield(L, left, "next");
    }
    lua_settop(L, left - 1);
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

static bool has_rest(lua_State *L, int table)
{
    lua_rawgeti(L, table, KAP_ITERATOR_LEFT);
    bool has = lua_istable(L, -1);
    lua_pop(L, 1);
    return has;
}

bool kapL_source_fill(lua_State *L, kap_iterator *it, int table, uint32_t limit,
                      bool rest)
{
    filling f = {L, it, table, it->taken + limit, false};
    if (f.limit - it->given > it->room ||
        ((it->drained || rest) && !has_rest(L, table)))
        return false;
    while (!f.nomem && it->taken < f.limit) {
        if (take_left(&f))
            continue;
        if (it->drained || rest)
            break;
        push_next(&f);
        if (it->closed) /* by the source itself */
            return false;
        if (!lua_isnil(L, -1)) {
            kapL_ids_value(L, lua_gettop(L), true, take_item, &f);
        } else {
            it->drained = true;
            if (ended_in_a_hole(&f))
                f.nomem = !feed(&f, &(kap_id_item){false, 3, "nil"});
        }
        lua_pop(L, 1);
    }
    if (f.nomem)
        kapL_error_nomem(L);
    return true;
}
