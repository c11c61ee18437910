#include "net/engine.h"

#include "base/clock.h"
#include "net/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Whether no descriptor is to be had: to libcurl (8.23) a multi handle without
 * one to be woken by is none, and it says no more of it than of memory. */
static bool is_out_of_descriptors(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == EMFILE || errno == ENFILE;
    close(fd);
    return false;
}

kap_engine *kap_engine_new(int concurrency, double rate)
{
    kap_engine *e = kap_ending_begun() ? NULL : calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->entry.multi = &e->multi;
    kap_wakeup_init(&e->wakeup);
    kap_scheduler_init(&e->scheduler, concurrency, rate);
    e->succeeded = -INFINITY;
    e->random = (uint64_t)(kap_now() * 1e9) ^ (uint64_t)(uintptr_t)e ^
                ((uint64_t)getpid() << 32);
    e->multi = curl_multi_init();
    /* else the driver tries again when there is something to send */
    if ((e->multi != NULL || is_out_of_descriptors()) &&
        kap_handles_init(&e->handles) &&
        pthread_mutex_init(&e->lock, NULL) == 0 && kap_ending_add(&e->entry))
        return e;
    kap_handles_free(&e->handles);
    if (e->multi != NULL)
        curl_multi_cleanup(e->multi);
    free(e);
    return NULL;
}

/* A multi handle that was made while there were no descriptors to be had works,
 * but nothing wakes it; libcurl says so only here. */
static bool can_wake(kap_engine *e)
{
    if (curl_multi_wakeup(e->multi) == CURLM_OK)
        return true;
    CURLM *other = e->scheduler.active.n == 0 ? curl_multi_init() : NULL;
    if (other == NULL)
        return false;
    if (e->multi != NULL)
        curl_multi_cleanup(e->multi);
    e->multi = other;
    e->max_connects = 0;
    e->http2 = false;
    return curl_multi_wakeup(e->multi) == CURLM_OK;
}

static void *engine_main(void *arg)
{
    kap_engine *e = arg;
    bool stop = false;
    while (!stop && kap_ending_enter(&e->entry)) {
        double wait = kap_driver_turn(e, false) - kap_now();
        if (!kap_driver_poll(e, wait))
            poll(NULL, 0, 10); /* should it go on so: not as fast as it can */
        kap_ending_leave(&e->entry);
        pthread_mutex_lock(&e->lock);
        stop = e->stop;
        pthread_mutex_unlock(&e->lock);
    }
    if (!stop)
        kap_ending_stay(&e->entry);
    return NULL;
}

/* In kap_ending_lock. */
static bool start_thread(kap_engine *e, const char **why)
{
    sigset_t all, before;
    if (!can_wake(e)) {
        *why = strerror(EMFILE);
        return false;
    }
    /* The host's signals are the host's: the thread takes none of them. */
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (rc == 0) {
        e->threaded = true; /* the thread reads it, too */
        rc = pthread_create(&e->thread, NULL, engine_main, e);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (rc != 0) {
        e->threaded = false;
        *why = strerror(rc);
        return false;
    }
    return true;
}

bool kap_engine_start(kap_engine *e, const char **why)
{
    if (e->threaded)
        return true;
    if (!e->wakeup.connected && kap_engine_fd(e) < 0) {
        *why = strerror(errno);
        return false;
    }
    if (!kap_ending_lock()) {
        *why = "the process is ending";
        return false;
    }
    bool ok = start_thread(e, why);
    kap_ending_unlock();
    return ok;
}

void kap_engine_free(kap_engine *e)
{
    if (e == NULL || !kap_ending_claim(&e->entry))
        return;
    if (e->threaded) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_mutex_unlock(&e->lock);
        curl_multi_wakeup(e->multi);
        pthread_join(e->thread, NULL);
    }
    kap_driver_free_all(e);
    kap_handles_free(&e->handles);
    curl_multi_cleanup(e->multi);
    kap_sockets_free(&e->handles.shared.sockets); /* now all are closed */
    kap_wakeup_close(&e->wakeup);
    pthread_mutex_destroy(&e->lock);
    kap_ending_remove(&e->entry);
    free(e);
}

void kap_engine_abandon(kap_engine *e)
{
    if (e != NULL)
        kap_wakeup_abandon(&e->wakeup);
}

/* transfers ---------------------------------------------------------------- */

void kap_engine_wake(kap_engine *e)
{
    if (e->threaded)
        curl_multi_wakeup(e->multi);
}

void kap_engine_submit(kap_engine *e, kap_transfer *t, kap_lane *lane)
{
    t->lane = kap_lane_ref(lane);
    t->submitted = kap_now();
    pthread_mutex_lock(&e->lock);
    /* what is in there already has woken the thread, which takes all of it */
    bool first = e->inbox.n == 0;
    kap_list_push(&e->inbox, &t->link);
    pthread_mutex_unlock(&e->lock);
    if (first)
        kap_engine_wake(e);
}

void kap_engine_cancel(kap_engine *e, kap_transfer *t)
{
    bool mine = false;
    pthread_mutex_lock(&e->lock);
    KAP_EACH(kap_transfer, ended, &e->outbox, link)
        mine = mine || ended == t;
    if (mine) {
        kap_list_remove(&e->outbox, &t->link);
    } else {
        atomic_store_explicit(&t->cancelled, true, memory_order_relaxed);
        e->cancels++;
    }
    pthread_mutex_unlock(&e->lock);
    if (mine) {
        kap_driver_free_transfer(t);
    } else if (e->threaded) {
        kap_engine_wake(e);
    } else if (kap_ending_enter(&e->entry)) {
        kap_driver_absorb(e);
        kap_ending_leave(&e->entry);
    }
}

kap_transfer *kap_engine_take(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_transfer *t = kap_transfer_shift(&e->outbox);
    pthread_mutex_unlock(&e->lock);
    if (t != NULL && !t->awaits_verdict)
        kap_lane_detach(t);
    return t;
}

bool kap_engine_started(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool started = e->started;
    e->started = false;
    pthread_mutex_unlock(&e->lock);
    return started;
}

/* kap_engine_ready, for whoever has the lock. */
static bool is_ready(const kap_engine *e)
{
    return e->outbox.n > 0 || e->started;
}

bool kap_engine_ready(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ready = is_ready(e);
    pthread_mutex_unlock(&e->lock);
    return ready;
}

/* waiting ------------------------------------------------------------------ */

static void wait_inline(kap_engine *e, double until)
{
    bool over = false;
    while (!over && kap_ending_enter(&e->entry)) {
        double due = kap_driver_turn(e, false), now = kap_now();
        over = kap_engine_ready(e) || now >= until;
        if (!over) {
            kap_driver_poll(e, (due < until ? due : until) - now);
            e->last_turn = kap_now();
        }
        kap_ending_leave(&e->entry);
    }
}

static void wait_threaded(kap_engine *e, double until)
{
    /* Where a loop has connected there is none, and nobody waits here but by
     * mistake. */
    struct pollfd p = {.fd = e->wakeup.reader, .events = POLLIN};
    double longest = p.fd < 0 ? 0.002 : KAP_IDLE_SECONDS;
    while (!kap_engine_ready(e) && !kap_ending_begun()) {
        double left = until - kap_now();
        if (left <= 0)
            return;
        /* With the mark standing (work of the caller's own), the descriptor
         * says nothing: don't wait on it. */
        kap_engine_clear_mark(e);
        if (left > longest)
            left = longest;
        if (poll(&p, 1, (int)kap_ms(left, 60000)) < 0 && errno != EINTR)
            return;
    }
}

void kap_engine_turn(kap_engine *e, bool busy)
{
    if (e->threaded || !kap_ending_enter(&e->entry))
        return;
    kap_driver_turn(e, busy);
    e->last_turn = kap_now();
    kap_ending_leave(&e->entry);
}

bool kap_engine_needs_turns(const kap_engine *e)
{
    return !e->threaded && (e->inbox.n > 0 || e->scheduler.active.n > 0 ||
                            e->scheduler.lanes.n > 0);
}

void kap_engine_wait(kap_engine *e, double seconds)
{
    double until = kap_now() + seconds;
    if (e->threaded)
        wait_threaded(e, until);
    else
        wait_inline(e, until);
}

/* the wake-up ------------------------------------------------------------- */

void kap_engine_mark(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_wakeup_mark(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
}

void kap_engine_clear_mark(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (!is_ready(e))
        kap_wakeup_clear(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
}

int kap_engine_fd(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (e->wakeup.reader < 0 && !e->wakeup.connected &&
        kap_wakeup_open(&e->wakeup) && is_ready(e))
        kap_wakeup_mark(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
    return e->wakeup.reader;
}

const char *kap_engine_listen(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ok = kap_wakeup_listen(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
    return ok ? e->wakeup.path : NULL;
}

bool kap_engine_accept(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ok = kap_wakeup_accept(&e->wakeup);
    if (ok && is_ready(e))
        kap_wakeup_mark(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
    return ok;
}

void kap_engine_acknowledge(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_wakeup_acknowledge(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
}

void kap_engine_hang_up(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_wakeup_hang_up(&e->wakeup);
    pthread_mutex_unlock(&e->lock);
}
