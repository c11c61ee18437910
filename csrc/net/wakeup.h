/*
 * The wake-up: a mark that one thread sets and another thread's event loop
 * sees, for a descriptor is readable while the mark is set. Plain POSIX; knows
 * nothing of engines. Callers hold the engine's lock.
 *
 * Some loops can't watch a descriptor but can connect to an address (nginx with
 * its cosockets). For these the reading end is a socket that the loop, in this
 * same process, has connected: we can't take back what it has yet to read, so it
 * says with kap_wakeup_acknowledge that it has read.
 */
#ifndef KAP_WAKEUP_H
#define KAP_WAKEUP_H

#include <stdbool.h>

#define KAP_WAKEUP_PATH_MAX 100 /* what every system's sun_path has room for */

typedef struct kap_wakeup {
    int reader, writer; /* -1: none yet */
    int listener;       /* -1: nobody is expected */
    bool connected;     /* a loop has connected; then there is no reader */
    bool marked;
    char path
        [KAP_WAKEUP_PATH_MAX]; /* the listener's, in a directory of its own */
} kap_wakeup;

void kap_wakeup_init(kap_wakeup *w);
/* False: there are no descriptors to be had; errno says why. */
bool kap_wakeup_open(kap_wakeup *w);
void kap_wakeup_close(kap_wakeup *w);
/* Both do nothing as long as there are no descriptors: then nobody can wait. */
void kap_wakeup_mark(kap_wakeup *w);
void kap_wakeup_clear(kap_wakeup *w);

/* Listens at w->path. False: errno says why. */
bool kap_wakeup_listen(kap_wakeup *w);
/* Accepts the loop that has connected, if it is of this process, and removes
 * the path in any case. False: nobody has connected, or only other
 * processes. */
bool kap_wakeup_accept(kap_wakeup *w);
/* The loop has read what it was sent: the next mark is sent again. */
void kap_wakeup_acknowledge(kap_wakeup *w);
/* Closes the connection to the loop. */
void kap_wakeup_hang_up(kap_wakeup *w);
/* In a forked child: as close, but the listener's path is the parent's and
 * stays. */
void kap_wakeup_abandon(kap_wakeup *w);

#endif
