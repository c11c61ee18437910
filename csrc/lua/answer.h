/*
 * Reading an answer: its tickets go to their places, and what became of the
 * batch goes to its call.
 */
#ifndef KAP_ANSWER_H
#define KAP_ANSWER_H

#include "lua/state.h"

/*
 * Reads what has arrived for the batch, of the request on top of the stack,
 * until all is read or kap_now() reaches `until`. False: time is up and there is
 * more. True: all is read, and the batch is no longer the caller's; *ok says
 * whether there was the memory to deal with it. Raises what Lua raises.
 */
bool kapL_answer_read(lua_State *L, kap_request *r, kap_batch *b, double until,
                      kap_batch **owned, bool *ok);

#endif
