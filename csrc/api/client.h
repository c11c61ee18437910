/* The methods of the client userdata: they check arguments and hand on to
 * lua/. */
#ifndef KAP_API_CLIENT_H
#define KAP_API_CLIENT_H

#include "compat.h"

/* Creates the metatable of clients; once a lua_State. */
void kapL_client_register(lua_State *L);

#endif
