#include "kind.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct kind_row {
    const char *name;
    bool ends_call;
    const char *doc;
} kind_row;

static const kind_row kinds[KAP_KIND_COUNT] = {
    [KAP_KIND_NONE] = {"none", false, "no failure"},
    [KAP_KIND_CONFIG] = {"config", true,
                         "token, subdomain, base_url or a header is missing or "
                         "not usable; nothing was sent"},
    [KAP_KIND_INVALID_IDS] = {"invalid_ids", false,
                              "no ids, or a value that is no id; nothing was "
                              "sent"},
    [KAP_KIND_AUTH] = {"auth", true,
                       "the service refused the token, or it has expired"},
    [KAP_KIND_FORBIDDEN] = {"forbidden", false, "HTTP 403"},
    [KAP_KIND_NOT_FOUND] = {"not_found", false, "HTTP 404"},
    [KAP_KIND_BAD_REQUEST] = {"bad_request", false,
                              "HTTP 400 and other 4xx, or a body that says "
                              "\"failed\""},
    [KAP_KIND_RATE_LIMITED] = {"rate_limited", false, "HTTP 429"},
    [KAP_KIND_SERVER] = {"server", false, "HTTP 5xx"},
    [KAP_KIND_TIMEOUT] = {"timeout", false,
                          "connecting, an attempt or the whole call took too "
                          "long"},
    [KAP_KIND_NETWORK] = {"network", false,
                          "DNS, refused, reset, closed early, a body shorter "
                          "than promised"},
    [KAP_KIND_TLS] = {"tls", false, "certificate or handshake"},
    [KAP_KIND_PROTOCOL] = {"protocol", false,
                           "the answer is not what the service is documented "
                           "to send"},
    [KAP_KIND_TOO_LARGE] = {"too_large", false,
                            "a body over max_response_bytes, or nested over "
                            "1000 deep"},
    [KAP_KIND_CANCELLED] = {"cancelled", true, "request:cancel() was called"},
    [KAP_KIND_CLOSED] = {"closed", true, "the client was closed"},
    [KAP_KIND_MISSING] = {"missing", false,
                          "in the iterator: the service does not know this "
                          "id"},
    [KAP_KIND_NOMEM] = {"nomem", false, "out of memory"},
};

const char *kap_kind_name(kap_kind kind)
{
    return kinds[kind].name;
}

const char *kap_kind_doc(kap_kind kind)
{
    return kinds[kind].doc;
}

bool kap_kind_ends_call(kap_kind kind)
{
    return kinds[kind].ends_call;
}

void kap_failure_clear(kap_failure *f)
{
    f->kind = KAP_KIND_NONE;
    f->status = 0;
    f->attempts = 0;
    f->retry_after = -1;
    f->retryable = false;
    f->deadline = false;
    f->body_len = 0;
    f->message[0] = '\0';
}

void kap_failure_set(kap_failure *f, kap_kind kind, const char *fmt, ...)
{
    va_list ap;
    f->kind = kind;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof f->message, fmt, ap);
    va_end(ap);
}

/* Length of `secret` as it stands at text, or 0 where it does not. */
static size_t match(const char *text, size_t len, const char *secret)
{
    size_t i = 0;
    for (; *secret != '\0'; secret++) {
        if (*secret == '/' && i + 1 < len && text[i] == '\\' &&
            text[i + 1] == '/')
            i++;
        if (i >= len || text[i] != *secret)
            return 0;
        i++;
    }
    return i;
}

size_t kap_redact(char *text, size_t len, const char *secret)
{
    static const char stars[] = "***";
    if (secret == NULL || *secret == '\0')
        return len;
    size_t out = 0, in = 0;
    while (in < len) {
        size_t hit = text[in] == *secret || text[in] == '\\'
                         ? match(text + in, len - in, secret)
                         : 0;
        if (hit == 0) {
            text[out++] = text[in++];
            continue;
        }
        in += hit;
        for (const char *s = stars; *s != '\0' && out < in; s++)
            text[out++] = *s;
    }
    return out;
}
