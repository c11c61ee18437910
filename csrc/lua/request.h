/*
 * The life of a request: one call as Lua sees it. This makes and ends it; its
 * beginning is in lua/start.h, what it returns in lua/result.h, its methods in
 * api/request.c. An iterator has one as well, which it feeds with ids.
 */
#ifndef KAP_REQUEST_H
#define KAP_REQUEST_H

#include "lua/state.h"

/* Pushes a new request. */
kap_request *kapL_request_new(lua_State *L);
/*
 * The same for a call that blocks, of which nobody outside ever has the userdata:
 * the one that the last such call on the client at stack index `client` gave back,
 * if there is one (`client` may be nil). A userdata with its finalizer and its table
 * costs as much as all else that begins a call.
 */
kap_request *kapL_request_borrow(lua_State *L, int client);
/* Gives the request at stack index `idx` back, which is over. Cannot fail. */
void kapL_request_return(lua_State *L, int idx, int client);

/* Ends it with this kind: at once or, called by a finalizer in the middle of
 * the client's work, when that is done. Safe at any time, cannot fail. */
void kap_request_end(kap_request *r, kap_kind kind, const char *words);
/* The same where the client is known not to work. */
void kap_request_end_now(kap_request *r, kap_kind kind, const char *words);
/* Ends it because memory ran out; whoever waits for it raises that. */
void kap_request_end_nomem(kap_request *r);
/* It has ended: takes it out of its client's lists, but not out of the client's
 * Lua table. */
void kap_request_detach(kap_request *r);
/* After anything has changed for it: sends what can be sent, or detaches it
 * where nothing is left to happen. */
void kap_request_settle(kap_request *r);
/*
 * Drops the tickets, or the result, of the request at stack index `idx`, of
 * which nothing more will be asked. The collector frees a userdata with a
 * finalizer, and all that it refers to, a whole cycle later than other values:
 * with tickets that would take several times the memory. Cannot fail.
 */
void kapL_request_empty(lua_State *L, int idx);

#endif
