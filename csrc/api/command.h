/*
 * Functions of the system that bin/kapture needs and Lua's own libraries lack.
 * They are in the registry as "kapture.command", for lua/kapture/cli/system.lua
 * alone: they are no part of the module's interface and may change at any time.
 */
#ifndef KAP_COMMAND_H
#define KAP_COMMAND_H

#include "compat.h"

void kapL_command_register(lua_State *L);

#endif
