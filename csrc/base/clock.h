/* Time as the module counts it: seconds on a clock that never jumps. */
#ifndef KAP_CLOCK_H
#define KAP_CLOCK_H

#include <math.h>
#include <time.h>

static inline double kap_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

/* Milliseconds for a timeout in seconds: rounded up, so that waiting that long
 * is never too short; at most `cap`. */
static inline long kap_ms(double seconds, long cap)
{
    double ms = ceil(seconds * 1e3);
    if (!(ms > 0))
        return 0;
    return ms >= (double)cap ? cap : (long)ms;
}

#endif
