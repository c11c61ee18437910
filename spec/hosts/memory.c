/*
 * Memory runs out, at every allocation there is: Lua's, this module's, or
 * libcurl's. Each time the call must succeed or raise Lua's memory error; the
 * client must be usable afterwards; and in the end nothing may be lost.
 *
 *     memory WHOSE STEP URL BADURL [SCENARIO]
 *
 * WHOSE is lua, kapture or libcurl. STEP 1 tries every allocation; more leaves
 * some out. URL is a base_url, BADURL one where 713000000002 is a bad id.
 *
 * Linked with --wrap for malloc and its kin, so that what libkapture.a asks for
 * comes here.
 */
#include "host.h"

#include <curl/curl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* the allocators ----------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

typedef struct source {
    atomic_long live;      /* blocks */
    atomic_long countdown; /* at 0 it fails; negative: not armed */
    atomic_bool all;       /* and from then on, too */
    atomic_bool failed;
} source;

static source lua, kapture, libcurl;

static bool fails(source *s)
{
    long n = atomic_load(&s->countdown);
    if (n < 0)
        return false;
    if (n > 0) {
        atomic_fetch_sub(&s->countdown, 1);
        return false;
    }
    if (!atomic_load(&s->all))
        atomic_store(&s->countdown, -1);
    atomic_store(&s->failed, true);
    return true;
}

static void arm(source *s, long n, bool all)
{
    atomic_store(&s->failed, false);
    atomic_store(&s->all, all);
    atomic_store(&s->countdown, n);
}

static bool disarm(source *s)
{
    atomic_store(&s->countdown, -1);
    return atomic_load(&s->failed);
}

static void *counted(source *s, void *p)
{
    if (p != NULL)
        atomic_fetch_add(&s->live, 1);
    return p;
}

static void *take(source *s, size_t n, size_t size)
{
    return fails(s) ? NULL : counted(s, __real_calloc(n, size));
}

static void *retake(source *s, void *p, size_t size)
{
    if (p == NULL)
        return take(s, 1, size);
    return fails(s) ? NULL : __real_realloc(p, size);
}

static char *copy(source *s, const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = take(s, 1, n);
    return p != NULL ? memcpy(p, text, n) : NULL;
}

static void give_back(source *s, void *p)
{
    if (p != NULL)
        atomic_fetch_sub(&s->live, 1);
    __real_free(p);
}

void *__wrap_malloc(size_t size)
{
    return take(&kapture, 1, size);
}
void *__wrap_calloc(size_t n, size_t size)
{
    return take(&kapture, n, size);
}
void *__wrap_realloc(void *p, size_t size)
{
    return retake(&kapture, p, size);
}
char *__wrap_strdup(const char *s)
{
    return copy(&kapture, s);
}
void __wrap_free(void *p)
{
    give_back(&kapture, p);
}

static void *curl_take(size_t size)
{
    return take(&libcurl, 1, size);
}
static void *curl_calloc(size_t n, size_t size)
{
    return take(&libcurl, n, size);
}
static void *curl_retake(void *p, size_t size)
{
    return retake(&libcurl, p, size);
}
static char *curl_copy(const char *s)
{
    return copy(&libcurl, s);
}
static void curl_give_back(void *p)
{
    give_back(&libcurl, p);
}

/* Lua's contract: shrinking does not fail. Blocks are counted, not bytes: after
 * a failure to grow, LuaJIT's idea of a block's size can be off. */
static void *lua_take(void *ud, void *p, size_t old, size_t size)
{
    (void)ud;
    if (size == 0) {
        give_back(&lua, p);
        return NULL;
    }
    if (p == NULL)
        return take(&lua, 1, size);
    if (size > old)
        return retake(&lua, p, size);
    p = __real_realloc(p, size);
    HOST_CHECK(p != NULL);
    return p;
}

/* the scenarios ------------------------------------------------------------ */

static const char scenarios[] =
    "if jit then jit.off() end\n"
    "local url, bad = ...\n"
    "kapture = require 'kapture'\n"
    "local null = kapture.null\n"
    "local ids = { '713000000001', '404000000001', '713000000002',\n"
    "  713000000003, '713000000004' }\n"
    "local function options(more)\n"
    "  local o = { base_url = url, deadline = 20, timeout = 10, retries = 1,\n"
    "    backoff = 0, batch_size = 2, headers = { ['X-Test'] = 'yes' },\n"
    "    token = function() return os.getenv 'KAPTURE_TOKEN' end }\n"
    "  for k, v in pairs(more or {}) do o[k] = v end\n"
    "  return o\n"
    "end\n"
    "local client = kapture.new(options())\n"
    "local slow = kapture.new(options { concurrency = 1 })\n"
    "local function shown(message, err)\n"
    "  return (err and err.kind or '?') .. ': ' .. tostring(message)\n"
    "end\n"
    "local function all_four(tickets, info)\n"
    "  assert(#tickets == 4 and #info.missing == 1)\n"
    "  for i, n in ipairs { 1, 2, 3, 4 } do\n"
    "    assert(tickets[i].task_details.ticketId == '71300000000' .. n)\n"
    "  end\n"
    "  return 'ok'\n"
    "end\n"
    "local s = {}\n"
    "function s.get()\n"
    "  local tickets, info, err = client:get_ticket(ids)\n"
    "  if not tickets then return shown(info, err) end\n"
    "  return all_four(tickets, info)\n"
    "end\n"
    "function s.module()\n"
    "  local tickets, info, err = kapture.get_ticket(ids, options {\n"
    "    fields = { 'task_details.ticketId', 'history' } })\n"
    "  if not tickets then return shown(info, err) end\n"
    "  return all_four(tickets, info)\n"
    "end\n"
    /* options that a client remembers, and others in turn */
    "function s.plain()\n"
    "  local function own(...) return client:get_ticket(...) end\n"
    "  for i = 1, 6 do\n"
    "    local call = i <= 3 and own or kapture.get_ticket\n"
    "    local tickets, info, err = call(ids, { base_url = url, retries = 1,\n"
    "      backoff = 0, token = os.getenv 'KAPTURE_TOKEN', timeout = 10,\n"
    "      cookie = i % 3 > 0 and 'a=1' or nil })\n"
    "    if not tickets then return shown(info, err) end\n"
    "    all_four(tickets, info)\n"
    "  end\n"
    "  return 'ok'\n"
    "end\n"
    /* a bad id: halves, failures, events, what did arrive */
    "function s.errors()\n"
    "  local events = 0\n"
    "  local tickets, message, err = client:get_ticket(ids, {\n"
    "    base_url = bad, hook = function() events = events + 1 end })\n"
    "  if tickets or err.kind ~= 'server' then return shown(message, err) end\n"
    /* a half that libcurl had no memory for */
    "  if #err.failed > 1 then return shown(err.failed[2].message) end\n"
    "  assert(#err.tickets == 3 and #err.missing == 1 and #err.failed == 1)\n"
    "  assert(err.ids[1] == '713000000002')\n"
    "  return 'ok'\n"
    "end\n"
    /* so many bad ids, one batch behind the other, that one that came is asked
     * for once more */
    "function s.cluster()\n"
    "  local list, url = { '713000000001', '713000000003' }, bad\n"
    "  for i = 20, 51 do\n"
    "    list[#list + 1] = '7130000000' .. i\n"
    "    url = url .. '+7130000000' .. i\n"
    "  end\n"
    "  local asked = 0\n"
    "  local tickets, message, err = slow:get_ticket(list, {\n"
    "    base_url = url, retries = 0, batch_size = 4, hook = function(e)\n"
    "      if e.event == 'request' and e.ids[1] == list[1] then\n"
    "        asked = asked + 1\n"
    "      end\n"
    "    end })\n"
    "  if tickets or err.kind ~= 'server' then return shown(message, err) end\n"
    "  if #err.tickets ~= 2 then return shown(message, err) end\n"
    "  assert(#err.ids == 32 and asked > 1, asked)\n"
    "  return 'ok'\n"
    "end\n"
    "function s.partial()\n"
    "  local tickets, info, err = client:get_ticket(ids,\n"
    "    { base_url = bad, partial = true })\n"
    "  if not tickets then return shown(info, err) end\n"
    "  if #tickets ~= 3 then return shown(info.failed[1].message) end\n"
    "  assert(info.failed[1].ids[1] == '713000000002')\n"
    "  return 'ok'\n"
    "end\n"
    "function s.submit()\n"
    "  local r = client:submit(ids)\n"
    "  local q = client:submit('713000000009', { retries = 0 })\n"
    "  for i = 1, 100 do\n"
    "    local left, ended = client:step(1)\n"
    "    if left == 0 then break end\n"
    "  end\n"
    "  assert(r:done() and q:done(), 'still pending')\n"
    "  local tickets, info, err = r:result()\n"
    "  if not tickets then return shown(info, err) end\n"
    "  local one, message, why = q:wait()\n"
    "  if not one then return shown(message, why) end\n"
    "  return all_four(tickets, info)\n"
    "end\n"
    "function s.iterator()\n"
    "  local got, missing = 0, 0\n"
    "  for id, ticket, err in client:tickets(ids) do\n"
    "    if err and err.kind ~= 'missing' then return shown(err.message, err) "
    "end\n"
    "    got = got + (ticket and 1 or 0)\n"
    "    missing = missing + (err and 1 or 0)\n"
    "  end\n"
    "  assert(got == 4 and missing == 1)\n"
    "  return 'ok'\n"
    "end\n"
    /* what raised a memory error goes on where it was, with memory again. With a hook each response
     * needs an event; without escapes in what is built, the text stays whole */
    "local function drive(r)\n"
    "  for i = 1, 50 do\n"
    "    local ok, left = pcall(client.step, client, 0.5)\n"
    "    if left == 0 then return end\n"
    "    if not ok then relief() end\n"
    "    if not ok and not left:find('memory', 1, true) then error(left, 0) "
    "end\n"
    "  end\n"
    "  error('not enough memory, still', 0)\n"
    "end\n"
    "function s.resumed()\n"
    "  local r = client:submit(ids, { hook = function() end,\n"
    "    fields = { 'task_details.ticketId' } })\n"
    "  drive(r)\n"
    "  local tickets, info, err = r:result()\n"
    "  if not tickets then return shown(info, err) end\n"
    "  if info.retries > 0 then return info.retries .. ' retries' end\n"
    "  return all_four(tickets, info)\n"
    "end\n"
    /* likewise, while one of its requests stops the call */
    "function s.stopped()\n"
    "  local r = client:submit({ '713000000002', '713000000001',\n"
    "    '713000000003' }, { base_url = bad .. ',status=401', batch_size = 1,\n"
    "    hook = function() end })\n"
    "  drive(r)\n"
    "  local tickets, message, err = r:result()\n"
    "  if tickets or err.kind ~= 'auth' then return shown(message, err) end\n"
    "  assert(err.tickets[1] ~= err.tickets[2] or #err.tickets == 0)\n"
    "  return 'ok'\n"
    "end\n"
    /* from a function, several ids a line, bad ones, and left early */
    "function s.loop()\n"
    "  local lines = { '713000000001, 713000000002,713000000003', 'no id',\n"
    "    '', '713000000004', '713000000002', '713000000005' }\n"
    "  local n, rounds, bad = 0, 0, 0\n"
    "  local function source() n = n + 1 return lines[n] end\n"
    "  local loop = client:tickets(source)\n"
    "  for id, ticket, err in loop do\n"
    "    if err and err.kind ~= 'invalid_ids' then\n"
    "      return shown(err.message, err)\n"
    "    end\n"
    "    rounds = rounds + 1\n"
    "    bad = bad + (err and 1 or 0)\n"
    "    if rounds == 6 then break end\n"
    "  end\n"
    "  loop:close()\n"
    "  assert(rounds == 6 and bad == 1)\n"
    "  return 'ok'\n"
    "end\n"
    "function s.options()\n"
    "  local c = kapture.new(options { fields = { 'a.b', 'c' }, proxy = '',\n"
    "    user_agent = 'me', cookie = 'a=b', assigned = 1.5, created = nil,\n"
    "    ca_file = '/nowhere', partial = true, rate = 100 })\n"
    "  local ok, message = pcall(kapture.new, { timout = 1 })\n"
    "  assert(not ok)\n"
    "  if message:find('memory', 1, true) then error(message, 0) end\n"
    "  assert(message:find('did you mean', 1, true), message)\n"
    "  local tickets, words, err = c:get_ticket('no id')\n"
    "  assert(not tickets and err.kind == 'invalid_ids', words)\n"
    "  tickets, words, err = c:get_ticket('1', { token = 'a\\nb' })\n"
    "  assert(not tickets and err.kind == 'config', words)\n"
    "  tickets, words, err = c:submit({}):result()\n"
    "  assert(not tickets and err.kind == 'invalid_ids', words)\n"
    "  c:close()\n"
    "  tickets, words, err = c:get_ticket('1')\n"
    "  assert(not tickets and err.kind == 'closed', words)\n"
    "  return 'ok'\n"
    "end\n"
    /* what ran out of memory in flight is told now */
    "local function usable()\n"
    "  for i = 1, 100 do\n"
    "    local ok, left = pcall(client.step, client, 1)\n"
    "    if left == 0 then break end\n"
    "    assert(ok or left:find('memory', 1, true), left)\n"
    "    assert(i < 100, 'a request never ends')\n"
    "  end\n"
    "  local tickets, message = client:get_ticket('713000000008')\n"
    "  assert(tickets, message)\n"
    "  assert(tickets[1].task_details.ticketId == '713000000008')\n"
    "end\n"
    "return s, usable\n";

typedef struct tally {
    long tried, succeeded, raised, reported;
} tally;

static bool is_memory_error(lua_State *L, int status)
{
    const char *e = lua_tostring(L, -1);
    return status == LUA_ERRMEM ||
           (e != NULL && strstr(e, "not enough memory") != NULL);
}

/* Twice: what finalizers hold goes with the second. */
static long collected(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    lua_gc(L, LUA_GCCOLLECT, 0);
    return atomic_load(&kapture.live);
}

/* Stack: scenarios, usable. One call of scenario `name` with allocation n
 * failing; false: it did not come to that many. */
static bool attempt(lua_State *L, source *s, const char *name, long n, bool all,
                    tally *t)
{
    collected(L); /* else strings are there already */
    lua_getfield(L, 1, name);
    arm(s, n, all);
    int status = lua_pcall(L, 0, 1, 0);
    bool failed = disarm(s);
    t->tried++;
    const char *said = lua_tostring(L, -1);
    if (status == 0 && said != NULL && strcmp(said, "ok") == 0)
        t->succeeded++;
    else if (status != 0 && failed && is_memory_error(L, status))
        t->raised++;
    else if (status == 0 && failed &&
             (s == &libcurl || /* which has other words for it at times */
              (said != NULL && strstr(said, "not enough memory") != NULL)))
        t->reported++; /* a submitted call says so by its result */
    else
        HOST_FAIL("%s, allocation %ld%s: %s", name, n, all ? " and on" : "",
                  said != NULL ? said : "no string raised");
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 0, 0, 0) != 0)
        HOST_FAIL("after %s, allocation %ld%s: %s", name, n,
                  all ? " and on" : "", lua_tostring(L, -1));
    return failed;
}

/* For a scenario that goes on: there is memory again. */
static int relief(lua_State *L)
{
    (void)L;
    disarm(&lua);
    disarm(&kapture);
    disarm(&libcurl);
    return 0;
}

static lua_State *new_state(const char *url, const char *bad)
{
    lua_State *L = host_newstate(lua_take, NULL);
    HOST_CHECK(L != NULL);
    luaL_openlibs(L);
    host_preload(L, luaopen_kapture);
    lua_register(L, "relief", relief);
    if (luaL_loadstring(L, scenarios) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
    lua_pushstring(L, url);
    lua_pushstring(L, bad);
    if (lua_pcall(L, 2, 2, 0) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
    return L;
}

static void close_state(lua_State *L, long curl_before, const char *name)
{
    lua_close(L);
    if (atomic_load(&lua.live) != 0 || atomic_load(&kapture.live) != 0 ||
        atomic_load(&libcurl.live) > curl_before)
        HOST_FAIL("%s: lost %ld blocks of Lua's, %ld of ours, %ld of "
                  "libcurl's",
                  name, atomic_load(&lua.live), atomic_load(&kapture.live),
                  atomic_load(&libcurl.live) - curl_before);
}

static void sweep(source *s, const char *name, long step, char **urls,
                  long curl_before, tally *t)
{
    lua_State *L = new_state(urls[0], urls[1]);
    for (int i = 0; i < 3; i++) /* connections, caches */
        attempt(L, s, name, -1, false, t);
    long warm = collected(L);
    for (int all = 0; all < 2; all++) {
        long n = 0;
        while (attempt(L, s, name, n, all != 0, t)) {
            n += n < 20 ? 1 : step;
            if (n > 100000)
                HOST_FAIL("%s: it never succeeds", name);
        }
        if (getenv("KAPTURE_VERBOSE") != NULL)
            fprintf(stderr, "%-8s %ld allocations\n", name, n);
    }
    long now = collected(L);
    /* what is kept is bounded: handles, the call before */
    if (now > warm + 60)
        HOST_FAIL("%s: %ld blocks after the first calls, %ld now", name, warm,
                  now);
    close_state(L, curl_before, name);
}

/* luaopen_kapture itself, in a new state each time. */
static void sweep_open(source *s, tally *t)
{
    bool failed = true;
    for (long n = 0; failed; n++) {
        lua_State *L = host_newstate(lua_take, NULL);
        HOST_CHECK(L != NULL);
        luaL_openlibs(L);
        host_preload(L, luaopen_kapture);
        /* not by require: 5.1's does not try again what failed once */
        lua_pushcfunction(L, luaopen_kapture);
        lua_pushliteral(L, "kapture");
        arm(s, n, true);
        int status = lua_pcall(L, 1, 1, 0);
        failed = disarm(s);
        t->tried++;
        if (status == 0)
            t->succeeded++;
        else if (failed && is_memory_error(L, status))
            t->raised++;
        else
            HOST_FAIL("opening, allocation %ld: %s", n, lua_tostring(L, -1));
        lua_settop(L, 0);
        host_run(L, "assert(require('kapture').new())", "");
        lua_close(L);
        HOST_CHECK(atomic_load(&lua.live) == 0);
        HOST_CHECK(atomic_load(&kapture.live) == 0);
    }
}

int main(int argc, char **argv)
{
    static const char *const names[] = {"get",      "module",  "errors",
                                        "cluster",  "partial", "submit",
                                        "iterator", "resumed", "stopped",
                                        "loop",     "options", "plain"};
    tally t = {0};
    HOST_CHECK(argc == 5 || argc == 6);
    source *s = strcmp(argv[1], "lua") == 0       ? &lua
                : strcmp(argv[1], "kapture") == 0 ? &kapture
                                                  : &libcurl;
    disarm(&lua);
    disarm(&kapture);
    disarm(&libcurl);
    HOST_CHECK(curl_global_init_mem(CURL_GLOBAL_ALL, curl_take, curl_give_back,
                                    curl_retake, curl_copy,
                                    curl_calloc) == CURLE_OK);
    lua_State *L = new_state(argv[3], argv[4]);
    attempt(L, s, "get", -1, false, &t);
    lua_close(L);
    long curl_before = atomic_load(&libcurl.live);

    if (argc == 5)
        sweep_open(s, &t);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (argc == 5 || strcmp(argv[5], names[i]) == 0)
            sweep(s, names[i], strtol(argv[2], NULL, 10), argv + 3, curl_before,
                  &t);
    fprintf(stderr, "%s: %ld calls: %ld succeeded, %ld raised, %ld reported\n",
            argv[1], t.tried, t.succeeded, t.raised, t.reported);
    puts("fine");
    return 0;
}
