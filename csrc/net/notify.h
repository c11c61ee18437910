/*
 * A mark that another thread can set and an event loop can see: a descriptor
 * that is readable while the mark stands. Plain POSIX. The caller locks.
 *
 * Where a loop can't be given a descriptor but can connect to an address (nginx
 * and its cosockets), the reading end is a peer of this same process: it then
 * has to say, with kap_notify_heard, that it has read what there was.
 */
#ifndef KAP_NOTIFY_H
#define KAP_NOTIFY_H

#include <stdbool.h>

#define KAP_NOTIFY_PATH_MAX 100 /* what every system's sun_path has room for */

typedef struct kap_notify {
    int reader, writer; /* -1: none yet */
    int listener;       /* -1: nobody is expected */
    bool distant;       /* the reader is a peer's, or was */
    bool marked;
    char path
        [KAP_NOTIFY_PATH_MAX]; /* the listener's, in a directory of its own */
} kap_notify;

void kap_notify_init(kap_notify *n);
/* False: no descriptors to be had, errno says why. */
bool kap_notify_open(kap_notify *n);
void kap_notify_close(kap_notify *n);
/* Without descriptors, nothing: nobody can wait. */
void kap_notify_mark(kap_notify *n);
void kap_notify_clear(kap_notify *n);

/* Listens at n->path. False: errno says why. */
bool kap_notify_listen(kap_notify *n);
/* Takes the peer that has connected, if it is this process, as the reader, and
 * removes the path in any case. False: nobody had, or somebody else. */
bool kap_notify_accept(kap_notify *n);
/* The peer is about to look for itself: the next mark is news. */
void kap_notify_heard(kap_notify *n);
/* Ends the peer's connection, after which nobody is told. */
void kap_notify_hang_up(kap_notify *n);
/* In a forked child: as close, but what is the parent's stays. */
void kap_notify_abandon(kap_notify *n);

#endif
