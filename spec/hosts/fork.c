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

/* Where Lua is called in the middle of a call, it may fork as well. What was on
 * its way is the parent's; the child goes on with what was not. */
static const char within[] =
    "local url, pid = ...\n"
    "local function split()\n"
    "  if not pid then pid = fork() end\n"
    "end\n"
    "local function both(what, work, sent)\n"
    "  pid = nil\n"
    "  local client = kapture.new(options())\n"
    "  local ticket, err = work(client)\n"
    "  assert(pid, what)\n"
    "  if pid > 0 or not sent then assert(ticket, what)\n"
    /* a finalizer may come when the last answer is read, and nothing is left */
    "  elseif not ticket or what ~= 'a finalizer' then\n"
    "    assert(not ticket and err.kind == 'closed', what)\n"
    "  end\n"
    "  check('713000000021', client:get_ticket('713000000021'))\n"
    "  if pid == 0 then leave() end\n"
    "  assert(reap(pid) == 0, what)\n"
    "end\n"
    "both('a token function', function(client)\n"
    "  local tickets, _, err = client:get_ticket('713000000022', {\n"
    "    token = function() split() return os.getenv 'KAPTURE_TOKEN' end })\n"
    "  return tickets, err\n"
    "end)\n"
    "both('a source', function(client)\n"
    "  local id, ticket, err = client:tickets(function()\n"
    "    split() return '713000000023' end, { batch_size = 2 })()\n"
    "  return ticket, err\n"
    "end)\n"
    "for _, way in ipairs { 'get_ticket', 'submit' } do\n"
    "  both('a hook', function(client)\n"
    "    local r, _, err = client[way](client, { '713000000024',\n"
    "      '713000000025' }, { batch_size = 1, hook = split, base_url = url "
    "})\n"
    "    if way == 'submit' then\n"
    "      repeat client:step(0) until pid\n"
    "      client:step(0)\n"
    "      r, _, err = r:wait(30)\n"
    "    end\n"
    "    return r, err\n"
    "  end, true)\n"
    "  both('a finalizer', function(client)\n"
    "    local list, over = {}\n"
    "    for i = 100, 899 do list[#list + 1] = '713000000' .. i end\n"
    "    local function litter()\n"
    "      local function come()\n"
    "        if over then return end\n"
    /* in the middle of the work, it returns at once */
    "        local answer = client:submit('713000000026')\n"
    "        local working = not answer:wait(0.5)\n"
    "        if working then split() client:step() else litter() end\n"
    "      end\n"
    "      if newproxy then getmetatable(newproxy(true)).__gc = come\n"
    "      else setmetatable({}, { __gc = come }) end\n"
    "    end\n"
    "    litter()\n"
    "    local r, _, err\n"
    "    for i = 1, 50 do\n" /* it comes when the collector pleases */
    "      r, _, err = client[way](client, list, { batch_size = 400 })\n"
    "      if way == 'submit' then r, _, err = r:wait(30) end\n"
    "      if pid then break end\n"
    "    end\n"
    "    over = true\n"
    "    return r, err\n"
    "  end, true)\n"
    "end\n";

static int lua_fork(lua_State *L)
{
    pid_t child = fork();
    if (child == 0)
        alarm(60);
    lua_pushinteger(L, child);
    return 1;
}

static int lua_leave(lua_State *L)
{
    (void)L;
    _exit(0);
}

static int lua_reap(lua_State *L)
{
    int status = -1;
    HOST_CHECK(waitpid((pid_t)lua_tointeger(L, 1), &status, 0) > 0);
    lua_pushinteger(L, status);
    return 1;
}

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

    lua_register(L, "fork", lua_fork);
    lua_register(L, "leave", lua_leave);
    lua_register(L, "reap", lua_reap);
    host_run(L, within, argv[1]);

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
