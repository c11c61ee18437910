#include "lua/object.h"

void kapL_object_register(lua_State *L, const char *type,
                          const luaL_Reg *methods, const luaL_Reg *meta)
{
    luaL_newmetatable(L, type);
    kapL_setfuncs(L, meta, 0);
    lua_newtable(L);
    kapL_setfuncs(L, methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, type);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
