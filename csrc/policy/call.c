#include "policy/call.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A control is no request of the user's: whatever `retries` says and the budget
 * has left, it is not for one that was lost that an outage is declared. */
#define CONTROL_RETRIES 2

bool kap_call_begin(kap_call *c)
{
    c->state = calloc(c->ids.n + 1, 1);
    c->begun = c->lane == NULL || !c->lane->patient;
    c->started = kap_now();
    c->deadline = INFINITY;
    if (c->settings == NULL) /* of an iterator whose client is closed */
        return c->state != NULL;
    c->hook = c->settings->hook;
    c->partial = c->settings->partial;
    if (c->begun)
        c->deadline = c->started + c->settings->deadline;
    return c->state != NULL;
}

static void insert(kap_call *c, kap_batch *b, kap_batch *after)
{
    c->changes++;
    b->prev = after;
    b->next = after != NULL ? after->next : c->batches;
    if (b->prev != NULL)
        b->prev->next = b;
    else
        c->batches = b;
    if (b->next != NULL)
        b->next->prev = b;
    else
        c->last = b;
}

kap_batch *kap_call_add(kap_call *c, uint32_t first, uint32_t count,
                        kap_batch *after)
{
    kap_batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return NULL;
    b->call = c;
    b->first = first;
    b->count = count;
    b->number = ++*c->numbers;
    b->deadline = c->deadline;
    kap_failure_clear(&b->failure);
    insert(c, b, after);
    return b;
}

static void take_out(kap_call *c, kap_batch *b)
{
    c->changes++;
    if (b->prev != NULL)
        b->prev->next = b->next;
    else
        c->batches = b->next;
    if (b->next != NULL)
        b->next->prev = b->prev;
    else
        c->last = b->prev;
    b->prev = b->next = NULL;
}

static void replace_state(kap_call *c, const kap_batch *b, kap_id_state old,
                          kap_id_state new)
{
    for (uint32_t i = b->first; i < b->first + b->count; i++)
        if (c->state[i] == old)
            c->state[i] = (unsigned char)new;
}

/* What was read of its response is there to stay. */
static void keep_read(kap_call *c, const kap_batch *b)
{
    replace_state(c, b, KAP_ID_READ, KAP_ID_GOT);
}

void kap_call_unread(kap_call *c, const kap_batch *b)
{
    replace_state(c, b, KAP_ID_READ, KAP_ID_PENDING);
}

bool kap_call_lacks(const kap_call *c, const kap_batch *b)
{
    return memchr(c->state + b->first, KAP_ID_PENDING, b->count) != NULL;
}

void kap_call_trim(const kap_call *c, uint32_t *first, uint32_t *count)
{
    while (*count > 0 && c->state[*first] != KAP_ID_PENDING)
        ++*first, --*count;
    while (*count > 0 && c->state[*first + *count - 1] != KAP_ID_PENDING)
        --*count;
}

void kap_batch_free(kap_batch *b)
{
    if (b->transfer != NULL && b->transfer->holding)
        kap_lane_leave(b->transfer);
    kap_transfer_free(b->transfer);
    kap_wipe(b->response.head, b->response.head_len);
    free(b);
}

void kap_call_drop(kap_call *c, kap_batch *b, kap_engine *e)
{
    take_out(c, b);
    keep_read(c, b);
    kap_evidence_heard(c->evidence, b);
    kap_evidence_unpark(c->evidence, b);
    if (c->control == b)
        c->control = NULL;
    if (b->state == KAP_BATCH_FLYING) {
        c->flying--;
        if (e != NULL)
            kap_engine_cancel(e, b->transfer);
        b->transfer = NULL;
    }
    b->call = NULL;
    if (b->state == KAP_BATCH_ARRIVED)
        return;
    kap_batch_free(b);
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
    kap_call_leave_probing(c);
    while (c->batches != NULL) /* the first has no prev: it leaves the list */
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        kap_call_drop(c, c->batches, e);
    kap_call_let_go(c);
    if (!c->done) {
        c->done = true;
        c->ended = kap_now();
    }
}

void kap_call_free(kap_call *c, kap_engine *e)
{
    kap_call_end(c, e);
    kap_idset_free(&c->ids);
    free(c->state);
    c->state = NULL;
}

/* The body for those of b's ids that are pending, to be freed; NULL: no memory. */
static char *pending_body(const kap_call *c, const kap_batch *b, size_t *len)
{
    const char *ids = kap_idset_span(&c->ids, b->first, b->count, len);
    if (memchr(c->state + b->first, KAP_ID_GOT, b->count) == NULL)
        return kap_message_body(c->message, ids, len);
    char *list = malloc(*len + 1); /* some have come: fewer than the span has */
    if (list == NULL)
        return NULL;
    *len = 0;
    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        size_t n;
        const char *id = kap_idset_get(&c->ids, i, &n);
        if (c->state[i] != KAP_ID_PENDING)
            continue;
        if (*len > 0)
            list[(*len)++] = ',';
        memcpy(list + *len, id, n);
        *len += n;
    }
    char *body = kap_message_body(c->message, list, len);
    free(list);
    return body;
}

static bool batch_send(kap_call *c, kap_batch *b, kap_engine *e)
{
    size_t len = strlen(b->control);
    char *post = kap_is_control(b)
                     ? kap_message_body(c->message, b->control, &len)
                     : pending_body(c, b, &len);
    kap_transfer *t = kap_transfer_new(c->message, c->settings, post, len);
    if (t == NULL)
        return false;
    t->owner = b;
    t->not_before = b->not_before;
    t->deadline = b->deadline;
    t->fresh = b->fresh;
    t->http1 = b->http1;
    b->transfer = t;
    b->state = KAP_BATCH_FLYING;
    b->attempts++;
    b->announced = 0;
    c->flying++;
    c->requests++;
    kap_engine_submit(e, t, c->lane);
    return true;
}

static bool has_started(const kap_batch *b)
{
    return atomic_load_explicit(&b->transfer->started, memory_order_acquire);
}

/* What never went out is no request, and no attempt. */
static void uncount(kap_batch *b)
{
    b->call->requests--;
    b->attempts--;
    if (b->attempts > 0)
        b->call->retries--;
}

/* A success has told what a control was to find out. */
static void drop_control(kap_call *c, kap_engine *e)
{
    kap_batch *b = c->control;
    if (b == NULL || b->state == KAP_BATCH_ARRIVED ||
        !kap_evidence_healthy(c->evidence))
        return;
    bool flying = b->state == KAP_BATCH_FLYING;
    bool started = flying && has_started(b);
    if (started && c->hook && b->announced == 0)
        return; /* it began just now: a hook hears of it first */
    if (flying && !started)
        uncount(b);
    else if (!flying && b->attempts > 0) /* a retry that will not be */
        c->retries--;
    kap_call_drop(c, b, e);
    if (flying) /* its answer may have held the lane */
        kap_engine_wake(e);
}

bool kap_call_pump(kap_call *c, kap_engine *e)
{
    /* Enough in the engine to keep it busy while nobody steps, and while some
     * pause before they are tried again; and no more: what has arrived waits in
     * memory, and where all of them pause, the service wants to be left alone,
     * and the retries that there are have to last.
     */
    unsigned window;
    if (c->left)
        kap_engine_wake(e);
    c->left = false;
    if (c->done)
        return true;
    if (c->stop.kind != KAP_KIND_NONE) {
        /* a batch may have become ready since: to be fetched anew, say */
        kap_call_stop(c, e, &c->stop);
        return true;
    }
    drop_control(c, e);
    window = 2 * (unsigned)c->settings->concurrency + 8;
    for (kap_batch *b = c->batches; b != NULL && c->flying < window;
         b = b->next)
        if (b->state == KAP_BATCH_READY && !batch_send(c, b, e))
            return false;
    while (c->next < c->ids.n && c->flying < window) {
        uint32_t left = c->ids.n - c->next;
        uint32_t size = (uint32_t)c->settings->batch_size;
        kap_batch *b =
            kap_call_add(c, c->next, left < size ? left : size, c->last);
        if (b == NULL)
            return false;
        kap_evidence_await(c->evidence, b);
        c->next += b->count;
        if (!batch_send(c, b, e))
            return false;
    }
    return true;
}

void kap_batch_describe(kap_batch *b, const kap_transfer *t)
{
    if (!has_started(b))
        uncount(b);
    kap_transfer_failure(t, &b->failure);
    kap_response_quote(t, &b->failure);
    b->failure.attempts = b->attempts;
}

/* On a kept connection of HTTP/1, where nothing but the order says which request
 * an answer is for. */
static bool is_unsure(const kap_transfer *t)
{
    return t != NULL && t->outcome == KAP_OUTCOME_RESPONSE &&
           t->new_connections == 0 && !t->http2;
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
           (t->code == CURLE_UNSUPPORTED_PROTOCOL ||
            t->code == CURLE_WEIRD_SERVER_REPLY);
}

/* A connection kept too long: the server closed it while the request was on
 * its way, and nothing of an answer has come. Nobody's failure. A second one is
 * met where a whole pool of them died; after that the request is on a fresh one.
 * Of HTTP/2, libcurl (7.88) calls it a partial file. And where one stream can't
 * be written to, libcurl (8.14) reads none of the others to their end, though
 * their answers are there. */
static bool is_stale(const kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (t == NULL || b->stale == 2)
        return false;
    if (t->outcome == KAP_OUTCOME_FAILED && t->http2 && t->headed &&
        t->code == CURLE_SEND_ERROR)
        return true;
    if (t->new_connections > 0)
        return false;
    if (is_parting_408(t) || is_noise(t))
        return true;
    return t->outcome == KAP_OUTCOME_FAILED &&
           b->failure.kind == KAP_KIND_NETWORK && t->status == 0 &&
           t->header_bytes == 0 && t->len == 0 &&
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
    return t != NULL && t->outcome == KAP_OUTCOME_FAILED && !b->http1 &&
           t->status == 0 && t->header_bytes == 0 && t->len == 0 &&
           (t->code == CURLE_HTTP2_STREAM || t->code == CURLE_HTTP2);
}

/* A part made in doubt, of a single id say, is not tried again before something
 * works. */
static bool waits(const kap_call *c, const kap_batch *b)
{
    return b->probe && !b->released && !kap_evidence_healthy(c->evidence);
}

/* Whether it is to be taken apart, where that is wanted. */
static bool isolates(const kap_failure *f)
{
    return f->alone ? !kap_kind_ends_call(f->kind)
                    : kap_isolates(f->kind, f->status);
}

/* After at least so many seconds; *delay becomes how many. */
static bool may_retry(kap_call *c, kap_batch *b, double least, double *delay)
{
    const kap_failure *f = &b->failure;
    const kap_settings *s = c->settings;
    bool control = kap_is_control(b);
    if (!f->retryable || f->deadline ||
        b->attempts > (control ? CONTROL_RETRIES : s->retries))
        return false;
    /* A half goes on to be halved: only the last one left deserves to be
     * tried again. */
    if (b->half && (b->count > 1 || waits(c, b)) && s->isolate && isolates(f))
        return false;
    *delay = kap_backoff(s->backoff, s->max_backoff, b->attempts,
                         kap_random(c->random));
    if (least > *delay)
        *delay = least;
    if (kap_now() + *delay >= b->deadline)
        return false;
    return control || kap_budget_retry(c->budget);
}

static kap_next decide(kap_call *c, kap_batch *b, double *delay)
{
    kap_failure *f = &b->failure;
    *delay = 0;
    if (c->stop.kind != KAP_KIND_NONE)
        return KAP_NEXT_FAIL;
    if (is_stale(b)) {
        b->stale++;
        b->fresh = b->stale == 2 || is_parting_408(b->transfer) ||
                   is_noise(b->transfer);
        b->attempts--;
        return KAP_NEXT_RESEND;
    }
    if (is_swallowed(b)) {
        b->http1 = true;
        b->attempts--;
        return KAP_NEXT_RESEND;
    }
    if (may_retry(c, b, f->retry_after, delay)) {
        b->fresh = f->kind == KAP_KIND_TIMEOUT;
        c->retries++;
        return KAP_NEXT_RETRY;
    }
    if (f->deadline)
        return KAP_NEXT_FAIL;
    if (kap_is_control(b))
        kap_evidence_control_failed(c->evidence);
    if (kap_is_control(b) || !isolates(f))
        return KAP_NEXT_FAIL;
    if (!b->released)
        kap_evidence_failure(c->evidence, (unsigned)b->attempts, b->probe);
    b->not_before = f->retry_after > 0 ? kap_now() + f->retry_after : 0;
    if (!c->settings->isolate || b->not_before >= b->deadline)
        return KAP_NEXT_FAIL;
    if (b->count > 1)
        return KAP_NEXT_PARK;
    return f->retryable && b->attempts <= c->settings->retries && waits(c, b)
               ? KAP_NEXT_PARK
               : KAP_NEXT_FAIL;
}

void kap_call_decide(kap_call *c, kap_batch *b)
{
    b->next_step = decide(c, b, &b->delay);
    b->decided = true;
}

bool kap_call_disown(kap_batch *b)
{
    if (!is_unsure(b->transfer) || b->stale == 2 || kap_is_control(b) ||
        b->call->stop.kind != KAP_KIND_NONE)
        return false;
    b->stale++;
    b->fresh = true;
    b->attempts--;
    kap_failure_clear(&b->failure);
    b->next_step = KAP_NEXT_RESEND;
    b->delay = 0;
    b->decided = true;
    return true;
}

void kap_call_decide_again(kap_call *c, kap_batch *b)
{
    b->released = true;
    b->next_step = KAP_NEXT_FAIL;
    if (may_retry(c, b, b->not_before - kap_now(), &b->delay)) {
        b->next_step = KAP_NEXT_RETRY;
        c->retries++;
    }
    b->decided = true;
}

static void drop_transfer(kap_batch *b)
{
    if (b->transfer != NULL && b->transfer->sent > 1)
        b->call->requests += b->transfer->sent - 1;
    if (b->transfer != NULL && b->transfer->holding) {
        kap_lane_leave(b->transfer);
        b->call->left = true;
    }
    kap_transfer_free(b->transfer);
    b->transfer = NULL;
    b->decided = false;
    memset(&b->response, 0, sizeof b->response);
}

void kap_call_retry(kap_batch *b, double delay)
{
    b->call->changes++;
    keep_read(b->call, b);
    if (b->count > 0)
        kap_call_trim(b->call, &b->first, &b->count);
    drop_transfer(b);
    b->not_before = delay > 0 ? kap_now() + delay : 0;
    b->state = KAP_BATCH_READY;
}

void kap_call_refetch(kap_batch *b)
{
    drop_transfer(b);
    b->not_before = 0;
    b->attempts--;
    b->state = KAP_BATCH_READY;
}

void kap_call_park(kap_batch *b)
{
    b->call->changes++;
    keep_read(b->call, b);
    kap_evidence_park(b->call->evidence, b);
    drop_transfer(b);
    b->state = KAP_BATCH_PARKED;
}

void kap_call_fail(kap_call *c, kap_batch *b)
{
    replace_state(c, b, KAP_ID_PENDING, KAP_ID_FAILED);
    drop_transfer(b);
    b->state = KAP_BATCH_PARKED;
    kap_call_drop(c, b, NULL);
}

void kap_call_partly(kap_call *c, const kap_batch *b)
{
    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        size_t len;
        if (c->state[i] != KAP_ID_READ)
            continue;
        const char *id = kap_idset_get(&c->ids, i, &len);
        c->successes++;
        kap_evidence_success(c->evidence, id, len);
        return;
    }
}

/* The only one that makes ids missing: response.c has found that the service itself
 * calls the request a success. */
void kap_call_succeed(kap_call *c, kap_batch *b)
{
    const char *id = NULL;
    size_t len = 0;
    for (uint32_t i = b->first; i < b->first + b->count; i++) {
        if (c->state[i] == KAP_ID_PENDING)
            c->state[i] = KAP_ID_MISSING;
        else if (id == NULL)
            id = kap_idset_get(&c->ids, i, &len);
    }
    if (id == NULL && c->evidence->known[0] == '\0')
        id = kap_idset_get(&c->ids, b->first, &len); /* missing: known, too */
    if (!kap_is_control(b))
        c->successes++;
    kap_evidence_success(c->evidence, id, len);
    kap_budget_success(c->budget);
    drop_transfer(b);
    b->state = KAP_BATCH_PARKED;
    kap_call_drop(c, b, NULL);
}

void kap_call_stop(kap_call *c, kap_engine *e, const kap_failure *why)
{
    kap_batch *next;
    if (c->stop.kind == KAP_KIND_NONE)
        c->stop = *why;
    for (kap_batch *b = c->batches; b != NULL; b = next) {
        next = b->next;
        if (b->state == KAP_BATCH_READY ||
            (b->state == KAP_BATCH_FLYING && !has_started(b))) {
            if (b->state == KAP_BATCH_FLYING)
                uncount(b);
            kap_call_drop(c, b, e);
        }
    }
    c->next = c->ids.n;
}

void kap_call_look(kap_call *c)
{
    const kap_batch *first = c->batches;
    if (c->begun || first == NULL || first->transfer == NULL ||
        !atomic_load_explicit(&first->transfer->started, memory_order_acquire))
        return;
    c->begun = true;
    c->started = first->transfer->began;
    c->deadline = c->started + c->settings->deadline;
    for (kap_batch *b = c->batches; b != NULL; b = b->next)
        b->deadline = c->deadline;
}

void kap_call_extend(kap_call *c, double seconds)
{
    c->deadline += seconds;
    for (kap_batch *b = c->batches; b != NULL; b = b->next)
        b->deadline += seconds;
}

bool kap_call_settle(kap_call *c)
{
    if (c->done)
        return true;
    if (c->batches != NULL || c->next < c->ids.n)
        return false;
    kap_call_leave_probing(c);
    c->done = true;
    c->ended = kap_now();
    kap_call_let_go(c);
    return true;
}
