/*
 * The iterator's rounds and methods: hands out any number of tickets in
 * constant memory. How it reads ids is in lua/source.h.
 */
#ifndef KAP_ITERATOR_H
#define KAP_ITERATOR_H

#include "lua/state.h"

/* Creates the metatable of iterators; once a lua_State. */
void kapL_iterator_register(lua_State *L);

/*
 * Pushes what `tickets` returns: an iterator over the ids at stack index
 * `source` (a string, integer, table or function), on the client at `client`,
 * with the options at `opts`. Their defaults are the client's, whose functions
 * are at `functions`; if that is 0, the built-in ones. The ids are argument
 * #arg of `func`.
 */
int kapL_iterator_new(lua_State *L, int client, int source, int opts,
                      int functions, int arg, const char *func);

#endif
