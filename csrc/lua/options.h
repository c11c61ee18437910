/* The option table: Lua's opts to kap_settings. */
#ifndef KAP_OPTIONS_H
#define KAP_OPTIONS_H

#include "compat.h"
#include "config/settings.h"

/* Slots of the functions that an opts table may hold, in the table at
 * `functions` (see kapL_options). */
#define KAP_FUNCTION_TOKEN 1
#define KAP_FUNCTION_HOOK 2

typedef enum {
    KAP_OPTIONS_CLIENT, /* or of a call that finds its client by them */
    KAP_OPTIONS_CALL    /* on a client that is there already */
} kap_options_of;

/*
 * Parses the table at `idx` (nil or none: nothing given) over `into`, whose
 * values are the defaults. Functions go into the table at stack index
 * `functions`. Limits are a client's: on a call they are errors, too. Raises
 * argument errors for argument `arg` of `func`; `into` is
 * then in a state fit for kap_settings_unref only.
 */
void kapL_options(lua_State *L, int idx, kap_settings *into, int functions,
                  kap_options_of of, int arg, const char *func);

#endif
