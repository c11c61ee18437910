/*
 * Reads the answer to a batch: puts its tickets into the request's table, and
 * tells the call what became of the batch. What a body means is for
 * lua/response.h to say, what follows from it for policy/call.h.
 */
#ifndef KAP_ANSWER_H
#define KAP_ANSWER_H

#include "lua/state.h"

/*
 * Reads the answer that has arrived for a batch of the request on top of the
 * stack, whose client is at stack index `client`, until all is read or
 * kap_now() reaches `until`. False: time is up, and there is more to read.
 * True: all is read, the batch belongs to its call again and *owned is NULL;
 * *ok is false where there was no memory to deal with it. Raises what Lua
 * raises.
 */
bool kapL_answer_read(lua_State *L, int client, kap_request *r, kap_batch *b,
                      double until, kap_batch **owned, bool *ok);

#endif
