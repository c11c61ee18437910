#include "net/driver.h"

#include "base/clock.h"
#include "base/random.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* Connections over HTTP/2, each with many streams: more only cost handshakes */
#define HTTP2_CONNECTIONS 4L
/* How late libcurl may be with a time-out. */
#define GRACE_SECONDS 0.5
/* Between two starts of a long queue, at most: about twice what an answer of
 * 50 tickets costs the caller. And at least: libcurl waits for whole
 * milliseconds. */
#define PACED_SECONDS 0.0015
#define PACED_LEAST 0.0005
/* Nobody drove the engine for so long: the caller was busy elsewhere. */
#define PAUSE_SECONDS 0.05

void kap_driver_free_transfer(kap_transfer *t)
{
    kap_lane_detach(t);
    kap_transfer_free(t);
}

static void free_list(kap_list *l)
{
    kap_transfer *t;
    while ((t = kap_transfer_shift(l)) != NULL)
        kap_driver_free_transfer(t);
}

/* Hands a transfer that has ended to the caller. */
static void deliver(kap_engine *e, kap_transfer *t)
{
    bool dropped;
    pthread_mutex_lock(&e->lock);
    dropped = kap_transfer_is_cancelled(t);
    if (dropped) {
        e->cancels--;
    } else {
        kap_list_push(&e->outbox, &t->link);
        kap_wakeup_mark(&e->wakeup);
    }
    pthread_mutex_unlock(&e->lock);
    if (dropped)
        kap_driver_free_transfer(t);
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
    kap_scheduler_ended(&e->scheduler, t);
    /* A handle that the multi handle will not let go must not be used again,
     * nor one that failed: after running out of memory it never reads. */
    bool ok = curl_multi_remove_handle(e->multi, t->easy) == CURLM_OK &&
              t->code == CURLE_OK &&
              (t->outcome == KAP_OUTCOME_RESPONSE ||
               t->outcome == KAP_OUTCOME_PENDING);
    kap_handles_return(&e->handles, t, ok);
}

/* Ends a transfer that was cancelled. Over HTTP/2, libcurl 7.88 resets the
 * stream only with whatever it sends next on the connection. A connection that
 * carries no other stream is closed instead. */
static void cut(kap_engine *e, kap_transfer *t)
{
    curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 1L);
    curl_multi_remove_handle(e->multi, t->easy);
    kap_handles_return(&e->handles, t, false);
    kap_driver_free_transfer(t);
}

/*
 * Makes libcurl send the resets where a connection carries other streams:
 * pausing and resuming one of these sends all that is queued. libcurl does not
 * say which transfers share a connection while they run, so all are paused and
 * resumed; where nothing is queued this has no effect.
 */
static void flush(kap_engine *e)
{
    KAP_EACH(kap_transfer, t, &e->scheduler.active, link)
        if (curl_easy_pause(t->easy, CURLPAUSE_RECV) == CURLE_OK)
            curl_easy_pause(t->easy, CURLPAUSE_CONT);
}

/* The multi handle has refused something for the transfer. */
static void note_refusal(kap_transfer *t, CURLMcode rc)
{
    bool memory = rc == CURLM_OUT_OF_MEMORY;
    t->outcome = memory ? KAP_OUTCOME_NOMEM : KAP_OUTCOME_FAILED;
    t->code = memory ? CURLE_OUT_OF_MEMORY : CURLE_BAD_FUNCTION_ARGUMENT;
}

/* The same for one in flight, which ends. */
static void fail_active(kap_engine *e, kap_transfer *t, CURLMcode rc)
{
    note_refusal(t, rc);
    leave_multi(e, t);
    deliver(e, t);
}

static CURLMcode tune(kap_engine *e)
{
    long want = e->scheduler.concurrency < 8 ? 8 : e->scheduler.concurrency;
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

/* Makes the multi handle where kap_engine_new could not. */
static bool make_multi(kap_engine *e)
{
    if (!kap_ending_lock())
        return false;
    e->multi = curl_multi_init();
    kap_ending_unlock();
    return e->multi != NULL;
}

/* Gives the transfer to libcurl. False: it has failed, and was delivered. */
static bool launch(kap_engine *e, kap_transfer *t)
{
    if (e->multi == NULL && !make_multi(e)) {
        snprintf(t->error, sizeof t->error, "%s", strerror(EMFILE));
        fail(e, t, KAP_OUTCOME_FAILED, CURLE_COULDNT_CONNECT);
        return false;
    }
    if (!kap_handles_equip(&e->handles, t)) {
        deliver(e, t);
        return false;
    }
    CURLMcode rc = tune(e);
    if (rc == CURLM_OK)
        rc = curl_multi_add_handle(e->multi, t->easy);
    if (rc != CURLM_OK) {
        kap_handles_return(&e->handles, t, false);
        note_refusal(t, rc);
        deliver(e, t);
        return false;
    }
    kap_scheduler_started(&e->scheduler, t);
    return true;
}

static void start(kap_engine *e, kap_transfer *t)
{
    t->began = kap_now();
    if (t->lane->caller_paced && isinf(t->deadline))
        t->deadline = t->began + t->settings->deadline;
    if (!launch(e, t))
        return;
    atomic_store_explicit(&t->started, true, memory_order_release);
    if (t->lane->reports_starts) {
        pthread_mutex_lock(&e->lock);
        e->started = true;
        kap_wakeup_mark(&e->wakeup);
        pthread_mutex_unlock(&e->lock);
    }
}

/*
 * When the next of a long queue may start. libcurl reads answers that come
 * close together on one connection in one go, and reports none before it has
 * read all. Inline they are then dealt with one after the other, and requests
 * that started in a bunch would be answered in a bunch ever after. So over
 * HTTP/2 starts are spaced, over no more than half of the time that an answer
 * takes, so that as many as allowed are in flight all the same. It does not
 * help where few wait.
 */
static double next_paced_start(const kap_engine *e)
{
    const kap_lane *l = KAP_ITEM(e->scheduler.lanes.first, kap_lane, link);
    const kap_transfer *last =
        KAP_ITEM(e->scheduler.active.last, kap_transfer, link);
    double apart;
    if (e->threaded || !e->http2 || l == NULL || last == NULL ||
        l->waiting.n < 2 * (size_t)e->scheduler.concurrency)
        return 0;
    apart = e->latency / 2 / e->scheduler.concurrency;
    if (apart < PACED_LEAST)
        return 0;
    return last->began + (apart < PACED_SECONDS ? apart : PACED_SECONDS);
}

/* Starts what may start, or only the first of it; returns when more is due. */
static double start_due(kap_engine *e, double now, bool one)
{
    double due = now + KAP_IDLE_SECONDS, next;
    kap_list expired = {0};
    kap_transfer *t;
    while ((next = next_paced_start(e)) <= now &&
           (t = kap_scheduler_next(&e->scheduler, now, &due, &expired)) !=
               NULL) {
        start(e, t);
        if (one)
            break;
    }
    if (next > now && next < due)
        due = next;
    while ((t = kap_transfer_shift(&expired)) != NULL)
        fail(e, t, t->outcome, CURLE_OPERATION_TIMEDOUT);
    return due;
}

void kap_driver_absorb(kap_engine *e)
{
    kap_list swept = {0}, running = {0};
    kap_transfer *t;
    pthread_mutex_lock(&e->lock);
    while ((t = kap_transfer_shift(&e->inbox)) != NULL)
        kap_scheduler_push(&e->scheduler, t);
    if (e->cancels > 0) {
        kap_scheduler_sweep(&e->scheduler, &swept);
        KAP_EACH(kap_transfer, active, &e->scheduler.active, link)
            if (kap_transfer_is_cancelled(active)) {
                kap_scheduler_ended(&e->scheduler, active);
                kap_list_push(&running, &active->link);
            }
        e->cancels -= (int)(swept.n + running.n);
    }
    pthread_mutex_unlock(&e->lock);
    free_list(&swept);
    /* not under the lock: the host must not wait for libcurl */
    bool any = running.n > 0;
    while ((t = kap_transfer_shift(&running)) != NULL)
        cut(e, t);
    if (any)
        flush(e);
}

/* Starts a transfer again whose connection was not fit to be used. Nothing went
 * out, so nobody else is told. */
static void relaunch(kap_engine *e, kap_transfer *t)
{
    leave_multi(e, t);
    kap_transfer_rewind(t);
    t->fresh = true;
    launch(e, t);
}

/* Tells the pace of the answer, and notes in the transfer what follows for
 * it. */
static void update_pace(kap_engine *e, kap_transfer *t)
{
    kap_pace *p = &e->scheduler.pace;
    const kap_settings *s = t->settings;
    double now = kap_now(), until = p->until;
    double retry_after = kap_retry_after_seconds(&t->retry_after, time(NULL));
    t->pushed_back = t->status == 429 ||
                     (t->status >= 400 && t->status != 401 && retry_after >= 0);
    if (t->pushed_back) {
        t->others_succeed = e->succeeded > t->submitted;
        t->pause =
            kap_pace_pushed_back(p, t->began, retry_after, s->backoff,
                                 s->max_backoff, kap_random(&e->random), now);
        t->lengthens_pause = p->until > until;
    } else if (t->outcome == KAP_OUTCOME_RESPONSE && t->status < 400) {
        kap_pace_accepted(p, t->began);
        e->succeeded = now;
    }
}

/*
 * libcurl lets transfers wait for the handshake of another, in order to share
 * its connection if that turns out to be HTTP/2. Where it does not, libcurl
 * 8.14 and 8.23 leave them waiting until the other has its answer, which may
 * take long. So as soon as a request goes out on a new connection, whose
 * protocol is then known, transfers that have not begun are taken out of the
 * multi handle and put in again.
 */
static void restart_waiting(kap_engine *e, kap_transfer *first)
{
    first->leads = false;
    KAP_EACH(kap_transfer, t, &e->scheduler.active, link) {
        if (t->opened || t->sent > 0 ||
            strcmp(t->message->url, first->message->url) != 0)
            continue;
        CURLMcode rc = curl_multi_remove_handle(e->multi, t->easy);
        if (rc == CURLM_OK)
            rc = curl_multi_add_handle(e->multi, t->easy);
        if (rc != CURLM_OK)
            fail_active(e, t, rc);
    }
}

static void restart_due(kap_engine *e)
{
    KAP_EACH(kap_transfer, t, &e->scheduler.active, link)
        if (t->leads) {
            restart_waiting(e, t);
            return;
        }
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
        if (t->unsent && code == CURLE_ABORTED_BY_CALLBACK) {
            t->code = code;
            relaunch(e, t);
            continue;
        }
        kap_transfer_finish(t, code);
        update_pace(e, t);
        if (t->outcome == KAP_OUTCOME_RESPONSE)
            e->latency = t->elapsed;
        /* lists of tickets are searched only where something waits to be
         * sent */
        if (kap_transfer_may_refuse(t) ||
            (t->lane->waiting.n > 0 && kap_transfer_names_refusal(t)))
            kap_lane_await_verdict(t);
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
    while ((t = kap_transfer_first(&e->scheduler.active)) != NULL)
        fail_active(e, t, rc);
}

/* An iterator's caller may take its time between two tickets. Inline, nobody
 * drives the engine meanwhile, so that time must not count as the server's. */
static void extend_caller_paced(kap_engine *e)
{
    double now = kap_now(), pause = now - e->last_turn;
    e->last_turn = now;
    if (e->threaded || pause < PAUSE_SECONDS)
        return;
    KAP_EACH(kap_transfer, t, &e->scheduler.active, link)
        if (t->lane->caller_paced)
            kap_transfer_extend(t, pause);
    KAP_EACH(kap_lane, l, &e->scheduler.lanes, link)
        KAP_EACH(kap_transfer, t, &l->waiting, link)
            if (l->caller_paced)
                t->deadline +=
                    pause < now - t->submitted ? pause : now - t->submitted;
}

/* When the engine itself ends the transfer. libcurl keeps the time limits, but
 * for those that were extended; and it loses a transfer's timers when memory
 * runs out. */
static double last_moment(const kap_transfer *t)
{
    return t->extended > 0 ? t->expires : t->expires + GRACE_SECONDS;
}

static void expire(kap_engine *e, double now, double *due)
{
    KAP_EACH(kap_transfer, t, &e->scheduler.active, link) {
        double when = last_moment(t);
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

double kap_driver_turn(kap_engine *e, bool busy)
{
    double due;
    int running;
    kap_driver_absorb(e);
    extend_caller_paced(e);
    for (;;) {
        due =
            start_due(e, kap_now(), !e->threaded && (busy || e->outbox.n > 0));
        size_t before = e->scheduler.active.n;
        CURLMcode rc = kap_ending_perform(&e->entry, &running);
        if (rc != CURLM_OK)
            fail_all(e, rc);
        else
            reap(e);
        restart_due(e);
        expire(e, kap_now(), &due);
        if (e->scheduler.active.n == before || e->scheduler.lanes.n == 0 ||
            kap_ending_calls())
            return due;
    }
}

bool kap_driver_poll(kap_engine *e, double seconds)
{
    if (e->multi == NULL) { /* nothing is under way */
        poll(NULL, 0, (int)kap_ms(seconds, 60000));
        return true;
    }
    CURLMcode rc =
        curl_multi_poll(e->multi, NULL, 0, (int)kap_ms(seconds, 60000), NULL);
    if (rc != CURLM_OK)
        fail_all(e, rc);
    return rc == CURLM_OK;
}

void kap_driver_free_all(kap_engine *e)
{
    kap_transfer *t;
    while ((t = kap_transfer_first(&e->scheduler.active)) != NULL) {
        leave_multi(e, t);
        kap_driver_free_transfer(t);
    }
    KAP_EACH(kap_lane, l, &e->scheduler.lanes, link)
        KAP_EACH(kap_transfer, waiting, &l->waiting, link) {
            kap_scheduler_remove(&e->scheduler, waiting);
            kap_driver_free_transfer(waiting);
        }
    free_list(&e->inbox);
    free_list(&e->outbox);
}
