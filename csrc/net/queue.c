#include "net/queue.h"

#include <math.h>
#include <stdlib.h>

/* How late a start may be and the next still keep to the even spacing. */
#define SLOT_SLACK 0.002
/* Longer than any process; finite, as 1 / rate need not be, so that slots can
 * be reckoned with. */
#define INTERVAL_MAX 1e12

void kap_list_push(kap_list *l, kap_transfer *t)
{
    t->next = NULL;
    t->prev = l->last;
    if (l->last != NULL)
        l->last->next = t;
    else
        l->first = t;
    l->last = t;
    l->n++;
}

void kap_list_remove(kap_list *l, kap_transfer *t)
{
    if (t->prev != NULL)
        t->prev->next = t->next;
    else
        l->first = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    else
        l->last = t->prev;
    t->prev = t->next = NULL;
    l->n--;
}

kap_lane *kap_lane_new(bool watched)
{
    kap_lane *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    atomic_init(&l->refs, 1);
    atomic_init(&l->held, 0);
    l->watched = watched;
    return l;
}

kap_lane *kap_lane_ref(kap_lane *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void kap_lane_unref(kap_lane *l)
{
    if (l != NULL &&
        atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) == 1)
        free(l);
}

void kap_lane_hold(kap_transfer *t)
{
    t->holding = true;
    atomic_fetch_add_explicit(&t->lane->held, 1, memory_order_relaxed);
}

void kap_lane_leave(kap_transfer *t)
{
    if (t->holding)
        atomic_fetch_sub_explicit(&t->lane->held, 1, memory_order_release);
    t->holding = false;
    kap_lane_unref(t->lane);
    t->lane = NULL;
}

void kap_queue_push(kap_queue *q, kap_transfer *t)
{
    kap_lane *l = t->lane;
    if (l->waiting.n == 0) { /* joins the ring, last in turn */
        if (q->ring == NULL) {
            l->prev = l->next = l;
            q->ring = l;
        } else {
            l->next = q->ring;
            l->prev = q->ring->prev;
            l->prev->next = l;
            l->next->prev = l;
        }
    }
    kap_list_push(&l->waiting, t);
}

void kap_queue_remove(kap_queue *q, kap_transfer *t)
{
    kap_lane *l = t->lane;
    kap_list_remove(&l->waiting, t);
    if (l->waiting.n > 0)
        return;
    if (l->next == l) {
        q->ring = NULL;
    } else {
        l->prev->next = l->next;
        l->next->prev = l->prev;
        if (q->ring == l)
            q->ring = l->next;
    }
    l->prev = l->next = NULL;
}

static void earlier(double *due, double when)
{
    if (when < *due)
        *due = when;
}

void kap_queue_init(kap_queue *q, int concurrency, double rate)
{
    q->concurrency = concurrency;
    q->interval = isinf(rate) ? 0 : fmin(1 / rate, INTERVAL_MAX);
    q->next_slot = -INFINITY;
    kap_pace_init(&q->pace);
}

void kap_queue_started(kap_queue *q, kap_transfer *t)
{
    kap_pace_started(&q->pace, q->active.n, t->began);
    kap_list_push(&q->active, t);
}

void kap_queue_ended(kap_queue *q, kap_transfer *t)
{
    kap_list_remove(&q->active, t);
}

static void take_slot(kap_queue *q, double now)
{
    double slot = q->next_slot;
    if (slot < now - SLOT_SLACK)
        slot = now;
    q->next_slot = slot + q->interval;
}

/* A patient lane's has no deadline before it starts: then it is the time that it
 * will have. */
static bool is_held_too_long(const kap_queue *q, const kap_transfer *t)
{
    double deadline = t->deadline;
    if (isinf(deadline) && t->lane->patient)
        deadline = t->submitted + t->settings->deadline;
    return q->pace.until >= deadline;
}

/* The first of the lane's that may start, still in it. The lane itself lives
 * on even when its last transfer has gone to `expired`: that one refers to it.
 */
static kap_transfer *lane_next(kap_queue *q, kap_lane *l, double now,
                               double when, double *due, kap_list *expired)
{
    kap_transfer *found = NULL, *next;
    bool held = atomic_load_explicit(&l->held, memory_order_acquire) > 0;
    for (kap_transfer *t = l->waiting.first; t != NULL; t = next) {
        next = t->next;
        if (t->deadline <= now || is_held_too_long(q, t)) {
            t->outcome =
                t->deadline <= now ? KAP_OUTCOME_DEADLINE : KAP_OUTCOME_HELD;
            t->hold = q->pace.until - now;
            kap_queue_remove(q, t);
            kap_list_push(expired, t);
            continue;
        }
        earlier(due, t->deadline);
        /* whoever lets go of a lane has cancelled before what must not start */
        if (held || kap_is_cancelled(t))
            continue;
        if (t->not_before > now)
            earlier(due, t->not_before);
        else if (when > now)
            earlier(due, when);
        else if (found == NULL)
            found = t;
    }
    return found;
}

static size_t count_lanes(const kap_queue *q)
{
    size_t n = 0;
    const kap_lane *l = q->ring;
    if (l == NULL)
        return 0;
    do {
        n++;
        l = l->next;
    } while (l != q->ring);
    return n;
}

kap_transfer *kap_queue_next(kap_queue *q, double now, double *due,
                             kap_list *expired)
{
    /* when the client may start one more; INFINITY: once another has ended */
    double when = INFINITY;
    if (q->active.n < (size_t)q->concurrency)
        when = fmax(q->next_slot, kap_pace_due(&q->pace, q->active.n, now));
    for (size_t lanes = count_lanes(q); lanes > 0 && q->ring != NULL; lanes--) {
        kap_lane *l = q->ring;
        kap_transfer *t = lane_next(q, l, now, when, due, expired);
        if (q->ring == l) /* whoever had its turn goes last */
            q->ring = l->next;
        if (t == NULL)
            continue;
        take_slot(q, now);
        kap_queue_remove(q, t);
        return t;
    }
    return NULL;
}

static bool sweep_lane(kap_queue *q, kap_lane *l, kap_list *out)
{
    size_t before = out->n;
    kap_transfer *next;
    for (kap_transfer *t = l->waiting.first; t != NULL; t = next) {
        next = t->next;
        if (kap_is_cancelled(t)) {
            kap_queue_remove(q, t);
            kap_list_push(out, t);
        }
    }
    return out->n != before;
}

void kap_queue_sweep(kap_queue *q, kap_list *out)
{
    bool again = true;
    while (again && q->ring != NULL) {
        kap_lane *l = q->ring;
        do { /* a lane that is emptied leaves the ring: begin anew */
            again = sweep_lane(q, l, out);
            l = l->next;
        } while (!again && l != q->ring);
    }
}
