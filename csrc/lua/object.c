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

void kapL_object_methods(lua_State *L, const char *type,
                         const luaL_Reg *methods)
{
    luaL_getmetatable(L, type);
    lua_getfield(L, -1, "__index");
    kapL_setfuncs(L, methods, 0);
    lua_pop(L, 2);
}
