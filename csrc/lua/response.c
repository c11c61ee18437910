#include "lua/response.h"

#include "base/ascii.h"
#include "base/clock.h"
#include "lua/envelope.h"

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

/* The words that decide it; NULL: none. */
static const char *kind_by_words(const kap_transfer *t, kap_kind *kind)
{
    size_t n = t->len < TELLING_WINDOW ? t->len : TELLING_WINDOW;
    for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
        /* a gateway's words don't turn one error status into another, but
         * a refused token is one under any status */
        if (t->status >= 400 && telling[i].kind != KAP_KIND_AUTH)
            continue;
        if (contains(t->body, n, telling[i].words)) {
            *kind = telling[i].kind;
            return telling[i].words;
        }
    }
    return NULL;
}

/* Quotes the beginning of a body. */
static void quote(const char *text, size_t len, const kap_transfer *t,
                  kap_failure *f)
{
    char head[KAP_RESPONSE_HEAD];
    size_t n = len < sizeof head ? len : sizeof head;
    memcpy(head, text, n);
    n = kap_redact(head, n, t->message->token,
                   t->len > n || t->outcome != KAP_OUTCOME_RESPONSE ||
                       t->code != CURLE_OK);
    f->body_len = n < KAP_BODY_MAX ? n : KAP_BODY_MAX;
    memcpy(f->body, head, f->body_len);
    kap_wipe(head, sizeof head);
}

void kap_response_quote(const kap_transfer *t, kap_failure *f)
{
    if (t->len > 0)
        quote(t->body, t->len, t, f);
}

/* Whether what was JSON so far ends in the middle: within a word, a number or an
 * escape, where the decoder may point to its beginning, or between two tokens. */
static bool breaks_off(const kap_response *r)
{
    const char *p = r->decode.p, *first = r->head, *end = r->head + r->head_len;
    while (first < end && memchr(" \t\r\n\xef\xbb\xbf", *first, 7) != NULL)
        first++;
    if (r->decode.status != KAP_JSON_SYNTAX || first == end ||
        (*first != '{' && *first != '['))
        return false;
    while (p < r->decode.end && (kap_is_letter(*p) || kap_is_digit(*p) ||
                                 memchr(".+-\\", *p, 4) != NULL))
        p++;
    return p >= r->decode.end;
}

/* A body of which nothing but the connection's end told the length, and that is
 * too short; or else something that is no answer of the service at all. Both may
 * be otherwise the next time. */
static void describe_end(const kap_response *r, const kap_transfer *t,
                         kap_failure *f)
{
    if (f->kind != KAP_KIND_PROTOCOL || !breaks_off(r))
        return;
    f->retryable = true;
    if (!t->framed)
        kap_failure_set(f, KAP_KIND_NETWORK,
                        "the connection was closed within the response: %s",
                        r->decode.error);
}

/* Everything about a failure but its message. */
static void describe(const kap_response *r, const kap_transfer *t,
                     kap_failure *f)
{
    describe_end(r, t, f);
    f->status = (int)t->status;
    quote(r->head, r->head_len, t, f);
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
static char *words_in(kap_response *r, char *value)
{
    kap_envelope inner;
    kap_decode *d = &r->decode;
    if (value != NULL && *value == '[') {
        d->p = value;
        kap_decode_take(d);
        value = kap_decode_peek(d) < 0 ? NULL : d->p;
    }
    if (value != NULL && *value == '{') {
        d->p = value;
        value = NULL;
        if (kap_envelope_read(d, &inner))
            value = inner.message != NULL ? inner.message : inner.words;
    }
    return value != NULL && *value == '"' ? value : NULL;
}

/* Copies a JSON string value's text as the message: one line, fit for a log.
 * False: it has none. */
static bool message_from(lua_State *L, kap_response *r, const kap_transfer *t,
                         char *value, kap_failure *f)
{
    size_t len, n = 0;
    const char *s;
    value = words_in(r, value);
    if (value == NULL)
        return false;
    r->decode.p = value;
    if (!kapL_decode_value(L, &r->decode))
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
    n = kap_redact(f->message, n, t->message->token, cut);
    while (n > 0 && f->message[n - 1] == ' ')
        n--;
    f->message[n] = '\0';
    return n > 0;
}

/* A failure by status or by a "failed" envelope, with the service's words. */
static kap_response_result refuse(lua_State *L, kap_response *r,
                                  const kap_transfer *t, kap_envelope *e,
                                  kap_failure *f)
{
    kap_kind kind = kind_by_status(t->status);
    if (t->status < 400)
        kind = KAP_KIND_BAD_REQUEST;
    const char *said = kind_by_words(t, &kind);
    f->kind = kind;
    f->retryable =
        kind != KAP_KIND_AUTH && (kap_transfer_passes(t->status) ||
                                  (kind == KAP_KIND_SERVER && t->status < 400));
    if (e == NULL || (!message_from(L, r, t, e->message, f) &&
                      !message_from(L, r, t, e->words, f))) {
        const char *words = said != NULL ? said : reason(t->status);
        kap_failure_set(f, kind, "HTTP %ld%s%s", t->status,
                        *words != '\0' ? " " : "", words);
    }
    return KAP_RESPONSE_FAILED;
}

static kap_response_result not_json(const kap_response *r, kap_failure *f)
{
    if (r->decode.status == KAP_JSON_DEPTH)
        kap_failure_set(f, KAP_KIND_TOO_LARGE,
                        "the response is nested deeper than %d levels",
                        KAP_DECODE_MAX_DEPTH);
    else
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "the response is not valid JSON: %s", r->decode.error);
    return KAP_RESPONSE_FAILED;
}

static kap_response_result unknown(kap_failure *f, const char *what)
{
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s", what);
    return KAP_RESPONSE_FAILED;
}

/* Not the service's at all: a gateway's, say, and maybe not the next time. */
static kap_response_result no_answer(kap_failure *f, const char *what)
{
    f->retryable = true;
    return unknown(f, what);
}

static kap_response_result finish(kap_response *r, kap_failure *f)
{
    if (r->rest != NULL)
        r->decode.p = r->rest;
    if (kap_decode_peek(&r->decode) >= 0) {
        kap_decode_fail(&r->decode, "something follows the end");
        return not_json(r, f);
    }
    r->phase = KAP_RESPONSE_DONE;
    return KAP_RESPONSE_TICKETS;
}

/* Where tickets go, and for how long. */
typedef struct course {
    const kap_fields *fields;
    kapL_ticket_sink sink;
    void *arg;
    int aside;
} course;

/* One ticket, or what is left of it. */
static kap_response_result one_ticket(lua_State *L, kap_response *r,
                                      const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    if (d->paused > 0) {
        kapL_rawgetp(L, to->aside, r);
        lua_pushnil(L);
        kapL_rawsetp(L, to->aside, r); /* it exists: nothing is allocated */
    }
    if (!kapL_decode_ticket(L, d, to->fields)) {
        if (d->paused == 0)
            return not_json(r, f);
        d->dirty = true; /* should there be no memory to keep it */
        kapL_rawsetp(L, to->aside, r);
        d->dirty = false;
        return KAP_RESPONSE_AGAIN;
    }
    d->dirty = true; /* off the text, and not yet in its place */
    to->sink(L, to->arg, d->id, d->id_len);
    d->dirty = false;
    return KAP_RESPONSE_TICKETS;
}

static kap_response_result single(lua_State *L, kap_response *r,
                                  const course *to, kap_failure *f)
{
    r->phase = KAP_RESPONSE_SINGLE;
    kap_response_result result = one_ticket(L, r, to, f);
    return result == KAP_RESPONSE_TICKETS ? finish(r, f) : result;
}

/* The next byte where an element or the end has to be; the comma is behind. */
static int next_element(kap_response *r)
{
    kap_decode *d = &r->decode;
    int c = kap_decode_peek(d);
    if (!r->more || c == ']')
        return c;
    if (c != ',') {
        kap_decode_fail(d, "',' or ']' expected");
        return -1;
    }
    kap_decode_take(d);
    r->more = false; /* should what follows raise, it is tried again */
    c = kap_decode_peek(d);
    return c == ']' ? -1 : c;
}

static kap_response_result elements(lua_State *L, kap_response *r,
                                    const course *to, kap_failure *f)
{
    kap_decode *d = &r->decode;
    for (;;) {
        int c = d->paused > 0 ? '{' : next_element(r);
        if (d->status != KAP_JSON_OK)
            return not_json(r, f);
        if (c == ']') {
            kap_decode_take(d);
            return finish(r, f);
        }
        if (c != '{') {
            if (c < 0) {
                kap_decode_fail(d, "a ticket expected");
                return not_json(r, f);
            }
            /* skipping does not check numbers and words; decoding does */
            if (c == '[' ? !kap_decode_skip(d) : !kapL_decode_value(L, d))
                return not_json(r, f);
            return unknown(f, "the response is a list of something else than "
                              "tickets");
        }
        kap_response_result result = one_ticket(L, r, to, f);
        if (result != KAP_RESPONSE_TICKETS)
            return result;
        r->more = true;
        if (kap_now() >= d->until)
            return KAP_RESPONSE_AGAIN;
    }
}

/* Words, not tickets. */
static bool is_list_of_strings(kap_decode *d, char *list)
{
    d->p = list;
    kap_decode_take(d);
    return kap_decode_peek(d) == '"';
}

/* The object form: finds the tickets in it, or what it says instead. */
static kap_response_result object(lua_State *L, kap_response *r,
                                  const kap_transfer *t, const course *to,
                                  kap_failure *f)
{
    kap_envelope e;
    char *start = r->decode.p;
    if (!kap_envelope_read(&r->decode, &e))
        return t->status >= 400 ? refuse(L, r, t, NULL, f) : not_json(r, f);
    r->rest = e.end;
    if (t->status >= 400 || (e.failed && !e.ticket))
        return refuse(L, r, t, &e, f);
    char *list = e.message != NULL && *e.message == '[' ? e.message
                 : e.success                            ? e.list
                                                        : NULL;
    if (!e.ticket && list != NULL && !is_list_of_strings(&r->decode, list)) {
        r->decode.p = list + 1;
        r->decode.depth = 2;
        r->phase = KAP_RESPONSE_ELEMENTS;
        return elements(L, r, to, f);
    }
    if (!e.ticket && e.message != NULL && *e.message == '{') {
        kap_envelope inner;
        r->decode.p = e.message;
        r->decode.depth = 1;
        if (!kap_envelope_read(&r->decode, &inner))
            return not_json(r, f);
        if (inner.ticket) {
            start = e.message;
            e.ticket = true;
        }
    }
    if (e.ticket) {
        r->decode.depth = start == e.message;
        r->decode.p = start;
        return single(L, r, to, f);
    }
    kap_kind kind;
    if (kind_by_words(t, &kind) && kind == KAP_KIND_AUTH)
        return refuse(L, r, t, &e, f);
    const char *what = e.success
                           ? "the response says success and holds no tickets"
                           : "the response is JSON of no known shape";
    if (!message_from(L, r, t, e.message, f))
        return unknown(f, what);
    char words[KAP_MESSAGE_MAX];
    memcpy(words, f->message, sizeof words);
    kap_failure_set(f, KAP_KIND_PROTOCOL, "%s: %.200s", what, words);
    return KAP_RESPONSE_FAILED;
}

static void begin(kap_response *r, kap_transfer *t)
{
    static char none[1];
    r->head_len = t->len < sizeof r->head ? t->len : sizeof r->head;
    if (t->len > 0)
        memcpy(r->head, t->body, r->head_len);
    kap_decode_init(&r->decode, t->len > 0 ? t->body : none, t->len);
    if (t->len >= 3 && memcmp(t->body, "\xef\xbb\xbf", 3) == 0)
        r->decode.p += 3; /* a byte order mark says nothing here */
}

static kap_response_result first_look(lua_State *L, kap_response *r,
                                      kap_transfer *t, const course *to,
                                      kap_failure *f)
{
    int c = kap_decode_peek(&r->decode);
    kap_kind kind;
    if (t->status >= 300 && t->status < 400) {
        kap_failure_set(f, KAP_KIND_PROTOCOL,
                        "HTTP %ld: a redirect, which is never followed",
                        t->status);
        return KAP_RESPONSE_FAILED;
    }
    if (c == '{')
        return object(L, r, t, to, f);
    if (t->status >= 400)
        return refuse(L, r, t, NULL, f);
    if (t->status < 200) {
        kap_failure_set(f, KAP_KIND_PROTOCOL, "HTTP %ld is no answer",
                        t->status);
        return KAP_RESPONSE_FAILED;
    }
    if (c == '[') {
        kap_decode_take(&r->decode);
        r->decode.depth = 1;
        r->phase = KAP_RESPONSE_ELEMENTS;
        return elements(L, r, to, f);
    }
    if (c < 0)
        return no_answer(f, "the response is empty");
    if (kind_by_words(t, &kind) && kind == KAP_KIND_AUTH)
        return refuse(L, r, t, NULL, f);
    if (c == '<' || t->html)
        return no_answer(f, "the response is an HTML page, not JSON");
    if (!kapL_decode_value(L, &r->decode))
        return not_json(r, f);
    if (kap_decode_peek(&r->decode) >= 0) {
        kap_decode_fail(&r->decode, "something follows the end");
        return not_json(r, f);
    }
    return unknown(f, "the response is JSON of no known shape");
}

kap_response_result kapL_response(lua_State *L, kap_response *r,
                                  kap_transfer *t, int array_mt, int aside,
                                  double until, kapL_ticket_sink sink,
                                  void *arg, kap_failure *f)
{
    kap_decode_session session;
    kap_response_result result;
    const course to = {t->settings->fields, sink, arg, kapL_absindex(L, aside)};
    if (r->phase ==
        KAP_RESPONSE_DONE) /* and then its event could not be made */
        return KAP_RESPONSE_TICKETS;
    if (r->phase == KAP_RESPONSE_NEW)
        begin(r, t);
    r->decode.until = until;
    kap_failure_clear(f);
    kapL_decode_begin(L, &r->decode, &session, array_mt);
    if (r->phase == KAP_RESPONSE_NEW)
        result = first_look(L, r, t, &to, f);
    else if (r->phase == KAP_RESPONSE_SINGLE)
        result = single(L, r, &to, f);
    else
        result = elements(L, r, &to, f);
    kapL_decode_end(L, &r->decode);
    if (result == KAP_RESPONSE_FAILED)
        describe(r, t, f);
    return result;
}
