/* Metatables of this module's userdata: client, request and iterator. */
#ifndef KAP_OBJECT_H
#define KAP_OBJECT_H

#include "compat.h"

/* Creates the metatable of that type; once a lua_State. `methods` become the
 * table that __index refers to, `meta` members of the metatable itself. Lua's
 * getmetatable returns the type's name. */
void kapL_object_register(lua_State *L, const char *type,
                          const luaL_Reg *methods, const luaL_Reg *meta);

#endif
