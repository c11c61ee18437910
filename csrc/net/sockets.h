/*
 * The sockets that libcurl has opened for an engine, and whether one of those
 * that it keeps has something to read although no request is under way on it.
 * Knows no Lua. Only the thread that drives the engine calls this.
 *
 * Over HTTP/1.1, bytes that can be read on a connection at rest are no answer
 * to the next request: they are a 408 of a server that is about to close, a
 * stray line end, a second response. libcurl before 8.0 takes them for the
 * answer, and each later answer is then taken for that of the request after.
 * Over HTTP/2 such bytes are frames, as they should be.
 */
#ifndef KAP_SOCKETS_H
#define KAP_SOCKETS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct kap_socket {
    curl_socket_t fd;
    int port;           /* its own end's, 0: not yet known */
    bool http1;         /* answers of HTTP/1 have come on it */
    const void *opener; /* the transfer it was opened for: only compared */
} kap_socket;

typedef struct kap_sockets {
    kap_socket *list;
    size_t n, cap;
    /* of the socket that was closed last: the transfer it was opened for, and
     * what was left to read: > 0 bytes, 0 the end, < 0 nothing */
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
/* Whether the connection speaks HTTP/1 and has something to read, which may be
 * its end. `buffered`: TLS has taken bytes from the socket already. */
bool kap_sockets_readable(kap_sockets *s, int port, bool buffered);

#endif
