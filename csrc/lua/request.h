/*
 * The request userdata: one call as Lua sees it, with what it takes from Lua and
 * what it gives back. Its methods are in api/request.c; an iterator has one as
 * well, which it feeds.
 */
#ifndef KAP_REQUEST_H
#define KAP_REQUEST_H

#include "lua/client.h"
#include "lua/ids.h"

typedef struct kap_request {
    kap_call call;      /* first: a batch's call is its request */
    kap_client *client; /* NULL: not (or no more) one of its requests */
    struct kap_request *prev, *next; /* in the client's list of live ones */
    struct kap_request *next_ended;
    bool submitted; /* by client:submit: counted and reported by step */
    bool in_ended;
    bool collected;  /* its finalizer has run */
    bool ending;     /* a finalizer has ended it in the middle of the client's
                     * work: done when that is */
    bool nomem;      /* it has ended because memory ran out */
    uint32_t extras; /* tickets that were not asked for */
    char shown[KAP_SHOWN_MAX]; /* the value that is no id */
} kap_request;

/* Slots of the request's table (its user value). */
enum {
    KAP_REQUEST_CLIENT = 1,
    KAP_REQUEST_FUNCTIONS, /* see KAP_FUNCTION_* */
    KAP_REQUEST_TICKETS,   /* by number of their id, from 1 */
    KAP_REQUEST_EXTRAS,    /* tickets not asked for... */
    KAP_REQUEST_PLACES,    /* ...and the place of each there, by its id */
    KAP_REQUEST_RESULT     /* packed, once asked for */
};

#define KAP_REQUEST_TYPE "kapture.request"

/* Pushes a new request. */
kap_request *kapL_request_new(lua_State *L);
kap_request *kapL_request_check(lua_State *L);

/*
 * The request on top of the stack takes its options: `defaults`, whose
 * functions are in the table at stack index `functions` (0: none), overlaid by
 * the opts table at `opts`. Raises argument errors.
 */
void kapL_request_options(lua_State *L, kap_request *r, kap_settings *defaults,
                          int functions, int opts, int arg, const char *func);
/* Settles what goes on the wire, as `c` did for the call before if nothing has
 * changed; what fails goes into r->call.stop. */
void kapL_request_message(lua_State *L, kap_request *r, kap_client *c);
/* Takes the ids at stack index `ids`; likewise. Raises argument errors. */
void kapL_request_ids(lua_State *L, kap_request *r, int ids, int arg,
                      const char *func);
/* Begins it on the client at stack index `client`, or ends it with its
 * call.stop. */
void kapL_request_start(lua_State *L, kap_request *r, int client,
                        bool submitted);
/* Ends it with this kind: at once or, called by a finalizer in the middle of the
 * client's work, when that is done. Safe at any time, cannot fail. */
void kap_request_end(kap_request *r, kap_kind kind, const char *words);
/* The same where the client is known not to work. */
void kap_request_end_now(kap_request *r, kap_kind kind, const char *words);
/* It has ended: takes it out of its client's lists (not out of the client's Lua
 * table). */
void kap_request_detach(kap_request *r);
/* What follows from a change: more is sent, or it is over. */
void kap_request_settle(kap_request *r);
/*
 * Lets go of its tickets, or of its result: the userdata at stack index `idx` is
 * of no more use. What has a finalizer, the collector frees a whole cycle after
 * all else, and with it what it holds: several times the memory, for tickets.
 * Cannot fail.
 */
void kapL_request_empty(lua_State *L, int idx);

#endif
