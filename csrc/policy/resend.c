#include "policy/resend.h"

#include <curl/curl.h>

/* A batch is sent again for its connection so often, the last time on a new
 * one: a whole pool of kept connections may have died. */
#define STALE_MAX 2

/* The response came on a kept connection of HTTP/1, where nothing but the order
 * says which request a response is for. */
static bool is_unsure(const kap_transfer *t)
{
    return t->outcome == KAP_OUTCOME_RESPONSE && t->new_connections == 0 &&
           !t->http2;
}

/* A server sends a 408 before it closes a connection at rest. libcurl takes
 * that as the response to the request that went out at the same moment. Over
 * HTTP/2 a 408 belongs to its stream. */
static bool is_parting_408(const kap_transfer *t)
{
    return is_unsure(t) && t->status == 408;
}

/* Other bytes came in the place of a response, such as a line end that was left
 * over from the response before. */
static bool is_noise(const kap_transfer *t)
{
    return t->outcome == KAP_OUTCOME_FAILED && t->status == 0 && !t->http2 &&
           t->new_connections == 0 &&
           (t->code == CURLE_UNSUPPORTED_PROTOCOL ||
            t->code == CURLE_WEIRD_SERVER_REPLY);
}

/* The server closed a kept connection while the request was on its way, and
 * nothing of a response has come. For HTTP/2, libcurl 7.88 reports this as a
 * partial file. And where one stream can't be written to, libcurl 8.14 reads
 * none of the connection's other streams to their end, though their responses
 * are there. */
static bool is_stale(const kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (t->outcome == KAP_OUTCOME_FAILED && t->http2 && t->headers_complete &&
        t->code == CURLE_SEND_ERROR)
        return true;
    return t->outcome == KAP_OUTCOME_FAILED &&
           b->failure.kind == KAP_KIND_NETWORK && t->new_connections == 0 &&
           t->status == 0 && t->header_bytes == 0 && t->len == 0 &&
           (t->code == CURLE_SEND_ERROR || t->code == CURLE_RECV_ERROR ||
            t->code == CURLE_GOT_NOTHING || t->code == CURLE_PARTIAL_FILE);
}

/* A server that answers before it has read the request, with a 413 for example,
 * resets the HTTP/2 stream behind its response. libcurl 7.88 reports only the
 * reset when it sees both at once. Over HTTP/1.1 the response comes. */
static bool is_swallowed(const kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    return t->outcome == KAP_OUTCOME_FAILED && !b->http1 && t->status == 0 &&
           t->header_bytes == 0 && t->len == 0 &&
           (t->code == CURLE_HTTP2_STREAM || t->code == CURLE_HTTP2);
}

static void resend(kap_batch *b)
{
    b->attempts--;
    kap_batch_again(b, 0);
}

bool kap_resend_failed(const kap_call *c, kap_batch *b)
{
    const kap_transfer *t = b->transfer;
    if (c->stop.kind != KAP_KIND_NONE)
        return false;
    if (b->stale < STALE_MAX &&
        (is_parting_408(t) || is_noise(t) || is_stale(b))) {
        b->stale++;
        b->fresh = b->stale == STALE_MAX || !is_stale(b);
    } else if (is_swallowed(b)) {
        b->http1 = true;
    } else {
        return false;
    }
    resend(b);
    return true;
}

bool kap_resend_disowned(const kap_call *c, kap_batch *b)
{
    if (!is_unsure(b->transfer) || b->stale == STALE_MAX || b->canary ||
        c->stop.kind != KAP_KIND_NONE)
        return false;
    b->stale++;
    b->fresh = true;
    kap_failure_clear(&b->failure);
    resend(b);
    return true;
}
