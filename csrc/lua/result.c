#include "lua/result.h"

#include "lua/error.h"

#include <string.h>

/* Pushes table[slot], made where it is missing. */
static void subtable(lua_State *L, int table, int slot)
{
    lua_rawgeti(L, table, slot);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_rawgeti(L, table, slot);
    if (lua_istable(L, -1)) { /* a finalizer's doing */
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, table, slot);
}

void kapL_push_id(lua_State *L, const kap_request *r, uint32_t i)
{
    size_t len;
    const char *id = kap_idset_get(&r->call.ids, i, &len);
    lua_pushlstring(L, id, len);
}

static void push_list(lua_State *L, int size)
{
    kapL_push_array_mt(L);
    kapL_push_list(L, size, -1);
    lua_remove(L, -2);
}

static bool has_come(const kap_request *r, uint32_t i)
{
    return r->call.state[i] == KAP_ID_GOT || r->call.state[i] == KAP_ID_READ;
}

void kapL_push_ids(lua_State *L, const kap_request *r, uint32_t first,
                   uint32_t count, bool asked)
{
    int n = 0;
    push_list(L, (int)count);
    for (uint32_t i = first; i < first + count; i++) {
        if (has_come(r, i) && !(asked && r->call.state[i] == KAP_ID_READ))
            continue;
        kapL_push_id(L, r, i);
        lua_rawseti(L, -2, ++n);
    }
}

void kapL_push_error(lua_State *L, const kap_request *r, const kap_failure *f,
                     uint32_t first, uint32_t count)
{
    kapL_push_failure(L, f);
    kapL_push_ids(L, r, first, count, false);
    lua_setfield(L, -2, "ids");
}

void kapL_result_extra(lua_State *L, kap_request *r, int table, const char *id,
                       size_t len)
{
    int ticket = lua_gettop(L);
    subtable(L, table, KAP_REQUEST_EXTRAS);
    subtable(L, table, KAP_REQUEST_EXTRA_IDS);
    if (len > 0)
        lua_pushlstring(L, id, len);
    else
        lua_pushboolean(L, 0);
    int n = (int)r->extras + 1;
    lua_rawseti(L, ticket + 2, n);
    lua_pushvalue(L, ticket);
    lua_rawseti(L, ticket + 1, n);
    r->extras++;
    lua_settop(L, ticket - 1);
}

void kapL_result_failure(lua_State *L, kap_request *r, const kap_failure *f,
                         uint32_t first, uint32_t count, int table)
{
    kapL_push_error(L, r, f, first, count);
    subtable(L, table, KAP_REQUEST_FAILED);
    subtable(L, table, KAP_REQUEST_FAILURES);
}

void kapL_result_fail(lua_State *L, kap_request *r, uint32_t first,
                      uint32_t count, int at)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (has_come(r, i))
            continue;
        lua_pushvalue(L, at);
        lua_rawseti(L, at + 1, (int)i + 1);
    }
    lua_pushvalue(L, at);
    lua_rawseti(L, at + 2, (int)r->failures + 1);
    r->failures++;
}

/* the end of a call --------------------------------------------------------- */

/* Ids that were never sent, or not to the end, stand in the failures too. */
static void fail_pending(lua_State *L, kap_request *r, int table)
{
    kap_call *c = &r->call;
    uint32_t n = 0;
    int top = lua_gettop(L);
    for (uint32_t i = 0; i < c->ids.n; i++)
        n += c->state[i] == KAP_ID_PENDING;
    if (n == 0)
        return;
    kap_failure unsent = kap_failure_unsent(&c->stop);
    kapL_push_failure(L, &unsent);
    subtable(L, table, KAP_REQUEST_FAILED);
    push_list(L, (int)n);
    n = 0;
    for (uint32_t i = 0; i < c->ids.n; i++) {
        if (c->state[i] != KAP_ID_PENDING)
            continue;
        kapL_push_id(L, r, i);
        lua_rawseti(L, top + 3, (int)++n);
        lua_pushvalue(L, top + 1);
        lua_rawseti(L, top + 2, (int)i + 1);
    }
    lua_setfield(L, top + 1, "ids");
    subtable(L, table, KAP_REQUEST_FAILURES);
    lua_pushvalue(L, top + 1);
    lua_rawseti(L, -2, (int)r->failures + 1);
    r->failures++;
    for (uint32_t i = 0; i < c->ids.n; i++)
        if (c->state[i] == KAP_ID_PENDING)
            c->state[i] = KAP_ID_FAILED;
    lua_settop(L, top);
}

/* Removes the value at stack index `what` from the list on top of the stack. */
static void remove_value(lua_State *L, int what, unsigned *size)
{
    int list = lua_gettop(L), kept = 0, n = (int)*size;
    for (int k = 1; k <= n; k++) {
        lua_rawgeti(L, list, k);
        if (lua_rawequal(L, -1, what))
            lua_pop(L, 1);
        else
            lua_rawseti(L, list, ++kept);
    }
    for (int k = kept + 1; k <= n; k++) {
        lua_pushnil(L);
        lua_rawseti(L, list, k);
    }
    *size = (unsigned)kept;
}

/* Takes the id out of the list of the failure that it had. */
static void forgive(lua_State *L, kap_request *r, uint32_t i, int table)
{
    int top = lua_gettop(L);
    lua_rawgeti(L, table, KAP_REQUEST_FAILED);
    lua_rawgeti(L, -1, (int)i + 1);
    if (!lua_istable(L, top + 2)) {
        lua_settop(L, top);
        return;
    }
    kapL_push_id(L, r, i);
    lua_getfield(L, top + 2, "ids");
    unsigned n = (unsigned)lua_rawlen(L, -1);
    remove_value(L, top + 3, &n);
    lua_rawgeti(L, table, KAP_REQUEST_FAILURES);
    if (n == 0 && lua_istable(L, -1))
        remove_value(L, top + 2, &r->failures);
    lua_pushnil(L);
    lua_rawseti(L, top + 1, (int)i + 1);
    lua_settop(L, top);
}

/* A ticket that came with another batch than its own: it was asked for after
 * all, and if its own failed, it came all the same. Clears its place among the
 * extras. */
void kapL_result_adopt(lua_State *L, kap_request *r, int table)
{
    kap_call *c = &r->call;
    int top = lua_gettop(L);
    lua_rawgeti(L, table, KAP_REQUEST_TICKETS);
    lua_rawgeti(L, table, KAP_REQUEST_EXTRAS);
    lua_rawgeti(L, table, KAP_REQUEST_EXTRA_IDS);
    /* of two, the last; none, where a finalizer has built the result */
    for (int k = (int)r->extras; k > 0 && lua_istable(L, top + 3); k--) {
        size_t len;
        const char *id;
        lua_rawgeti(L, top + 3, k);
        id = lua_tolstring(L, -1, &len);
        uint32_t i =
            id == NULL ? KAP_IDSET_NONE : kap_idset_find(&c->ids, id, len, 0);
        if (i != KAP_IDSET_NONE && c->state[i] != KAP_ID_GOT) {
            lua_rawgeti(L, top + 2, k);
            lua_rawseti(L, top + 1, (int)i + 1);
            if (c->state[i] == KAP_ID_FAILED)
                forgive(L, r, i, table);
            c->state[i] = KAP_ID_GOT;
        }
        if (i != KAP_IDSET_NONE) {
            lua_pushboolean(L, 0);
            lua_rawseti(L, top + 2, k);
        }
        lua_pop(L, 1);
    }
    lua_settop(L, top);
}

/* Appends the extras to the list at `tickets` that has n entries; of two with
 * the same id, the last. */
static void append_extras(lua_State *L, kap_request *r, int table, int tickets,
                          int n)
{
    int top = lua_gettop(L);
    lua_rawgeti(L, table, KAP_REQUEST_EXTRAS);
    lua_rawgeti(L, table, KAP_REQUEST_EXTRA_IDS);
    lua_newtable(L); /* id -> its place in the list */
    for (int k = 1; k <= (int)r->extras; k++) {
        int at = n + 1;
        lua_rawgeti(L, top + 1, k);
        if (!lua_istable(L, -1)) {
            lua_pop(L, 1);
            continue;
        }
        lua_rawgeti(L, top + 2, k);
        if (lua_isstring(L, -1)) {
            lua_pushvalue(L, -1);
            lua_rawget(L, top + 3);
            if (lua_isnumber(L, -1))
                at = (int)lua_tointeger(L, -1);
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_pushinteger(L, at);
            lua_rawset(L, top + 3);
        }
        lua_pop(L, 1);
        lua_rawseti(L, tickets, at);
        if (at == n + 1)
            n++;
    }
    lua_settop(L, top);
}

/* Pushes the tickets, moved together in the table they came into. */
static void push_tickets(lua_State *L, kap_request *r, int table)
{
    kap_call *c = &r->call;
    lua_rawgeti(L, table, KAP_REQUEST_TICKETS);
    int tickets = lua_gettop(L);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        push_list(L, 0);
        return;
    }
    /* In steps that can be taken up again after a memory error. */
    for (; r->looked < c->ids.n; r->looked++) {
        if (c->state[r->looked] != KAP_ID_GOT)
            continue;
        if (r->moved != r->looked) {
            lua_rawgeti(L, tickets, (int)r->looked + 1);
            lua_rawseti(L, tickets, (int)r->moved + 1);
            lua_pushnil(L);
            lua_rawseti(L, tickets, (int)r->looked + 1);
        }
        r->moved++;
    }
    if (r->extras > 0)
        append_extras(L, r, table, tickets, (int)r->moved);
    kapL_push_array_mt(L);
    lua_setmetatable(L, tickets);
}

static void push_missing(lua_State *L, kap_request *r)
{
    int n = 0;
    push_list(L, 0);
    for (uint32_t i = 0; i < r->call.ids.n; i++) {
        if (r->call.state[i] != KAP_ID_MISSING)
            continue;
        kapL_push_id(L, r, i);
        lua_rawseti(L, -2, ++n);
    }
}

static void push_failed(lua_State *L, int table)
{
    lua_rawgeti(L, table, KAP_REQUEST_FAILURES);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        push_list(L, 0);
        return;
    }
    kapL_push_array_mt(L);
    lua_setmetatable(L, -2);
}

/* Pushes the ids that failed, or the value that is no id. */
static void push_failed_ids(lua_State *L, kap_request *r)
{
    int n = 0;
    push_list(L, 0);
    for (uint32_t i = 0; i < r->call.ids.n; i++) {
        if (r->call.state[i] != KAP_ID_FAILED)
            continue;
        kapL_push_id(L, r, i);
        lua_rawseti(L, -2, ++n);
    }
    if (n == 0 && r->shown[0] != '\0') {
        lua_pushstring(L, r->shown);
        lua_rawseti(L, -2, 1);
    }
}

static void push_info(lua_State *L, kap_request *r, int table)
{
    const kap_call *c = &r->call;
    lua_createtable(L, 0, 6);
    push_missing(L, r);
    lua_setfield(L, -2, "missing");
    lua_pushinteger(L, (lua_Integer)c->requests);
    lua_setfield(L, -2, "requests");
    lua_pushinteger(L, (lua_Integer)c->retries);
    lua_setfield(L, -2, "retries");
    lua_pushinteger(L, (lua_Integer)c->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, c->ended - c->started);
    lua_setfield(L, -2, "elapsed");
    if (c->partial) {
        push_failed(L, table);
        lua_setfield(L, -2, "failed");
    }
}

/* Pushes the failure that stands for the call, of the list on top of the stack:
 * the first, or the first of its kind that was sent, should it not have been. */
static void push_first(lua_State *L)
{
    int list = lua_gettop(L);
    lua_rawgeti(L, list, 1);
    lua_getfield(L, list + 1, "kind");
    for (int k = 1;; k++) {
        lua_rawgeti(L, list, k);
        if (!lua_istable(L, -1))
            break;
        lua_getfield(L, list + 3, "kind");
        lua_getfield(L, list + 3, "attempts");
        if (lua_rawequal(L, -2, list + 2) && lua_tointeger(L, -1) > 0) {
            lua_pushvalue(L, list + 3);
            lua_replace(L, list + 1);
            break;
        }
        lua_settop(L, list + 2);
    }
    lua_settop(L, list + 1);
}

/* Pushes the call's error table: the first failure's, unless somebody ended the
 * call, with everything that did arrive. */
static void push_call_error(lua_State *L, kap_request *r, int table)
{
    const kap_call *c = &r->call;
    bool ended =
        c->stop.kind == KAP_KIND_CANCELLED || c->stop.kind == KAP_KIND_CLOSED;
    if (ended || r->failures == 0) {
        kapL_push_failure(L, &c->stop);
    } else {
        lua_createtable(L, 0, 11);
        kapL_error_mark(L);
        lua_rawgeti(L, table, KAP_REQUEST_FAILURES);
        if (lua_istable(L, -1)) /* else a finalizer has built all this */
            push_first(L);
        else
            lua_newtable(L);
        for (lua_pushnil(L); lua_next(L, -2) != 0;) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -6);
        }
        lua_pop(L, 2);
    }
    push_failed_ids(L, r);
    lua_setfield(L, -2, "ids");
    push_tickets(L, r, table);
    lua_setfield(L, -2, "tickets");
    push_missing(L, r);
    lua_setfield(L, -2, "missing");
    push_failed(L, table);
    lua_setfield(L, -2, "failed");
}

static bool is_success(const kap_request *r)
{
    const kap_call *c = &r->call;
    if (c->stop.kind == KAP_KIND_CANCELLED || c->stop.kind == KAP_KIND_CLOSED)
        return false;
    if (c->successes == 0 && c->stop.kind != KAP_KIND_NONE) /* not even sent */
        return false;
    return r->failures == 0 || (c->partial && c->successes > 0);
}

/* Pushes {tickets or false, info or message, err or nil}. */
static void build(lua_State *L, kap_request *r, int table)
{
    lua_createtable(L, 3, 0);
    int packed = lua_gettop(L);
    kapL_result_adopt(L, r, table);
    fail_pending(L, r, table);
    if (is_success(r)) {
        push_tickets(L, r, table);
        lua_rawseti(L, packed, 1);
        push_info(L, r, table);
        lua_rawseti(L, packed, 2);
    } else {
        lua_pushboolean(L, 0);
        lua_rawseti(L, packed, 1);
        push_call_error(L, r, table);
        lua_getfield(L, -1, "message");
        lua_rawseti(L, packed, 2);
        lua_rawseti(L, packed, 3);
    }
}

int kapL_request_result(lua_State *L, int idx)
{
    kap_request *r = lua_touserdata(L, idx);
    kapL_getuservalue(L, idx);
    int table = lua_gettop(L);
    lua_rawgeti(L, table, KAP_REQUEST_RESULT);
    if (!lua_istable(L, -1) && r->collected) {
        /* asked by a finalizer that comes after the request's own */
        kap_failure f;
        kap_failure_clear(&f);
        kap_failure_set(&f, KAP_KIND_CANCELLED, "the request was collected");
        lua_pushnil(L);
        lua_pushstring(L, f.message);
        kapL_push_failure(L, &f);
        return 3;
    }
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        build(L, r, table);
        lua_rawgeti(L, table, KAP_REQUEST_RESULT);
        if (lua_istable(L, -1)) { /* built by a finalizer meanwhile */
            lua_replace(L, -2);
        } else {
            lua_pop(L, 1);
            lua_pushvalue(L, -1);
            lua_rawseti(L, table, KAP_REQUEST_RESULT);
        }
        for (int slot = KAP_REQUEST_TICKETS; slot < KAP_REQUEST_RESULT;
             slot++) {
            lua_pushnil(L); /* the result has it all */
            lua_rawseti(L, table, slot);
        }
    }
    int packed = lua_gettop(L);
    lua_rawgeti(L, packed, 1);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, packed, 2);
        return 2;
    }
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_rawgeti(L, packed, 2);
    lua_rawgeti(L, packed, 3);
    return 3;
}
