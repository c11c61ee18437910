/*
 * What an iterator consists of, and how it reads ids from whatever its caller
 * gave. An iterator has one call, which is fed with ids as room comes free and
 * gives up those that were handed out. Its rounds are in api/iterator.c.
 */
#ifndef KAP_SOURCE_H
#define KAP_SOURCE_H

#include "lua/state.h"

/* In `order`: a value that is no id. */
#define KAP_NO_ID UINT64_MAX

typedef struct kap_iterator {
    kap_request
        *request; /* has its call; the iterator's table has the userdata */
    kap_client *client;
    uint64_t *order; /* a ring: numbers of ids in the call, or KAP_NO_ID */
    uint32_t room;   /* in the ring: how far is read ahead, at most */
    uint32_t size;   /* ids in a batch, at most */
    uint64_t taken, given; /* entries of the ring, since the beginning */
    long position;         /* in a table source; -1: another kind of source */
    size_t rest_at;        /* in the string whose ids are being taken */
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
    KAP_ITERATOR_REST,   /* the string of which ids are still to be taken */
    KAP_ITERATOR_INVALID /* what was no id: by its place in the ring, from 1 */
};

/*
 * Reads up to `limit` ids into the ring, and nothing where the ring has not
 * room for so many. `table` is the stack index of the iterator's table. `rest`:
 * only what the source has already given is read to its end. False: nothing was
 * read. Raises what a source function raises.
 */
bool kapL_source_fill(lua_State *L, kap_iterator *it, int table, uint32_t limit,
                      bool rest);

#endif
