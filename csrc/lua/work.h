/*
 * What a client does when it is driven: takes what the engine has brought, has
 * its requests deal with it, and waits for more.
 */
#ifndef KAP_WORK_H
#define KAP_WORK_H

#include "api/client.h"

/* Pushes the request's userdata; false: it is gone. */
bool kapL_client_request(lua_State *L, int idx, const struct kap_request *r);
/* Lets go of the request's userdata. */
void kapL_client_forget(lua_State *L, int idx, const struct kap_request *r);

/*
 * Deals with what has arrived, until nothing is left or kap_now() reaches
 * `until`. The client is at stack index `idx`. Raises: out of memory, and
 * what a debug hook raises.
 */
void kapL_client_work(lua_State *L, int idx, double until);
/* Whether there is more for kapL_client_work. */
bool kap_client_has_work(kap_client *c);
/* Works and waits until the request is done or kap_now() reaches `until`. */
void kapL_client_drive(lua_State *L, int idx, struct kap_request *r,
                       double until);
/* Waits once, for at most `seconds`, after giving Lua's debug hook (Ctrl-C) a
 * chance to raise. */
void kapL_client_wait(lua_State *L, kap_client *c, double seconds);
/* Frees what has arrived and nobody wants any more. */
void kap_client_drop_arrived(kap_client *c);
/* Keeps the descriptor readable if there is something left to do or report. */
void kap_client_settle_mark(kap_client *c);

#endif
