/* Values that this module gives to Lua in more than one place. */
#ifndef KAP_VALUE_H
#define KAP_VALUE_H

#include "compat.h"

/* Pushes the metatable for JSON arrays. */
void kapL_value_array_mt(lua_State *L);
/* Makes it, once a state: lua-cjson's, where there is one that has it, so that
 * what it encodes is what was decoded; else our own. Left on the stack. */
void kapL_value_make_array_mt(lua_State *L);

/* Pushes an empty list that stays a list when encoded as JSON. */
void kapL_value_list(lua_State *L, int size);
/* Pushes a list of the ids in the text, which has commas between them. */
void kapL_value_id_list(lua_State *L, const char *ids, size_t len);

#endif
