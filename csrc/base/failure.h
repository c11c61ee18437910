/*
 * The kinds of failure of the public contract, as a table, and what a failed
 * request carries. Knows nothing of how a failure comes about.
 */
#ifndef KAP_FAILURE_H
#define KAP_FAILURE_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    KAP_KIND_NONE,
    KAP_KIND_CONFIG,
    KAP_KIND_INVALID_IDS,
    KAP_KIND_AUTH,
    KAP_KIND_FORBIDDEN,
    KAP_KIND_NOT_FOUND,
    KAP_KIND_BAD_REQUEST,
    KAP_KIND_RATE_LIMITED,
    KAP_KIND_SERVER,
    KAP_KIND_TIMEOUT,
    KAP_KIND_NETWORK,
    KAP_KIND_TLS,
    KAP_KIND_PROTOCOL,
    KAP_KIND_TOO_LARGE,
    KAP_KIND_CANCELLED,
    KAP_KIND_CLOSED,
    KAP_KIND_MISSING,
    KAP_KIND_NOMEM, /* never seen by a user: becomes Lua's own memory error */
    KAP_KIND_COUNT
} kap_kind;

#define KAP_MESSAGE_MAX 512
#define KAP_BODY_MAX 512

/* Why a request failed. Of fixed size, so that failing allocates nothing. */
typedef struct kap_failure {
    kap_kind kind;
    int status;         /* HTTP, 0: none */
    int attempts;       /* 0: nothing was sent */
    double retry_after; /* seconds, < 0: none given */
    bool retryable;
    bool deadline; /* no time is left for more */
    bool alone;    /* it is a failure of some of the request's ids, which are to
                    * be asked for again without the others, whatever the kind */
    size_t body_len;
    char message[KAP_MESSAGE_MAX];
    char body[KAP_BODY_MAX]; /* how the response began */
} kap_failure;

const char *kap_failure_name(kap_kind kind);
/* Whether sending another request of the call is pointless after this. */
bool kap_failure_ends_call(kap_kind kind);

/* Whether smaller batches may not share it: one id may be what spoils the JSON
 * around it, makes the service slow or the sum too large. */
bool kap_failure_isolates(const kap_failure *f);

void kap_failure_clear(kap_failure *f);
/* What `why`, met by another request, is to ids that were never sent: without
 * that one's answer. */
kap_failure kap_failure_unsent(const kap_failure *why);
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
void kap_failure_set(kap_failure *f, kap_kind kind, const char *fmt, ...);

#endif
