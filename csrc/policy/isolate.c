#include "policy/isolate.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

/* Replaces the batch by two, each with half of the ids that are pending. */
static bool split(kap_call *c, kap_batch *b, kap_engine *e)
{
    uint32_t half = (kap_batch_pending(c, b) + 1) / 2, at = b->first;
    for (; half > 0; at++)
        half -= c->slots[at].state == KAP_ID_PENDING;
    kap_batch *one = kap_batch_add_part(c, b, b->first, at - b->first, b);
    if (one == NULL ||
        kap_batch_add_part(c, b, at, b->first + b->count - at, one) == NULL ||
        !kap_batch_tell(c, b, KAP_EVENT_SPLIT, 0))
        return false;
    kap_batch_drop(c, b, e);
    return true;
}

/* The service answers: the parked batch goes on, in parts, again, or not at
 * all. */
static bool resume(kap_call *c, kap_batch *b, kap_engine *e)
{
    double delay;
    if (b->untried) { /* never asked for without the one that was probed */
        bool failed = b->attempts > 0; /* with those that came */
        b->untried = false;
        b->attempts = 0;
        kap_batch_again(b, 0);
        return !failed || kap_batch_tell(c, b, KAP_EVENT_SPLIT, 0);
    }
    if (kap_batch_pending(c, b) > 1)
        return split(c, b, e);
    if (!kap_batch_may_retry(c, b, b->not_before - kap_now(), &delay))
        return kap_batch_give_up(c, b, e);
    b->probe = false;
    kap_batch_again(b, delay);
    return kap_batch_tell(c, b, KAP_EVENT_RETRY, delay);
}

/* A single id that failed by itself: nothing smaller can be asked for. */
static bool is_alone(const kap_batch *b)
{
    return b->asked == 1 && !b->untried;
}

/* Counts through the parked ids that were not asked for alone: the batch that
 * has the id behind *skip others; *skip becomes how many of these are in that
 * batch. NULL: there are not so many. */
static kap_batch *parked_at(const kap_call *c, uint32_t *skip)
{
    KAP_EACH(kap_batch, b, &c->batches, link) {
        if (b->state != KAP_BATCH_PARKED || is_alone(b))
            continue;
        uint32_t here = kap_batch_pending(c, b);
        if (*skip < here)
            return b;
        *skip -= here;
    }
    return NULL;
}

/* Sends the breaker's next probe: an id that was not asked for alone. Bad ids
 * often stand together, so probes are taken from all over the call: multiples
 * of the golden ratio spread any number of them evenly. *sent: there was such
 * an id. */
static bool send_probe(kap_call *c, kap_engine *e, bool *sent)
{
    uint32_t n = 0;
    *sent = false;
    KAP_EACH(kap_batch, parked, &c->batches, link)
        if (parked->state == KAP_BATCH_PARKED && !is_alone(parked))
            n += kap_batch_pending(c, parked);
    double turn = 0.6180339887498949 * (c->breaker.probes + 1);
    uint32_t skip = (uint32_t)((turn - floor(turn)) * n);
    kap_batch *b = parked_at(c, &skip);
    if (b == NULL)
        return true;
    uint32_t at = b->first, end = b->first + b->count;
    for (; c->slots[at].state != KAP_ID_PENDING || skip > 0; at++)
        skip -= c->slots[at].state == KAP_ID_PENDING;
    kap_batch *probe = kap_batch_add_part(c, b, at, 1, b);
    kap_batch *before =
        at > b->first ? kap_batch_add_part(c, b, b->first, at - b->first, b)
                      : probe;
    kap_batch *behind =
        at + 1 < end ? kap_batch_add_part(c, b, at + 1, end - at - 1, probe)
                     : probe;
    if (probe == NULL || before == NULL || behind == NULL ||
        (!b->untried && !kap_batch_tell(c, b, KAP_EVENT_SPLIT, 0)))
        return false;
    before->state = behind->state = KAP_BATCH_PARKED;
    before->untried = behind->untried = true;
    probe->state = KAP_BATCH_READY;
    probe->untried = false;
    probe->probe = true;
    kap_batch_drop(c, b, e);
    kap_breaker_probe(&c->breaker);
    *sent = true;
    return true;
}

static bool send_canary(kap_call *c)
{
    kap_batch *b = kap_batch_add_canary(c);
    if (b == NULL)
        return false;
    if (c->breaker.probes > 0)
        kap_batch_again(b, kap_retry_backoff(c->settings->backoff,
                                             c->settings->max_backoff,
                                             (int)c->breaker.probes,
                                             kap_random(c->random)));
    KAP_EACH(const kap_batch, o, &c->batches, link)
        if (o->state == KAP_BATCH_PARKED && o->not_before > b->not_before)
            b->not_before = o->not_before; /* the service asked for a pause */
    kap_breaker_probe(&c->breaker);
    return true;
}

typedef struct overview {
    unsigned probing; /* probes that have not ended */
    bool parked;
    bool busy; /* some other batch has not ended, or is still to be sent */
} overview;

/* Looks at all batches. Unless the breaker is closed, parts that are still to
 * be sent are parked with the rest. */
static overview survey(kap_call *c)
{
    bool closed = c->breaker.state == KAP_BREAKER_CLOSED;
    bool doubt = c->breaker.state == KAP_BREAKER_IN_DOUBT;
    overview v = {0, false, !doubt && c->next < c->ids.n};
    KAP_EACH(kap_batch, b, &c->batches, link) {
        bool ready = b->state == KAP_BATCH_READY && !b->probe;
        if (ready && b->part && !closed) {
            b->state = KAP_BATCH_PARKED;
            b->untried = b->attempts == 0;
        }
        v.parked = v.parked || b->state == KAP_BATCH_PARKED;
        if (b->state != KAP_BATCH_PARKED && b->probe)
            v.probing++;
        else if (b->state != KAP_BATCH_PARKED && !(ready && doubt))
            v.busy = true;
    }
    return v;
}

/* All parked batches go on if the service is up, and are given up if it is
 * not. As long as nothing has worked, single ids stay parked: all may be
 * like them. */
static bool settle_parked(kap_call *c, kap_engine *e, bool up)
{
    KAP_EACH(kap_batch, b, &c->batches, link) {
        if (b->state != KAP_BATCH_PARKED || (up && !c->answered && is_alone(b)))
            continue;
        if (kap_batch_pending(c, b) == 0) /* all have come with others */
            kap_batch_drop(c, b, e);
        else if (!(up ? resume(c, b, e) : kap_batch_give_up(c, b, e)))
            return false;
    }
    return true;
}

bool kap_isolate_advance(kap_call *c, kap_engine *e)
{
    kap_breaker *breaker = &c->breaker;
    bool canary = c->canary_id[0] != '\0', sent = true;
    if (c->stop.kind != KAP_KIND_NONE)
        return settle_parked(c, e, false);
    if (breaker->state == KAP_BREAKER_CLOSED && !settle_parked(c, e, true))
        return false;
    overview v = survey(c);
    if (!v.parked && breaker->state != KAP_BREAKER_IN_DOUBT)
        return true;
    unsigned most = canary ? 1 : (unsigned)c->settings->concurrency;
    while (sent && breaker->state != KAP_BREAKER_CLOSED && v.probing < most &&
           kap_breaker_may_probe(breaker, canary, v.busy)) {
        if (canary ? !send_canary(c) : !send_probe(c, e, &sent))
            return false;
        v.probing += sent;
    }
    if (v.probing > 0 || (v.busy && breaker->state != KAP_BREAKER_OPEN))
        return true;
    if (breaker->state != KAP_BREAKER_OPEN)
        kap_breaker_open(breaker);
    return settle_parked(c, e, false);
}
