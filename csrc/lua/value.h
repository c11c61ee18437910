/* Lua values that are made in more than one place. Knows nothing of clients. */
#ifndef KAP_VALUE_H
#define KAP_VALUE_H

#include "compat.h"

#include <stdbool.h>

/* Pushes the metatable for JSON arrays. */
void kapL_value_array_mt(lua_State *L);
/* Makes it, once a lua_State, and pushes it: lua-cjson's, where there is one,
 * so that lua-cjson encodes an empty array as it was decoded; else our own. */
void kapL_value_make_array_mt(lua_State *L);

/* Pushes an empty list that stays a list when encoded as JSON. */
void kapL_value_list(lua_State *L);
/* Pushes a list of the ids in the text, which has commas between them. */
void kapL_value_id_list(lua_State *L, const char *ids, size_t len);

/* Each sets a field of the table on top of the stack. */
void kapL_value_set_string(lua_State *L, const char *key, const char *value);
void kapL_value_set_number(lua_State *L, const char *key, double value);
void kapL_value_set_integer(lua_State *L, const char *key, double value);
void kapL_value_set_flag(lua_State *L, const char *key, bool value);

#endif
