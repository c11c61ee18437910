/*
 * The life of a client: its options, its engine, its requests, forks and the
 * end of the process. Its methods are in api/client.c; how it is driven is in
 * lua/drive.h.
 */
#ifndef KAP_CLIENT_H
#define KAP_CLIENT_H

#include "lua/state.h"

/* Pushes a new client, without options. */
kap_client *kapL_client_new(lua_State *L);
/* The client on top of the stack takes its options from the table at `opts`.
 * Raises argument errors for argument #1 of `func`. */
void kapL_client_options(lua_State *L, kap_client *c, int opts,
                         const char *func);
/* Takes its limits from these settings. Called before its first request. */
void kap_client_limit(kap_client *c, const kap_settings *s);
/* The client at idx, or an argument error. If the process has forked, this ends
 * the parent's requests first. */
kap_client *kapL_client_check(lua_State *L, int idx);

/*
 * In a forked child the parent's engine can't be used: its thread is gone, its
 * connections and its wake-up belong to the parent, and its lock may be held
 * for ever. So requests that were going on end here. Called whenever Lua calls
 * in (a child that only closes its lua_State runs finalizers, too), and
 * whenever Lua was called from here; while the client works it does nothing,
 * and is called again afterwards.
 */
void kap_client_check_fork(kap_client *c);
/* Closes the client where the process has begun to end (net/ending.h). Called
 * wherever an engine is made or a call goes on. */
void kap_client_check_ending(kap_client *c);
/* Why a closed client does nothing. */
const char *kap_client_closed_words(void);
/* The engine, which is made where there is none yet. NULL: the client is
 * closed. Raises only that there is no memory. */
kap_engine *kapL_client_engine(lua_State *L, kap_client *c);
/* Ends all requests and frees the engine. Safe at any time, cannot fail. */
void kap_client_close(kap_client *c);
/* Does what finalizers have asked for while the client worked: close,
 * cancel. */
void kap_client_settle_recorded(kap_client *c);

/* Pushes the request's userdata; false: it is gone. */
bool kapL_client_request(lua_State *L, int idx, const kap_request *r);
/* Removes the request's userdata from the client's table. Cannot fail. */
void kapL_client_forget(lua_State *L, int idx, const kap_request *r);

/* Puts a batch whose transfer has ended into the list of those to be read.
 * `first`: at its front, for the batch is half read. */
void kap_client_arrive(kap_client *c, kap_batch *b, bool first);
/* The next to be read, taken off the list; NULL: none. */
kap_batch *kap_client_next_arrived(kap_client *c);
/* Makes the descriptor readable if something is left to do or to report, and
 * otherwise not. */
void kap_client_settle_mark(kap_client *c);

#endif
