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

/*
 * All engines of the process, of every Lua state: the one thing here that is
 * shared between states, because exit(3) is. In a forked child the parent's
 * engines stay in it; they are told by their pid, and never freed: a thread that
 * the child does not have may have held their locks, or libcurl's.
 */
static struct {
    pthread_mutex_t lock;
    kap_list engines;
    atomic_bool begun; /* set under the lock; what follows is set before it */
    atomic_bool late;  /* the bound has passed */
    atomic_int forks;  /* that threads are about to make */
    pthread_t thread;  /* that ends the process */
    double since;
} ending = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void nap(double seconds)
{
    poll(NULL, 0, (int)kap_ms(seconds, 60000));
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

static bool is_ours(const kap_ending_entry *e)
{
    return e->pid == getpid();
}

/* Whether another thread is at work in libcurl, or frees an engine. This one may
 * be as well, where a signal's handler calls exit: it will not go on. */
static bool others_inside(void)
{
    bool inside = false;
    KAP_EACH(kap_ending_entry, e, &ending.engines, link)
        inside =
            inside || (is_ours(e) && (e->claimed || atomic_load(&e->inside)) &&
                       !pthread_equal(atomic_load(&e->driver), pthread_self()));
    return inside;
}

/* Wakes all who wait in libcurl, and waits until nobody is in it, which they
 * have been asked for. True: so it is, and this thread has the lock. */
static bool empty_until(double until)
{
    bool woken = false;
    while (lock_until(until)) {
        KAP_EACH(kap_ending_entry, e, &ending.engines, link)
            if (!woken && is_ours(e) && !e->claimed)
                curl_multi_wakeup(*e->multi);
        woken = true;
        if (!others_inside())
            return true;
        pthread_mutex_unlock(&ending.lock);
        if (kap_now() >= until)
            return false;
        nap(0.001);
    }
    return false;
}

static void at_exit(void)
{
    double until;
    ending.thread = pthread_self();
    ending.since = kap_now();
    until = ending.since + BOUND_SECONDS;
    bool locked = lock_until(until);
    atomic_store(&ending.begun, true);
    if (locked)
        pthread_mutex_unlock(&ending.lock);
    if (!locked || !empty_until(until)) {
        atomic_store(&ending.late, true);
        return;
    }
    pthread_mutex_unlock(&ending.lock);
    /* All are out, and the list changes no more. Engines' threads have yet to
     * end: the TLS library frees what it keeps for each. */
    KAP_EACH(kap_ending_entry, e, &ending.engines, link)
        if (is_ours(e) && e->threaded && !e->claimed &&
            !pthread_equal(e->thread, pthread_self()))
            pthread_join(e->thread, NULL);
}

/*
 * A child must not inherit locks from threads that it does not have: neither this
 * one nor the TLS library's, which its exit handlers wait for as well. So nobody
 * is in libcurl while a thread forks. (What only starts another program, popen
 * say, does not come here.)
 */
static void before_fork(void)
{
    atomic_fetch_add(&ending.forks, 1);
    if (!empty_until(kap_now() + FORK_SECONDS))
        pthread_mutex_lock(&ending.lock);
}

static void after_fork_in_parent(void)
{
    atomic_fetch_sub(&ending.forks, 1);
    pthread_mutex_unlock(&ending.lock);
}

static void after_fork_in_child(void)
{
    atomic_store(&ending.forks, 0);
    pthread_mutex_unlock(&ending.lock);
}

bool kap_ending_watch(void)
{
    return pthread_atfork(before_fork, after_fork_in_parent,
                          after_fork_in_child) == 0 &&
           atexit(at_exit) == 0;
}

bool kap_ending_begun(void)
{
    return atomic_load(&ending.begun);
}

void kap_ending_pause(void)
{
    double left = ending.since + PAUSE_SECONDS - kap_now();
    if (left > 0 && !pthread_equal(ending.thread, pthread_self()))
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
    e->pid = getpid();
    kap_list_push(&ending.engines, &e->link);
    kap_ending_unlock();
    return true;
}

bool kap_ending_claim(kap_ending_entry *e)
{
    if (!kap_ending_lock())
        return false;
    e->claimed = true;
    atomic_store(&e->driver, pthread_self());
    kap_ending_unlock();
    return true;
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
    /* Whoever calls everybody out says so and then looks at `inside`; here it is
     * the other way round, so one of the two sees the other. */
    for (;;) {
        atomic_store(&e->driver, pthread_self());
        atomic_store(&e->inside, true);
        if (!kap_ending_calls())
            return true;
        atomic_store(&e->inside, false);
        if (!kap_ending_lock()) /* held while a thread forks */
            return false;
        kap_ending_unlock();
        nap(0.001);
    }
}

void kap_ending_leave(kap_ending_entry *e)
{
    atomic_store(&e->inside, false);
}

void kap_ending_gate(void)
{
    while (atomic_load_explicit(&ending.late, memory_order_relaxed))
        pause();
}
