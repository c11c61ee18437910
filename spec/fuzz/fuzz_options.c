/*
 * Ids and options as Lua source: the input is an expression list for
 * client:get_ticket in a state without a way out (no libraries), against a
 * port where nobody listens. Whatever it is, it ends in a failure or an
 * argument error, never in a crash.
 */
#include "fuzz.h"
#include "kapture.h"

#include <string.h>

static void stop(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_error(L, "too long");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* no pauses: thousands of inputs a second, not two */
    static const char head[] =
        "local new, base, null = ... "
        "return new { retries = 0, deadline = 0.2 }:get_ticket(";
    lua_State *L = luaL_newstate(); /* its own: what it does is undone */
    char *code = malloc(size + sizeof head + 2);
    if (size > 4096 || memchr(data, '\x1b', size) != NULL)
        goto out;
    memcpy(code, head, sizeof head - 1);
    memcpy(code + sizeof head - 1, data, size);
    strcpy(code + sizeof head - 1 + size, ")");
    luaopen_kapture(L);
    if (luaL_loadbufferx(L, code, size + sizeof head, "=fuzz", "t") == 0) {
        lua_sethook(L, stop, LUA_MASKCOUNT, 10000);
        lua_getfield(L, 1, "new");
        lua_pushliteral(L, "http://127.0.0.1:1");
        lua_getfield(L, 1, "null");
        if (lua_pcall(L, 3, 3, 0) == 0) {
            if (!lua_isnil(L, -3) || !lua_isstring(L, -2) ||
                !lua_istable(L, -1))
                FUZZ_FAIL("neither nil, message, err nor an error");
            lua_getfield(L, -1, "kind");
            if (!lua_isstring(L, -1))
                FUZZ_FAIL("an error without a kind");
        }
    }
out:
    free(code);
    lua_close(L);
    return 0;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("KAPTURE_BASE_URL", "http://127.0.0.1:1", 1);
    setenv("KAPTURE_TOKEN", "dG9rZW4=", 1);
    return 0;
}
