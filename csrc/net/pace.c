#include "net/pace.h"

#include <math.h>

/* A pause that the service did not give a length is never shorter. */
#define PAUSE_LEAST 0.1
/* Of a pause that it did give one, so much more at most: clients that were
 * refused together do not come back together. */
#define JITTER_SHARE 0.125
/* Between two starts at most, before it shrinks: from a few requests and one
 * long pause (for maintenance, say) nothing can be learned about a rate. This is
 * also where a service ends up that refuses at random, however slowly it is asked.
 * Growing again with what was accepted, as well as with time, would be faster
 * there; but before a real limit it meets that limit too often, and in bursts. */
#define INTERVAL_MAX 1.0
/* The rate has doubled after so many seconds without a push-back. */
#define DOUBLING_SECONDS 20.0
/* After so long without one the limit is forgotten. */
#define FORGET_SECONDS 120
/* A client that sent nothing for so long learns its rate anew. */
#define IDLE_SECONDS 5.0

void kap_pace_init(kap_pace *p)
{
    *p = (kap_pace){.until = -INFINITY,
                    .since = -INFINITY,
                    .last_start = -INFINITY};
}

/* Between two starts by now. It shrinks with the cube of the time: barely at
 * first, while the limit is likely to be near, and then fast. */
static double interval(const kap_pace *p, double now)
{
    double x = (now - p->until) / DOUBLING_SECONDS;
    return p->interval / (1 + x * x * x);
}

double kap_pace_due(const kap_pace *p, size_t active, double now)
{
    if (!p->limited)
        return -INFINITY;
    if (now < p->until)
        return p->until;
    if (active > 0 && (double)active + 1 > p->window)
        return INFINITY;
    return p->last_start + interval(p, now);
}

/* When the pause is over, and what was still in flight has been answered. A
 * pause after which nothing was accepted belongs to the one before. */
static void learn(kap_pace *p)
{
    double span = p->until - p->since;
    p->interval =
        fmin(p->accepted > 0 ? span / p->accepted : span, INTERVAL_MAX);
    p->pausing = false;
    p->counting = false;
}

void kap_pace_started(kap_pace *p, size_t active, double now)
{
    if (p->pausing)
        learn(p);
    if (p->limited && now - p->until > FORGET_SECONDS)
        p->limited = false;
    if (active == 0 && now - p->last_start > IDLE_SECONDS && now > p->until) {
        p->since = now;
        p->accepted = 0;
    }
    if (!p->limited)
        p->window = (double)active + 1;
    p->last_start = now;
}

void kap_pace_accepted(kap_pace *p, double began)
{
    bool fresh = began >= p->until;
    if (fresh && p->limited && !p->counting) {
        p->counting = true;
        p->since = p->until;
        p->accepted = 0;
    }
    p->accepted++;
    if (!fresh)
        return;
    p->in_a_row = 0;
    if (p->limited)
        p->window += p->window < p->settled ? 1 : 1 / p->window;
}

double kap_pace_pushed_back(kap_pace *p, double began, double retry_after,
                            double backoff, double max_backoff, double random,
                            double now)
{
    bool anew = began >= p->until;
    if (anew)
        p->in_a_row++;
    double most =
        ldexp(backoff, (int)(p->in_a_row < 64 ? p->in_a_row : 64) - 1);
    most = fmax(fmin(most, max_backoff), 2 * PAUSE_LEAST);
    double pause = most * (0.5 + 0.5 * random);
    if (retry_after >= 0) {
        double jitter = fmax(retry_after * JITTER_SHARE, PAUSE_LEAST);
        double least = retry_after + fmin(jitter, most) * random;
        pause = p->in_a_row > 1 ? fmax(least, pause) : least;
    }
    double until = now + pause;
    if (anew) {
        p->settled = p->window / 2;
        p->window = 1;
        p->limited = p->pausing = true;
    }
    if (anew || (retry_after >= 0 && until > p->until))
        p->until = fmax(p->until, until);
    return fmax(p->until - now, 0);
}
