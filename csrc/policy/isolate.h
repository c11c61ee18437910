/*
 * Finding the ids that spoil a batch. A batch that fails for good in a way
 * smaller ones may not share is halved, as long as the service is known to
 * answer. After a run of failures without a success the breaker is in doubt:
 * probes of single ids (the canary if there is one, else ids spread over what
 * waits) find out, a bounded number of them. A success closes the breaker; when
 * the probes are used up and nothing is in flight, it opens: what waits has
 * failed, and while it is open one probe goes out after 1, 2, 4 ... 16 further
 * failures.
 */
#ifndef KAP_ISOLATE_H
#define KAP_ISOLATE_H

#include "policy/batch.h"

/* Decides what becomes of the call's parked batches now: parts, probes, a retry,
 * a failure, or nothing yet. False: no memory. */
bool kap_isolate_advance(kap_call *c, kap_engine *e);

#endif
