/* The iterator: any number of ids, in constant memory. */
#ifndef KAP_TICKETS_H
#define KAP_TICKETS_H

#include "api/client.h"

void kapL_tickets_register(lua_State *L);

/*
 * Pushes what `tickets` returns: the iterator over the ids at stack index
 * `source` (a string, integer, table or function), on the client at `client`,
 * with the options at `opts`; those of the client itself, whose functions are
 * at `functions`, are the defaults (0: there are none). ids is argument #arg of
 * `func`.
 */
int kapL_tickets_new(lua_State *L, int client, int source, int opts,
                     int functions, int arg, const char *func);

/* Its client is closed: wipes what it had for it. Returns the client's next. */
struct kap_iterator *kap_iterator_strip(struct kap_iterator *it);

#endif
