#include "net/sockets.h"

#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

bool kap_sockets_add(kap_sockets *s, curl_socket_t fd, const void *opener)
{
    if (s->n == s->cap) {
        size_t cap = s->cap > 0 ? 2 * s->cap : 16;
        kap_socket *list = realloc(s->list, cap * sizeof *list);
        if (list == NULL)
            return false;
        s->list = list;
        s->cap = cap;
    }
    s->list[s->n++] = (kap_socket){.fd = fd, .opener = opener};
    if (s->closed == opener)
        s->closed = NULL;
    return true;
}

int kap_sockets_close(void *arg, curl_socket_t fd)
{
    kap_sockets *s = arg;
    for (size_t i = 0; i < s->n; i++) {
        char byte;
        if (s->list[i].fd != fd)
            continue;
        s->closed = s->list[i].opener;
        s->unread = (int)recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        s->list[i] = s->list[--s->n];
        break;
    }
    return close(fd);
}

void kap_sockets_free(kap_sockets *s)
{
    free(s->list);
    *s = (kap_sockets){0};
}

static int port_of(curl_socket_t fd)
{
    struct sockaddr_storage a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)&a)->sin_port);
    if (a.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)&a)->sin6_port);
    return 0;
}

/* The next one with this port from place *i on; NULL: there is none left. */
static kap_socket *next_of(kap_sockets *s, int port, size_t *i)
{
    while (*i < s->n) {
        kap_socket *one = &s->list[(*i)++];
        if (one->port == 0)
            one->port = port_of(one->fd);
        if (one->port == port)
            return one;
    }
    return NULL;
}

void kap_sockets_speak_http1(kap_sockets *s, int port)
{
    kap_socket *one;
    for (size_t i = 0; (one = next_of(s, port, &i)) != NULL;)
        one->http1 = true;
}

bool kap_sockets_readable(kap_sockets *s, int port, bool buffered)
{
    kap_socket *one;
    for (size_t i = 0; (one = next_of(s, port, &i)) != NULL;) {
        struct pollfd p = {.fd = one->fd, .events = POLLIN};
        if (one->http1 && (buffered || poll(&p, 1, 0) > 0))
            return true;
    }
    return false;
}
