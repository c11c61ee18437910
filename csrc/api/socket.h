/*
 * What resty.kapture drives a client with, and nobody else: nginx gives Lua no
 * way to wait for a descriptor, but one to connect to a unix socket.
 *
 *   client:_listen()   a path to connect to; or nil, why
 *   client:_accept()   true: what connected is told from now on, a byte for
 *                      whenever there is something to step for
 *   client:_hang_up()  ends the connection
 */
#ifndef KAP_SOCKET_H
#define KAP_SOCKET_H

#include "lua/state.h"

/* Adds the methods to those of clients. */
void kapL_socket_register(lua_State *L);

#endif
