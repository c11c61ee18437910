#include "base/failure.h"

#include "base/ascii.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct kind_row {
    const char *name;
    bool ends_call;
    bool isolates;
    const char *doc; /* for people: see tools/types.lua */
} kind_row;

static const kind_row kinds[KAP_KIND_COUNT] = {
    [KAP_KIND_NONE] = {"none", false, false, "no failure"},
    [KAP_KIND_CONFIG] = {"config", true, false,
                         "token, account, base_url or a header is missing or "
                         "unusable; nothing was sent"},
    [KAP_KIND_INVALID_IDS] = {"invalid_ids", false, false,
                              "no ids, or a value that is no id; nothing was "
                              "sent"},
    [KAP_KIND_AUTH] = {"auth", true, false,
                       "the service refused the token, or it has expired"},
    [KAP_KIND_FORBIDDEN] = {"forbidden", false, false, "HTTP 403"},
    [KAP_KIND_NOT_FOUND] = {"not_found", false, true, "HTTP 404"},
    [KAP_KIND_BAD_REQUEST] = {"bad_request", false, true,
                              "HTTP 400 and other 4xx, or a body that says "
                              "\"failed\""},
    [KAP_KIND_RATE_LIMITED] = {"rate_limited", false, false, "HTTP 429"},
    [KAP_KIND_SERVER] = {"server", false, true, "HTTP 5xx"},
    [KAP_KIND_TIMEOUT] = {"timeout", false, true,
                          "connecting, an attempt or the whole call took too "
                          "long"},
    [KAP_KIND_NETWORK] = {"network", false, false,
                          "DNS, refused, reset, closed early, in the TLS "
                          "handshake as well; a body shorter than promised"},
    [KAP_KIND_TLS] = {"tls", false, false,
                      "certificate, protocol version, alert"},
    [KAP_KIND_PROTOCOL] = {"protocol", false, true,
                           "the answer, or what stands in it in place of a "
                           "ticket, is not what the service is documented to "
                           "send"},
    [KAP_KIND_TOO_LARGE] = {"too_large", false, true,
                            "a body over max_response_bytes, or nested over "
                            "1000 deep"},
    [KAP_KIND_CANCELLED] = {"cancelled", true, false,
                            "request:cancel() was called"},
    [KAP_KIND_CLOSED] = {"closed", true, false, "the client was closed"},
    [KAP_KIND_MISSING] = {"missing", false, false,
                          "in the iterator: the service does not know this "
                          "id"},
    [KAP_KIND_NOMEM] = {"nomem", false, false, "out of memory"},
};

const char *kap_failure_name(kap_kind kind)
{
    return kinds[kind].name;
}

bool kap_failure_ends_call(kap_kind kind)
{
    return kinds[kind].ends_call;
}

bool kap_failure_isolates(const kap_failure *f)
{
    return !f->deadline &&
           (f->alone ? !kinds[f->kind].ends_call : kinds[f->kind].isolates);
}

void kap_failure_clear(kap_failure *f)
{
    f->kind = KAP_KIND_NONE;
    f->status = 0;
    f->attempts = 0;
    f->retry_after = -1;
    f->retryable = false;
    f->deadline = f->alone = false;
    f->body_len = 0;
    f->message[0] = '\0';
}

kap_failure kap_failure_unsent(const kap_failure *why)
{
    kap_failure f = *why;
    f.status = 0;
    f.attempts = 0;
    f.body_len = 0;
    return f;
}

void kap_failure_set(kap_failure *f, kap_kind kind, const char *fmt, ...)
{
    va_list ap;
    f->kind = kind;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof f->message, fmt, ap);
    va_end(ap);
    /* one line, fit for a log: the words may be a Lua error's, or libcurl's */
    for (char *s = f->message; *s != '\0'; s++)
        if (kap_is_control(*s))
            *s = ' ';
}
