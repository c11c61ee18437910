#include "policy/isolate.h"

#include "base/clock.h"

#include <math.h>
#include <string.h>

bool kap_isolate_applies(const kap_failure *f)
{
    if (f->alone)
        return !kap_kind_ends_call(f->kind);
    switch (f->kind) {
    case KAP_KIND_BAD_REQUEST: /* 413 and 414 among them: too much at once */
    case KAP_KIND_NOT_FOUND:
    case KAP_KIND_SERVER:
    case KAP_KIND_TOO_LARGE:
    case KAP_KIND_PROTOCOL: /* one ticket may spoil the JSON around it */
    case KAP_KIND_TIMEOUT:  /* and one may be what takes the service so long */
        return !f->deadline;
    default: return false;
    }
}

/* Part of b, in its place before or behind it. */
static kap_batch *add_part(kap_call *c, const kap_batch *b, uint32_t first,
                           uint32_t count, kap_batch *after)
{
    kap_batch *part = kap_call_add(c, first, count, after);
    if (part == NULL)
        return NULL;
    part->part = true;
    part->http1 = b->http1;
    part->deadline = b->deadline;
    part->not_before = b->not_before;
    part->failure = b->failure;
    return part;
}

/* In halves: by number of ids that have not come, wherever they stand. */
static bool split(kap_call *c, kap_batch *b, kap_engine *e)
{
    uint32_t half = (kap_call_pending(c, b) + 1) / 2, at = b->first;
    for (; half > 0; at++)
        half -= c->slots[at].state == KAP_ID_PENDING;
    kap_batch *one = add_part(c, b, b->first, at - b->first, b);
    if (one == NULL ||
        add_part(c, b, at, b->first + b->count - at, one) == NULL ||
        !kap_call_tell(c, b, KAP_EVENT_SPLIT, 0))
        return false;
    kap_call_drop(c, b, e);
    return true;
}

/* The service answers: what is parked is looked at now. */
static bool resume(kap_call *c, kap_batch *b, kap_engine *e)
{
    double delay;
    uint32_t pending = kap_call_pending(c, b);
    if (pending == 0) { /* all have come with others */
        kap_call_drop(c, b, e);
        return true;
    }
    if (b->rest) { /* never asked for without the one that was probed */
        bool failed = b->attempts > 0; /* with those that came */
        b->rest = false;
        b->attempts = 0;
        kap_call_again(b, 0);
        return !failed || kap_call_tell(c, b, KAP_EVENT_SPLIT, 0);
    }
    if (pending > 1)
        return split(c, b, e);
    if (!kap_call_may_retry(c, b, b->not_before - kap_now(), &delay))
        return kap_call_give_up(c, b, e);
    b->probe = false;
    kap_call_again(b, delay);
    return kap_call_tell(c, b, KAP_EVENT_RETRY, delay);
}

/* A single id that failed by itself: nothing smaller can be asked for. */
static bool is_alone(const kap_batch *b)
{
    return b->asked == 1 && !b->rest;
}

/* The breaker's next probe: an id that nobody has asked for alone. They are taken
 * here and there (by the golden ratio, which spreads any number of them evenly),
 * for bad ids often stand together. False in *sent: there is none. */
static bool send_probe(kap_call *c, kap_engine *e, bool *sent)
{
    uint32_t n = 0;
    *sent = false;
    for (kap_batch *b = c->batches; b != NULL; b = b->next)
        if (b->state == KAP_BATCH_PARKED && !is_alone(b))
            n += kap_call_pending(c, b);
    if (n == 0)
        return true;
    double turn = 0.6180339887498949 * (c->breaker.probes + 1);
    uint32_t skip = (uint32_t)((turn - floor(turn)) * n);
    kap_batch *b = c->batches;
    for (;; b = b->next) {
        if (b->state != KAP_BATCH_PARKED || is_alone(b))
            continue;
        uint32_t here = kap_call_pending(c, b);
        if (skip < here)
            break;
        skip -= here;
    }
    uint32_t at = b->first, end = b->first + b->count;
    for (; c->slots[at].state != KAP_ID_PENDING || skip > 0; at++)
        skip -= c->slots[at].state == KAP_ID_PENDING;
    kap_batch *probe = add_part(c, b, at, 1, b);
    kap_batch *before =
        at > b->first ? add_part(c, b, b->first, at - b->first, b) : probe;
    kap_batch *behind =
        at + 1 < end ? add_part(c, b, at + 1, end - at - 1, probe) : probe;
    if (probe == NULL || before == NULL || behind == NULL ||
        (!b->rest && !kap_call_tell(c, b, KAP_EVENT_SPLIT, 0)))
        return false;
    before->state = behind->state = KAP_BATCH_PARKED;
    before->rest = behind->rest = true;
    probe->state = KAP_BATCH_READY;
    probe->rest = false;
    probe->probe = true;
    kap_call_drop(c, b, e);
    kap_breaker_probe(&c->breaker);
    *sent = true;
    return true;
}

static bool send_canary(kap_call *c)
{
    kap_batch *b = c->canary = kap_call_new_canary(c);
    if (b == NULL)
        return false;
    if (c->breaker.probes > 0)
        kap_call_again(b, kap_backoff(c->settings->backoff,
                                      c->settings->max_backoff,
                                      (int)c->breaker.probes,
                                      kap_random(c->random)));
    for (const kap_batch *o = c->batches; o != NULL; o = o->next)
        if (o->state == KAP_BATCH_PARKED && o->not_before > b->not_before)
            b->not_before = o->not_before; /* the service asked for a pause */
    kap_breaker_probe(&c->breaker);
    return true;
}

typedef struct overview {
    unsigned probing; /* probes that have not ended */
    bool parked;
    bool busy; /* something else has not ended, or is to be sent */
} overview;

static overview look(const kap_call *c)
{
    bool doubt = c->breaker.state == KAP_BREAKER_IN_DOUBT;
    overview v = {c->canary != NULL, false, !doubt && c->next < c->ids.n};
    for (const kap_batch *b = c->batches; b != NULL; b = b->next) {
        if (b->state == KAP_BATCH_PARKED)
            v.parked = true;
        else if (b->probe)
            v.probing++;
        else if (b->state != KAP_BATCH_READY || !doubt)
            v.busy = true; /* in doubt, what is ready is not sent */
    }
    return v;
}

static bool give_up_parked(kap_call *c, kap_engine *e)
{
    kap_batch *next;
    for (kap_batch *b = c->batches; b != NULL; b = next) {
        next = b->next;
        if (b->state == KAP_BATCH_PARKED && !kap_call_give_up(c, b, e))
            return false;
    }
    return true;
}

static bool resume_parked(kap_call *c, kap_engine *e)
{
    kap_batch *next;
    for (kap_batch *b = c->batches; b != NULL; b = next) {
        next = b->next;
        /* before anything has worked, an id alone is not tried again: all may
         * be like it */
        if (b->state == KAP_BATCH_PARKED && (c->answered || !is_alone(b)) &&
            !resume(c, b, e))
            return false;
    }
    return true;
}

/* The service may be gone: parts that were not sent yet wait with the rest. */
static void park_parts(kap_call *c)
{
    for (kap_batch *b = c->batches; b != NULL; b = b->next) {
        if (b->state != KAP_BATCH_READY || !b->part || b->probe)
            continue;
        b->state = KAP_BATCH_PARKED;
        b->rest = b->attempts == 0;
    }
}

bool kap_isolate_advance(kap_call *c, kap_engine *e)
{
    kap_breaker *breaker = &c->breaker;
    bool canary = c->known[0] != '\0', sent = true;
    if (c->stop.kind != KAP_KIND_NONE)
        return give_up_parked(c, e);
    if (breaker->state == KAP_BREAKER_CLOSED && !resume_parked(c, e))
        return false;
    if (breaker->state != KAP_BREAKER_CLOSED)
        park_parts(c);
    overview v = look(c);
    if (!v.parked && breaker->state != KAP_BREAKER_IN_DOUBT)
        return true;
    while (sent && breaker->state != KAP_BREAKER_CLOSED &&
           v.probing < (canary ? 1 : (unsigned)c->settings->concurrency) &&
           kap_breaker_may_probe(breaker, canary, v.busy)) {
        if (canary ? !send_canary(c) : !send_probe(c, e, &sent))
            return false;
        v.probing += sent;
    }
    if (v.probing > 0 || (v.busy && breaker->state != KAP_BREAKER_OPEN))
        return true;
    if (breaker->state != KAP_BREAKER_OPEN)
        kap_breaker_open(breaker);
    return give_up_parked(c, e);
}
