/*
 * A batch that has arrived: its tickets go to their places, or its failure is
 * decided on and carried out.
 */
#ifndef KAP_ARRIVAL_H
#define KAP_ARRIVAL_H

#include "api/request.h"

/* Deals with one arrived batch of the request on top of the stack. False: time
 * is up and the batch has more; else the batch is no longer the caller's. May
 * raise; the batch is then as it was. */
bool kapL_request_work(lua_State *L, kap_request *r, kap_batch *b,
                       double until);
/* What follows from that: batches taken apart, more sent, or the end. Likewise.
 */
void kapL_request_advance(lua_State *L, kap_request *r);

#endif
