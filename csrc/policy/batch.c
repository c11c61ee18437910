#include "policy/batch.h"

#include "base/clock.h"
#include "policy/slots.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kap_batch *new_batch(kap_call *c)
{
    kap_batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->call = c;
    b->number = ++*c->numbers;
    b->deadline = c->deadline;
    kap_failure_clear(&b->failure);
    return b;
}

kap_batch *kap_batch_add(kap_call *c, uint32_t first, uint32_t count,
                         kap_batch *after)
{
    kap_batch *b = new_batch(c);
    if (b == NULL)
        return NULL;
    b->first = first;
    b->count = count;
    kap_list_insert(&c->batches, &b->link, after != NULL ? &after->link : NULL);
    return b;
}

kap_batch *kap_batch_add_part(kap_call *c, const kap_batch *b, uint32_t first,
                              uint32_t count, kap_batch *after)
{
    kap_batch *part = kap_batch_add(c, first, count, after);
    if (part == NULL)
        return NULL;
    part->part = true;
    part->http1 = b->http1;
    part->deadline = b->deadline;
    part->not_before = b->not_before;
    part->failure = b->failure;
    return part;
}

kap_batch *kap_batch_add_canary(kap_call *c)
{
    kap_batch *b = kap_batch_add(c, 0, 0, NULL);
    if (b != NULL)
        b->canary = b->probe = true;
    return b;
}

void kap_batch_free_transfer(kap_batch *b)
{
    if (b->transfer != NULL && b->transfer->awaits_verdict)
        kap_lane_detach(b->transfer);
    kap_transfer_free(b->transfer);
    b->transfer = NULL;
    free(b->sent_ids);
    b->sent_ids = NULL;
}

void kap_batch_free(kap_batch *b)
{
    kap_batch_free_transfer(b);
    free(b);
}

void kap_batch_drop(kap_call *c, kap_batch *b, kap_engine *e)
{
    kap_list_remove(&c->batches, &b->link);
    b->call = NULL;
    if (b->state == KAP_BATCH_ARRIVED)
        return; /* the client's list refers to it */
    if (b->state == KAP_BATCH_IN_FLIGHT) {
        c->in_flight--;
        if (e != NULL)
            kap_engine_cancel(e, b->transfer);
        b->transfer = NULL;
    }
    kap_batch_free(b);
}

uint32_t kap_batch_pending(const kap_call *c, const kap_batch *b)
{
    return kap_slots_pending(c, b->first, b->count);
}

/* What the batch asks for, or did. */
static const char *ids_of(const kap_call *c, const kap_batch *b, size_t *len)
{
    if (b->canary) {
        *len = strlen(c->canary_id);
        return c->canary_id;
    }
    if (b->sent_ids != NULL) {
        *len = b->sent_ids_len;
        return b->sent_ids;
    }
    return kap_idset_span(&c->ids, b->first, b->count, len);
}

bool kap_batch_tell(kap_call *c, const kap_batch *b, kap_event_type type,
                    double delay)
{
    const kap_failure *f = &b->failure;
    const kap_transfer *t = b->transfer;
    size_t len;
    if (!c->hook)
        return true;
    bool failed = type != KAP_EVENT_REQUEST && type != KAP_EVENT_RESPONSE;
    char *pending = NULL; /* what it concerns, where some have come */
    const char *ids = ids_of(c, b, &len);
    if (failed && b->count > 0 && kap_batch_pending(c, b) < b->count) {
        ids = pending = kap_slots_join_pending(c, b->first, b->count, &len);
        if (pending == NULL)
            return false;
    }
    kap_event *e = kap_event_new(type, ids, len, failed ? f->message : "");
    free(pending);
    if (e == NULL)
        return false;
    e->call = c;
    e->number = b->number;
    e->attempt = b->attempts;
    e->delay = delay;
    if (failed)
        e->kind = f->kind;
    if (type != KAP_EVENT_REQUEST) {
        e->status = t != NULL && t->status > 0 ? (int)t->status : f->status;
        e->answered = t != NULL;
        e->bytes = t != NULL ? (double)t->len : 0;
        e->elapsed = t != NULL ? t->elapsed : 0;
    }
    kap_list_push(c->events, &e->link);
    return true;
}

/* libcurl sends a request again by itself where it lost it on a stale
 * connection: each of these is an event, too. */
bool kap_batch_announce(kap_call *c, kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (t == NULL || !kap_transfer_has_started(t))
        return true;
    unsigned sent =
        b->state != KAP_BATCH_IN_FLIGHT && t->sent > 1 ? t->sent : 1;
    for (; b->announced < sent; b->announced++)
        if (!kap_batch_tell(c, b, KAP_EVENT_REQUEST, 0))
            return false;
    return true;
}

bool kap_batch_send(kap_call *c, kap_batch *b, kap_engine *e)
{
    size_t len;
    uint32_t pending = kap_batch_pending(c, b);
    if (!b->canary && pending == 0) { /* all have come with others */
        c->successes++;
        kap_batch_drop(c, b, e);
        return true;
    }
    if (pending < b->count) {
        b->sent_ids =
            kap_slots_join_pending(c, b->first, b->count, &b->sent_ids_len);
        if (b->sent_ids == NULL)
            return false;
    }
    const char *ids = ids_of(c, b, &len);
    char *post = kap_message_body(c->message, ids, &len);
    kap_transfer *t = kap_transfer_new(c->message, c->settings, post, len);
    if (t == NULL)
        return false;
    t->owner = b;
    t->not_before = b->not_before;
    t->deadline = b->deadline;
    t->fresh = b->fresh;
    t->http1 = b->http1;
    b->transfer = t;
    b->state = KAP_BATCH_IN_FLIGHT;
    b->asked = pending;
    b->attempts++;
    b->announced = 0;
    c->in_flight++;
    c->requests++;
    kap_engine_submit(e, t, c->lane);
    return true;
}

void kap_batch_withdraw(kap_call *c, kap_batch *b, kap_engine *e)
{
    c->in_flight--;
    c->requests--;
    b->attempts--;
    c->retries -= b->attempts > 0;
    kap_engine_cancel(e, b->transfer);
    b->transfer = NULL;
    b->state = KAP_BATCH_READY;
}

bool kap_batch_give_up(kap_call *c, kap_batch *b, kap_engine *e)
{
    bool ok = kap_batch_tell(c, b, KAP_EVENT_FAILURE, 0) &&
              kap_slots_fail(c, b->first, b->count, &b->failure);
    kap_batch_drop(c, b, e);
    return ok;
}

void kap_batch_again(kap_batch *b, double delay)
{
    kap_batch_free_transfer(b);
    b->not_before = delay > 0 ? kap_now() + delay : 0;
    b->state = KAP_BATCH_READY;
}

/* As long as nothing says that the service is up, retries of parts would only
 * add to an outage. */
bool kap_batch_retry_waits(const kap_call *c, const kap_batch *b)
{
    return b->part && (!c->answered || c->breaker.state != KAP_BREAKER_CLOSED);
}

bool kap_batch_may_retry(kap_call *c, kap_batch *b, double least, double *delay)
{
    const kap_failure *f = &b->failure;
    const kap_settings *s = c->settings;
    if (!f->retryable || f->deadline || b->attempts > s->retries || b->canary)
        return false;
    /* A part goes on to be halved: only the last one left deserves to be tried
     * again. */
    if (s->isolate && kap_failure_isolates(f) &&
        ((b->part && kap_batch_pending(c, b) > 1) ||
         kap_batch_retry_waits(c, b)))
        return false;
    *delay = kap_retry_backoff(s->backoff, s->max_backoff, b->attempts,
                               kap_random(c->random));
    if (least > *delay)
        *delay = least;
    if (kap_now() + *delay >= b->deadline)
        return false;
    if (!kap_retry_budget_spend(c->budget)) {
        size_t n = strlen(f->message);
        snprintf(b->failure.message + n, sizeof f->message - n,
                 " (not tried again: the client's retry budget is used up)");
        return false;
    }
    b->fresh = f->kind == KAP_KIND_TIMEOUT;
    c->retries++;
    return true;
}
