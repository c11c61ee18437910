/*
 * Loads, unloads and loads the shared module again, by dlopen and by Lua's own
 * loader, with requests in flight at the end of each state: libcurl's and our
 * threads must not find their code gone. Arguments: kapture.so, a base_url
 * whose answers come late.
 */
#include "host.h"

#include <dlfcn.h>
#include <string.h>

static const char script[] =
    "local slow = kapture.new(options { base_url = ... })\n"
    "for i = 1, 5 do slow:submit('71300000000' .. i) end\n"
    "slow:step()\n"
    "fetch '713000000001'\n";

int main(int argc, char **argv)
{
    HOST_CHECK(argc == 3);
    for (int i = 0; i < 5; i++) {
        void *lib = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (lib == NULL)
            HOST_FAIL("%s", dlerror());
        lua_CFunction open;
        void *symbol = dlsym(lib, "luaopen_kapture");
        HOST_CHECK(symbol != NULL);
        memcpy(&open, &symbol, sizeof open);
        lua_State *L = luaL_newstate();
        luaL_openlibs(L);
        lua_getglobal(L, "package");
        lua_getfield(L, -1, "preload");
        lua_pushcfunction(L, open);
        lua_setfield(L, -2, "kapture");
        lua_pop(L, 2);
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
