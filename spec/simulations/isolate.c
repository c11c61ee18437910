/*
 * Seeded simulations of what csrc/policy promises of bad ids and outages:
 *
 *   up      With the service up, every good id arrives, with at most
 *           batches + 2 k log2(batch_size) requests for k bad ids, wherever they
 *           stand. (The ids of the first batch to be answered are good enough to
 *           know that it is up.)
 *   outage  An outage from the start costs 200 ids at most 60 requests.
 *   few     With nothing seen yet and one id in five good, at least 97 of 100
 *           trials find them all.
 *   shed    A service that drops a third of the requests loses next to nothing.
 *
 * isolate [ROUNDS]: how many of each, 2000 unless said otherwise.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool bad[100000];
static verdict spoilt; /* what a bad id makes of its request */
static bool is_down;
static unsigned lost_share; /* one in so many requests is lost; 0: none */

static verdict model(sim *s, const uint32_t *ids, uint32_t n, uint32_t *read)
{
    if (is_down || (lost_share > 0 && sim_random(s, lost_share) == 0))
        return FAILS;
    for (uint32_t i = 0; i < n; i++)
        if (bad[ids[i]]) {
            *read = spoilt == BREAKS ? i : 0;
            return spoilt;
        }
    return ANSWERS;
}

static unsigned log2_up(unsigned n)
{
    unsigned k = 0;
    while (1u << k < n)
        k++;
    return k;
}

static unsigned failures;

static void check(bool ok, const char *what, unsigned round, unsigned saw,
                  unsigned most)
{
    if (ok)
        return;
    if (failures++ < 20)
        fprintf(stderr, "%s, round %u: %u, at most %u\n", what, round, saw,
                most);
}

/* k bad ids among n, together or here and there; the first `from` are good. */
static unsigned spoil(sim *s, unsigned n, unsigned from, unsigned k)
{
    unsigned count = 0;
    memset(bad, 0, sizeof bad);
    bool together = sim_random(s, 2) == 0;
    unsigned start = from + (n > from ? sim_random(s, n - from) : 0);
    for (unsigned i = 0; i < k && n > from; i++) {
        unsigned at = together ? from + (start - from + i) % (n - from)
                               : from + sim_random(s, n - from);
        count += !bad[at];
        bad[at] = true;
    }
    return count;
}

static sim s;

static void up(unsigned rounds)
{
    unsigned worst = 0;
    for (unsigned round = 1; round <= rounds; round++) {
        uint64_t seed = round;
        s.random = seed * 7919;
        unsigned size = 1 + sim_random(&s, 100), retries = sim_random(&s, 4);
        unsigned n = 1 + sim_random(&s, 400);
        unsigned concurrency = 1 + sim_random(&s, 16);
        unsigned from = size < n ? size : n; /* the first batch is well */
        unsigned k = spoil(&s, n, from, sim_random(&s, n));
        spoilt = sim_random(&s, 2) == 0 ? REFUSES : BREAKS;
        sim_begin(&s, n, size, concurrency, retries, seed);
        sim_run(&s, model);
        unsigned batches = (n + size - 1) / size;
        unsigned most = batches + 2 * k * log2_up(size);
        check(sim_count(&s, KAP_ID_GOT) == n - k, "up: good ids lost", round,
              n - k - sim_count(&s, KAP_ID_GOT), 0);
        if (size > 1)
            check(s.requests <= most, "up: requests", round, s.requests, most);
        if (size > 1 && most > 0 && 100 * s.requests / most > worst)
            worst = 100 * s.requests / most;
        sim_end(&s);
    }
    printf("up: %u rounds, worst %u %% of the requests allowed\n", rounds,
           worst);
}

static void up_single(unsigned rounds)
{
    /* nothing seen before, one batch, few bad ids: the same bound */
    unsigned worst = 0;
    for (unsigned round = 1; round <= rounds; round++) {
        s.random = round * 104729u;
        unsigned n = 2 + sim_random(&s, 99);
        unsigned k = spoil(&s, n, 0, 1 + sim_random(&s, 3));
        spoilt = sim_random(&s, 2) == 0 ? REFUSES : BREAKS;
        sim_begin(&s, n, n, 4, 2, round);
        sim_run(&s, model);
        unsigned most = 1 + 2 * k * log2_up(n);
        check(sim_count(&s, KAP_ID_GOT) == n - k, "one batch: good ids lost",
              round, n - k - sim_count(&s, KAP_ID_GOT), 0);
        check(s.requests <= most, "one batch: requests", round, s.requests,
              most);
        if (100 * s.requests / most > worst)
            worst = 100 * s.requests / most;
        sim_end(&s);
    }
    printf("one batch: %u rounds, worst %u %%\n", rounds, worst);
}

static void outage(unsigned rounds)
{
    unsigned worst = 0;
    is_down = true;
    for (unsigned round = 1; round <= rounds; round++) {
        sim_begin(&s, 200, 50, 4, 2, round);
        sim_run(&s, model);
        check(s.requests <= 60, "outage: requests", round, s.requests, 60);
        check(sim_count(&s, KAP_ID_MISSING) == 0, "outage: missing", round,
              sim_count(&s, KAP_ID_MISSING), 0);
        if (s.requests > worst)
            worst = s.requests;
        sim_end(&s);
    }
    is_down = false;
    printf("outage: %u rounds, at most %u requests\n", rounds, worst);
}

static void few(unsigned rounds)
{
    unsigned complete = 0, trials = 0;
    static const unsigned sizes[][2] = {{50, 50},
                                        {200, 50},
                                        {100, 25},
                                        {40, 40}};
    for (unsigned round = 1; round <= rounds; round++)
        for (unsigned k = 0; k < 4; k++) {
            unsigned n = sizes[k][0], good = 0;
            s.random = round * 15485863u + k;
            memset(bad, 0, sizeof bad);
            for (unsigned i = 0; i < n; i++)
                bad[i] = true;
            while (good < n / 5) {
                unsigned at = sim_random(&s, n);
                good += bad[at];
                bad[at] = false;
            }
            spoilt = round % 2 == 0 ? REFUSES : FAILS;
            sim_begin(&s, n, sizes[k][1], 4, 2, round);
            sim_run(&s, model);
            trials++;
            complete += sim_count(&s, KAP_ID_GOT) == good;
            sim_end(&s);
        }
    check(complete * 100 >= trials * 97, "few: trials that found all", 0,
          complete, trials);
    printf("few: %u of %u trials found all\n", complete, trials);
}

static void shed(unsigned rounds)
{
    unsigned lost = 0, asked = 0;
    memset(bad, 0, sizeof bad);
    lost_share = 3;
    for (unsigned round = 1; round <= rounds; round++) {
        sim_begin(&s, 500, 50, 4, 2, round);
        sim_run(&s, model);
        asked += 500;
        lost += 500 - sim_count(&s, KAP_ID_GOT);
        sim_end(&s);
    }
    lost_share = 0;
    check(lost * 1000 < asked, "shed: ids lost", 0, lost, asked / 1000);
    printf("shed: %u of %u ids lost\n", lost, asked);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 2000;
    up(rounds);
    up_single(rounds);
    outage(rounds);
    few(rounds / 4 + 1);
    shed(rounds / 10 + 1);
    printf("%s\n", failures == 0 ? "ok" : "FAILED");
    return failures == 0 ? 0 : 1;
}
