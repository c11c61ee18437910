/* The iterator: any number of ids, in constant memory. */
#ifndef KAP_ITERATOR_H
#define KAP_ITERATOR_H

#include "lua/state.h"

/* Creates the metatable of iterators; once a lua_State. */
void kapL_iterator_register(lua_State *L);

/*
 * Pushes what `tickets` returns: the iterator over the ids at stack index
 * `source` (a string, integer, table or function), on the client at `client`,
 * with the options at `opts`; those of the client itself, whose functions are
 * at `functions`, are the defaults (0: there are none). ids is argument #arg of
 * `func`.
 */
int kapL_iterator_new(lua_State *L, int client, int source, int opts,
                      int functions, int arg, const char *func);

#endif
