/* Reads an opts table of Lua into kap_settings. Which options there are is in
 * config/settings.c. */
#ifndef KAP_OPTIONS_H
#define KAP_OPTIONS_H

#include "compat.h"
#include "config/settings.h"

/* Slots of the functions that an opts table may hold, in the table at
 * `functions` (see kapL_options). */
#define KAP_FUNCTION_TOKEN 1
#define KAP_FUNCTION_HOOK 2

typedef enum {
    KAP_OPTIONS_CLIENT, /* of a new client, or of a call that has none given */
    KAP_OPTIONS_CALL    /* of a call on a given client */
} kap_options_of;

/*
 * Overlays `into`, whose values are the defaults, with the table at `idx` (nil
 * or none: nothing is given). Functions go into the table at stack index
 * `functions`. Limits are a client's, so in a call's options they are errors.
 * Raises argument errors for argument `arg` of `func`; `into` is then fit for
 * kap_settings_unref only.
 */
void kapL_options(lua_State *L, int idx, kap_settings *into, int functions,
                  kap_options_of of, int arg, const char *func);

#endif
