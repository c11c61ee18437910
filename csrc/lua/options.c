#include "base/secret.h"
#include "lua/options.h"
#include "lua/options_parts.h"

#include <string.h>

#define AT(member) offsetof(kap_settings, member)

static const option options[] = {
    {"subdomain", STRING, AT(subdomain), 0, 0, "$KAPTURE_SUBDOMAIN",
     "the account's subdomain of kapturecrm.com: one DNS label"},
    {"base_url", STRING, AT(base_url), 0, 0, "$KAPTURE_BASE_URL",
     "scheme, host, port and a path prefix, instead of subdomain"},
    {"token", TOKEN, AT(token), 0, 0, "$KAPTURE_TOKEN",
     "as issued, or a function that returns it, called once a call"},
    {"cookie", STRING, AT(cookie), 0, 0, "none", "a Cookie header's value"},
    {"headers", HEADERS, AT(headers), 0, 0, "none", "extra request headers"},
    {"conversation_type", PARAM, 0, 0, 0, "\"\"", "body field, passed on"},
    {"history_type", PARAM, 1, 0, 0, "\"\"", "body field, passed on"},
    {"assigned", PARAM, 2, 0, 0, "\"\"", "body field, passed on"},
    {"disposed", PARAM, 3, 0, 0, "\"\"", "body field, passed on"},
    {"response", PARAM, 4, 0, 0, "\"\"", "body field, passed on"},
    {"landing_queue", PARAM, 5, 0, 0, "\"\"", "body field, passed on"},
    {"create", PARAM, 6, 0, 0, "\"\"", "body field, passed on"},
    {"resolved", PARAM, 7, 0, 0, "\"\"", "body field, passed on"},
    {"include_emailbody", PARAM, 8, 0, 0, "\"\"", "body field, passed on"},
    {"body", BODY, AT(body), 0, 0, "none",
     "merged into the request body, encoded with lua-cjson"},
    {"fields", FIELDS, AT(fields), 0, 0, "all",
     "paths such as \"task_details.ticketId\": only these are built"},
    {"timeout", SECONDS, AT(timeout), 0, 0, "30", "seconds for one attempt"},
    {"connect_timeout", SECONDS, AT(connect_timeout), 0, 0, "10",
     "seconds for connecting, TLS included"},
    {"deadline", SECONDS, AT(deadline), 0, 0, "120",
     "seconds for the whole call; in the iterator, for each batch"},
    {"retries", COUNT, AT(retries), 0, 20, "2",
     "extra attempts for a request that failed in a way that may pass"},
    {"backoff", PAUSE, AT(backoff), 0, 0, "0.5",
     "seconds: base of the exponential pause before a retry"},
    {"max_backoff", PAUSE, AT(max_backoff), 0, 0, "20",
     "seconds: the longest such pause"},
    {"batch_size", COUNT, AT(batch_size), 1, 1000, "50", "ids in a request"},
    {"concurrency", COUNT, AT(concurrency), 1, 256, "4",
     "requests in flight over the client, all its calls together"},
    {"rate", RATE, AT(rate), 0, 0, "none",
     "requests a second over the client, at most, evenly spaced"},
    {"partial", FLAG, AT(partial), 0, 0, "false",
     "return what arrived, with the failed requests in info.failed"},
    {"isolate", FLAG, AT(isolate), 0, 0, "true",
     "halve a failed request until the bad id stands alone"},
    {"max_response_bytes", SIZE, AT(max_response_bytes), 0, 0, "64 MiB",
     "bytes of a response after decompression, at most"},
    {"compression", FLAG, AT(compression), 0, 0, "true",
     "ask for a compressed response"},
    {"verify", FLAG, AT(verify), 0, 0, "true",
     "check the server's certificate and name"},
    {"ca_file", STRING, AT(ca_file), 0, 0, "$KAPTURE_CA_FILE",
     "a PEM file of CA certificates, instead of the system's"},
    {"ca_path", STRING, AT(ca_path), 0, 0, "none",
     "a directory of hashed CA certificates"},
    {"cert", STRING, AT(cert), 0, 0, "none", "a client certificate (PEM)"},
    {"key", STRING, AT(key), 0, 0, "none", "its private key (PEM)"},
    {"proxy", STRING, AT(proxy), 0, 0, "environment",
     "a proxy's URL; \"\" for none"},
    {"user_agent", STRING, AT(user_agent), 0, 0, "kapture-lua/<version>",
     "the User-Agent header"},
    {"hook", HOOK, AT(hook), 0, 0, "none",
     "called for every request, response, retry, pause, split and failure"},
};
#define OPTION_COUNT (sizeof options / sizeof *options)

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
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t d = distance(name, options[i].name);
        if (d < best && d < strlen(options[i].name)) {
            best = d;
            near = options[i].name;
        }
    }
    if (near != NULL)
        FAIL(p, "unknown option '%.60s', did you mean '%s'?", name, near);
    FAIL(p, "unknown option '%.60s'", name);
}

static option_parser *const parsers[] = {
    [STRING] = kapL_options_string,  [TOKEN] = kapL_options_token,
    [SECONDS] = kapL_options_number, [PAUSE] = kapL_options_number,
    [RATE] = kapL_options_number,    [COUNT] = kapL_options_count,
    [SIZE] = kapL_options_size,      [FLAG] = kapL_options_flag,
    [PARAM] = kapL_options_param,    [HEADERS] = kapL_options_headers,
    [BODY] = kapL_options_body,      [FIELDS] = kapL_options_fields,
    [HOOK] = kapL_options_hook,
};

static const option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strlen(options[i].name) == len &&
            memcmp(options[i].name, name, len) == 0)
            return &options[i];
    return NULL;
}

static bool is_string(const option *o, size_t at)
{
    return o->type == STRING && o->at == at;
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

/* Of all requests of a client together. */
static bool is_limit(const option *o)
{
    return o->type == RATE || (o->type == COUNT && o->at == AT(concurrency));
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
        const option *o;
        const char *name;
        size_t len;
        int value = lua_gettop(L);
        if (lua_type(L, -2) != LUA_TSTRING)
            FAIL(&p, "option names are strings, got a %s",
                 luaL_typename(L, -2));
        name = lua_tolstring(L, -2, &len);
        o = find(name, len);
        if (o == NULL) {
            unknown_option(&p, name);
            return;
        }
        if (of == KAP_OPTIONS_CALL && is_limit(o))
            FAIL(&p,
                 "option '%s' is a client's, for all its calls together: give "
                 "it to 'new'",
                 name);
        parsers[o->type](&p, o, value);
        lua_settop(L, value);
        base_url = base_url || is_string(o, AT(base_url));
        subdomain = subdomain || is_string(o, AT(subdomain));
    }
    settle_target(&p, base_url, subdomain);
}
