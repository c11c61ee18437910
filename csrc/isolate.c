#include "isolate.h"

#include "call.h"

#include <string.h>

/* So many failures in a row, and the service may be gone altogether. */
#define DOUBT 16
/* Before the first success, so many requests are tried in all, retries included,
 * unless the way down to single ids asks for more: see is_hopeless. An outage
 * costs 200 ids of the defaults 48 requests; and where 40 of 50 ids are bad, any of
 * them, 19 times in 20 all others come. */
#define GIVE_UP 48

bool kap_evidence_healthy(const kap_evidence *e)
{
    return e->success && e->failures < DOUBT;
}

void kap_evidence_success(kap_evidence *e, const char *id, size_t len)
{
    e->news = e->news || !kap_evidence_healthy(e);
    e->success = true;
    e->outage = false;
    e->failures = e->probes = e->requests = 0;
    e->last = e->awaited = 0;
    if (id != NULL && len < sizeof e->known) {
        memcpy(e->known, id, len);
        e->known[len] = '\0';
    }
}

void kap_evidence_failure(kap_evidence *e, unsigned attempts, bool probe)
{
    e->failures++;
    e->requests += attempts;
    if (probe)
        e->probes++;
}

void kap_evidence_outage(kap_evidence *e)
{
    e->outage = e->news = true;
}

void kap_evidence_await(kap_evidence *e, kap_batch *b)
{
    b->unheard = true;
    e->unheard++;
}

void kap_evidence_failed(kap_evidence *e, kap_batch *b)
{
    bool waiting = e->awaited > 0;
    kap_evidence_heard(e, b);
    if (!waiting) /* a verdict on it waits for what is under way now */
        e->last = 0;
}

void kap_evidence_heard(kap_evidence *e, kap_batch *b)
{
    if (!b->unheard)
        return;
    b->unheard = false;
    e->unheard--;
    if (e->awaited > 0 && b->number <= e->last && --e->awaited == 0)
        e->news = true;
}

bool kap_isolates(kap_kind kind, int status)
{
    return kind == KAP_KIND_BAD_REQUEST || kind == KAP_KIND_NOT_FOUND ||
           kind == KAP_KIND_SERVER || status == 413 || status == 414;
}

void kap_call_leave_probing(kap_call *c)
{
    if (!c->done && c->evidence->prober == c) {
        c->evidence->prober = NULL;
        c->evidence->news = true;
    }
}

typedef struct parked {
    kap_batch *any, *large, *small, *single;
    bool probing; /* a part of what was taken apart in doubt is under way */
} parked;

static parked look(const kap_call *c)
{
    parked p = {0};
    for (kap_batch *b = c->batches; b != NULL; b = b->next) {
        if (b->state != KAP_BATCH_PARKED) {
            p.probing = p.probing || b->probe;
            continue;
        }
        p.any = p.any == NULL ? b : p.any;
        if (b->count == 1) {
            p.single = p.single == NULL ? b : p.single;
            continue;
        }
        if (p.large == NULL || b->count > p.large->count)
            p.large = b;
        if (p.small == NULL || b->count < p.small->count)
            p.small = b;
    }
    return p;
}

/* Said of a request that is too large: smaller ones may fit. */
static bool is_too_large(const kap_batch *b)
{
    return b->failure.status == 413 || b->failure.status == 414;
}

/* A single id whose failure waited: its retries come now. */
static kap_parked again(kap_call *c, kap_batch *b)
{
    if (!b->decided)
        kap_call_decide_again(c, b);
    return b->next_step == KAP_NEXT_RETRY ? KAP_PARKED_RETRY : KAP_PARKED_FAIL;
}

/* No success yet, after enough requests, and enough of them parts: twice what
 * leads from a whole batch to a single id. */
static bool is_hopeless(const kap_call *c)
{
    unsigned enough = 0;
    for (int n = c->settings->batch_size; n > 1; n = (n + 1) / 2)
        enough += 4;
    return c->evidence->requests >= GIVE_UP && c->evidence->probes >= enough;
}

/* Whether all that was under way when everything seemed lost has ended, too. */
static bool all_heard(const kap_call *c)
{
    kap_evidence *e = c->evidence;
    if (e->last == 0) {
        e->last = *c->numbers;
        e->awaited = e->unheard;
    }
    return e->awaited == 0;
}

kap_parked kap_call_unpark(kap_call *c, kap_batch **batch)
{
    kap_evidence *e = c->evidence;
    parked p = look(c);
    *batch = p.any;
    if (p.any == NULL && !p.probing) /* its retries are nobody else's matter */
        kap_call_leave_probing(c);
    if (p.any == NULL)
        return KAP_PARKED_WAIT;
    if (c->stop.kind != KAP_KIND_NONE)
        return KAP_PARKED_FAIL;
    if (kap_evidence_healthy(e))
        return p.any->count == 1 ? again(c, p.any) : KAP_PARKED_SPLIT;
    if (e->outage)
        return all_heard(c) ? KAP_PARKED_FAIL : KAP_PARKED_WAIT;
    if (p.probing || (e->prober != NULL && e->prober != c))
        return KAP_PARKED_WAIT;
    e->prober = c;
    if (e->known[0] != '\0')
        return KAP_PARKED_ASK;
    if (is_hopeless(c)) {
        if (!all_heard(c))
            return KAP_PARKED_WAIT;
        kap_evidence_outage(e);
        return KAP_PARKED_FAIL;
    }
    if (p.large == NULL) { /* nothing is left to take apart */
        *batch = p.single;
        return again(c, p.single);
    }
    /* Now a large one, for bad ids that stand together; now a small one, for
     * bad ids that are everywhere. */
    *batch = e->small || is_too_large(p.small) ? p.small : p.large;
    return KAP_PARKED_SPLIT;
}

bool kap_call_ask(kap_call *c)
{
    kap_batch *b = kap_call_add(c, 0, 0, c->last);
    if (b == NULL)
        return false;
    b->control = b->probe = true;
    return true;
}

bool kap_call_split(kap_call *c, kap_batch *b)
{
    kap_evidence *e = c->evidence;
    uint32_t left = (b->count + 1) / 2;
    kap_batch *one = kap_call_add(c, b->first, left, b);
    kap_batch *two =
        one == NULL ? NULL
                    : kap_call_add(c, b->first + left, b->count - left, one);
    if (two == NULL) {
        if (one != NULL)
            kap_call_drop(c, one, NULL);
        return false;
    }
    one->half = two->half = true;
    one->http1 = two->http1 = b->http1;
    one->deadline = two->deadline = b->deadline;
    one->not_before = two->not_before = b->not_before;
    one->probe = two->probe = !kap_evidence_healthy(e);
    e->small = one->probe && !e->small;
    kap_call_drop(c, b, NULL);
    return true;
}
