/*
 * The end of the process, which may come at any moment: exit(3) called on one
 * thread while engines work on others. Their threads would go on in libcurl and
 * in the TLS library while those libraries' own exit handlers free what they
 * use. So all engines are in one list, and an exit handler, which runs before
 * the libraries' do, gets everybody out of libcurl and lets nobody back in.
 *
 * A fork(2) is much the same: a child that inherited a lock of the TLS library's
 * from a thread that it does not have would wait for it for ever, in exit(3) at
 * the latest. So everybody is out while a thread forks, and comes back then.
 *
 * Each wait here has a bound: a thread may be stuck in a system call, and exit or
 * fork be called by somebody who has a lock that others need to come out. A thread
 * that is only slow is not stuck: as long as it computes, it is waited for. One that
 * is stuck might come back just when the TLS library is freed, in the middle of libcurl,
 * and go on there. So the process's end cancels it (pthread_cancel): it leaves libcurl
 * from the system call that it is stuck in, or from the next, and then stays here for
 * good. The host does not notice, whose thread it may be.
 *
 * Once the end has begun, engines stay as they are: nothing of theirs is freed, since what
 * frees it is libcurl. Calls that were under way end with the kind `closed`, and
 * so do later ones.
 */
#ifndef KAP_ENDING_H
#define KAP_ENDING_H

#include "base/list.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

typedef struct kap_ending_thread {
    _Atomic(pthread_t) id;
    _Atomic(clockid_t) clock;
    atomic_bool has_clock;
} kap_ending_thread;

/* What has to be known here of an engine, which has one of these. */
typedef struct kap_ending_entry {
    kap_link link;
    CURLM **multi; /* changes between kap_ending_lock and unlock only */
    bool claimed;  /* somebody frees it: */
    kap_ending_thread claimer;
    atomic_bool inside; /* somebody is in libcurl for it: */
    kap_ending_thread driver;
    atomic_int performing; /* in kap_ending_perform */
    unsigned passed;       /* the fork that it has waited for long enough */
} kap_ending_entry;

/* Before libcurl is initialised, once in a process: an exit, or a fork, that comes
 * from now on waits until that is done. False: no memory, or it is too late. */
bool kap_ending_open(void);
/* And afterwards. Registers the handler, which then runs before those that libcurl
 * and the TLS library have registered. False: no memory. */
bool kap_ending_opened(void);

/* Whether the process has begun to end. */
bool kap_ending_begun(void);
/* Called once it has, before a call is told so: keeps any thread but the one that
 * ends the process waiting. What it would do next might be to report a failure
 * that is none, to exit as well, with another status, or to end, in which the TLS
 * library takes part. It waits until all are out of libcurl, and a second more in which
 * that library is freed; no longer, for the host may join the thread before it ends. */
void kap_ending_pause(void);

/* Puts a new engine in the list. False: too late, it must not be used. */
bool kap_ending_add(kap_ending_entry *e);
/* Claims an engine for being freed, which the handler then waits for. False: too
 * late, it must be left alone. */
bool kap_ending_claim(kap_ending_entry *e);
/* Takes a claimed engine out of the list. */
void kap_ending_remove(kap_ending_entry *e);

/* Between the two, nobody else adds, claims or removes engines, and the handler
 * does not look at them. False: too late, and nothing to release. */
bool kap_ending_lock(void);
void kap_ending_unlock(void);

/* Between the two, this thread may call libcurl for the engine. False: too late,
 * it may not, and there is nothing to leave. Waits while a thread forks. */
bool kap_ending_enter(kap_ending_entry *e);
void kap_ending_leave(kap_ending_entry *e);
/* Between the two as well: curl_multi_perform, which is where a thread may be stuck. One
 * that the process's end could not wait for does not come back. No lock is held here. */
CURLMcode kap_ending_perform(kap_ending_entry *e, int *running);
/* Whether those inside are to leave soon. */
bool kap_ending_calls(void);
/* For the engine's own thread, when it may not enter: it stays here rather than
 * end, for the TLS library frees what it keeps for a thread that ends. Returns where
 * the engine is claimed: somebody who is waited for waits for the thread. */
void kap_ending_stay(kap_ending_entry *e);

/* For libcurl's callbacks: a thread that the process's end could not wait for stays here.
 * Most are cancelled before they come so far, but a host may have forbidden that for a
 * thread of its own. */
void kap_ending_gate(void);

#endif
