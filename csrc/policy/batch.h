/*
 * What can be done with one batch of a call: it is made, sent, tried again,
 * given up, and the hook is told of it. Which of these is done is for call.h
 * and isolate.h to decide.
 *
 * Functions that return bool or a pointer say false or NULL when there is no
 * memory; the call is then fit for kap_call_end only.
 */
#ifndef KAP_BATCH_H
#define KAP_BATCH_H

#include "policy/state.h"

/* A batch of these ids behind `after`, or first. */
kap_batch *kap_batch_add(kap_call *c, uint32_t first, uint32_t count,
                         kap_batch *after);
/* The same for part of a batch that failed. */
kap_batch *kap_batch_add_part(kap_call *c, const kap_batch *b, uint32_t first,
                              uint32_t count, kap_batch *after);
/* One that asks for c->canary_id once more, before all others. */
kap_batch *kap_batch_add_canary(kap_call *c);
/* Takes it out of its call, and off the engine. One that has arrived is left to
 * the client, whose list it is in. */
void kap_batch_drop(kap_call *c, kap_batch *b, kap_engine *e);
/* Frees what kap_batch_drop has left. */
void kap_batch_free(kap_batch *b);
/* Frees its last attempt's transfer: the answer is of no more use. */
void kap_batch_free_transfer(kap_batch *b);

/* How many of its ids are pending. */
uint32_t kap_batch_pending(const kap_call *c, const kap_batch *b);

/* Hands its ids that are pending to the engine; without any, it is dropped. */
bool kap_batch_send(kap_call *c, kap_batch *b, kap_engine *e);
/* Takes it back from the engine before it has gone out, which then was no
 * attempt. */
void kap_batch_withdraw(kap_call *c, kap_batch *b, kap_engine *e);
/* Makes it ready to be sent again, after so many seconds. */
void kap_batch_again(kap_batch *b, double delay);
/* Whether it may be tried again, after at least so many seconds; *delay becomes
 * how many. Counts the retry. */
bool kap_batch_may_retry(kap_call *c, kap_batch *b, double least,
                         double *delay);
/* Whether a retry of it has to wait for what becomes of others. */
bool kap_batch_retry_waits(const kap_call *c, const kap_batch *b);
/* It has failed for good: its pending ids fail, the hook is told, it is
 * dropped. */
bool kap_batch_give_up(kap_call *c, kap_batch *b, kap_engine *e);

/* Records an event for the call's hook, if there is one. */
bool kap_batch_tell(kap_call *c, const kap_batch *b, kap_event_type type,
                    double delay);
/* Records those of its requests that went out since it was last called. */
bool kap_batch_announce(kap_call *c, kap_batch *b);

#endif
