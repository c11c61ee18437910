/*
 * What an engine consists of, and the turns in which its transfers make
 * progress, on whichever thread. For engine.c alone.
 */
#ifndef KAP_DRIVER_H
#define KAP_DRIVER_H

#include "net/ending.h"
#include "net/handles.h"
#include "net/scheduler.h"
#include "net/wakeup.h"

#include <pthread.h>

/* How long the driver sleeps when nothing is due; it is woken when that
 * changes. */
#define KAP_IDLE_SECONDS 60.0

typedef struct kap_engine {
    /* the driver's */
    CURLM *multi;
    kap_handles handles;
    kap_scheduler scheduler;
    double last_turn;
    double latency;   /* what the last answer took */
    double succeeded; /* when something last did */
    uint64_t random;
    long max_connects;
    bool http2;

    /* shared, under the lock */
    pthread_mutex_t lock;
    kap_list inbox, outbox;
    int cancels; /* marked and not yet swept */
    bool stop;
    bool started; /* a transfer has, in a lane that reports it */
    kap_wakeup wakeup;

    /* the caller's */
    bool threaded; /* it has a thread of its own: */
    pthread_t thread;

    kap_ending_entry entry;
} kap_engine;

/*
 * Does all that can be done without waiting; returns the time at which there is
 * more to do.
 *
 * Inline, libcurl reads answers that came together in one go, and the caller
 * then deals with one after the other. If the next requests were sent together
 * as well, their answers would come together again, and the server and this
 * thread would work only in turns. So requests start one by one as long as the
 * caller has answers to deal with (`busy`).
 */
double kap_driver_turn(kap_engine *e, bool busy);
/* Waits at most `seconds` for the sockets, or to be woken. False: libcurl could
 * not wait, and all transfers in flight have failed. */
bool kap_driver_poll(kap_engine *e, double seconds);
/* Takes in what was submitted and throws out what was cancelled. */
void kap_driver_absorb(kap_engine *e);
/* Frees a transfer of which nobody is to be told any more. */
void kap_driver_free_transfer(kap_transfer *t);
/* Ends and frees all transfers. */
void kap_driver_free_all(kap_engine *e);

#endif
