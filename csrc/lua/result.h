/* What a call returns: tickets in order, info, or the error table. */
#ifndef KAP_RESULT_H
#define KAP_RESULT_H

#include "api/request.h"

/* Pushes the i-th id. */
void kapL_push_id(lua_State *L, const kap_request *r, uint32_t i);
/* Pushes ids[first .. first+count) as a list of strings, without those whose
 * tickets have come; `asked`: but with those in the response being read. */
void kapL_push_ids(lua_State *L, const kap_request *r, uint32_t first,
                   uint32_t count, bool asked);

/* Pushes a failure's error table with these ids of the call. */
void kapL_push_error(lua_State *L, const kap_request *r, const kap_failure *f,
                     uint32_t first, uint32_t count);

/* Keeps the ticket on top of the stack (pops it), which was not asked for. */
void kapL_result_extra(lua_State *L, kap_request *r, int table, const char *id,
                       size_t len);

/* A ticket that was not asked for with its request, but with another one of the
 * call's, is that one's. */
void kapL_result_adopt(lua_State *L, kap_request *r, int table);

/*
 * Keeps a failure for good in the request's table: an entry of `failed`, and
 * the way from each of its ids to it. In two steps: finalizers may come during
 * the first, which pushes three values; the second takes them at stack indexes
 * `at` and up, leaves them, and nobody comes between.
 */
void kapL_result_failure(lua_State *L, kap_request *r, const kap_failure *f,
                         uint32_t first, uint32_t count, int table);
void kapL_result_fail(lua_State *L, kap_request *r, uint32_t first,
                      uint32_t count, int at);

/* Pushes what get_ticket returns for a request that is done; the request is at
 * stack index idx. Returns how many values. */
int kapL_request_result(lua_State *L, int idx);

#endif
