/*
 * A program with Lua inside, and kapture linked into it: no file beside the
 * program but the user's script. It hands ids from standard input to the
 * script's `want`, has the tickets fetched while its own poll loop goes on, and
 * gives each to the script's `ticket`. An error in the script costs one ticket.
 *
 *     cc host.c $(pkg-config --cflags --libs kapture lua5.4) -o host
 *     seq 713000000001 713000000005 | ./host filter.lua
 */
#include <kapture.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The glue between the loop and the script; anything it raises is reported. */
static const char glue[] =
    "local kapture = require 'kapture'\n"
    "local client = kapture.new()\n"
    "local host = { pending = 0 }\n"
    "function host.fd() return client:fd() end\n"
    "function host.submit(id)\n"
    "  if want and not want(id) then return end\n"
    "  client:submit(id)\n"
    "  host.pending = host.pending + 1\n"
    "end\n"
    "function host.step()\n"
    "  local _, ended = client:step()\n"
    "  host.pending = host.pending - #ended\n"
    "  for _, request in ipairs(ended) do\n"
    "    local tickets, message = request:result()\n"
    "    if not tickets then io.stderr:write('not fetched: ', message, '\\n') "
    "end\n"
    "    for _, one in ipairs(tickets or {}) do\n"
    "      local ok, e = pcall(ticket, one)\n"
    "      if not ok then io.stderr:write('script: ', tostring(e), '\\n') end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "return host\n";

/* The host table is at stack index 1. Calls host.name(id): false on error. */
static int call(lua_State *L, const char *name, const char *id,
                lua_Integer *out)
{
    lua_getfield(L, 1, name);
    lua_pushstring(L, id);
    int ok = lua_pcall(L, 1, 1, 0) == 0;
    if (!ok)
        fprintf(stderr, "script: %s\n", lua_tostring(L, -1));
    else if (out != NULL)
        *out = lua_tointeger(L, -1);
    lua_settop(L, 1);
    return ok;
}

static lua_Integer pending(lua_State *L)
{
    lua_getfield(L, 1, "pending");
    lua_Integer n = lua_tointeger(L, -1);
    lua_settop(L, 1);
    return n;
}

/* Ids, a line each, until the input ends. What a real host would do otherwise
 * is beside the point: it has descriptors of its own, and polls them too. */
static int read_ids(lua_State *L)
{
    static char text[4096];
    static size_t have;
    ssize_t n = read(STDIN_FILENO, text + have, sizeof text - 1 - have);
    char *line = text, *end;
    if (n > 0)
        have += (size_t)n;
    else if (have > 0)
        text[have++] = '\n'; /* the last line may lack it */
    text[have] = '\0';
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        if (*line != '\0')
            call(L, "submit", line, NULL);
    }
    have = strlen(line);
    memmove(text, line, have);
    return n > 0 && have < sizeof text - 1;
}

int main(int argc, char **argv)
{
    lua_State *L = luaL_newstate();
    lua_Integer fd = -1;
    if (argc != 2 || L == NULL)
        return 2;
    luaL_openlibs(L);
    lua_getglobal(L, "package"); /* linked in: require finds it here */
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, luaopen_kapture);
    lua_setfield(L, -2, "kapture");
    lua_settop(L, 0);
    if (luaL_loadstring(L, glue) != 0 || lua_pcall(L, 0, 1, 0) != 0 ||
        luaL_loadfile(L, argv[1]) != 0 || lua_pcall(L, 0, 0, 0) != 0 ||
        !call(L, "fd", NULL, &fd)) {
        fprintf(stderr, "%s\n", lua_gettop(L) > 0 ? lua_tostring(L, -1) : "");
        lua_close(L);
        return 1;
    }
    struct pollfd p[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                         {.fd = (int)fd, .events = POLLIN}};
    while ((p[0].fd >= 0 || pending(L) > 0) && poll(p, 2, -1) > 0) {
        if (p[0].revents != 0 && !read_ids(L))
            p[0].fd = -1; /* poll passes over it from now on */
        if (p[1].revents != 0)
            call(L, "step", NULL, NULL);
    }
    lua_close(L);
    return 0;
}
