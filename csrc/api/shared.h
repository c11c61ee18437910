/* The clients behind kapture.get_ticket and kapture.tickets: one for each set
 * of connection options, the 8 most recently used. */
#ifndef KAP_SHARED_H
#define KAP_SHARED_H

#include "lua/state.h"

/*
 * Pushes the client for these settings. `cache` is the stack index of the table
 * they are kept in. Settings that say the same as the client's last are replaced
 * by those: the engine then keeps its handles as they are.
 */
kap_client *kapL_shared_client(lua_State *L, int cache,
                               kap_settings **settings);

#endif
