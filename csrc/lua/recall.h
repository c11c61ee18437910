/*
 * Most calls come with the options of the call before. A table that says just
 * what the last one did is recognised by its members, which costs a fraction of
 * reading, copying and comparing what they mean.
 */
#ifndef KAP_RECALL_H
#define KAP_RECALL_H

#include "lua/state.h"

/* What the table at `opts` (or nil) means to the client at `client`, if that is
 * remembered: a reference of the caller's own. Else NULL, also where `client`
 * is nil. */
kap_settings *kapL_recall(lua_State *L, int client, int opts);

/*
 * To be read and remembered afterwards: puts a copy of the table at `opts` (of
 * nothing, where that is nil) in its place on the stack. Finalizers, which may
 * run between reading and remembering, can change the caller's table, but not
 * the copy, so what is remembered is what was read. False, and nothing is
 * copied, where there are functions or tables in it, which may say something
 * else the next time, or where a finalizer came in between.
 */
bool kapL_recall_copy(lua_State *L, int opts);

/* Remembers that the copy at `copy` means `s`. */
void kapL_recall_note(lua_State *L, int client, int copy, kap_settings *s);

#endif
