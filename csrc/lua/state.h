/*
 * The client and the request, as the userdata that Lua holds: what they consist
 * of, and who owns what.
 *
 *   client --owns--> engine --owns--> transfers, from submit until they are taken
 *      |  \--lists--> request --owns--> call --owns--> batches --own--> their
 *      |              (userdata, kept alive by the      transfer, once it is taken
 *      |               client's table while it goes on)
 *      +--owns--> arrived: batches whose transfer has ended, still to be read
 *      +--owns--> events: what hooks are still to be told
 *
 * A request keeps its client alive through its own table. A batch is owned by
 * its call; once its call is over, one that has arrived is the client's list's.
 */
#ifndef KAP_LUA_STATE_H
#define KAP_LUA_STATE_H

#include "compat.h"
#include "lua/ids.h"
#include "lua/response.h"
#include "policy/call.h"

#include <limits.h>
#include <sys/types.h>

/* An answer on its way into Lua tables: one at a time, the first of those that
 * have arrived. */
typedef struct kap_reading {
    kap_batch *batch; /* NULL: none is half read */
    kap_response response;
    uint32_t expected; /* which of the call's ids is likely to come next */
    uint32_t extras;   /* tickets that nobody asked for, before this answer */
    bool own;          /* it has brought tickets of the batch... */
    bool others;       /* ...and others */
} kap_reading;

typedef struct kap_client {
    kap_engine *engine; /* NULL until the first request, and once closed */
    kap_settings *settings;
    kap_message *message;   /* the last call's: the next one's, mostly */
    kap_settings *recalled; /* see recall.h; its table had so many members */
    int recalled_n;
    int concurrency; /* limits: of all its calls together */
    double rate;
    pid_t pid; /* whose engine it is: a forked child makes its own */
    bool closed;
    /* `working`: the client reads an answer. The only Lua that runs meanwhile
     * is finalizers and debug hooks. They may cancel and close, which is
     * recorded and done after the work. So nothing changes under the work's
     * hands. */
    bool working, closing, recorded;
    kap_retry_budget budget;
    uint64_t random;
    unsigned numbers;         /* batches counted, for events */
    unsigned pending, hooked; /* submitted and going on; with a hook */
    kap_list requests;        /* all that are not done */
    kap_list ended;           /* requests: submitted, not yet reported */
    kap_list arrived;         /* batches: to be read */
    kap_reading reading;
    kap_list events; /* what hooks are still to be told */
} kap_client;

/* The client's table (its user value): requests by address as light userdata,
 * and these. */
enum {
    KAP_CLIENT_FUNCTIONS = 1, /* see KAP_FUNCTION_* */
    KAP_CLIENT_SESSION,       /* the decoder's, once there was an answer */
    KAP_CLIENT_RECALLED,      /* a copy of an options table: see recall.h */
    KAP_CLIENT_IDLE /* a request that is over: see kapL_request_borrow */
};

#define KAP_CLIENT_TYPE "kapture.client"

typedef struct kap_request {
    kap_call call;      /* first, see kap_request_of */
    kap_client *client; /* NULL: not (or no more) one of its requests */
    kap_link link;      /* among the client's requests */
    kap_link ended;     /* among those that step has yet to report */
    bool submitted;     /* by client:submit: counted and reported by step */
    bool in_ended;
    bool collected;  /* its finalizer has run */
    bool ending;     /* a finalizer has ended it while the client works: it ends
                      * after the work */
    bool nomem;      /* it has ended because memory ran out */
    uint32_t extras; /* tickets that were not asked for */
    char invalid_id[KAP_IDS_TEXT_MAX]; /* the value that is no id */
} kap_request;

_Static_assert(offsetof(kap_request, call) == 0,
               "a call is the beginning of its request");

/* The request whose call it is: every call is one's. */
static inline kap_request *kap_request_of(kap_call *call)
{
    return (kap_request *)(void *)call;
}

/* Slots of the request's table (its user value). */
enum {
    KAP_REQUEST_CLIENT = 1,
    KAP_REQUEST_FUNCTIONS, /* see KAP_FUNCTION_* */
    KAP_REQUEST_TICKETS,   /* by number of their id, from 1 */
    KAP_REQUEST_EXTRAS,    /* tickets not asked for... */
    KAP_REQUEST_PLACES,    /* ...and the place of each there, by its id */
    KAP_REQUEST_RESULT     /* packed, once asked for */
};

/* Where the ticket of the id of that number is in KAP_REQUEST_TICKETS. An
 * iterator's numbers outgrow Lua's keys; two of one window never meet. */
static inline int kapL_request_key(uint64_t number)
{
    return (int)(number % INT_MAX) + 1;
}

#define KAP_REQUEST_TYPE "kapture.request"

#endif
