/*
 * net/pace.c alone against models of services that limit their callers: no
 * network, no Lua, a clock of its own, tens of thousands of seeded runs in
 * seconds.
 *
 *     pace [runs of each service] [the first seed]
 *
 * Prints a line a service. Exit status 1: something was lost, took too long, was
 * refused too often or came in a burst.
 */
#include "net/pace.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS_MAX 4
#define REQUESTS_MAX 400
#define FLYING_MAX 64
#define ARRIVALS_MAX 4096

/* What a service answers, and how long it takes. */
typedef struct service {
    const char *name;
    enum { WINDOWS, CLOCK, SLIDING, BUCKET, AT_ONCE, SICK } kind;
    double limit;       /* requests a window or at once; tokens a second */
    double per;         /* seconds of a window */
    double burst;       /* tokens of a full bucket */
    double retry_after; /* < 0: none */
    double latency;     /* seconds, from half as much to one and a half */
    int clients, requests, concurrency;
    double ideal; /* seconds that the service's own limit takes */
    /* what must hold; 0: nothing is asked for */
    double slower;  /* than the ideal, at most so many times */
    double refused; /* share of all requests, at most */
    int burst_most; /* arrivals within a second, after the first second */
} service;

typedef struct request {
    int attempts;
    double submitted, began, ends;
    bool refused;
} request;

typedef struct client {
    kap_pace pace;
    request requests[REQUESTS_MAX];
    int waiting[REQUESTS_MAX], first, waits; /* a ring */
    int flying[FLYING_MAX], n;
    double last_success;
    int lost, done, tokens;
} client;

typedef struct run {
    const service *s;
    uint64_t random;
    client clients[CLIENTS_MAX];
    double arrivals[ARRIVALS_MAX];
    int arrived, refused;
    double took;
    /* the service's */
    double window_began, tokens, filled;
    int in_window, at_once;
} run;

static double draw(run *r)
{
    uint64_t z = (r->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

/* services ----------------------------------------------------------------- */

static bool accepts(run *r, double now)
{
    const service *s = r->s;
    int recent = 0;
    switch (s->kind) {
    case WINDOWS: /* from the first request in each */
    case CLOCK:   /* by the clock */
        if (now >= r->window_began + s->per) {
            r->window_began =
                s->kind == CLOCK ? floor(now / s->per) * s->per : now;
            r->in_window = 0;
        }
        return ++r->in_window <= s->limit;
    case SLIDING: /* of those that were accepted */
        for (int i = r->arrived - 1; i >= 0 && r->arrivals[i] > now - s->per;
             i--)
            recent++;
        return recent < s->limit;
    case BUCKET:
        r->tokens = fmin(s->burst, r->tokens + (now - r->filled) * s->limit);
        r->filled = now;
        if (r->tokens < 1)
            return false;
        r->tokens--;
        return true;
    case AT_ONCE: return r->at_once < s->limit;
    case SICK: return now >= s->per;
    }
    return true;
}

/* clients ------------------------------------------------------------------ */

static void wait_again(client *c, int i, double now)
{
    c->requests[i].submitted = now;
    c->waiting[(c->first + c->waits++) % REQUESTS_MAX] = i;
}

static void start(run *r, client *c, double now)
{
    int i = c->waiting[c->first];
    request *q = &c->requests[i];
    c->first = (c->first + 1) % REQUESTS_MAX;
    c->waits--;
    kap_pace_started(&c->pace, (size_t)c->n, now);
    q->began = now;
    q->refused = !accepts(r, now);
    q->ends = now + r->s->latency * (q->refused ? 0.5 : 0.5 + draw(r));
    if (q->refused)
        r->refused++;
    else
        r->at_once++;
    if (r->arrived == ARRIVALS_MAX) {
        fprintf(stderr, "%s: more requests than there is room for\n",
                r->s->name);
        exit(2);
    }
    if (r->s->kind != SLIDING || !q->refused)
        r->arrivals[r->arrived++] = now;
    c->flying[c->n++] = i;
}

/* As waits_for_turn of policy/call_answer.c has it: while others succeed a push-back costs nothing. */
static void answer(run *r, client *c, int at, double now)
{
    int i = c->flying[at];
    request *q = &c->requests[i];
    c->flying[at] = c->flying[--c->n];
    if (!q->refused) {
        r->at_once--;
        kap_pace_accepted(&c->pace, q->began);
        c->last_success = now;
        c->done++;
        if (c->tokens < 500)
            c->tokens++;
        r->took = now;
        return;
    }
    kap_pace_pushed_back(&c->pace, q->began, r->s->retry_after, 0.5, 20,
                         draw(r), now);
    if (c->last_success < q->submitted) {
        if (q->attempts == 2 || c->tokens < 5) {
            c->lost++;
            return;
        }
        q->attempts++;
        c->tokens -= 5;
    }
    wait_again(c, i, now);
}

static void simulate(run *r, const service *s, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    r->s = s;
    r->random = seed;
    r->tokens = s->burst;
    double now = draw(r); /* windows began before */
    double began = now;
    r->window_began = -INFINITY;
    if (s->kind == SICK)
        now = began = 0;
    for (int k = 0; k < s->clients; k++) {
        client *c = &r->clients[k];
        kap_pace_init(&c->pace);
        c->last_success = -INFINITY;
        c->tokens = 500;
        for (int i = 0; i < s->requests; i++)
            wait_again(c, i, now);
    }
    for (;;) {
        double next = INFINITY;
        for (int k = 0; k < s->clients; k++) {
            client *c = &r->clients[k];
            for (int at = 0; at < c->n; at++) {
                double ends = c->requests[c->flying[at]].ends;
                if (ends <= now)
                    answer(r, c, at--, now);
            }
            double due = INFINITY;
            while (c->waits > 0 && c->n < s->concurrency &&
                   (due = kap_pace_due(&c->pace, (size_t)c->n, now)) <= now)
                start(r, c, now + draw(r) * 1e-4);
            if (c->waits > 0 && c->n < s->concurrency && due > now)
                next = fmin(next, due);
            for (int at = 0; at < c->n; at++)
                next = fmin(next, c->requests[c->flying[at]].ends);
        }
        if (isinf(next))
            break;
        now = next + draw(r) * 1e-3; /* timers are late */
    }
    r->took -= began;
    for (int i = 0; i < r->arrived; i++)
        r->arrivals[i] -= began;
}

/* The most that came within a second, after the first. */
static int burst(const run *r)
{
    int most = 0;
    for (int i = 0, j = 0; i < r->arrived; i++) {
        if (r->arrivals[i] < 1)
            continue;
        if (j < i)
            j = i;
        while (j < r->arrived && r->arrivals[j] < r->arrivals[i] + 1)
            j++;
        if (j - i > most)
            most = j - i;
    }
    return most;
}

/* what holds --------------------------------------------------------------- */

typedef struct share {
    double at[100000];
    int n;
} share;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of so many runs in a hundred it is no more. */
static double percentile(share *s, double percent)
{
    qsort(s->at, (size_t)s->n, sizeof *s->at, by_value);
    int i = (int)ceil(s->n * percent / 100) - 1;
    return s->at[i < 0 ? 0 : i];
}

/* The bounds are what 99 runs of 100 keep to. Sixteen requests that go out at
 * once before anything is known are refused but for the first few: that is more
 * than a fifth of thirty, and no pace can help it. Windows by the clock let twice
 * the limit through where a burst falls on their edge, so that the first guess is
 * twice too fast, and only the second push-back says so. Several clients each look
 * for the limit, and do not know of each other. */
static const service services[] = {
    {"5/s, Retry-After: 1", WINDOWS, 5, 1, 0, 1, .02, 1, 40, 4, 8, 1.3, .2, 6},
    {"the same, sliding", SLIDING, 5, 1, 0, 1, .02, 1, 40, 4, 8, 1.3, .2, 6},
    {"the same, a bucket", BUCKET, 5, 0, 5, 1, .02, 1, 40, 4, 8, 1.3, .2, 6},
    {"the same, by the clock", CLOCK, 5, 1, 0, 1, .02, 1, 40, 4, 8, 1.5, .2, 7},
    {"the same, 400 requests", CLOCK, 5, 1, 0, 1, .02, 1, 400, 4, 80, 1.3, .2,
     7},
    {"the same, answers of 1 s", CLOCK, 5, 1, 0, 1, 1, 1, 40, 4, 8, 2.5, .3, 9},
    {"5/s, 16 at once", WINDOWS, 5, 1, 0, -1, .02, 1, 30, 16, 6, 3, .35, 8},
    {"5/s, 16, Retry-After: 1", WINDOWS, 5, 1, 0, 1, .02, 1, 30, 16, 6, 1.3, .3,
     6},
    {"50/s, Retry-After: 1", WINDOWS, 50, 1, 0, 1, .02, 1, 400, 16, 8, 1.6, .2,
     60},
    {"2 at a time", AT_ONCE, 2, 0, 0, -1, .02, 1, 30, 16, 1, 0, .35, 0},
    {"2 at a time, 400 requests", AT_ONCE, 2, 0, 0, -1, .02, 1, 400, 16, 4, 10,
     .1, 0},
    {"2 at a time, answers of 1 s", AT_ONCE, 2, 0, 0, -1, 1, 1, 30, 16, 15, 2,
     .4, 0},
    {"20, then 2/s", BUCKET, 2, 0, 20, -1, .02, 1, 30, 16, 5, 2.5, .35, 8},
    {"20, then 2/s, Retry-After: 1", BUCKET, 2, 0, 20, 1, .02, 1, 30, 16, 5,
     1.5, .3, 5},
    {"5/s, 4 clients, Retry-After: 1", WINDOWS, 5, 1, 0, 1, .02, 4, 10, 4, 8, 2,
     .4, 8},
    {"5/s, 4 clients", WINDOWS, 5, 1, 0, -1, .02, 4, 10, 4, 8, 2.5, .45, 11},
    {"nothing for 0.7 s", SICK, 0, .7, 0, -1, .02, 1, 40, 16, .7, 60, .35, 0},
    {"nothing for 3 s, Retry-After: 30", SICK, 0, 3, 0, 30, .02, 1, 40, 4, 30,
     2.5, .1, 0},
};

static bool check(const service *s, int runs, uint64_t seed)
{
    static run r;
    static share slower, refused, bursts;
    int lost = 0, needs = s->clients * s->requests;
    slower.n = refused.n = bursts.n = 0;
    for (int i = 0; i < runs; i++) {
        simulate(&r, s, seed + (uint64_t)i * 7919);
        for (int k = 0; k < s->clients; k++)
            lost += s->requests - r.clients[k].done;
        slower.at[i] = r.took / s->ideal;
        refused.at[i] = (double)r.refused / (needs + r.refused);
        bursts.at[i] = burst(&r);
    }
    slower.n = refused.n = bursts.n = runs;
    double slow = percentile(&slower, 99), turned = percentile(&refused, 99),
           bunch = percentile(&bursts, 99);
    printf("%-36s lost %d/%d  time x%.2f (median x%.2f)  refused %.0f %% "
           "(median %.0f %%)  in a second %.0f (most %.0f)\n",
           s->name, lost, runs * needs, slow, percentile(&slower, 50),
           turned * 100, percentile(&refused, 50) * 100, bunch,
           percentile(&bursts, 100));
    return lost == 0 && (s->slower == 0 || slow <= s->slower) &&
           (s->refused == 0 || turned <= s->refused) &&
           (s->burst_most == 0 || bunch <= s->burst_most);
}

int main(int argc, char **argv)
{
    int runs = argc > 1 ? atoi(argv[1]) : 2000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    bool ok = true;
    if (runs < 1 || runs > 100000) {
        fprintf(stderr, "usage: %s [1 to 100000 runs] [seed]\n", argv[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof services / sizeof *services; i++)
        if (!check(&services[i], runs, seed)) {
            printf("    ^ not as it has to be\n");
            ok = false;
        }
    return ok ? 0 : 1;
}
