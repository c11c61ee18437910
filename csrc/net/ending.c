#include "net/ending.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* How long the process's end waits for threads to come out of libcurl. They are
 * woken, and what they are doing is a matter of milliseconds: only a blocking
 * call within libcurl or the TLS library could take longer. */
#define BOUND_SECONDS 2.0
#define PAUSE_SECONDS 1.0
/* And how long a fork does. */
#define FORK_SECONDS 0.5
/* How long a thread that has been called out waits for the fork to be over. It goes
 * back then, since the fork may be waiting for this thread. */
#define FORKING_SECONDS 0.5

/*
 * All engines of the process, of every Lua state: the one thing here that is
 * shared between states, because exit(3) is.
 */
static struct {
    pthread_mutex_t lock;
    kap_list engines;
    kap_list parents;  /* in a forked child; kept for leak checkers alone */
    atomic_bool taken; /* by a thread that ends the process: */
    _Atomic(pthread_t) thread;
    double since;
    atomic_bool begun;   /* what is above is set */
    atomic_bool late;    /* the bound has passed */
    atomic_bool opening; /* libcurl is being initialised: */
    _Atomic(pthread_t) opener;
    atomic_int forks; /* that threads are about to make */
    atomic_uint fork; /* the number of the last that began */
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void nap(double seconds)
{
    poll(NULL, 0, (int)kap_ms(seconds, 60000));
}

static bool is_me(_Atomic(pthread_t) *thread)
{
    return pthread_equal(atomic_load(thread), pthread_self());
}

/* A signal's handler may call exit, on a thread that has the lock itself. */
static bool lock_until(double until)
{
    while (pthread_mutex_trylock(&ending.lock) != 0) {
        if (kap_now() >= until)
            return false;
        nap(0.001);
    }
    return true;
}

/* Whether another thread initialises libcurl, is at work in it, or frees an engine.
 * This one may be as well, where a signal's handler calls exit: it will not go on. */
static bool others_inside(void)
{
    bool inside = atomic_load(&ending.opening) && !is_me(&ending.opener);
    KAP_EACH(kap_ending_entry, e, &ending.engines, link)
        inside = inside || (atomic_load(&e->inside) && !is_me(&e->driver)) ||
                 (e->claimed && !is_me(&e->claimer));
    return inside;
}

/* Wakes all who wait in libcurl, and waits until nobody is in it, which they
 * have been asked for. */
static bool empty_until(double until)
{
    bool woken = false, inside = true;
    while (inside && lock_until(until)) {
        KAP_EACH(kap_ending_entry, e, &ending.engines, link)
            if (!woken && !e->claimed)
                curl_multi_wakeup(*e->multi);
        woken = true;
        inside = others_inside();
        pthread_mutex_unlock(&ending.lock);
        if (inside && kap_now() >= until)
            break;
        if (inside)
            nap(0.001);
    }
    return !inside;
}

/*
 * Where two threads call exit, glibc (before 2.41) gives each its share of the
 * handlers. One of them is to end the process, when all are out; the other waits
 * for that in the next of ours, of which there are two in a row. The wait has a bound, for it may
 * be what the first one waits for.
 */
static void at_exit(void)
{
    if (!atomic_exchange(&ending.taken, true)) {
        atomic_store(&ending.thread, pthread_self());
        ending.since = kap_now();
        atomic_store(&ending.begun, true);
    } else if (!is_me(&ending.thread)) {
        nap(BOUND_SECONDS + PAUSE_SECONDS);
        return;
    }
    double until = ending.since + BOUND_SECONDS;
    if (!empty_until(until))
        atomic_store(&ending.late, true);
    /* glibc can't do with a fork in the middle of what comes */
    while (atomic_load(&ending.forks) > 0 && kap_now() < until)
        nap(0.001);
}

/*
 * A child must not inherit locks of the TLS library's from threads that it does not
 * have: its exit handlers wait for them. So nobody is in libcurl while a thread
 * forks. No lock of ours is held meanwhile: other handlers of the fork's may wait
 * for a lock of the host's, and who has that may be calling us. (What only starts
 * another program, popen say, does not come here.)
 */
static void before_fork(void)
{
    if (kap_ending_begun())
        kap_ending_pause();
    atomic_fetch_add(&ending.fork, 1);
    atomic_fetch_add(&ending.forks, 1);
    empty_until(kap_now() + FORK_SECONDS);
}

static void after_fork_in_parent(void)
{
    atomic_fetch_sub(&ending.forks, 1);
}

/* The parent's engines are of no use to it, and never freed: a thread that it does
 * not have may have held their locks, or this one. */
static void after_fork_in_child(void)
{
    pthread_mutex_init(&ending.lock, NULL);
    if (ending.engines.first != NULL)
        ending.parents = ending.engines;
    ending.engines = (kap_list){0};
    atomic_store(&ending.forks, 0);
    atomic_store(&ending.opening, false);
    atomic_store(&ending.taken, kap_ending_begun());
    atomic_store(&ending.thread, pthread_self());
}

/*
 * OpenSSL registers its exit handler early in its initialisation, which then goes on
 * for milliseconds: an exit that comes meanwhile would find that handler before any
 * that is registered when all is done. But OpenSSL has handlers of its own, called
 * before it frees anything. Other TLS libraries do not have the symbol.
 */
#ifdef __ELF__
extern int OPENSSL_atexit(void (*)(void)) __attribute__((weak));
#endif

static bool watch_openssl(void)
{
#ifdef __ELF__
    if (OPENSSL_atexit != NULL)
        return OPENSSL_atexit(at_exit) == 1;
#endif
    return true;
}

/* From the start, for an exit that comes before a thread's first use of libcurl: it
 * must not begin that any more. Handlers run last in, first out, so where libcurl is
 * in use this is of no help. */
__attribute__((constructor)) static void at_load(void)
{
    (void)!atexit(at_exit); /* there is room for 32 at least */
}

bool kap_ending_open(void)
{
    atomic_store(&ending.opener, pthread_self());
    atomic_store(&ending.opening, true);
    bool ok = !kap_ending_begun() &&
              pthread_atfork(before_fork, after_fork_in_parent,
                             after_fork_in_child) == 0 &&
              watch_openssl();
    if (!ok)
        atomic_store(&ending.opening, false);
    return ok;
}

bool kap_ending_opened(void)
{
    bool ok = true;
    for (int times = 0; times < 2; times++)
        ok = atexit(at_exit) == 0 && ok;
    atomic_store(&ending.opening, false);
    return ok;
}

bool kap_ending_begun(void)
{
    return atomic_load(&ending.begun);
}

void kap_ending_pause(void)
{
    double left = ending.since + PAUSE_SECONDS - kap_now();
    if (left > 0 && !is_me(&ending.thread))
        nap(left);
}

bool kap_ending_lock(void)
{
    pthread_mutex_lock(&ending.lock);
    if (!atomic_load(&ending.begun))
        return true;
    pthread_mutex_unlock(&ending.lock);
    return false;
}

void kap_ending_unlock(void)
{
    pthread_mutex_unlock(&ending.lock);
}

bool kap_ending_add(kap_ending_entry *e)
{
    if (!kap_ending_lock())
        return false;
    kap_list_push(&ending.engines, &e->link);
    kap_ending_unlock();
    return true;
}

bool kap_ending_claim(kap_ending_entry *e)
{
    double until = kap_now() + FORKING_SECONDS;
    while (kap_ending_lock()) {
        /* in the lock, in which before_fork looks whether it is claimed */
        if (atomic_load(&ending.forks) == 0 || kap_now() >= until) {
            atomic_store(&e->claimer, pthread_self());
            e->claimed = true;
        }
        kap_ending_unlock();
        if (e->claimed)
            return true;
        nap(0.001);
    }
    return false;
}

void kap_ending_remove(kap_ending_entry *e)
{
    pthread_mutex_lock(&ending.lock);
    kap_list_remove(&ending.engines, &e->link);
    pthread_mutex_unlock(&ending.lock);
}

bool kap_ending_calls(void)
{
    return atomic_load(&ending.begun) || atomic_load(&ending.forks) > 0;
}

bool kap_ending_enter(kap_ending_entry *e)
{
    double until = 0;
    for (;;) {
        unsigned fork = atomic_load(&ending.fork);
        /* Whoever calls everybody out says so and then looks at `inside`; here it
         * is the other way round, so one of the two sees the other. */
        atomic_store(&e->driver, pthread_self());
        atomic_store(&e->inside, true);
        if (!kap_ending_calls() || (e->passed == fork && !kap_ending_begun()))
            return true;
        atomic_store(&e->inside, false);
        if (kap_ending_begun())
            return false;
        if (until <= 0)
            until = kap_now() + FORKING_SECONDS;
        else if (kap_now() >= until)
            e->passed = fork;
        nap(0.001);
    }
}

void kap_ending_leave(kap_ending_entry *e)
{
    atomic_store(&e->inside, false);
}

void kap_ending_stay(kap_ending_entry *e)
{
    pthread_mutex_lock(&ending.lock);
    bool claimed = e->claimed;
    pthread_mutex_unlock(&ending.lock);
    if (claimed)
        return;
    for (;;)
        pause();
}

void kap_ending_gate(void)
{
    while (atomic_load_explicit(&ending.late, memory_order_relaxed))
        pause();
}
