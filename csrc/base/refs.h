/*
 * Counting references, from any thread. What is counted is freed by whoever gives
 * up the last reference, and is not written to by anyone else at that time.
 */
#ifndef KAP_REFS_H
#define KAP_REFS_H

#include <stdatomic.h>
#include <stdbool.h>

typedef atomic_uint kap_refs;

/* Whoever makes the object has the first reference. */
static inline void kap_refs_init(kap_refs *refs)
{
    atomic_init(refs, 1);
}

static inline void kap_refs_add(kap_refs *refs)
{
    atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

/* True: that was the last one, and the object is the caller's to free. */
static inline bool kap_refs_drop(kap_refs *refs)
{
    return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static inline unsigned kap_refs_count(kap_refs *refs)
{
    return atomic_load_explicit(refs, memory_order_relaxed);
}

#endif
