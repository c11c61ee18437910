#include "net/wakeup.h"

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

void kap_wakeup_init(kap_wakeup *w)
{
    w->reader = w->writer = w->listener = -1;
    w->marked = w->connected = false;
    w->path[0] = '\0';
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

bool kap_wakeup_open(kap_wakeup *w)
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
    w->reader = pair[0];
    w->writer = pair[1];
    return true;
}

static void stop_listening(kap_wakeup *w)
{
    char *slash = strrchr(w->path, '/');
    close_fd(&w->listener);
    if (slash != NULL) {
        unlink(w->path);
        *slash = '\0';
        rmdir(w->path);
    }
    w->path[0] = '\0';
}

void kap_wakeup_close(kap_wakeup *w)
{
    close_fd(&w->reader);
    close_fd(&w->writer);
    stop_listening(w);
    kap_wakeup_init(w);
}

void kap_wakeup_abandon(kap_wakeup *w)
{
    w->path[0] = '\0';
    kap_wakeup_close(w);
}

void kap_wakeup_mark(kap_wakeup *w)
{
    /* The pair is empty whenever the mark is not set, so a send can fail only
     * where the other end is gone, and then nobody waits. */
    if (!w->marked && w->writer >= 0 &&
        send(w->writer, "k", 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1)
        w->marked = true;
}

void kap_wakeup_clear(kap_wakeup *w)
{
    char byte;
    if (w->marked && !w->connected &&
        recv(w->reader, &byte, 1, MSG_DONTWAIT) == 1)
        w->marked = false;
}

/* a loop that connects ------------------------------------------------------- */

/* A directory nobody else can enter, for a name nobody else can take. */
static bool make_directory(char *path)
{
    const char *places[] = {getenv("TMPDIR"), "/tmp", "/dev/shm"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (places[i] == NULL || places[i][0] != '/')
            continue;
        int len =
            snprintf(path, KAP_WAKEUP_PATH_MAX, "%s/kapture-XXXXXX", places[i]);
        /* and room for the socket's own name */
        if (len > 0 && len < KAP_WAKEUP_PATH_MAX - 3 && mkdtemp(path) != NULL)
            return true;
    }
    path[0] = '\0';
    return false;
}

bool kap_wakeup_listen(kap_wakeup *w)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    stop_listening(w);
    if (!make_directory(w->path))
        return false;
    memcpy(w->path + strlen(w->path), "/n", sizeof "/n");
    memcpy(address.sun_path, w->path, strlen(w->path) + 1);
    w->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (w->listener >= 0) {
        tune(w->listener);
        if (bind(w->listener, (struct sockaddr *)&address, sizeof address) ==
                0 &&
            listen(w->listener, 1) == 0)
            return true;
    }
    int why = errno;
    stop_listening(w);
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

bool kap_wakeup_accept(kap_wakeup *w)
{
    int fd = w->listener < 0 ? -1 : accept(w->listener, NULL, NULL);
    while (fd >= 0 && !is_self(fd)) {
        close(fd);
        fd = accept(w->listener, NULL, NULL);
    }
    stop_listening(w);
    if (fd < 0)
        return false;
    tune(fd);
    close_fd(&w->reader);
    close_fd(&w->writer);
    w->writer = fd;
    w->connected = true;
    w->marked = false;
    return true;
}

void kap_wakeup_acknowledge(kap_wakeup *w)
{
    if (w->connected)
        w->marked = false;
}

void kap_wakeup_hang_up(kap_wakeup *w)
{
    stop_listening(w);
    if (w->connected)
        close_fd(&w->writer);
}
