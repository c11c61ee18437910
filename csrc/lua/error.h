/* Failures as Lua sees them. */
#ifndef KAP_ERROR_H
#define KAP_ERROR_H

#include "compat.h"
#include "base/failure.h"

/* Raises Lua's own memory error: what malloc's and libcurl's become. */
_Noreturn void kapL_error_nomem(lua_State *L);

/* `bad argument #arg to 'func' (words)`, as Lua itself says it, whatever way
 * the function was called. Pops nothing, does not return. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
_Noreturn void
kapL_error_argument(lua_State *L, int arg, const char *func, const char *fmt,
                    ...);

/* Pushes {kind, message, status, retryable, attempts, retry_after, body}, marked;
 * `ids` is set by the caller. */
void kapL_error_push(lua_State *L, const kap_failure *f);
/* Gives the table on top of the stack the metatable of errors: tostring is its
 * message. */
void kapL_error_mark(lua_State *L);
/* Once a state, before the first of them. */
void kapL_error_register(lua_State *L);

#endif
