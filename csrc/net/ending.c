#include "net/ending.h"

#include "base/clock.h"

#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* How long the process's end waits for threads to come out of libcurl that do
 * nothing there: they have been woken, so a system call must be blocking them. */
#define BOUND_SECONDS 2.0
#define PAUSE_SECONDS 1.0
/* Those that are cancelled only have to unwind their stacks. */
#define CANCELLED_SECONDS 0.5
/* And how long a fork does. */
#define FORK_SECONDS 0.5
/* Those that compute are waited for so many times as long. libcurl brings all of an
 * engine's connections forward before it returns, which may be 256 handshakes: on a
 * slow or busy machine that takes seconds, and to go on without them is to crash. */
#define PATIENCE 10
/* How long a thread that has been called out waits for the fork to be over. It goes
 * back then, since the fork may be waiting for this thread. */
#define FORKING_SECONDS 0.5

/* What is in kap_ending_entry's `performing`. CANCELLED is set by the thread that ends
 * the process, only in place of PERFORMING: such a thread does not come back. */
enum { ELSEWHERE, PERFORMING, CANCELLED };

/*
 * All engines of the process, of every Lua state: the one thing here that is
 * shared between states, because exit(3) is.
 */
static struct {
    pthread_mutex_t lock;
    kap_list engines;
    kap_list parents;  /* in a forked child; kept for leak checkers alone */
    atomic_bool taken; /* by a thread that ends the process: */
    kap_ending_thread thread;
    double since;
    atomic_bool begun; /* what is above is set */
    atomic_bool late;  /* the bound has passed */
    double ended;
    atomic_bool over;    /* all are out, or it has; and what is above is set */
    atomic_bool opening; /* libcurl is being initialised: */
    kap_ending_thread opener;
    atomic_int forks; /* that threads are about to make */
    atomic_uint fork; /* the number of the last that began */
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void nap(double seconds)
{
    poll(NULL, 0, (int)kap_ms(seconds, 60000));
}

/* A thread's clock is that of its processor time. */
#if defined(_POSIX_THREAD_CPUTIME) && _POSIX_THREAD_CPUTIME >= 0
static bool clock_of_me(clockid_t *clock)
{
    return pthread_getcpuclockid(pthread_self(), clock) == 0;
}
#else /* without, all threads are taken to do nothing */
static bool clock_of_me(clockid_t *clock)
{
    (void)clock;
    return false;
}
#endif

static void set_me(kap_ending_thread *t)
{
    clockid_t clock = CLOCK_REALTIME;
    bool has_clock = clock_of_me(&clock);
    atomic_store(&t->id, pthread_self());
    atomic_store(&t->clock, clock);
    atomic_store(&t->has_clock, has_clock);
}

static bool is_me(kap_ending_thread *t)
{
    return pthread_equal(atomic_load(&t->id), pthread_self());
}

/* The seconds for which it has computed. It may have ended by now: then there is
 * no such clock. */
static double computed(kap_ending_thread *t)
{
    struct timespec at;
    if (!atomic_load(&t->has_clock) ||
        clock_gettime(atomic_load(&t->clock), &at) != 0)
        return 0;
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
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

/* Whether it is another than this one, which may be at work in libcurl as well where a
 * signal's handler calls exit: it will not go on. If so, adds what it has computed. */
static bool is_other(kap_ending_thread *t, double *work)
{
    if (is_me(t))
        return false;
    *work += computed(t);
    return true;
}

/* Whether another thread initialises libcurl, is at work in it, or frees an engine;
 * and how long all of these have computed. */
static bool others_inside(double *work)
{
    *work = 0;
    bool inside =
        atomic_load(&ending.opening) && is_other(&ending.opener, work);
    KAP_EACH(kap_ending_entry, e, &ending.engines, link) {
        if (atomic_load(&e->inside) && is_other(&e->driver, work))
            inside = true;
        if (e->claimed && is_other(&e->claimer, work))
            inside = true;
    }
    return inside;
}

/* Wakes all who wait in libcurl, and waits until nobody is in it, which they have
 * been asked for. False: some do not come out. */
static bool empty(double since, double bound)
{
    double until = since + bound, last = since + PATIENCE * bound;
    double before = 0, work;
    bool woken = false, inside = true;
    while (inside && lock_until(until)) {
        KAP_EACH(kap_ending_entry, e, &ending.engines, link)
            if (!woken && !e->claimed)
                curl_multi_wakeup(*e->multi);
        woken = true;
        inside = others_inside(&work);
        pthread_mutex_unlock(&ending.lock);
        double now = kap_now();
        if (work != before)
            until = now + bound < last ? now + bound : last;
        before = work;
        if (inside && now >= until)
            break;
        if (inside)
            nap(0.001);
    }
    return !inside;
}

/*
 * Cancels those who did not come out of curl_multi_perform. The cancellation is
 * deferred: it takes a thread out of a system call, never out of what it computes,
 * and releases the locks of the C library's that the call had taken.
 */
static void cancel_others(void)
{
#ifndef __BIONIC__ /* Android's C library has no such thing */
    if (!lock_until(kap_now() + CANCELLED_SECONDS))
        return;
    KAP_EACH(kap_ending_entry, e, &ending.engines, link) {
        int performing = PERFORMING;
        if (!is_me(&e->driver) &&
            atomic_compare_exchange_strong(&e->performing, &performing,
                                           CANCELLED))
            pthread_cancel(atomic_load(&e->driver.id));
    }
    pthread_mutex_unlock(&ending.lock);
    empty(kap_now(), CANCELLED_SECONDS);
#endif
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
        set_me(&ending.thread);
        ending.since = kap_now();
        atomic_store(&ending.begun, true);
    } else if (!is_me(&ending.thread)) {
        double last = kap_now() + PATIENCE * BOUND_SECONDS;
        while (!atomic_load(&ending.over) && kap_now() < last)
            nap(0.001);
        nap(BOUND_SECONDS + PAUSE_SECONDS);
        return;
    }
    if (!atomic_load(&ending.late) && !empty(ending.since, BOUND_SECONDS)) {
        atomic_store(&ending.late, true);
        cancel_others();
    }
    double until = ending.since + BOUND_SECONDS;
    /* glibc can't do with a fork in the middle of what comes */
    while (atomic_load(&ending.forks) > 0 && kap_now() < until)
        nap(0.001);
    if (!atomic_load(&ending.over))
        ending.ended = kap_now();
    atomic_store(&ending.over, true);
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
    empty(kap_now(), FORK_SECONDS);
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
    set_me(&ending.thread);
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
    set_me(&ending.opener);
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
    if (is_me(&ending.thread))
        return;
    double last = ending.since + PATIENCE * BOUND_SECONDS;
    while (!atomic_load(&ending.over) && kap_now() < last)
        nap(0.001);
    double left = (atomic_load(&ending.over) ? ending.ended : last) +
                  PAUSE_SECONDS - kap_now();
    if (left > 0)
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
            set_me(&e->claimer);
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
        set_me(&e->driver);
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

static void stay_for_good(void)
{
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    for (;;)
        pause();
}

static void performed(kap_ending_entry *e)
{
    if (atomic_exchange(&e->performing, ELSEWHERE) != CANCELLED)
        return;
    kap_ending_leave(e);
    stay_for_good();
}

/* The thread was cancelled. If by its host, it ends, and nobody needs to wait for it
 * to leave. */
static void on_cancel(void *arg)
{
    performed(arg);
    kap_ending_leave(arg);
}

CURLMcode kap_ending_perform(kap_ending_entry *e, int *running)
{
    CURLMcode rc;
    atomic_store(&e->performing, PERFORMING);
    pthread_cleanup_push(on_cancel, e);
    rc = curl_multi_perform(*e->multi, running);
    pthread_cleanup_pop(0);
    performed(e);
    return rc;
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
