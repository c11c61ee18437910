/*
 * What this project's own Lua files drive a client with, and nobody else. It
 * stands in the registry as "kapture.adapter", for lua/kapture/adapter.lua alone:
 * it is no part of the module's interface and may change at any time.
 *
 *   take(request)          as request:result(); what is done is emptied, so that
 *                          the collector finds its tickets a cycle earlier
 *   shut_request(request, why), shut_iterator(iterator, why)
 *                          as cancel and close, but what has not come yet fails
 *                          with kind `closed` and these words
 *   pending(iterator)      whether the next round, as things stand, has to wait
 *   advance(iterator)      all of a round but the waiting and the giving; then as
 *                          pending
 *
 * nginx gives Lua no way to wait for a descriptor, but one to connect to a unix
 * socket:
 *
 *   listen(client)         a path to connect to; or nil, why
 *   accept(client)         true: what connected is told from now on, a byte for
 *                          whenever there is something to step for
 *   hang_up(client)        ends the connection
 */
#ifndef KAP_API_ADAPTER_H
#define KAP_API_ADAPTER_H

#include "compat.h"

/* Creates the table, with what concerns clients; once a lua_State, and first. */
void kapL_adapter_register(lua_State *L);

/* Adds functions to it. */
void kapL_adapter_add(lua_State *L, const luaL_Reg *functions);

#endif
