#include "policy/breaker.h"

/* After so many failures in a row the service may be down. */
#define DOUBT 16
/* With so many, an outage from the start costs 200 ids at most 60 requests with
 * the defaults: 3 attempts of 4 batches, 12 parts until the breaker is in
 * doubt, some more that are in flight by then, and the probes. Where one id in
 * five is good, all probes meet bad ids once in 60 times. */
#define PROBES 18
/* More than one, for a request may get lost. */
#define CANARY_PROBES 3
#define GAP_MAX 16

void kap_breaker_success(kap_breaker *b)
{
    *b = (kap_breaker){.state = KAP_BREAKER_CLOSED};
}

void kap_breaker_failure(kap_breaker *b)
{
    if (b->state == KAP_BREAKER_OPEN)
        b->waited++;
    else if (b->state == KAP_BREAKER_CLOSED && ++b->failures == DOUBT)
        *b = (kap_breaker){.state = KAP_BREAKER_IN_DOUBT};
}

bool kap_breaker_may_probe(const kap_breaker *b, bool canary, bool busy)
{
    unsigned most = canary ? CANARY_PROBES : busy ? PROBES / 2 : PROBES;
    if (b->state == KAP_BREAKER_OPEN)
        return b->waited >= b->gap;
    return b->state == KAP_BREAKER_IN_DOUBT && b->probes < most;
}

void kap_breaker_probe(kap_breaker *b)
{
    b->probes++;
    b->waited = 0;
    if (b->state == KAP_BREAKER_OPEN && b->gap < GAP_MAX)
        b->gap *= 2;
}

void kap_breaker_open(kap_breaker *b)
{
    *b = (kap_breaker){.state = KAP_BREAKER_OPEN, .gap = 1};
}
