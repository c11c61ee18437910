/*
 * What a host in C has and plain Lua lacks: poll(2), a clock, signals, limits,
 * and the bits of /proc that tell one thread from another. For the specs.
 */
#include <lauxlib.h>
#include <lua.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* poll(fd, seconds): whether it is readable by then; nil: no such descriptor. */
static int host_poll(lua_State *L)
{
    struct pollfd p = {.fd = (int)luaL_checkinteger(L, 1), .events = POLLIN};
    int ms = (int)(luaL_optnumber(L, 2, 0) * 1e3);
    int n;
    do
        n = poll(&p, 1, ms);
    while (n < 0 && errno == EINTR);
    if (n < 0 || (p.revents & POLLNVAL) != 0)
        return 0;
    lua_pushboolean(L, (p.revents & POLLIN) != 0);
    return 1;
}

static int host_now(lua_State *L)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    lua_pushnumber(L, (lua_Number)ts.tv_sec + (lua_Number)ts.tv_nsec * 1e-9);
    return 1;
}

/* The calling thread's own processor time: what it did, not what it waited. */
static int host_work(lua_State *L)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    lua_pushnumber(L, (lua_Number)ts.tv_sec + (lua_Number)ts.tv_nsec * 1e-9);
    return 1;
}

/* Seconds that the calling thread has waited for a processor while it could have
 * run; 0 where the system does not say. */
static int host_queued(lua_State *L)
{
    unsigned long long ran, queued = 0;
    FILE *f = fopen("/proc/thread-self/schedstat", "r");
    if (f != NULL && fscanf(f, "%llu %llu", &ran, &queued) != 2)
        queued = 0;
    if (f != NULL)
        fclose(f);
    lua_pushnumber(L, (lua_Number)queued * 1e-9);
    return 1;
}

static int host_sleep(lua_State *L)
{
    double s = luaL_checknumber(L, 1);
    struct timespec ts = {.tv_sec = (time_t)s,
                          .tv_nsec = (long)((s - (double)(time_t)s) * 1e9)};
    nanosleep(&ts, NULL);
    return 0;
}

static int host_pid(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)getpid());
    return 1;
}

/* unset(name): takes it out of the environment that children inherit. */
static int host_unset(lua_State *L)
{
    unsetenv(luaL_checkstring(L, 1));
    return 0;
}

/* set(name, value): puts it there. */
static int host_set(lua_State *L)
{
    setenv(luaL_checkstring(L, 1), luaL_checkstring(L, 2), 1);
    return 0;
}

/* netns(path): this thread, and all that it starts, is in that network namespace
 * from now on; nil and why, where it may not. */
static int host_netns(lua_State *L)
{
#ifdef __linux__
    int fd = open(luaL_checkstring(L, 1), O_RDONLY | O_CLOEXEC);
    int rc = fd >= 0 ? setns(fd, CLONE_NEWNET) : -1, why = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
#else
    int why = ENOSYS;
#endif
    lua_pushnil(L);
    lua_pushstring(L, strerror(why));
    return 2;
}

static volatile sig_atomic_t caught, elsewhere;
static pid_t main_thread;

static void on_signal(int sig)
{
    (void)sig;
    caught++;
    if (gettid() != main_thread)
        elsewhere++;
}

/* signals(n): sends this process so many SIGUSR1; returns how many handlers
 * ran, and how many of them in another thread than this one. */
static int host_signals(lua_State *L)
{
    struct sigaction act = {.sa_handler = on_signal}, before;
    lua_Integer n = luaL_checkinteger(L, 1);
    main_thread = gettid();
    caught = elsewhere = 0;
    sigaction(SIGUSR1, &act, &before);
    for (lua_Integer i = 0; i < n; i++)
        kill(getpid(), SIGUSR1);
    sigaction(SIGUSR1, &before, NULL);
    lua_pushinteger(L, caught);
    lua_pushinteger(L, elsewhere);
    return 2;
}

/* files(n): this process may have so many files open; returns how many before. */
static int host_files(lua_State *L)
{
    struct rlimit r;
    rlim_t before;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    before = r.rlim_cur;
    r.rlim_cur = (rlim_t)luaL_checknumber(L, 1);
    if (setrlimit(RLIMIT_NOFILE, &r) != 0)
        return 0;
    lua_pushnumber(L, (lua_Number)before);
    return 1;
}

int luaopen_kapture_host(lua_State *L);

__attribute__((visibility("default"))) int luaopen_kapture_host(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"poll", host_poll},       {"now", host_now},     {"work", host_work},
        {"queued", host_queued},   {"sleep", host_sleep}, {"pid", host_pid},
        {"signals", host_signals}, {"unset", host_unset}, {"netns", host_netns},
        {"files", host_files},     {"set", host_set},
    };
    lua_createtable(L, 0, 11);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}
