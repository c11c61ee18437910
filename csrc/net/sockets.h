/*
 * The sockets of an engine's connections: what libcurl opened, and whether one
 * that it kept has something to read although nobody asked. Lua-free; the thread
 * that drives the engine is the only one here.
 *
 * Over HTTP/1.1, what can be read on a connection at rest is no answer to the
 * next request: a 408 of a server that is about to close, a stray line end, a
 * second response. libcurl before 8.0 takes it for one, and each later answer
 * then belongs to the request before. Over HTTP/2 such bytes are frames, and
 * belong there.
 */
#ifndef KAP_SOCKETS_H
#define KAP_SOCKETS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct kap_socket {
    curl_socket_t fd;
    int port;   /* its own end's, 0: not yet known */
    bool http1; /* answers of HTTP/1 have come on it */
    const void
        *opener; /* the transfer it was opened for: to be compared only */
} kap_socket;

typedef struct kap_sockets {
    kap_socket *list;
    size_t n, cap;
    /* of the one that was closed last: who it was opened for, and what was left
     * to read: > 0 something, 0 the end, < 0 nothing */
    const void *closed;
    int unread;
} kap_sockets;

/* Takes note of a new socket; false: no memory. */
bool kap_sockets_add(kap_sockets *s, curl_socket_t fd, const void *opener);
/* libcurl's callback: closes one of them (s is a kap_sockets). */
int kap_sockets_close(void *s, curl_socket_t fd);
void kap_sockets_free(kap_sockets *s);

/* Connections are told apart by the port of their own end. Where two to
 * different servers share one, what holds for either is taken to hold for
 * both: the worst that comes of it is a new connection. */
void kap_sockets_speak_http1(kap_sockets *s, int port);
/* Whether it speaks HTTP/1 and has something to read, its end included; `buffered`:
 * TLS has taken some of that from the socket already. */
bool kap_sockets_readable(kap_sockets *s, int port, bool buffered);

#endif
