/*
 * When a failed request is tried again, and when not: pure decisions, no Lua,
 * no I/O, no clock of its own.
 */
#ifndef KAP_RETRY_H
#define KAP_RETRY_H

#include "base/random.h"

#include <stdbool.h>

/* What a client may still spend on retries, so that it does not make an outage
 * worse. */
typedef struct kap_retry_budget {
    int tokens;
} kap_retry_budget;

void kap_retry_budget_init(kap_retry_budget *b);
bool kap_retry_budget_spend(kap_retry_budget *b); /* false: nothing left */
void kap_retry_budget_refund(kap_retry_budget *b);

/* Full jitter: anything up to base * 2^(attempt-1), at most max. `attempt` is
 * the one that failed, 1 for the first; `random` is in [0, 1). */
double kap_retry_backoff(double base, double max, int attempt, double random);

#endif
