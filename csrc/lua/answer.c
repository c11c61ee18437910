#include "lua/answer.h"

#include "base/secret.h"
#include "lua/client.h"
#include "lua/error.h"
#include "lua/result.h"
#include "lua/value.h"
#include "policy/resend.h"
#include "policy/slots.h"

#include <string.h>
#include <time.h>

typedef struct target {
    kap_request *r;
    kap_reading *reading;
    kap_response_slots at; /* aside is the request's table */
} target;

/* Takes the ticket on top of the stack. */
static void take_ticket(lua_State *L, void *arg, const char *id, size_t len)
{
    const target *to = arg;
    kap_reading *reading = to->reading;
    const kap_batch *b = reading->batch;
    kap_call *c = &to->r->call;
    uint32_t i = len == 0 ? KAP_IDSET_NONE
                          : kap_idset_find(&c->ids, id, len, reading->expected);
    bool own = i != KAP_IDSET_NONE && i >= b->first && i < b->first + b->count;
    reading->own = reading->own || own;
    reading->others = reading->others || !own;
    /* Only among the batch's own: an iterator's ids from before may be there
     * twice, and the one that was handed out would be found first. */
    if (own)
        reading->expected = i + 1;
    if (b->canary || (c->open && !kap_slots_wants(c, i))) {
        lua_pop(L, 1); /* nobody waits for it */
    } else if (i != KAP_IDSET_NONE) {
        lua_rawgeti(L, to->at.aside, KAP_REQUEST_TICKETS);
        lua_insert(L, -2);
        lua_rawseti(L, -2, kapL_request_key(c->dropped + i));
        lua_pop(L, 1);
        kap_slots_got(c, i);
    } else {
        kapL_result_extra(L, to->r, to->at.aside, id, len);
    }
}

/* Pushes the client's session of the decoder. */
static void push_session(lua_State *L, int client)
{
    kapL_getuservalue(L, client);
    lua_rawgeti(L, -1, KAP_CLIENT_SESSION);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        kapL_session_new(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, KAP_CLIENT_SESSION);
    }
    lua_remove(L, -2);
}

/* False: more of it is left. */
static bool decode(lua_State *L, target *to, kap_batch *b, double until,
                   bool *success)
{
    kap_reading *reading = to->reading;
    if (reading->batch != b) {
        memset(reading, 0, sizeof *reading);
        reading->batch = b;
        reading->expected = b->first;
        reading->extras = to->r->extras;
    }
    kap_response_result got =
        kapL_response(L, &reading->response, b->transfer, &to->at, until,
                      take_ticket, to, &b->failure);
    if (got == KAP_RESPONSE_AGAIN)
        return false;
    kap_secret_wipe(reading->response.head, reading->response.head_len);
    *success = got == KAP_RESPONSE_TICKETS;
    b->brought_own = reading->own;
    reading->batch = NULL;
    return true;
}

bool kapL_answer_read(lua_State *L, int client, kap_request *r, kap_batch *b,
                      double until, kap_batch **owned, bool *ok)
{
    int me = lua_gettop(L);
    const kap_transfer *t = b->transfer;
    kap_reading *reading = &r->client->reading;
    target to = {r,
                 reading,
                 {.aside = me + 1, .array_mt = me + 2, .session = me + 3}};
    kap_engine *engine = r->client->engine;
    bool success = false;
    kapL_room(L, 40);
    kapL_getuservalue(L, me);
    kapL_value_array_mt(L);
    push_session(L, client);
    if (t->outcome == KAP_OUTCOME_NOMEM)
        kapL_error_nomem(L);
    if (t->outcome != KAP_OUTCOME_RESPONSE) {
        b->brought_own = false;
        kap_call_describe(b);
        kap_refusal_quote(t, &b->failure);
    } else if (!decode(L, &to, b, until, &success)) {
        lua_settop(L, me);
        return false;
    }
    /* from here on, only C */
    *owned = NULL;
    if (success && reading->others && !reading->own &&
        kap_resend_disowned(&r->call, b)) {
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
