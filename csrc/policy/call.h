/*
 * One call: its ids, cut into batches, and what becomes of each of them: sent,
 * tried again, taken apart, given up. Lua-free; the tickets themselves and the
 * failures that users see are kept by request.c.
 */
#ifndef KAP_CALL_H
#define KAP_CALL_H

#include "policy/attempt.h"
#include "net/engine.h"
#include "policy/idset.h"
#include "policy/isolate.h"
#include "base/kind.h"
#include "lua/response.h"

typedef enum {
    KAP_ID_PENDING,
    KAP_ID_READ, /* its ticket is in the response that is being read */
    KAP_ID_GOT,
    KAP_ID_MISSING,
    KAP_ID_FAILED
} kap_id_state;

typedef enum {
    KAP_BATCH_READY,   /* to be handed to the engine */
    KAP_BATCH_FLYING,  /* the engine's */
    KAP_BATCH_ARRIVED, /* ended, not yet dealt with: in the client's list */
    KAP_BATCH_PARKED   /* failed; whether to take it apart is not yet known */
} kap_batch_state;

typedef enum {
    KAP_NEXT_RETRY,  /* again, after a pause */
    KAP_NEXT_RESEND, /* again, at once: nobody's failure, and not counted */
    KAP_NEXT_PARK,   /* to be taken apart, if and when: isolate.h */
    KAP_NEXT_FAIL    /* for good */
} kap_next;

struct kap_call;

/* A request of the contract: ids that go on the wire together, through all
 * their attempts. Of a range of the call's ids, those that are pending: an answer
 * may bring some, and the next attempt, or the halves, ask for the others. */
typedef struct kap_batch {
    struct kap_batch *prev, *next;  /* in its call */
    struct kap_batch *next_arrived; /* in the client's list */
    struct kap_call *call;          /* NULL: the call is over */
    kap_batch_state state;
    uint32_t first, count; /* of the call's ids */
    unsigned number;       /* for events */
    int attempts;
    bool half;     /* of a batch that failed */
    bool probe;    /* nobody knew whether anything works when it was made... */
    bool released; /* ...and, a single id that failed, it is tried again */
    bool whole;    /* parked, of several ids, and never taken apart */
    bool unheard;  /* a whole request that has not ended: kap_evidence_await */
    bool fresh;    /* on a new connection: see kap_transfer */
    bool http1;    /* HTTP/2 swallowed its answer: see is_swallowed */
    int stale;     /* times it was sent again for a stale connection */
    unsigned announced; /* request events of its transfer that are out */
    double not_before, deadline;
    char control[KAP_ID_LENGTH_MAX + 1]; /* not "": this id, which is known to
                                          * be well, and none of the call's */
    kap_transfer *transfer;
    kap_response response;
    uint32_t extras, guess; /* arrival.c's, while it decodes */
    kap_failure failure;    /* of the last attempt... */
    bool decided;           /* ...and, if so, what follows from it */
    kap_next next_step;
    double delay; /* seconds, before a retry */
} kap_batch;

static inline bool kap_is_control(const kap_batch *b)
{
    return b->control[0] != '\0';
}

typedef struct kap_call {
    kap_settings *settings;
    kap_message *message;
    kap_lane *lane;
    kap_idset ids;
    unsigned char *state; /* kap_id_state of each id */
    uint32_t next;        /* the first id not yet in a batch */
    kap_batch *batches, *last;
    kap_batch *control; /* under way, or NULL */
    unsigned changes; /* of these, and of whether they are parked: a counter */
    unsigned flying;
    unsigned *numbers; /* the client's counter of requests */
    kap_budget *budget;
    uint64_t *random;
    kap_evidence *evidence;
    bool hook, partial; /* its settings', which it lets go of when it ends */
    bool begun; /* its time is running: `started` and `deadline` say since and
                  * till when; before, an iterator's has no deadline */
    bool left;  /* a lane that the engine may go on with */
    double started, ended, deadline;
    unsigned requests, retries, successes;
    double bytes;
    bool done;
    kap_failure stop; /* kind not NONE: nothing more is sent, and why */
} kap_call;

/* ids, settings, message and, for an iterator's, lane are set; false: no
 * memory. */
bool kap_call_begin(kap_call *c);
/* Drops everything but the ids, their states and the counters: secrets above
 * all. Batches that have arrived are left to whoever has them. */
void kap_call_end(kap_call *c, kap_engine *e);
void kap_call_free(kap_call *c, kap_engine *e);
/* Drops what only sending needs: whoever keeps the call keeps no token. */
void kap_call_let_go(kap_call *c);

/* Hands batches to the engine, as many as are good for the pace. False: no
 * memory; what was not handed over still will be by the next pump. */
bool kap_call_pump(kap_call *c, kap_engine *e);

/* Decides about b, which failed as b->failure says: sets its next_step and
 * delay. Once an attempt: retries are counted. */
void kap_call_decide(kap_call *c, kap_batch *b);
/* The same for a single id that was parked: a retry, or its failure. */
void kap_call_decide_again(kap_call *c, kap_batch *b);

/* Of b's answer, which has tickets, but none of b's: where it may have been on
 * the connection before b was, b is to be sent again, and true is returned. */
bool kap_call_disown(kap_batch *b);

/* Carry the decision out; the batch is gone after fail and succeed. */
void kap_call_retry(kap_batch *b, double delay);
void kap_call_park(kap_batch *b);
void kap_call_fail(kap_call *c, kap_batch *b);
void kap_call_succeed(kap_call *c, kap_batch *b);
/* Its tickets that were read count, though it has failed for the others: the
 * service answers. */
void kap_call_partly(kap_call *c, const kap_batch *b);
/* Whether it has ids that are pending. */
bool kap_call_lacks(const kap_call *c, const kap_batch *b);
/* What was read of its response does not count. */
void kap_call_unread(kap_call *c, const kap_batch *b);
/* Drops ids that have come from both ends of a range. */
void kap_call_trim(const kap_call *c, uint32_t *first, uint32_t *count);
/* Fetches it anew, as if it had never been sent: its body was lost here. */
void kap_call_refetch(kap_batch *b);

/* What an engine's transfer ended with, into b->failure. */
void kap_batch_describe(kap_batch *b, const kap_transfer *t);

/* A batch of these ids behind `after`, or first. NULL: no memory. */
kap_batch *kap_call_add(kap_call *c, uint32_t first, uint32_t count,
                        kap_batch *after);
/* One that the client's list still refers to is left to it. */
void kap_call_drop(kap_call *c, kap_batch *b, kap_engine *e);
/* One that is in no list any more, and in no call. */
void kap_batch_free(kap_batch *b);

/* Nothing more is sent: batches not yet on the wire are dropped. */
void kap_call_stop(kap_call *c, kap_engine *e, const kap_failure *why);

/* What is read ahead waits for the client's rate and concurrency first, and
 * that is not the service's time: looks whether it is over. */
void kap_call_look(kap_call *c);
/* Gives it so many seconds more; the engine sees to what is in the engine. */
void kap_call_extend(kap_call *c, double seconds);

/* Whether nothing is left to happen; marks the end. */
bool kap_call_settle(kap_call *c);

#endif
