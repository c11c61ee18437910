#include "lua/refusal.h"

#include "base/ascii.h"
#include "base/secret.h"

#include <curl/curl.h>
#include <string.h>

/* Names and words that decide the kind whatever the HTTP status is; all are
 * the vendor's. Looked for in the beginning of what is no list of tickets. */
static const struct {
    const char *words;
    kap_kind kind;
} telling[] = {
    {"Invalid Auth Key", KAP_KIND_AUTH},
    {"AuthKeyInvalid", KAP_KIND_AUTH},
    {"APIExpired", KAP_KIND_AUTH},
    {"ServerFailure", KAP_KIND_SERVER},
    {"ReqFieldMissing", KAP_KIND_BAD_REQUEST},
    {"does not exist", KAP_KIND_NOT_FOUND},
};
#define TELLING_WINDOW 4096

static bool contains(const char *text, size_t len, const char *words)
{
    size_t n = strlen(words);
    for (size_t i = 0; i + n <= len; i++)
        if (curl_strnequal(text + i, words, n))
            return true;
    return false;
}

static kap_kind kind_by_status(long status)
{
    switch (status) {
    case 401: return KAP_KIND_AUTH;
    case 403: return KAP_KIND_FORBIDDEN;
    case 404: return KAP_KIND_NOT_FOUND;
    case 429: return KAP_KIND_RATE_LIMITED;
    default:
        if (status >= 500)
            return KAP_KIND_SERVER;
        if (status >= 400)
            return KAP_KIND_BAD_REQUEST;
        return KAP_KIND_PROTOCOL;
    }
}

/* The words in it that decide it; NULL: none. */
static const char *kind_by_words(const kap_transfer *t, kap_piece of,
                                 kap_kind *kind)
{
    size_t n = of.len < TELLING_WINDOW ? of.len : TELLING_WINDOW;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        /* a gateway's words don't turn one error status into another, but
         * a refused token is one under any status */
        if (t->status >= 400 && telling[i].kind != KAP_KIND_AUTH)
            continue;
        if (contains(of.text, n, telling[i].words)) {
            *kind = telling[i].kind;
            return telling[i].words;
        }
    }
    return NULL;
}

bool kap_refusal_of_token(const kap_transfer *t, kap_piece of)
{
    kap_kind kind;
    return kind_by_words(t, of, &kind) != NULL && kind == KAP_KIND_AUTH;
}

/* Quotes the beginning of a body. */
static void quote(const char *text, size_t len, const kap_transfer *t,
                  kap_failure *f)
{
    char head[KAP_REFUSAL_HEAD];
    size_t n = len < sizeof head ? len : sizeof head;
    memcpy(head, text, n);
    n = kap_secret_redact(head, n, t->message->token,
                          t->len > n || t->outcome != KAP_OUTCOME_RESPONSE ||
                              t->code != CURLE_OK);
    f->body_len = n < KAP_BODY_MAX ? n : KAP_BODY_MAX;
    memcpy(f->body, head, f->body_len);
    kap_secret_wipe(head, sizeof head);
}

void kap_refusal_quote(const kap_transfer *t, kap_failure *f)
{
    if (t->len > 0)
        quote(t->body, t->len, t, f);
}

/* Whether what was JSON so far ends in the middle: within a word, a number or an
 * escape, where the decoder may point to its beginning, or between two tokens. */
static bool breaks_off(const kap_scan *s, kap_piece head)
{
    static const char before[] = {' ',    '\t',   '\r',  '\n',
                                  '\xef', '\xbb', '\xbf'};
    static const char within[] = {'.', '+', '-', '\\'};
    const char *p = s->p, *first = head.text, *end = head.text + head.len;
    while (first < end && memchr(before, *first, sizeof before) != NULL)
        first++;
    if (s->status != KAP_SCAN_SYNTAX || first == end ||
        (*first != '{' && *first != '['))
        return false;
    while (p < s->end && (kap_is_letter(*p) || kap_is_digit(*p) ||
                          memchr(within, *p, sizeof within) != NULL))
        p++;
    return p >= s->end;
}

/* A body of which nothing but the connection's end told the length, and that is
 * too short; or else something that is no answer of the service at all. Both may
 * be otherwise the next time. */
static void describe_end(const kap_scan *s, kap_piece head,
                         const kap_transfer *t, kap_failure *f)
{
    if (f->kind != KAP_KIND_PROTOCOL || !breaks_off(s, head))
        return;
    f->retryable = true;
    if (!t->framed)
        kap_failure_set(f, KAP_KIND_NETWORK,
                        "the connection was closed within the response: %s",
                        s->error);
}

void kap_refusal_describe(const kap_scan *s, kap_piece head,
                          const kap_transfer *t, kap_failure *f)
{
    describe_end(s, head, t, f);
    f->status = (int)t->status;
    quote(head.text, head.len, t, f);
}

static const char *reason(long status)
{
    switch (status) {
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 429: return "Too Many Requests";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "";
    }
}

/* The first string in the value, which may be a list or an object of such: it
 * has been skipped over already. NULL: there is none. */
static char *words_in(kap_scan *s, char *value)
{
    kap_envelope inner;
    if (value != NULL && *value == '[') {
        s->p = value;
        kap_scan_take(s);
        value = kap_scan_peek(s) < 0 ? NULL : s->p;
    }
    if (value != NULL && *value == '{') {
        s->p = value;
        value = NULL;
        if (kap_envelope_read(s, &inner))
            value = inner.message != NULL ? inner.message : inner.words;
    }
    return value != NULL && *value == '"' ? value : NULL;
}

/* Copies a JSON string value's text as the message: one line, fit for a log.
 * False: it has none. */
static bool message_from(lua_State *L, kap_decode *d, const kap_transfer *t,
                         char *value, kap_failure *f)
{
    size_t len, n = 0;
    const char *s;
    value = words_in(&d->scan, value);
    if (value == NULL)
        return false;
    d->scan.p = value;
    if (!kapL_decode_value(L, d))
        return false;
    s = lua_tolstring(L, -1, &len);
    bool cut = s != NULL && len >= sizeof f->message;
    if (cut) {
        len = sizeof f->message - 1;
        while (len > 0 && ((unsigned char)s[len] & 0xc0) == 0x80)
            len--; /* not in the middle of a character */
    }
    for (size_t i = 0; s != NULL && i < len; i++) {
        char c = kap_is_control(s[i]) ? ' ' : s[i];
        if (c != ' ' || n > 0)
            f->message[n++] = c;
    }
    lua_pop(L, 1);
    n = kap_secret_redact(f->message, n, t->message->token, cut);
    while (n > 0 && f->message[n - 1] == ' ')
        n--;
    f->message[n] = '\0';
    return n > 0;
}

void kapL_refusal(lua_State *L, kap_decode *d, const kap_transfer *t,
                  kap_piece of, const kap_envelope *e, kap_failure *f)
{
    kap_kind kind = kind_by_status(t->status);
    if (t->status < 400)
        kind = KAP_KIND_BAD_REQUEST;
    const char *said = kind_by_words(t, of, &kind);
    f->kind = kind;
    f->retryable =
        kind != KAP_KIND_AUTH && (kap_transfer_passes(t->status) ||
                                  (kind == KAP_KIND_SERVER && t->status < 400));
    if (e == NULL || (!message_from(L, d, t, e->message, f) &&
                      !message_from(L, d, t, e->words, f))) {
        const char *words = said != NULL ? said : reason(t->status);
        kap_failure_set(f, kind, "HTTP %ld%s%s", t->status,
                        *words != '\0' ? " " : "", words);
    }
}

void kap_refusal_not_json(const kap_scan *s, kap_failure *f)
{
    if (s->status == KAP_SCAN_DEPTH)
        kap_failure_set(f, KAP_KIND_TOO_LARGE,
                        "the response is nested deeper than %d levels",
                        KAP_SCAN_MAX_DEPTH);
    else
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "the response is not valid JSON: %s", s->error);
}

void kap_refusal_unknown(kap_failure *f, const char *what)
{
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s", what);
}

void kap_refusal_no_answer(kap_failure *f, const char *what)
{
    f->retryable = true;
    kap_refusal_unknown(f, what);
}

void kapL_refusal_unexplained(lua_State *L, kap_decode *d,
                              const kap_transfer *t, const kap_envelope *e,
                              const char *what, kap_failure *f)
{
    char said[KAP_MESSAGE_MAX];
    if (e == NULL || (!message_from(L, d, t, e->message, f) &&
                      !message_from(L, d, t, e->words, f))) {
        kap_refusal_unknown(f, what);
        return;
    }
    memcpy(said, f->message, sizeof said);
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s: %.200s", what, said);
}
