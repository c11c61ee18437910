/*
 * What is left of a token, a cookie and a header of the script's after close:
 * nothing, in no writable memory of the process, though the script keeps the
 * client, its requests and its iterators.
 *
 *     secrets TOKEN BASE_URL HANG_URL ECHO_URL
 *
 * TOKEN comes reversed, and is only ever turned round by what is to forget it.
 *
 * Two witnesses. A block that this module frees must hold no secret (linked
 * with --wrap: those of libkapture.a come here first). What Lua, libcurl and
 * the TLS library free is theirs, and is overwritten by this host's free(), so
 * that what the search through the memory finds is memory in use.
 */
#include "host.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

/* secrets, backwards --------------------------------------------------------- */

#define COOKIE "4c2b1a0f9e8d7c-eikooc-terces"
#define HEADER "0f9e8d7c6b5a4f-redaeh-terces"

static const char *secrets[3];
static size_t lengths[3];

static bool begins(const char *at, const char *backwards, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (at[i] != backwards[n - 1 - i])
            return false;
    return true;
}

/* How often one of them is in there. */
static long search(const char *memory, size_t size)
{
    long found = 0;
    for (int s = 0; s < 3; s++) {
        size_t n = lengths[s];
        char first = n > 0 ? secrets[s][n - 1] : 0;
        const char *at = memory, *end = memory + size;
        while (n > 0 && (size_t)(end - at) >= n &&
               (at = memchr(at, first, (size_t)(end - at) - n + 1)) != NULL) {
            found += begins(at, secrets[s], n);
            at++;
        }
    }
    return found;
}

/* freeing ------------------------------------------------------------------------ */

static atomic_long careless; /* blocks of the module's freed with a secret */
static void (*next_free)(void *);

PUBLIC void free(void *p);
PUBLIC void *realloc(void *p, size_t size);
void __wrap_free(void *p);
void *__wrap_realloc(void *p, size_t size);

PUBLIC void free(void *p)
{
    if (p == NULL)
        return;
    volatile char *b = p;
    for (size_t n = malloc_usable_size(p); n > 0; n--)
        *b++ = 0;
    if (next_free == NULL)
        *(void **)&next_free = dlsym(RTLD_NEXT, "free");
    next_free(p);
}

PUBLIC void *realloc(void *p, size_t size)
{
    size_t old = p != NULL ? malloc_usable_size(p) : 0;
    if (size <= old && p != NULL)
        return p;
    void *q = malloc(size);
    if (q != NULL && p != NULL) {
        memcpy(q, p, old);
        free(p);
    }
    return q;
}

void __wrap_free(void *p)
{
    if (p != NULL && search(p, malloc_usable_size(p)) > 0)
        atomic_fetch_add(&careless, 1);
    free(p);
}

void *__wrap_realloc(void *p, size_t size)
{
    if (p != NULL && search(p, malloc_usable_size(p)) > 0)
        atomic_fetch_add(&careless, 1);
    return realloc(p, size);
}

static void *lua_take(void *ud, void *p, size_t old, size_t size)
{
    (void)ud;
    (void)old;
    if (size > 0)
        return realloc(p, size);
    free(p);
    return NULL;
}

/* the memory of the process -------------------------------------------------------- */

/* What deeper calls have left on the stack. */
__attribute__((noinline)) static void scrub(void)
{
    volatile char below[1 << 19];
    for (size_t i = 0; i < sizeof below; i++)
        below[i] = 0;
}

/* What can be read of it: a thread's stack may begin with guard pages that no
 * map tells of (glibc 2.42). The kernel reads a byte of each page, and says. */
static long search_pages(int memory, uintptr_t from, uintptr_t to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t run = from;
    long found = 0;
    for (uintptr_t at = from; at < to; at += page) {
        char byte;
        if (pread(memory, &byte, 1, (off_t)at) == 1)
            continue;
        if (at > run)
            found += search((const char *)run, at - run);
        run = at + page;
    }
    return found + (to > run ? search((const char *)run, to - run) : 0);
}

static long left(void)
{
    static char line[512];
    long found = 0;
    scrub();
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    HOST_CHECK(maps != NULL && memory >= 0);
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t from, to;
        char rights[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 &&
            memcmp(rights, "rw", 2) == 0 && strstr(line, "[v") == NULL) {
            long here = search_pages(memory, from, to);
            if (here > 0 && getenv("KAPTURE_VERBOSE") != NULL)
                fprintf(stderr, "%ld in %s", here, line);
            found += here;
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* the scripts --------------------------------------------------------------------- */

static const char prelude[] =
    "kapture = require 'kapture'\n"
    "base, hang, echo, token, cookie, header = ...\n"
    "ca = os.getenv 'KAPTURE_CA_FILE'\n"
    "function secret(more)\n"
    "  local o = { base_url = base, token = token:reverse(), ca_file = ca,\n"
    "    cookie = 'c=' .. cookie:reverse(), retries = 0,\n"
    "    headers = { ['X-Secret'] = header:reverse() } }\n"
    "  for k, v in pairs(more or {}) do o[k] = v end\n"
    "  return o\n"
    "end\n"
    "keep = {}\n"
    "function kept(v) keep[#keep + 1] = v return v end\n"
    "function fine(tickets, message) return kept(assert(tickets, message)) "
    "end\n";

/* Everything that a client can be asked for. */
static const char work[] =
    "return function(c)\n"
    "  kept(c)\n"
    "  fine(c:get_ticket('1,2,3', { batch_size = 1 }))\n"
    "  fine(c:get_ticket('1', secret()))\n"
    "  kept(select(3, c:get_ticket('1', { base_url = echo })))\n"
    "  kept(select(3, c:get_ticket('no id')))\n"
    "  kept(select(3, c:get_ticket('1', secret { cookie = 'a\\nb' })))\n"
    "  pcall(c.get_ticket, c, '1', secret { timout = 1 })\n"
    "  kept(c:tickets('1,2', secret()))\n" /* never asked */
    "  local it = kept(c:tickets('1,2,3,4', secret { batch_size = 1 }))\n"
    "  assert(it() == '1')\n" /* left */
    "  it = kept(c:tickets('1', { batch_size = 1 }))\n"
    "  while it() do end\n"
    "end\n";

static const char threaded[] =
    "return function(c)\n"
    "  for i = 1, 3 do\n"
    "    fine(kept(c:submit(i)):wait())\n"
    "    fine(kept(c:submit(i, secret())):wait())\n"
    "    kept(c:submit(i, { base_url = echo })):wait()\n"
    "    kept(c:submit(i, { base_url = hang }))\n" /* in flight */
    "    kept(c:submit(i)):cancel()\n"
    "  end\n"
    "  c:step(0.05)\n"
    "end\n";

/* Closes all it made, and keeps it. */
static const char closing[] =
    "local work, threaded = ...\n"
    "for way = 1, 3 do\n"
    "  local o = secret()\n"
    "  if way == 2 then\n"
    "    local value = o.token\n"
    "    o.token = function() return value end\n"
    "  elseif way == 3 then\n"
    "    o.token = nil\n" /* from the environment */
    "  end\n"
    "  local c = kapture.new(o)\n"
    "  o = nil\n"
    "  work(c)\n"
    "  if way ~= 1 then threaded(c) end\n"
    "end\n"
    "return function()\n"
    "  for _, v in ipairs(keep) do\n"
    "    if tostring(v):find '^kapture.client' then v:close() end\n"
    "  end\n"
    "end\n";

static void load(lua_State *L, const char *script)
{
    if (luaL_loadstring(L, script) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
}

static void call(lua_State *L, int arguments, int results)
{
    if (lua_pcall(L, arguments, results, 0) != 0)
        HOST_FAIL("%s", lua_tostring(L, -1));
}

static lua_State *begin(char **argv)
{
    lua_State *L = host_newstate(lua_take, NULL);
    HOST_CHECK(L != NULL);
    luaL_openlibs(L);
    host_preload(L, luaopen_kapture);
    load(L, prelude);
    for (int i = 2; i <= 4; i++)
        lua_pushstring(L, argv[i]);
    for (int i = 0; i < 3; i++)
        lua_pushstring(L, secrets[i]);
    call(L, 6, 0);
    return L;
}

static void collect(lua_State *L)
{
    for (int i = 0; i < 3; i++)
        lua_gc(L, LUA_GCCOLLECT, 0);
}

static void none(const char *when)
{
    long n = left();
    if (n > 0)
        HOST_FAIL("%s: %ld secrets are left in memory", when, n);
    if (atomic_load(&careless) > 0)
        HOST_FAIL("%s: %ld blocks were freed with a secret in them", when,
                  atomic_load(&careless));
}

int main(int argc, char **argv)
{
    static char variable[256] = "KAPTURE_TOKEN=";
    HOST_CHECK(argc == 5);
    secrets[0] = argv[1];
    secrets[1] = COOKIE;
    secrets[2] = HEADER;
    for (int i = 0; i < 3; i++)
        lengths[i] = strlen(secrets[i]);
    HOST_CHECK(lengths[0] > 8 && lengths[0] < 200);
    none("at first");

    size_t at = strlen(variable);
    for (size_t i = lengths[0]; i > 0; i--)
        variable[at++] = argv[1][i - 1];
    HOST_CHECK(left() == 1); /* the search finds it */
    putenv(variable);

    lua_State *L = begin(argv);
    load(L, closing);
    load(L, work);
    call(L, 0, 1);
    load(L, threaded);
    call(L, 0, 1);
    call(L, 2, 1);
    unsetenv("KAPTURE_TOKEN");
    memset(variable, 0, sizeof variable);
    collect(L);
    HOST_CHECK(left() > 3); /* the clients are open */
    call(L, 0, 0);
    collect(L);
    none("after close");
    lua_close(L);
    none("after lua_close");

    /* without a client of the script's own: until the state is closed */
    L = begin(argv);
    host_run(L,
             "for i = 1, 10 do\n"
             "  fine(kapture.get_ticket('1', secret { ca_path = '/no/' .. i "
             "}))\n"
             "  local it = kept(kapture.tickets('1,2', secret()))\n"
             "  assert(it() == '1')\n"
             "end",
             "");
    lua_close(L);
    none("after lua_close, with the module's own clients");
    puts("fine");
    return 0;
}
