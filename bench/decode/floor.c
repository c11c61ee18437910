/*
 * The floor under a decoder that builds its tables through Lua's API: the same
 * calls, nothing parsed.
 *
 *   record(value)  the calls that build a decoded value, as a tape: tables in
 *                  their final size, each distinct key interned once. The text
 *                  stays that of `value`, which must be kept.
 *   build(tape)    makes them
 */
#include "compat.h"

#include <stdlib.h>

typedef enum {
    OBJECT,
    ARRAY,
    CLOSE,
    KEY,
    TEXT,
    INTEGER,
    REAL,
    BOOLEAN,
    NIL
} op;

typedef struct step {
    op what;
    int n; /* items, key number, boolean */
    const char *text;
    size_t len;
    lua_Integer integer;
    lua_Number real;
} step;

typedef struct tape {
    size_t count, room;
    step *steps;
    int keys;
} tape;

#define TAPE_TYPE "kapture_floor.tape"

static int tape_gc(lua_State *L)
{
    tape *t = luaL_checkudata(L, 1, TAPE_TYPE);

    free(t->steps);
    t->steps = NULL;
    return 0;
}

static step *add(lua_State *L, tape *t, op what)
{
    if (t->count == t->room) {
        size_t room = t->room > 0 ? t->room * 2 : 256;
        step *more = realloc(t->steps, room * sizeof *more);

        if (more == NULL)
            luaL_error(L, "not enough memory");
        t->steps = more;
        t->room = room;
    }
    t->steps[t->count] = (step){.what = what};
    return &t->steps[t->count++];
}

/* The key on top of the stack; the table at index 3 has each one's number. */
static void record_key(lua_State *L, tape *t)
{
    step *s = add(L, t, KEY);

    lua_pushvalue(L, -1);
    lua_rawget(L, 3);
    if (lua_isnil(L, -1)) {
        s->text = lua_tolstring(L, -2, &s->len);
        s->n = ++t->keys;
        lua_pushvalue(L, -2);
        lua_pushinteger(L, s->n);
        lua_rawset(L, 3);
    } else {
        s->n = (int)lua_tointeger(L, -1);
    }
    lua_pop(L, 1);
}

/* The value on top of the stack, which it pops. */
static void record(lua_State *L, tape *t)
{
    step *s;
    size_t at = t->count;
    int n = 0;

    luaL_checkstack(L, 8, "too deep");
    switch (lua_type(L, -1)) {
    case LUA_TTABLE:
        if (lua_getmetatable(L, -1)) {
            lua_pop(L, 1);
            add(L, t, ARRAY);
            n = (int)lua_rawlen(L, -1);
            for (int i = 1; i <= n; i++) {
                lua_rawgeti(L, -1, i);
                record(L, t);
            }
        } else {
            add(L, t, OBJECT);
            lua_pushnil(L);
            while (lua_next(L, -2) != 0) {
                lua_insert(L, -2);
                record_key(L, t);
                lua_insert(L, -2);
                record(L, t);
                n++;
            }
        }
        t->steps[at].n = n;
        add(L, t, CLOSE);
        break;
    case LUA_TSTRING:
        s = add(L, t, TEXT);
        s->text = lua_tolstring(L, -1, &s->len);
        break;
    case LUA_TNUMBER:
#if KAP_LUA_INTEGERS
        if (lua_isinteger(L, -1)) {
            add(L, t, INTEGER)->integer = lua_tointeger(L, -1);
            break;
        }
#endif
        add(L, t, REAL)->real = lua_tonumber(L, -1);
        break;
    case LUA_TBOOLEAN: add(L, t, BOOLEAN)->n = lua_toboolean(L, -1); break;
    default: add(L, t, NIL); break;
    }
    lua_pop(L, 1);
}

static int floor_record(lua_State *L)
{
    tape *t;

    lua_settop(L, 1);
    t = lua_newuserdata(L, sizeof *t);
    *t = (tape){0};
    luaL_getmetatable(L, TAPE_TYPE);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    lua_pushvalue(L, 1);
    record(L, t);
    lua_pushvalue(L, 2);
    return 1;
}

/* On the stack: tape, array metatable, keys, value under construction. */
static int floor_build(lua_State *L)
{
    const tape *t = luaL_checkudata(L, 1, TAPE_TYPE);
    char kinds[1024];
    int counts[1024];
    int level = 0, seen = 0;

    lua_settop(L, 1);
    lua_newtable(L);
    luaL_checkstack(L, t->keys + 64, "too many keys");
    lua_settop(L, 2 + t->keys);
    kinds[0] = CLOSE;
    for (const step *s = t->steps; s < t->steps + t->count; s++) {
        switch (s->what) {
        case OBJECT:
        case ARRAY:
            if (s->what == OBJECT) {
                lua_createtable(L, 0, s->n);
            } else {
                lua_createtable(L, s->n, 0);
                lua_pushvalue(L, 2);
                lua_setmetatable(L, -2);
            }
            kinds[++level] = (char)s->what;
            counts[level] = 0;
            continue;
        case KEY:
            if (s->n > seen) {
                seen = s->n;
                lua_pushlstring(L, s->text, s->len);
                lua_replace(L, 2 + seen);
            }
            lua_pushvalue(L, 2 + s->n);
            continue;
        case CLOSE: level--; break;
        case TEXT: lua_pushlstring(L, s->text, s->len); break;
        case INTEGER: lua_pushinteger(L, s->integer); break;
        case REAL: lua_pushnumber(L, s->real); break;
        case BOOLEAN: lua_pushboolean(L, s->n); break;
        case NIL: lua_pushlightuserdata(L, NULL); break;
        }
        if (kinds[level] == OBJECT)
            lua_rawset(L, -3);
        else if (kinds[level] == ARRAY)
            lua_rawseti(L, -2, ++counts[level]);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    {"record", floor_record},
    {"build", floor_build},
    {NULL, NULL},
};

__attribute__((visibility("default"))) int luaopen_kapture_floor(lua_State *L);

int luaopen_kapture_floor(lua_State *L)
{
    luaL_newmetatable(L, TAPE_TYPE);
    lua_pushcfunction(L, tape_gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    kapL_setfuncs(L, functions, 0);
    return 1;
}
