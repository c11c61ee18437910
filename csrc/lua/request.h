/*
 * The request's state: one call as Lua sees it, with what it takes from Lua and
 * what it gives back. Its methods are in api/request.c; an iterator has one as
 * well, which it feeds.
 */
#ifndef KAP_REQUEST_H
#define KAP_REQUEST_H

#include "lua/state.h"

/* Pushes a new request. */
kap_request *kapL_request_new(lua_State *L);

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
