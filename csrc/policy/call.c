#include "policy/call.h"

#include "base/clock.h"
#include "policy/isolate.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ids ----------------------------------------------------------------------- */

static bool has_room(kap_call *c, uint32_t n)
{
    if (n <= c->slots_cap)
        return true;
    uint32_t cap = c->slots_cap * 2 > n ? c->slots_cap * 2 : n;
    kap_slot *slots = realloc(c->slots, cap * sizeof *slots);
    if (slots == NULL)
        return false;
    memset(slots + c->slots_cap, 0, (cap - c->slots_cap) * sizeof *slots);
    c->slots = slots;
    c->slots_cap = cap;
    return true;
}

static void unref_fault(kap_fault *f)
{
    if (f != NULL && kap_refs_drop(&f->refs))
        free(f);
}

static void free_slots(kap_call *c)
{
    for (uint32_t i = 0; i < c->ids.n && i < c->slots_cap; i++)
        unref_fault(c->slots[i].fault);
    free(c->slots);
    c->slots = NULL;
    c->slots_cap = 0;
    KAP_EACH(kap_fault, f, &c->faults, link) {
        kap_list_remove(&c->faults, &f->link);
        unref_fault(f);
    }
}

/* The first id of which something is still to become. */
static uint32_t first_open(const kap_call *c)
{
    const kap_batch *b = KAP_ITEM(c->batches.first, kap_batch, link);
    return b != NULL ? b->first : c->next;
}

/* Ids that were handed out for the last time, before any that was not, and that
 * no batch refers to. */
static uint32_t finished(const kap_call *c)
{
    uint32_t n = first_open(c), i = 0;
    while (i < n && c->slots[i].wanted == 0)
        i++;
    return i;
}

/* Gives them up once they are the half, so that each id is moved once or so. */
static void drop_finished(kap_call *c)
{
    uint32_t n = finished(c);
    if (n < 64 || n < c->ids.n / 2)
        return;
    for (uint32_t i = 0; i < n; i++)
        unref_fault(c->slots[i].fault);
    memmove(c->slots, c->slots + n, (c->ids.n - n) * sizeof *c->slots);
    memset(c->slots + (c->ids.n - n), 0, n * sizeof *c->slots);
    kap_idset_drop(&c->ids, n);
    c->dropped += n;
    c->next -= n;
    KAP_EACH(kap_batch, b, &c->batches, link)
        b->first -= n;
}

void kap_call_got(kap_call *c, uint32_t i)
{
    c->slots[i].state = KAP_ID_GOT;
    if (c->open) /* it may be handed out just now: kept as long as its id */
        return;
    unref_fault(c->slots[i].fault); /* of its own batch, which failed before */
    c->slots[i].fault = NULL;
}

bool kap_call_feed(kap_call *c, const char *id, size_t len, uint64_t *number)
{
    drop_finished(c);
    uint32_t i = kap_idset_find(&c->ids, id, len, KAP_IDSET_NONE);
    if (i == KAP_IDSET_NONE || c->slots[i].wanted == 0) {
        if (!has_room(c, c->ids.n + 1))
            return false;
        i = kap_idset_append(&c->ids, id, len);
        if (i == KAP_IDSET_NONE)
            return false;
    }
    c->slots[i].wanted++;
    *number = c->dropped + i;
    return true;
}

bool kap_call_final(const kap_call *c, uint64_t number)
{
    uint64_t i = number - c->dropped;
    return c->done || i < first_open(c);
}

bool kap_call_wants(const kap_call *c, uint32_t i)
{
    return i != KAP_IDSET_NONE && c->slots[i].wanted > 0;
}

bool kap_call_release(kap_call *c, uint64_t number)
{
    return --c->slots[number - c->dropped].wanted == 0;
}

/* batches ------------------------------------------------------------------- */

/* a call's beginning and end -------------------------------------------------- */

bool kap_call_begin(kap_call *c)
{
    c->started = kap_now();
    c->deadline =
        INFINITY; /* an iterator's batches have each one of their own */
    if (c->settings != NULL) {
        c->hook = c->settings->hook;
        c->partial = c->settings->partial;
        if (!c->open)
            c->deadline = c->started + c->settings->deadline;
    }
    return has_room(c, c->ids.n + 1);
}

void kap_call_let_go(kap_call *c)
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
    if (c->canary != NULL)
        kap_batch_drop(c, c->canary, e);
    KAP_EACH(kap_batch, b, &c->batches, link)
        kap_batch_drop(c, b, e);
    kap_call_let_go(c);
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
    free_slots(c);
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
            b->state =
                KAP_BATCH_PARKED; /* its ids were asked for, and failed */
        else if (b->state == KAP_BATCH_READY)
            kap_batch_drop(c, b, e);
    }
    if (c->canary != NULL)
        kap_batch_drop(c, c->canary, e);
    c->next = c->ids.n;
}

void kap_call_extend(kap_call *c, double seconds)
{
    KAP_EACH(kap_batch, b, &c->batches, link)
        b->deadline += seconds;
}

/* events -------------------------------------------------------------------- */

bool kap_call_announce(kap_call *c)
{
    if (!c->hook)
        return true;
    KAP_EACH(kap_batch, b, &c->batches, link)
        if (!kap_batch_announce(c, b))
            return false;
    return c->canary == NULL || kap_batch_announce(c, c->canary);
}

/* Ids that were never sent, as one batch that failed would be told. */
static bool tell_unsent(kap_call *c)
{
    kap_batch b = {0};
    if (!c->hook || c->unsent_told || c->stop.kind == KAP_KIND_NONE)
        return true;
    b.sent_ids = kap_batch_join_pending(c, 0, c->ids.n, &b.sent_ids_len);
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

/* sending ------------------------------------------------------------------- */

/* Something has succeeded before the canary came back: nobody needs it. */
static bool drop_canary(kap_call *c, kap_engine *e)
{
    kap_batch *b = c->canary;
    if (b == NULL || b->state == KAP_BATCH_ARRIVED ||
        c->breaker.state != KAP_BREAKER_CLOSED)
        return true;
    if (b->state == KAP_BATCH_IN_FLIGHT &&
        kap_transfer_has_started(b->transfer)) {
        if (!kap_batch_announce(c, b)) /* it went out, and was a request */
            return false;
    } else if (b->state == KAP_BATCH_IN_FLIGHT) {
        kap_batch_withdraw(c, b, e);
    }
    kap_batch_drop(c, b, e);
    return true;
}

static kap_batch *last(const kap_call *c)
{
    return KAP_ITEM(c->batches.last, kap_batch, link);
}

static bool send_next(kap_call *c, kap_engine *e)
{
    uint32_t left = c->ids.n - c->next;
    uint32_t size = (uint32_t)c->settings->batch_size;
    kap_batch *b =
        kap_batch_add(c, c->next, left < size ? left : size, last(c));
    if (b == NULL)
        return false;
    c->next += b->count;
    return kap_batch_send(c, b, e);
}

bool kap_call_seal(kap_call *c)
{
    uint32_t count = c->ids.n - c->next;
    if (count > 0 && !c->done && c->stop.kind == KAP_KIND_NONE &&
        kap_batch_add(c, c->next, count, last(c)) == NULL)
        return false;
    c->next = c->ids.n;
    return true;
}

/*
 * Enough in the engine to keep it busy while nobody steps, and while some pause
 * before they are tried again; and no more: what has arrived waits in memory.
 * Parts are sent as they can start, so that they stop when there is doubt, and
 * in doubt only probes are sent.
 */
bool kap_call_pump(kap_call *c, kap_engine *e)
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
    if (c->canary != NULL && c->canary->state == KAP_BATCH_READY &&
        !kap_batch_send(c, c->canary, e))
        return false;
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

/* what comes back ------------------------------------------------------------- */

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

/* Before anything follows from the answer. */
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

/* The service has answered for some of the batch's ids. */
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
    for (uint32_t i = b->first; i < b->first + b->count; i++)
        if (c->slots[i].state == KAP_ID_PENDING)
            c->slots[i].state = KAP_ID_MISSING;
    if (!b->canary)
        c->successes++;
    note_success(c, b);
    kap_retry_budget_refund(c->budget);
    kap_batch_drop(c, b, e);
    return true;
}

/* On a kept connection of HTTP/1, where nothing but the order says which request
 * an answer is for. */
static bool is_unsure(const kap_transfer *t)
{
    return t->outcome == KAP_OUTCOME_RESPONSE && t->new_connections == 0 &&
           !t->http2;
}

/* What a server says that gives up a connection at rest: to libcurl it is the
 * answer to the request that went out at the same moment. Over HTTP/2 a 408 is
 * that of its stream. */
static bool is_parting_408(const kap_transfer *t)
{
    return is_unsure(t) && t->status == 408;
}

/* Bytes in the place of a response, such as a line end that was still to come of
 * the one before. */
static bool is_noise(const kap_transfer *t)
{
    return t->outcome == KAP_OUTCOME_FAILED && t->status == 0 && !t->http2 &&
           t->new_connections == 0 &&
           (t->code == CURLE_UNSUPPORTED_PROTOCOL ||
            t->code == CURLE_WEIRD_SERVER_REPLY);
}

/* A connection kept too long: the server closed it while the request was on its
 * way, and nothing of an answer has come. Of HTTP/2, libcurl (7.88) calls it a
 * partial file. And where one stream can't be written to, libcurl (8.14) reads none
 * of the others to their end, though their answers are there. */
static bool is_stale(const kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (t->outcome == KAP_OUTCOME_FAILED && t->http2 && t->headers_complete &&
        t->code == CURLE_SEND_ERROR)
        return true;
    return t->outcome == KAP_OUTCOME_FAILED &&
           b->failure.kind == KAP_KIND_NETWORK && t->new_connections == 0 &&
           t->status == 0 && t->header_bytes == 0 && t->len == 0 &&
           (t->code == CURLE_SEND_ERROR || t->code == CURLE_RECV_ERROR ||
            t->code == CURLE_GOT_NOTHING || t->code == CURLE_PARTIAL_FILE);
}

/*
 * A server that answers before it has read the request, with a 413 say, resets
 * the HTTP/2 stream behind its answer. libcurl (7.88) that sees both at once
 * tells of the reset only. HTTP/1.1 has no such thing: there the answer comes.
 */
static bool is_swallowed(const kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    return t->outcome == KAP_OUTCOME_FAILED && !b->http1 && t->status == 0 &&
           t->header_bytes == 0 && t->len == 0 &&
           (t->code == CURLE_HTTP2_STREAM || t->code == CURLE_HTTP2);
}

static void resend(kap_batch *b)
{
    b->attempts--;
    kap_batch_again(b, 0);
}

/*
 * Nobody's failure: again, at once, and not counted. A second time is met where a
 * whole pool of kept connections died; after that the request is on a fresh one.
 */
static bool is_resent(kap_call *c, kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (c->stop.kind != KAP_KIND_NONE)
        return false;
    if (b->stale < 2 && (is_parting_408(t) || is_noise(t) || is_stale(b))) {
        b->stale++;
        b->fresh = b->stale == 2 || !is_stale(b);
    } else if (is_swallowed(b)) {
        b->http1 = true;
    } else {
        return false;
    }
    resend(b);
    return true;
}

/*
 * Told to slow down, while others of the client's requests succeed: it waits for
 * its turn. That is no failure, and costs neither an attempt nor the budget.
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

bool kap_call_disown(kap_call *c, kap_batch *b)
{
    if (!is_unsure(b->transfer) || b->stale == 2 || b->canary ||
        c->stop.kind != KAP_KIND_NONE)
        return false;
    b->stale++;
    b->fresh = true;
    kap_failure_clear(&b->failure);
    resend(b);
    return true;
}

/* Whether its failure may be that of some of its ids only. */
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

static void end_call(kap_call *c, const kap_failure *f, kap_engine *e)
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
    if (is_resent(c, b) || waits_for_turn(c, b))
        return true;
    if (has_all(c, b) && b->brought_own && !b->failure.alone) {
        /* the answer is broken all the same, and nothing else is left to ask
         * for: they are asked for again */
        for (uint32_t i = b->first; i < b->first + b->count; i++) {
            unref_fault(c->slots[i].fault);
            c->slots[i] = (kap_slot){KAP_ID_PENDING, c->slots[i].wanted, NULL};
        }
    }
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
        kap_batch_drop_transfer(b);
        return true;
    }
    if (b->canary) {
        const kap_failure why = b->failure;
        kap_batch_drop(c, b, e);
        end_call(c, &why, e);
        return true;
    }
    /* first, while the lane still waits for the verdict on this batch */
    end_call(c, &b->failure, e);
    return kap_batch_give_up(c, b, e);
}

bool kap_call_settle(kap_call *c, kap_engine *e)
{
    unsigned successes;
    if (c->done)
        return true;
    do { /* a part or a probe whose ids have come makes room for the next */
        successes = c->successes;
        if (!kap_isolate_advance(c, e) || !kap_call_pump(c, e))
            return false;
    } while (c->successes > successes);
    if (c->batches.n > 0 || c->canary != NULL)
        return true;
    if (!tell_unsent(c))
        return false;
    if (c->open || c->next < c->ids.n)
        return true;
    c->done = true;
    c->ended = kap_now();
    kap_call_let_go(c);
    return true;
}
