/*
 * The iterator userdata: a call that is fed with ids as room comes free, and
 * gives up what was handed out. This reads the ids, from whatever the caller
 * gave; the rounds are in api/iterator.c.
 */
#ifndef KAP_SOURCE_H
#define KAP_SOURCE_H

#include "lua/state.h"

/* In `order`: what the source gave is no id. */
#define KAP_NO_ID UINT64_MAX

typedef struct kap_iterator {
    kap_request
        *request; /* its call; the userdata is in the iterator's table */
    kap_client *client;
    uint64_t *order; /* a ring: numbers of ids in the call, or KAP_NO_ID */
    uint32_t room;   /* in the ring: how far is read ahead, at most */
    uint32_t size;   /* ids in a batch, at most */
    uint64_t taken, given; /* entries of the ring, since the beginning */
    long position;         /* in a table source; -1: another kind of source */
    bool drained, closed, prepared;
    bool busy;     /* in a round: its source or a hook may call it again */
    double turned; /* when the engine last had its turn */
    double seen;   /* when the iterator last drove what is in flight */
} kap_iterator;

/* Slots of the iterator's table (its user value). */
enum {
    KAP_ITERATOR_CLIENT = 1,
    KAP_ITERATOR_REQUEST,
    KAP_ITERATOR_SOURCE,
    KAP_ITERATOR_LEFT,   /* queue of ids split from one string, not yet taken */
    KAP_ITERATOR_INVALID /* what was no id: by its place in the ring, from 1 */
};

/*
 * Reads up to `limit` ids into the ring, where there is room for as many, `table`
 * being the stack index of the iterator's table; fewer where the source ends. `rest`: no more is asked of the source, what it gave before is read to
 * its end. False: nothing was read. Errors of a source function come out of here
 * as they are.
 */
bool kapL_source_fill(lua_State *L, kap_iterator *it, int table, uint32_t limit,
                      bool rest);

#endif
