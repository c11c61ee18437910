/*
 * Closes the state while calls of every sort are in flight, at once and without
 * waiting for a server that never answers (the argument: its base_url).
 */
#include "host.h"

#include <time.h>

static const char script[] =
    "local url = ...\n"
    "local hung = options { base_url = url, timeout = 60 }\n"
    "a = kapture.new(hung)\n"
    "r = {}\n"
    "for i = 1, 20 do r[i] = a:submit('71300000000' .. i) end\n"
    "assert(a:step(0.1) == 20)\n"
    "b = kapture.new(options { batch_size = 1 })\n"
    "loop = b:tickets { '713000000001', '713000000002', '713000000003' }\n"
    "assert(loop() == '713000000001')\n"
    "c = kapture.new(options())\n"
    "c:submit('713000000001')\n"
    "coroutine.wrap(function()\n"
    "  d = kapture.new(hung)\n"
    "  d:submit({ '713000000001', '713000000002' }, { batch_size = 1 })\n"
    "  coroutine.yield()\n"
    "end)()\n"
    "e = kapture.new(options { base_url = url, timeout = 0.2 })\n"
    "e:get_ticket('713000000001')\n"; /* its connection stays half open */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    HOST_CHECK(argc == 2);
    for (int i = 0; i < 3; i++) {
        lua_State *L = host_new();
        host_run(L, script, argv[1]);
        double start = now();
        lua_close(L);
        double took = now() - start;
        if (took > 5)
            HOST_FAIL("lua_close took %.1f s", took);
    }
    puts("fine");
    return 0;
}
