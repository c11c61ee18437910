/* The methods of the request userdata: they check arguments and hand on to
 * lua/. */
#ifndef KAP_API_REQUEST_H
#define KAP_API_REQUEST_H

#include "compat.h"

/* Creates the metatable of requests; once a lua_State. */
void kapL_request_register(lua_State *L);

#endif
