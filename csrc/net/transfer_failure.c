/* What failed, where no response came: libcurl's codes and words as ours. */
#include "net/transfer.h"

#include <string.h>

/* A proxy that libcurl can't read: it quotes it, password and all. */
static const char unreadable_proxy[] = "Unsupported proxy";

static bool is_unreadable_proxy(const kap_transfer *t)
{
    return strncmp(t->error, unreadable_proxy, sizeof unreadable_proxy - 1) ==
           0;
}

static kap_kind kind_of(const kap_transfer *t)
{
    if (is_unreadable_proxy(t))
        return KAP_KIND_CONFIG;
    switch (t->code) {
    case CURLE_OPERATION_TIMEDOUT: return KAP_KIND_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_CLIENTCERT:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_SHUTDOWN_FAILED:
    case CURLE_USE_SSL_FAILED: return KAP_KIND_TLS;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: /* what has no code of its own */
        if (t->turned_away)
            return KAP_KIND_TLS;
        if (strstr(t->error, "chunked-encoding") != NULL)
            return KAP_KIND_PROTOCOL;
        /* TLS 1.3 servers refuse a client after its side of the handshake */
        return t->header_bytes == 0 && strstr(t->error, "alert") != NULL
                   ? KAP_KIND_TLS
                   : KAP_KIND_NETWORK;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is not HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP_RETURNED_ERROR: return KAP_KIND_PROTOCOL;
    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_BAD_FUNCTION_ARGUMENT: return KAP_KIND_CONFIG;
    default: return KAP_KIND_NETWORK;
    }
}

void kap_transfer_failure(const kap_transfer *t, kap_failure *f)
{
    kap_failure_clear(f);
    f->status = t->status > 0 && t->status < 1000 ? (int)t->status : 0;
    switch (t->outcome) {
    case KAP_OUTCOME_DEADLINE:
        kap_failure_set(f, KAP_KIND_TIMEOUT, "the deadline of %g s has passed",
                        t->settings->deadline);
        f->deadline = true;
        break;
    case KAP_OUTCOME_TOO_LARGE:
        kap_failure_set(f, KAP_KIND_TOO_LARGE,
                        "the response is larger than max_response_bytes "
                        "(%zu)",
                        t->settings->max_response_bytes);
        break;
    case KAP_OUTCOME_HEADERS:
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "the response's headers are too long");
        break;
    case KAP_OUTCOME_NOMEM:
        kap_failure_set(f, KAP_KIND_NOMEM, "not enough memory");
        break;
    default:
        if (is_unreadable_proxy(t))
            kap_failure_set(f, kind_of(t),
                            "proxy: the option's or the environment's value "
                            "is no http or socks proxy");
        else if (t->tunnel >= 400)
            kap_failure_set(f, kind_of(t), "the proxy answered with %ld%s",
                            t->tunnel,
                            t->tunnel == 407 || t->tunnel == 401
                                ? ": it wants a name and a "
                                  "password, or other ones"
                                : "");
        else if (t->turned_away)
            kap_failure_set(f, kind_of(t),
                            "the connection was closed right after the TLS "
                            "handshake: the server may %s",
                            t->settings->cert == NULL
                                ? "want a client's certificate (cert, key)"
                                : "not accept the client's certificate");
        else
            kap_failure_set(f, kind_of(t), "%s",
                            t->error[0] != '\0' ? t->error
                                                : curl_easy_strerror(t->code));
        f->retryable = (f->kind == KAP_KIND_NETWORK && t->tunnel / 100 != 4) ||
                       f->kind == KAP_KIND_TIMEOUT;
    }
}
