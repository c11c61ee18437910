/*
 * A mark that another thread can set and an event loop can see: a descriptor
 * that is readable while the mark stands. Plain POSIX. The caller locks.
 */
#ifndef KAP_NOTIFY_H
#define KAP_NOTIFY_H

#include <stdbool.h>

typedef struct kap_notify {
    int reader, writer; /* -1: none yet */
    bool marked;
} kap_notify;

void kap_notify_init(kap_notify *n);
/* False: no descriptors to be had, errno says why. */
bool kap_notify_open(kap_notify *n);
void kap_notify_close(kap_notify *n);
/* Without descriptors, nothing: nobody can wait. */
void kap_notify_mark(kap_notify *n);
void kap_notify_clear(kap_notify *n);

#endif
