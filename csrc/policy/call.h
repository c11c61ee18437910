/*
 * One call: its ids, cut into batches, and what becomes of each of them.
 *
 * call.c begins and ends a call and decides which of its batches go out;
 * call_answer.c decides what follows when one has come back. An iterator's call
 * is fed ids as it goes on (see slots.h), of which kap_call_seal makes batches.
 */
#ifndef KAP_CALL_H
#define KAP_CALL_H

#include "policy/batch.h"

/* Functions that return bool say false when there is no memory; the call is
 * then fit for kap_call_end only. */

/* Starts the call's clock. Its ids, settings and message are set before. */
bool kap_call_begin(kap_call *c);
/* Drops everything but the ids, what became of them and the counters; so no
 * secret outlives the call. Batches that have arrived are left to the
 * client. */
void kap_call_end(kap_call *c, kap_engine *e);
void kap_call_free(kap_call *c, kap_engine *e);

/* An iterator's: makes a batch of what was fed since. */
bool kap_call_seal(kap_call *c);

/* A batch that has come back goes through three steps. The first: its transfer
 * has ended. */
void kap_call_arrived(kap_batch *b);
/* A transfer that brought no response: b->failure becomes what it ended
 * with. */
void kap_call_describe(kap_batch *b);
/* The second is one of these two. The answer is a success: the ids whose
 * tickets have not come are missing, for the service itself has said so.
 * Nowhere else does an id become missing. The batch is freed. */
bool kap_call_succeed(kap_call *c, kap_batch *b, kap_engine *e);
/* The batch has failed as b->failure says; some of its tickets may have
 * come. */
bool kap_call_fail(kap_call *c, kap_batch *b, kap_engine *e);
/* The third: decides what follows for the call's other batches, sends what can
 * be sent, and sets c->done where nothing is left to happen. Also for a call
 * that has just begun or was fed ids. */
bool kap_call_settle(kap_call *c, kap_engine *e);

/* Tells the hook of requests that went out since this was last called. */
bool kap_call_announce(kap_call *c);
/* Nothing more is sent: batches not yet on the wire are dropped. */
void kap_call_stop(kap_call *c, kap_engine *e, const kap_failure *why);
/* Gives the call's batches so many seconds more. The engine does the
 * same by itself for those in flight. */
void kap_call_extend(kap_call *c, double seconds);

#endif
