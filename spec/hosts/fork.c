/*
 * Forks with the module loaded, connections open and requests in flight: child
 * and parent both go on, and the child never touches the parent's connections.
 * Argument: a base_url whose answers come late, so that they are in flight.
 */
#include "host.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static const char before[] =
    "fetch '713000000001'\n" /* inline, kept open */
    "threaded = kapture.new(options())\n"
    "check('713000000002', threaded:submit('713000000002'):wait(30))\n"
    "slow = threaded:submit('713000000003', { base_url = ... })\n"
    "assert(threaded:step(0.05) == 1)\n"
    /* at the fork, one of its requests is out and one waits for its turn */
    "local few = options()\n"
    "few.concurrency, few.rate = 3, 2\n"
    "loop = kapture.new(few):tickets({ '713000000004', '713000000005',\n"
    "  '713000000015', '713000000016', '713000000017' },\n"
    "  { batch_size = 1, base_url = ... })\n"
    "assert(loop() == '713000000004')\n";

static const char in_child[] =
    "local tickets, _, err = slow:result()\n"
    "assert(not tickets)\n"
    "local id, ticket, failure = loop()\n"
    "assert(id == '713000000005' and (ticket or failure))\n"
    "for _, got, why in loop do assert(got or why.kind == 'closed') end\n"
    "fetch '713000000006'\n"
    "check('713000000007', threaded:get_ticket('713000000007'))\n"
    "check('713000000008', threaded:submit('713000000008'):wait(30))\n"
    "tickets, _, err = slow:result()\n"
    "assert(not tickets and err.kind == 'closed', err and err.message)\n"
    "check('713000000009', kapture.get_ticket('713000000009', options()))\n";

static const char in_parent[] =
    "check('713000000003', slow:wait(30))\n"
    "local id, ticket = loop()\n"
    "assert(id == '713000000005' and ticket)\n"
    "for id, ticket, failure in loop do assert(ticket, failure) end\n"
    "fetch '713000000010'\n"
    "check('713000000011', threaded:submit('713000000011'):wait(30))\n"
    /* one of them at least is the connection from before the fork */
    "local _, info = client:get_ticket('713000000012')\n"
    "assert(info.requests == 1 and info.retries == 0)\n";

static int is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

int main(int argc, char **argv)
{
    HOST_CHECK(argc == 2);
    int inherited = 0; /* from whoever runs this */
    for (int fd = 3; fd < 256; fd++)
        inherited += is_socket(fd);
    lua_State *L = host_new();
    host_run(L, before, argv[1]);
    pid_t child = fork();
    HOST_CHECK(child >= 0);
    if (child == 0) {
        alarm(60); /* what it waits for in vain, it would wait for for ever */
        host_run(L, in_child, "");
        lua_close(L);
        _exit(0); /* what the parent has buffered is the parent's to write */
    }
    int status;
    HOST_CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        HOST_FAIL("the child ended with status %d", status);
    host_run(L, in_parent, "");

    /* A child that only closes the state, as a daemon's helper might. */
    host_run(L,
             "slow = threaded:submit('713000000013', { base_url = ... })\n"
             "assert(threaded:step(0.05) == 1)\n"
             "local few = options()\n"
             "few.concurrency, few.rate = 3, 2\n"
             "loop = kapture.new(few):tickets({ '713000000018',\n"
             "  '713000000019', '713000000020' }, { batch_size = 1,\n"
             "  retries = 0, base_url = ... })\n"
             "assert(loop() == '713000000018')",
             argv[1]);
    child = fork();
    HOST_CHECK(child >= 0);
    if (child == 0) {
        sleep(1); /* answers have come by now, for the parent to read */
        lua_close(L);
        _exit(0);
    }
    HOST_CHECK(waitpid(child, &status, 0) == child);
    HOST_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    host_run(L,
             "for id, ticket, failure in loop do\n"
             "  assert(ticket, failure and failure.message)\n"
             "end\n"
             "check('713000000013', slow:wait(30)) fetch '713000000014'",
             "");

    int sockets = 0;
    for (int fd = 3; fd < 256; fd++)
        sockets += is_socket(fd);
    lua_close(L);
    int left = 0;
    for (int fd = 3; fd < 256; fd++)
        left += is_socket(fd);
    HOST_CHECK(sockets > inherited && left == inherited);
    puts("fine");
    return 0;
}
