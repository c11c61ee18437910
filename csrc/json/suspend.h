/*
 * A ticket whose decoding takes too long is put aside: what has been built of
 * it goes into a Lua table, from which another session goes on.
 */
#ifndef KAP_SUSPEND_H
#define KAP_SUSPEND_H

#include "json/session.h"

/* The stack slots that are reserved every so many levels of nesting; a level
 * takes two, a key and a table. */
#define KAP_STACK_LEVELS 16
#define KAP_STACK_SLOTS (2 * KAP_STACK_LEVELS + 8)

/* Replaces all values above `top` by one table that holds them. `fr` is the
 * innermost frame. */
__attribute__((cold)) void kapL_suspend(lua_State *L, kap_decode *d,
                                        const kap_frame *fr, int top);
/* The reverse; returns the innermost frame, or NULL. The frames' shapes are not
 * kept: the outermost container gets the shape `at`, the others new ones. */
__attribute__((cold)) kap_frame *
kapL_suspend_resume(lua_State *L, kap_decode *d, kap_shape *at);

#endif
