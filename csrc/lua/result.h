/* What a call returns: tickets in order, info, or the error table. */
#ifndef KAP_RESULT_H
#define KAP_RESULT_H

#include "lua/state.h"

/* Keeps the ticket on top of the stack (pops it), which was not asked for;
 * `table` is the stack index of the request's table. Of two with the same id,
 * the last. */
void kapL_result_extra(lua_State *L, kap_request *r, int table, const char *id,
                       size_t len);

/* Pushes what get_ticket returns for a request that is done; the request is at
 * stack index idx. Returns how many values. May raise out of memory, and be
 * called again. */
int kapL_result(lua_State *L, int idx);

/* Pushes the error table of one id of an iterator's: with the failure it has,
 * whose ids are those of its batch, or (NULL) for a call that was stopped. */
void kapL_result_error(lua_State *L, const kap_failure *f, const char *ids,
                       size_t ids_len);

#endif
