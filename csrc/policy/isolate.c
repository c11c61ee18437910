#include "policy/isolate.h"

#include "policy/call.h"

#include <string.h>

/* So many failures in a row, and the service may be gone altogether. */
#define DOUBT 16
/* So many requests without an answer are tried in all, retries included, unless
 * the way down to single ids asks for more: see is_hopeless. An outage costs 200
 * ids of the defaults 48 requests; and of one batch of 50, 40 of them bad and
 * anywhere, the other ten came in 57 of 60 trials. */
#define GIVE_UP 48
/* An iterator's: later chunks fail, too, before the loop has ended. */
#define GIVE_UP_EARLY 44
/* But so many whole requests are halved before all the others are given up. */
#define LOOKS 8
/* In an outage a feeler is put out after 1, 2, 4 and so on failures. */
#define QUIET_MAX 16

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
    e->last = e->awaited = e->looked = e->gap = e->quiet = 0;
    e->prober = NULL;
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
    else if (e->quiet > 0)
        e->quiet--;
}

/* For a while there is nothing to be found out. */
static void keep_quiet(kap_evidence *e)
{
    if (e->gap < QUIET_MAX)
        e->gap = e->gap == 0 ? 1 : 2 * e->gap;
    e->quiet = e->gap;
}

static void set_outage(kap_evidence *e)
{
    keep_quiet(e);
    e->outage = e->news = true;
    e->prober = NULL;
}

void kap_evidence_control_failed(kap_evidence *e)
{
    if (!kap_evidence_healthy(e)) /* something has worked meanwhile */
        set_outage(e);
}

void kap_evidence_await(kap_evidence *e, kap_batch *b)
{
    b->unheard = true;
    e->unheard++;
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

void kap_evidence_park(kap_evidence *e, kap_batch *b)
{
    bool waiting = e->awaited > 0;
    kap_evidence_heard(e, b);
    if (!waiting) /* a verdict on it waits for what is under way now */
        e->last = 0;
    b->whole = !b->half && b->count > 1;
    e->whole += b->whole;
}

void kap_evidence_unpark(kap_evidence *e, kap_batch *b)
{
    if (!b->whole)
        return;
    b->whole = false;
    if (--e->whole == 0)
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

typedef struct overview {
    kap_batch *any, *large, *small, *whole; /* of the parked ones */
    unsigned singles;
    bool probing; /* a part of what was taken apart in doubt is under way */
    double not_before;
} overview;

static overview look(const kap_call *c)
{
    overview v = {0};
    for (kap_batch *b = c->batches; b != NULL; b = b->next) {
        if (b->state != KAP_BATCH_PARKED) {
            v.probing = v.probing || (b->probe && !b->released);
            continue;
        }
        v.any = v.any == NULL ? b : v.any;
        if (b->not_before > v.not_before)
            v.not_before = b->not_before;
        if (b->count == 1) {
            v.singles++;
            continue;
        }
        if (b->whole && v.whole == NULL)
            v.whole = b;
        if (v.large == NULL || b->count > v.large->count)
            v.large = b;
        if (v.small == NULL || b->count < v.small->count)
            v.small = b;
    }
    return v;
}

/* Said of a request that is too large: smaller ones may fit. */
static bool is_too_large(const kap_batch *b)
{
    return b->failure.status == 413 || b->failure.status == 414;
}

/* A single id whose failure waited: its retries come now. */
static kap_parked release(kap_call *c, kap_batch *b)
{
    if (!b->decided)
        kap_call_decide_again(c, b);
    return b->next_step == KAP_NEXT_RETRY ? KAP_PARKED_RETRY : KAP_PARKED_FAIL;
}

static unsigned give_up_at(const kap_call *c)
{
    return c->lane->patient ? GIVE_UP_EARLY : GIVE_UP;
}

/* Nothing works, after enough requests, and enough of them parts: twice the
 * requests, two for each halving, from a whole batch down to a single id. */
static bool is_hopeless(const kap_call *c)
{
    unsigned enough = 0;
    for (int n = c->settings->batch_size; n > 1; n = (n + 1) / 2)
        enough += 4;
    return c->evidence->requests >= give_up_at(c) &&
           c->evidence->probes >= enough;
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

static kap_parked give_up(const kap_call *c)
{
    if (!all_heard(c))
        return KAP_PARKED_WAIT;
    set_outage(c->evidence);
    return KAP_PARKED_FAIL;
}

/* Nothing is left to take apart, and the retries of all that stands alone would
 * be as many requests as it takes to give up. */
static bool is_exhausted(const kap_call *c, const overview *v)
{
    unsigned retries = (unsigned)c->settings->retries;
    return v->large == NULL &&
           c->evidence->requests + v->singles * retries > GIVE_UP + 10;
}

/* Whether another call's whole requests come first. */
static bool is_others_turn(const kap_call *c, const overview *v)
{
    const kap_evidence *e = c->evidence;
    return e->whole > 0 && v->whole == NULL && e->looked < LOOKS &&
           (is_hopeless(c) || is_exhausted(c, v));
}

/* Nothing has worked, and there is no known id to ask for. */
static kap_parked probe(kap_call *c, const overview *v, kap_batch **batch)
{
    kap_evidence *e = c->evidence;
    /* a late one may be the one that works: half the budget is left to those */
    if (e->requests >= GIVE_UP / 2 && !all_heard(c))
        return KAP_PARKED_WAIT;
    if (is_hopeless(c)) {
        if (v->whole == NULL || e->looked >= LOOKS)
            return give_up(c);
        *batch = v->whole;
        return KAP_PARKED_SPLIT;
    }
    if (is_exhausted(c, v))
        return give_up(c);
    if (v->large == NULL) /* a single id, like all others */
        return release(c, v->any);
    /* Now a large one, for bad ids that stand together; now a small one, for
     * bad ids that are everywhere. */
    *batch = e->small_next || is_too_large(v->small) ? v->small : v->large;
    return KAP_PARKED_SPLIT;
}

kap_parked kap_call_unpark(kap_call *c, kap_batch **batch)
{
    kap_evidence *e = c->evidence;
    overview v = look(c);
    *batch = v.any;
    if (v.any == NULL && !v.probing) /* its retries are nobody else's matter */
        kap_call_leave_probing(c);
    if (v.any == NULL)
        return KAP_PARKED_WAIT;
    if (c->stop.kind != KAP_KIND_NONE)
        return KAP_PARKED_FAIL;
    if (kap_evidence_healthy(e))
        return v.any->count == 1 ? release(c, v.any) : KAP_PARKED_SPLIT;
    if (v.probing || (e->prober != NULL && e->prober != c))
        return KAP_PARKED_WAIT;
    bool known = e->known[0] != '\0';
    if (e->outage && (e->quiet > 0 || !(known || v.whole != NULL))) {
        kap_call_leave_probing(c);
        return all_heard(c) ? KAP_PARKED_FAIL : KAP_PARKED_WAIT;
    }
    if (!e->outage && !known && is_others_turn(c, &v)) {
        kap_call_leave_probing(c);
        return KAP_PARKED_WAIT;
    }
    e->prober = c;
    if (known)
        return KAP_PARKED_ASK;
    if (!e->outage)
        return probe(c, &v, batch);
    *batch = v.whole;
    return KAP_PARKED_SPLIT;
}

bool kap_call_ask(kap_call *c)
{
    kap_batch *b = kap_call_add(c, 0, 0, c->last);
    if (b == NULL)
        return false;
    c->control = b;
    memcpy(b->control, c->evidence->known, sizeof b->control);
    b->probe = true;
    b->not_before = look(c).not_before;
    return true;
}

/* A batch for what is pending of so many ids of b's range, behind `after`. */
static kap_batch *add_part(kap_call *c, const kap_batch *b, uint32_t first,
                           uint32_t count, kap_batch *after)
{
    kap_call_trim(c, &first, &count);
    kap_batch *part = kap_call_add(c, first, count, after);
    if (part == NULL)
        return NULL;
    part->half = true;
    part->http1 = b->http1;
    part->deadline = b->deadline;
    part->not_before = b->not_before;
    part->probe = !kap_evidence_healthy(c->evidence);
    return part;
}

bool kap_call_split(kap_call *c, kap_batch *b)
{
    kap_evidence *e = c->evidence;
    uint32_t first = b->first, count = b->count;
    kap_call_trim(c, &first,
                  &count); /* both ends are pending: so are the parts' */
    uint32_t left = (count + 1) / 2;
    kap_batch *one = add_part(c, b, first, left, b);
    if (one == NULL)
        return false;
    if (count > 1 && add_part(c, b, first + left, count - left, one) == NULL) {
        kap_call_drop(c, one, NULL);
        return false;
    }
    e->small_next = one->probe && !e->small_next;
    if (one->probe && b->whole)
        e->looked++;
    if (e->outage)
        keep_quiet(e);
    kap_call_drop(c, b, NULL);
    return true;
}
