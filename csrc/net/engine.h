/*
 * The engine: transfers are submitted, and are taken back once they have ended.
 * It consists of a libcurl multi handle and the scheduler before it, and knows
 * who drives these. It never sees a lua_State.
 *
 * An engine is driven in one of two ways. Inline: by the caller's thread,
 * inside kap_engine_wait and kap_engine_turn. Threaded: by a thread of its own,
 * once kap_engine_start has started it; it never goes back. All functions below
 * work either way, and only the caller's thread calls them.
 *
 * A transfer belongs to the engine from submit until take or cancel.
 */
#ifndef KAP_ENGINE_H
#define KAP_ENGINE_H

#include "net/lane.h"

typedef struct kap_engine kap_engine;

/* NULL: no memory, or the process is ending: see ending.h. The limits are
 * kap_scheduler_init's. */
kap_engine *kap_engine_new(int concurrency, double rate);
/* Ends and frees all it has; joins the thread. NULL is fine. While the process
 * ends, all stays as it is. */
void kap_engine_free(kap_engine *e);
/* In a forked child: gives up the parent's engine. Only the wake-up's
 * descriptors are closed. All else, libcurl's sockets included, stays as it is
 * and is never freed. */
void kap_engine_abandon(kap_engine *e);

/* Starts the thread if there is none yet. False: *why (errno-like words). */
bool kap_engine_start(kap_engine *e, const char **why);

void kap_engine_submit(kap_engine *e, kap_transfer *t, kap_lane *lane);
/* Forgets the transfer, wherever it is; its socket is closed at once (threaded:
 * as soon as the thread wakes). The caller must not touch it again. */
void kap_engine_cancel(kap_engine *e, kap_transfer *t);
/* The next transfer that has ended, now the caller's; NULL: none. One on
 * which its lane awaits a verdict stays attached to the lane until the caller
 * detaches it and wakes the engine. */
kap_transfer *kap_engine_take(kap_engine *e);
void kap_engine_wake(kap_engine *e);
/* Whether a transfer has started in a lane that reports it, since the last
 * call. */
bool kap_engine_started(kap_engine *e);
/* Whether there is something to take, or a start to be told of. */
bool kap_engine_ready(kap_engine *e);

/*
 * Waits at most `seconds` for a transfer to end (or start, in a lane that
 * reports it). Inline, this is what drives the transfers. May return early.
 */
void kap_engine_wait(kap_engine *e, double seconds);

/* Inline: does what can be done without waiting, so that the next requests are
 * on their way while the caller reads answers. `busy`: it has more answers to
 * read. */
void kap_engine_turn(kap_engine *e, bool busy);
/* Whether a turn now and then may be of use: inline, with requests under way or
 * waiting to start. */
bool kap_engine_needs_turns(const kap_engine *e);

/* The descriptor that is readable while a mark stands: set when a transfer
 * ends, or starts in a lane that reports it, or kap_engine_mark is called. Made
 * by the first call. -1: no descriptor to be had (errno), or a loop has connected. */
int kap_engine_fd(kap_engine *e);
void kap_engine_mark(kap_engine *e);
/* Takes the mark back, unless kap_engine_ready. */
void kap_engine_clear_mark(kap_engine *e);

/*
 * The same for a loop that can connect to a unix socket but not be given a
 * descriptor: listen (NULL: errno), let it connect, accept; from then on there
 * is no descriptor but the loop's. It reads what it is sent and then calls
 * acknowledge. hang_up ends that; listening again begins anew.
 */
const char *kap_engine_listen(kap_engine *e);
bool kap_engine_accept(kap_engine *e);
void kap_engine_acknowledge(kap_engine *e);
void kap_engine_hang_up(kap_engine *e);

#endif
