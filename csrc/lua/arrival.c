#include "lua/arrival.h"

#include "lua/error.h"
#include "lua/event.h"
#include "lua/result.h"
#include "lua/work.h"

#include <string.h>
#include <time.h>

/* tickets as they come ---------------------------------------------------- */

typedef struct placing {
    kap_request *r;
    kap_batch *b;
    int table; /* stack index of the request's table */
} placing;

static void place(lua_State *L, void *arg, const char *id, size_t len)
{
    placing *p = arg;
    kap_call *c = &p->r->call;
    /* a finalizer has ended it, and has its result; or it is there already */
    if (p->b->call == NULL || kap_is_control(p->b)) {
        lua_pop(L, 1);
        return;
    }
    uint32_t i = len == 0 ? KAP_IDSET_NONE
                          : kap_idset_find(&c->ids, id, len, p->b->guess);
    if (i != KAP_IDSET_NONE && i >= p->b->first &&
        i - p->b->first < p->b->count) {
        lua_rawgeti(L, p->table, KAP_REQUEST_TICKETS);
        lua_insert(L, -2);
        lua_rawseti(L, -2, (int)i + 1);
        lua_pop(L, 1);
        if (c->state[i] == KAP_ID_PENDING)
            c->state[i] = KAP_ID_READ;
        p->b->guess = i + 1;
        return;
    }
    kapL_result_extra(L, p->r, p->table, id, len);
}

/* What a response that failed after all had brought. */
static void roll_back(lua_State *L, kap_request *r, kap_batch *b, int table)
{
    lua_rawgeti(L, table, KAP_REQUEST_TICKETS);
    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        if (r->call.state[i] != KAP_ID_READ)
            continue;
        lua_pushnil(L);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pop(L, 1);
    kap_call_unread(&r->call, b);
    if (r->extras > b->extras)
        r->extras = b->extras;
}

/* one batch ---------------------------------------------------------------- */

static bool gone(kap_batch *b)
{
    if (b->call != NULL)
        return false;
    kap_batch_free(b);
    return true;
}

/* Calls of the same iterator. */
static bool has_siblings(const kap_client *c, const kap_call *call)
{
    for (const kap_request *o = c->requests; o != NULL; o = o->next)
        if (&o->call != call && o->call.evidence == call->evidence)
            return true;
    return false;
}

/* What one chunk of an iterator has met holds for the others as well. */
static void stop_siblings(kap_request *r, const kap_failure *why)
{
    for (kap_request *o = r->client->requests; o != NULL; o = o->next)
        if (o != r && o->call.evidence == r->call.evidence) {
            kap_call_stop(&o->call, r->client->engine, why);
            r->client->starved = true; /* they are to be looked at */
        }
}

/* Carries out what was decided about b. Everything Lua has to allocate is
 * allocated first, then the call changes, then hooks are told: they may do
 * anything, closing the client included. */
static void conclude(lua_State *L, kap_request *r, kap_batch *b, int table)
{
    const kap_next next = b->next_step;
    int top = lua_gettop(L), first_event;
    bool hook = r->call.hook;
    kap_call *c = &r->call;
    const bool fails = next == KAP_NEXT_FAIL && !kap_is_control(b);
    if (fails)
        kapL_result_failure(L, r, &b->failure, b->first, b->count, table);
    first_event = lua_gettop(L) + 1;
    if (hook && next == KAP_NEXT_RETRY) /* told last, if it is still to be */
        kapL_event(L, r, b, KAP_EVENT_RETRY, b->delay);
    const int others = lua_gettop(L) + 1;
    if (hook && b->failure.status > 0)
        kapL_event(L, r, b, KAP_EVENT_RESPONSE, 0);
    if (hook && fails)
        kapL_event(L, r, b, KAP_EVENT_FAILURE, 0);
    if (gone(b))
        return;
    switch (next) {
    case KAP_NEXT_RETRY:
    case KAP_NEXT_RESEND: kap_call_retry(b, b->delay); break;
    case KAP_NEXT_FAIL:
        if (fails)
            kapL_result_fail(L, r, b->first, b->count, top + 1);
        /* first, as long as the batch holds the engine back */
        if (kap_kind_ends_call(b->failure.kind) || b->failure.deadline)
            kap_call_stop(c, r->client->engine, &b->failure);
        if (kap_kind_ends_call(b->failure.kind))
            stop_siblings(r, &b->failure);
        kap_call_fail(c, b);
        break;
    case KAP_NEXT_PARK: kap_call_park(b); break;
    }
    kapL_event_tell(L, others, table - 1);
    if (!c->done)
        kapL_event_tell(L, first_event, table - 1);
}

/* Batches whose failure waited for others: taken apart now, say, or failed. */
static void unpark(lua_State *L, kap_request *r, int table)
{
    static const kap_event events[] = {
        [KAP_PARKED_SPLIT] = KAP_EVENT_SPLIT,
        [KAP_PARKED_RETRY] = KAP_EVENT_RETRY,
        [KAP_PARKED_FAIL] = KAP_EVENT_FAILURE,
    };
    kap_call *c = &r->call;
    kap_batch *b;
    kap_parked what;
    int top = lua_gettop(L);
    while (!c->done && (what = kap_call_unpark(c, &b)) != KAP_PARKED_WAIT) {
        int first_event;
        if (what == KAP_PARKED_ASK) {
            if (!kap_call_ask(c))
                kapL_nomem(L);
            continue;
        }
        /* a copy: a finalizer may end the call, or step the client and come
         * through here itself, and b is gone */
        const kap_batch seen = *b;
        unsigned changes = c->changes;
        if (what == KAP_PARKED_FAIL)
            kapL_result_failure(L, r, &seen.failure, seen.first, seen.count,
                                table);
        first_event = lua_gettop(L) + 1;
        if (c->hook)
            kapL_event(L, r, &seen, events[what], seen.delay);
        if (c->done)
            return;
        if (c->changes != changes) {
            lua_settop(L, top);
            continue;
        }
        if (what == KAP_PARKED_RETRY) {
            kap_call_retry(b, seen.delay);
        } else if (what == KAP_PARKED_FAIL) {
            kapL_result_fail(L, r, seen.first, seen.count, top + 1);
            kap_call_fail(c, b);
        } else if (!kap_call_split(c, b)) {
            kapL_nomem(L);
        }
        kapL_event_tell(L, first_event, table - 1);
        lua_settop(L, top);
    }
}

static void succeed(lua_State *L, kap_request *r, kap_batch *b, int table)
{
    int first_event = lua_gettop(L) + 1;
    if (r->call.hook)
        kapL_event(L, r, b, KAP_EVENT_RESPONSE, 0);
    if (gone(b))
        return;
    r->call.bytes += (double)b->transfer->len;
    kap_call_succeed(&r->call, b);
    kapL_event_tell(L, first_event, table - 1);
}

static void fail(lua_State *L, kap_request *r, kap_batch *b, int table)
{
    if (!b->decided) {
        const kap_transfer *t = b->transfer;
        if (t->outcome == KAP_OUTCOME_RESPONSE)
            r->call.bytes += (double)t->len;
        b->failure.attempts = b->attempts;
        if (b->failure.status > 0)
            b->failure.retry_after =
                kap_retry_after_seconds(&t->retry_after, time(NULL));
        if (b->failure.retry_after >= 0 && b->failure.kind != KAP_KIND_AUTH)
            b->failure.retryable = true; /* the server itself says so */
        kap_call_decide(&r->call, b);
    }
    conclude(L, r, b, table);
}

/* Whether tickets came, and none that b asked for: as the answer to another
 * request would look, such as one that a server has answered twice. */
static bool has_strangers_only(const kap_request *r, const kap_batch *b)
{
    if (r->extras <= b->extras)
        return false;
    for (uint32_t i = b->first; i < b->first + b->count; i++)
        if (r->call.state[i] == KAP_ID_READ)
            return false;
    return true;
}

/* A failure among the tickets is one of the ids that did not come: where all have,
 * it is nobody's, unless it is of the token. A control has none of its own. */
static bool has_all(const kap_batch *b, kap_response_result got)
{
    return got == KAP_RESPONSE_PARTLY && !kap_is_control(b) &&
           b->failure.kind != KAP_KIND_AUTH && !kap_call_lacks(b->call, b);
}

/* False: more of it is left. */
static bool decode(lua_State *L, kap_request *r, kap_batch *b, double until,
                   int table)
{
    placing p = {r, b, table};
    if (b->response.phase == KAP_RESPONSE_NEW) {
        b->guess = b->first;
        b->extras = r->extras;
    }
    kap_response_result got =
        kapL_response(L, &b->response, b->transfer, table + 1, table, until,
                      place, &p, &b->failure);
    if (b->call == NULL) {
        gone(b);
        return true;
    }
    if (got == KAP_RESPONSE_AGAIN)
        return false;
    if (got == KAP_RESPONSE_TICKETS && has_strangers_only(r, b) &&
        kap_call_disown(b)) {
        roll_back(L, r, b, table);
        conclude(L, r, b, table);
        return true;
    }
    if (got == KAP_RESPONSE_TICKETS || has_all(b, got)) {
        succeed(L, r, b, table);
        return true;
    }
    if (got == KAP_RESPONSE_PARTLY)
        kap_call_partly(&r->call, b);
    else
        roll_back(L, r, b, table);
    fail(L, r, b, table);
    return true;
}

bool kapL_request_work(lua_State *L, kap_request *r, kap_batch *b, double until)
{
    bool done = true;
    int me = lua_gettop(L), table = me + 1;
    kapL_room(L, 40);
    kapL_getuservalue(L, me);
    kapL_push_array_mt(L);
    if (r->call.hook && b->announced == 0)
        kapL_event_announce(L, r, me);
    if (r->call.hook)
        kapL_event_resent(L, r, b, me);
    if (gone(b))
        goto out;
    if (b->transfer->outcome == KAP_OUTCOME_NOMEM) {
        kap_call_refetch(b);
        kapL_nomem(L);
    }
    if (b->decided) { /* and then what it takes could not be allocated */
        fail(L, r, b, table);
    } else if (b->response.decode.dirty) {
        roll_back(L, r, b, table);
        kap_call_refetch(b);
    } else if (b->transfer->outcome == KAP_OUTCOME_RESPONSE) {
        done = decode(L, r, b, until, table);
    } else {
        kap_batch_describe(b, b->transfer);
        fail(L, r, b, table);
    }
out:
    lua_settop(L, me);
    return done;
}

/* A hook hears of ids that were never sent when all others have ended. */
static void tell_unsent(lua_State *L, kap_request *r, int me)
{
    const kap_call *c = &r->call;
    int first_event = lua_gettop(L) + 1;
    if (!c->hook || r->unsent_told || c->stop.kind == KAP_KIND_NONE ||
        c->batches != NULL)
        return;
    kapL_event_unsent(L, r);
    if (r->unsent_told || r->call.done) /* a finalizer was here */
        return;
    r->unsent_told = true;
    kapL_event_tell(L, first_event, me);
}

void kapL_request_advance(lua_State *L, kap_request *r)
{
    int me = lua_gettop(L);
    kapL_getuservalue(L, me);
    unpark(L, r, me + 1);
    lua_settop(L, me);
    if (r->call.hook && r->call.control != NULL) /* pump may drop it */
        kapL_event_announce(L, r, me);
    if (r->call.done)
        return;
    if (!kap_call_pump(&r->call, r->client->engine))
        kapL_nomem(L);
    tell_unsent(L, r, me);
    if (r->call.done)
        return;
    kap_evidence *evidence = r->call.evidence;
    kap_client *c = r->client;
    if (kap_call_settle(&r->call))
        kap_request_detach(r);
    if (evidence->news && has_siblings(c, &r->call))
        c->starved = true;
    evidence->news = false;
}
