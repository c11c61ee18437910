/* Errors: those that are raised, and failures as the tables that Lua gets. */
#ifndef KAP_ERROR_H
#define KAP_ERROR_H

#include "compat.h"
#include "base/failure.h"

/* Raises what Lua itself raises when memory runs out, for malloc and
 * libcurl. */
_Noreturn void kapL_error_nomem(lua_State *L);

/* Raises `bad argument #arg to 'func' (words)`, as Lua itself says it; the same
 * however the function was called. */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
_Noreturn void
kapL_error_argument(lua_State *L, int arg, const char *func, const char *fmt,
                    ...);

/* Pushes {kind, message, status, retryable, attempts, retry_after, body},
 * with the metatable of errors; `ids` is set by the caller. */
void kapL_error_push(lua_State *L, const kap_failure *f);
/* Creates the metatable of these: tostring is the message. Once a lua_State,
 * before the first error. */
void kapL_error_register(lua_State *L);

#endif
