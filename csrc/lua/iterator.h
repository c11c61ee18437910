/*
 * The iterator, for those who are parts of it: tickets.c, which gives tickets,
 * chunk.c, which asks for them ahead of that, and source.c, which reads ids from
 * whatever they come from.
 */
#ifndef KAP_ITERATOR_H
#define KAP_ITERATOR_H

#include "api/request.h"

/* What is not an index of a chunk's id. */
#define KAP_NO_ID UINT32_MAX

/* Some ids of the source, asked for together: a request of its own. */
typedef struct kap_chunk {
    kap_request *request; /* anchored in the iterator's table */
    uint32_t *order;      /* for each id taken: its index, or KAP_NO_ID */
    uint32_t taken, given;
} kap_chunk;

typedef struct kap_iterator {
    struct kap_iterator *prev, *next; /* in the client's list */
    kap_request *model; /* has the options and the message; never sent */
    kap_client *client;
    kap_lane *lane;
    kap_chunk *ring; /* `concurrency` chunks */
    uint32_t room, used, first;
    uint32_t size; /* ids in a chunk, at most */
    long position; /* in a table source; -1: another kind of source */
    bool drained, closed, prepared;
    bool busy; /* in a round: its source or a hook may call it again */
    bool
        refused; /* a round: it was asked for in the middle of a chunk's work */
    double turned;    /* when the engine last had its turn */
    double seen;      /* when the iterator last drove what is in flight */
    kap_failure stop; /* after this, nothing more is sent */
} kap_iterator;

/* Slots of the iterator's table. */
enum {
    KAP_ITERATOR_CLIENT = 1,
    KAP_ITERATOR_MODEL,
    KAP_ITERATOR_SOURCE,
    KAP_ITERATOR_LEFT, /* queue of ids split from one string, not yet taken */
    KAP_ITERATOR_INVALID, /* what was no id: by 1000 * chunk + place */
    KAP_ITERATOR_CHUNKS /* request userdata of chunk i at KAP_ITERATOR_CHUNKS + i */
};
#define KAP_CHUNK_MAX 1000

/*
 * Reads up to `limit` ids into the chunk at place `at` of the ring, `table`
 * being the stack index of the iterator's table; fewer where the source ends.
 * `rest`: no more is asked of the source, what it gave before is read to its
 * end. Errors of a source function come out of here as they are.
 */
void kapL_source_fill(lua_State *L, kap_iterator *it, uint32_t at, int table,
                      uint32_t limit, bool rest);

/* Whether the source gave more than was read: a string of many ids does. */
bool kapL_source_has_rest(lua_State *L, int table);

/* Asks for as much as may be under way. `table` as above; may raise. */
void kapL_chunk_read_ahead(lua_State *L, kap_iterator *it, int table);
/* Asks for one chunk of up to `limit` ids; see kapL_source_fill. */
void kapL_chunk_read(lua_State *L, kap_iterator *it, int table, uint32_t limit,
                     bool rest);
/* The first chunk has been given: makes room. */
void kapL_chunk_drop_first(lua_State *L, kap_iterator *it, int table);
/* Lets go of the request of the chunk at place `at`. */
void kapL_chunk_forget(lua_State *L, int table, uint32_t at,
                       const kap_request *r);

#endif
