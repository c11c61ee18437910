/*
 * Finding the ids that spoil a batch. A batch that fails for good in a way
 * smaller ones may not share is halved, as long as the service is known to
 * answer. While the breaker (breaker.h) is in doubt, what has failed waits, and
 * probes of single ids find out: the canary if there is one, else ids spread
 * over what waits. When it opens, what waits has failed.
 */
#ifndef KAP_ISOLATE_H
#define KAP_ISOLATE_H

#include "policy/batch.h"

/* Decides what becomes of the call's parked batches now: parts, probes, a retry,
 * a failure, or nothing yet. False: no memory. */
bool kap_isolate_advance(kap_call *c, kap_engine *e);

#endif
