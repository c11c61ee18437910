/* Ids out of whatever the caller gave the iterator. */
#include "lua/source.h"

#include "lua/error.h"
#include "policy/slots.h"

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

static bool take_item(void *arg, const kap_id_item *item)
{
    filling *f = arg;
    f->nomem = !feed(f, item);
    return !f->nomem;
}

/* One id of the string that is being read; false if there is none. */
static bool take_rest(filling *f)
{
    lua_State *L = f->L;
    kap_iterator *it = f->it;
    size_t len = 0;
    lua_rawgeti(L, f->table, KAP_ITERATOR_REST);
    const char *s = lua_tolstring(L, -1, &len);
    kap_id_item item;
    bool any = s != NULL && kap_ids_next(s, len, &it->rest_at, &item);
    if (any)
        f->nomem = !feed(f, &item);
    if (any && it->rest_at > len) {
        lua_pushnil(L);
        lua_rawseti(L, f->table, KAP_ITERATOR_REST);
    }
    lua_pop(L, 1);
    return any;
}

/* The value on top of the stack: a string is read bit by bit, for it may hold
 * more ids than there is room for; any other value is one id at most. */
static void take_value(filling *f)
{
    lua_State *L = f->L;
    size_t len;
    if (lua_type(L, -1) != LUA_TSTRING) {
        kapL_ids_value(L, lua_gettop(L), true, take_item, f);
        return;
    }
    const char *s = lua_tolstring(L, -1, &len);
    if (kap_ids_blank(s, len))
        return;
    f->it->rest_at = 0;
    lua_pushvalue(L, -1);
    lua_rawseti(L, f->table, KAP_ITERATOR_REST);
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
    lua_rawgeti(L, table, KAP_ITERATOR_REST);
    bool has = !lua_isnil(L, -1);
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
        if (take_rest(&f))
            continue;
        if (it->drained || rest)
            break;
        push_next(&f);
        if (it->closed) /* by the source itself */
            return false;
        if (!lua_isnil(L, -1)) {
            take_value(&f);
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
