#include "policy/breaker.h"

/* So many failures in a row, and the service may be gone altogether. */
#define DOUBT 16
/* With these, an outage from the start costs 200 ids of the defaults at most 60
 * requests: 4 batches of 3 attempts, 12 parts of them until there is doubt, some
 * more in flight by then, and the probes. If one id in five is good, all of them
 * meet bad ones once in 60 times. */
#define PROBES 18
/* For lost requests: that id was answered before. */
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
