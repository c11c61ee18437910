/*
 * What a call and its batches consist of. Nothing in policy/ knows Lua, or what
 * a ticket is: whoever reads an answer says which ids came, and whether the
 * answer was a success or a failure.
 *
 * The states of a batch, and what moves it between them:
 *
 *            +---------- retry: after a pause, or at once -----------+
 *            v                                                       |
 *   READY --send--> IN_FLIGHT --the engine has ended it--> ARRIVED --read--> gone:
 *     ^                                                      |    its ids have come,
 *     |                                       failed for good, but   are missing or
 *     +--- in parts, see isolate.h --- PARKED <----- parts may not   have failed
 */
#ifndef KAP_STATE_H
#define KAP_STATE_H

#include "base/list.h"
#include "base/refs.h"
#include "net/engine.h"
#include "policy/breaker.h"
#include "policy/event.h"
#include "policy/idset.h"
#include "policy/retry.h"

typedef enum {
    KAP_ID_PENDING,
    KAP_ID_GOT,
    KAP_ID_MISSING, /* see kap_call_succeed: nothing else makes an id missing */
    KAP_ID_FAILED
} kap_id_state;

/* A failure for good, shared by the ids that it concerns. */
typedef struct kap_fault {
    kap_refs refs; /* each of those ids, and the call's list */
    kap_link link; /* in its call, in the order in which batches failed */
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
    KAP_BATCH_READY,     /* to be handed to the engine */
    KAP_BATCH_IN_FLIGHT, /* the engine has its transfer */
    KAP_BATCH_ARRIVED,   /* ended, not yet read: in the client's list */
    KAP_BATCH_PARKED     /* failed; isolate.h decides what follows */
} kap_batch_state;

struct kap_call;

/* Ids that go on the wire together, in one attempt after the other: those of a
 * range of the call's ids that are still pending. */
typedef struct kap_batch {
    kap_link link;         /* in its call, in order of their ids */
    kap_link arrived;      /* in the client's list of those to be read */
    struct kap_call *call; /* NULL: the call is over */
    kap_batch_state state;
    uint32_t first, count;
    char *sent_ids; /* what was sent; NULL: the whole range */
    size_t sent_ids_len;
    uint32_t asked;  /* ids in its last request */
    unsigned number; /* for events */
    int attempts;
    bool part;    /* made from a batch that failed */
    bool probe;   /* one of the breaker's, which is tried once */
    bool canary;  /* asks for c->canary_id once more; has no ids of its own */
    bool untried; /* its ids failed together with others, and were never asked
                         * for without those */
    bool brought_own;   /* its last answer brought tickets that it asked for */
    bool fresh;         /* next on a new connection: see kap_transfer */
    bool http1;         /* next over HTTP/1.1, for HTTP/2 lost its answer */
    int stale;          /* times it was sent again: see resend.h */
    unsigned announced; /* requests of its transfer that the hook was told of */
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
    kap_list batches; /* the canary, while there is one, is the first */
    kap_list faults;
    kap_breaker breaker;
    bool answered; /* the service has answered for some of the ids */
    char canary_id[KAP_ID_LENGTH_MAX + 1]; /* one of these ids; "": none yet */
    unsigned in_flight;
    bool open;          /* an iterator's: more ids may be fed */
    bool hook, partial; /* from its settings, which it gives up at its end */
    bool verdict_given; /* on an answer for which its lane waited: the engine is
                         * to be woken */
    bool unsent_told;   /* the hook was told of ids that were never sent */
    double started, ended, deadline;
    unsigned requests, retries, successes;
    double bytes;
    bool done;
    kap_failure stop; /* kind not NONE: nothing more is sent, and why */
    /* the client's */
    unsigned *numbers; /* its counter of batches */
    kap_retry_budget *budget;
    uint64_t *random;
    kap_list *events;
} kap_call;

#endif
