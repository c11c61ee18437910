/*
 * One call: its ids, cut into batches, and what becomes of each of them.
 *
 * An iterator's call is fed ids as it goes (kap_call_feed, kap_call_seal) and
 * gives up what was handed out (kap_call_release).
 */
#ifndef KAP_CALL_H
#define KAP_CALL_H

#include "policy/batch.h"

/* Functions that return bool say false when there is no memory; the call is then
 * fit for kap_call_end only. */

/* ids, settings and message are set. */
bool kap_call_begin(kap_call *c);
/* Drops everything but the ids, what became of them and the counters: secrets
 * above all. Batches that have arrived are left to whoever has them. */
void kap_call_end(kap_call *c, kap_engine *e);
void kap_call_free(kap_call *c, kap_engine *e);
/* Drops what only sending needs: whoever keeps the call keeps no token. */
void kap_call_let_go(kap_call *c);

/* An iterator's: one more id, whose number goes to *number. The same id may be
 * fed again, and is asked for once as long as it is not handed out. */
bool kap_call_feed(kap_call *c, const char *id, size_t len, uint64_t *number);
/* Makes a batch of what was fed since. */
bool kap_call_seal(kap_call *c);
/* Whether nothing more will become of the id of that number. */
bool kap_call_final(const kap_call *c, uint64_t number);
/* Whether the i-th id (KAP_IDSET_NONE: no id of the call) is still to be handed
 * out. */
bool kap_call_wants(const kap_call *c, uint32_t i);
/* It was handed out. True: for the last time. */
bool kap_call_release(kap_call *c, uint64_t number);

/* Hands batches to the engine, as many as are good for the pace. */
bool kap_call_pump(kap_call *c, kap_engine *e);
/* The engine has ended the batch's transfer. */
void kap_call_arrived(kap_batch *b);
/* A ticket of the i-th id has come, with whichever batch. */
void kap_call_got(kap_call *c, uint32_t i);
/* Its answer is read: what has not come is missing, which the service itself has
 * said by calling the answer a success. This is the only place where an id
 * becomes missing. The batch is gone. */
bool kap_call_succeed(kap_call *c, kap_batch *b, kap_engine *e);
/* Of an answer that has tickets, but none of b's: where it may have been on the
 * connection before b was, b is sent again, and true is returned. */
bool kap_call_disown(kap_call *c, kap_batch *b);
/* It has failed as b->failure says, though some of its ids may have come. */
bool kap_call_fail(kap_call *c, kap_batch *b, kap_engine *e);
/* What follows from that for others, and whether nothing is left to happen. */
bool kap_call_settle(kap_call *c, kap_engine *e);

/* What an engine's transfer that brought no response ended with, into
 * b->failure. */
void kap_call_describe(kap_batch *b);
/* Tells the events of requests that went out since it was last called. */
bool kap_call_announce(kap_call *c);
/* Nothing more is sent: batches not yet on the wire are dropped. */
void kap_call_stop(kap_call *c, kap_engine *e, const kap_failure *why);
/* Gives its batches so many seconds more; the engine sees to what it has. */
void kap_call_extend(kap_call *c, double seconds);

#endif
