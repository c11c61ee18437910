/*
 * Loads, unloads and loads the shared module again, by dlopen and by Lua's own
 * loader, with requests in flight at the end of each state: libcurl's and our
 * threads must not find their code gone. Arguments: kapture.so, a base_url
 * whose answers come late.
 */
#include "host.h"

static const char script[] =
    "local slow = kapture.new(options { base_url = ... })\n"
    "for i = 1, 5 do slow:submit('71300000000' .. i) end\n"
    "slow:step()\n"
    "fetch '713000000001'\n";

int main(int argc, char **argv)
{
    HOST_CHECK(argc == 3);
    for (int i = 0; i < 5; i++) {
        void *lib;
        lua_CFunction open = host_load(argv[1], &lib);
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        host_preload(L, open);
        host_run(L, host_prelude, "");
        host_run(L, script, argv[2]);
        lua_close(L);
        HOST_CHECK(dlclose(lib) == 0);
    }
    for (int i = 0; i < 5; i++) {
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        host_run(L, "package.cpath = (...):gsub('kapture%.so$', '?.so')",
                 argv[1]);
        host_run(L, host_prelude, "");
        host_run(L, script, argv[2]);
        lua_close(L);
    }
    puts("fine");
    return 0;
}
