#include "net/lane.h"

#include <stdlib.h>

kap_lane *kap_lane_new(bool reports_starts)
{
    kap_lane *l = calloc(1, sizeof *l);
    if (l == NULL)
        return NULL;
    kap_refs_init(&l->refs);
    atomic_init(&l->awaiting_verdict, 0);
    l->reports_starts = reports_starts;
    return l;
}

kap_lane *kap_lane_ref(kap_lane *l)
{
    kap_refs_add(&l->refs);
    return l;
}

void kap_lane_unref(kap_lane *l)
{
    if (l != NULL && kap_refs_drop(&l->refs))
        free(l);
}

void kap_lane_await_verdict(kap_transfer *t)
{
    t->awaits_verdict = true;
    atomic_fetch_add_explicit(&t->lane->awaiting_verdict, 1,
                              memory_order_relaxed);
}

void kap_lane_detach(kap_transfer *t)
{
    if (t->awaits_verdict)
        atomic_fetch_sub_explicit(&t->lane->awaiting_verdict, 1,
                                  memory_order_release);
    t->awaits_verdict = false;
    kap_lane_unref(t->lane);
    t->lane = NULL;
}
