#include "policy/retry.h"

#include <math.h>

/* The contract's figures: at most 500 tokens, 5 a retry, a success gives one
 * back. */
#define BUDGET_MAX 500
#define BUDGET_RETRY 5

void kap_budget_init(kap_budget *b)
{
    b->tokens = BUDGET_MAX;
}

bool kap_budget_retry(kap_budget *b)
{
    if (b->tokens < BUDGET_RETRY)
        return false;
    b->tokens -= BUDGET_RETRY;
    return true;
}

void kap_budget_success(kap_budget *b)
{
    if (b->tokens < BUDGET_MAX)
        b->tokens++;
}

double kap_backoff(double base, double max, int attempt, double random)
{
    double most = ldexp(base, attempt - 1);
    if (!(most < max))
        most = max;
    return most > 0 ? most * random : 0;
}

double kap_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}
