#include "notify.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

void kap_notify_init(kap_notify *n)
{
    n->reader = n->writer = -1;
    n->marked = false;
}

bool kap_notify_open(kap_notify *n)
{
    int pair[2];
#ifdef SOCK_CLOEXEC
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair) != 0)
        return false;
#else
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        fcntl(pair[i], F_SETFD, FD_CLOEXEC);
        fcntl(pair[i], F_SETFL, O_NONBLOCK);
    }
#endif
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(pair[1], SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
    n->reader = pair[0];
    n->writer = pair[1];
    return true;
}

void kap_notify_close(kap_notify *n)
{
    if (n->reader >= 0)
        close(n->reader);
    if (n->writer >= 0)
        close(n->writer);
    kap_notify_init(n);
}

void kap_notify_mark(kap_notify *n)
{
    /* The pair is empty whenever the mark is not set, so a send can fail only
     * where the other end is gone, and then nobody waits. */
    if (!n->marked && n->writer >= 0 &&
        send(n->writer, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        n->marked = true;
}

void kap_notify_clear(kap_notify *n)
{
    char byte;
    if (n->marked && recv(n->reader, &byte, 1, MSG_DONTWAIT) == 1)
        n->marked = false;
}
