/*
 * The client's state: its options, its engine, the requests at work on it. Its
 * methods are in api/client.c; how it is driven, in lua/drive.h.
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
/* Before its first request: its limits are what these say. */
void kap_client_limit(kap_client *c, const kap_settings *s);
/* The client at idx, once it is known whether the process has forked. */
kap_client *kapL_client_check(lua_State *L, int idx);

/*
 * In a forked child the parent's engine is not ours: its thread is gone, its
 * connections, the wake-up's too, are the parent's, and its lock may be held
 * for ever. Requests at work on it end here. Looked at whenever Lua calls in
 * (finalizers run in a child that only closes its state) and after it was called;
 * not in the middle of the client's work, but after it.
 */
void kap_client_check_fork(kap_client *c);
/* In a process that has begun to end (net/ending.h), closes the client. Comes
 * wherever an engine is made, or a call goes on. */
void kap_client_check_ending(kap_client *c);
/* Why a closed client does nothing. */
const char *kap_client_closed_words(void);
/* The engine, made where it is missing (raises: no memory). NULL: closed. */
kap_engine *kapL_client_engine(lua_State *L, kap_client *c);
/* Ends everything; safe at any time, cannot fail. */
void kap_client_close(kap_client *c);
/* Closes and cancels what was recorded while the client worked. */
void kap_client_settle_recorded(kap_client *c);

/* Pushes the request's userdata; false: it is gone. */
bool kapL_client_request(lua_State *L, int idx, const kap_request *r);
/* Lets go of the request's userdata. Cannot fail. */
void kapL_client_forget(lua_State *L, int idx, const kap_request *r);

/* A batch has ended, or (first) is not yet read to its end. */
void kap_client_arrive(kap_client *c, kap_batch *b, bool first);
/* The next to be read, taken off the list; NULL: none. */
kap_batch *kap_client_next_arrived(kap_client *c);
/* Keeps the descriptor readable if there is something left to do or report. */
void kap_client_settle_mark(kap_client *c);

#endif
