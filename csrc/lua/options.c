#include "base/secret.h"
#include "lua/options.h"
#include "lua/options_parts.h"

#include <string.h>

/* "Did you mean": edits between two names, transpositions counting as one. */
static size_t distance(const char *a, const char *b)
{
    enum { MAX = 24 };
    size_t row[3][MAX + 1], n = strlen(a), m = strlen(b);
    if (n > MAX || m > MAX)
        return MAX;
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3], *up = row[(i - 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = up[j - 1] + (a[i - 1] != b[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1] && row[(i - 2) % 3][j - 2] + 1 < best)
                best = row[(i - 2) % 3][j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

_Noreturn static void unknown_option(parse *p, const char *name)
{
    size_t best = 4;
    const char *near = NULL;
    for (size_t i = 0; i < kap_settings_option_count; i++) {
        size_t d = distance(name, kap_settings_options[i].name);
        if (d < best && d < strlen(kap_settings_options[i].name)) {
            best = d;
            near = kap_settings_options[i].name;
        }
    }
    if (near != NULL)
        FAIL(p, "unknown option '%.60s', did you mean '%s'?", name, near);
    FAIL(p, "unknown option '%.60s'", name);
}

static option_parser *const parsers[] = {
    [KAP_OPTION_STRING] = kapL_options_string,
    [KAP_OPTION_TOKEN] = kapL_options_token,
    [KAP_OPTION_SECONDS] = kapL_options_number,
    [KAP_OPTION_PAUSE] = kapL_options_number,
    [KAP_OPTION_RATE] = kapL_options_number,
    [KAP_OPTION_COUNT] = kapL_options_count,
    [KAP_OPTION_LIMIT] = kapL_options_count,
    [KAP_OPTION_SIZE] = kapL_options_size,
    [KAP_OPTION_FLAG] = kapL_options_flag,
    [KAP_OPTION_PARAM] = kapL_options_param,
    [KAP_OPTION_HEADERS] = kapL_options_headers,
    [KAP_OPTION_BODY] = kapL_options_body,
    [KAP_OPTION_FIELDS] = kapL_options_fields,
    [KAP_OPTION_HOOK] = kapL_options_hook,
};

static const kap_option *find(const char *name)
{
    for (size_t i = 0; i < kap_settings_option_count; i++)
        if (*kap_settings_options[i].name == *name &&
            strcmp(kap_settings_options[i].name, name) == 0)
            return &kap_settings_options[i];
    return NULL;
}

/* At one level base_url comes before subdomain; either hides what a farther
 * level says of both. */
static void settle_target(parse *p, bool base_url, bool subdomain)
{
    if (base_url) {
        kap_secret_free(p->s->subdomain);
        p->s->subdomain = NULL;
    } else if (subdomain) {
        kap_secret_free(p->s->base_url);
        p->s->base_url = NULL;
    }
}

static bool is_of_client(const kap_option *o)
{
    return o->type == KAP_OPTION_RATE || o->type == KAP_OPTION_LIMIT;
}

void kapL_options(lua_State *L, int idx, kap_settings *into, int functions,
                  kap_options_of of, int arg, const char *func)
{
    parse p = {L, into, functions, arg, func};
    bool base_url = false, subdomain = false;
    if (lua_isnoneornil(L, idx))
        return;
    if (!lua_istable(L, idx)) {
        FAIL(&p, "table expected, got %s", luaL_typename(L, idx));
        return;
    }
    kapL_room(L, 10);
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        const kap_option *o;
        const char *name;
        size_t len;
        int value = lua_gettop(L);
        if (lua_type(L, -2) != LUA_TSTRING)
            FAIL(&p, "option names are strings, got a %s",
                 luaL_typename(L, -2));
        name = lua_tolstring(L, -2, &len);
        o = strlen(name) == len ? find(name) : NULL;
        if (o == NULL) {
            unknown_option(&p, name);
            return;
        }
        if (of == KAP_OPTIONS_CALL && is_of_client(o))
            FAIL(&p,
                 "option '%s' is a client's, for all its calls together: give "
                 "it to 'new'",
                 name);
        parsers[o->type](&p, o, value);
        lua_settop(L, value);
        base_url = base_url || o->at == offsetof(kap_settings, base_url);
        subdomain = subdomain || o->at == offsetof(kap_settings, subdomain);
    }
    if (into->raw && into->fields != NULL)
        FAIL(&p, "option 'raw': not with 'fields', for a raw ticket is whole");
    settle_target(&p, base_url, subdomain);
}
