#include "net/transfer.h"

#include "base/clock.h"
#include "base/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kap_transfer *kap_transfer_new(kap_message *m, kap_settings *s, char *post,
                               size_t post_len)
{
    kap_transfer *t = post != NULL ? calloc(1, sizeof *t) : NULL;
    if (t == NULL) {
        free(post);
        return NULL;
    }
    t->message = kap_message_ref(m);
    t->settings = kap_settings_ref(s);
    t->post = post;
    t->post_len = post_len;
    t->deadline = INFINITY;
    kap_retry_after_clear(&t->retry_after);
    atomic_init(&t->started, false);
    atomic_init(&t->cancelled, false);
    return t;
}

void kap_transfer_free(kap_transfer *t)
{
    if (t == NULL)
        return;
    kap_message_unref(t->message);
    kap_settings_unref(t->settings);
    free(t->post);
    /* whoever refuses a token may repeat it */
    if (t->body != NULL && (t->outcome != KAP_OUTCOME_RESPONSE || t->faulty ||
                            kap_transfer_may_refuse(t)))
        kap_secret_wipe(t->body, t->len);
    free(t->body);
    free(t);
}

/* CURLE_TOO_LARGE, which headers of libcurl before 8.6 do not have. */
#define TOO_LARGE 100

/* A header line longer than its buffer may grow is "out of memory" to libcurl
 * before 8.6: told apart by an answer that has begun, and by memory being there.
 */
static bool header_overflow(const kap_transfer *t)
{
    curl_off_t first_byte = 0;
    void *probe;
    if (t->len > 0 ||
        curl_easy_getinfo(t->easy, CURLINFO_STARTTRANSFER_TIME_T,
                          &first_byte) != CURLE_OK ||
        first_byte <= 0)
        return false;
    probe = malloc(KAP_HEADER_BYTES_MAX);
    free(probe);
    return probe != NULL;
}

/*
 * A server that misses a client's certificate says so after the client's side of
 * the handshake, and closes. Where that was seen before a byte of the request
 * was sent, the alert goes unread, and libcurl's words are of whichever system
 * call failed first: "getpeername() failed with errno 107". One that closes
 * without a word, because it is restarted say, leaves nothing to be read.
 */
static bool is_closed_after_handshake(const kap_transfer *t)
{
    curl_off_t handshake = 0;
    long sent = 0;
    curl_easy_getinfo(t->easy, CURLINFO_APPCONNECT_TIME_T, &handshake);
    curl_easy_getinfo(t->easy, CURLINFO_REQUEST_SIZE, &sent);
    return t->code == CURLE_SEND_ERROR && t->new_connections > 0 &&
           handshake > 0 && sent == 0 && t->unread > 0;
}

/* Of a response of 400 or more that is too long, breaks off or can't be decoded
 * the status is all that it takes: a refused token is refused. */
static bool is_told_by_status(const kap_transfer *t)
{
    return t->status >= 400 && t->status < 1000 &&
           (t->outcome == KAP_OUTCOME_FAILED ||
            t->outcome == KAP_OUTCOME_TOO_LARGE);
}

static kap_outcome outcome_of(kap_transfer *t)
{
    if ((int)t->code == TOO_LARGE)
        return KAP_OUTCOME_HEADERS;
    switch (t->code) {
    case CURLE_OK:
        if (t->headers_complete)
            return KAP_OUTCOME_RESPONSE;
        /* to libcurl, what was closed within the headers is an empty answer */
        t->code = CURLE_RECV_ERROR;
        snprintf(t->error, sizeof t->error,
                 "the connection was closed within the response's headers");
        return KAP_OUTCOME_FAILED;
    case CURLE_FILESIZE_EXCEEDED: return KAP_OUTCOME_TOO_LARGE;
    case CURLE_OUT_OF_MEMORY:
        return header_overflow(t) ? KAP_OUTCOME_HEADERS : KAP_OUTCOME_NOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        if (kap_now() >= t->deadline)
            return KAP_OUTCOME_DEADLINE;
        break;
    default: break;
    }
    return KAP_OUTCOME_FAILED;
}

void kap_transfer_finish(kap_transfer *t, CURLcode code)
{
    long version = 0;
    curl_off_t us = 0;
    t->code = code;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->status);
    curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &t->tunnel);
    curl_easy_getinfo(t->easy, CURLINFO_NUM_CONNECTS, &t->new_connections);
    curl_easy_getinfo(t->easy, CURLINFO_HTTP_VERSION, &version);
    curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME_T, &us);
    t->http2 = version >= CURL_HTTP_VERSION_2_0;
    t->elapsed = (double)us * 1e-6;
    t->unread = t->sockets->closed == t ? t->sockets->unread : -1;
    if (t->outcome == KAP_OUTCOME_PENDING) /* no callback ended it */
        t->outcome = outcome_of(t);
    t->closed_after_handshake =
        t->outcome == KAP_OUTCOME_FAILED && is_closed_after_handshake(t);
    if (is_told_by_status(t))
        t->outcome = KAP_OUTCOME_RESPONSE;
}

void kap_transfer_rewind(kap_transfer *t)
{
    t->unsent = false;
    t->outcome = KAP_OUTCOME_PENDING;
    t->code = CURLE_OK;
    t->error[0] = '\0';
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Whether [p, end) is a list whose first element begins as tickets do, with a member
 * that holds another, and whose last ends so. What refuses a token does not: it is
 * words. */
static bool looks_like_tickets(const char *p, const char *end)
{
    static const char open[] = "[{\"", close[] = "]}}";
    for (const char *c = open; *c != '\0'; c++) {
        while (p < end && is_blank(*p))
            p++;
        if (p == end || *p++ != *c)
            return false;
    }
    while (p < end && *p != '"')
        p++;
    p++;
    while (p < end && (is_blank(*p) || *p == ':'))
        p++;
    if (p >= end || *p != '{')
        return false;
    for (const char *c = close; *c != '\0'; c++) {
        while (end > p && is_blank(end[-1]))
            end--;
        if (end == p || *--end != *c)
            return false;
    }
    return true;
}

bool kap_transfer_may_refuse(const kap_transfer *t)
{
    if (t->outcome != KAP_OUTCOME_RESPONSE)
        return false;
    return t->status >= 400 || t->len == 0 ||
           !looks_like_tickets(t->body, t->body + t->len);
}

bool kap_transfer_names_refusal(const kap_transfer *t)
{
    /* a rare letter in each: memchr is far quicker than any other search */
    static const struct {
        const char *words;
        char letter;
        size_t at;
    } names[] = {{"Auth Key", 'K', 5},
                 {"AuthKey", 'K', 4},
                 {"APIExpired", 'x', 4}};
    if (t->outcome != KAP_OUTCOME_RESPONSE || t->len == 0)
        return false;
    const char *end = t->body + t->len;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i].words), at = names[i].at;
        const char *p = t->body;
        while ((p = memchr(p, names[i].letter, (size_t)(end - p))) != NULL) {
            if ((size_t)(p - t->body) >= at && (size_t)(end - p) >= n - at &&
                memcmp(p - at, names[i].words, n) == 0)
                return true;
            p++;
        }
    }
    return false;
}
