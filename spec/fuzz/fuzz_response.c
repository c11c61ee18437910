/*
 * A whole response through classification: the first byte chooses the status,
 * the second the slices and whether tickets are text, the rest is the body. Whatever comes, it ends in
 * tickets or in a failure of a kind, and the token is in neither message nor
 * excerpt.
 */
#include "base/clock.h"
#include "fuzz.h"
#include "lua/response.h"

#include <string.h>

#define TOKEN "c2VjcmV0/dG9rZW4="

static kap_message *message;
static kap_settings *settings, *raw_settings;

static void sink(lua_State *L, void *arg, const char *id, size_t len)
{
    /* without one, what stands there is another's */
    if (lua_type(L, -1) != (*(bool *)arg ? LUA_TSTRING : LUA_TTABLE) ||
        (len > 0 && strlen(id) != len))
        FUZZ_FAIL("a ticket that is none");
    lua_pop(L, 1);
}

static int run(lua_State *L)
{
    static const long statuses[] = {200, 200, 200, 200, 201, 204, 302, 400,
                                    401, 403, 404, 413, 429, 500, 503, 100};
    const uint8_t *data = lua_touserdata(L, 1);
    size_t size = (size_t)lua_tointeger(L, 2);
    kap_response *r = calloc(1, sizeof *r);
    kap_failure f;
    kap_response_result got;
    bool raw = (data[1] & 2) != 0;
    kap_transfer t = {.message = message,
                      .settings = raw ? raw_settings : settings};
    t.status = statuses[data[0] % 16];
    t.html = (data[0] & 16) != 0;
    bool slices = (data[1] & 1) != 0;
    t.len = size - 2;
    if (t.len > 0) {
        t.body = malloc(t.len);
        memcpy(t.body, data + 2, t.len);
    }
    lua_settop(L, 0);
    const kap_response_slots slots = {.array_mt = 1, .aside = 2, .session = 3};
    lua_newtable(L);
    lua_newtable(L);
    kapL_session_new(L);
    do {
        if (slices)
            r->decode.stride = 1;
        got = kapL_response(L, r, &t, &slots, slices ? 0 : HUGE_VAL, sink, &raw,
                            &f);
        if (lua_gettop(L) != 3)
            FUZZ_FAIL("%d values left on the stack", lua_gettop(L) - 3);
    } while (got == KAP_RESPONSE_AGAIN);
    if (got != KAP_RESPONSE_TICKETS) {
        if (f.kind == KAP_KIND_NONE || f.kind >= KAP_KIND_COUNT ||
            f.message[0] == '\0' || strlen(f.message) >= KAP_MESSAGE_MAX ||
            f.body_len > KAP_BODY_MAX)
            FUZZ_FAIL("a failure without kind or words");
        if (strstr(f.message, TOKEN) != NULL ||
            memmem(f.body, f.body_len, TOKEN, sizeof TOKEN - 1) != NULL)
            FUZZ_FAIL("the token is in it");
    }
    if (got != KAP_RESPONSE_FAILED && t.status >= 300) {
        FUZZ_FAIL("tickets under status %ld", t.status);
    }
    free(t.body);
    free(r);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = fuzz_state();
    kap_failure why;
    if (size < 2)
        return 0;
    if (message == NULL) {
        settings = kap_settings_new(NULL);
        kap_settings_string(&settings->base_url, "https://localhost", 17);
        kap_settings_string(&settings->token, TOKEN, sizeof TOKEN - 1);
        raw_settings = kap_settings_new(settings);
        raw_settings->raw = true;
        message = kap_message_new(settings, NULL, 0, &why);
    }
    lua_pushcfunction(L, run);
    lua_pushlightuserdata(L, (void *)(uintptr_t)data);
    lua_pushinteger(L, (lua_Integer)size);
    if (lua_pcall(L, 2, 0, 0) != 0)
        FUZZ_FAIL("raised: %s", lua_tostring(L, -1));
    return 0;
}
