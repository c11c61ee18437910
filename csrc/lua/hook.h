/*
 * Tells hooks what has happened. Events are recorded while the client works
 * (policy/event.h) and delivered here, in order, when it does not. So a hook
 * may do anything, and the client's state is what the events say.
 */
#ifndef KAP_HOOK_H
#define KAP_HOOK_H

#include "lua/state.h"

/* Tells every event that is recorded to the hook it is for. The client is at
 * stack index `client`. Raises only: no memory. */
void kapL_hook_deliver(lua_State *L, int client);

#endif
