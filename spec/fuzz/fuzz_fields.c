/*
 * Fields: the first line is a list of paths (separated by tabs), the rest a
 * ticket. What is built must be part of what is built without fields, and the
 * ticket's id must be the same. As text (json/raw.h), whole or in slices, it must be
 * refused with the same words or have the same id, and decode to the same.
 */
#include "fuzz.h"
#include "json/decode.h"
#include "json/raw.h"

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

/* The ticket as text into stack slot `slot`; false: not JSON. */
static bool as_text(lua_State *L, const char *text, size_t size, bool slices,
                    int slot, kap_decode *d)
{
    char *copy = malloc(size > 0 ? size : 1);
    bool ok;
    memcpy(copy, text, size);
    kap_decode_init(d, copy, size);
    if (slices) {
        d->until = 0;
        d->stride = 1;
    }
    do {
        ok = kapL_raw_ticket(L, d);
    } while (!ok && d->paused > 0);
    if (ok)
        lua_replace(L, slot);
    free(copy);
    return ok;
}

static bool same_id(const kap_decode *a, const kap_decode *b)
{
    return a->id_len == b->id_len && memcmp(a->id, b->id, a->id_len) == 0;
}

static void check_text(lua_State *L, const char *text, size_t size)
{
    kap_decode whole, raw, again;
    bool ok = one(L, text, size, NULL, 2, &whole);
    if (as_text(L, text, size, size % 2 == 1, 3, &raw) != ok)
        FUZZ_FAIL("as text: %s; decoded: %s", raw.scan.error, whole.scan.error);
    if (!ok && strcmp(raw.scan.error, whole.scan.error) != 0)
        FUZZ_FAIL("as text: %s; decoded: %s", raw.scan.error, whole.scan.error);
    if (!ok)
        return;
    if (!same_id(&raw, &whole) || raw.details != whole.details)
        FUZZ_FAIL("as text it is another ticket");
    size_t len;
    const char *t = lua_tolstring(L, 3, &len);
    lua_pushvalue(L, 3); /* the text, while its slot is used */
    if (len > size || !one(L, t, len, NULL, 3, &again))
        FUZZ_FAIL("the text is refused: %s", again.scan.error);
    lua_pop(L, 1);
    is_part(L, 2, 3);
    is_part(L, 3, 2);
    if (!same_id(&again, &whole))
        FUZZ_FAIL("the text has another id");
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
    check_text(L, line + 1, size);
    lua_pushnil(L);
    lua_replace(L, 3);
    if (any && one(L, line + 1, size, NULL, 2, &whole)) {
        if (!one(L, line + 1, size, f, 3, &part))
            FUZZ_FAIL("refused with fields (%s), accepted without",
                      part.scan.error);
        if (lua_istable(L, 2) && !lua_isnil(L, 3))
            is_part(L, 3, 2);
        if (!same_id(&whole, &part))
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
