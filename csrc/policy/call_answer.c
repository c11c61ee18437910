/* What follows from the end of a batch's transfer, for the batch and its
 * call. */
#include "base/clock.h"
#include "policy/call.h"
#include "policy/resend.h"
#include "policy/slots.h"

#include <math.h>
#include <string.h>

void kap_call_arrived(kap_batch *b)
{
    b->state = KAP_BATCH_ARRIVED;
    b->call->in_flight--;
    if (isinf(b->deadline)) /* an iterator's: it runs since the first start */
        b->deadline = b->transfer->deadline;
}

void kap_call_describe(kap_batch *b)
{
    if (!kap_transfer_has_started(b->transfer)) {
        b->call->requests--;
        b->attempts--;
        b->call->retries -= b->attempts > 0;
    }
    kap_transfer_failure(b->transfer, &b->failure);
    b->failure.attempts = b->attempts;
}

/* What is recorded of every answer, before anything follows from it. */
static bool note_answer(kap_call *c, kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    b->state = KAP_BATCH_PARKED; /* in nobody's hands but the call's */
    if (!kap_batch_announce(c, b) ||
        (t->status > 0 && !kap_batch_tell(c, b, KAP_EVENT_RESPONSE, 0)) ||
        (t->lengthens_pause &&
         !kap_batch_tell(c, b, KAP_EVENT_PAUSE, t->pause)))
        return false;
    if (t->sent > 1)
        c->requests += t->sent - 1;
    if (t->outcome == KAP_OUTCOME_RESPONSE)
        c->bytes += (double)t->len;
    c->verdict_given = c->verdict_given || t->awaits_verdict;
    return true;
}

/* The service has answered for some of the batch's ids: the breaker is told,
 * and one of the ids becomes the canary, best one that has a ticket. */
static void note_success(kap_call *c, const kap_batch *b)
{
    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        size_t len;
        bool got = c->slots[i].state == KAP_ID_GOT;
        if (!got &&
            (c->canary_id[0] != '\0' || c->slots[i].state != KAP_ID_MISSING))
            continue;
        const char *id = kap_idset_get(&c->ids, i, &len);
        memcpy(c->canary_id, id, len);
        c->canary_id[len] = '\0';
        if (got)
            break;
    }
    c->answered = true;
    kap_breaker_success(&c->breaker);
}

bool kap_call_succeed(kap_call *c, kap_batch *b, kap_engine *e)
{
    if (!note_answer(c, b))
        return false;
    kap_slots_missing(c, b->first, b->count);
    if (!b->canary)
        c->successes++;
    note_success(c, b);
    kap_retry_budget_refund(c->budget);
    kap_batch_drop(c, b, e);
    return true;
}

/*
 * The service told the client to slow down (429, or 503 with Retry-After) while
 * others of the client's requests succeed: the batch waits for its turn. That
 * is no failure, and costs neither an attempt nor the retry budget.
 */
static bool waits_for_turn(kap_call *c, kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (c->stop.kind != KAP_KIND_NONE || !t->pushed_back ||
        b->failure.kind == KAP_KIND_AUTH)
        return false;
    b->failure.retryable = true;
    if (!t->others_succeed || b->canary || kap_now() + t->pause >= b->deadline)
        return false;
    b->attempts--;
    kap_batch_again(b, t->pause);
    return true;
}

/* Whether the failure may be that of some of its ids only: the batch then stays
 * parked until isolate.h decides. */
static bool parks(kap_call *c, kap_batch *b)
{
    const kap_failure *f = &b->failure;
    if (b->canary || !kap_failure_isolates(f))
        return false;
    if (!b->probe)
        kap_breaker_failure(&c->breaker);
    b->not_before = f->retry_after > 0 ? kap_now() + f->retry_after : 0;
    if (!c->settings->isolate || b->not_before >= b->deadline)
        return false;
    uint32_t pending = kap_batch_pending(c, b);
    b->untried = pending == 1 && b->asked > 1; /* the others came */
    return pending > 1 || b->untried ||
           (f->retryable && b->attempts <= c->settings->retries &&
            kap_batch_retry_waits(c, b));
}

/* Stops the call after a failure that all its other batches would share. */
static void stop_if_shared(kap_call *c, const kap_failure *f, kap_engine *e)
{
    /* an iterator's deadline is that of one batch */
    if (kap_failure_ends_call(f->kind) || (f->deadline && !c->open))
        kap_call_stop(c, e, f);
}

static bool has_all(const kap_call *c, const kap_batch *b)
{
    return !b->canary && kap_batch_pending(c, b) == 0;
}

bool kap_call_fail(kap_call *c, kap_batch *b, kap_engine *e)
{
    double delay;
    if (b->failure.retry_after >= 0 && b->failure.kind != KAP_KIND_AUTH)
        b->failure.retryable = true; /* the server itself says so */
    double least = b->failure.retry_after;
    if (b->transfer->pushed_back && b->transfer->pause > least)
        least = b->transfer->pause;
    if (!note_answer(c, b))
        return false;
    if (kap_resend_failed(c, b) || waits_for_turn(c, b))
        return true;
    /* The answer broke off behind its last ticket. Nothing smaller is left to
     * ask for, so all are asked for again. */
    if (has_all(c, b) && b->brought_own && !b->failure.alone)
        kap_slots_reset(c, b->first, b->count);
    if (has_all(c, b) && !kap_failure_ends_call(b->failure.kind)) {
        c->successes++;
        kap_batch_drop(c, b, e);
        return true;
    }
    if (b->brought_own) { /* the service answers, whatever came behind */
        c->successes += b->failure.alone;
        note_success(c, b);
    }
    if (c->stop.kind == KAP_KIND_NONE &&
        kap_batch_may_retry(c, b, least, &delay)) {
        bool ok = kap_batch_tell(c, b, KAP_EVENT_RETRY, delay);
        kap_batch_again(b, delay);
        return ok;
    }
    if (c->stop.kind == KAP_KIND_NONE && parks(c, b)) {
        kap_batch_free_transfer(b);
        return true;
    }
    if (b->canary) {
        const kap_failure why = b->failure;
        kap_batch_drop(c, b, e);
        stop_if_shared(c, &why, e);
        return true;
    }
    /* first, while the lane still waits for the verdict on this batch */
    stop_if_shared(c, &b->failure, e);
    return kap_batch_give_up(c, b, e);
}
