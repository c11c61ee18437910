/* Several states in one process: each has its own clients, and the end of one
 * is nothing to another. */
#include "host.h"

int main(void)
{
    enum { STATES = 5 };
    lua_State *L[STATES];

    for (int i = 0; i < STATES; i++) {
        L[i] = host_new();
        host_run(L[i], "fetch('71300000000' .. ...)", "1");
    }
    /* in flight in all of them, and then some states go */
    for (int i = 0; i < STATES; i++)
        host_run(L[i], "r = client:submit('713000000002')", "");
    lua_close(L[1]);
    lua_close(L[3]);
    for (int i = 0; i < STATES; i += 2)
        host_run(L[i], "check('713000000002', r:wait(30)) fetch '713000000003'",
                 "");
    for (int i = 0; i < STATES; i += 2)
        lua_close(L[i]);
    L[0] = host_new();
    host_run(L[0], "fetch '713000000004'", "");
    lua_close(L[0]);
    puts("fine");
    return 0;
}
