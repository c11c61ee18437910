/* Options that are one value: a string, a number, a boolean, a function. */
#include "base/ascii.h"
#include "base/secret.h"
#include "lua/options.h"
#include "lua/options_parts.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

_Noreturn void kapL_options_wrong(parse *p, const kap_option *o, int idx,
                                  const char *expected)
{
    int type = lua_type(p->L, idx);
    /* others may hold a secret, be it of the wrong type */
    bool quotable = o->type == KAP_OPTION_SECONDS ||
                    o->type == KAP_OPTION_PAUSE || o->type == KAP_OPTION_RATE ||
                    o->type == KAP_OPTION_COUNT ||
                    o->type == KAP_OPTION_LIMIT || o->type == KAP_OPTION_SIZE ||
                    o->type == KAP_OPTION_FLAG;
    if (quotable && type == LUA_TNUMBER)
        FAIL(p, "option '%s': %s expected, got %.14g", o->name, expected,
             lua_tonumber(p->L, idx));
    if (quotable && type == LUA_TSTRING)
        FAIL(p, "option '%s': %s expected, got the string '%.40s'", o->name,
             expected, lua_tostring(p->L, idx));
    FAIL(p, "option '%s': %s expected, got %s", o->name, expected,
         luaL_typename(p->L, idx));
}

static void set_string(parse *p, char **slot, const char *s, size_t n)
{
    if (kap_has_control(s, n)) {
        s = UNUSABLE;
        n = sizeof UNUSABLE - 1;
    }
    if (!kap_settings_string(slot, s, n))
        kapL_error_nomem(p->L);
}

void kapL_options_string(parse *p, const kap_option *o, int idx)
{
    size_t n;
    const char *s;
    if (lua_type(p->L, idx) != LUA_TSTRING) {
        kapL_options_wrong(p, o, idx,
                           o->type == KAP_OPTION_TOKEN ? "a string or function"
                                                       : "a string");
        return;
    }
    s = lua_tolstring(p->L, idx, &n);
    set_string(p, kap_settings_at(p->s, o), s, n);
}

static void set_function(parse *p, int slot, int idx)
{
    lua_pushvalue(p->L, idx);
    lua_rawseti(p->L, p->functions, slot);
}

void kapL_options_token(parse *p, const kap_option *o, int idx)
{
    p->s->token_function = lua_isfunction(p->L, idx);
    if (p->s->token_function) {
        kap_secret_free(p->s->token);
        p->s->token = NULL;
        set_function(p, KAP_FUNCTION_TOKEN, idx);
    } else {
        kapL_options_string(p, o, idx);
    }
}

void kapL_options_number(parse *p, const kap_option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    double *slot = kap_settings_at(p->s, o);
    if (lua_type(p->L, idx) != LUA_TNUMBER || isnan(v) || v < 0 ||
        (v == 0 && o->type != KAP_OPTION_PAUSE)) {
        kapL_options_wrong(p, o, idx,
                           o->type == KAP_OPTION_PAUSE
                               ? "a number of seconds >= 0"
                           : o->type == KAP_OPTION_RATE
                               ? "a number > 0 (requests a second)"
                               : "a number of seconds > 0");
        return;
    }
    *slot = v;
}

void kapL_options_count(parse *p, const kap_option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    int *slot = kap_settings_at(p->s, o);
    char expected[64];
    if (lua_type(p->L, idx) != LUA_TNUMBER || !(v >= o->min && v <= o->max) ||
        v != floor(v)) {
        snprintf(expected, sizeof expected, "an integer from %d to %d", o->min,
                 o->max);
        kapL_options_wrong(p, o, idx, expected);
        return;
    }
    *slot = (int)v;
}

void kapL_options_size(parse *p, const kap_option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    if (lua_type(p->L, idx) != LUA_TNUMBER || !(v >= 1) ||
        (v != floor(v) && !isinf(v))) {
        kapL_options_wrong(p, o, idx, "an integer >= 1");
        return;
    }
    p->s->max_response_bytes =
        v >= (double)(SIZE_MAX / 2) ? SIZE_MAX / 2 : (size_t)v;
}

void kapL_options_flag(parse *p, const kap_option *o, int idx)
{
    bool *slot = kap_settings_at(p->s, o);
    if (lua_type(p->L, idx) != LUA_TBOOLEAN)
        kapL_options_wrong(p, o, idx, "a boolean");
    else
        *slot = lua_toboolean(p->L, idx) != 0;
}

size_t kapL_options_number_text(lua_State *L, int idx, char *out, size_t size)
{
    double v = lua_tonumber(L, idx);
    int n;
#if KAP_LUA_INTEGERS
    if (lua_isinteger(L, idx)) {
        n = snprintf(out, size, "%lld", (long long)lua_tointeger(L, idx));
        return n > 0 ? (size_t)n : 0;
    }
#endif
    if (v == floor(v) && fabs(v) <= 9007199254740992.0)
        n = snprintf(out, size, "%.0f", v == 0 ? 0.0 : v);
    else
        n = snprintf(out, size, "%.14g", v);
    for (char *c = out; *c != '\0'; c++)
        if (*c == ',')
            *c = '.';
    return n > 0 ? (size_t)n : 0;
}

void kapL_options_param(parse *p, const kap_option *o, int idx)
{
    char number[40];
    const char *s = number;
    size_t n = 0;
    switch (lua_type(p->L, idx)) {
    case LUA_TBOOLEAN:
        s = lua_toboolean(p->L, idx) ? "true" : "false";
        n = strlen(s);
        break;
    case LUA_TNUMBER:
        n = kapL_options_number_text(p->L, idx, number, sizeof number);
        break;
    case LUA_TSTRING:
        s = lua_tolstring(p->L, idx, &n);
        if (memchr(s, '\0', n) != NULL)
            FAIL(p, "option '%s': it holds a NUL byte", o->name);
        break;
    default:
        kapL_options_wrong(p, o, idx, "a string, boolean or number");
        return;
    }
    if (!kap_settings_string(kap_settings_at(p->s, o), s, n))
        kapL_error_nomem(p->L);
}

void kapL_options_hook(parse *p, const kap_option *o, int idx)
{
    if (!lua_isfunction(p->L, idx)) {
        kapL_options_wrong(p, o, idx, "a function");
        return;
    }
    p->s->hook = true;
    set_function(p, KAP_FUNCTION_HOOK, idx);
}
