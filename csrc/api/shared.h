/*
 * The clients behind kapture.get_ticket and kapture.tickets: one for each set
 * of connection options. The 8 most recently used are kept.
 */
#ifndef KAP_SHARED_H
#define KAP_SHARED_H

#include "lua/state.h"

/* Pushes the client that was used last, or nil. */
void kapL_shared_last(lua_State *L, int cache);
/*
 * Pushes the client for these settings. `cache` is the stack index of the table
 * that keeps the clients. Where the settings equal those of the client's last
 * call, *settings becomes these: the engine can then use its handles as they
 * are.
 */
kap_client *kapL_shared_client(lua_State *L, int cache,
                               kap_settings **settings);

#endif
