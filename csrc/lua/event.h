/* What a hook is told. */
#ifndef KAP_EVENT_H
#define KAP_EVENT_H

#include "api/request.h"

typedef enum {
    KAP_EVENT_REQUEST,
    KAP_EVENT_RESPONSE,
    KAP_EVENT_RETRY,
    KAP_EVENT_PAUSE, /* nothing of the client starts for `delay` seconds */
    KAP_EVENT_SPLIT,
    KAP_EVENT_FAILURE
} kap_event;

/* Pushes the event's table. */
void kapL_event(lua_State *L, kap_request *r, const kap_batch *b,
                kap_event event, double delay);

/* Pushes the table of the failure that ids which were never sent have, as the
 * request that they would have been; nothing where there are none. */
void kapL_event_unsent(lua_State *L, kap_request *r);

/* Gives the tables from stack index `first` up to the request's hook, in order,
 * and pops them. The hook may do anything; its errors are its own. */
void kapL_event_tell(lua_State *L, int first, int request);

/* Whether a request has gone out that the hook has not heard of. */
bool kap_event_due(const kap_request *r);
/* Tells the hook of requests that have gone out. */
void kapL_event_announce(lua_State *L, kap_request *r, int request);
/* And, once b has ended, of those that libcurl itself sent again. */
void kapL_event_resent(lua_State *L, kap_request *r, kap_batch *b, int request);

#endif
