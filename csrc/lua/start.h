/*
 * The beginning of a request, in four steps: its options, what goes on the
 * wire, its ids, the start.
 */
#ifndef KAP_START_H
#define KAP_START_H

#include "lua/state.h"

/*
 * The request on top of the stack takes its options: `defaults`, whose
 * functions are in the table at stack index `functions` (0: none), overlaid by
 * the opts table at `opts`. One that has settings already (recalled) takes the
 * functions alone. Raises argument errors.
 */
void kapL_start_options(lua_State *L, kap_request *r, kap_settings *defaults,
                        int functions, int opts, int arg, const char *func);
/* Makes what goes on the wire, or takes what the client's call before had if
 * nothing has changed. A failure goes into r->call.stop. */
void kapL_start_message(lua_State *L, kap_request *r, kap_client *c);
/* Takes the ids at stack index `ids`. A failure goes into r->call.stop. Raises
 * argument errors. */
void kapL_start_ids(lua_State *L, kap_request *r, int ids, int arg,
                    const char *func);
/* Begins the request on top of the stack on the client at stack index `client`,
 * or ends it at once where its call.stop is set. */
void kapL_start(lua_State *L, kap_request *r, int client, bool submitted);

#endif
