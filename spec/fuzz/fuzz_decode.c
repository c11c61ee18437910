/*
 * The decoder, against two others: what it accepts must be what lua-cjson and
 * jansson give. Known differences, each for a reason in the contract:
 *
 * - lua-cjson makes a double of every number (compared as doubles; integers of more
 *   than 64 bits, which are text here, too), refuses
 *   \uD800 to \uDFFF alone, and stops at a NUL byte;
 * - jansson refuses invalid UTF-8, \u0000 in keys, lone surrogates and numbers
 *   that overflow, limits nesting to 2048 and takes a NUL byte for the end;
 * - neither keeps "[]" and "{}" apart the way we do: that is checked by type.
 */
#include "json/decode.h"
#include "fuzz.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

static bool has(const uint8_t *data, size_t size, const char *word)
{
    return size > 0 && memmem(data, size, word, strlen(word)) != NULL;
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b)) || fabs(a - b) <= fabs(a) * 1e-13;
}

/* Our value at idx against cjson's at other. */
static void compare_cjson(lua_State *L, int idx, int other)
{
    luaL_checkstack(L, 10, "compare");
    /* an integer of more than 64 bits is the text of its digits */
    if (lua_type(L, idx) == LUA_TSTRING && lua_type(L, other) == LUA_TNUMBER) {
        if (!same_number(strtod(lua_tostring(L, idx), NULL),
                         lua_tonumber(L, other)))
            FUZZ_FAIL("digits: %s, lua-cjson has %.17g", lua_tostring(L, idx),
                      lua_tonumber(L, other));
        return;
    }
    if (lua_type(L, idx) != lua_type(L, other))
        FUZZ_FAIL("type: %s, lua-cjson has %s", luaL_typename(L, idx),
                  luaL_typename(L, other));
    switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
        if (!same_number(lua_tonumber(L, idx), lua_tonumber(L, other)))
            FUZZ_FAIL("number: %.17g, lua-cjson has %.17g",
                      lua_tonumber(L, idx), lua_tonumber(L, other));
        break;
    case LUA_TTABLE:
        for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
            lua_pushvalue(L, -2);
            lua_rawget(L, other);
            compare_cjson(L, lua_gettop(L) - 1, lua_gettop(L));
            lua_pop(L, 1);
        }
        break;
    default:
        if (!lua_rawequal(L, idx, other))
            FUZZ_FAIL("%s differs from lua-cjson's", luaL_typename(L, idx));
    }
}

static void compare_jansson(lua_State *L, int idx, const json_t *j)
{
    size_t len, at;
    const char *s, *key;
    json_t *value;
    luaL_checkstack(L, 10, "compare");
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        json_object_foreach((json_t *)j, key, value)
        {
            lua_pushstring(L, key);
            lua_rawget(L, idx);
            compare_jansson(L, lua_gettop(L), value);
            lua_pop(L, 1);
        }
        break;
    case JSON_ARRAY:
        if (lua_rawlen(L, idx) != json_array_size(j))
            FUZZ_FAIL("array of %zu, jansson has %zu",
                      (size_t)lua_rawlen(L, idx), json_array_size(j));
        json_array_foreach(j, at, value)
        {
            lua_rawgeti(L, idx, (int)at + 1);
            compare_jansson(L, lua_gettop(L), value);
            lua_pop(L, 1);
        }
        break;
    case JSON_STRING:
        s = lua_tolstring(L, idx, &len);
        if (len != json_string_length(j) ||
            memcmp(s, json_string_value(j), len) != 0)
            FUZZ_FAIL("string '%s', jansson has '%s'", s, json_string_value(j));
        break;
    case JSON_INTEGER:
        if (!lua_isinteger(L, idx) ||
            lua_tointeger(L, idx) != json_integer_value(j))
            FUZZ_FAIL("integer %s, jansson has %lld",
                      luaL_tolstring(L, idx, NULL),
                      (long long)json_integer_value(j));
        break;
    case JSON_REAL:
        if (!same_number(lua_tonumber(L, idx), json_real_value(j)))
            FUZZ_FAIL("real %.17g, jansson has %.17g", lua_tonumber(L, idx),
                      json_real_value(j));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        if (!lua_isboolean(L, idx) ||
            (lua_toboolean(L, idx) != 0) != json_is_true(j))
            FUZZ_FAIL("boolean differs from jansson's");
        break;
    case JSON_NULL:
        if (lua_touserdata(L, idx) != NULL)
            FUZZ_FAIL("null differs from jansson's");
    }
}

/* Strict JSON that jansson refuses, or we do: only for the reasons above. */
static bool jansson_differs(const uint8_t *data, size_t size)
{
    return has(data, size, "\\u") || has(data, size, "e") ||
           has(data, size, "E");
}

/* A copy with no byte more than there is. */
static char *copy_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size > 0 ? size : 1);
    memcpy(text, data, size);
    return text;
}

/* What comes out must not depend on what a session has met before: here, the same
 * text, for which all its guesses are right. */
static void learn(lua_State *L, const uint8_t *data, size_t size)
{
    kap_decode d;
    char *text = copy_of(data, size);
    kap_decode_init(&d, text, size);
    kapL_session_open(L, &d, 2, 1);
    kapL_decode_value(L, &d);
    kapL_session_close(L, &d);
    free(text);
}

static int decode(lua_State *L)
{
    const uint8_t *data = lua_touserdata(L, 1);
    size_t size = (size_t)lua_tointeger(L, 2);
    kap_decode d;
    json_error_t error;
    bool twice = size % 2 == 1;
    lua_settop(L, 0);
    lua_newtable(L);
    kapL_session_new(L);
    if (twice)
        learn(L, data, size);
    char *text = copy_of(data, size);
    kap_decode_init(&d, text, size);
    kapL_session_open(L, &d, 2, 1);
    bool ok = kapL_decode_value(L, &d);
    if (ok) {
        lua_pushvalue(L, -1);
        lua_replace(L, 1);
        ok = kap_scan_peek(&d.scan) < 0;
    }
    kapL_session_close(L, &d);
    free(text);
    json_t *j = json_loadb((const char *)data, size,
                           JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (j != NULL && !ok && d.scan.status != KAP_SCAN_DEPTH &&
        memchr(data, '\0', size) == NULL)
        FUZZ_FAIL("refused (%s), jansson takes it", d.scan.error);
    if (j == NULL && ok && !jansson_differs(data, size) &&
        json_error_code(&error) != json_error_invalid_utf8 &&
        json_error_code(&error) != json_error_numeric_overflow &&
        json_error_code(&error) != json_error_null_byte_in_key)
        FUZZ_FAIL("accepted, jansson refuses it: %s", error.text);
    if (j != NULL && ok)
        compare_jansson(L, 1, j);
    json_decref(j);
    if (!ok)
        return 0;
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "decode");
    lua_pushlstring(L, (const char *)data, size);
    if (lua_pcall(L, 1, 1, 0) == 0)
        compare_cjson(L, 1, lua_gettop(L));
    else if (!has(data, size, "\\u") && size > 0 &&
             strstr(lua_tostring(L, -1), "nested") == NULL)
        FUZZ_FAIL("accepted, lua-cjson refuses it: %s", lua_tostring(L, -1));
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = fuzz_state();
    lua_pushcfunction(L, decode);
    lua_pushlightuserdata(L, (void *)(uintptr_t)data);
    lua_pushinteger(L, (lua_Integer)size);
    if (lua_pcall(L, 2, 0, 0) != 0)
        FUZZ_FAIL("raised: %s", lua_tostring(L, -1));
    return 0;
}
