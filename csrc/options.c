#include "options.h"

#include "ascii.h"
#include "error.h"

#include <curl/curl.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    STRING,  /* one with control characters is kept as UNUSABLE */
    TOKEN,   /* a string or a function */
    SECONDS, /* a number > 0 */
    PAUSE,   /* a number >= 0 */
    RATE,    /* a number > 0 */
    COUNT,   /* an integer from min to max */
    SIZE,    /* an integer >= 1, or math.huge */
    FLAG,
    PARAM, /* one of the nine body fields: string, boolean or number */
    HEADERS,
    BODY,
    FIELDS,
    HOOK
} option_type;

typedef struct option {
    const char *name;
    option_type type;
    size_t at; /* offset in kap_settings; PARAM: its index */
    int min, max;
    const char *initial, *doc; /* for people: see tools/types.lua */
} option;

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
     "requests in flight over the client"},
    {"rate", RATE, AT(rate), 0, 0, "none",
     "requests a second over the client, at most"},
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
    {"ca_file", STRING, AT(ca_file), 0, 0, "system",
     "a PEM file of CA certificates"},
    {"ca_path", STRING, AT(ca_path), 0, 0, "none",
     "a directory of hashed CA certificates"},
    {"cert", STRING, AT(cert), 0, 0, "none", "a client certificate (PEM)"},
    {"key", STRING, AT(key), 0, 0, "none", "its private key (PEM)"},
    {"proxy", STRING, AT(proxy), 0, 0, "environment",
     "a proxy's URL; \"\" for none"},
    {"user_agent", STRING, AT(user_agent), 0, 0, "kapture-lua/<version>",
     "the User-Agent header"},
    {"hook", HOOK, AT(hook), 0, 0, "none",
     "called for every request, response, retry, split and failure"},
};
#define OPTION_COUNT (sizeof options / sizeof *options)

/* What this module sets itself. */
static const char *const own_headers[] = {
    "Authorization", "Content-Type", "Content-Length",
    "Host",          "Cookie",       "Transfer-Encoding",
    "Expect",        "User-Agent",   "Accept-Encoding",
};

typedef struct parse {
    lua_State *L;
    kap_settings *s;
    int functions, arg;
    const char *func;
} parse;

#define FAIL(p, ...) kapL_argerror((p)->L, (p)->arg, (p)->func, __VA_ARGS__)

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

_Noreturn static void wrong(parse *p, const option *o, int idx,
                            const char *expected)
{
    int type = lua_type(p->L, idx);
    /* others may hold a secret, be it of the wrong type */
    bool shown = o->type == SECONDS || o->type == PAUSE || o->type == RATE ||
                 o->type == COUNT || o->type == SIZE || o->type == FLAG;
    if (shown && type == LUA_TNUMBER)
        FAIL(p, "option '%s': %s expected, got %.14g", o->name, expected,
             lua_tonumber(p->L, idx));
    if (shown && type == LUA_TSTRING)
        FAIL(p, "option '%s': %s expected, got the string '%.40s'", o->name,
             expected, lua_tostring(p->L, idx));
    FAIL(p, "option '%s': %s expected, got %s", o->name, expected,
         luaL_typename(p->L, idx));
}

/* A value with control characters can't be sent. That is a `config` failure of
 * the call, but only if no nearer level replaces the value: until then this
 * stands in its place. */
#define UNUSABLE "\1"

static void set_string(parse *p, char **slot, const char *s, size_t n)
{
    if (kap_has_control(s, n)) {
        s = UNUSABLE;
        n = sizeof UNUSABLE - 1;
    }
    if (!kap_settings_string(slot, s, n))
        kapL_nomem(p->L);
}

static char **string_slot(kap_settings *s, const option *o)
{
    return (char **)(void *)((char *)s + o->at);
}

static void parse_string(parse *p, const option *o, int idx)
{
    size_t n;
    const char *s;
    if (lua_type(p->L, idx) != LUA_TSTRING) {
        wrong(p, o, idx,
              o->type == TOKEN ? "a string or function" : "a string");
        return;
    }
    s = lua_tolstring(p->L, idx, &n);
    set_string(p, string_slot(p->s, o), s, n);
}

static void set_function(parse *p, int slot, int idx)
{
    lua_pushvalue(p->L, idx);
    lua_rawseti(p->L, p->functions, slot);
}

static void parse_token(parse *p, const option *o, int idx)
{
    p->s->token_function = lua_isfunction(p->L, idx);
    if (p->s->token_function) {
        kap_wipe_free(p->s->token);
        p->s->token = NULL;
        set_function(p, KAP_FUNCTION_TOKEN, idx);
    } else {
        parse_string(p, o, idx);
    }
}

static void parse_number(parse *p, const option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    double *slot = (double *)(void *)((char *)p->s + o->at);
    if (lua_type(p->L, idx) != LUA_TNUMBER || isnan(v) || v < 0 ||
        (v == 0 && o->type != PAUSE)) {
        wrong(p, o, idx,
              o->type == PAUSE  ? "a number of seconds >= 0"
              : o->type == RATE ? "a number > 0 (requests a second)"
                                : "a number of seconds > 0");
        return;
    }
    *slot = v;
}

static void parse_count(parse *p, const option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    int *slot = (int *)(void *)((char *)p->s + o->at);
    char expected[64];
    if (lua_type(p->L, idx) != LUA_TNUMBER || !(v >= o->min && v <= o->max) ||
        v != floor(v)) {
        snprintf(expected, sizeof expected, "an integer from %d to %d", o->min,
                 o->max);
        wrong(p, o, idx, expected);
        return;
    }
    *slot = (int)v;
}

static void parse_size(parse *p, const option *o, int idx)
{
    double v = lua_tonumber(p->L, idx);
    if (lua_type(p->L, idx) != LUA_TNUMBER || !(v >= 1) ||
        (v != floor(v) && !isinf(v))) {
        wrong(p, o, idx, "an integer >= 1");
        return;
    }
    p->s->max_response_bytes =
        v >= (double)(SIZE_MAX / 2) ? SIZE_MAX / 2 : (size_t)v;
}

static void parse_flag(parse *p, const option *o, int idx)
{
    bool *slot = (bool *)((char *)p->s + o->at);
    if (lua_type(p->L, idx) != LUA_TBOOLEAN)
        wrong(p, o, idx, "a boolean");
    else
        *slot = lua_toboolean(p->L, idx) != 0;
}

/* A number as an integer if it is one: 3 goes as "3", also where Lua has only
 * floats. Locale or not, what is left has a point in it. */
static size_t format_number(lua_State *L, int idx, char *out, size_t size)
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

static void parse_param(parse *p, const option *o, int idx)
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
        n = format_number(p->L, idx, number, sizeof number);
        break;
    case LUA_TSTRING:
        s = lua_tolstring(p->L, idx, &n);
        if (memchr(s, '\0', n) != NULL)
            FAIL(p, "option '%s': it holds a NUL byte", o->name);
        break;
    default: wrong(p, o, idx, "a string, boolean or number"); return;
    }
    if (!kap_settings_string(&p->s->params[o->at], s, n))
        kapL_nomem(p->L);
}

static bool is_header_name(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!kap_is_letter(s[i]) && !kap_is_digit(s[i]) &&
            (s[i] == '\0' || strchr("!#$%&'*+-.^_`|~", s[i]) == NULL))
            return false;
    return n > 0;
}

/* Checks one header of the table at `t`; key and value are on top. */
static void check_header(parse *p)
{
    lua_State *L = p->L;
    size_t n;
    const char *name;
    if (lua_type(L, -2) != LUA_TSTRING)
        FAIL(p,
             "option 'headers': a table of name = value expected, got a "
             "%s key",
             luaL_typename(L, -2));
    name = lua_tolstring(L, -2, &n);
    if (!is_header_name(name, n) && !kap_has_control(name, n))
        FAIL(p, "option 'headers': '%.40s' is no header name", name);
    for (size_t i = 0; i < sizeof own_headers / sizeof *own_headers; i++)
        if (curl_strequal(name, own_headers[i]))
            FAIL(p, "option 'headers': '%s' is set by kapture itself",
                 own_headers[i]);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        FAIL(p, "option 'headers': a string expected for '%.40s', got %s", name,
             luaL_typename(L, -1));
}

static void add_header(parse *p, size_t at)
{
    lua_State *L = p->L;
    size_t name_len, len;
    char *line;
    char digits[64];
    lua_pushvalue(L, -1); /* tolstring would change a number in place */
    if (lua_type(L, -1) == LUA_TNUMBER) {
        len = format_number(L, -1, digits, sizeof digits);
        lua_pushlstring(L, digits, len);
        lua_replace(L, -2);
    }
    const char *value = lua_tolstring(L, -1, &len);
    const char *name = lua_tolstring(L, -3, &name_len);
    line = malloc(name_len + len + sizeof UNUSABLE + 2);
    if (line == NULL)
        kapL_nomem(L);
    memcpy(line, name, name_len);
    if (kap_has_control(name, name_len) || kap_has_control(value, len))
        memcpy(line, UNUSABLE, sizeof UNUSABLE);
    else if (strspn(value, " ") == len) /* libcurl's notation for "no value" */
        memcpy(line + name_len, ";", 2);
    else
        snprintf(line + name_len, len + 3, ": %s", value);
    p->s->headers[at] = line;
    lua_pop(L, 1);
}

static void parse_headers(parse *p, const option *o, int idx)
{
    lua_State *L = p->L;
    size_t n = 0;
    if (!lua_istable(L, idx)) {
        wrong(p, o, idx, "a table");
        return;
    }
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        check_header(p);
        n++;
    }
    kap_settings_clear_headers(p->s);
    p->s->headers = calloc(n + 1, sizeof *p->s->headers);
    if (p->s->headers == NULL)
        kapL_nomem(L);
    size_t at = 0;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1))
        if (at < n)
            add_header(p, at++);
}

static void parse_fields(parse *p, const option *o, int idx)
{
    lua_State *L = p->L;
    if (!lua_istable(L, idx)) {
        wrong(p, o, idx, "a list of paths");
        return;
    }
    size_t n = lua_rawlen(L, idx);
    if (n == 0)
        FAIL(p, "option 'fields': the list is empty");
    kap_fields_free(p->s->fields);
    p->s->fields = kap_fields_new();
    if (p->s->fields == NULL)
        kapL_nomem(L);
    for (size_t i = 1; i <= n; i++) {
        size_t len;
        const char *path;
        lua_rawgeti(L, idx, (int)i);
        if (lua_type(L, -1) != LUA_TSTRING)
            FAIL(p, "option 'fields': a string expected at [%d], got %s",
                 (int)i, luaL_typename(L, -1));
        path = lua_tolstring(L, -1, &len);
        kap_fields_status rc = kap_fields_add(p->s->fields, path, len);
        if (rc == KAP_FIELDS_NOMEM)
            kapL_nomem(L);
        if (rc != KAP_FIELDS_OK)
            FAIL(p,
                 "option 'fields': an empty name in the path '%.60s' at [%d]",
                 path, (int)i);
        lua_pop(L, 1);
    }
}

static void check_body_keys(parse *p, int idx)
{
    lua_State *L = p->L;
    for (lua_pushnil(L); lua_next(L, idx) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            FAIL(p,
                 "option 'body': a table of name = value expected, got a %s "
                 "key",
                 luaL_typename(L, -2));
        const char *name = lua_tostring(L, -2);
        if (strcmp(name, "ticket_ids") == 0)
            FAIL(p, "option 'body': 'ticket_ids' is the call's first argument");
        for (int i = 0; i < KAP_PARAM_COUNT; i++)
            if (strcmp(name, kap_param_names[i]) == 0)
                FAIL(p, "option 'body': '%s' is an option of its own", name);
    }
}

/* Pushes cjson.encode, or returns false. */
static bool push_encoder(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "cjson");
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM)
        lua_error(L);
    if (status != 0 || !lua_istable(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_getfield(L, -1, "encode");
    lua_remove(L, -2);
    return true;
}

static void parse_body(parse *p, const option *o, int idx)
{
    lua_State *L = p->L;
    size_t n;
    const char *json;
    if (!lua_istable(L, idx)) {
        wrong(p, o, idx, "a table");
        return;
    }
    check_body_keys(p, idx);
    p->s->body_unencoded = !push_encoder(L);
    if (p->s->body_unencoded)
        return;
    lua_pushvalue(L, idx);
    int status = lua_pcall(L, 1, 1, 0);
    if (status == LUA_ERRMEM)
        lua_error(L);
    if (status != 0)
        FAIL(p, "option 'body': %.200s",
             lua_isstring(L, -1) ? lua_tostring(L, -1) : "it can't be encoded");
    json = lua_tolstring(L, -1, &n);
    if (json == NULL || n < 2)
        FAIL(p, "option 'body': it can't be encoded");
    /* without its braces, ready to follow the other members */
    if (!kap_settings_string(&p->s->body, json + 1, *json == '{' ? n - 2 : 0))
        kapL_nomem(L);
    lua_pop(L, 1);
}

static void parse_hook(parse *p, const option *o, int idx)
{
    if (!lua_isfunction(p->L, idx)) {
        wrong(p, o, idx, "a function");
        return;
    }
    p->s->hook = true;
    set_function(p, KAP_FUNCTION_HOOK, idx);
}

static void (*const parsers[])(parse *, const option *, int) = {
    [STRING] = parse_string,   [TOKEN] = parse_token, [SECONDS] = parse_number,
    [PAUSE] = parse_number,    [RATE] = parse_number, [COUNT] = parse_count,
    [SIZE] = parse_size,       [FLAG] = parse_flag,   [PARAM] = parse_param,
    [HEADERS] = parse_headers, [BODY] = parse_body,   [FIELDS] = parse_fields,
    [HOOK] = parse_hook,
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
        kap_wipe_free(p->s->subdomain);
        p->s->subdomain = NULL;
    } else if (subdomain) {
        kap_wipe_free(p->s->base_url);
        p->s->base_url = NULL;
    }
}

void kapL_options(lua_State *L, int idx, kap_settings *into, int functions,
                  int arg, const char *func)
{
    parse p = {L, into, functions, arg, func};
    bool base_url = false, subdomain = false;
    if (lua_isnoneornil(L, idx))
        return;
    if (!lua_istable(L, idx)) {
        FAIL(&p, "table expected, got %s", luaL_typename(L, idx));
        return;
    }
    luaL_checkstack(L, 10, "options");
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
        parsers[o->type](&p, o, value);
        lua_settop(L, value);
        base_url = base_url || is_string(o, AT(base_url));
        subdomain = subdomain || is_string(o, AT(subdomain));
    }
    settle_target(&p, base_url, subdomain);
}
