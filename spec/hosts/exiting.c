/*
 * The process ends while calls are under way, at a moment like any other:
 *
 *   exiting WAY                            ends so once; the ways are at the end
 *   exiting again RUNS STATUS COMMAND ...  runs a command again and again
 *
 * A command ends EXIT_MS milliseconds after its start, with the status 7 unless
 * its way says otherwise; EXIT_RUN counts the runs. "fine" is what is printed when
 * each run of many ended with the right status, and most of them at once.
 */
#include "host.h"

#include <dlfcn.h>
#include <math.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STATUS 7
/* A run that takes longer hangs. */
#define RUN_SECONDS 30.0

extern char **environ;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void nap(double seconds)
{
    struct timespec t = {(time_t)seconds, 0};
    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

/* again ---------------------------------------------------------------------- */

/* So many at a time: they wait for most of the time. */
#define AT_A_TIME 3

typedef struct run {
    pid_t pid; /* 0: none */
    double begun, asked;
    bool killed;
} run;

static void begin(run *r, int number, double most, char **command)
{
    /* spread evenly, and the same each time: multiples of the golden ratio */
    double share = 0.6180339887 * number, ms = most * (share - (int)share);
    char text[32];
    snprintf(text, sizeof text, "%.3f", ms);
    setenv("EXIT_MS", text, 1);
    snprintf(text, sizeof text, "%d", number);
    setenv("EXIT_RUN", text, 1);
    *r = (run){.begun = now(), .asked = ms / 1e3};
    if (posix_spawnp(&r->pid, command[0], NULL, NULL, command, environ) != 0)
        HOST_FAIL("%s can't be run", command[0]);
}

/* The status, 128 and the signal's number, or -1: it goes on. */
static int look(run *r)
{
    int status;
    if (waitpid(r->pid, &status, WNOHANG) == 0) {
        if (now() >= r->begun + RUN_SECONDS && !r->killed) {
            r->killed = true;
            kill(r->pid, SIGKILL);
        }
        return -1;
    }
    r->pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int again(int runs, int wanted, char **command)
{
    const char *span = getenv("EXIT_SPAN_MS"), *limit = getenv("EXIT_SECONDS");
    double most = span != NULL ? atof(span) : 60;
    int counts[256] = {0}, hung = 0, wrong = 0, begun = 0, ended = 0;
    run all[AT_A_TIME] = {{0}};
    double *longer = calloc((size_t)runs, sizeof *longer);
    HOST_CHECK(longer != NULL && runs > 0);
    while (ended < runs) {
        for (int i = 0; i < AT_A_TIME; i++) {
            run *r = &all[i];
            int status;
            if (r->pid == 0 && begun < runs)
                begin(r, begun++, most, command);
            else if (r->pid != 0 && (status = look(r)) >= 0) {
                longer[ended++] = now() - r->begun - r->asked;
                hung += r->killed;
                counts[status] += !r->killed;
            }
        }
        nap(0.001);
    }
    for (int s = 0; s < 256; s++) {
        if (s != wanted && counts[s] > 0)
            printf("%d of %d ended with status %d\n", counts[s], runs, s);
        wrong += s != wanted ? counts[s] : 0;
    }
    if (hung > 0)
        printf("%d of %d did not end\n", hung, runs);
    qsort(longer, (size_t)runs, sizeof *longer, by_size);
    double median = longer[runs / 2];
    free(longer);
    if (getenv("EXIT_TELL") != NULL)
        fprintf(stderr, "%.2f s\n", median);
    if (median > (limit != NULL ? atof(limit) : 1))
        printf("half of them took %.1f s longer than they were to\n", median);
    else if (wrong == 0 && hung == 0)
        puts("fine");
    return 0;
}

/* What is under way ------------------------------------------------------------ */

static int lua_now(lua_State *L)
{
    lua_pushnumber(L, now());
    return 1;
}

static double start;

static double end_of_run(void)
{
    const char *ms = getenv("EXIT_MS");
    return start + (ms != NULL ? atof(ms) : 0) / 1e3;
}

static int which_run(void)
{
    const char *number = getenv("EXIT_RUN");
    return number != NULL ? atoi(number) : 0;
}

static int lua_until(lua_State *L)
{
    lua_pushnumber(L, end_of_run());
    return 1;
}

/* Every other run has HTTP/1.1, with a handshake for each call. */
static const char prelude[] =
    "kapture = require 'kapture'\n"
    "local run = tonumber(os.getenv 'EXIT_RUN') or 0\n"
    "calls = tonumber(os.getenv 'EXIT_CALLS') or 200\n"
    "function options(more)\n"
    "  local o = { ca_file = os.getenv 'KAPTURE_CA_FILE', retries = 0,\n"
    "    concurrency = calls, base_url = run % 2 == 1 and os.getenv "
    "'EXIT_HTTP1' or nil }\n"
    "  for k, v in pairs(more or {}) do o[k] = v end\n"
    "  return o\n"
    "end\n"
    "function flood(n)\n"
    "  local c = kapture.new(options())\n"
    "  for i = 1, n or calls do c:submit(('713%09d'):format(i)) end\n"
    "  return c\n"
    "end\n"
    /* so many calls are under way for as long as it takes */
    "function work(...)\n"
    "  local clients = { ... }\n"
    "  while now() < till() do\n"
    "    for _, c in ipairs(clients) do\n"
    "      local _, ended = c:step(math.min(till() - now(), 0.005))\n"
    "      for i = 1, #ended do c:submit(('713%09d'):format(i)) end\n"
    "    end\n"
    "  end\n"
    "end\n"
    "function ids(n)\n"
    "  local list = {}\n"
    "  for i = 1, n do list[i] = ('713%09d'):format(i) end\n"
    "  return list\n"
    "end\n"
    "function closed(tickets, message, err)\n"
    "  assert(not tickets and err.kind == 'closed', message)\n"
    "  assert(message:find('the process is ending', 1, true), message)\n"
    "end\n";

static lua_State *state_with(lua_CFunction open)
{
    lua_State *L = luaL_newstate();
    HOST_CHECK(L != NULL);
    luaL_openlibs(L);
    lua_register(L, "now", lua_now);
    lua_register(L, "till", lua_until);
    host_preload(L, open);
    host_run(L, prelude, "");
    return L;
}

static lua_State *state(void)
{
    return state_with(luaopen_kapture);
}

/* libcurl and the TLS library are there before threads use them, and before
 * their handlers may run. The state stays open, or the modules that it has loaded
 * would be unloaded with the last of the others: by the dynamic linker, whose locks
 * ThreadSanitizer does not see. */
static void open_first(void)
{
    static lua_State *volatile first;
    first = state();
    HOST_CHECK(first != NULL);
}

static lua_State *busy_state(void)
{
    lua_State *L = state();
    host_run(L, "client = flood() work(client)", "");
    return L;
}

/* Nobody joins it. */
static void start_thread(void *(*body)(void *))
{
    pthread_t thread;
    HOST_CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
    HOST_CHECK(pthread_detach(thread) == 0);
}

/* The ways ---------------------------------------------------------------------- */

static int by_exit(void)
{
    busy_state();
    exit(STATUS);
}

static int by_closing(void)
{
    lua_close(busy_state());
    exit(STATUS);
}

static int by_return(void)
{
    busy_state();
    return STATUS;
}

/* Threads with states of their own, each with two engines, in whatever they are
 * doing: they may be making them just now, or closing them. */
static void *be_busy(void *arg)
{
    (void)arg;
    for (;;) {
        lua_State *L = state();
        host_run(L,
                 "local a, b = flood(calls / 8), flood(calls / 8)\n"
                 "for _ = 1, 3 do a:step(0.002) b:step(0.002) end",
                 "");
        lua_close(L);
    }
    return NULL;
}

static int with_several(void)
{
    open_first();
    for (int i = 0; i < 3; i++)
        start_thread(be_busy);
    lua_State *L = state();
    host_run(L, "a, b = flood(calls / 4), flood(calls / 4) work(a, b)", "");
    exit(STATUS);
}

/* What a thread in a blocking call sees of the end: nothing, or that. */
static void *block(void *arg)
{
    lua_State *L = state();
    host_run(L,
             "local client = kapture.new(options { batch_size = 1 })\n"
             "local list = ids(calls)\n"
             "while true do\n"
             "  local tickets, message, err = client:get_ticket(list)\n"
             "  if not tickets and err.kind == 'closed' then break end\n"
             "  assert(tickets, message)\n"
             "end\n"
             "closed(client:get_ticket '713000000001')\n"
             "closed(kapture.get_ticket('713000000001', options()))\n",
             "");
    lua_close(L);
    return arg;
}

static int at_the_end_of_run(void)
{
    while (now() < end_of_run())
        nap(end_of_run() - now());
    exit(STATUS);
}

static int with_blocking(void)
{
    open_first();
    for (int i = 0; i < 2; i++)
        start_thread(block);
    return at_the_end_of_run();
}

static pthread_t blocked;

static void join_blocked(void)
{
    if (pthread_join(blocked, NULL) != 0)
        _exit(1);
}

/* The host waits for its thread, after the libraries' own handlers. */
static int with_joined(void)
{
    HOST_CHECK(atexit(join_blocked) == 0);
    open_first();
    start_thread(block);
    HOST_CHECK(pthread_create(&blocked, NULL, block, NULL) == 0);
    return at_the_end_of_run();
}

static lua_State *kept;

static void use_kept(void)
{
    if (luaL_dostring(
            kept,
            "local request = client:submit '713000000001'\n"
            "closed(request:wait(1))\n"
            "closed(client:get_ticket '713000000001')\n"
            "assert(client:step(1) == 0 and client:fd() == nil)\n"
            "closed(kapture.get_ticket('713000000001', options()))\n"
            "local other = kapture.new(options())\n"
            "closed(other:submit('713000000001'):result())\n"
            "for _, ticket, err in kapture.tickets(ids(3), options()) do\n"
            "  closed(ticket, err.message, err)\n"
            "end\n"
            "for _, ticket, err in loop do assert(ticket or err) end\n"
            "old:cancel()\n")) {
        fprintf(stderr, "%s\n", lua_tostring(kept, -1));
        _exit(1);
    }
    lua_close(kept);
}

/* A handler that was registered first runs last: all is over by then. */
static int and_use_later(void)
{
    HOST_CHECK(atexit(use_kept) == 0);
    kept = busy_state();
    host_run(kept,
             "old = client:submit '713000000002'\n"
             "loop = kapture.tickets(ids(9), options { batch_size = 1 })\n"
             "loop()\n",
             "");
    exit(STATUS);
}

static void close_kept(void)
{
    lua_close(kept);
    kept = state();
    host_run(kept, "client = flood() client:step()", "");
}

/* One that was registered last runs first: nothing is over yet. */
static int and_close_first(void)
{
    kept = busy_state();
    HOST_CHECK(atexit(close_kept) == 0);
    exit(STATUS);
}

/* Children end, one with calls of its own; the parent's go on. */
static int in_child(void)
{
    lua_State *L = busy_state();
    for (int i = 0; i < 2; i++) {
        pid_t child = fork();
        int status;
        HOST_CHECK(child >= 0);
        if (child == 0) {
            alarm(30);
            if (i == 1)
                host_run(L, "assert(client:submit('713000000001'):wait(20))",
                         "");
            if (i == 1)
                host_run(L, "other = flood() other:step(0.003)", "");
            exit(STATUS);
        }
        HOST_CHECK(waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS)
            HOST_FAIL("the child ended with status %d", status);
    }
    host_run(L,
             "assert(client:submit('713000000001'):wait(30))\n"
             "client = flood() client:step()\n",
             "");
    exit(STATUS);
}

static lua_CFunction load_copy(void **lib)
{
    const char *path = getenv("EXIT_MODULE");
    HOST_CHECK(path != NULL);
    return host_load(path, lib);
}

/* The module comes by dlopen, and is let go of while its calls go on. */
static int unloaded(void)
{
    for (int i = 0; i < 2; i++) {
        void *lib;
        lua_State *L = state_with(load_copy(&lib));
        host_run(L, "client = flood() work(client)", "");
        if (i == which_run() % 2)
            lua_close(L);
        HOST_CHECK(dlclose(lib) == 0);
    }
    exit(STATUS);
}

/* Two copies of the module, which know nothing of each other. */
static int with_two_copies(void)
{
    open_first();
    void *lib;
    lua_CFunction open = load_copy(&lib);
    lua_State *L = which_run() % 2 == 0 ? state() : state_with(open),
              *other = which_run() % 2 == 0 ? state_with(open) : state();
    host_run(L, "client = flood(calls / 2) client:step()", "");
    host_run(other, "client = flood(calls / 2) work(client)", "");
    exit(STATUS);
}

static int at_once(void)
{
    busy_state();
    if (which_run() % 2 == 0)
        _exit(STATUS);
#ifdef __APPLE__
    _exit(STATUS);
#else
    quick_exit(STATUS);
#endif
}

static int by_signal(void)
{
    busy_state();
    raise(SIGTERM);
    return 1;
}

/* By os.exit in a function that is called in the middle of a call, or with an iterator
 * half-way. */
static int within_a_call(void)
{
    static const char *const ways[] = {
        /* a hook */
        "local client = kapture.new(options { batch_size = 1, hook = ends })\n"
        "while true do client:get_ticket(ids(calls)) end\n",
        /* a token function */
        "local token = os.getenv 'KAPTURE_TOKEN'\n"
        "local client = kapture.new(options { token = function()\n"
        "  ends()\n"
        "  return token\n"
        "end })\n"
        "while true do client:get_ticket(ids(20)) end\n",
        /* a coroutine that waits for a call of its own */
        "local client = flood(20)\n"
        "local function turn()\n"
        "  while true do\n"
        "    client:submit('713000000001'):wait(0.001)\n"
        "    coroutine.yield()\n"
        "    ends()\n"
        "  end\n"
        "end\n"
        "local a, b = coroutine.wrap(turn), coroutine.wrap(turn)\n"
        "while true do a() b() end\n",
        /* the body of a loop over an iterator */
        "while true do\n"
        "  for _ in kapture.tickets(ids(calls), options { batch_size = 1 }) "
        "do\n"
        "    ends()\n"
        "  end\n"
        "end\n",
        /* the function that an iterator takes its ids from */
        "while true do\n"
        "  local list = ids(calls)\n"
        "  local source = function() ends() return table.remove(list) end\n"
        "  for _ in kapture.tickets(source, options { batch_size = 1 }) do "
        "end\n"
        "end\n",
        /* Lua's own hook */
        "local client = kapture.new(options())\n"
        "debug.sethook(ends, '', 100)\n"
        "while true do client:get_ticket(ids(20)) end\n",
    };
    lua_State *L = state();
    host_run(L,
             "others = flood(20)\n"
             "local close = tonumber(os.getenv 'EXIT_RUN') % 4 > 1\n"
             "function ends() if now() >= till() then os.exit(7, close) end "
             "end\n",
             "");
    host_run(L, ways[(size_t)which_run() / 2 % (sizeof ways / sizeof *ways)],
             "");
    return 1;
}

/* In a finalizer, which the collector calls while an answer is read. */
static int in_finalizer(void)
{
    lua_State *L = state();
    host_run(L,
             "local close = tonumber(os.getenv 'EXIT_RUN') % 4 > 1\n"
             "local others = flood(20)\n"
             "local function trap()\n"
             "  local function ends()\n"
             "    if now() >= till() then os.exit(7, close) end\n"
             "    trap()\n"
             "  end\n"
             "  if newproxy then getmetatable(newproxy(true)).__gc = ends\n"
             "  else setmetatable({}, { __gc = ends }) end\n"
             "end\n"
             "trap()\n"
             "local client = kapture.new(options { batch_size = 1 })\n"
             "while true do client:get_ticket(ids(20)) collectgarbage('step', "
             "100) end\n",
             "");
    return 1;
}

/* What happens within libcurl, when it next connects, or sends. */
static void (*at_connect)(void), (*at_send)(void);

static void act_once(void (**act)(void))
{
    void (*due)(void) = __atomic_exchange_n(act, NULL, __ATOMIC_SEQ_CST);
    if (due != NULL)
        due();
}

/*
 * A thread that is stuck within libcurl, in a system call that blocks, comes back
 * when the bound of the wait for it has passed, and while the process still ends.
 */
static int is_stuck;

/* Of eight runs, each two of these come together in two: with HTTP/1.1 (see the prelude),
 * in a thread of the host's, in a call that can't be cut short, in a handshake. */
static bool stuck_in_hosts_thread(void)
{
    return which_run() / 2 % 2 == 1;
}

static bool can_be_cut_short(void)
{
    return which_run() / 4 % 2 == 0;
}

static bool stuck_in_handshake(void)
{
    return (which_run() + which_run() / 2 + which_run() / 4) % 2 == 1;
}

static void be_stuck(void)
{
    int before;
    pthread_setcancelstate(can_be_cut_short() ? PTHREAD_CANCEL_ENABLE
                                              : PTHREAD_CANCEL_DISABLE,
                           &before);
    __atomic_store_n(&is_stuck, 1, __ATOMIC_SEQ_CST);
    nap(2.5);
    pthread_setcancelstate(before, &before);
}

__attribute__((visibility("default"))) int
connect(int fd, const struct sockaddr *address, socklen_t len)
{
    static int (*real)(int, const struct sockaddr *, socklen_t);
    if (__atomic_load_n(&real, __ATOMIC_SEQ_CST) == NULL) {
        int (*found)(int, const struct sockaddr *, socklen_t);
        void *symbol = dlsym(RTLD_NEXT, "connect");
        memcpy(&found, &symbol, sizeof found);
        __atomic_store_n(&real, found, __ATOMIC_SEQ_CST);
    }
    act_once(&at_connect);
    return real(fd, address, len);
}

static void take_a_while(void)
{
    nap(1);
}

/* No other thread hears of the end, and ends itself, before that is over. */
static double exit_asked;

static void *block_until_over(void *arg)
{
    block(arg);
    if (now() < exit_asked + 1.5)
        _exit(1);
    return arg;
}

static int while_stuck(void)
{
    HOST_CHECK(atexit(take_a_while) == 0);
    lua_State *L = busy_state();
    __atomic_store_n(stuck_in_handshake() ? &at_send : &at_connect, be_stuck,
                     __ATOMIC_SEQ_CST);
    if (stuck_in_hosts_thread())
        start_thread(block);
    else
        host_run(L, "other = flood() other:step()", "");
    while (!__atomic_load_n(&is_stuck, __ATOMIC_SEQ_CST))
        nap(0.001);
    exit_asked = now();
    start_thread(block_until_over);
    nap(0.1);
    exit(STATUS);
}

/*
 * A thread that is not stuck but slow: it computes, in the middle of a handshake, for
 * longer than an exit waits for one that is stuck.
 */
static atomic_bool may_be_slow, is_slow;

/* The record that goes with the client's last message in TLS 1.3. */
static bool is_end_of_handshake(const void *data, size_t len)
{
    return len > 0 &&
           *(const unsigned char *)data == 20; /* change_cipher_spec */
}

__attribute__((visibility("default"))) ssize_t send(int fd, const void *data,
                                                    size_t len, int flags)
{
    if (atomic_load(&may_be_slow) && is_end_of_handshake(data, len)) {
        atomic_store(&is_slow, true);
        for (double until = now() + 2.5; now() < until;)
            ;
    }
    if (is_end_of_handshake(data, len))
        act_once(&at_send);
    return sendto(fd, data, len, flags, NULL, 0);
}

static int while_slow(void)
{
    HOST_CHECK(atexit(take_a_while) == 0);
    lua_State *L = state();
    atomic_store(&may_be_slow, true);
    host_run(L, "slow = flood(1)", "");
    while (!atomic_load(&is_slow))
        nap(0.001);
    exit(STATUS);
}

/* A name server that does not answer. */
__attribute__((visibility("default"))) int
getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
            struct addrinfo **list)
{
    int (*real)(const char *, const char *, const struct addrinfo *,
                struct addrinfo **);
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof real);
    if (node != NULL && strcmp(node, "slow.invalid") == 0)
        nap(20);
    return real(node, service, hints, list);
}

/* Some wait for a name, others have given up on one. */
static int with_slow_names(void)
{
    lua_State *L = state();
    host_run(L,
             "local function slow(timeout)\n"
             "  local c = kapture.new(options { timeout = timeout, base_url = "
             "'https://slow.invalid' })\n"
             "  for i = 1, 4 do c:submit(tostring(i)) end\n"
             "  return c\n"
             "end\n"
             "a, b = slow(20), slow(0.02)\n"
             "work(flood(20))",
             "");
    exit(STATUS);
}

/* exit(3) in a signal's handler, on a thread that is within libcurl. */
static void exit_here(int signal)
{
    (void)signal;
    exit(STATUS);
}

static pthread_t caller;

static void raise_here(void)
{
    if (pthread_equal(pthread_self(), caller))
        raise(SIGTERM);
    else /* an engine's thread, which takes no signals: the next time */
        __atomic_store_n(&at_connect, raise_here, __ATOMIC_SEQ_CST);
}

static int in_handler(void)
{
    struct sigaction action = {.sa_handler = exit_here};
    HOST_CHECK(sigaction(SIGTERM, &action, NULL) == 0);
    caller = pthread_self();
    lua_State *L = state();
    host_run(L, "client = flood(10) work(client)", "");
    host_run(L,
             "while client:step(1) > 0 do end\n"
             "other = kapture.new(options())\n"
             "assert(other:get_ticket '713000000001')",
             "");
    host_run(L, "client = flood(10) client:step()", "");
    while (__atomic_load_n(&at_connect, __ATOMIC_SEQ_CST) != NULL)
        nap(0.001);
    __atomic_store_n(&at_connect, raise_here, __ATOMIC_SEQ_CST);
    host_run(L, "kapture.new(options()):get_ticket '713000000001'", "");
    return 1;
}

/* Two threads at the same moment: that of the first to come is the end. */
static void *exit_then(void *arg)
{
    while (now() < end_of_run())
        ;
    exit(STATUS);
    return arg;
}

static int by_two_threads(void)
{
    open_first();
    start_thread(exit_then);
    busy_state();
    exit(STATUS);
}

/* While threads require the module, which is the process's first use of it. */
static void *require(void *arg)
{
    state();
    return arg;
}

static int while_required(void)
{
    for (int i = 0; i < 2; i++)
        start_thread(require);
    while (now() < end_of_run())
        ;
    exit(STATUS);
}

/* While a thread forks: its children end as well. */
static void hung(int signal)
{
    static const char words[] = "a child hung\n";
    (void)signal;
    _exit(write(STDOUT_FILENO, words, sizeof words - 1) < 0);
}

static atomic_bool exit_called;

static void *keep_forking(void *arg)
{
    for (;;) {
        pid_t child = fork();
        if (child == 0) {
            signal(SIGALRM, hung);
            alarm(10);
            /* exit(3) holds a lock since glibc 2.41. A child that was forked
             * meanwhile has that lock too, and not the thread that holds it. */
            if (atomic_load(&exit_called))
                _exit(STATUS);
            exit(STATUS);
        }
        if (child > 0)
            waitpid(child, NULL, 0);
    }
    return arg;
}

static int while_forking(void)
{
    open_first();
    start_thread(keep_forking);
    busy_state();
    atomic_store(&exit_called, true);
    exit(STATUS);
}

/* A host's own lock, which is taken before a fork, and held by threads that call. */
static pthread_mutex_t big = PTHREAD_MUTEX_INITIALIZER;

static void take_big(void)
{
    pthread_mutex_lock(&big);
}

static void release_big(void)
{
    pthread_mutex_unlock(&big);
}

static void *call_with_lock(void *arg)
{
    lua_State *L = state();
    host_run(L, "client = kapture.new(options { batch_size = 1 })", "");
    for (;;) {
        take_big();
        host_run(L, "client:get_ticket(ids(20))", "");
        release_big();
        nap(0.001);
    }
    return arg;
}

static int and_fork_with_lock(void)
{
    HOST_CHECK(pthread_atfork(take_big, release_big, release_big) == 0);
    open_first();
    start_thread(call_with_lock);
    lua_State *L = busy_state();
    for (int i = 0; i < 3; i++) {
        int status;
        pid_t child = fork();
        HOST_CHECK(child >= 0);
        if (child == 0) {
            alarm(20);
            exit(STATUS);
        }
        HOST_CHECK(waitpid(child, &status, 0) == child);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != STATUS)
            HOST_FAIL("the child ended with status %d", status);
        host_run(L, "client:step(0.005)", "");
    }
    exit(STATUS);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*end)(void);
    } ways[] = {
        {"exit", by_exit},
        {"close", by_closing},
        {"return", by_return},
        {"several", with_several},
        {"blocking", with_blocking},
        {"joined", with_joined},
        {"later", and_use_later},
        {"first", and_close_first},
        {"child", in_child},
        {"unloaded", unloaded},
        {"at-once", at_once},
        {"signal", by_signal},
        {"within", within_a_call},
        {"finalizer", in_finalizer},
        {"copies", with_two_copies},
        {"stuck", while_stuck},
        {"slow", while_slow},
        {"names", with_slow_names},
        {"handler", in_handler},
        {"two", by_two_threads},
        {"require", while_required},
        {"forking", while_forking},
        {"held", and_fork_with_lock},
    };
    start = now();
    if (argc > 4 && strcmp(argv[1], "again") == 0)
        return again(atoi(argv[2]), atoi(argv[3]), argv + 4);
    for (size_t i = 0; argc == 2 && i < sizeof ways / sizeof *ways; i++)
        if (strcmp(argv[1], ways[i].name) == 0)
            return ways[i].end();
    HOST_FAIL("no such way to end");
}
