/*
 * How a client is driven: takes what its engine has brought, has it read, tells
 * the hooks, and waits for more.
 */
#ifndef KAP_DRIVE_H
#define KAP_DRIVE_H

#include "lua/state.h"

/* Whatever kap_slots_final says of an id, or (this) when the call is done. */
#define KAP_DRIVE_ALL UINT64_MAX

/*
 * Deals with what has arrived, until nothing is left or kap_now() reaches
 * `until`. The client is at stack index `client`. Called by a finalizer in the
 * middle of that, it returns at once. Raises what a debug hook raises (Ctrl-C),
 * which ends the call that was worked on; out of memory ends it as well, and is
 * for whoever waits for that call to raise (request.nomem).
 */
void kapL_drive_work(lua_State *L, int client, double until);
/* Whether there is more for kapL_drive_work. */
bool kap_drive_has_work(kap_client *c);
/* Works and waits until the request, or its id of that number, has ended, or
 * kap_now() reaches `until`. */
void kapL_drive_until(lua_State *L, int client, kap_request *r, uint64_t number,
                      double until);
/* Waits once, for at most `seconds`, after giving Lua's debug hook (Ctrl-C) a
 * chance to raise. */
void kapL_drive_wait(lua_State *L, kap_client *c, double seconds);

/*
 * A blocking call, on the client at stack index `client`, of a prepared request
 * on top of the stack: pushes what get_ticket returns, and says how many.
 */
int kapL_drive_call(lua_State *L, int client, kap_request *r);

#endif
