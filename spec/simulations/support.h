/*
 * A call of csrc/policy on its own: no network, no Lua, no clock. What it hands to
 * an engine stays here until the simulation answers it, in whatever order.
 */
#ifndef SUPPORT_H
#define SUPPORT_H

#include "policy/call.h"

#include <stdbool.h>

/* What a model service says to one request. */
typedef enum { ANSWERS, REFUSES, FAILS, BREAKS } verdict;

typedef struct sim {
    kap_call call;
    kap_settings settings;
    kap_retry_budget budget;
    kap_list events;
    unsigned numbers;
    uint64_t random;
    kap_transfer *queue[100000]; /* submitted and not yet answered */
    size_t n;
    unsigned requests; /* that a service would have seen */
} sim;

/* A service: decides over a request for these ids (indexes in the call, `n` of
 * them); `read` is how many tickets come before a BREAKS. */
typedef verdict service(sim *s, const uint32_t *ids, uint32_t n,
                        uint32_t *read);

void sim_begin(sim *s, unsigned ids, unsigned batch_size, unsigned concurrency,
               unsigned retries, uint64_t seed);
/* Runs the call to its end, answering what is in flight in random order. */
void sim_run(sim *s, service *answer);
void sim_end(sim *s);
unsigned sim_random(sim *s, unsigned below);
unsigned sim_count(const sim *s, kap_id_state state);

#endif
