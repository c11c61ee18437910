/*
 * The request userdata: one call as Lua sees it. Its tickets, failures, events
 * and result; the call's own logic is call.c.
 */
#ifndef KAP_REQUEST_H
#define KAP_REQUEST_H

#include "api/client.h"
#include "lua/ids.h"

typedef struct kap_request {
    kap_call call;
    kap_client *client; /* NULL: not (or no more) one of its requests */
    struct kap_request *prev, *next; /* in the client's list of live ones */
    struct kap_request *next_ended;
    kap_evidence evidence;
    bool submitted; /* by client:submit: counted and reported by step */
    bool in_ended;
    bool collected;         /* its finalizer has run */
    bool unsent_told;       /* its hook knows of what was never sent */
    unsigned looked_at;     /* the client's look */
    unsigned held;          /* by work up the C stack: not done before that */
    uint32_t extras;        /* tickets that were not asked for */
    uint32_t looked, moved; /* how far the result is put together */
    unsigned failures;      /* entries in the list of them */
    char shown[KAP_SHOWN_MAX]; /* the value that is no id */
} kap_request;

/* Slots of the request's table (its user value). */
enum {
    KAP_REQUEST_CLIENT = 1,
    KAP_REQUEST_FUNCTIONS, /* see KAP_FUNCTION_* */
    KAP_REQUEST_TICKETS,   /* by index of their id; the result in the end */
    KAP_REQUEST_EXTRAS,    /* tickets not asked for... */
    KAP_REQUEST_EXTRA_IDS, /* ...and their ids, or false */
    KAP_REQUEST_FAILURES,  /* list of error tables */
    KAP_REQUEST_FAILED,    /* error table by index of id */
    KAP_REQUEST_RESULT     /* packed, once asked for */
};

void kapL_request_register(lua_State *L);
/* Pushes a new request. */
kap_request *kapL_request_new(lua_State *L);

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
/* Sends it off on the client at stack index `client`, or ends it with its
 * call.stop. */
void kapL_request_start(lua_State *L, kap_request *r, int client,
                        bool submitted);
/* Ends it with this kind, at once; safe at any time. Cannot fail. */
void kap_request_end(kap_request *r, kap_kind kind, const char *words);
/*
 * Lets go of its tickets, or of its result: the userdata at stack index `idx` is
 * of no more use, unless work on it goes on up the stack. What has a finalizer,
 * the collector frees a whole cycle after all else, and with it what it holds:
 * several times the memory, for tickets. Cannot fail.
 */
void kapL_request_empty(lua_State *L, int idx);
/* Takes it out of its client's lists (not out of the client's Lua table). */
void kap_request_detach(kap_request *r);

#endif
