/* Failures as Lua sees them. */
#ifndef KAP_ERROR_H
#define KAP_ERROR_H

#include "lua/compat.h"
#include "policy/idset.h"
#include "base/kind.h"

/* Raises Lua's own memory error: what malloc's and libcurl's become. */
_Noreturn void kapL_nomem(lua_State *L);

/* `bad argument #arg to 'func' (words)`, as Lua itself says it, whatever way
 * the function was called. Pops nothing, does not return. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
_Noreturn void
kapL_argerror(lua_State *L, int arg, const char *func, const char *fmt, ...);

/* Pushes {kind, message, status, retryable, attempts, retry_after, body}, marked;
 * `ids` is set by the caller. */
void kapL_push_failure(lua_State *L, const kap_failure *f);
/* Gives the table on top of the stack the metatable of errors: tostring is its
 * message. */
void kapL_error_mark(lua_State *L);
/* Once a state, before the first of them. */
void kapL_error_register(lua_State *L);

/* Pushes an empty list that stays a list when encoded as JSON. `array_mt` is
 * the stack index of the arrays' metatable. */
void kapL_push_list(lua_State *L, int size, int array_mt);

#endif
