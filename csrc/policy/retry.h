/*
 * When a failed request is tried again, and when not: pure decisions, no Lua,
 * no I/O, no clock of its own.
 */
#ifndef KAP_ATTEMPT_H
#define KAP_ATTEMPT_H

#include "base/random.h"

#include <stdbool.h>

/* What a client may still spend on retries: an outage must not be amplified. */
typedef struct kap_budget {
    int tokens;
} kap_budget;

void kap_budget_init(kap_budget *b);
bool kap_budget_retry(kap_budget *b); /* false: nothing left */
void kap_budget_success(kap_budget *b);

/* Full jitter: anything up to base * 2^(attempt-1), at most max. `attempt` is
 * the one that failed, 1 for the first; `random` is in [0, 1). */
double kap_backoff(double base, double max, int attempt, double random);

#endif
