/*
 * The host's signals stay the host's: no handler or mask is changed, no SIGPIPE
 * comes, and signals are delivered to the host's own thread, during a call too.
 * Argument: a base_url that resets connections.
 */
#include "host.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static pthread_t host;
static volatile sig_atomic_t pipes, alarms, elsewhere;

static void on_signal(int number)
{
    if (!pthread_equal(pthread_self(), host))
        elsewhere = 1;
    if (number == SIGPIPE)
        pipes++;
    else
        alarms++;
}

typedef struct picture {
    struct sigaction actions[NSIG];
    sigset_t mask;
} picture;

static void look(picture *p)
{
    memset(p, 0, sizeof *p);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, NULL, &p->actions[i]);
    pthread_sigmask(SIG_SETMASK, NULL, &p->mask);
}

static void compare(const picture *a, const picture *b)
{
    for (int i = 1; i < NSIG; i++) {
        const struct sigaction *x = &a->actions[i], *y = &b->actions[i];
        if (x->sa_handler != y->sa_handler || x->sa_flags != y->sa_flags)
            HOST_FAIL("the handler of signal %d was changed", i);
        if (sigismember(&a->mask, i) != sigismember(&b->mask, i))
            HOST_FAIL("signal %d was masked or unmasked", i);
    }
}

static const char script[] =
    "local resets = ...\n"
    "fetch '713000000001'\n"
    /* from here on signals come in all the time: calls are not cut short */
    "start()\n"
    "for i = 1, 10 do fetch('71300000000' .. i) end\n"
    "check('713000000002', client:submit('713000000002'):wait(30))\n"
    "local _, _, err = client:get_ticket('713000000003',\n"
    "  { base_url = resets })\n"
    "assert(err and err.kind == 'network', err and err.message)\n"
    "_, _, err = client:submit('713000000003', { base_url = resets "
    "}):wait(30)\n"
    "assert(err and err.kind == 'network', err and err.message)\n"
    "client:submit('713000000004')\n"
    "client:close()\n"
    "stop()\n";

static void tick(long microseconds)
{
    struct itimerval every = {{0, microseconds}, {0, microseconds}};
    HOST_CHECK(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static int start(lua_State *L)
{
    (void)L;
    tick(1000);
    return 0;
}

static int stop(lua_State *L)
{
    (void)L;
    tick(0);
    return 0;
}

int main(int argc, char **argv)
{
    static picture before, after;
    struct sigaction action = {.sa_handler = on_signal};
    sigset_t masked;

    HOST_CHECK(argc == 2);
    host = pthread_self();
    HOST_CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
    HOST_CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    sigemptyset(&masked);
    sigaddset(&masked, SIGUSR2);
    HOST_CHECK(pthread_sigmask(SIG_BLOCK, &masked, NULL) == 0);
    look(&before);

    lua_State *L = host_new();
    lua_register(L, "start", start);
    lua_register(L, "stop", stop);
    host_run(L, script, argv[1]);
    look(&after);
    compare(&before, &after);
    host_run(L, "client = kapture.new(options()) fetch '713000000005'", "");
    lua_close(L);
    look(&after);
    compare(&before, &after);
    HOST_CHECK(pipes == 0);
    HOST_CHECK(alarms > 0);
    HOST_CHECK(!elsewhere);
    puts("fine");
    return 0;
}
