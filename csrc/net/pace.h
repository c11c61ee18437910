/*
 * How fast a client may send to a service that has told it to slow down: pure
 * decisions, no Lua, no libcurl, no clock of its own.
 *
 * Nothing waits before the first push-back: a 429, or another failure that
 * comes with a Retry-After. After one nothing starts until the pause is over.
 * Then concurrency is found anew from one upward, and starts are spaced evenly,
 * at the speed that the service is known to bear: as many requests as it accepted
 * since the last pause, in the time from there to the end of this one. From there
 * on both grow, slowly at first and then fast, until the next push-back, so that
 * a limit that was guessed too low, or that is gone, does not stay.
 */
#ifndef KAP_PACE_H
#define KAP_PACE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct kap_pace {
    bool limited;  /* there was a push-back, and it still matters */
    double until;  /* nothing starts before */
    double since;  /* what was accepted is counted since then... */
    bool counting; /* ...and something was, after the last pause */
    unsigned accepted;
    bool pausing;      /* since the last push-back nothing has started */
    unsigned in_a_row; /* pauses without a request accepted after one */
    double window;     /* so many may be in flight; unlimited: are... */
    double settled;    /* ...and from so many on it grows slowly */
    double interval;   /* between two starts, before it shrinks */
    double last_start;
} kap_pace;

void kap_pace_init(kap_pace *p);

/* When the next request may start, where so many are in flight: -INFINITY for
 * now, INFINITY for not before one of them has ended. */
double kap_pace_due(const kap_pace *p, size_t active, double now);
void kap_pace_started(kap_pace *p, size_t active, double now);

/* A request that started at `began` was answered, and not pushed back. */
void kap_pace_accepted(kap_pace *p, double began);

/*
 * One was pushed back. `retry_after` < 0: the service did not say for how long;
 * `backoff` and `max_backoff` are its caller's. `random` is in [0, 1). Returns
 * the seconds for which nothing starts, from now on. Those that were already in
 * flight at the last push-back are part of it: they may make the pause longer,
 * and are otherwise not counted.
 */
double kap_pace_pushed_back(kap_pace *p, double began, double retry_after,
                            double backoff, double max_backoff, double random,
                            double now);

#endif
