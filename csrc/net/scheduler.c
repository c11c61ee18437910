#include "net/scheduler.h"

#include <math.h>
#include <stdlib.h>

/* How late a start may be and the next still keep to the even spacing. */
#define SLOT_SLACK 0.002
/* Longer than any process; finite, as 1 / rate need not be, so that slots can
 * be reckoned with. */
#define INTERVAL_MAX 1e12

void kap_scheduler_push(kap_scheduler *s, kap_transfer *t)
{
    kap_lane *l = t->lane;
    if (l->waiting.n == 0)
        kap_list_push(&s->lanes, &l->link);
    kap_list_push(&l->waiting, &t->link);
}

void kap_scheduler_remove(kap_scheduler *s, kap_transfer *t)
{
    kap_lane *l = t->lane;
    kap_list_remove(&l->waiting, &t->link);
    if (l->waiting.n == 0)
        kap_list_remove(&s->lanes, &l->link);
}

static void earlier(double *due, double when)
{
    if (when < *due)
        *due = when;
}

void kap_scheduler_init(kap_scheduler *s, int concurrency, double rate)
{
    s->concurrency = concurrency;
    s->interval = isinf(rate) ? 0 : fmin(1 / rate, INTERVAL_MAX);
    s->next_slot = -INFINITY;
    kap_pace_init(&s->pace);
}

void kap_scheduler_started(kap_scheduler *s, kap_transfer *t)
{
    kap_pace_started(&s->pace, s->active.n, t->began);
    kap_list_push(&s->active, &t->link);
}

void kap_scheduler_ended(kap_scheduler *s, kap_transfer *t)
{
    kap_list_remove(&s->active, &t->link);
}

static void take_slot(kap_scheduler *s, double now)
{
    double slot = s->next_slot;
    if (slot < now - SLOT_SLACK)
        slot = now;
    s->next_slot = slot + s->interval;
}

/* Where its caller sets the pace, one has no deadline before it starts: then it
 * is the time that it will have. */
static bool is_pause_too_long(const kap_scheduler *s, const kap_transfer *t)
{
    double deadline = t->deadline;
    if (isinf(deadline) && t->lane->caller_paced)
        deadline = t->submitted + t->settings->deadline;
    return s->pace.until >= deadline;
}

/* The first of the lane's that may start, still in it. The lane itself lives
 * on even when its last transfer has gone to `expired`: that one refers to it.
 */
static kap_transfer *lane_next(kap_scheduler *s, kap_lane *l, double now,
                               double when, double *due, kap_list *expired)
{
    kap_transfer *found = NULL;
    bool blocked =
        atomic_load_explicit(&l->awaiting_verdict, memory_order_acquire) > 0;
    KAP_EACH(kap_transfer, t, &l->waiting, link) {
        if (t->deadline <= now || is_pause_too_long(s, t)) {
            t->outcome =
                t->deadline <= now ? KAP_OUTCOME_DEADLINE : KAP_OUTCOME_PAUSED;
            t->pause = s->pace.until - now;
            kap_scheduler_remove(s, t);
            kap_list_push(expired, &t->link);
            continue;
        }
        earlier(due, t->deadline);
        /* whoever gives a verdict has cancelled before what must not start */
        if (blocked || kap_transfer_is_cancelled(t))
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

kap_transfer *kap_scheduler_next(kap_scheduler *s, double now, double *due,
                                 kap_list *expired)
{
    /* when the client may start one more; INFINITY: once another has ended */
    double when = INFINITY;
    if (s->active.n < (size_t)s->concurrency)
        when = fmax(s->next_slot, kap_pace_due(&s->pace, s->active.n, now));
    for (size_t n = s->lanes.n; n > 0; n--) {
        kap_lane *l = KAP_ITEM(s->lanes.first, kap_lane, link);
        if (l == NULL)
            break;
        kap_transfer *t = lane_next(s, l, now, when, due, expired);
        if (l->waiting.n > 0) { /* whoever had its turn goes last */
            kap_list_remove(&s->lanes, &l->link);
            kap_list_push(&s->lanes, &l->link);
        }
        if (t == NULL)
            continue;
        take_slot(s, now);
        kap_scheduler_remove(s, t);
        return t;
    }
    return NULL;
}

void kap_scheduler_sweep(kap_scheduler *s, kap_list *out)
{
    KAP_EACH(kap_lane, l, &s->lanes, link)
        KAP_EACH(kap_transfer, t, &l->waiting, link)
            if (kap_transfer_is_cancelled(t)) {
                kap_scheduler_remove(s, t);
                kap_list_push(out, &t->link);
            }
}
