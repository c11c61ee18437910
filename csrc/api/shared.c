#include "api/shared.h"

#include "config/target.h"
#include "lua/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT 8

/* Pushes what decides over a connection, and over the limits of the client that
 * has it, as one string. */
static void push_key(lua_State *L, const kap_settings *s)
{
    kap_failure ignored; /* a target that is none: the call itself says so */
    char *base = kap_target(s, &ignored);
    const char *host = base != NULL ? strstr(base, "://") : NULL;
    size_t n = host != NULL ? (size_t)(host - base) + 3 : 0;
    char head[300];
    if (host != NULL)
        n += strcspn(host + 3, "/");
    snprintf(head, sizeof head, "%.*s", (int)n, base != NULL ? base : "");
    free(base);
#define OR_EMPTY(v) ((v) != NULL ? (v) : "\1")
    lua_pushfstring(L, "%s\n%s\n%s\n%s\n%s\n%s\n%d\n%d\n", head,
                    OR_EMPTY(s->proxy), OR_EMPTY(kap_message_ca_file(s)),
                    OR_EMPTY(s->ca_path), OR_EMPTY(s->cert), OR_EMPTY(s->key),
                    s->verify ? 1 : 0, s->concurrency);
#undef OR_EMPTY
    /* a number of Lua's own loses digits as text */
    lua_pushlstring(L, (const char *)&s->rate, sizeof s->rate);
    lua_concat(L, 2);
}

/* The cache is a Lua list of keys and clients in turn, the most recently used
 * first: where the n-th of each stands, from 1. */
static int key_place(int n)
{
    return 2 * n - 1;
}

static int client_place(int n)
{
    return 2 * n;
}

/* Makes these the first entry. Those before the n-th move back by one; what was
 * the n-th gives way. Where memory runs out, a key without its client may be
 * left behind the last entry, which does no harm. */
static void put_first(lua_State *L, int cache, int n, int key, int client)
{
    for (; n > 1; n--) {
        lua_rawgeti(L, cache, key_place(n - 1));
        lua_rawseti(L, cache, key_place(n));
        lua_rawgeti(L, cache, client_place(n - 1));
        lua_rawseti(L, cache, client_place(n));
    }
    lua_pushvalue(L, key);
    lua_rawseti(L, cache, key_place(1));
    lua_pushvalue(L, client);
    lua_rawseti(L, cache, client_place(1));
}

void kapL_shared_last(lua_State *L, int cache)
{
    lua_rawgeti(L, cache, client_place(1));
}

/* The most recently used client, if it is at work for the same; pushed. */
static kap_client *push_same(lua_State *L, int cache, kap_settings **settings)
{
    kapL_shared_last(L, cache);
    kap_client *c = lua_touserdata(L, -1);
    if (c != NULL && c->message != NULL &&
        kap_settings_same(c->message->settings, *settings)) {
        kap_settings_unref(*settings);
        *settings = kap_settings_ref(c->message->settings);
        if (kap_message_fits(c->message, *settings))
            return c;
    }
    lua_pop(L, 1);
    return NULL;
}

kap_client *kapL_shared_client(lua_State *L, int cache, kap_settings **settings)
{
    kap_client *last = push_same(L, cache, settings);
    if (last != NULL)
        return last;
    const int entries = (int)lua_rawlen(L, cache) / 2;
    const int key = lua_gettop(L) + 1, client = key + 1;
    push_key(L, *settings);
    for (int n = 1; n <= entries; n++) {
        lua_rawgeti(L, cache, key_place(n));
        bool same = lua_rawequal(L, -1, key) != 0;
        lua_pop(L, 1);
        if (!same)
            continue;
        lua_rawgeti(L, cache, client_place(n));
        put_first(L, cache, n, key, client);
        lua_remove(L, key);
        return lua_touserdata(L, -1);
    }
    kap_client *c = kapL_client_new(L);
    kap_client_limit(c, *settings);
    if (entries == KEPT) {
        /* the least recently used: closed, unless an iterator still uses it */
        lua_rawgeti(L, cache, client_place(KEPT));
        kap_client *old = lua_touserdata(L, -1);
        lua_pop(L, 1);
        if (old->requests.n == 0)
            kap_client_close(old);
    }
    put_first(L, cache, entries < KEPT ? entries + 1 : KEPT, key, client);
    lua_remove(L, key);
    return c;
}
