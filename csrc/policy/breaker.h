/*
 * The circuit breaker of a call, which says whether the service is up. It
 * counts successes, and failures that smaller batches may not share. It knows
 * nothing of batches.
 *
 *   closed    the service answers, or has failed too seldom to say otherwise
 *   in doubt  DOUBT failures in a row: probes of single ids find out, a bounded
 *             number of them. A success closes the breaker; when the probes are
 *             used up and nothing is in flight any more, it opens
 *   open      nothing works. One probe goes out after 1, 2, 4, 8, 16, 16 ...
 *             further failures; a success closes it
 */
#ifndef KAP_BREAKER_H
#define KAP_BREAKER_H

#include <stdbool.h>

typedef enum {
    KAP_BREAKER_CLOSED,
    KAP_BREAKER_IN_DOUBT,
    KAP_BREAKER_OPEN
} kap_breaker_state;

typedef struct kap_breaker {
    kap_breaker_state state;
    unsigned failures; /* in a row, while it is closed */
    unsigned probes;   /* sent since it is in doubt */
    unsigned gap;      /* open: failures between the last probe and the next */
    unsigned waited;   /* open: how many of them there have been */
} kap_breaker;

void kap_breaker_success(kap_breaker *b);
void kap_breaker_failure(kap_breaker *b);

/* Whether a probe may go out now. `canary`: it asks for an id that was answered
 * before, which says more than any other id, so fewer of them are sent. `busy`:
 * other requests are in flight; half of the probes are kept until these have
 * ended. */
bool kap_breaker_may_probe(const kap_breaker *b, bool canary, bool busy);
/* One went out. */
void kap_breaker_probe(kap_breaker *b);
/* The probes are used up, and nothing that was in flight has worked. */
void kap_breaker_open(kap_breaker *b);

#endif
