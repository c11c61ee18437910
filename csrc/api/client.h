/* The client userdata: options, an engine, and the requests at work on it. */
#ifndef KAP_CLIENT_H
#define KAP_CLIENT_H

#include "policy/call.h"
#include "lua/compat.h"

#include <sys/types.h>

struct kap_request;

typedef struct kap_client {
    kap_engine *engine; /* NULL until the first request, and once closed */
    kap_settings *settings;
    kap_message *message; /* the last call's: the next one's, mostly */
    pid_t pid;            /* whose engine it is: a forked child makes its own */
    bool closed;
    kap_budget budget;
    uint64_t random;
    unsigned numbers;               /* requests counted, for events */
    unsigned pending, hooked;       /* submitted and going on; with a hook */
    struct kap_iterator *iterators; /* that are not done with it */
    struct kap_request *requests;   /* all that are not done */
    struct kap_request *ended, *ended_last; /* submitted, not yet reported */
    kap_batch *arrived, *arrived_last;      /* to be decoded and dealt with */
    bool starved;  /* requests wait for a look: memory ran out, or one of an
                    * iterator's has learned what the others wait to hear */
    unsigned look; /* counts these */
} kap_client;

/* The client's table (its user value): requests by address as light userdata,
 * and these. */
#define KAP_CLIENT_FUNCTIONS 1 /* see KAP_FUNCTION_* */

/* Creates the metatable of clients; once a lua_State. */
void kapL_client_register(lua_State *L);
/* Pushes a new client, without options. */
kap_client *kapL_client_new(lua_State *L);
/* The client on top of the stack takes its options from the table at `opts`.
 * Raises argument errors for argument #1 of `func`. */
void kapL_client_options(lua_State *L, kap_client *c, int opts,
                         const char *func);
kap_client *kapL_client_check(lua_State *L, int idx);

/*
 * In a forked child the parent's engine is not ours: its thread is gone, its
 * connections, the wake-up's too, are the parent's, and its lock may be held
 * for ever. Requests at work on it end here. Comes before c->engine is used by
 * whatever Lua can call: finalizers run in a child that only closes its state.
 */
void kap_client_check_fork(kap_client *c);
/* In a process that has begun to end (ending.h), closes the client. Comes
 * wherever an engine is made, or a call goes on. */
void kap_client_check_ending(kap_client *c);
/* The engine, made where it is missing (raises: no memory). */
kap_engine *kapL_client_engine(lua_State *L, kap_client *c);

/*
 * A blocking call, on the client at stack index `client`, of a prepared request
 * on top of the stack: pushes what get_ticket returns, and says how many.
 */
int kapL_client_call(lua_State *L, int client, struct kap_request *r);

void kap_client_close(kap_client *c);

/* Pushes the metatable for JSON arrays. */
void kapL_push_array_mt(lua_State *L);

#endif
