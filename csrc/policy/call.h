/*
 * One call: its ids, cut into batches, and what becomes of each of them. Knows
 * neither Lua nor what a ticket is: whoever reads an answer says which ids came,
 * and whether the answer was a success or a failure.
 *
 *            +--------- retry: after a pause, or at once ----------+
 *            v                                                     |
 *   READY --send--> FLYING --the engine has ended it--> ARRIVED --read--> gone: its
 *     ^                                                  |         ids have come,
 *     |                                      failed for good, but  are missing or
 *     +--- in parts, see isolate.h --- PARKED <-- parts may not    have failed
 *
 * An iterator's call is fed ids as it goes (kap_call_feed, kap_call_seal) and
 * gives up what was handed out (kap_call_release).
 */
#ifndef KAP_CALL_H
#define KAP_CALL_H

#include "policy/breaker.h"
#include "policy/event.h"
#include "policy/idset.h"
#include "policy/retry.h"
#include "net/engine.h"

typedef enum {
    KAP_ID_PENDING,
    KAP_ID_GOT,
    KAP_ID_MISSING, /* see kap_call_succeed: nothing else makes an id missing */
    KAP_ID_FAILED
} kap_id_state;

/* A failure for good, shared by the ids that it concerns. */
typedef struct kap_fault {
    unsigned refs;
    struct kap_fault *next; /* in its call, in order of ending */
    kap_failure failure;
    size_t ids_len;
    char ids[]; /* separated by commas */
} kap_fault;

/* What the call knows of one id. */
typedef struct kap_slot {
    kap_id_state state;
    uint32_t wanted; /* an iterator's: times it is still to be handed out */
    kap_fault *fault;
} kap_slot;

typedef enum {
    KAP_BATCH_READY,   /* to be handed to the engine */
    KAP_BATCH_FLYING,  /* the engine's */
    KAP_BATCH_ARRIVED, /* ended, not yet read: in the client's list */
    KAP_BATCH_PARKED   /* failed; what follows is isolate's to say */
} kap_batch_state;

struct kap_call;

/* Ids that go on the wire together, through all their attempts: those of a range
 * of the call's ids that are pending. */
typedef struct kap_batch {
    struct kap_batch *prev, *next;  /* in its call, in order of their ids */
    struct kap_batch *next_arrived; /* in the client's list */
    struct kap_call *call;          /* NULL: the call is over */
    kap_batch_state state;
    uint32_t first, count;
    char *sent_ids; /* where these were not the whole range, else NULL */
    size_t sent_ids_len;
    uint32_t asked;  /* ids in its last request */
    unsigned number; /* for events */
    int attempts;
    bool part;   /* of a batch that failed */
    bool probe;  /* of the breaker's: it is tried once */
    bool canary; /* asks for c->known once more, and has no ids of its own */
    bool
        rest; /* parked, and never asked for without others that it failed with */
    bool read;          /* its last answer brought tickets of its own */
    bool fresh;         /* on a new connection: see kap_transfer */
    bool http1;         /* HTTP/2 swallowed its answer: see is_swallowed */
    int stale;          /* times it was sent again for a stale connection */
    unsigned announced; /* request events of its transfer that are out */
    double not_before, deadline;
    kap_transfer *transfer;
    kap_failure failure; /* of the last attempt */
} kap_batch;

typedef struct kap_call {
    kap_settings *settings;
    kap_message *message;
    kap_lane *lane;
    kap_idset ids;
    kap_slot *slots; /* of each id */
    uint32_t slots_cap;
    uint32_t next;    /* the first id not yet in a batch */
    uint64_t dropped; /* ids that were given up, before ids[0] */
    kap_batch *batches, *last;
    kap_batch *canary; /* on its way, or NULL; not among the batches */
    kap_fault *faults, *last_fault;
    kap_breaker breaker;
    bool answered;                     /* something has succeeded */
    char known[KAP_ID_LENGTH_MAX + 1]; /* an id that the service has answered
                                        * for: the canary; "": none yet */
    unsigned flying;
    bool open;          /* an iterator's: more ids may be fed */
    bool hook, partial; /* its settings', which it lets go of when it ends */
    bool waiting; /* an answer of this call was looked at for whose verdict its
                   * lane was held: the engine is to go on with it */
    bool unsent_told;
    double started, ended, deadline;
    unsigned requests, retries, successes;
    double bytes;
    bool done;
    kap_failure stop; /* kind not NONE: nothing more is sent, and why */
    /* the client's */
    unsigned *numbers; /* its counter of batches */
    kap_budget *budget;
    uint64_t *random;
    kap_events *events;
} kap_call;

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

/* An iterator's: one more id, whose number goes to *place. The same id may be
 * fed again, and is asked for once as long as it is not handed out. */
bool kap_call_feed(kap_call *c, const char *id, size_t len, uint64_t *place);
/* Makes a batch of what was fed since. */
bool kap_call_seal(kap_call *c);
/* Whether nothing more will become of the id of that number. */
bool kap_call_final(const kap_call *c, uint64_t place);
/* It was handed out. True: for the last time. */
bool kap_call_release(kap_call *c, uint64_t place);

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

/* For isolate.c ------------------------------------------------------------ */

uint32_t kap_call_pending(const kap_call *c, const kap_batch *b);
/* A batch of these ids behind `after`, or first. NULL: no memory. */
kap_batch *kap_call_add(kap_call *c, uint32_t first, uint32_t count,
                        kap_batch *after);
/* The same for part of a batch that failed. */
kap_batch *kap_call_add_part(kap_call *c, const kap_batch *b, uint32_t first,
                             uint32_t count, kap_batch *after);
/* One that asks for c->known once more; not among the batches. NULL: likewise. */
kap_batch *kap_call_new_canary(kap_call *c);
void kap_call_drop(kap_call *c, kap_batch *b, kap_engine *e);
/* Failed for good. */
bool kap_call_give_up(kap_call *c, kap_batch *b, kap_engine *e);
/* Ready, after so many seconds. */
void kap_call_again(kap_batch *b, double delay);
/* Whether it may be tried again, after at least so many seconds; *delay becomes
 * how many. Counts the retry. */
bool kap_call_may_retry(kap_call *c, kap_batch *b, double least, double *delay);
/* Tells a hook, if there is one. */
bool kap_call_tell(kap_call *c, const kap_batch *b, kap_event_type type,
                   double delay);
void kap_batch_free(kap_batch *b);

#endif
