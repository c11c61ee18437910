#include "net/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

void kap_notify_init(kap_notify *n)
{
    n->reader = n->writer = n->listener = -1;
    n->marked = n->distant = false;
    n->path[0] = '\0';
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void tune(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, O_NONBLOCK);
#ifdef SO_NOSIGPIPE
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
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
#endif
    tune(pair[0]);
    tune(pair[1]);
    n->reader = pair[0];
    n->writer = pair[1];
    return true;
}

static void stop_listening(kap_notify *n)
{
    char *slash = strrchr(n->path, '/');
    close_fd(&n->listener);
    if (slash != NULL) {
        unlink(n->path);
        *slash = '\0';
        rmdir(n->path);
    }
    n->path[0] = '\0';
}

void kap_notify_close(kap_notify *n)
{
    close_fd(&n->reader);
    close_fd(&n->writer);
    stop_listening(n);
    kap_notify_init(n);
}

void kap_notify_abandon(kap_notify *n)
{
    n->path[0] = '\0';
    kap_notify_close(n);
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
    if (n->marked && !n->distant &&
        recv(n->reader, &byte, 1, MSG_DONTWAIT) == 1)
        n->marked = false;
}

/* a peer ------------------------------------------------------------------- */

/* A directory nobody else can enter, for a name nobody else can take. */
static bool make_directory(char *path)
{
    const char *places[] = {getenv("TMPDIR"), "/tmp", "/dev/shm"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] == NULL || places[i][0] != '/')
            continue;
        int len =
            snprintf(path, KAP_NOTIFY_PATH_MAX, "%s/kapture-XXXXXX", places[i]);
        /* and room for the socket's own name */
        if (len > 0 && len < KAP_NOTIFY_PATH_MAX - 3 && mkdtemp(path) != NULL)
            return true;
    }
    path[0] = '\0';
    return false;
}

bool kap_notify_listen(kap_notify *n)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    stop_listening(n);
    if (!make_directory(n->path))
        return false;
    memcpy(n->path + strlen(n->path), "/n", sizeof "/n");
    memcpy(address.sun_path, n->path, strlen(n->path) + 1);
    n->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (n->listener >= 0) {
        tune(n->listener);
        if (bind(n->listener, (struct sockaddr *)&address, sizeof address) ==
                0 &&
            listen(n->listener, 1) == 0)
            return true;
    }
    int why = errno;
    stop_listening(n);
    errno = why;
    return false;
}

static bool is_self(int fd)
{
#if defined(__linux__)
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           peer.uid == geteuid() && peer.pid == getpid();
#else
    uid_t uid;
    gid_t gid;
    return getpeereid(fd, &uid, &gid) == 0 && uid == geteuid();
#endif
}

bool kap_notify_accept(kap_notify *n)
{
    int fd = n->listener < 0 ? -1 : accept(n->listener, NULL, NULL);
    while (fd >= 0 && !is_self(fd)) {
        close(fd);
        fd = accept(n->listener, NULL, NULL);
    }
    stop_listening(n);
    if (fd < 0)
        return false;
    tune(fd);
    close_fd(&n->reader);
    close_fd(&n->writer);
    n->writer = fd;
    n->distant = true;
    n->marked = false;
    return true;
}

void kap_notify_heard(kap_notify *n)
{
    if (n->distant)
        n->marked = false;
}

void kap_notify_hang_up(kap_notify *n)
{
    stop_listening(n);
    if (n->distant)
        close_fd(&n->writer);
}
