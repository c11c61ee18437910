/*
 * Functions for this project's own adapters to event loops. They are in the
 * registry as "kapture.adapter", for lua/kapture/adapter.lua alone: they are no
 * part of the module's interface and may change at any time.
 *
 *   take(request)          as request:result(), and drops the result of a request
 *                          that is done: the collector then frees it sooner
 *   shut_request(request, why), shut_iterator(iterator, why)
 *                          as cancel and close, but what has not come yet fails
 *                          with kind `closed` and these words
 *   pending(iterator)      whether the next round, as things stand, has to wait
 *   advance(iterator)      does all of a round but waiting and handing out; then
 *                          returns what pending does
 *
 * In nginx, Lua can't wait for a descriptor, but can connect to a unix socket:
 *
 *   listen(client)         a path to connect to; or nil, why
 *   accept(client)         true: what connected is told from now on, a byte for
 *                          whenever there is something to step for
 *   hang_up(client)        ends the connection
 */
#ifndef KAP_API_ADAPTER_H
#define KAP_API_ADAPTER_H

#include "compat.h"

/* Creates the table with the functions for clients; once a lua_State, before
 * the others are added. */
void kapL_adapter_register(lua_State *L);

/* Adds functions to it. */
void kapL_adapter_add(lua_State *L, const luaL_Reg *functions);

#endif
