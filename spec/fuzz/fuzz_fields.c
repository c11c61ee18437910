/*
 * Fields: the first line is a list of paths (separated by tabs), the rest a
 * ticket. What is built must be part of what is built without fields, and the
 * ticket's id must be the same.
 */
#include "json/decode.h"
#include "fuzz.h"

#include <string.h>

static void is_part(lua_State *L, int part, int whole)
{
    luaL_checkstack(L, 10, "compare");
    if (!lua_istable(L, part)) {
        if (!lua_rawequal(L, part, whole) &&
            lua_tonumber(L, part) == lua_tonumber(L, part))
            FUZZ_FAIL("a value differs from the whole ticket's");
        return;
    }
    if (!lua_istable(L, whole))
        FUZZ_FAIL("a table where the whole ticket has %s",
                  luaL_typename(L, whole));
    for (lua_pushnil(L); lua_next(L, part) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TNUMBER)
            continue; /* elements that hold nothing selected may be left out */
        lua_pushvalue(L, -2);
        lua_rawget(L, whole);
        is_part(L, lua_gettop(L) - 1, lua_gettop(L));
        lua_pop(L, 1);
    }
}

/* Decodes into stack slot `slot`; false: not JSON. */
static bool one(lua_State *L, const char *text, size_t size, kap_fields *f,
                int slot, kap_decode *d)
{
    char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, text, size);
    kap_decode_init(d, copy, size);
    kapL_session_open(L, d, 4, 1);
    bool ok = kapL_decode_ticket(L, d, f);
    if (ok)
        lua_replace(L, slot);
    kapL_session_close(L, d);
    free(copy);
    return ok;
}

static int run(lua_State *L)
{
    const char *data = lua_touserdata(L, 1);
    size_t size = (size_t)lua_tointeger(L, 2);
    const char *line = memchr(data, '\n', size);
    kap_decode whole, part;
    if (line == NULL)
        return 0;
    kap_fields *f = kap_fields_new();
    bool any = false;
    for (const char *p = data; p <= line;) {
        const char *end = memchr(p, '\t', (size_t)(line - p));
        if (end == NULL)
            end = line;
        any = kap_fields_add(f, p, (size_t)(end - p)) == KAP_FIELDS_OK || any;
        p = end + 1;
    }
    lua_settop(L, 0);
    lua_newtable(L);
    lua_pushnil(L);
    lua_pushnil(L);
    kapL_session_new(L);
    size -= (size_t)(line + 1 - data);
    if (any && one(L, line + 1, size, NULL, 2, &whole)) {
        if (!one(L, line + 1, size, f, 3, &part))
            FUZZ_FAIL("refused with fields (%s), accepted without",
                      part.scan.error);
        if (lua_istable(L, 2) && !lua_isnil(L, 3))
            is_part(L, 3, 2);
        if (whole.id_len != part.id_len ||
            memcmp(whole.id, part.id, whole.id_len) != 0)
            FUZZ_FAIL("id '%.*s' with fields, '%.*s' without", (int)part.id_len,
                      part.id, (int)whole.id_len, whole.id);
    }
    kap_fields_free(f);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = fuzz_state();
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, (void *)(uintptr_t)data);
    lua_pushinteger(L, (lua_Integer)size);
    if (lua_pcall(L, 2, 0, 0) != 0)
        FUZZ_FAIL("raised: %s", lua_tostring(L, -1));
    return 0;
}
