/*
 * One HTTP request and its response, on a libcurl easy handle. transfer_setup.c
 * sets it up, transfer_failure.c says what a failure was. Knows no Lua, and
 * nothing of batches; when a transfer runs is for engine.h to say.
 */
#ifndef KAP_TRANSFER_H
#define KAP_TRANSFER_H

#include "base/list.h"
#include "config/message.h"
#include "config/settings.h"
#include "net/retry_after.h"
#include "net/sockets.h"

#include <curl/curl.h>

/* libcurl keeps all headers in memory. Newer versions have a limit of their own
 * and report a failed read; this one is lower, so that it is met first. */
#define KAP_HEADER_BYTES_MAX ((size_t)256 << 10)

typedef enum {
    KAP_OUTCOME_PENDING,
    KAP_OUTCOME_RESPONSE, /* status and body; the body may be what could be
                            * read of it, where the status tells enough */
    KAP_OUTCOME_FAILED,   /* libcurl's code and words */
    KAP_OUTCOME_PAUSED, /* not sent: the service's pause passes the deadline */
    KAP_OUTCOME_DEADLINE,  /* the call's time ran out, before or during it */
    KAP_OUTCOME_TOO_LARGE, /* over max_response_bytes */
    KAP_OUTCOME_HEADERS,   /* more header bytes than any honest server sends */
    KAP_OUTCOME_NOMEM
} kap_outcome;

struct kap_lane;

/* What all transfers of an engine have in common. */
typedef struct kap_shared {
    CURLSH *sessions; /* of TLS */
    kap_sockets sockets;
    bool ca_file;       /* libcurl knows the system's authorities as one file */
    char encodings[64]; /* a header: what libcurl can decode; "": nothing */
} kap_shared;

typedef struct kap_transfer {
    kap_link link; /* in whichever list of the engine's it is */
    struct kap_lane *lane;
    void *owner; /* the host side's: its batch */

    kap_message *message;
    kap_settings *settings;
    char *post;
    size_t post_len;
    /* on kap_now's clock; in a lane paced by its caller, one without a deadline
     * gets its settings' when it starts */
    double not_before, deadline;
    bool fresh; /* on a new connection: those that were kept may be dead */
    bool http1; /* on a new connection, without HTTP/2 */

    /* the engine's, while it has the transfer */
    CURL *easy;
    struct curl_slist headers; /* the engine's own, and then the message's */
    kap_sockets *sockets;
    int port;    /* of its connection's own end, 0: not known */
    bool opened; /* its connection is new */
    bool
        unsent; /* its connection was kept and had something to read, so nothing
                  * was sent on it */
    atomic_bool cancelled; /* set under the engine's lock */
    bool awaits_verdict;   /* see kap_lane_await_verdict */
    bool faulty;           /* a failure was found among its tickets */
    double submitted;      /* to the engine */
    double began;          /* valid once it has started */
    double expires;        /* where it was extended, the engine watches this */
    double extended;       /* seconds that do not count */
    atomic_bool started;   /* its request has gone out, or is about to */
    bool leads; /* has just gone out on a new connection, which other transfers
                 * may wait to share */

    /* the result, once it is done */
    kap_outcome outcome;
    CURLcode code;
    long status, new_connections;
    long tunnel;   /* the proxy's own answer, 0 without one */
    int unread;    /* unread on its connection: see kap_sockets */
    unsigned sent; /* libcurl sends again what a stale connection swallowed */
    bool http2, html;
    bool headers_complete;
    bool framed;                 /* they say where the body ends */
    bool closed_after_handshake; /* and before the request went out */
    double elapsed;
    char *body;
    size_t len, cap, header_bytes;
    kap_retry_after retry_after;
    const char *encoding; /* the body's: its name, one of those that libcurl
                           * knows; "" for another, NULL for none */
    /* the service wants less: see pace.h */
    bool pushed_back;
    bool lengthens_pause; /* ...or begins a pause */
    bool others_succeed;  /* one has, since this one was submitted */
    double pause;         /* seconds for which nothing of the client starts */
    char error[CURL_ERROR_SIZE];
} kap_transfer;

static inline bool kap_transfer_is_cancelled(const kap_transfer *t)
{
    return atomic_load_explicit(&t->cancelled, memory_order_relaxed);
}

static inline bool kap_transfer_has_started(const kap_transfer *t)
{
    return atomic_load_explicit(&t->started, memory_order_acquire);
}

/* Takes over `post`, also when it fails (NULL: no memory). */
kap_transfer *kap_transfer_new(kap_message *m, kap_settings *s, char *post,
                               size_t post_len);
void kap_transfer_free(kap_transfer *t);

/* Of a list of transfers; NULL: it is empty. */
static inline kap_transfer *kap_transfer_first(const kap_list *l)
{
    return KAP_ITEM(l->first, kap_transfer, link);
}
static inline kap_transfer *kap_transfer_shift(kap_list *l)
{
    return KAP_ITEM(kap_list_shift(l), kap_transfer, link);
}

/*
 * Sets `easy` up for it. A handle that served the same settings before keeps
 * what it has; another is as new (served is NULL). False: t->outcome says why
 * (a libcurl option refused, memory).
 */
bool kap_transfer_prepare(kap_transfer *t, CURL *easy,
                          const kap_settings *served, kap_shared *shared);
/* Undoes what has happened to it since it was started: it goes out anew. */
void kap_transfer_rewind(kap_transfer *t);
/* Gives a running transfer so many seconds more. */
void kap_transfer_extend(kap_transfer *t, double seconds);
/* Reads the result off t->easy after libcurl said it is done. */
void kap_transfer_finish(kap_transfer *t, CURLcode code);

/* Whether the response, which is not yet decoded, may say that the token is
 * refused. Any may, but a list that begins and ends with a ticket. */
bool kap_transfer_may_refuse(const kap_transfer *t);
/* Whether the service's words for a refused token stand anywhere in the body.
 * It may be in the text of a ticket: response.c finds out what they mean. */
bool kap_transfer_names_refusal(const kap_transfer *t);

/* Whether a failure of this status passes, so that another attempt may succeed:
 * HTTP's own of that kind, and those of gateways that did not reach the
 * service. */
bool kap_transfer_passes(long status);

/* The failure that an outcome other than a response stands for. */
void kap_transfer_failure(const kap_transfer *t, kap_failure *f);

#endif
