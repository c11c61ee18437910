/*
 * A transfer's easy handle: its options, and the callbacks that take in what
 * comes.
 */
#include "net/transfer.h"

#include "base/clock.h"
#include "net/ending.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Trusting a Content-Length costs at most this much memory. */
#define RESERVE_MAX ((size_t)64 << 20)
#define TIMEOUT_MAX_MS (LONG_MAX / 4)
/* libcurl's milliseconds may be up a little early: then the deadline would still
 * let the next request start. */
#define DEADLINE_MARGIN 0.002
/* No version of libcurl asks for a 100-continue with a body of less. */
#define EXPECT_BYTES 1024

static bool reserve(kap_transfer *t, size_t size)
{
    if (size <= t->cap && t->body != NULL)
        return true;
    char *body = realloc(t->body, size);
    if (body == NULL)
        return false;
    t->body = body;
    t->cap = size;
    return true;
}

/* The first bytes of a body: one allocation where the server said how much
 * will come (of a compressed body that is the least that will). */
static bool reserve_first(kap_transfer *t, size_t n)
{
    curl_off_t promised = -1;
    size_t size = n > 8192 ? n : 8192;
    if (curl_easy_getinfo(t->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                          &promised) == CURLE_OK &&
        promised > (curl_off_t)size && promised <= (curl_off_t)RESERVE_MAX)
        size = (size_t)promised;
    return reserve(t, size);
}

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
    kap_transfer *t = arg;
    n *= one;
    if (n > t->settings->max_response_bytes - t->len) {
        t->outcome = KAP_OUTCOME_TOO_LARGE;
        return 0;
    }
    if (t->body == NULL ? !reserve_first(t, n)
                        : t->len + n > t->cap && !reserve(t, t->cap * 2 + n)) {
        t->outcome = KAP_OUTCOME_NOMEM;
        return 0;
    }
    memcpy(t->body + t->len, data, n);
    t->len += n;
    return n;
}

/* What stands in a header line behind the colon, with its length. */
static const char *header_value(const char *colon, const char *end, size_t *len)
{
    const char *v = colon + 1;
    while (v < end && (*v == ' ' || *v == '\t'))
        v++;
    while (end > v && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' ||
                       end[-1] == '\t'))
        end--;
    *len = (size_t)(end - v);
    return v;
}

/* Not the value itself: it may be anything, the token as well. */
static const char *encoding_name(const char *value, size_t len)
{
    static const char *const known[] = {"gzip", "deflate", "br", "zstd"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (len == strlen(known[i]) && curl_strnequal(value, known[i], len))
            return known[i];
    return "";
}

/* Takes in one header, if it is of those that count. */
static void read_header(kap_transfer *t, const char *line, const char *end)
{
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (colon == NULL)
        return;
    size_t name = (size_t)(colon - line), len;
    const char *v = header_value(colon, end, &len);
#define IS(header) \
    (name == sizeof(header) - 1 && curl_strnequal(line, header, name))
    if (IS("Retry-After"))
        kap_retry_after_read(&t->retry_after, v, len);
    else if (IS("Date"))
        kap_retry_after_date(&t->retry_after, v, len);
    else if (IS("Content-Length") || IS("Transfer-Encoding"))
        t->framed = true;
    else if (IS("Content-Encoding"))
        t->encoding = encoding_name(v, len);
    else if (IS("Content-Type"))
        t->html = len >= 9 && curl_strnequal(v, "text/html", 9);
#undef IS
}

/* Called for the headers of every response, interim ones (1xx) too. */
static size_t on_header(char *line, size_t one, size_t n, void *arg)
{
    kap_transfer *t = arg;
    n *= one;
    if (t->header_bytes == 0 && !t->http1)
        /* where it refuses, the connection ends with this answer: no harm */
        curl_easy_setopt(t->easy, CURLOPT_FORBID_REUSE, 0L);
    t->header_bytes += n;
    if (t->header_bytes > KAP_HEADER_BYTES_MAX) {
        t->outcome = KAP_OUTCOME_HEADERS;
        return 0;
    }
    if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        kap_retry_after_clear(&t->retry_after);
        t->encoding = NULL;
        t->html = false;
        t->headers_complete = false;
        t->framed = n < 7 || line[5] != '1'; /* HTTP/2's streams have ends */
        if (!t->framed)
            kap_sockets_speak_http1(t->sockets, t->port);
    } else if (*line == '\r' || *line == '\n') {
        t->headers_complete = true;
    } else {
        read_header(t, line, line + n);
    }
    return n;
}

/* libcurl's own sockets would be inherited by popen's children. */
static curl_socket_t on_open(void *arg, curlsocktype purpose,
                             struct curl_sockaddr *a)
{
    kap_transfer *t = arg;
    (void)purpose;
    kap_ending_gate(); /* here after the name was resolved, before any TLS */
#ifdef SOCK_CLOEXEC
    curl_socket_t fd =
        socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
#else
    curl_socket_t fd = socket(a->family, a->socktype, a->protocol);
    if (fd != CURL_SOCKET_BAD)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd != CURL_SOCKET_BAD && !kap_sockets_add(t->sockets, fd, t)) {
        close(fd);
        t->outcome = KAP_OUTCOME_NOMEM;
        return CURL_SOCKET_BAD;
    }
    t->opened = true;
    return fd;
}

#if LIBCURL_VERSION_NUM >= 0x075000
/* OpenSSL's, in libcurl's process if that was built with it; else NULL. */
extern int SSL_has_pending(const void *ssl) __attribute__((weak));

/* libcurl from 8.15 lets OpenSSL read ahead: what a server wrote behind its answer
 * may have left the socket together with that, and wait for the next request. */
static bool is_buffered(CURL *easy)
{
    const struct curl_tlssessioninfo *tls = NULL;
    return SSL_has_pending != NULL &&
           curl_easy_getinfo(easy, CURLINFO_TLS_SSL_PTR, &tls) == CURLE_OK &&
           tls != NULL && tls->backend == CURLSSLBACKEND_OPENSSL &&
           tls->internals != NULL && SSL_has_pending(tls->internals);
}

static int on_request(void *arg, char *to, char *from, int to_port,
                      int from_port)
{
    kap_transfer *t = arg;
    (void)to, (void)from, (void)to_port;
    t->port = from_port;
    if (!t->opened &&
        kap_sockets_readable(t->sockets, from_port, is_buffered(t->easy))) {
        t->unsent = true;
        return CURL_PREREQFUNC_ABORT;
    }
    t->leads = t->opened;
    t->opened = false; /* should libcurl send it again on another */
    t->sent++;
    return CURL_PREREQFUNC_OK;
}
#endif

#define SET(option, value)                                      \
    do {                                                        \
        CURLcode rc_ = curl_easy_setopt(easy, option, (value)); \
        if (rc_ != CURLE_OK)                                    \
            return rc_;                                         \
    } while (0)

static CURLcode set_tls(CURL *easy, const kap_settings *s, const char *ca_file,
                        const kap_shared *shared)
{
    SET(CURLOPT_SSL_VERIFYPEER, s->verify ? 1L : 0L);
    SET(CURLOPT_SSL_VERIFYHOST, s->verify ? 2L : 0L);
    if (ca_file != NULL)
        SET(CURLOPT_CAINFO, ca_file);
    if (s->ca_path != NULL)
        SET(CURLOPT_CAPATH, s->ca_path);
    else if (ca_file != NULL || shared->ca_file)
        /* With a directory set, libcurl can't cache the parsed CA file and
         * parses it anew, 20 ms, for each connection. */
        SET(CURLOPT_CAPATH, (char *)NULL);
    if (s->cert != NULL)
        SET(CURLOPT_SSLCERT, s->cert);
    if (s->key != NULL)
        SET(CURLOPT_SSLKEY, s->key);
    return CURLE_OK;
}

static CURLcode set_proxy(CURL *easy, const kap_settings *s, bool secure)
{
    if (s->proxy != NULL)
        SET(CURLOPT_PROXY, s->proxy);
    else if (!secure)
        /* Plain http is for loopback: a proxy from the environment would be
         * sent the token in the clear. */
        SET(CURLOPT_PROXY, "");
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
    return CURLE_OK;
}

/* What stays the same for every request with these settings. */
static CURLcode set_fixed(CURL *easy, const kap_settings *s,
                          const kap_message *m, const kap_shared *shared)
{
    const bool secure = m->secure;
    CURLcode rc;
#if LIBCURL_VERSION_NUM >= 0x075500
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
#else
    SET(CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    SET(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    /* else cancel, close and timeouts wait for a slow getaddrinfo */
    SET(CURLOPT_QUICK_EXIT, 1L);
#endif
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    /* To share a connection is worth the wait for its handshake. Without one,
     * libcurl would wait for the first answer, and for ever on a connection
     * whose first request failed for want of memory. */
    SET(CURLOPT_PIPEWAIT, secure ? 1L : 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_ACCEPT_ENCODING, s->compression ? "" : (char *)NULL);
    SET(CURLOPT_WRITEFUNCTION, on_body);
#if LIBCURL_VERSION_NUM >= 0x075000
    SET(CURLOPT_PREREQFUNCTION, on_request);
#endif
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open);
    SET(CURLOPT_CLOSESOCKETFUNCTION, kap_sockets_close);
    if (s->max_response_bytes < (size_t)INT64_MAX)
        SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)s->max_response_bytes);
    rc = set_tls(easy, s, m->ca_file, shared);
    return rc != CURLE_OK ? rc : set_proxy(easy, s, secure);
}

/* To accept what libcurl can decode it has an option, too; but then it composes
 * that header twice for each request, byte by byte. */
static struct curl_slist *headers_of(kap_transfer *t, kap_shared *shared)
{
    struct curl_slist *headers = t->message->headers;
    if (t->post_len < EXPECT_BYTES)
        headers = headers->next;
    if (!t->settings->compression || shared->encodings[0] == '\0')
        return headers;
    t->headers.data = shared->encodings;
    t->headers.next = headers;
    return &t->headers;
}

static CURLcode set_request(kap_transfer *t, CURL *easy, kap_shared *shared)
{
    double now = kap_now(), left = t->deadline - now;
    double limit = t->settings->timeout;
    if (left < limit)
        limit = (left > 0 ? left : 0) + DEADLINE_MARGIN;
    t->expires = now + limit;
    SET(CURLOPT_CONNECTTIMEOUT_MS,
        kap_ms(t->settings->connect_timeout, TIMEOUT_MAX_MS));
    SET(CURLOPT_TIMEOUT_MS, isinf(limit) ? 0L : kap_ms(limit, TIMEOUT_MAX_MS));
    /* Over HTTP/2 libcurl keeps a connection on which requests time out. The
     * network may have changed under it, and nothing will ever come: until an
     * answer begins it is not one to keep. */
    SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_FRESH_CONNECT, t->fresh || t->http1 ? 1L : 0L);
    SET(CURLOPT_HTTP_VERSION,
        t->http1 ? (long)CURL_HTTP_VERSION_1_1 : (long)CURL_HTTP_VERSION_2TLS);
    /* libcurl (7.88) takes any connection to a host that speaks HTTP/2 for one to
     * share, this one as well, and answers would go to whoever did not ask. With
     * other TLS settings, though they mean the same, it is not the others'. */
    SET(CURLOPT_SSLVERSION,
        t->http1 ? (long)(CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_3)
                 : (long)CURL_SSLVERSION_TLSv1_2);
    /* From the parsed one, 7.88 would compose the text for each request. */
    SET(CURLOPT_URL, t->message->url);
    SET(CURLOPT_CURLU, t->message->parsed_url);
    SET(CURLOPT_HTTPHEADER, headers_of(t, shared));
    /* plain http goes through a proxy as it is, with its own headers */
    SET(CURLOPT_PROXYHEADER,
        t->message->secure ? t->message->proxy_headers : NULL);
    SET(CURLOPT_POSTFIELDS, t->post);
    SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->post_len);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_CLOSESOCKETDATA, t->sockets);
#if LIBCURL_VERSION_NUM >= 0x075000
    SET(CURLOPT_PREREQDATA, t);
#endif
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_ERRORBUFFER, t->error);
    SET(CURLOPT_PRIVATE, t);
    return CURLE_OK;
}

bool kap_transfer_prepare(kap_transfer *t, CURL *easy,
                          const kap_settings *served, kap_shared *shared)
{
    CURLcode rc = CURLE_OK;
    t->easy = easy;
    t->sockets = &shared->sockets;
    if (served != t->settings) {
        rc = set_fixed(easy, t->settings, t->message, shared);
        if (rc == CURLE_OK)
            rc = curl_easy_setopt(easy, CURLOPT_SHARE, shared->sessions);
    }
    if (rc == CURLE_OK)
        rc = set_request(t, easy, shared);
    if (rc == CURLE_OK)
        return true;
    t->code = rc;
    t->outcome =
        rc == CURLE_OUT_OF_MEMORY ? KAP_OUTCOME_NOMEM : KAP_OUTCOME_FAILED;
    return false;
}

void kap_transfer_extend(kap_transfer *t, double seconds)
{
    double connect = t->settings->connect_timeout;
    t->deadline += seconds;
    t->expires += seconds;
    t->extended += seconds;
    /* libcurl takes a new limit, but does not wake up for it: from now on the
     * engine sees to it. With a handle that refuses, the old limits stay. */
    if (curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, 0L) == CURLE_OK)
        curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS,
                         kap_ms(connect + t->extended, TIMEOUT_MAX_MS));
}
