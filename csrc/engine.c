#include "engine.h"

#include "clock.h"
#include "handles.h"
#include "notify.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* How long the driver sleeps when nothing is due: it is woken for all else. */
#define IDLE_SECONDS 60.0
/* Connections over HTTP/2, each with many streams: more only cost handshakes */
#define HTTP2_CONNECTIONS 4L
/* How late libcurl may be with a time-out. */
#define GRACE_SECONDS 0.5
/* Nobody drove the engine for so long: the caller was busy elsewhere. */
#define PAUSE_SECONDS 0.05

struct kap_engine {
    /* the driver's */
    CURLM *multi;
    kap_handles handles;
    kap_queue queue;
    double last_turn;
    long max_connects;
    bool http2;

    /* shared, under the lock */
    pthread_mutex_t lock;
    kap_list inbox, outbox;
    int cancels; /* marked and not yet swept */
    bool stop;
    bool news; /* a watched transfer has started */
    kap_notify notify;

    /* the caller's */
    bool threaded;
    pthread_t thread;
    kap_engine *abandoned; /* another one, see kap_engine_abandon */
};

static void discard(kap_transfer *t)
{
    kap_lane_leave(t);
    kap_transfer_free(t);
}

static void free_list(kap_list *l)
{
    kap_transfer *t;
    while ((t = l->first) != NULL) {
        kap_list_remove(l, t);
        discard(t);
    }
}

/* notification ----------------------------------------------------------- */

void kap_engine_notify(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_notify_mark(&e->notify);
    pthread_mutex_unlock(&e->lock);
}

void kap_engine_quiet(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (e->outbox.n == 0 && !e->news)
        kap_notify_clear(&e->notify);
    pthread_mutex_unlock(&e->lock);
}

int kap_engine_fd(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (e->notify.reader < 0 && !e->notify.distant &&
        kap_notify_open(&e->notify) && (e->outbox.n > 0 || e->news))
        kap_notify_mark(&e->notify);
    pthread_mutex_unlock(&e->lock);
    return e->notify.reader;
}

const char *kap_engine_listen(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ok = kap_notify_listen(&e->notify);
    pthread_mutex_unlock(&e->lock);
    return ok ? e->notify.path : NULL;
}

bool kap_engine_accept(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ok = kap_notify_accept(&e->notify);
    if (ok && (e->outbox.n > 0 || e->news))
        kap_notify_mark(&e->notify);
    pthread_mutex_unlock(&e->lock);
    return ok;
}

void kap_engine_heard(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_notify_heard(&e->notify);
    pthread_mutex_unlock(&e->lock);
}

void kap_engine_hang_up(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_notify_hang_up(&e->notify);
    pthread_mutex_unlock(&e->lock);
}

/* the driver ------------------------------------------------------------- */

/* Hands a transfer that has ended to the caller. */
static void deliver(kap_engine *e, kap_transfer *t)
{
    bool dropped;
    pthread_mutex_lock(&e->lock);
    dropped = t->cancelled;
    if (dropped) {
        e->cancels--;
    } else {
        kap_list_push(&e->outbox, t);
        kap_notify_mark(&e->notify);
    }
    pthread_mutex_unlock(&e->lock);
    if (dropped)
        discard(t);
}

static void fail(kap_engine *e, kap_transfer *t, kap_outcome outcome,
                 CURLcode code)
{
    t->outcome = outcome;
    t->code = code;
    deliver(e, t);
}

static void leave_multi(kap_engine *e, kap_transfer *t)
{
    t->running = false;
    kap_queue_ended(&e->queue, t);
    /* A handle that the multi handle will not let go must not be used again,
     * nor one that failed: after running out of memory it never reads. */
    bool ok = curl_multi_remove_handle(e->multi, t->easy) == CURLM_OK &&
              (t->outcome == KAP_OUTCOME_RESPONSE ||
               t->outcome == KAP_OUTCOME_PENDING);
    kap_handles_return(&e->handles, t, ok);
}

/* Ends a transfer that somebody cancelled. Over HTTP/2, libcurl (7.88) resets
 * the stream only with whatever it sends next on the connection: one that
 * carries nothing else is closed instead. */
static void cut(kap_engine *e, kap_transfer *t)
{
    curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_multi_remove_handle(e->multi, t->easy);
    kap_handles_return(&e->handles, t, false);
    discard(t);
}

/*
 * Where the connection does carry others, to pause one of them sends what is
 * queued on it, the resets with it. Which share it cannot be asked while they
 * are under way; for the rest, and without a connection, this does nothing.
 */
static void flush(kap_engine *e)
{
    for (kap_transfer *t = e->queue.active.first; t != NULL; t = t->next)
        if (curl_easy_pause(t->easy, CURLPAUSE_RECV) == CURLE_OK)
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

static CURLcode from_multi(CURLMcode rc)
{
    return rc == CURLM_OUT_OF_MEMORY ? CURLE_OUT_OF_MEMORY
                                     : CURLE_BAD_FUNCTION_ARGUMENT;
}

static CURLMcode tune(kap_engine *e, const kap_transfer *t)
{
    long want = t->lane->concurrency < 8 ? 8 : t->lane->concurrency;
    CURLMcode rc = CURLM_OK;
    if (want > e->max_connects) {
        /* The default, four times the current handles, drops connections
         * between two calls. */
        rc = curl_multi_setopt(e->multi, CURLMOPT_MAXCONNECTS, want);
        if (rc == CURLM_OK)
            e->max_connects = want;
    }
    return rc;
}

static void start(kap_engine *e, kap_transfer *t)
{
    t->began = kap_now();
    if (t->lane->patient && isinf(t->deadline))
        t->deadline = t->began + t->settings->deadline;
    if (!kap_handles_equip(&e->handles, t)) {
        deliver(e, t);
        return;
    }
    CURLMcode rc = tune(e, t);
    if (rc == CURLM_OK)
        rc = curl_multi_add_handle(e->multi, t->easy);
    if (rc != CURLM_OK) {
        kap_handles_return(&e->handles, t, false);
        fail(e, t,
             rc == CURLM_OUT_OF_MEMORY ? KAP_OUTCOME_NOMEM : KAP_OUTCOME_FAILED,
             from_multi(rc));
        return;
    }
    t->running = true;
    kap_queue_started(&e->queue, t);
    atomic_store_explicit(&t->started, true, memory_order_release);
    if (t->lane->watched) {
        pthread_mutex_lock(&e->lock);
        e->news = true;
        kap_notify_mark(&e->notify);
        pthread_mutex_unlock(&e->lock);
    }
}

/* Starts what may start, or only the first of it; returns when more is due. */
static double start_due(kap_engine *e, double now, bool one)
{
    double due = now + IDLE_SECONDS;
    kap_list expired = {0};
    kap_transfer *t;
    while ((t = kap_queue_next(&e->queue, now, &due, &expired)) != NULL) {
        start(e, t);
        if (one)
            break;
    }
    while ((t = expired.first) != NULL) {
        kap_list_remove(&expired, t);
        fail(e, t, KAP_OUTCOME_DEADLINE, CURLE_OPERATION_TIMEDOUT);
    }
    return due;
}

/* Takes in what was submitted and throws out what was cancelled. */
static void absorb(kap_engine *e)
{
    kap_list swept = {0}, running = {0};
    kap_transfer *t, *next;
    pthread_mutex_lock(&e->lock);
    while ((t = e->inbox.first) != NULL) {
        kap_list_remove(&e->inbox, t);
        kap_queue_push(&e->queue, t);
    }
    if (e->cancels > 0) {
        kap_queue_sweep(&e->queue, &swept);
        for (t = e->queue.active.first; t != NULL; t = next) {
            next = t->next;
            if (t->cancelled) {
                kap_queue_ended(&e->queue, t);
                kap_list_push(&running, t);
            }
        }
        e->cancels -= (int)(swept.n + running.n);
    }
    pthread_mutex_unlock(&e->lock);
    free_list(&swept);
    /* not under the lock: the host must not wait for libcurl */
    bool any = running.n > 0;
    while ((t = running.first) != NULL) {
        kap_list_remove(&running, t);
        cut(e, t);
    }
    if (any)
        flush(e);
}

static void reap(kap_engine *e)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(e->multi, &left)) != NULL) {
        kap_transfer *t = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE ||
            curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE,
                              (char **)&t) != CURLE_OK)
            continue;
        kap_transfer_finish(t, code);
        if (kap_transfer_may_refuse(t))
            kap_lane_hold(t);
        if (t->http2 && !e->http2) {
            e->http2 = true;
            curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                              HTTP2_CONNECTIONS);
        } else if (!t->http2 && e->http2 &&
                   t->outcome == KAP_OUTCOME_RESPONSE) {
            e->http2 = false;
            curl_multi_setopt(e->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L);
        }
        leave_multi(e, t);
        deliver(e, t);
    }
}

static void fail_all(kap_engine *e, CURLMcode rc)
{
    kap_transfer *t;
    while ((t = e->queue.active.first) != NULL) {
        t->outcome =
            rc == CURLM_OUT_OF_MEMORY ? KAP_OUTCOME_NOMEM : KAP_OUTCOME_FAILED;
        leave_multi(e, t);
        fail(e, t, t->outcome, from_multi(rc));
    }
}

/* An iterator's caller may take its time between two tickets, and inline nobody
 * drives the engine meanwhile: that must not count as the server's time. */
static void forgive_pause(kap_engine *e)
{
    double now = kap_now(), pause = now - e->last_turn;
    kap_lane *l = e->queue.ring;
    e->last_turn = now;
    if (e->threaded || pause < PAUSE_SECONDS)
        return;
    for (kap_transfer *t = e->queue.active.first; t != NULL; t = t->next)
        if (t->lane->patient)
            kap_transfer_extend(t, pause);
    if (l == NULL)
        return;
    do {
        for (kap_transfer *t = l->waiting.first; t != NULL; t = t->next)
            if (l->patient)
                t->deadline +=
                    pause < now - t->submitted ? pause : now - t->submitted;
        l = l->next;
    } while (l != e->queue.ring);
}

/* When the engine itself ends it. Limits are libcurl's to keep, unless they were
 * extended; but it has lost a transfer's timers when memory ran out. */
static double last_moment(const kap_transfer *t)
{
    return t->extended > 0 ? t->expires : t->expires + GRACE_SECONDS;
}

static void expire(kap_engine *e, double now, double *due)
{
    kap_transfer *next;
    for (kap_transfer *t = e->queue.active.first; t != NULL; t = next) {
        double when = last_moment(t);
        next = t->next;
        if (when > now) {
            if (when < *due)
                *due = when;
            continue;
        }
        kap_transfer_finish(t, CURLE_OPERATION_TIMEDOUT);
        leave_multi(e, t);
        deliver(e, t);
    }
}

/*
 * Does all that can be done without waiting; returns when more is due.
 *
 * Inline, answers that came together are read in one go, and the caller then
 * deals with one after the other. Were the next requests sent together as well,
 * so would be their answers: the server and this thread would only ever work in
 * turns. So as long as the caller has something to do, they start one by one.
 */
static double turn(kap_engine *e, bool busy)
{
    double due;
    int running;
    absorb(e);
    forgive_pause(e);
    for (;;) {
        due =
            start_due(e, kap_now(), !e->threaded && (busy || e->outbox.n > 0));
        size_t before = e->queue.active.n;
        CURLMcode rc = curl_multi_perform(e->multi, &running);
        if (rc != CURLM_OK)
            fail_all(e, rc);
        else
            reap(e);
        expire(e, kap_now(), &due);
        if (e->queue.active.n == before || e->queue.ring == NULL)
            return due;
    }
}

static void *engine_main(void *arg)
{
    kap_engine *e = arg;
    bool stop = false;
    while (!stop) {
        double wait = turn(e, false) - kap_now();
        CURLMcode rc =
            curl_multi_poll(e->multi, NULL, 0, (int)kap_ms(wait, 60000), NULL);
        if (rc != CURLM_OK) {
            fail_all(e, rc);
            poll(NULL, 0, 10); /* should it go on so: not as fast as it can */
        }
        pthread_mutex_lock(&e->lock);
        stop = e->stop;
        pthread_mutex_unlock(&e->lock);
    }
    return NULL;
}

/* the caller's side ------------------------------------------------------ */

kap_engine *kap_engine_new(void)
{
    kap_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    kap_notify_init(&e->notify);
    kap_queue_init(&e->queue);
    e->multi = curl_multi_init();
    if (e->multi != NULL && kap_handles_init(&e->handles) &&
        pthread_mutex_init(&e->lock, NULL) == 0)
        return e;
    kap_handles_free(&e->handles);
    if (e->multi != NULL)
        curl_multi_cleanup(e->multi);
    free(e);
    return NULL;
}

bool kap_engine_threaded(const kap_engine *e)
{
    return e->threaded;
}

/* A multi handle that was made while there were no descriptors to be had works,
 * but nothing wakes it; libcurl says so only here. */
static bool can_wake(kap_engine *e)
{
    if (curl_multi_wakeup(e->multi) == CURLM_OK)
        return true;
    CURLM *other = e->queue.active.n == 0 ? curl_multi_init() : NULL;
    if (other == NULL)
        return false;
    curl_multi_cleanup(e->multi);
    e->multi = other;
    e->max_connects = 0;
    e->http2 = false;
    return curl_multi_wakeup(e->multi) == CURLM_OK;
}

bool kap_engine_start(kap_engine *e, const char **why)
{
    sigset_t all, before;
    if (e->threaded)
        return true;
    if (!can_wake(e)) {
        *why = strerror(EMFILE);
        return false;
    }
    if (!e->notify.distant && kap_engine_fd(e) < 0) {
        *why = strerror(errno);
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

void kap_engine_free(kap_engine *e)
{
    if (e == NULL)
        return;
    if (e->threaded) {
        pthread_mutex_lock(&e->lock);
        e->stop = true;
        pthread_mutex_unlock(&e->lock);
        curl_multi_wakeup(e->multi);
        pthread_join(e->thread, NULL);
    }
    while (e->queue.active.first != NULL) {
        kap_transfer *t = e->queue.active.first;
        leave_multi(e, t);
        discard(t);
    }
    while (e->queue.ring != NULL) {
        kap_transfer *t = e->queue.ring->waiting.first;
        kap_queue_remove(&e->queue, t);
        discard(t);
    }
    free_list(&e->inbox);
    free_list(&e->outbox);
    kap_handles_free(&e->handles);
    curl_multi_cleanup(e->multi);
    kap_notify_close(&e->notify);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

void kap_engine_abandon(kap_engine *e)
{
    /* Kept, or a leak checker in the child would call it lost: it can't be
     * freed, the thread that is gone may have held the lock, or libcurl. */
    static _Atomic(kap_engine *) abandoned;
    if (e == NULL)
        return;
    kap_notify_abandon(&e->notify);
    e->abandoned = atomic_exchange(&abandoned, e);
}

void kap_engine_submit(kap_engine *e, kap_transfer *t, kap_lane *lane)
{
    t->lane = kap_lane_ref(lane);
    t->submitted = kap_now();
    pthread_mutex_lock(&e->lock);
    /* what is in there already has woken the thread, which takes all of it */
    bool first = e->inbox.n == 0;
    kap_list_push(&e->inbox, t);
    pthread_mutex_unlock(&e->lock);
    if (first && e->threaded)
        curl_multi_wakeup(e->multi);
}

void kap_engine_cancel(kap_engine *e, kap_transfer *t)
{
    bool mine = false;
    pthread_mutex_lock(&e->lock);
    for (kap_transfer *o = e->outbox.first; o != NULL && !mine; o = o->next)
        mine = o == t;
    if (mine) {
        kap_list_remove(&e->outbox, t);
    } else {
        t->cancelled = true;
        e->cancels++;
    }
    pthread_mutex_unlock(&e->lock);
    if (mine)
        discard(t);
    else if (e->threaded)
        curl_multi_wakeup(e->multi);
    else
        absorb(e);
}

kap_transfer *kap_engine_take(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    kap_transfer *t = e->outbox.first;
    if (t != NULL)
        kap_list_remove(&e->outbox, t);
    pthread_mutex_unlock(&e->lock);
    if (t != NULL && !t->holding)
        kap_lane_leave(t);
    return t;
}

void kap_engine_wake(kap_engine *e)
{
    if (e->threaded)
        curl_multi_wakeup(e->multi);
}

bool kap_engine_started(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool news = e->news;
    e->news = false;
    pthread_mutex_unlock(&e->lock);
    return news;
}

bool kap_engine_ready(kap_engine *e)
{
    pthread_mutex_lock(&e->lock);
    bool ready = e->outbox.n > 0 || e->news;
    pthread_mutex_unlock(&e->lock);
    return ready;
}

static void wait_inline(kap_engine *e, double until)
{
    for (;;) {
        double due = turn(e, false), now = kap_now();
        if (kap_engine_ready(e) || now >= until)
            return;
        double wait = (due < until ? due : until) - now;
        CURLMcode rc =
            curl_multi_poll(e->multi, NULL, 0, (int)kap_ms(wait, 60000), NULL);
        e->last_turn = kap_now();
        if (rc != CURLM_OK)
            fail_all(e, rc);
    }
}

static void wait_threaded(kap_engine *e, double until)
{
    /* With a peer there is none, and nobody waits here but by mistake. */
    struct pollfd p = {.fd = e->notify.reader, .events = POLLIN};
    double longest = p.fd < 0 ? 0.002 : IDLE_SECONDS;
    while (!kap_engine_ready(e)) {
        double left = until - kap_now();
        if (left <= 0)
            return;
        /* With the mark standing (work of the caller's own), the descriptor
         * says nothing: don't wait on it. */
        kap_engine_quiet(e);
        if (left > longest)
            left = longest;
        if (poll(&p, 1, (int)kap_ms(left, 60000)) < 0 && errno != EINTR)
            return;
    }
}

void kap_engine_turn(kap_engine *e, bool busy)
{
    if (e->threaded)
        return;
    turn(e, busy);
    e->last_turn = kap_now();
}

void kap_engine_wait(kap_engine *e, double seconds)
{
    double until = kap_now() + seconds;
    if (e->threaded)
        wait_threaded(e, until);
    else
        wait_inline(e, until);
}
