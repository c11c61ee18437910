#include "policy/call.h"

#include "base/clock.h"
#include "policy/isolate.h"
#include "policy/slots.h"

#include <math.h>
#include <stdlib.h>

/* a call's beginning and end
 * -------------------------------------------------- */

bool kap_call_begin(kap_call *c)
{
    c->started = kap_now();
    c->deadline = INFINITY; /* an iterator's batches have their own each */
    if (c->settings != NULL) {
        c->hook = c->settings->hook;
        c->partial = c->settings->partial;
        if (!c->open)
            c->deadline = c->started + c->settings->deadline;
    }
    return kap_slots_reserve(c, c->ids.n + 1);
}

/* Drops what only sending needs: whoever keeps the call keeps no token. */
static void let_go(kap_call *c)
{
    kap_lane_unref(c->lane);
    kap_message_unref(c->message);
    kap_settings_unref(c->settings);
    c->lane = NULL;
    c->message = NULL;
    c->settings = NULL;
}

void kap_call_end(kap_call *c, kap_engine *e)
{
    KAP_EACH(kap_batch, b, &c->batches, link)
        kap_batch_drop(c, b, e);
    let_go(c);
    c->next = c->ids.n;
    c->open = false;
    if (!c->done) {
        c->done = true;
        c->ended = kap_now();
    }
}

void kap_call_free(kap_call *c, kap_engine *e)
{
    kap_call_end(c, e);
    kap_slots_free(c);
    kap_idset_free(&c->ids);
}

void kap_call_stop(kap_call *c, kap_engine *e, const kap_failure *why)
{
    if (c->stop.kind == KAP_KIND_NONE)
        c->stop = *why;
    KAP_EACH(kap_batch, b, &c->batches, link) {
        if (b->state == KAP_BATCH_IN_FLIGHT &&
            !kap_transfer_has_started(b->transfer))
            kap_batch_withdraw(c, b, e);
        if (b->state == KAP_BATCH_READY && b->part)
            b->state = KAP_BATCH_PARKED; /* its ids failed with others */
        else if (b->state == KAP_BATCH_READY || b->canary)
            kap_batch_drop(c, b, e);
    }
    c->next = c->ids.n;
}

void kap_call_extend(kap_call *c, double seconds)
{
    KAP_EACH(kap_batch, b, &c->batches, link)
        b->deadline += seconds;
}

/* events
 * -------------------------------------------------------------------- */

bool kap_call_announce(kap_call *c)
{
    if (!c->hook)
        return true;
    KAP_EACH(kap_batch, b, &c->batches, link)
        if (!kap_batch_announce(c, b))
            return false;
    return true;
}

/* Tells the hook of the ids that were never sent, as of one batch that
 * failed. */
static bool tell_unsent(kap_call *c)
{
    kap_batch b = {0};
    if (!c->hook || c->unsent_told || c->stop.kind == KAP_KIND_NONE)
        return true;
    b.sent_ids = kap_slots_join_pending(c, 0, c->ids.n, &b.sent_ids_len);
    if (b.sent_ids == NULL)
        return false;
    bool ok = true;
    if (b.sent_ids_len > 0) {
        b.number = ++*c->numbers;
        b.failure = kap_failure_unsent(&c->stop);
        ok = kap_batch_tell(c, &b, KAP_EVENT_FAILURE, 0);
        c->unsent_told = true;
    }
    free(b.sent_ids);
    return ok;
}

/* sending
 * ------------------------------------------------------------------- */

/* Drops the canary where something has succeeded before it came back: what it
 * was to find out is known. */
static bool drop_canary(kap_call *c, kap_engine *e)
{
    kap_batch *b = KAP_ITEM(c->batches.first, kap_batch, link);
    if (b == NULL || !b->canary || b->state == KAP_BATCH_ARRIVED ||
        c->breaker.state != KAP_BREAKER_CLOSED)
        return true;
    if (b->state == KAP_BATCH_IN_FLIGHT &&
        kap_transfer_has_started(b->transfer)) {
        if (!kap_batch_announce(c, b)) /* it went out: the hook is told */
            return false;
    } else if (b->state == KAP_BATCH_IN_FLIGHT) {
        kap_batch_withdraw(c, b, e);
    }
    kap_batch_drop(c, b, e);
    return true;
}

static kap_batch *last_batch(const kap_call *c)
{
    return KAP_ITEM(c->batches.last, kap_batch, link);
}

static bool send_next(kap_call *c, kap_engine *e)
{
    uint32_t left = c->ids.n - c->next;
    uint32_t size = (uint32_t)c->settings->batch_size;
    kap_batch *b =
        kap_batch_add(c, c->next, left < size ? left : size, last_batch(c));
    if (b == NULL)
        return false;
    c->next += b->count;
    return kap_batch_send(c, b, e);
}

bool kap_call_seal(kap_call *c)
{
    uint32_t count = c->ids.n - c->next;
    if (count > 0 && !c->done && c->stop.kind == KAP_KIND_NONE &&
        kap_batch_add(c, c->next, count, last_batch(c)) == NULL)
        return false;
    c->next = c->ids.n;
    return true;
}

/*
 * The engine is given more batches than can run at once, so that it stays busy
 * while nobody steps and while some of them wait to be tried again. It is given
 * only so many more, because answers that nobody has read fill memory. Of parts
 * it gets no more than can start, so that the rest can be held back once the
 * breaker is in doubt; then only probes are sent.
 */
static bool pump(kap_call *c, kap_engine *e)
{
    if (c->verdict_given)
        kap_engine_wake(e);
    c->verdict_given = false;
    if (c->done || c->stop.kind != KAP_KIND_NONE)
        return true;
    if (!drop_canary(c, e))
        return false;
    unsigned concurrency = (unsigned)c->settings->concurrency, parts = 0;
    unsigned window = 2 * concurrency + 8;
    bool doubt = c->breaker.state == KAP_BREAKER_IN_DOUBT;
    KAP_EACH(kap_batch, b, &c->batches, link) {
        if (c->in_flight >= window)
            break;
        bool ready = b->state == KAP_BATCH_READY && (!doubt || b->probe) &&
                     (!b->part || parts < concurrency);
        parts += b->part && (ready || b->state == KAP_BATCH_IN_FLIGHT);
        if (ready && !kap_batch_send(c, b, e))
            return false;
    }
    while (!doubt && !c->open && c->next < c->ids.n && c->in_flight < window)
        if (!send_next(c, e))
            return false;
    return true;
}

bool kap_call_settle(kap_call *c, kap_engine *e)
{
    unsigned successes;
    if (c->done)
        return true;
    do { /* again where a batch was dropped because its ids had come: there is
          * room for the next */
        successes = c->successes;
        if (!kap_isolate_advance(c, e) || !pump(c, e))
            return false;
    } while (c->successes > successes);
    if (c->batches.n > 0)
        return true;
    if (!tell_unsent(c))
        return false;
    if (c->open || c->next < c->ids.n)
        return true;
    c->done = true;
    c->ended = kap_now();
    let_go(c);
    return true;
}
