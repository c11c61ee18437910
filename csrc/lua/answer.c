#include "lua/answer.h"

#include "lua/error.h"
#include "lua/result.h"
#include "lua/value.h"

#include <string.h>

typedef struct reading {
    kap_request *r;
    kap_batch *b;
    int table; /* stack index of the request's table */
    uint32_t guess;
} reading;

/* Takes the ticket on top of the stack. */
static void place(lua_State *L, void *arg, const char *id, size_t len)
{
    reading *to = arg;
    kap_call *c = &to->r->call;
    uint32_t i = len == 0 ? KAP_IDSET_NONE
                          : kap_idset_find(&c->ids, id, len, to->guess);
    if (i != KAP_IDSET_NONE && !to->b->canary) {
        to->guess = i + 1;
        lua_rawgeti(L, to->table, KAP_REQUEST_TICKETS);
        lua_insert(L, -2);
        lua_rawseti(L, -2, (int)(c->dropped + i) + 1);
        lua_pop(L, 1);
        kap_call_got(c, i);
    } else if (to->b->canary || c->open) { /* nobody waits for it */
        lua_pop(L, 1);
    } else {
        kapL_result_extra(L, to->r, to->table, id, len);
    }
}

/* False: more of it is left. */
static bool decode(lua_State *L, kap_request *r, kap_batch *b, double until,
                   int table, bool *success)
{
    kap_client *c = r->client;
    reading to = {r, b, table, b->first};
    if (c->reading != b) {
        memset(&c->response, 0, sizeof c->response);
        c->reading = b;
    }
    kap_response_result got =
        kapL_response(L, &c->response, b->transfer, table + 1, table, until,
                      place, &to, &b->failure);
    if (got == KAP_RESPONSE_AGAIN)
        return false;
    c->reading = NULL;
    kap_wipe(c->response.head, c->response.head_len);
    *success = got == KAP_RESPONSE_TICKETS;
    return true;
}

bool kapL_answer_read(lua_State *L, kap_request *r, kap_batch *b, double until,
                      kap_batch **held, bool *ok)
{
    int me = lua_gettop(L);
    const kap_transfer *t = b->transfer;
    kap_engine *engine = r->client->engine;
    bool success = false;
    luaL_checkstack(L, 40, "request");
    kapL_getuservalue(L, me);
    kapL_push_array_mt(L);
    if (t->outcome == KAP_OUTCOME_NOMEM)
        kapL_nomem(L);
    if (t->outcome != KAP_OUTCOME_RESPONSE) {
        kap_call_describe(b);
        kap_response_quote(t, &b->failure);
    } else if (!decode(L, r, b, until, me + 1, &success)) {
        lua_settop(L, me);
        return false;
    }
    /* from here on, only C */
    if (!success) {
        b->failure.attempts = b->attempts;
        if (t->outcome == KAP_OUTCOME_RESPONSE && b->failure.status > 0 &&
            t->retry_after[0] != '\0')
            b->failure.retry_after =
                kap_retry_after(t->retry_after, time(NULL));
    }
    *held = NULL;
    *ok = success ? kap_call_succeed(&r->call, b, engine)
                  : kap_call_fail(&r->call, b, engine);
    lua_settop(L, me);
    return true;
}
