/* A state a thread, eight of them fetching at once, in every way there is. */
#include "host.h"

#include <pthread.h>

static const char script[] =
    "local n = ...\n"
    "local function id(k) return ('7130%s%07d'):format(n, k) end\n"
    "for k = 1, 4 do fetch(id(k)) end\n"
    "local ids = {}\n"
    "for k = 1, 30 do ids[k] = id(k) end\n"
    "local got = assert(client:get_ticket(ids, { batch_size = 7 }))\n"
    "assert(#got == 30)\n"
    "local requests = {}\n"
    "for k = 1, 6 do requests[k] = client:submit(id(k)) end\n"
    "requests[6]:cancel()\n"
    "local deadline = os.time() + 60\n"
    "while client:step(1) > 0 do assert(os.time() < deadline) end\n"
    "for k = 1, 5 do check(id(k), requests[k]:result()) end\n"
    "local seen = 0\n"
    "for _, ticket in client:tickets(ids, { batch_size = 5 }) do\n"
    "  assert(ticket)\n"
    "  seen = seen + 1\n"
    "end\n"
    "assert(seen == 30)\n"
    "check(id(9), kapture.get_ticket(id(9), options()))\n"
    /* and left in flight, for lua_close */
    "client:submit(ids, { batch_size = 3 })\n";

static void *work(void *arg)
{
    /* opened here: luaopen_kapture itself must stand being called at once */
    lua_State *L = host_new();
    host_run(L, script, arg);
    lua_close(L);
    return NULL;
}

int main(void)
{
    enum { THREADS = 8 };
    static char names[THREADS][2];
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++) {
        names[i][0] = (char)('1' + i);
        HOST_CHECK(pthread_create(&threads[i], NULL, work, names[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        HOST_CHECK(pthread_join(threads[i], NULL) == 0);
    puts("fine");
    return 0;
}
