#include "policy/retry.h"

#include <math.h>

/* The contract's figures: at most 500 tokens, 5 a retry, a success gives one
 * back. */
#define BUDGET_MAX 500
#define BUDGET_RETRY 5

void kap_retry_budget_init(kap_retry_budget *b)
{
    b->tokens = BUDGET_MAX;
}

bool kap_retry_budget_spend(kap_retry_budget *b)
{
    if (b->tokens < BUDGET_RETRY)
        return false;
    b->tokens -= BUDGET_RETRY;
    return true;
}

void kap_retry_budget_refund(kap_retry_budget *b)
{
    if (b->tokens < BUDGET_MAX)
        b->tokens++;
}

double kap_retry_backoff(double base, double max, int attempt, double random)
{
    double most = ldexp(base, attempt - 1);
    if (!(most < max))
        most = max;
    return most > 0 ? most * random : 0;
}
