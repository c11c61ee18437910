/*
 * A mark that another thread can set and an event loop can see: a descriptor
 * that is readable while the mark stands. Plain POSIX. The caller locks.
 *
 * Where a loop can't be given a descriptor but can connect to an address (nginx
 * and its cosockets), the reading end is a peer of this same process: it then
 * has to say, with kap_wakeup_acknowledge, that it has read what there was.
 */
#ifndef KAP_WAKEUP_H
#define KAP_WAKEUP_H

#include <stdbool.h>

#define KAP_WAKEUP_PATH_MAX 100 /* what every system's sun_path has room for */

typedef struct kap_wakeup {
    int reader, writer; /* -1: none yet */
    int listener;       /* -1: nobody is expected */
    bool has_peer;      /* which reads: the reader is its, or was */
    bool marked;
    char path
        [KAP_WAKEUP_PATH_MAX]; /* the listener's, in a directory of its own */
} kap_wakeup;

void kap_wakeup_init(kap_wakeup *w);
/* False: no descriptors to be had, errno says why. */
bool kap_wakeup_open(kap_wakeup *w);
void kap_wakeup_close(kap_wakeup *w);
/* Without descriptors, nothing: nobody can wait. */
void kap_wakeup_mark(kap_wakeup *w);
void kap_wakeup_clear(kap_wakeup *w);

/* Listens at w->path. False: errno says why. */
bool kap_wakeup_listen(kap_wakeup *w);
/* Takes the peer that has connected, if it is this process, as the reader, and
 * removes the path in any case. False: nobody had, or somebody else. */
bool kap_wakeup_accept(kap_wakeup *w);
/* The peer has read what it was sent: the next mark is sent again. */
void kap_wakeup_acknowledge(kap_wakeup *w);
/* Ends the peer's connection, after which nobody is told. */
void kap_wakeup_hang_up(kap_wakeup *w);
/* In a forked child: as close, but what is the parent's stays. */
void kap_wakeup_abandon(kap_wakeup *w);

#endif
