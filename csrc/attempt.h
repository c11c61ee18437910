/*
 * When a failed request is tried again, and when not: pure decisions, no Lua,
 * no I/O, no clock of its own.
 */
#ifndef KAP_ATTEMPT_H
#define KAP_ATTEMPT_H

#include "kind.h"

#include <stdint.h>
#include <time.h>

/* What a client may still spend on retries: an outage must not be amplified. */
typedef struct kap_budget {
    int tokens;
} kap_budget;

void kap_budget_init(kap_budget *b);
bool kap_budget_retry(kap_budget *b); /* false: nothing left */
void kap_budget_success(kap_budget *b);

/*
 * Seconds to wait as a Retry-After header's value says: a number of seconds,
 * or an HTTP date in any of its three forms. < 0: not one of them.
 */
double kap_retry_after(const char *value, time_t now);

/* Full jitter: anything up to base * 2^(attempt-1), at most max. `attempt` is
 * the one that failed, 1 for the first; `random` is in [0, 1). */
double kap_backoff(double base, double max, int attempt, double random);

/* A small generator for the jitter; no secret depends on it. */
double kap_random(uint64_t *state);

/*
 * What a call has seen of requests that failed for good, to tell a bad id from
 * an outage. While it can't tell, one failed request at a time is taken apart
 * and the others wait; any success proves that the service answers.
 */
typedef struct kap_evidence {
    unsigned failures;  /* in a row */
    bool success;       /* at least one in this call */
    bool outage;        /* taking apart led to nothing, down to single ids */
    const void *prober; /* the call that takes one apart, of an iterator's */
    bool news;          /* what the others wait to hear */
} kap_evidence;

bool kap_evidence_healthy(const kap_evidence *e);
/* Whether so many failed in a row that all of them may. */
bool kap_evidence_doubtful(const kap_evidence *e);
void kap_evidence_success(kap_evidence *e);
void kap_evidence_failure(kap_evidence *e);

/* Whether a request of several ids that failed so may be taken apart. */
bool kap_isolates(kap_kind kind, int status);

#endif
