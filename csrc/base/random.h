/* A small generator for jitter; no secret depends on it. */
#ifndef KAP_RANDOM_H
#define KAP_RANDOM_H

#include <stdint.h>

/* In [0, 1). */
static inline double kap_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

#endif
