/*
 * What a call returns to Lua once it is done: tickets in order and info, or the
 * error table.
 */
#ifndef KAP_RESULT_H
#define KAP_RESULT_H

#include "lua/state.h"

/* Keeps the ticket on top of the stack, which was not asked for, and pops it.
 * `table` is the stack index of the request's table. Of two tickets with one id
 * the last is kept. */
void kapL_result_extra(lua_State *L, kap_request *r, int table, const char *id,
                       size_t len);

/* Pushes what get_ticket returns for the request at stack index `idx`, which is
 * done; returns the number of values. May raise that memory ran out, and can
 * then be called again. */
int kapL_result(lua_State *L, int idx);
/* The same for one that is not asked again. */
int kapL_result_push(lua_State *L, int idx);

/* Pushes an error table with this failure and these ids, without tickets: that
 * of one round of an iterator. */
void kapL_result_error(lua_State *L, const kap_failure *f, const char *ids,
                       size_t ids_len);

#endif
