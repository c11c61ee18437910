/*
 * The queue before the wire: transfers that wait for their turn, in lanes.
 * Lua-free, no I/O, no locks: the engine's driver owns it.
 *
 * A lane is one call's place in a client: lanes are served in turn, a start
 * each, so that a call of a thousand requests does not starve one of two. Limits
 * are the queue's, for all lanes together.
 */
#ifndef KAP_QUEUE_H
#define KAP_QUEUE_H

#include "net/pace.h"
#include "net/transfer.h"

typedef struct kap_list {
    kap_transfer *first, *last;
    size_t n;
} kap_list;

void kap_list_push(kap_list *l, kap_transfer *t);
void kap_list_remove(kap_list *l, kap_transfer *t);

typedef struct kap_lane {
    atomic_int refs;
    bool patient;    /* an iterator's: time in which nobody drives the engine
                      * does not count, nor does waiting for the first start */
    bool watched;    /* somebody wants to hear of each start */
    atomic_int held; /* answers that may be a refused token: nothing is to be
                      * sent until the host has looked at them */
    /* the queue's */
    kap_list waiting;
    struct kap_lane *prev, *next; /* the ring of lanes with something waiting */
} kap_lane;

kap_lane *kap_lane_new(bool watched);
kap_lane *kap_lane_ref(kap_lane *l);
void kap_lane_unref(kap_lane *l);

/* Holds the lane of a transfer in the engine until it is let go. */
void kap_lane_hold(kap_transfer *t);
/* Lets go of the lane, on whichever side the transfer is. */
void kap_lane_leave(kap_transfer *t);

typedef struct kap_queue {
    kap_lane *ring;   /* the lane whose turn it is; NULL: nothing waits */
    kap_list active;  /* transfers in flight */
    int concurrency;  /* of those, at most */
    double interval;  /* seconds between two starts, at least */
    double next_slot; /* where `rate` allows the next one */
    kap_pace pace;    /* where the service allows it */
} kap_queue;

/* `rate`: starts a second, INFINITY for any number. */
void kap_queue_init(kap_queue *q, int concurrency, double rate);

void kap_queue_push(kap_queue *q, kap_transfer *t);
void kap_queue_remove(kap_queue *q, kap_transfer *t);

/*
 * Takes out the next transfer that may start now, or NULL; then *due says when
 * one may. Those whose deadline has passed, or will before the service's pause is
 * over, go to `expired` instead, with the outcome set.
 */
kap_transfer *kap_queue_next(kap_queue *q, double now, double *due,
                             kap_list *expired);

/* The transfer is in flight, and no more. */
void kap_queue_started(kap_queue *q, kap_transfer *t);
void kap_queue_ended(kap_queue *q, kap_transfer *t);

/* Moves every transfer marked as cancelled to `out`. */
void kap_queue_sweep(kap_queue *q, kap_list *out);

#endif
