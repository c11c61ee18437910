/*
 * Drives a client: takes transfers that have ended from its engine, has their
 * answers read, tells the hooks, and waits for more. Blocking calls, steps and
 * rounds of an iterator all come through here.
 */
#ifndef KAP_DRIVE_H
#define KAP_DRIVE_H

#include "lua/state.h"

/* Instead of an id's number: the call is to be done. */
#define KAP_DRIVE_ALL UINT64_MAX

/*
 * Deals with what has arrived, until nothing is left or kap_now() reaches
 * `until`. The client is at stack index `client`. Returns at once where a
 * finalizer calls it in the middle of that work. Raises what a debug hook
 * raises (Ctrl-C), which ends the call that was worked on. Running out of
 * memory ends that call as well, and whoever waits for it raises
 * (request.nomem).
 */
void kapL_drive_work(lua_State *L, int client, double until);
/* Whether there is more for kapL_drive_work. */
bool kap_drive_has_work(kap_client *c);
/* Works and waits until the request, or its id of that number, has ended, or
 * kap_now() reaches `until`. */
void kapL_drive_until(lua_State *L, int client, kap_request *r, uint64_t number,
                      double until);
/* Waits once, for at most `seconds`. Before that it lets Lua's debug hook
 * (Ctrl-C) raise. */
void kapL_drive_wait(lua_State *L, kap_client *c, double seconds);

/*
 * Makes a blocking call of the prepared request on top of the stack, on the
 * client at stack index `client`. Pushes what get_ticket returns; the number of
 * values.
 */
int kapL_drive_call(lua_State *L, int client, kap_request *r);

#endif
