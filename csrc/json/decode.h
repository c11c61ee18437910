/*
 * JSON text to Lua values, in one pass over the receive buffer. A kap_decode walks
 * one text, d->scan says where in it and what was wrong; a session does the work:
 *
 *     kap_decode_init(&d, text, len);
 *     kapL_session_open(L, &d, session, array_mt);
 *     kapL_decode_ticket(L, &d, NULL), ...
 *     kapL_session_close(L, &d);
 *
 * and may be closed after any ticket, and opened again later for the next. Strings
 * with escapes are unescaped in place: no value can be decoded twice.
 *
 * Nothing here allocates C memory, so a Lua error out of any function leaks none.
 */
#ifndef KAP_DECODE_H
#define KAP_DECODE_H

#include "json/session.h"

void kap_decode_init(kap_decode *d, char *text, size_t len);

/* Each pushes one Lua value and returns true, or pushes nothing, sets
 * d->scan.error and .status and returns false. Each may raise "not enough
 * memory". */
bool kapL_decode_value(lua_State *L, kap_decode *d);
/* As value, with only `f` built (NULL: all) and d->details and d->id set from the
 * ticket's task_details and its ticketId, built or not. False with d->paused: it
 * has pushed what there is of it; with that on top of the stack again, call it
 * again, with the same f, in a later session. */
bool kapL_decode_ticket(lua_State *L, kap_decode *d, kap_fields *f);

#endif
