/* The metatables of this module's userdata. */
#ifndef KAP_OBJECT_H
#define KAP_OBJECT_H

#include "compat.h"

/* Creates the metatable of that type, once a state: `methods` are what an object
 * is asked for by name, `meta` what goes into the metatable itself. What Lua's
 * getmetatable sees of it is its name. */
void kapL_object_register(lua_State *L, const char *type,
                          const luaL_Reg *methods, const luaL_Reg *meta);

#endif
