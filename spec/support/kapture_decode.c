/*
 * The decoder alone, for its specs and benchmarks.
 *
 *   decode(text [, fields])      value, or nil, message, kind
 *   ticket(text [, fields])      value, id (nil if none), whether it has details, or
 *                                nil, message, kind
 *   tickets(text [, fields or "raw" [, slice]])
 *                                an array of tickets as a response has it, in
 *                                sessions of `slice` tickets (0: putting
 *                                them aside wherever it can); list, ids and
 *                                how often one was put aside
 *   fields(paths)                compiled, to be given instead of a list
 *   copy(text)                   true: only copies it, as all of these do
 *   raw(text [, slices])         a ticket as text, its id (nil if none), whether
 *                                it has details, how often it was put aside; or
 *                                nil, message, kind
 *   skip(text)                   true, or nil, message, kind
 *   starve(text, n [, aside])    decodes in a state of its own whose n-th
 *                                allocation fails: "ok" or "memory", and bytes
 *                                not freed at the end; aside: put aside
 *                                wherever it can be
 *   forget()                     what was learned from the texts before
 *   null, array_mt
 *
 * A text is copied into a block that ends where it ends, so that valgrind and
 * the address sanitizer see every byte read or written beyond.
 */
#include "json/decode.h"
#include "json/raw.h"

#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_TYPE "kapture_decode.fields"

static const char array_mt_key, session_key;

static int fields_gc(lua_State *L)
{
    kap_fields **box = luaL_checkudata(L, 1, FIELDS_TYPE);

    kap_fields_free(*box);
    *box = NULL;
    return 0;
}

/* The compiled list at idx, anchored on top of the stack; NULL for none. */
static kap_fields *check_fields(lua_State *L, int idx)
{
    kap_fields **box;
    int n;

    if (lua_isnoneornil(L, idx)) {
        lua_pushnil(L);
        return NULL;
    }
    if (lua_isuserdata(L, idx)) {
        lua_pushvalue(L, idx);
        return *(kap_fields **)luaL_checkudata(L, idx, FIELDS_TYPE);
    }
    luaL_checktype(L, idx, LUA_TTABLE);
    box = lua_newuserdata(L, sizeof(kap_fields *));
    *box = NULL;
    luaL_getmetatable(L, FIELDS_TYPE);
    lua_setmetatable(L, -2);
    *box = kap_fields_new();
    if (*box == NULL)
        luaL_error(L, "not enough memory");
    n = (int)lua_rawlen(L, idx);
    for (int i = 1; i <= n; i++) {
        size_t len;
        const char *path;
        kap_fields_status status;

        lua_rawgeti(L, idx, i);
        path = luaL_checklstring(L, -1, &len);
        status = kap_fields_add(*box, path, len);
        if (status == KAP_FIELDS_EMPTY)
            luaL_error(L, "empty name in path '%s'", path);
        if (status == KAP_FIELDS_NOMEM)
            luaL_error(L, "not enough memory");
        lua_pop(L, 1);
    }
    return *box;
}

static int probe_fields(lua_State *L)
{
    check_fields(L, 1);
    return 1;
}

/* A copy of the text at idx, anchored on top of the stack, ready to decode. */
static void open_text(lua_State *L, int idx, kap_decode *d)
{
    size_t len;
    const char *text = luaL_checklstring(L, idx, &len);
    char *copy = lua_newuserdata(L, len > 0 ? len : 1);

    memcpy(copy, text, len);
    kap_decode_init(d, copy, len);
}

static int failure(lua_State *L, const kap_decode *d)
{
    lua_pushnil(L);
    lua_pushstring(L, d->scan.error);
    lua_pushstring(L, d->scan.status == KAP_SCAN_DEPTH ? "depth" : "syntax");
    return 3;
}

/* After the last value: nothing but blanks. */
static bool at_end(kap_decode *d)
{
    return kap_scan_peek(&d->scan) < 0 ||
           kap_scan_fail(&d->scan, "unexpected text after the value");
}

/* Opens text and fields of a function(text, fields); the array metatable is
 * then at index 4, and the one session, which keeps what it has learned of all
 * texts before, at 5. */
static kap_fields *start(lua_State *L, kap_decode *d)
{
    kap_fields *f;

    lua_settop(L, 3);
    kapL_rawgetp(L, LUA_REGISTRYINDEX, &array_mt_key);
    kapL_rawgetp(L, LUA_REGISTRYINDEX, &session_key);
    f = check_fields(L, 2);
    open_text(L, 1, d);
    return f;
}

static int probe_decode(lua_State *L)
{
    kap_decode d;
    kap_fields *f = start(L, &d);
    bool ok;

    kapL_session_open(L, &d, 5, 4);
    ok = f == NULL ? kapL_decode_value(L, &d) : kapL_decode_ticket(L, &d, f);
    if (!ok || !at_end(&d))
        return failure(L, &d);
    lua_replace(L, 1);
    kapL_session_close(L, &d);
    lua_settop(L, 1);
    return 1;
}

static int probe_ticket(lua_State *L)
{
    kap_decode d;
    kap_fields *f = start(L, &d);

    kapL_session_open(L, &d, 5, 4);
    if (!kapL_decode_ticket(L, &d, f) || !at_end(&d))
        return failure(L, &d);
    lua_replace(L, 1);
    kapL_session_close(L, &d);
    lua_settop(L, 1);
    if (d.id_len > 0)
        lua_pushlstring(L, d.id, d.id_len);
    else
        lua_pushnil(L);
    lua_pushboolean(L, d.details);
    return 3;
}

static int probe_tickets(lua_State *L)
{
    kap_decode d;
    int slice = (int)luaL_optinteger(L, 3, 1 << 30);
    bool raw = lua_type(L, 2) == LUA_TSTRING;
    kap_fields *f;
    int n = 0, in_session = 0, asides = 0;

    if (raw) {
        lua_pushnil(L);
        lua_replace(L, 2);
    }
    f = start(L, &d);
    if (slice == 0) {
        d.until = 0;
        d.stride = 1;
        slice = 1 << 30;
    }
    lua_newtable(L);
    lua_replace(L, 2);
    lua_newtable(L);
    lua_replace(L, 3);
    kapL_session_open(L, &d, 5, 4);
    if (kap_scan_peek(&d.scan) != '[') {
        kap_scan_fail(&d.scan, "expected '['");
        return failure(L, &d);
    }
    kap_scan_take(&d.scan);
    d.scan.depth = 1;
    if (kap_scan_peek(&d.scan) == ']') {
        kap_scan_take(&d.scan);
    } else {
        for (;;) {
            int c;

            if (in_session++ == slice) {
                kapL_session_close(L, &d);
                kapL_session_open(L, &d, 5, 4);
                in_session = 1;
            }
            while (raw ? !kapL_raw_ticket(L, &d)
                       : !kapL_decode_ticket(L, &d, f)) {
                if (d.paused == 0)
                    return failure(L, &d);
                if (++asides % 64 == 0)
                    lua_gc(L, LUA_GCCOLLECT, 0);
                if (raw)
                    continue;
                lua_replace(L, 1);
                kapL_session_close(L, &d);
                kapL_session_open(L, &d, 5, 4);
                lua_pushvalue(L, 1);
                lua_pushnil(L);
                lua_replace(L, 1);
            }
            lua_rawseti(L, 2, ++n);
            if (d.id_len > 0)
                lua_pushlstring(L, d.id, d.id_len);
            else
                lua_pushboolean(L, 0);
            lua_rawseti(L, 3, n);
            c = kap_scan_peek(&d.scan);
            if (c != ',' && c != ']') {
                kap_scan_fail(&d.scan, "expected ',' or ']'");
                return failure(L, &d);
            }
            kap_scan_take(&d.scan);
            if (c == ']')
                break;
        }
    }
    if (!at_end(&d))
        return failure(L, &d);
    kapL_session_close(L, &d);
    lua_settop(L, 3);
    lua_pushinteger(L, asides);
    lua_replace(L, 1);
    lua_pushvalue(L, 1);
    lua_remove(L, 1);
    return 3;
}

/* (text, slices) */
static int probe_raw(lua_State *L)
{
    kap_decode d;
    int asides = 0;
    bool slices = lua_toboolean(L, 2) != 0;

    lua_settop(L, 1);
    open_text(L, 1, &d);
    if (slices) {
        d.until = 0;
        d.stride = 1;
    }
    while (!kapL_raw_ticket(L, &d)) {
        if (d.paused == 0)
            return failure(L, &d);
        asides++;
    }
    if (!at_end(&d))
        return failure(L, &d);
    if (d.id_len > 0)
        lua_pushlstring(L, d.id, d.id_len);
    else
        lua_pushnil(L);
    lua_pushboolean(L, d.details);
    lua_pushinteger(L, asides);
    return 4;
}

static int probe_copy(lua_State *L)
{
    kap_decode d;

    open_text(L, 1, &d);
    lua_pushboolean(L, 1);
    return 1;
}

static int probe_skip(lua_State *L)
{
    kap_decode d;

    open_text(L, 1, &d);
    if (!kap_scan_skip(&d.scan) || !at_end(&d))
        return failure(L, &d);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- a state that runs out of memory ---- */

typedef struct starved {
    const char *text;
    size_t len;
    long left; /* allocations until one fails; negative: none does */
    size_t in_use;
    char *copy;
    kap_decode d;
} starved;

static void *starved_alloc(void *ud, void *block, size_t old, size_t size)
{
    starved *x = ud;

    if (block == NULL)
        old = 0; /* Lua gives the object's type here */
    if (size == 0) {
        x->in_use -= old;
        free(block);
        return NULL;
    }
    if (size > old && x->left >= 0 && x->left-- == 0) {
        x->left = 0; /* and all that follow: an emergency collection too */
        return NULL;
    }
    block = realloc(block, size);
    if (block != NULL)
        x->in_use += size - old;
    return block;
}

static int starved_decode(lua_State *L)
{
    starved *x = lua_touserdata(L, 1);

    lua_newtable(L);
    kapL_session_new(L);
    kapL_session_open(L, &x->d, 3, 2);
    if (x->d.stride != 1) {
        if (!kapL_decode_value(L, &x->d))
            return luaL_error(L, "%s", x->d.scan.error);
        kapL_session_close(L, &x->d);
        return 0;
    }
    for (;;) {
        bool paused = x->d.paused > 0;

        if (paused) {
            kapL_rawgetp(L, LUA_REGISTRYINDEX, x);
            lua_pushnil(L);
            kapL_rawsetp(L, LUA_REGISTRYINDEX, x);
        }
        if (kapL_decode_ticket(L, &x->d, NULL)) {
            kapL_session_close(L, &x->d);
            return 0;
        }
        if (x->d.paused == 0)
            return luaL_error(L, "%s", x->d.scan.error);
        kapL_rawsetp(L, LUA_REGISTRYINDEX, x);
        kapL_session_close(L, &x->d);
        kapL_session_open(L, &x->d, 3, 2);
    }
}

/* Lua 5.1 has no other way to call C without allocating first. */
static int probe_starve(lua_State *L)
{
    starved x;
    lua_State *S;
    int status;

    memset(&x, 0, sizeof x);
    luaL_checkinteger(L, 2);
    x.text = luaL_checklstring(L, 1, &x.len);
    x.left = -1;
    x.copy = malloc(x.len > 0 ? x.len : 1);
#if LUA_VERSION_NUM >= 505
    S = lua_newstate(starved_alloc, &x, 0);
#else
    S = lua_newstate(starved_alloc, &x);
#endif
    if (x.copy == NULL || S == NULL) {
        free(x.copy);
        return luaL_error(L, "no memory for a state");
    }
    memcpy(x.copy, x.text, x.len);
    kap_decode_init(&x.d, x.copy, x.len);
    if (lua_toboolean(L, 3)) {
        x.d.until = 0;
        x.d.stride = 1;
    }
    lua_pushcfunction(S, starved_decode);
    lua_pushlightuserdata(S, &x);
    x.left = (long)lua_tointeger(L, 2);
    status = lua_pcall(S, 1, 0, 0);
    x.left = -1;
    lua_close(S);
    if (status == 0)
        lua_pushliteral(L, "ok");
    else if (status == LUA_ERRMEM)
        lua_pushliteral(L, "memory");
    else
        lua_pushliteral(L, "another error");
    lua_pushinteger(L, (lua_Integer)x.in_use);
    free(x.copy);
    return 2;
}

static int probe_forget(lua_State *L)
{
    kapL_session_new(L);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &session_key);
    return 0;
}

static const luaL_Reg functions[] = {
    {"decode", probe_decode},   {"ticket", probe_ticket},
    {"tickets", probe_tickets}, {"skip", probe_skip},
    {"starve", probe_starve},   {"fields", probe_fields},
    {"raw", probe_raw},         {"copy", probe_copy},
    {"forget", probe_forget},   {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_kapture_decode(lua_State *L);

int luaopen_kapture_decode(lua_State *L)
{
    luaL_newmetatable(L, FIELDS_TYPE);
    lua_pushcfunction(L, fields_gc);
    lua_setfield(L, -2, "__gc");
    probe_forget(L);
    lua_newtable(L);
    kapL_setfuncs(L, functions, 0);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    kapL_rawsetp(L, LUA_REGISTRYINDEX, &array_mt_key);
    lua_setfield(L, -2, "array_mt");
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
