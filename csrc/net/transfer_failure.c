/* What failed, where no response came: libcurl's codes and words as ours. */
#include "net/transfer.h"

#include <string.h>

bool kap_transfer_passes(long status)
{
    switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
    case 520:
    case 521:
    case 522:
    case 523:
    case 524:
    case 529:
    case 530: return true;
    default: return false;
    }
}

/* A proxy that libcurl can't read: it quotes it, password and all. */
static const char unreadable_proxy[] = "Unsupported proxy";

static bool is_unreadable_proxy(const kap_transfer *t)
{
    return strncmp(t->error, unreadable_proxy, sizeof unreadable_proxy - 1) ==
           0;
}

/*
 * libcurl has one code for all that goes wrong in a TLS handshake. What the other
 * side said (an alert, another version) will be no better a second later; that
 * it went away without a word may be. Which it was only the words tell: libcurl's
 * own for a read or a write that failed; those that it has for OpenSSL and its kin
 * where these know of an end or a failed call only; OpenSSL's code for an end
 * that was not announced; and GnuTLS's for the same. An end within a record
 * GnuTLS calls a wrong one, so that has to be the last that came. And where the
 * connection was reset right behind being made, libcurl's first words, which it
 * keeps, are that it has no peer.
 */
static bool is_broken_handshake(const kap_transfer *t)
{
    static const char *const gone[] = {
        "Recv failure: ",
        "Send failure: ",
        "getpeername() failed",
        ":0A000126:",
        "unexpected eof",
        "non-properly terminated",
        "Peer has terminated the connection",
        "Error in the pull function",
        "Error in the push function",
    };
    const char *call = strstr(t->error, "SSL_connect: ");
    if (t->code != CURLE_SSL_CONNECT_ERROR)
        return false;
    if (call != NULL && strstr(call, " in connection to ") != NULL)
        return true;
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (strstr(t->error, gone[i]) != NULL)
            return true;
    return strstr(t->error, "Error decoding the received TLS packet") != NULL &&
           t->unread == 0;
}

/* What libcurl's decoders can't make sense of, some of which it calls a failed
 * write: our own callback says of itself why it fails. */
static bool is_undecodable(const kap_transfer *t)
{
    return t->code == CURLE_BAD_CONTENT_ENCODING ||
           (t->code == CURLE_WRITE_ERROR && t->encoding != NULL);
}

static kap_kind kind_of(const kap_transfer *t)
{
    if (is_unreadable_proxy(t))
        return KAP_KIND_CONFIG;
    if (is_broken_handshake(t))
        return KAP_KIND_NETWORK;
    if (is_undecodable(t))
        return KAP_KIND_PROTOCOL;
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
        if (t->closed_after_handshake)
            return KAP_KIND_TLS;
        /* 7.88: "... in chunked-encoding"; 8.14: "chunk hex-length char ..." */
        if (strstr(t->error, "chunk") != NULL)
            return KAP_KIND_PROTOCOL;
        /* TLS 1.3 servers refuse a client after its side of the handshake */
        return t->header_bytes == 0 && strstr(t->error, "alert") != NULL
                   ? KAP_KIND_TLS
                   : KAP_KIND_NETWORK;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is not HTTP */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP_RETURNED_ERROR: return KAP_KIND_PROTOCOL;
    case CURLE_BAD_FUNCTION_ARGUMENT: /* 8.23: a client's key as well */
        return strstr(t->error, "private key") != NULL ? KAP_KIND_TLS
                                                       : KAP_KIND_CONFIG;
    case CURLE_URL_MALFORMAT:
    case CURLE_NOT_BUILT_IN:
    case CURLE_UNKNOWN_OPTION: return KAP_KIND_CONFIG;
    default: return KAP_KIND_NETWORK;
    }
}

static void say_undecodable(const kap_transfer *t, kap_failure *f)
{
    const bool known = t->encoding != NULL && t->encoding[0] != '\0';
    /* of a failed write libcurl says that a disk may be full */
    const bool words =
        t->code == CURLE_BAD_CONTENT_ENCODING && t->error[0] != '\0';
    kap_failure_set(f, KAP_KIND_PROTOCOL,
                    "the response's body is not what its Content-Encoding%s%s "
                    "says: one whole stream and nothing behind it; "
                    "compression = false asks for none%s%s",
                    known ? " " : "", known ? t->encoding : "",
                    words ? ": " : "", words ? t->error : "");
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
    case KAP_OUTCOME_PAUSED:
        kap_failure_set(f, KAP_KIND_RATE_LIMITED,
                        "not sent: the service asked to be left alone for "
                        "%.3g s more, beyond the deadline",
                        t->pause);
        f->retry_after = t->pause;
        f->retryable = true;
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
        else if (is_broken_handshake(t))
            kap_failure_set(f, kind_of(t),
                            "the connection was closed within the TLS "
                            "handshake: %s",
                            t->error);
        else if (is_undecodable(t))
            say_undecodable(t, f);
        else if (t->closed_after_handshake)
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
        f->retryable =
            (f->kind == KAP_KIND_NETWORK &&
             (t->tunnel / 100 != 4 || kap_transfer_passes(t->tunnel))) ||
            f->kind == KAP_KIND_TIMEOUT;
    }
}
