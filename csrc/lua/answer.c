#include "lua/answer.h"

#include "base/secret.h"
#include "lua/client.h"
#include "lua/error.h"
#include "lua/result.h"
#include "lua/value.h"

#include <string.h>
#include <time.h>

typedef struct target {
    kap_request *r;
    kap_reading *reading;
    int table; /* stack index of the request's table */
} target;

/* Takes the ticket on top of the stack. */
static void place(lua_State *L, void *arg, const char *id, size_t len)
{
    const target *to = arg;
    kap_reading *reading = to->reading;
    const kap_batch *b = reading->batch;
    kap_call *c = &to->r->call;
    uint32_t i = len == 0 ? KAP_IDSET_NONE
                          : kap_idset_find(&c->ids, id, len, reading->guess);
    bool own = i != KAP_IDSET_NONE && i >= b->first && i < b->first + b->count;
    reading->own = reading->own || own;
    reading->others = reading->others || !own;
    /* Only among the batch's own: an iterator's ids from before may be there
     * twice, and the guess would find the one that was handed out. */
    if (own)
        reading->guess = i + 1;
    if (b->canary || (c->open && !kap_call_wants(c, i))) {
        lua_pop(L, 1); /* nobody waits for it */
    } else if (i != KAP_IDSET_NONE) {
        lua_rawgeti(L, to->table, KAP_REQUEST_TICKETS);
        lua_insert(L, -2);
        lua_rawseti(L, -2, kapL_request_key(c->dropped + i));
        lua_pop(L, 1);
        kap_call_got(c, i);
    } else {
        kapL_result_extra(L, to->r, to->table, id, len);
    }
}

/* False: more of it is left. */
static bool decode(lua_State *L, kap_request *r, kap_batch *b, double until,
                   int table, bool *success)
{
    kap_reading *reading = &r->client->reading;
    target to = {r, reading, table};
    if (reading->batch != b) {
        memset(reading, 0, sizeof *reading);
        reading->batch = b;
        reading->guess = b->first;
        reading->extras = r->extras;
    }
    kap_response_result got =
        kapL_response(L, &reading->response, b->transfer, table + 1, table,
                      until, place, &to, &b->failure);
    if (got == KAP_RESPONSE_AGAIN)
        return false;
    kap_secret_wipe(reading->response.head, reading->response.head_len);
    *success = got == KAP_RESPONSE_TICKETS;
    b->brought_own = reading->own;
    reading->batch = NULL;
    return true;
}

bool kapL_answer_read(lua_State *L, kap_request *r, kap_batch *b, double until,
                      kap_batch **owned, bool *ok)
{
    int me = lua_gettop(L);
    const kap_transfer *t = b->transfer;
    const kap_reading *reading = &r->client->reading;
    kap_engine *engine = r->client->engine;
    bool success = false;
    kapL_room(L, 40);
    kapL_getuservalue(L, me);
    kapL_value_array_mt(L);
    if (t->outcome == KAP_OUTCOME_NOMEM)
        kapL_error_nomem(L);
    if (t->outcome != KAP_OUTCOME_RESPONSE) {
        b->brought_own = false;
        kap_call_describe(b);
        kap_response_quote(t, &b->failure);
    } else if (!decode(L, r, b, until, me + 1, &success)) {
        lua_settop(L, me);
        return false;
    }
    /* from here on, only C */
    *owned = NULL;
    if (success && reading->others && !reading->own &&
        kap_call_disown(&r->call, b)) {
        r->extras = reading->extras; /* the answer to somebody else */
    } else if (success) {
        *ok = kap_call_succeed(&r->call, b, engine);
    } else {
        if (t->outcome == KAP_OUTCOME_RESPONSE)
            r->extras = reading->extras; /* they would come again */
        b->failure.attempts = b->attempts;
        if (b->failure.status > 0)
            b->failure.retry_after =
                kap_retry_after_seconds(&t->retry_after, time(NULL));
        *ok = kap_call_fail(&r->call, b, engine);
    }
    lua_settop(L, me);
    return true;
}
