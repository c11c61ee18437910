/*
 * Decides which transfer is sent next, and does no I/O. Transfers wait in
 * lanes, one for each call. The engine's driver owns it, and nobody else
 * touches it.
 *
 * Lanes are served in turn, one start each, so that a call of two requests does
 * not wait for a call of a thousand. The limits hold for all lanes together.
 */
#ifndef KAP_SCHEDULER_H
#define KAP_SCHEDULER_H

#include "base/list.h"
#include "net/lane.h"
#include "net/pace.h"
#include "net/transfer.h"

typedef struct kap_scheduler {
    kap_list lanes;   /* in which something waits; the first has its turn */
    kap_list active;  /* transfers in flight */
    int concurrency;  /* of those, at most */
    double interval;  /* seconds between two starts, at least */
    double next_slot; /* when `rate` allows the next one */
    kap_pace pace;    /* when the service allows it */
} kap_scheduler;

/* `rate`: starts a second, INFINITY for any number. */
void kap_scheduler_init(kap_scheduler *s, int concurrency, double rate);

void kap_scheduler_push(kap_scheduler *s, kap_transfer *t);
void kap_scheduler_remove(kap_scheduler *s, kap_transfer *t);

/*
 * Takes out the next transfer that may start now, or NULL; then *due says when
 * one may. Those whose deadline has passed, or will before the service's pause
 * is over, go to `expired` instead, with the outcome set.
 */
kap_transfer *kap_scheduler_next(kap_scheduler *s, double now, double *due,
                                 kap_list *expired);

/* The transfer is now in flight; it no longer is. */
void kap_scheduler_started(kap_scheduler *s, kap_transfer *t);
void kap_scheduler_ended(kap_scheduler *s, kap_transfer *t);

/* Moves every transfer marked as cancelled to `out`. */
void kap_scheduler_sweep(kap_scheduler *s, kap_list *out);

#endif
