/*
 * A lane: one call's place in the scheduler, and what holds for all of its
 * transfers. The call and each of its transfers have a reference.
 */
#ifndef KAP_LANE_H
#define KAP_LANE_H

#include "base/list.h"
#include "base/refs.h"
#include "net/transfer.h"

typedef struct kap_lane {
    kap_refs refs;
    /* An iterator's: neither the time in which nobody drives the engine counts
     * against its deadlines, nor the time before the first start. */
    bool caller_paced;
    bool reports_starts; /* a hook is to be told of each start */
    /* So many answers may say that the token is refused. Until whoever reads
     * them has given the verdict, nothing of the lane is sent. */
    atomic_int awaiting_verdict;
    /* the scheduler's */
    kap_link link;    /* among the lanes with something waiting */
    kap_list waiting; /* transfers */
} kap_lane;

kap_lane *kap_lane_new(bool reports_starts); /* NULL: no memory */
kap_lane *kap_lane_ref(kap_lane *l);
void kap_lane_unref(kap_lane *l);

/* Nothing of the transfer's lane starts until the transfer is detached. */
void kap_lane_await_verdict(kap_transfer *t);
/* Parts the transfer from its lane, on whichever side of the engine it is. */
void kap_lane_detach(kap_transfer *t);

#endif
