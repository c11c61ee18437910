/*
 * A ticket whose decoding takes too long is put aside: as a table of what there is
 * of it, for another session to go on with.
 */
#ifndef KAP_SUSPEND_H
#define KAP_SUSPEND_H

#include "json/session.h"

/* The stack slots that are reserved every so many levels of nesting; a level
 * takes two, a key and a table. */
#define KAP_STACK_LEVELS 16
#define KAP_STACK_SLOTS (2 * KAP_STACK_LEVELS + 8)

/* Replaces all above `top` by a table of it; `fr` is the innermost frame. */
__attribute__((cold)) void kapL_suspend(lua_State *L, kap_decode *d,
                                        const kap_frame *fr, int top);
/* The reverse; the innermost frame, or NULL. What was guessed is forgotten: the
 * outermost container gets the place `at`, the others new ones. */
__attribute__((cold)) kap_frame *
kapL_suspend_resume(lua_State *L, kap_decode *d, kap_place *at);

#endif
