#include "lua/result.h"

#include "lua/error.h"
#include "lua/value.h"

#include <string.h>

static void push_id(lua_State *L, const kap_call *c, uint32_t i)
{
    size_t len;
    const char *id = kap_idset_get(&c->ids, i, &len);
    lua_pushlstring(L, id, len);
}

/* Whether the id is in that state. One that is still pending at the end of its
 * call was never sent, and has failed. */
static bool is(const kap_call *c, uint32_t i, kap_id_state state)
{
    kap_id_state now = c->slots[i].state;
    return now == state || (state == KAP_ID_FAILED && now == KAP_ID_PENDING);
}

static uint32_t count(const kap_call *c, kap_id_state state)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->ids.n; i++)
        n += is(c, i, state);
    return n;
}

/* Pushes the ids in that state; returns how many. */
static int push_ids(lua_State *L, const kap_call *c, kap_id_state state)
{
    int n = 0;
    kapL_value_list(L);
    for (uint32_t i = 0; i < c->ids.n; i++) {
        if (!is(c, i, state))
            continue;
        push_id(L, c, i);
        lua_rawseti(L, -2, ++n);
    }
    return n;
}

/* Pushes table[slot], made where it is missing. */
static void subtable(lua_State *L, int table, int slot)
{
    lua_rawgeti(L, table, slot);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, table, slot);
}

/* The places go by id, and the ids by place: an answer that failed gives its
 * places back, and others may have them since. */
void kapL_result_extra(lua_State *L, kap_request *r, int table, const char *id,
                       size_t len)
{
    const int ticket = lua_gettop(L);
    const struct {
        int extras, places, id;
    } stack = {ticket + 1, ticket + 2, ticket + 3};
    int at = 0;
    subtable(L, table, KAP_REQUEST_EXTRAS);
    subtable(L, table, KAP_REQUEST_PLACES);
    lua_pushlstring(L, id, len); /* "": it has none, and is no other's */
    lua_pushvalue(L, -1);
    lua_rawget(L, stack.places);
    at = (int)lua_tointeger(L, -1);
    lua_rawgeti(L, stack.places, at);
    if (len == 0 || at > (int)r->extras || !lua_rawequal(L, -1, stack.id))
        at = 0;
    lua_settop(L, stack.id);
    if (at == 0) {
        at = (int)r->extras + 1;
        lua_pushvalue(L, -1);
        lua_rawseti(L, stack.places, at);
        lua_pushinteger(L, at);
        lua_rawset(L, stack.places);
    }
    lua_pushvalue(L, ticket);
    lua_rawseti(L, stack.extras, at);
    if (at > (int)r->extras)
        r->extras = (uint32_t)at;
    lua_settop(L, ticket - 1);
}

/* failures
 * ------------------------------------------------------------------ */

/*
 * Pushes the list of failures, one for each request that failed for good, in
 * order of ending, each with the ids that it still concerns: some may have come
 * with another request since. Ids that were never sent, or not to the end, are
 * those of one more.
 */
static void push_failed(lua_State *L, const kap_call *c)
{
    int n = 0, list;
    kapL_value_list(L);
    list = lua_gettop(L);
    KAP_EACH(kap_fault, f, &c->faults, link) {
        if (kap_refs_count(&f->refs) ==
            1) /* the call's own: all of its ids have come */
            continue;
        kapL_error_push(L, &f->failure);
        kapL_value_list(L);
        for (uint32_t i = 0, k = 0; k + 1 < kap_refs_count(&f->refs); i++) {
            if (c->slots[i].fault != f)
                continue;
            push_id(L, c, i);
            lua_rawseti(L, -2, (int)++k);
        }
        lua_setfield(L, -2, "ids");
        lua_rawseti(L, list, ++n);
    }
    if (push_ids(L, c, KAP_ID_PENDING) == 0) {
        lua_pop(L, 1);
        return;
    }
    kap_failure unsent = kap_failure_unsent(&c->stop);
    kapL_error_push(L, &unsent);
    lua_insert(L, -2);
    lua_setfield(L, -2, "ids");
    lua_rawseti(L, list, ++n);
}

/* The failure that stands for the call: the first, or the first of its kind
 * that was sent, should it not have been. */
static kap_failure first_failure(const kap_call *c)
{
    const kap_fault *first = NULL;
    KAP_EACH(kap_fault, f, &c->faults, link) {
        if (kap_refs_count(&f->refs) == 1)
            continue;
        if (first == NULL)
            first = f;
        if (f->failure.kind == first->failure.kind && f->failure.attempts > 0)
            return f->failure;
    }
    return first != NULL ? first->failure : kap_failure_unsent(&c->stop);
}

/* tickets
 * -------------------------------------------------------------------- */

/* Pushes them, in the order they were asked for, the others behind. */
static void push_tickets(lua_State *L, const kap_request *r, int table)
{
    const kap_call *c = &r->call;
    int from, to, n = 0;
    lua_rawgeti(L, table, KAP_REQUEST_TICKETS);
    from = to = lua_gettop(L);
    if (!lua_istable(L, from)) {
        kapL_value_list(L);
        lua_replace(L, from);
        return;
    }
    const uint32_t got = count(c, KAP_ID_GOT);
    if (got < c->ids.n) { /* a new list, for this may be asked again */
        lua_createtable(L, (int)(got + r->extras), 0);
        to = from + 1;
        for (uint32_t i = 0; i < c->ids.n; i++) {
            if (c->slots[i].state != KAP_ID_GOT)
                continue;
            lua_rawgeti(L, from, (int)i + 1);
            lua_rawseti(L, to, ++n);
        }
    }
    lua_rawgeti(L, table, KAP_REQUEST_EXTRAS);
    for (int k = 1; lua_istable(L, -1) && k <= (int)r->extras; k++) {
        lua_rawgeti(L, -1, k);
        lua_rawseti(L, to, (int)got + k);
    }
    lua_pop(L, 1);
    kapL_value_array_mt(L);
    lua_setmetatable(L, to);
    if (to != from)
        lua_remove(L, from);
}

static void push_info(lua_State *L, const kap_call *c)
{
    lua_createtable(L, 0, 6);
    push_ids(L, c, KAP_ID_MISSING);
    lua_setfield(L, -2, "missing");
    kapL_value_set_integer(L, "requests", c->requests);
    kapL_value_set_integer(L, "retries", c->retries);
    kapL_value_set_integer(L, "bytes", c->bytes);
    kapL_value_set_number(L, "elapsed", c->ended - c->started);
    if (c->partial) {
        push_failed(L, c);
        lua_setfield(L, -2, "failed");
    }
}

/* Pushes the call's error table: the first failure's, unless somebody ended the
 * call, with everything that did arrive. */
static void push_error(lua_State *L, const kap_request *r, int table)
{
    const kap_call *c = &r->call;
    kap_failure f = c->stop;
    if (f.kind != KAP_KIND_CANCELLED && f.kind != KAP_KIND_CLOSED &&
        (count(c, KAP_ID_FAILED) > 0 || f.kind == KAP_KIND_NONE))
        f = first_failure(c);
    kapL_error_push(L, &f);
    if (push_ids(L, c, KAP_ID_FAILED) == 0 && r->invalid_id[0] != '\0') {
        lua_pushstring(L, r->invalid_id); /* the value that is no id */
        lua_rawseti(L, -2, 1);
    }
    lua_setfield(L, -2, "ids");
    push_tickets(L, r, table);
    lua_setfield(L, -2, "tickets");
    push_ids(L, c, KAP_ID_MISSING);
    lua_setfield(L, -2, "missing");
    push_failed(L, c);
    lua_setfield(L, -2, "failed");
}

void kapL_result_error(lua_State *L, const kap_failure *f, const char *ids,
                       size_t ids_len)
{
    static const char *const empty[] = {"tickets", "missing", "failed"};
    kapL_error_push(L, f);
    kapL_value_id_list(L, ids, ids_len);
    lua_setfield(L, -2, "ids");
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        kapL_value_list(L);
        lua_setfield(L, -2, empty[i]);
    }
}

static bool is_success(const kap_request *r)
{
    const kap_call *c = &r->call;
    if (c->stop.kind == KAP_KIND_CANCELLED || c->stop.kind == KAP_KIND_CLOSED)
        return false;
    if (c->stop.kind != KAP_KIND_NONE && (c->successes == 0 || !c->partial))
        return false; /* not even sent, or the token was refused */
    return count(c, KAP_ID_FAILED) == 0 || (c->partial && c->successes > 0);
}

/* Pushes tickets, info, or nil, message, err. */
static int build(lua_State *L, const kap_request *r, int table)
{
    if (is_success(r)) {
        push_tickets(L, r, table);
        push_info(L, &r->call);
        return 2;
    }
    lua_pushnil(L);
    push_error(L, r, table);
    lua_getfield(L, -1, "message");
    lua_insert(L, -2);
    return 3;
}

int kapL_result_push(lua_State *L, int idx)
{
    kapL_getuservalue(L, idx);
    return build(L, lua_touserdata(L, idx), lua_gettop(L));
}

/* Pushes the same in a table. */
static void pack(lua_State *L, const kap_request *r, int table)
{
    lua_createtable(L, 3, 0);
    int packed = lua_gettop(L);
    for (int i = build(L, r, table); i > 0; i--)
        lua_rawseti(L, packed, i);
}

/* For a finalizer that comes after the request's own. */
static int collected(lua_State *L)
{
    kap_failure f;
    kap_failure_clear(&f);
    kap_failure_set(&f, KAP_KIND_CANCELLED, "the request was collected");
    lua_pushnil(L);
    lua_pushstring(L, f.message);
    kapL_error_push(L, &f);
    return 3;
}

int kapL_result(lua_State *L, int idx)
{
    kap_request *r = lua_touserdata(L, idx);
    kapL_getuservalue(L, idx);
    int table = lua_gettop(L);
    lua_rawgeti(L, table, KAP_REQUEST_RESULT);
    if (!lua_istable(L, -1) && r->collected)
        return collected(L);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        pack(L, r, table);
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
    for (int i = 1; i <= 3; i++)
        lua_rawgeti(L, packed, i);
    if (lua_isnil(L, packed + 1))
        return 3;
    lua_pop(L, 1);
    return 2;
}
